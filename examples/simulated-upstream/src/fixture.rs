//! What the router's tests share: a fresh organisation and requests that carry the credential.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::{Settings, Upstream, app};

pub(crate) const CREDENTIAL: &str = "ghs_for_these_tests";

pub(crate) struct Fixture {
    app: Router,
    _data: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let upstream = Upstream::open(Settings {
            data: data.path().to_owned(),
            credential: CREDENTIAL.into(),
            public_url: None,
        });
        Self {
            app: app(upstream.unwrap()),
            _data: data,
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response {
        self.app.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn call(
        &self,
        host: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        let request = with_credential(host, method, path).body(body).unwrap();
        let response = self.send(request).await;
        let status = response.status();
        let bytes = bytes(response).await;
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    pub(crate) async fn api(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        self.call("api.github.com", method, path, body).await
    }

    pub(crate) async fn graphql(&self, query: &str, variables: Value) -> Value {
        self.api(
            "POST",
            "/graphql",
            json!({ "query": query, "variables": variables }),
        )
        .await
        .1
    }
}

pub(crate) fn with_credential(host: &str, method: &str, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", host)
        .header("authorization", format!("Bearer {CREDENTIAL}"))
}

pub(crate) async fn bytes(response: Response) -> Vec<u8> {
    response
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes()
        .to_vec()
}
