//! The table of mutations: `filter/core/github/mutations.txt`, read once.

use std::sync::OnceLock;

use crate::protocol::Facets;

/// Where the attributes of a mutation are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// In the members of the input that the table names.
    Plain,
    /// The same, and it touches a ref that nothing names.
    Ref,
    /// The same, and it touches the ref whose id is in `refId`.
    RefId,
    /// `name` is a full ref name.
    NewRef,
    /// `name` is a branch.
    NewBranch,
    /// `refUpdates`.
    Refs,
    /// `base` is the branch that moves.
    MergeBranch,
    /// `branch` and `fileChanges`.
    Commit,
    /// A review, with its `event`.
    Review,
    /// A new repository in an account.
    Create,
    /// The same, from a template.
    Template,
    /// The same, from another system.
    Import,
    /// The settings of a repository, some of which are effects of their own.
    Settings,
    /// The repository is archived, or no longer.
    Archive(bool),
}

impl Reads {
    /// What an operation that is read so can tell.
    pub(super) fn facets(self) -> Facets {
        let (reference, paths) = match self {
            Reads::Commit => (true, true),
            Reads::Ref
            | Reads::RefId
            | Reads::NewRef
            | Reads::NewBranch
            | Reads::Refs
            | Reads::MergeBranch
            | Reads::Review => (true, false),
            Reads::Plain
            | Reads::Create
            | Reads::Template
            | Reads::Import
            | Reads::Settings
            | Reads::Archive(_) => (false, false),
        };
        Facets {
            repo: true,
            reference,
            paths,
        }
    }
}

/// A member of the input that tells where it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The id of a repository or of something in one.
    Repo(&'static str),
    /// The id of an account or of something of one.
    Owner(&'static str),
    /// The same, with an effect on repositories.
    Reach(&'static str),
    /// The login of an account.
    Login(&'static str),
    /// The address of something in a repository.
    Url(&'static str),
    /// A branch, as `createCommitOnBranch` names it.
    Branch,
    /// Accounts that nothing tells.
    Anyone,
}

/// A mutation.
#[derive(Debug)]
pub(super) struct Row {
    pub field: &'static str,
    pub name: &'static str,
    pub aliases: Vec<&'static str>,
    pub reads: Reads,
    pub places: Vec<Place>,
    /// Members, and the attributes they become.
    pub shown: Vec<(&'static str, String)>,
}

static TABLE: &str = include_str!("../../../../github/mutations.txt");

/// The row of a mutation.
pub(super) fn find(field: &str) -> Option<&'static Row> {
    let rows = rows();
    let at = rows.binary_search_by(|row| row.field.cmp(field)).ok()?;
    rows.get(at)
}

/// All rows, by field.
pub(super) fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        // A line that does not read is left out, and its mutation an unknown write; a test reads all.
        let mut rows: Vec<Row> = lines().filter_map(row).collect();
        rows.sort_by_key(|row| row.field);
        rows
    })
}

/// The lines of the table that hold a mutation.
pub(super) fn lines() -> impl Iterator<Item = &'static str> {
    let lines = TABLE.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// One line of the table.
pub(super) fn row(line: &'static str) -> Option<Row> {
    let mut columns = line.split_ascii_whitespace();
    let field = columns.next()?;
    let mut names = columns.next()?.split(',');
    let name = names.next().filter(|name| name.contains('.'))?;
    let reads = reads(columns.next()?)?;
    let places = match columns.next()? {
        "none" => Vec::new(),
        places => places.split(',').map(place).collect::<Option<_>>()?,
    };
    let shown = match columns.next()? {
        "-" => Vec::new(),
        shown => shown.split(',').map(attribute).collect(),
    };
    columns.next().is_none().then_some(Row {
        field,
        name,
        aliases: names.collect(),
        reads,
        places,
        shown,
    })
}

fn reads(word: &str) -> Option<Reads> {
    Some(match word {
        "plain" => Reads::Plain,
        "ref" => Reads::Ref,
        "ref_id" => Reads::RefId,
        "new_ref" => Reads::NewRef,
        "new_branch" => Reads::NewBranch,
        "refs" => Reads::Refs,
        "merge_branch" => Reads::MergeBranch,
        "commit" => Reads::Commit,
        "review" => Reads::Review,
        "create" => Reads::Create,
        "template" => Reads::Template,
        "import" => Reads::Import,
        "settings" => Reads::Settings,
        "archive" => Reads::Archive(true),
        "unarchive" => Reads::Archive(false),
        _ => return None,
    })
}

fn place(word: &'static str) -> Option<Place> {
    Some(match word.split_once(':') {
        None if word == "branch" => Place::Branch,
        None if word == "anyone" => Place::Anyone,
        None => return None,
        Some(("repo", member)) => Place::Repo(member),
        Some(("owner", member)) => Place::Owner(member),
        Some(("reach", member)) => Place::Reach(member),
        Some(("login", member)) => Place::Login(member),
        Some(("url", member)) => Place::Url(member),
        Some(_) => return None,
    })
}

fn attribute(word: &'static str) -> (&'static str, String) {
    match word.split_once('=') {
        Some((member, name)) => (member, name.to_owned()),
        None => (word, snake(word)),
    }
}

/// `mergeMethod` as `merge_method`.
fn snake(member: &str) -> String {
    let mut out = String::with_capacity(member.len() + 4);
    for letter in member.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}
