//! What a request does, in one vocabulary for every way of doing it.

use std::collections::BTreeMap;

/// One named effect of a request: `repo.delete`, `ref.push`, `content.write`, `chat.completion`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Operation {
    /// `area.verb`, from the table in `protocol`.
    pub name: String,
    /// Other names a rule may match: `github:repos/delete`, `graphql:deleteRef`, `mcp:push_files`,
    /// `git:receive-pack`.
    pub aliases: Vec<String>,
    /// `owner/name` in lower case; `None` where the operation has none.
    pub repo: Target,
    /// The organisation or user it is about, lower case, where `repo` does not already say so; read
    /// it with [`Operation::owner`].
    pub account: Target,
    /// Full ref name (`refs/heads/main`); GitHub refs are case-sensitive, so is this.
    pub reference: Target,
    /// The files it touches.
    pub paths: Paths,
    /// Everything else that is worth showing and matching: `tool`, `model`, `resource`, `change`,
    /// `old`, `new`, `force`.
    pub attributes: BTreeMap<String, String>,
    /// Whether it changes something upstream.
    pub write: bool,
}

impl Operation {
    /// Whose it is: the first part of `repo`, else the account it names. An opaque repository could
    /// be anybody's.
    pub fn owner(&self) -> Target {
        match (&self.repo, &self.account) {
            (Target::Known(repo), _) => match repo.split_once('/') {
                Some((owner, _)) => Target::Known(owner.to_owned()),
                None => Target::Any,
            },
            (Target::Any, Target::None) => Target::Any,
            (Target::Any | Target::None, account) => account.clone(),
        }
    }

    /// Whether it is a read that no operation table knows: like `github.unknown_write`, but named
    /// for what it most likely is, with `github.unknown_read` as another name.
    pub fn is_unknown_read(&self) -> bool {
        !self.write
            && self
                .aliases
                .iter()
                .any(|alias| alias.ends_with(".unknown_read"))
    }

    /// Whether it is a write that no operation table knows (`github.unknown_write`): the policy has
    /// an answer of its own for those.
    pub fn is_unknown_write(&self) -> bool {
        self.write && self.name.ends_with(".unknown_write")
    }
}

/// One attribute that a rule can constrain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Target {
    /// The operation has no such attribute: a rule that asks for one does not match.
    #[default]
    None,
    /// Known.
    Known(String),
    /// The operation has one, but the request does not tell which (an opaque id, a default branch):
    /// every rule that asks for one could match, so it is treated as any.
    Any,
}

impl Target {
    /// The known value.
    pub fn known(&self) -> Option<&str> {
        match self {
            Target::Known(value) => Some(value),
            Target::None | Target::Any => None,
        }
    }
}

/// The files an operation touches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Paths {
    /// It touches none.
    #[default]
    None,
    /// All of them, relative to the repository's root.
    Known(Vec<String>),
    /// It touches files, and the request does not tell which (a push before its pack is read).
    Unknown,
}
