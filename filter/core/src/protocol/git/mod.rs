//! git over HTTPS (gitprotocol-http), Git LFS beside it, and the web site of the same host.
//!
//! | request | operation |
//! |---|---|
//! | `GET …/info/refs`, `POST …/git-upload-pack`, `GET …/objects/…` (dumb HTTP) | `repo.read`, attribute `service` |
//! | `POST …/git-upload-archive` | `archive.read` |
//! | `POST …/git-receive-pack` | one `ref.push` a command: ref, `old`, `new`, `change`; also called `ref.create`, `ref.update` or `ref.delete`; paths unknown until the pack is read |
//! | the same with no command (git's 4-byte probe) | `repo.read` |
//! | `…/info/lfs/…` | `lfs.upload`, `lfs.download`, `lfs.lock`, `lfs.unlock`, `lfs.read` (`lfs`) |
//! | other reads below a repository | `repo.read` or `archive.read` (`web`) |
//! | `POST /login/device/code`, `/login/oauth/access_token` | `auth.device_flow` |
//! | other reads | `http.get` … |
//! | other writes | `git.unknown_write` |
//!
//! A wiki (`owner/name.wiki.git`) is its repository's, with the attribute `wiki`. A gist belongs to
//! no repository, which a rule about repositories must not be able to miss: it counts as any, with
//! the attribute `gist`.

mod commands;
mod lfs;
mod refname;
mod web;

pub use commands::{Change, Command, CommandFault, GitCommands, Progress, PushCommands};
pub use refname::is_ref_name;

use super::{BodyNeed, Fault, Judged, Protocol, Request, body, is_read, repo_target};
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
    let place = Place::of(&head.host(), repo);
    let style = style(head, path);
    let post = head.method.eq_ignore_ascii_case("POST");
    let operation = match route {
        Route::InfoRefs if is_read(&head.method) => {
            let service = path
                .parameter("service")
                .map_err(|_| Fault::new(Reason::PathAmbiguous, "parameter service comes twice"))?;
            let mut operation = read(&place);
            if let Some(service) = service {
                attribute(&mut operation, "service", service);
                if let Some(name) = service.strip_prefix("git-") {
                    operation.aliases.push(format!("git:{name}"));
                }
            }
            operation
        }
        Route::UploadPack if post => {
            let mut operation = read(&place);
            attribute(&mut operation, "service", "git-upload-pack");
            operation.aliases.push("git:upload-pack".to_owned());
            operation
        }
        Route::UploadArchive if post => {
            let mut operation = read(&place);
            attribute(&mut operation, "service", "git-upload-archive");
            operation.name = "archive.read".to_owned();
            operation.aliases.push("repo.read".to_owned());
            operation.aliases.push("git:upload-archive".to_owned());
            operation
        }
        Route::ReceivePack if post => return receive_pack(head, &place, body),
        Route::Lfs(rest) => match lfs::operation(head, rest, &place, body)? {
            Some(operation) => operation,
            None => web::operation(head, path),
        },
        Route::InfoRefs
        | Route::UploadPack
        | Route::UploadArchive
        | Route::ReceivePack
        | Route::Other => web::operation(head, path),
    };
    Ok(Judged::new(vec![operation], style))
}

fn receive_pack(head: &RequestHead, place: &Place, bytes: &[u8]) -> Result<Judged, Fault> {
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
        if bytes.len() > push.consumed {
            return Err(Fault::unreadable("a push without commands goes on"));
        }
        let mut probe = read(place);
        attribute(&mut probe, "service", "git-receive-pack");
        probe.aliases.push("git:receive-pack-probe".to_owned());
        vec![probe]
    } else {
        push.commands
            .iter()
            .map(|command| pushed(command, &push, place))
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

fn pushed(command: &Command, push: &PushCommands, place: &Place) -> Operation {
    let (change, alias, paths) = match command.change() {
        Change::Create => ("create", "ref.create", Paths::Unknown),
        Change::Update => ("update", "ref.update", Paths::Unknown),
        Change::Delete => ("delete", "ref.delete", Paths::None),
    };
    let mut operation = Operation {
        name: "ref.push".to_owned(),
        aliases: vec!["git:receive-pack".to_owned(), alias.to_owned()],
        reference: Target::Known(command.reference.clone()),
        paths,
        write: true,
        ..place.operation()
    };
    if place.gist.is_some() {
        operation.aliases.push("gist.update".to_owned());
    }
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

fn read(place: &Place) -> Operation {
    Operation {
        name: "repo.read".to_owned(),
        ..place.operation()
    }
}

/// The repository of a path.
struct Place {
    repo: Target,
    account: Target,
    /// The repository's wiki.
    wiki: bool,
    /// A gist, by its id.
    gist: Option<String>,
}

impl Place {
    /// `owner/name`. One segment alone names none, and neither do three: a server with nested groups
    /// has such repositories, GitHub has files there (`/o/r/raw/main/info/refs`).
    fn of(host: &str, segments: &[String]) -> Place {
        let mut place = Place {
            repo: Target::Any,
            account: Target::None,
            wiki: false,
            gist: None,
        };
        // A server with one host for everything has them under `/gist`.
        let gist = match segments {
            [first, rest @ ..] if first.eq_ignore_ascii_case("gist") => Some(rest),
            all if host.starts_with("gist.") => Some(all),
            _ => None,
        };
        match (gist, segments) {
            (Some([id]), _) => place.gist = Some(plain(id)),
            (Some([owner, id, ..]), _) => {
                place.account = Target::Known(owner.to_ascii_lowercase());
                place.gist = Some(plain(id));
            }
            (Some([]), _) => place.gist = Some(String::new()),
            (None, [owner, name]) => {
                let name = plain(name);
                let repository = name.strip_suffix(".wiki");
                place.wiki = repository.is_some();
                place.repo = repo_target(owner, repository.unwrap_or(&name));
            }
            (None, _) => {}
        }
        place
    }

    /// An operation here, not yet named.
    fn operation(&self) -> Operation {
        let mut operation = Operation {
            repo: self.repo.clone(),
            account: self.account.clone(),
            ..Operation::default()
        };
        if self.wiki {
            attribute(&mut operation, "wiki", "true");
        }
        if let Some(gist) = &self.gist {
            attribute(&mut operation, "gist", gist);
        }
        operation
    }
}

/// A name in lower case without `.git`.
fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.strip_suffix(".git").unwrap_or(&name).to_owned()
}

fn attribute(operation: &mut Operation, name: &str, value: &str) {
    operation
        .attributes
        .insert(name.to_owned(), value.to_owned());
}

#[cfg(test)]
#[path = "git_tests.rs"]
mod tests;
