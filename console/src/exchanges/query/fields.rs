//! The fields of the query language. One table: the parser, the index and the help read it.

/// What a value of an exchange is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // The table below says what each is.
pub enum Field {
    User,
    Group,
    Operation,
    Repo,
    Owner,
    Ref,
    Path,
    Tool,
    Model,
    Connection,
    Method,
    Host,
    Url,
    Decision,
    Reason,
    Rule,
    Approval,
    Approver,
    Session,
    Exchange,
    Worker,
    Mask,
    Policy,
    Provider,
    Client,
    Resource,
}

/// How a field is written and explained.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// The field.
    pub field: Field,
    /// Its number in the index. Never changes.
    pub code: i64,
    /// How it is written.
    pub name: &'static str,
    /// Other ways to write it.
    pub also: &'static [&'static str],
    /// What it finds.
    pub about: &'static str,
    /// An example of a value.
    pub example: &'static str,
}

macro_rules! fields {
    ($($field:ident $code:literal $name:literal $also:tt $about:literal $example:literal;)*) => {
        /// Every field, in the order in which the help lists them.
        pub const FIELDS: &[Named] = &[$(Named {
            field: Field::$field, code: $code, name: $name, also: &$also, about: $about, example: $example,
        }),*];
    };
}

fields! {
    User 1 "user" ["subject", "email"] "subject or e-mail address of who called" "ci-runner";
    Group 2 "group" [] "a group of the caller" "agents";
    Operation 3 "op" ["operation"] "operation or one of its aliases" "ref.push";
    Repo 4 "repo" ["repository"] "repository; \"*\" in quotes where it could have been any" "acme/*";
    Owner 5 "owner" ["org"] "organisation or account" "acme";
    Ref 6 "ref" ["branch"] "branch or tag, with or without refs/heads/" "main";
    Path 7 "path" ["file"] "path of a file that was touched" ".github/workflows/*";
    Tool 8 "tool" [] "tool that was called over MCP" "create_issue";
    Model 9 "model" [] "model that was asked for" "gpt-*";
    Connection 10 "connection" ["conn"] "connection of the policy" "copilot";
    Method 11 "method" [] "HTTP method" "DELETE";
    Host 12 "host" ["server"] "host that was called" "api.github.com";
    Url 13 "url" [] "address, with host and query" "*/pulls/7*";
    Decision 14 "decision" [] "what was decided; held, denied, undecided and refused stand for their kinds" "held";
    Reason 15 "reason" [] "named reason of a refusal" "rule_denied";
    Rule 16 "rule" [] "rule of the policy that decided" "production-branch";
    Approval 17 "approval" ["ticket"] "approval that was asked for" "*";
    Approver 18 "approver" [] "who countersigned" "alice";
    Session 19 "session" [] "session of the client" "s-1";
    Exchange 20 "exchange" ["id"] "the exchange itself" "0198f2";
    Worker 21 "worker" [] "gateway worker that wrote the record" "gw-1*";
    Mask 22 "mask" ["secret"] "kind of secret that was masked" "github-token";
    Policy 23 "policy" [] "digest of the policy in force" "3f2a*";
    Provider 24 "provider" [] "identity provider" "corporate";
    Client 25 "client" ["source", "ip"] "address of the client" "10.0.*";
    Resource 26 "resource" [] "resource an operation names" "secrets";
}

impl Field {
    /// Its row of the table.
    pub fn named(self) -> &'static Named {
        // Every variant has a row; a test walks them.
        FIELDS
            .iter()
            .find(|named| named.field == self)
            .unwrap_or(&FIELDS[0])
    }

    /// How it is written.
    pub fn name(self) -> &'static str {
        self.named().name
    }

    /// Its number in the index.
    pub fn code(self) -> i64 {
        self.named().code
    }

    /// The field that is written so, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let is = |other: &&str| other.eq_ignore_ascii_case(name);
        FIELDS
            .iter()
            .find(|named| is(&named.name) || named.also.iter().any(is))
            .map(|named| named.field)
    }

    /// The field with this number.
    pub fn from_code(code: i64) -> Option<Self> {
        FIELDS
            .iter()
            .find(|named| named.code == code)
            .map(|named| named.field)
    }
}

/// What an exchange can have or lack (`has:mask`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Trait {
    Prompt,
    Answer,
    Body,
    Mask,
    Approval,
    Session,
    Request,
    Outcome,
    Gap,
}

/// Every trait with its word and what it means.
pub const TRAITS: &[(Trait, &str, &str)] = &[
    (Trait::Prompt, "prompt", "a captured prompt to a model"),
    (Trait::Answer, "answer", "a captured response body"),
    (Trait::Body, "body", "any captured body"),
    (Trait::Mask, "mask", "a masked secret"),
    (
        Trait::Approval,
        "approval",
        "an approval that was asked for",
    ),
    (Trait::Session, "session", "a session that the client named"),
    (
        Trait::Request,
        "request",
        "a record from before it was forwarded",
    ),
    (Trait::Outcome, "outcome", "a record of how it ended"),
    (
        Trait::Gap,
        "gap",
        "something that was not captured, with why",
    ),
];

impl Trait {
    /// How it is written.
    pub fn word(self) -> &'static str {
        TRAITS
            .iter()
            .find(|(one, _, _)| *one == self)
            .map_or("", |(_, word, _)| word)
    }

    /// The trait that is written so.
    pub fn from_word(word: &str) -> Option<Self> {
        TRAITS
            .iter()
            .find(|(_, name, _)| name.eq_ignore_ascii_case(word))
            .map(|(one, _, _)| *one)
    }
}
