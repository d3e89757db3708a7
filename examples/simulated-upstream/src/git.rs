//! git over smart HTTP: `git http-backend` as a CGI program, bodies streamed both ways.
//!
//! A gzip request body and one without a length are passed as they are: the program understands both
//! (git-http-backend(1), `HTTP_CONTENT_ENCODING` and an unset `CONTENT_LENGTH`).

use std::process::Stdio;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::io::ReaderStream;

use crate::bare;
use crate::large_files;
use crate::upstream::Shared;

/// Answers as github.com does for `/{owner}/{name}.git/…`; everything else is a page that is not there.
pub async fn serve(upstream: Shared, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let [owner, name, rest @ ..] = segments.as_slice() else {
        return page_not_found();
    };
    let found = upstream
        .organisation()
        .repository(owner, name)
        .map(|found| found.bare.dir().to_owned());
    let Ok(dir) = found else {
        return (StatusCode::NOT_FOUND, "Repository not found.\n").into_response();
    };
    if let ["info", "lfs", tail @ ..] = rest {
        let tail: Vec<String> = tail.iter().map(|part| (*part).to_owned()).collect();
        return large_files::serve(upstream, request, &tail).await;
    }
    let verb = rest.join("/");
    if !matches!(
        verb.as_str(),
        "info/refs" | "git-upload-pack" | "git-receive-pack" | "HEAD"
    ) {
        return page_not_found();
    }
    match backend(&dir.to_string_lossy(), &verb, request).await {
        Ok(response) => response,
        Err(error) => {
            eprintln!("git http-backend: {error}");
            (
                StatusCode::BAD_GATEWAY,
                "git http-backend could not be run\n",
            )
                .into_response()
        }
    }
}

fn page_not_found() -> Response {
    (
        StatusCode::NOT_FOUND,
        [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
        "<h1>Page not found</h1>\n",
    )
        .into_response()
}

async fn backend(dir: &str, verb: &str, request: Request) -> std::io::Result<Response> {
    let (parts, body) = request.into_parts();
    let mut command = Command::new("git");
    command.arg("http-backend").envs(bare::environment());
    command.env("PATH_TRANSLATED", format!("{dir}/{verb}"));
    command
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GATEWAY_INTERFACE", "CGI/1.1");
    command.env("REQUEST_METHOD", parts.method.as_str());
    command.env("QUERY_STRING", parts.uri.query().unwrap_or_default());
    // Whoever comes this far has shown the credential.
    command
        .env("REMOTE_USER", crate::organisation::VIEWER)
        .env("REMOTE_ADDR", "127.0.0.1");
    command
        .env_remove("CONTENT_LENGTH")
        .env_remove("GIT_DIR")
        .env_remove("GIT_PROJECT_ROOT");
    for (name, variable) in [
        (header::CONTENT_TYPE, "CONTENT_TYPE"),
        (header::CONTENT_LENGTH, "CONTENT_LENGTH"),
        (header::CONTENT_ENCODING, "HTTP_CONTENT_ENCODING"),
        (HeaderName::from_static("git-protocol"), "GIT_PROTOCOL"),
    ] {
        if let Some(value) = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
        {
            command.env(variable, value);
        }
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(std::io::Error::other("no pipes"));
    };
    let feeding = tokio::spawn(feed(body, stdin));
    answer(child, BufReader::with_capacity(64 * 1024, stdout), feeding).await
}

/// Copies the request body to the program. Its early end (it has refused) is not an error here.
/// Nor is the client's: a pack that was cut short fails by its own checksum.
async fn feed(mut body: Body, mut stdin: ChildStdin) {
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data()
            && stdin.write_all(&data).await.is_err()
        {
            break;
        }
    }
    let _ = stdin.shutdown().await;
}

/// Reads the CGI head, then streams the rest. The child lives as long as its answer is wanted.
async fn answer(
    child: Child,
    mut stdout: BufReader<ChildStdout>,
    feeding: tokio::task::JoinHandle<()>,
) -> std::io::Result<Response> {
    let mut response = Response::new(Body::empty());
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).await? == 0 {
            return Err(std::io::Error::other("it ended before its headers did"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse().ok());
            *response.status_mut() = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        } else if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name), HeaderValue::try_from(value))
        {
            response.headers_mut().append(name, value);
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static("GitHub-Babel/3.0"));
    let id = crate::answer::request_id();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert("x-github-request-id", id);
    }
    let guard = Running {
        _child: child,
        feeding,
    };
    let bytes = ReaderStream::with_capacity(stdout, 64 * 1024);
    let body = stream::unfold((bytes, guard), |(mut bytes, guard)| async move {
        let next = bytes.next().await?;
        Some((next, (bytes, guard)))
    });
    *response.body_mut() = Body::from_stream(body);
    Ok(response)
}

/// Ends the program and its feeder when the answer is dropped.
struct Running {
    _child: Child,
    feeding: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.feeding.abort();
    }
}
