//! What a rule applies to, and whom and what it leaves out.
//!
//! A condition is compared in three ways, never two: what a request does not tell (an opaque
//! repository, the files of a push, a body that is no JSON) is [`Unknown`], and the rule has an
//! answer of its own for it.

use super::fields::Field;
use super::glob::{Glob, Globs};
use super::request::{Facts, Request};
use super::window::Window;
use crate::identity::Identity;
use crate::operation::{Operation, Paths, Target};
use serde_json::Value;

/// What a rule applies to. All that is named has to hold; an empty list asks for nothing.
#[derive(Debug, Default)]
pub struct Condition {
    /// Operation names or aliases.
    pub operations: Globs,
    /// Connection names.
    pub connections: Vec<String>,
    /// Methods, upper case.
    pub methods: Globs,
    /// Hosts, lower case, without port.
    pub hosts: Globs,
    /// Groups, any of which the caller must have; an excluded one it must not have.
    pub groups: Globs,
    /// Subjects, one of which the caller must be.
    pub subjects: Globs,
    /// Claims that the token must have.
    pub claims: Vec<ClaimMatch>,
    /// When.
    pub time: Option<Window>,
    /// `owner/name`, lower case.
    pub repos: Globs,
    /// Organisations and users, lower case.
    pub owners: Globs,
    /// Full ref names.
    pub refs: Globs,
    /// Attributes that the operation must have.
    pub attributes: Vec<(String, Globs)>,
    /// Files in the repository.
    pub paths: Globs,
    /// Fields of the JSON body.
    pub json: Vec<Field>,
}

/// Whom and what a rule leaves out: any of the callers, if some are named, in all of the places, if
/// some are named.
#[derive(Debug, Default)]
pub struct Except {
    /// Groups, any of which leaves the caller out.
    pub groups: Globs,
    /// Subjects.
    pub subjects: Globs,
    /// Claims, all of which together leave the caller out.
    pub claims: Vec<ClaimMatch>,
    /// `owner/name`, lower case.
    pub repos: Globs,
    /// Organisations and users, lower case.
    pub owners: Globs,
    /// Full ref names.
    pub refs: Globs,
    /// Files, all of which have to be left out.
    pub paths: Globs,
}

/// A claim of the token and what it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMatch {
    /// Name or dotted path.
    pub path: String,
    /// Of a list in the token, one element has to match and none may be excluded.
    pub globs: Globs,
}

/// How one thing compares with what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// It is not that.
    No,
    /// It is.
    Yes,
    /// The request does not tell.
    Unknown,
}

/// How a rule compares with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// It does not apply; the key of the policy file that does not hold.
    No(&'static str),
    /// It applies.
    Yes,
    /// It would, if what the request does not tell were what the rule names.
    Unknown(Unknown),
}

/// What a request does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Repository, owner or ref.
    pub target: bool,
    /// Files.
    pub paths: bool,
    /// Fields of the body.
    pub body: bool,
}

impl Unknown {
    /// Stable name for records and denials.
    pub fn code(self) -> &'static str {
        match self {
            Unknown { body: true, .. } => "body_unknown",
            Unknown { paths: true, .. } => "paths_unknown",
            Unknown { target: true, .. } => "target_unknown",
            Unknown { .. } => "",
        }
    }

    /// Whether nothing is.
    pub fn is_none(self) -> bool {
        self == Unknown::default()
    }

    fn or(self, other: Unknown) -> Unknown {
        Unknown {
            target: self.target || other.target,
            paths: self.paths || other.paths,
            body: self.body || other.body,
        }
    }
}

impl From<bool> for Compared {
    fn from(holds: bool) -> Self {
        if holds { Compared::Yes } else { Compared::No }
    }
}

impl Compared {
    /// Yes if any is, else unknown if any is.
    pub(super) fn any(all: impl Iterator<Item = Compared>) -> Compared {
        let mut result = Compared::No;
        for one in all {
            match one {
                Compared::Yes => return Compared::Yes,
                Compared::Unknown => result = Compared::Unknown,
                Compared::No => {}
            }
        }
        result
    }

    /// No if any is, else unknown if any is.
    pub(super) fn all(all: impl Iterator<Item = Compared>) -> Compared {
        let mut result = Compared::Yes;
        for one in all {
            match one {
                Compared::No => return Compared::No,
                Compared::Unknown => result = Compared::Unknown,
                Compared::Yes => {}
            }
        }
        result
    }
}

impl Condition {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        let Condition {
            operations,
            connections,
            methods,
            hosts,
            groups,
            subjects,
            claims,
            time,
            repos,
            owners,
            refs,
            attributes,
            paths,
            json,
        } = self;
        [
            operations, methods, hosts, groups, subjects, repos, owners, refs, paths,
        ]
        .iter()
        .all(|globs| globs.is_empty())
            && connections.is_empty()
            && claims.is_empty()
            && time.is_none()
            && attributes.is_empty()
            && json.is_empty()
    }

    /// The key by which a whole connection, host or method is out of its reach, if one is.
    pub(super) fn out_of_reach(
        &self,
        connection: &str,
        host: &str,
        method: &str,
    ) -> Option<&'static str> {
        if !self.connections.is_empty() && !self.connections.iter().any(|c| c == connection) {
            Some("connections")
        } else if !self.methods.matches(method) {
            Some("methods")
        } else if !self.hosts.matches(host) {
            Some("hosts")
        } else {
            None
        }
    }

    /// Compares it with an operation: the cheap keys first. A rule that `restrains` needs one file
    /// or list element of several, one that allows needs all.
    pub(super) fn compare(&self, request: &Request, facts: &Facts, restrains: bool) -> Matched {
        if !self.names(facts.operation) {
            return Matched::No("operations");
        }
        match self.outside(request, restrains) {
            Some(key) => Matched::No(key),
            None => self.compare_operation(request, facts, restrains),
        }
    }

    /// Whether it names an operation, or none at all.
    pub(super) fn names(&self, operation: &Operation) -> bool {
        self.operations.is_empty()
            || self.operations.matches_any(|glob| {
                glob.matches(&operation.name)
                    || operation.aliases.iter().any(|alias| glob.matches(alias))
            })
    }

    /// The key by which a request is outside its reach, whatever its operations, if one is.
    pub(super) fn outside(&self, request: &Request, restrains: bool) -> Option<&'static str> {
        let connection = request.connection().name.as_str();
        if let Some(key) = self.out_of_reach(connection, request.host(), request.method()) {
            return Some(key);
        }
        let who = request.who();
        if !self
            .groups
            .matches_any(|g| who.groups.iter().any(|group| g.matches(group)))
        {
            Some("groups")
        } else if !self.subjects.matches(&who.subject) {
            Some("subjects")
        } else if !self.claims.iter().all(|claim| claim.holds(who, restrains)) {
            Some("claims")
        } else if self
            .time
            .is_some_and(|window| !window.contains(request.now_s()))
        {
            Some("time")
        } else {
            None
        }
    }

    /// Compares it with an operation that it names, of a request that is within its reach.
    pub(super) fn compare_operation(
        &self,
        request: &Request,
        facts: &Facts,
        restrains: bool,
    ) -> Matched {
        let operation = facts.operation;
        for (key, globs) in &self.attributes {
            if !operation
                .attributes
                .get(key)
                .is_some_and(|value| globs.matches(value))
            {
                return Matched::No("attributes");
            }
        }
        let mut unknown = Unknown::default();
        match places(&self.repos, &self.owners, &self.refs, facts) {
            Ok(opaque) => unknown.target = opaque,
            Err(key) => return Matched::No(key),
        }
        match files(&self.paths, &operation.paths, !restrains) {
            Compared::No => return Matched::No("paths"),
            Compared::Unknown => unknown.paths = true,
            Compared::Yes => {}
        }
        match self.fields(request, restrains) {
            Compared::No => return Matched::No("json"),
            Compared::Unknown => unknown.body = true,
            Compared::Yes => {}
        }
        match unknown.is_none() {
            true => Matched::Yes,
            false => Matched::Unknown(unknown),
        }
    }

    fn fields(&self, request: &Request, restrains: bool) -> Compared {
        if self.json.is_empty() {
            return Compared::Yes;
        }
        match request.json() {
            Some(body) => Compared::all(self.json.iter().map(|f| f.compare(body, restrains))),
            None => Compared::Unknown,
        }
    }
}

impl Except {
    /// Whether the request of this operation is left out. What frees a caller from a rule that
    /// `restrains` has to be certain, file by file.
    pub(super) fn compare(&self, request: &Request, facts: &Facts, restrains: bool) -> Matched {
        let who = request.who();
        let named = |globs: &Globs, holds: bool| !globs.is_empty() && holds;
        let in_group = self
            .groups
            .matches_any(|g| who.groups.iter().any(|group| g.matches(group)));
        let claims = &self.claims;
        let caller = named(&self.groups, in_group)
            || named(&self.subjects, self.subjects.matches(&who.subject))
            || (!claims.is_empty() && claims.iter().all(|claim| claim.holds(who, !restrains)));
        if self.names_callers() && !caller {
            return Matched::No("except");
        }
        let mut unknown = Unknown::default();
        match places(&self.repos, &self.owners, &self.refs, facts) {
            Ok(opaque) => unknown.target = opaque,
            Err(_) => return Matched::No("except"),
        }
        match files(&self.paths, &facts.operation.paths, restrains) {
            Compared::No => return Matched::No("except"),
            Compared::Unknown => unknown.paths = true,
            Compared::Yes => {}
        }
        match unknown.is_none() {
            true => Matched::Yes,
            false => Matched::Unknown(unknown),
        }
    }

    /// Whether it names callers.
    pub fn names_callers(&self) -> bool {
        !(self.groups.is_empty() && self.subjects.is_empty() && self.claims.is_empty())
    }

    /// Whether it names repositories, owners, refs or files.
    pub fn names_places(&self) -> bool {
        [&self.repos, &self.owners, &self.refs, &self.paths]
            .iter()
            .any(|globs| !globs.is_empty())
    }
}

impl ClaimMatch {
    /// Whether the token has such a claim. One that it does not have is not what a list of nothing
    /// but `!x` excludes: a rule that restrains then applies, one that allows needs the claim.
    fn holds(&self, who: &Identity, restrains: bool) -> bool {
        let values = match who.claim(&self.path) {
            Some(Value::Array(items)) => items.as_slice(),
            Some(other) => std::slice::from_ref(other),
            None => &[],
        };
        let scalars = || {
            let plain = |v: &&Value| !matches!(v, Value::Null | Value::Array(_) | Value::Object(_));
            values.iter().filter(plain)
        };
        if scalars().next().is_none() {
            return self.globs.is_negative() && restrains;
        }
        self.globs.matches_any(|glob| {
            scalars().any(|value| match value {
                Value::String(text) => glob.matches(text),
                other => glob.matches(&other.to_string()),
            })
        })
    }
}

impl Matched {
    /// The comparison of a condition, less what its exceptions leave out.
    pub(super) fn less(self, except: Matched) -> Matched {
        match (self, except) {
            (Matched::No(key), _) => Matched::No(key),
            (_, Matched::Yes) => Matched::No("except"),
            (kept, Matched::No(_)) => kept,
            (Matched::Yes, Matched::Unknown(unknown)) => Matched::Unknown(unknown),
            (Matched::Unknown(one), Matched::Unknown(other)) => Matched::Unknown(one.or(other)),
        }
    }
}

/// Whether something of where it happens is opaque, or the key that does not hold.
fn places(
    repos: &Globs,
    owners: &Globs,
    refs: &Globs,
    facts: &Facts,
) -> Result<bool, &'static str> {
    let mut opaque = false;
    let mut place = |key: &'static str, globs: &Globs, target: &Target| match target {
        Target::Known(value) if globs.matches(value) => Ok(()),
        Target::Any => {
            opaque = true;
            Ok(())
        }
        Target::Known(_) | Target::None => Err(key),
    };
    if !repos.is_empty() {
        place("repos", repos, &facts.operation.repo)?;
    }
    if !owners.is_empty() {
        place("owners", owners, facts.owner())?;
    }
    if !refs.is_empty() {
        place("refs", refs, &facts.operation.reference)?;
    }
    Ok(opaque)
}

/// Compares files: one of them is enough, or `every` one has to match.
fn files(globs: &Globs, paths: &Paths, every: bool) -> Compared {
    if globs.is_empty() {
        return Compared::Yes;
    }
    let hit = |path: &String| globs.matches(path);
    // A file in a folder's place, or a folder removed by its name, takes with it what lies below.
    let above = |path: &String| {
        let below = |glob: &Glob| {
            let rest = glob.as_str().strip_prefix(path.as_str());
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        globs.included().iter().any(below)
    };
    match paths {
        Paths::None => Compared::No,
        Paths::Unknown => Compared::Unknown,
        Paths::Known(paths) if every => Compared::from(!paths.is_empty() && paths.iter().all(hit)),
        Paths::Known(paths) => Compared::from(paths.iter().any(|path| hit(path) || above(path))),
    }
}
