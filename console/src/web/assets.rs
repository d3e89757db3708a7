//! The pages' own files, compiled in. Nothing is loaded from anywhere else.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use super::App;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route(
            "/assets/style.css",
            get(|| {
                file(
                    "text/css; charset=utf-8",
                    include_str!("../../assets/style.css"),
                )
            }),
        )
        .route(
            "/assets/approvals.js",
            get(|| file(SCRIPT, include_str!("../../assets/approvals.js"))),
        )
        .route(
            "/assets/console.js",
            get(|| file(SCRIPT, include_str!("../../assets/console.js"))),
        )
        .route(
            "/assets/sign-in.js",
            get(|| file(SCRIPT, include_str!("../../assets/sign-in.js"))),
        )
        .route(
            "/assets/replay.css",
            get(|| {
                file(
                    "text/css; charset=utf-8",
                    include_str!("../../assets/replay.css"),
                )
            }),
        )
        .route(
            "/assets/replay.js",
            get(|| file(SCRIPT, include_str!("../../assets/replay.js"))),
        )
        .route(
            "/assets/mark.svg",
            get(|| file("image/svg+xml", include_str!("../../assets/mark.svg"))),
        )
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

async fn file(media_type: &'static str, content: &'static str) -> impl IntoResponse {
    // Checked anew each time: after an update no page runs with yesterday's script.
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content)
}
