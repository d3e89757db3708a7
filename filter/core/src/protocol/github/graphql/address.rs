//! Web addresses in a request.

use crate::operation::Target;
use crate::protocol::repo_target;

/// First segments of GitHub's web addresses that are no account.
const NO_ACCOUNTS: [&str; 12] = [
    "orgs",
    "users",
    "enterprises",
    "apps",
    "sponsors",
    "settings",
    "marketplace",
    "topics",
    "collections",
    "advisories",
    "search",
    "gist",
];

/// The repository that a web address lies in. One that a server might tidy up first, or that is on a
/// host of gists or of uploads, proves nothing.
pub(super) fn repo(url: &str) -> Target {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:#".contains(&b);
    if !url.bytes().all(plain) {
        return Target::Any;
    }
    let rest = url.strip_prefix("https://").unwrap_or_default();
    let mut segments = rest.split(['/', '#']);
    let host = segments.next().unwrap_or_default();
    let (owner, name) = (segments.next(), segments.next());
    let dotted = |segment: &str| matches!(segment, "" | "." | "..");
    if host.is_empty()
        || host.contains(':')
        || host.starts_with("gist.")
        || rest.split(['/', '#']).any(dotted)
    {
        return Target::Any;
    }
    match (owner, name) {
        (Some(owner), Some(name))
            if !NO_ACCOUNTS.contains(&owner.to_ascii_lowercase().as_str()) =>
        {
            repo_target(owner, name)
        }
        _ => Target::Any,
    }
}
