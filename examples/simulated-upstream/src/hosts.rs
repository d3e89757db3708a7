//! Which face a request is for, and which addresses its answer should name.

use axum::extract::Request;
use http::request::Parts;
use http::{HeaderMap, Uri};

/// One of the three systems that the server stands in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// api.github.com.
    Api,
    /// github.com.
    Git,
    /// api.githubcopilot.com, MCP included.
    Copilot,
}

/// First path segments that belong to the Copilot API when the host does not tell.
const COPILOT_PATHS: [&str; 12] = [
    "copilot",
    "chat",
    "responses",
    "models",
    "embeddings",
    "mcp",
    "agents",
    "telemetry",
    "v1",
    "auto",
    "skills",
    "completions",
];

impl Face {
    /// By host; on any other host by path.
    pub fn of(request: &Request) -> Self {
        let host = host(request.uri(), request.headers());
        let name = host
            .split(':')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        match name.as_str() {
            "api.github.com" | "uploads.github.com" | "api.github.localhost" => Self::Api,
            "github.com" => Self::Git,
            _ if name == "githubcopilot.com" || name.ends_with(".githubcopilot.com") => {
                Self::Copilot
            }
            _ => Self::by_path(request.uri().path()),
        }
    }

    fn by_path(path: &str) -> Self {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let first = segments.next().unwrap_or_default();
        let second = segments.next().unwrap_or_default();
        let third = segments.next().unwrap_or_default();
        let git_verb = matches!(
            third,
            "info" | "git-upload-pack" | "git-receive-pack" | "HEAD" | "objects"
        );
        if first != "repos" && first != "api" && (second.ends_with(".git") || git_verb) {
            Self::Git
        } else if COPILOT_PATHS.contains(&first) {
            Self::Copilot
        } else {
            Self::Api
        }
    }
}

/// Base URLs without a trailing slash, for links in answers.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Of the REST API; `/graphql` lies below it, or beside it on a GHES-shaped host.
    pub api: String,
    /// Of git and the web pages.
    pub web: String,
    /// Of the Copilot API.
    pub copilot: String,
}

impl Addresses {
    /// From `X-Forwarded-Host` (a gateway with GitHub Enterprise's URL space), else `--public-url`, else `Host`.
    pub fn of(parts: &Parts, public_url: Option<&str>) -> Self {
        let header = |name: &str| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let host = host(&parts.uri, &parts.headers);
        let forwarded = header("x-forwarded-host")
            .and_then(|list| list.split(',').next())
            .map(str::trim)
            .filter(|forwarded| !forwarded.is_empty() && *forwarded != host);
        let scheme = header("x-forwarded-proto").unwrap_or("http");
        match (forwarded, public_url) {
            (Some(forwarded), _) => Self::named(forwarded, scheme),
            (None, Some(url)) => Self::gateway(url.trim_end_matches('/')),
            (None, None) => Self::named(&host, scheme),
        }
    }

    fn named(host: &str, scheme: &str) -> Self {
        let (name, port) = host
            .split_once(':')
            .map_or((host, String::new()), |(name, port)| {
                (name, format!(":{port}"))
            });
        match name {
            "api.github.com" | "github.com" | "uploads.github.com" | "api.githubcopilot.com" => {
                Self {
                    api: "https://api.github.com".into(),
                    web: "https://github.com".into(),
                    copilot: "https://api.githubcopilot.com".into(),
                }
            }
            "api.github.localhost" | "github.localhost" => Self {
                api: format!("{scheme}://api.github.localhost{port}"),
                web: format!("{scheme}://github.localhost{port}"),
                copilot: format!("{scheme}://api.githubcopilot.localhost{port}"),
            },
            _ => Self::gateway(&format!("{scheme}://{host}")),
        }
    }

    fn gateway(base: &str) -> Self {
        Self {
            api: format!("{base}/api/v3"),
            web: base.to_owned(),
            copilot: format!("{base}/copilot"),
        }
    }
}

/// The authority of HTTP/2, else `Host`.
pub fn host(uri: &Uri, headers: &HeaderMap) -> String {
    if let Some(authority) = uri.authority() {
        return authority.as_str().to_owned();
    }
    headers
        .get(http::header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn face(host: &str, path: &str) -> Face {
        Face::of(
            &Request::builder()
                .uri(path)
                .header("host", host)
                .body(Body::empty())
                .unwrap(),
        )
    }

    #[test]
    fn the_host_decides_and_else_the_path() {
        assert_eq!(face("api.github.com", "/mcp"), Face::Api);
        assert_eq!(face("github.com:443", "/repos/acme/web"), Face::Git);
        assert_eq!(
            face("api.business.githubcopilot.com", "/repos/acme/web"),
            Face::Copilot
        );
        assert_eq!(
            face(
                "127.0.0.1:18080",
                "/acme/web.git/info/refs?service=git-upload-pack"
            ),
            Face::Git
        );
        assert_eq!(
            face("127.0.0.1:18080", "/acme/web/git-receive-pack"),
            Face::Git
        );
        assert_eq!(face("127.0.0.1:18080", "/repos/acme/web.git"), Face::Api);
        assert_eq!(face("127.0.0.1:18080", "/api/v3/repos/acme/web"), Face::Api);
        assert_eq!(
            face("127.0.0.1:18080", "/v1/chat/completions"),
            Face::Copilot
        );
        assert_eq!(face("127.0.0.1:18080", "/mcp/readonly"), Face::Copilot);
        assert_eq!(
            face("127.0.0.1:18080", "/copilot/chat/completions"),
            Face::Copilot
        );
        assert_eq!(face("127.0.0.1:18080", "/copilot_internal/user"), Face::Api);
    }

    #[test]
    fn a_forwarded_host_gets_the_url_space_of_a_gateway() {
        let request = Request::builder()
            .uri("/user")
            .header("host", "api.github.com")
            .header("x-forwarded-host", "gw.test:10000")
            .body(())
            .unwrap();
        let at = Addresses::of(&request.into_parts().0, None);
        assert_eq!(
            (at.api.as_str(), at.web.as_str()),
            ("http://gw.test:10000/api/v3", "http://gw.test:10000")
        );
        assert_eq!(at.copilot, "http://gw.test:10000/copilot");
    }
}
