//! The organisation `acme`, held in memory beside its bare repositories on disk.
//!
//! Every face (REST, GraphQL, MCP, git) works on this one state, so what one changes the others see.

use std::collections::BTreeMap;
use std::path::PathBuf;

use axum::http::StatusCode;
use serde_json::Value;

use crate::bare::{Bare, Change};
use crate::refusal::{Outcome, Refusal};
use crate::seed;

/// The login behind the injected credential.
pub const VIEWER: &str = "acme-bot";
/// The organisation's login.
pub const ORGANISATION: &str = "acme";

/// All repositories and what hangs on them.
#[derive(Debug)]
pub struct Organisation {
    data: PathBuf,
    next: u64,
    /// In the order they were made.
    pub repositories: Vec<Repository>,
    /// Gists and other things that belong to no repository, by kind.
    pub shelves: Shelves,
}

/// Things of a kind that are only kept and shown: hooks, keys, releases, gists …
pub type Shelves = BTreeMap<String, Vec<Value>>;

/// A repository's metadata; its content is in [`Repository::bare`].
#[derive(Debug)]
pub struct Repository {
    /// GitHub's numeric id.
    pub id: u64,
    /// Login of the owner.
    pub owner: String,
    /// Name without the owner.
    pub name: String,
    /// One line, may be empty.
    pub description: String,
    /// Not visible to everyone.
    pub private: bool,
    /// Read-only.
    pub archived: bool,
    /// `owner/name` of the repository it was forked from.
    pub parent: Option<String>,
    /// Name of the default branch.
    pub default_branch: String,
    /// RFC 3339.
    pub created_at: String,
    /// Pull requests.
    pub pulls: Vec<Pull>,
    /// Issues that are not pull requests.
    pub issues: Vec<Issue>,
    /// Branch protection by branch name.
    pub protection: BTreeMap<String, Value>,
    /// Everything that is only kept and shown.
    pub shelves: Shelves,
    /// The git side.
    pub bare: Bare,
}

/// An issue.
#[derive(Debug, Clone)]
pub struct Issue {
    /// Shared with pull requests.
    pub number: u64,
    /// Title.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// Closed or open.
    pub closed: bool,
    /// Label names.
    pub labels: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
}

/// A pull request within one repository.
#[derive(Debug, Clone)]
pub struct Pull {
    /// Shared with issues.
    pub number: u64,
    /// Title.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// Branch to merge.
    pub head: String,
    /// Branch to merge into.
    pub base: String,
    /// Closed without a merge, or merged.
    pub closed: bool,
    /// A draft.
    pub draft: bool,
    /// The merge commit, once merged.
    pub merged: Option<String>,
    /// RFC 3339.
    pub created_at: String,
}

/// What `create` needs to know.
#[derive(Debug, Default, Clone)]
pub struct NewRepository {
    /// Name without the owner.
    pub name: String,
    /// One line.
    pub description: String,
    /// Not visible to everyone.
    pub private: bool,
    /// Make a first commit with a README.
    pub auto_init: bool,
}

impl Organisation {
    /// Opens the data folder: repositories already there are kept, the three of the seed are made if missing.
    pub fn open(data: PathBuf) -> Outcome<Self> {
        let mut organisation = Self {
            data,
            next: 1000,
            repositories: Vec::new(),
            shelves: Shelves::new(),
        };
        std::fs::create_dir_all(&organisation.data).map_err(Refusal::internal)?;
        seed::fill(&mut organisation)?;
        organisation.find_on_disk()?;
        Ok(organisation)
    }

    /// Where large file objects are kept.
    pub fn large_files(&self) -> PathBuf {
        self.data.join(".lfs")
    }

    /// A new id, unique over all kinds.
    pub fn next_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A repository by owner and name, in any case of letters and with or without `.git`, as GitHub finds them.
    pub fn repository(&self, owner: &str, name: &str) -> Outcome<&Repository> {
        self.position(owner, name)
            .and_then(|at| self.repositories.get(at))
            .ok_or_else(Refusal::not_found)
    }

    /// The same, to change it.
    pub fn repository_mut(&mut self, owner: &str, name: &str) -> Outcome<&mut Repository> {
        self.position(owner, name)
            .and_then(|at| self.repositories.get_mut(at))
            .ok_or_else(Refusal::not_found)
    }

    /// A repository that may be written to.
    pub fn writable(&mut self, owner: &str, name: &str) -> Outcome<&mut Repository> {
        let repository = self.repository_mut(owner, name)?;
        if repository.archived {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "Repository was archived so is read-only.",
            ));
        }
        Ok(repository)
    }

    /// `owner/name` of a numeric or node id.
    pub fn by_id(&self, id: &str) -> Option<(String, String)> {
        self.repositories
            .iter()
            .find(|repository| repository.node_id() == id || repository.id.to_string() == id)
            .map(|repository| (repository.owner.clone(), repository.name.clone()))
    }

    /// Makes a repository and its bare folder.
    pub fn create(&mut self, owner: &str, new: NewRepository) -> Outcome<&mut Repository> {
        if !known_owner(owner) {
            return Err(Refusal::not_found());
        }
        if new.name.is_empty() {
            return Err(Refusal::invalid("Repository", "name", "missing_field"));
        }
        if !valid_name(&new.name) {
            return Err(Refusal::invalid("Repository", "name", "invalid"));
        }
        if self.position(owner, &new.name).is_some() {
            let mut refusal = Refusal::invalid("Repository", "name", "custom");
            refusal.message = "Repository creation failed.".into();
            refusal.errors[0]["message"] = "name already exists on this account".into();
            return Err(refusal);
        }
        let bare = self.bare(owner, &new.name);
        bare.init("main")?;
        if new.auto_init {
            let readme = format!("# {}\n{}\n", new.name, new.description);
            let sha = bare.write_blob(readme.as_bytes())?;
            let change = Change {
                path: "README.md".into(),
                entry: Some(("100644".into(), sha)),
            };
            bare.commit_on("main", &[change], "Initial commit", None)?;
        }
        self.add(owner, new, bare)
    }

    /// Copies a repository: a fork, or one made from a template.
    pub fn copy(
        &mut self,
        from: (&str, &str),
        owner: &str,
        new: NewRepository,
        fork: bool,
    ) -> Outcome<&mut Repository> {
        let source = self.repository(from.0, from.1)?;
        let (bare, branch, full) = (
            source.bare.clone(),
            source.default_branch.clone(),
            source.full_name(),
        );
        if !known_owner(owner) {
            return Err(Refusal::not_found());
        }
        if !valid_name(&new.name) || self.position(owner, &new.name).is_some() {
            return Err(Refusal::invalid("Repository", "name", "already_exists"));
        }
        let target = self.bare(owner, &new.name);
        target.clone_from(&bare, &branch)?;
        let made = self.add(owner, new, target)?;
        made.default_branch = branch;
        made.parent = fork.then_some(full);
        Ok(made)
    }

    /// Removes a repository and its folder.
    pub fn delete(&mut self, owner: &str, name: &str) -> Outcome<()> {
        let at = self.position(owner, name).ok_or_else(Refusal::not_found)?;
        let gone = self.repositories.remove(at);
        std::fs::remove_dir_all(gone.bare.dir()).map_err(Refusal::internal)
    }

    /// Renames a repository or moves it to another owner.
    pub fn rename(
        &mut self,
        owner: &str,
        name: &str,
        to_owner: &str,
        to_name: &str,
    ) -> Outcome<()> {
        let at = self.position(owner, name).ok_or_else(Refusal::not_found)?;
        if !known_owner(to_owner) || !valid_name(to_name) {
            return Err(Refusal::invalid("Repository", "name", "invalid"));
        }
        if self
            .position(to_owner, to_name)
            .is_some_and(|other| other != at)
        {
            return Err(Refusal::invalid("Repository", "name", "already_exists"));
        }
        let target = self.bare(to_owner, to_name);
        let Some(repository) = self.repositories.get_mut(at) else {
            return Err(Refusal::not_found());
        };
        if let Some(parent) = target.dir().parent() {
            std::fs::create_dir_all(parent).map_err(Refusal::internal)?;
        }
        std::fs::rename(repository.bare.dir(), target.dir()).map_err(Refusal::internal)?;
        repository.owner = to_owner.to_owned();
        repository.name = to_name.to_owned();
        repository.bare = target;
        Ok(())
    }

    fn add(&mut self, owner: &str, new: NewRepository, bare: Bare) -> Outcome<&mut Repository> {
        let id = self.next_id();
        self.repositories.push(Repository {
            id,
            owner: owner.to_ascii_lowercase(),
            name: new.name,
            description: new.description,
            private: new.private,
            archived: false,
            parent: None,
            default_branch: "main".into(),
            created_at: now(),
            pulls: Vec::new(),
            issues: Vec::new(),
            protection: BTreeMap::new(),
            shelves: Shelves::new(),
            bare,
        });
        self.repositories.last_mut().ok_or_else(Refusal::not_found)
    }

    fn position(&self, owner: &str, name: &str) -> Option<usize> {
        let bare_name = name.strip_suffix(".git").unwrap_or(name);
        self.repositories.iter().position(|repository| {
            repository.owner.eq_ignore_ascii_case(owner)
                && repository.name.eq_ignore_ascii_case(bare_name)
        })
    }

    fn bare(&self, owner: &str, name: &str) -> Bare {
        Bare::at(
            self.data
                .join(owner.to_ascii_lowercase())
                .join(format!("{name}.git")),
        )
    }

    /// Takes a repository of the seed from disk, or makes it there.
    pub(crate) fn open_or_create(
        &mut self,
        new: NewRepository,
    ) -> Outcome<(&mut Repository, bool)> {
        let bare = self.bare(ORGANISATION, &new.name);
        let there = bare.dir().join("HEAD").exists();
        if !there {
            bare.init("main")?;
        }
        Ok((self.add(ORGANISATION, new, bare)?, !there))
    }

    /// Repositories that an earlier run made.
    fn find_on_disk(&mut self) -> Outcome<()> {
        for owner in [ORGANISATION, VIEWER] {
            let Ok(folders) = std::fs::read_dir(self.data.join(owner)) else {
                continue;
            };
            let mut names: Vec<String> = folders
                .filter_map(|folder| {
                    Some(
                        folder
                            .ok()?
                            .file_name()
                            .to_string_lossy()
                            .strip_suffix(".git")?
                            .to_owned(),
                    )
                })
                .collect();
            names.sort();
            for name in names {
                if self.position(owner, &name).is_none() {
                    let bare = self.bare(owner, &name);
                    let new = NewRepository {
                        name,
                        ..NewRepository::default()
                    };
                    self.add(owner, new, bare)?;
                }
            }
        }
        Ok(())
    }
}

impl Repository {
    /// `owner/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// GraphQL id.
    pub fn node_id(&self) -> String {
        format!("R_kgDO{:06}", self.id)
    }

    /// The number of the next issue or pull request.
    pub fn next_number(&self) -> u64 {
        let pulls = self.pulls.iter().map(|pull| pull.number);
        let issues = self.issues.iter().map(|issue| issue.number);
        pulls.chain(issues).max().unwrap_or(0) + 1
    }

    /// A pull request by number.
    pub fn pull(&self, number: u64) -> Outcome<&Pull> {
        self.pulls
            .iter()
            .find(|pull| pull.number == number)
            .ok_or_else(Refusal::not_found)
    }

    /// The same, to change it.
    pub fn pull_mut(&mut self, number: u64) -> Outcome<&mut Pull> {
        self.pulls
            .iter_mut()
            .find(|pull| pull.number == number)
            .ok_or_else(Refusal::not_found)
    }

    /// An issue to change.
    pub fn issue_mut(&mut self, number: u64) -> Outcome<&mut Issue> {
        self.issues
            .iter_mut()
            .find(|issue| issue.number == number)
            .ok_or_else(Refusal::not_found)
    }

    /// Opens a pull request; `head` may be written `owner:branch`.
    pub fn open_pull(
        &mut self,
        title: &str,
        body: &str,
        head: &str,
        base: &str,
        draft: bool,
    ) -> Outcome<Pull> {
        if title.is_empty() {
            return Err(Refusal::invalid("PullRequest", "title", "missing_field"));
        }
        let head = head.rsplit(':').next().unwrap_or(head);
        let head_sha = self.bare.resolve(&format!("refs/heads/{head}"));
        let base_sha = self.bare.resolve(&format!("refs/heads/{base}"));
        let Some(head_sha) = head_sha else {
            return Err(Refusal::invalid("PullRequest", "head", "invalid"));
        };
        let Some(base_sha) = base_sha else {
            return Err(Refusal::invalid("PullRequest", "base", "invalid"));
        };
        if self.bare.is_ancestor(&head_sha, &base_sha) {
            return Err(Refusal::unprocessable(format!(
                "Validation Failed: No commits between {base} and {head}"
            )));
        }
        if self
            .pulls
            .iter()
            .any(|pull| !pull.closed && pull.head == head && pull.base == base)
        {
            return Err(Refusal::unprocessable(format!(
                "A pull request already exists for {}:{head}.",
                self.owner
            )));
        }
        let pull = Pull {
            number: self.next_number(),
            title: title.to_owned(),
            body: body.to_owned(),
            head: head.to_owned(),
            base: base.to_owned(),
            closed: false,
            draft,
            merged: None,
            created_at: now(),
        };
        self.pulls.push(pull.clone());
        Ok(pull)
    }

    /// Merges a pull request by `merge`, `squash` or `rebase`, and returns the new commit.
    pub fn merge_pull(
        &mut self,
        number: u64,
        method: &str,
        message: Option<&str>,
    ) -> Outcome<String> {
        let pull = self.pull(number)?.clone();
        if pull.closed || pull.draft {
            return Err(Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "Pull Request is not mergeable",
            ));
        }
        let default = format!(
            "Merge pull request #{number} from {}/{}\n\n{}",
            self.owner, pull.head, pull.title
        );
        let sha = self
            .merge(&pull.base, &pull.head, message.unwrap_or(&default), method)?
            .unwrap_or_default();
        let pull = self.pull_mut(number)?;
        pull.closed = true;
        pull.merged = Some(sha.clone());
        Ok(sha)
    }

    /// Merges `head` into the branch `base`; nothing if it is already there.
    pub fn merge(
        &mut self,
        base: &str,
        head: &str,
        message: &str,
        method: &str,
    ) -> Outcome<Option<String>> {
        let name = format!("refs/heads/{base}");
        let base_sha = self.bare.resolve(&name).ok_or_else(Refusal::not_found)?;
        let head_sha = self.bare.resolve(head).ok_or_else(Refusal::not_found)?;
        if self.bare.is_ancestor(&head_sha, &base_sha) {
            return Ok(None);
        }
        let tree = self.bare.merge_tree(&base_sha, &head_sha);
        let tree = tree.ok_or_else(|| Refusal::conflict("Merge conflict"))?;
        let mut parents = vec![base_sha.clone()];
        if method == "merge" {
            parents.push(head_sha);
        }
        let commit = self.bare.write_commit(&tree, &parents, message, None)?;
        self.bare.update_ref(&name, &commit, Some(&base_sha))?;
        Ok(Some(commit))
    }
}

/// The present moment as GitHub writes it.
pub fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

fn known_owner(owner: &str) -> bool {
    owner.eq_ignore_ascii_case(ORGANISATION) || owner.eq_ignore_ascii_case(VIEWER)
}

fn valid_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && !name.ends_with(".git")
        && name.bytes().all(allowed)
}
