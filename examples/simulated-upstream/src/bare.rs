//! A bare repository on disk, read and written with git's own plumbing.
//!
//! REST, GraphQL, MCP and git all end here, so a push is seen by the API and a commit made through the API is seen by a
//! clone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::refusal::{Outcome, Refusal};

/// The object id that stands for "no object" in ref updates.
pub const ZERO: &str = "0000000000000000000000000000000000000000";

/// A bare repository.
#[derive(Debug, Clone)]
pub struct Bare {
    dir: PathBuf,
}

/// One line of a tree.
#[derive(Debug, Clone)]
pub struct Entry {
    /// `100644`, `100755`, `040000`, `120000` or `160000`.
    pub mode: String,
    /// `blob`, `tree` or `commit`.
    pub kind: String,
    /// Object id.
    pub sha: String,
    /// Bytes; none for a tree.
    pub size: Option<u64>,
    /// Path from the root of the repository.
    pub path: String,
}

/// What a path names at a revision.
#[derive(Debug)]
pub enum Found {
    /// A file: its object id and bytes.
    File(String, Vec<u8>),
    /// A folder: its entries, not recursive.
    Folder(Vec<Entry>),
}

/// A commit as the API shows it.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Object id.
    pub sha: String,
    /// Object id of its tree.
    pub tree: String,
    /// Object ids of its parents.
    pub parents: Vec<String>,
    /// Author's name.
    pub name: String,
    /// Author's address.
    pub email: String,
    /// Author date, RFC 3339.
    pub date: String,
    /// The whole message.
    pub message: String,
}

/// A ref and what it points to.
#[derive(Debug, Clone)]
pub struct Reference {
    /// Full name, `refs/heads/main`.
    pub name: String,
    /// Object id.
    pub sha: String,
    /// `commit` or `tag`.
    pub kind: String,
}

/// One line of a new tree: `None` removes the path.
#[derive(Debug, Clone)]
pub struct Change {
    /// Path from the root of the repository.
    pub path: String,
    /// Mode and object id, or nothing to remove the path.
    pub entry: Option<(String, String)>,
}

impl Bare {
    /// The repository in `dir`, which may not exist yet.
    pub fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes an empty bare repository that accepts pushes and deletions.
    pub fn init(&self, branch: &str) -> Outcome<()> {
        std::fs::create_dir_all(&self.dir).map_err(Refusal::internal)?;
        self.git(&[
            "init",
            "--quiet",
            "--bare",
            &format!("--initial-branch={branch}"),
            ".",
        ])?;
        for (key, value) in [
            ("http.receivepack", "true"),
            ("receive.denyDeletes", "false"),
            ("receive.denyNonFastForwards", "false"),
            ("uploadpack.allowFilter", "true"),
            ("uploadpack.allowAnySHA1InWant", "true"),
            ("gc.auto", "0"),
        ] {
            self.git(&["config", key, value])?;
        }
        Ok(())
    }

    /// Points HEAD at another branch.
    pub fn set_head(&self, branch: &str) -> Outcome<()> {
        self.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")])
            .map(drop)
    }

    /// The commit that a branch, tag, full ref or object id names.
    pub fn resolve(&self, revision: &str) -> Option<String> {
        if revision.is_empty() || revision.starts_with('-') {
            return None;
        }
        for name in [format!("refs/heads/{revision}"), revision.to_owned()] {
            if let Ok(sha) = self.line(&[
                "rev-parse",
                "--verify",
                "--quiet",
                &format!("{name}^{{commit}}"),
            ]) {
                return Some(sha);
            }
        }
        None
    }

    /// The object that a full ref points to.
    pub fn reference(&self, name: &str) -> Option<Reference> {
        self.references(name)
            .ok()?
            .into_iter()
            .find(|found| found.name == name)
    }

    /// Refs that begin with `prefix`, such as `refs/heads/`.
    pub fn references(&self, prefix: &str) -> Outcome<Vec<Reference>> {
        let text = self.text(&[
            "for-each-ref",
            "--format=%(refname) %(objectname) %(objecttype)",
        ])?;
        Ok(text
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                Some(Reference {
                    name: words.next()?.to_owned(),
                    sha: words.next()?.to_owned(),
                    kind: words.next()?.to_owned(),
                })
            })
            .filter(|found| found.name.starts_with(prefix))
            .collect())
    }

    /// What `path` is at `commit`; the root for an empty path.
    pub fn read(&self, commit: &str, path: &str) -> Option<Found> {
        let path = path.trim_matches('/');
        let object = format!("{commit}:{path}");
        match self.line(&["cat-file", "-t", &object]).ok()?.as_str() {
            "blob" => {
                let sha = self
                    .line(&["rev-parse", "--verify", "--quiet", &object])
                    .ok()?;
                Some(Found::File(sha.clone(), self.blob(&sha)?))
            }
            "tree" => {
                let mut entries = self.tree(&object, false).ok()?;
                if !path.is_empty() {
                    for entry in &mut entries {
                        entry.path = format!("{path}/{}", entry.path);
                    }
                }
                Some(Found::Folder(entries))
            }
            _ => None,
        }
    }

    /// The bytes of a blob.
    pub fn blob(&self, sha: &str) -> Option<Vec<u8>> {
        hex(sha).then(|| self.git(&["cat-file", "blob", sha]).ok())?
    }

    /// The entries of a tree-ish.
    pub fn tree(&self, treeish: &str, recursive: bool) -> Outcome<Vec<Entry>> {
        if treeish.starts_with('-') {
            return Err(Refusal::not_found());
        }
        let mut args = vec!["ls-tree", "-z", "--long"];
        if recursive {
            args.extend(["-r", "-t"]);
        }
        args.push(treeish);
        let text = self.text(&args)?;
        Ok(text.split('\0').filter_map(entry).collect())
    }

    /// The newest `limit` commits reachable from `revision` that touch `path` (all for an empty path).
    pub fn log(&self, revision: &str, path: &str, limit: usize) -> Outcome<Vec<Commit>> {
        if revision.starts_with('-') {
            return Err(Refusal::not_found());
        }
        let limit = format!("-n{limit}");
        let mut args = vec![
            "log",
            &limit,
            "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%B%x1e",
            revision,
            "--",
        ];
        if !path.is_empty() {
            args.push(path);
        }
        let text = self.text(&args)?;
        Ok(text.split('\x1e').filter_map(commit).collect())
    }

    /// One commit.
    pub fn commit(&self, revision: &str) -> Outcome<Commit> {
        let sha = self.resolve(revision).ok_or_else(Refusal::not_found)?;
        self.log(&sha, "", 1)?
            .into_iter()
            .next()
            .ok_or_else(Refusal::not_found)
    }

    /// Path and status letter (`A`, `M`, `D`) of each file that differs.
    pub fn changed(&self, from: &str, to: &str) -> Outcome<Vec<(String, char)>> {
        let text = self.text(&[
            "diff-tree",
            "-r",
            "-z",
            "--name-status",
            "--no-renames",
            from,
            to,
        ])?;
        let mut parts = text.split('\0');
        let mut found = Vec::new();
        while let (Some(status), Some(path)) = (parts.next(), parts.next()) {
            found.push((path.to_owned(), status.chars().next().unwrap_or('M')));
        }
        Ok(found)
    }

    /// The unified diff between two commits.
    pub fn diff(&self, from: &str, to: &str) -> Outcome<String> {
        self.text(&["diff", from, to, "--"])
    }

    /// How many commits `head` is ahead of and behind `base`.
    pub fn distance(&self, base: &str, head: &str) -> Outcome<(u64, u64)> {
        let text = self.line(&[
            "rev-list",
            "--left-right",
            "--count",
            &format!("{base}...{head}"),
        ])?;
        let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
        let behind = numbers.next().unwrap_or(0);
        Ok((numbers.next().unwrap_or(0), behind))
    }

    /// Stores a blob and returns its id.
    pub fn write_blob(&self, bytes: &[u8]) -> Outcome<String> {
        let out = self.run(&["hash-object", "-w", "--stdin"], bytes, &[])?;
        Ok(String::from_utf8_lossy(&out).trim().to_owned())
    }

    /// Writes the tree that `changes` make of `base` (nothing: of an empty tree).
    pub fn write_tree(&self, base: Option<&str>, changes: &[Change]) -> Outcome<String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let index = self.dir.join(format!(
            "api-index-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        let env = [("GIT_INDEX_FILE", index.to_string_lossy().into_owned())];
        let mut lines = Vec::new();
        for change in changes {
            if !plain(&change.path) {
                return Err(Refusal::unprocessable(format!(
                    "path contains a malformed path component: {}",
                    change.path
                )));
            }
            let (mode, sha) = match &change.entry {
                Some((mode, sha)) => (mode.as_str(), sha.as_str()),
                None => ("0", ZERO),
            };
            lines.extend_from_slice(format!("{mode} {sha}\t{}\0", change.path).as_bytes());
        }
        let written = (|| {
            match base {
                Some(base) => self.run(&["read-tree", base], b"", &env)?,
                None => self.run(&["read-tree", "--empty"], b"", &env)?,
            };
            self.run(
                &["update-index", "-z", "--replace", "--index-info"],
                &lines,
                &env,
            )?;
            self.run(&["write-tree"], b"", &env)
        })();
        // Also when it failed: a left-over index would be found by nobody.
        let _ = std::fs::remove_file(&index);
        Ok(String::from_utf8_lossy(&written?).trim().to_owned())
    }

    /// Stores a commit and returns its id; no ref moves.
    pub fn write_commit(
        &self,
        tree: &str,
        parents: &[String],
        message: &str,
        author: Option<(&str, &str)>,
    ) -> Outcome<String> {
        let mut args = vec!["commit-tree", tree];
        for parent in parents {
            args.extend(["-p", parent]);
        }
        let mut env = Vec::new();
        if let Some((name, email)) = author {
            env.push(("GIT_AUTHOR_NAME", name.to_owned()));
            env.push(("GIT_AUTHOR_EMAIL", email.to_owned()));
        }
        let out = self.run(&args, message.as_bytes(), &env)?;
        Ok(String::from_utf8_lossy(&out).trim().to_owned())
    }

    /// Commits `changes` on top of `branch`, which is made if the repository is empty. Returns the new commit.
    pub fn commit_on(
        &self,
        branch: &str,
        changes: &[Change],
        message: &str,
        author: Option<(&str, &str)>,
    ) -> Outcome<String> {
        let parent = self.resolve(&format!("refs/heads/{branch}"));
        if parent.is_none() && !self.references("refs/heads/")?.is_empty() {
            return Err(Refusal::new(
                axum::http::StatusCode::NOT_FOUND,
                format!("Branch {branch} not found"),
            ));
        }
        let tree = self.write_tree(parent.as_deref(), changes)?;
        let parents: Vec<String> = parent.iter().cloned().collect();
        let commit = self.write_commit(&tree, &parents, message, author)?;
        self.update_ref(
            &format!("refs/heads/{branch}"),
            &commit,
            Some(parent.as_deref().unwrap_or(ZERO)),
        )?;
        Ok(commit)
    }

    /// Moves or makes a ref; with `old`, only if it still points there (all zeroes: does not exist).
    pub fn update_ref(&self, name: &str, new: &str, old: Option<&str>) -> Outcome<()> {
        let mut args = vec!["update-ref", name, new];
        args.extend(old);
        self.git(&args).map(drop).map_err(|refusal| {
            Refusal::unprocessable(format!("Reference update failed: {}", refusal.message))
        })
    }

    /// Removes a ref.
    pub fn delete_ref(&self, name: &str) -> Outcome<()> {
        self.reference(name)
            .ok_or_else(|| Refusal::unprocessable("Reference does not exist"))?;
        self.git(&["update-ref", "-d", name]).map(drop)
    }

    /// Whether `old` is an ancestor of `new`.
    pub fn is_ancestor(&self, old: &str, new: &str) -> bool {
        self.git(&["merge-base", "--is-ancestor", old, new]).is_ok()
    }

    /// The newest common ancestor.
    pub fn merge_base(&self, one: &str, other: &str) -> Option<String> {
        self.line(&["merge-base", one, other]).ok()
    }

    /// The tree of a merge, or nothing if it conflicts.
    pub fn merge_tree(&self, base: &str, head: &str) -> Option<String> {
        self.line(&["merge-tree", "--write-tree", base, head]).ok()
    }

    /// A gzip tarball of a revision, as `GET …/tarball` answers.
    pub fn archive(&self, revision: &str, prefix: &str, format: &str) -> Outcome<Vec<u8>> {
        let sha = self.resolve(revision).ok_or_else(Refusal::not_found)?;
        self.git(&[
            "archive",
            &format!("--format={format}"),
            &format!("--prefix={prefix}/"),
            &sha,
        ])
    }

    /// Copies every object and ref of `source` into this new repository.
    pub fn clone_from(&self, source: &Bare, branch: &str) -> Outcome<()> {
        self.init(branch)?;
        let from = source.dir.to_string_lossy().into_owned();
        self.git(&["fetch", "--quiet", &from, "+refs/*:refs/*"])
            .map(drop)
    }

    fn line(&self, args: &[&str]) -> Outcome<String> {
        let text = self.text(args)?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    fn text(&self, args: &[&str]) -> Outcome<String> {
        Ok(String::from_utf8_lossy(&self.git(args)?).into_owned())
    }

    fn git(&self, args: &[&str]) -> Outcome<Vec<u8>> {
        self.run(args, b"", &[])
    }

    fn run(&self, args: &[&str], input: &[u8], env: &[(&str, String)]) -> Outcome<Vec<u8>> {
        use std::io::Write as _;
        let mut command = Command::new("git");
        command.current_dir(&self.dir).args(args);
        for (key, value) in environment() {
            command.env(key, value);
        }
        command.env("GIT_DIR", ".");
        for (key, value) in env {
            command.env(key, value);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Refusal::internal(format!("cannot start git: {error}")))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A git that fails at once closes its end: its own message says more than the broken pipe.
            let _ = stdin.write_all(input);
        }
        let output = child.wait_with_output().map_err(Refusal::internal)?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(Refusal::internal(
                String::from_utf8_lossy(&output.stderr).trim(),
            ))
        }
    }
}

/// What every git process gets: no configuration but its own, a fixed committer, and no question about who owns the
/// folder.
pub fn environment() -> [(&'static str, &'static str); 9] {
    [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "safe.directory"),
        ("GIT_CONFIG_VALUE_0", "*"),
        ("GIT_AUTHOR_NAME", "Acme Bot"),
        ("GIT_AUTHOR_EMAIL", "acme-bot@users.noreply.github.com"),
        ("GIT_COMMITTER_NAME", "GitHub"),
        ("GIT_COMMITTER_EMAIL", "noreply@github.com"),
    ]
}

fn hex(sha: &str) -> bool {
    sha.len() >= 4 && sha.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A path that git accepts in a tree.
fn plain(path: &str) -> bool {
    !path.contains('\0')
        && path
            .split('/')
            .all(|part| !matches!(part, "" | "." | ".." | ".git"))
}

fn entry(line: &str) -> Option<Entry> {
    let (head, path) = line.split_once('\t')?;
    let mut words = head.split_whitespace();
    Some(Entry {
        mode: words.next()?.to_owned(),
        kind: words.next()?.to_owned(),
        sha: words.next()?.to_owned(),
        size: words.next()?.parse().ok(),
        path: path.to_owned(),
    })
}

fn commit(record: &str) -> Option<Commit> {
    let mut parts = record
        .trim_start_matches('\n')
        .split('\0')
        .map(str::to_owned);
    Some(Commit {
        sha: parts.next().filter(|sha| !sha.is_empty())?,
        tree: parts.next()?,
        parents: parts
            .next()?
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        name: parts.next()?,
        email: parts.next()?,
        date: parts.next()?,
        message: parts.next()?.trim_end().to_owned(),
    })
}
