//! Git LFS, as far as a push and a clone need it: batch, basic transfer, and lock verification
//! (git-lfs `docs/api/batch.md`, `docs/api/locking.md`).

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

use crate::hosts::Addresses;
use crate::upstream::Shared;

const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";

/// `path` is what follows `/info/lfs/`.
pub async fn serve(upstream: Shared, request: Request, path: &[String]) -> Response {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (request.method().clone(), path.as_slice()) {
        (Method::POST, ["objects", "batch"]) => batch(upstream, request).await,
        (Method::POST, ["locks", "verify"]) => {
            media(StatusCode::OK, &json!({ "ours": [], "theirs": [] }))
        }
        (Method::GET, ["locks"]) => media(StatusCode::OK, &json!({ "locks": [] })),
        (Method::PUT, ["storage", oid]) => store(upstream, request, oid).await,
        (Method::GET, ["storage", oid]) => fetch(upstream, oid).await,
        _ => media(StatusCode::NOT_FOUND, &json!({ "message": "Not Found" })),
    }
}

fn media(status: StatusCode, body: &Value) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, MEDIA_TYPE)],
        body.to_string(),
    )
        .into_response()
}

async fn batch(upstream: Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let at = Addresses::of(&parts, upstream.public_url.as_deref());
    let asked: Option<Value> = body
        .collect()
        .await
        .ok()
        .and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
    let Some(asked) = asked else {
        return media(
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!({ "message": "Problems parsing JSON" }),
        );
    };
    let base = parts
        .uri
        .path()
        .trim_end_matches("/objects/batch")
        .to_owned();
    let folder = upstream.organisation().large_files();
    let upload = asked["operation"] == "upload";
    let mut objects = Vec::new();
    for object in asked["objects"].as_array().into_iter().flatten() {
        let oid = object["oid"].as_str().unwrap_or_default();
        let there = valid(oid) && folder.join(oid).exists();
        let mut answer = json!({ "oid": oid, "size": object["size"], "authenticated": true });
        let href = json!({ "href": format!("{}{base}/storage/{oid}", at.web), "expires_in": 3600 });
        match (upload, there) {
            (true, false) if valid(oid) => answer["actions"] = json!({ "upload": href }),
            (true, true) => {}
            (false, true) => answer["actions"] = json!({ "download": href }),
            _ => answer["error"] = json!({ "code": 404, "message": "Object does not exist" }),
        }
        objects.push(answer);
    }
    media(
        StatusCode::OK,
        &json!({ "transfer": "basic", "hash_algo": "sha256", "objects": objects }),
    )
}

/// Keeps an object if its bytes have the hash it is named by.
async fn store(upstream: Shared, request: Request, oid: &str) -> Response {
    let folder = upstream.organisation().large_files();
    if !valid(oid) {
        return media(
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!({ "message": "invalid oid" }),
        );
    }
    let partial = folder.join(format!(
        "{oid}.{}",
        crate::answer::request_id().replace(':', "-")
    ));
    let written = async {
        tokio::fs::create_dir_all(&folder).await?;
        let mut file = tokio::fs::File::create(&partial).await?;
        let mut hash = Sha256::new();
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(std::io::Error::other)?.into_data() {
                hash.update(&data);
                file.write_all(&data).await?;
            }
        }
        file.flush().await?;
        let hash: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if hash != oid {
            return Err(std::io::Error::other("hash mismatch"));
        }
        tokio::fs::rename(&partial, folder.join(oid)).await
    };
    match written.await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            let _ = tokio::fs::remove_file(&partial).await;
            media(
                StatusCode::UNPROCESSABLE_ENTITY,
                &json!({ "message": error.to_string() }),
            )
        }
    }
}

async fn fetch(upstream: Shared, oid: &str) -> Response {
    let folder = upstream.organisation().large_files();
    if !valid(oid) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match tokio::fs::File::open(folder.join(oid)).await {
        Ok(file) => {
            let headers = [(header::CONTENT_TYPE, "application/octet-stream")];
            (headers, Body::from_stream(ReaderStream::new(file))).into_response()
        }
        Err(_) => media(
            StatusCode::NOT_FOUND,
            &json!({ "message": "Object does not exist" }),
        ),
    }
}

fn valid(oid: &str) -> bool {
    oid.len() == 64 && oid.bytes().all(|byte| byte.is_ascii_hexdigit())
}
