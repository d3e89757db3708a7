//! git over HTTPS (gitprotocol-http), and Git LFS beside it.
//!
//! | request | operation |
//! |---|---|
//! | `GET …/info/refs`, `POST …/git-upload-pack`, `…/git-upload-archive` | `repo.read`, attribute `service` |
//! | `POST …/git-receive-pack` | one `ref.push` a command: ref, `old`, `new`, `change`; also called `ref.create`, `ref.update` or `ref.delete`; paths unknown until the pack is read |
//! | the same with no command (git's 4-byte probe) | `repo.read` |
//! | `POST …/info/lfs/objects/batch` | `lfs.upload`, `lfs.download` |
//! | `…/info/lfs/locks…` | `lfs.lock`, `lfs.unlock`, `lfs.read` |
//! | other reads below a repository (`/o/r/raw/…`, `/o/r/archive/…`) | `repo.read` |
//! | other reads | `http.get` … |
//! | other writes | `git.unknown_write` |

mod commands;
mod lfs;
mod refname;

pub use commands::{Change, Command, CommandFault, GitCommands, Progress, PushCommands};
pub use refname::is_ref_name;

use super::{BodyNeed, Fault, Judged, Protocol, Request, body, http, is_read, repo_target};
use crate::denial::DenialStyle;
use crate::head::RequestHead;
use crate::operation::{Operation, Paths, Target};
use crate::path::RequestPath;
use crate::reason::Reason;

/// git over HTTPS, with Git LFS.
pub(super) struct Git;

impl Protocol for Git {
    fn name(&self) -> &'static str {
        "git"
    }

    fn body_need(&self, head: &RequestHead, path: &RequestPath) -> BodyNeed {
        body_need(head, path)
    }

    fn judge(&self, request: &Request<'_>) -> Result<Judged, Fault> {
        judge(request.head, request.path, request.body)
    }

    fn style(&self, head: &RequestHead, path: Option<&RequestPath>) -> DenialStyle {
        path.map_or(DenialStyle::GitInfoRefs, |path| style(head, path))
    }
}

/// What a path on a git host is.
enum Route<'a> {
    InfoRefs,
    UploadPack,
    UploadArchive,
    ReceivePack,
    /// The segments behind `info/lfs`.
    Lfs(&'a [String]),
    Other,
}

/// The repository's segments, and the route below it.
fn route<'a>(path: &'a RequestPath) -> (&'a [String], Route<'a>) {
    let segments = path.segments();
    let lfs = segments
        .windows(2)
        .position(|pair| matches!(pair, [a, b] if a == "info" && b == "lfs"));
    if let Some((repo, rest)) = lfs.and_then(|at| segments.split_at_checked(at))
        && let [_, _, rest @ ..] = rest
    {
        return (repo, Route::Lfs(rest));
    }
    match segments {
        [repo @ .., info, refs] if info == "info" && refs == "refs" => (repo, Route::InfoRefs),
        [repo @ .., last] => match last.as_str() {
            "git-upload-pack" => (repo, Route::UploadPack),
            "git-upload-archive" => (repo, Route::UploadArchive),
            "git-receive-pack" => (repo, Route::ReceivePack),
            _ => (segments, Route::Other),
        },
        [] => (segments, Route::Other),
    }
}

fn body_need(head: &RequestHead, path: &RequestPath) -> BodyNeed {
    if !head.method.eq_ignore_ascii_case("POST") {
        return BodyNeed::None;
    }
    match route(path).1 {
        Route::ReceivePack => BodyNeed::GitCommands,
        Route::Lfs(rest) if lfs::needs_body(rest) => BodyNeed::Whole,
        Route::Lfs(_)
        | Route::InfoRefs
        | Route::UploadPack
        | Route::UploadArchive
        | Route::Other => BodyNeed::None,
    }
}

fn style(head: &RequestHead, path: &RequestPath) -> DenialStyle {
    match route(path).1 {
        Route::InfoRefs | Route::UploadPack | Route::UploadArchive => DenialStyle::GitInfoRefs,
        // The capabilities are not read yet; GitHub offers side-band-64k, and git then wants it.
        Route::ReceivePack if head.method.eq_ignore_ascii_case("POST") => {
            DenialStyle::GitReceivePack {
                side_band: true,
                refs: Vec::new(),
            }
        }
        // LFS errors are `{"message"}` as well (git-lfs API, "Response Errors").
        Route::Lfs(_) => DenialStyle::GitHubRest,
        Route::ReceivePack | Route::Other => DenialStyle::Plain,
    }
}

fn judge(head: &RequestHead, path: &RequestPath, body: &[u8]) -> Result<Judged, Fault> {
    let (repo, route) = route(path);
    let repo = repository(repo);
    let style = style(head, path);
    let post = head.method.eq_ignore_ascii_case("POST");
    let operation = match route {
        Route::InfoRefs if is_read(&head.method) => {
            let service = path
                .parameter("service")
                .map_err(|_| Fault::new(Reason::PathAmbiguous, "parameter service comes twice"))?;
            let mut operation = read(repo);
            if let Some(service) = service {
                attribute(&mut operation, "service", service);
                if let Some(name) = service.strip_prefix("git-") {
                    operation.aliases.push(format!("git:{name}"));
                }
            }
            operation
        }
        Route::UploadPack | Route::UploadArchive if post => {
            let mut operation = read(repo);
            let service = match route {
                Route::UploadArchive => "upload-archive",
                _ => "upload-pack",
            };
            attribute(&mut operation, "service", &format!("git-{service}"));
            operation.aliases.push(format!("git:{service}"));
            operation
        }
        Route::ReceivePack if post => return receive_pack(head, &repo, body),
        Route::Lfs(rest) => match lfs::operation(head, rest, &repo, body)? {
            Some(operation) => operation,
            None => other(head, path),
        },
        Route::InfoRefs
        | Route::UploadPack
        | Route::UploadArchive
        | Route::ReceivePack
        | Route::Other => other(head, path),
    };
    Ok(Judged::new(vec![operation], style))
}

fn receive_pack(head: &RequestHead, repo: &Target, bytes: &[u8]) -> Result<Judged, Fault> {
    // git compresses fetches only. A server that decodes would read other commands than these.
    body::identity_coding(head)?;
    let push = match GitCommands::new().feed(bytes) {
        Progress::Done(push) => push,
        Progress::NeedMore => {
            return Err(Fault::unreadable("push commands end before their flush"));
        }
        Progress::Fault(CommandFault::TooLarge) => {
            return Err(Fault::new(
                Reason::BodyTooLarge,
                CommandFault::TooLarge.code(),
            ));
        }
        Progress::Fault(fault) => return Err(Fault::unreadable(fault.code())),
    };
    let operations = if push.commands.is_empty() {
        let mut probe = read(repo.clone());
        attribute(&mut probe, "service", "git-receive-pack");
        probe.aliases.push("git:receive-pack-probe".to_owned());
        vec![probe]
    } else {
        push.commands
            .iter()
            .map(|command| pushed(command, &push, repo))
            .collect()
    };
    let style = DenialStyle::GitReceivePack {
        side_band: push.has("side-band-64k"),
        refs: push
            .commands
            .into_iter()
            .map(|command| command.reference)
            .collect(),
    };
    Ok(Judged::new(operations, style))
}

fn pushed(command: &Command, push: &PushCommands, repo: &Target) -> Operation {
    let (change, alias, paths) = match command.change() {
        Change::Create => ("create", "ref.create", Paths::Unknown),
        Change::Update => ("update", "ref.update", Paths::Unknown),
        Change::Delete => ("delete", "ref.delete", Paths::None),
    };
    let mut operation = Operation {
        name: "ref.push".to_owned(),
        aliases: vec!["git:receive-pack".to_owned(), alias.to_owned()],
        repo: repo.clone(),
        reference: Target::Known(command.reference.clone()),
        paths,
        write: true,
        ..Operation::default()
    };
    attribute(&mut operation, "change", change);
    attribute(&mut operation, "old", &command.old);
    attribute(&mut operation, "new", &command.new);
    if push.has("atomic") {
        attribute(&mut operation, "atomic", "true");
    }
    if push.certificate {
        attribute(&mut operation, "certificate", "true");
    }
    if !push.push_options.is_empty() {
        attribute(
            &mut operation,
            "push_options",
            &push.push_options.join("\n"),
        );
    }
    operation
}

fn read(repo: Target) -> Operation {
    Operation {
        name: "repo.read".to_owned(),
        repo,
        ..Operation::default()
    }
}

/// Web pages and whatever else a git host serves. Raw files and archives live below a repository, so
/// every read below two segments counts as one of that repository.
fn other(head: &RequestHead, path: &RequestPath) -> Operation {
    let mut operation = http::operation(head, path);
    if operation.write {
        operation.aliases.push(operation.name);
        operation.name = "git.unknown_write".to_owned();
        operation.repo = Target::Any;
        return operation;
    }
    if let [owner, name, ..] = path.segments()
        && !SITE.contains(&owner.as_str())
    {
        operation.aliases.push(operation.name);
        operation.name = "repo.read".to_owned();
        operation.repo = repo_target(owner, name);
    }
    operation
}

/// First segments of github.com that are no account.
const SITE: [&str; 8] = [
    "login", "settings", "orgs", "users", "apps", "search", "features", "about",
];

/// `owner/name`. One segment alone (a gist) names none, and neither do three: a server with nested
/// groups has such repositories, GitHub has files there (`/o/r/raw/main/info/refs`).
fn repository(segments: &[String]) -> Target {
    match segments {
        [owner, name] => repo_target(owner, name),
        _ => Target::Any,
    }
}

fn attribute(operation: &mut Operation, name: &str, value: &str) {
    operation
        .attributes
        .insert(name.to_owned(), value.to_owned());
}
