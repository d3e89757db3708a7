//! Every name that an operation can have, for those who check a policy: a rule on a name that no
//! protocol gives can never match.

use std::collections::BTreeMap;

use super::{github, mcp};
use crate::policy::Glob;

/// What an operation of some name can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facets {
    /// A repository, or whose it is.
    pub repo: bool,
    /// A ref.
    pub reference: bool,
    /// Files.
    pub paths: bool,
}

/// The names of operations, aliases included.
#[derive(Debug, Default)]
pub struct Vocabulary(BTreeMap<String, Facets>);

const NOTHING: Facets = Facets {
    repo: false,
    reference: false,
    paths: false,
};
const REPO: Facets = Facets {
    repo: true,
    ..NOTHING
};
const REF: Facets = Facets {
    reference: true,
    ..REPO
};
const FILES: Facets = Facets {
    paths: true,
    ..REPO
};
const ALL: Facets = Facets { paths: true, ..REF };

/// Names that stand in the code and in no table.
#[rustfmt::skip]
const SPOKEN: &[(&str, Facets)] = &[
    ("github.read", REPO), ("github.unknown_write", REF), ("github.unknown_read", REPO), ("repo.read", FILES),
    ("ref.push", ALL), ("ref.create", ALL), ("ref.update", ALL), ("ref.delete", REF),
    ("content.write", ALL), ("content.delete", ALL),
    ("git:receive-pack", ALL), ("git:receive-pack-probe", REPO), ("git:upload-pack", REPO), ("git:upload-archive", REPO),
    ("git:lfs-upload", REF), ("git:lfs-lock", ALL), ("git:lfs-unlock", ALL),
    ("git.unknown_write", REF), ("archive.read", REPO),
    ("lfs.read", REPO), ("lfs.download", REPO), ("lfs.upload", REF), ("lfs.lock", ALL), ("lfs.unlock", ALL),
    ("chat.completion", NOTHING), ("chat.embedding", NOTHING), ("chat.session", NOTHING), ("chat.telemetry", NOTHING),
    ("chat.read", REPO), ("chat.manage", NOTHING), ("agent.start", REPO), ("agent.unknown_write", REPO),
    ("model.moderation", NOTHING), ("model.file_upload", NOTHING), ("model.file_delete", NOTHING), ("model.fine_tune", NOTHING),
    ("model.batch", NOTHING), ("model.assistant", NOTHING), ("model.store", NOTHING), ("model.container", NOTHING),
    ("model.image", NOTHING), ("model.audio", NOTHING), ("model.realtime", NOTHING), ("model.delete", NOTHING),
    ("model.unknown_write", NOTHING),
    ("mcp.call", REPO), ("mcp.protocol", NOTHING), ("mcp.toolset", NOTHING), ("mcp.remote", NOTHING), ("mcp.read", REPO),
    ("mcp.unknown_write", NOTHING), ("mcp.resource", NOTHING), ("auth.device_flow", NOTHING),
];

/// Names of which any may come: an API's methods, others' tools, mutations of tomorrow.
const OPEN: &[&str] = &["http.", "graphql:", "mcp:", "model:"];

/// Every name.
pub fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary::default();
    for (name, facets) in SPOKEN {
        vocabulary.add(name, *facets);
    }
    github::words(&mut |name, facets| vocabulary.add(name, facets));
    mcp::words(&mut |name, facets| vocabulary.add(name, facets));
    vocabulary
}

impl Vocabulary {
    fn add(&mut self, name: &str, facets: Facets) {
        let known = self.0.entry(name.to_owned()).or_default();
        *known = Facets {
            repo: known.repo || facets.repo,
            reference: known.reference || facets.reference,
            paths: known.paths || facets.paths,
        };
    }

    /// The names that a pattern takes.
    pub fn taken<'v>(&'v self, glob: &'v Glob) -> impl Iterator<Item = (&'v str, Facets)> {
        self.0
            .iter()
            .filter(|(name, _)| glob.matches(name))
            .map(|(name, facets)| (name.as_str(), *facets))
    }

    /// Whether a pattern may take a name that is not in the list.
    pub fn is_open(&self, glob: &Glob) -> bool {
        OPEN.iter().any(|open| glob.as_str().starts_with(open))
    }

    /// Whether an operation can have this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name) || OPEN.iter().any(|open| name.starts_with(open))
    }

    /// Every name, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_in_it() {
        let words = vocabulary();
        let facets = |name: &str| {
            let glob = Glob::new(name).unwrap();
            words.taken(&glob).next().map(|(_, facets)| facets)
        };
        assert_eq!(facets("repo.delete"), Some(REPO));
        assert_eq!(facets("github:repos/delete"), Some(REPO));
        assert_eq!(facets("content.write"), Some(ALL));
        assert!(facets("github:git/create-tree").unwrap().paths);
        assert!(facets("github:git/update-ref").unwrap().reference);
        assert!(facets("graphql:createCommitOnBranch").unwrap().paths);
        assert!(facets("mcp:push_files").unwrap().paths);
        assert_eq!(facets("chat.completion"), Some(NOTHING));
        assert!(facets("protection.update").unwrap().reference);
        assert!(!facets("secret.write").unwrap().reference);
        assert_eq!(facets("repo.visibility"), Some(REPO));
        assert_eq!(facets("repo.destroy"), None);
        assert!(words.names().count() > 1_500);
        assert!(words.is_open(&Glob::new("mcp:evil/*").unwrap()));
        assert!(!words.is_open(&Glob::new("github:repos/destroy").unwrap()));
    }
}
