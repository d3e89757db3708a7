//! `envoy.service.auth.v3.Authorization/Check`: the same question and answer as over HTTP.
//!
//! Code 0 lets the request through, `PERMISSION_DENIED` does not and says why, and a call that fails
//! means that no answer could be found.

use std::future::Future;
use std::pin::Pin;

use axum::extract::{Request, State};
use axum::response::Response;
use countersign_core::ext_authz::QUESTION;
use countersign_core::ext_authz::messages::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValueOption, HttpResponse, HttpStatus,
    OkHttpResponse, Status as Code,
};
use prost_types::value::Kind;
use tonic::server::{Grpc, UnaryService};
use tonic::{Code as Failure, Status};
use tonic_prost::ProstCodec;

use super::endpoint::{Asked, NO_DATABASE, Told, hold_until_answered};
use super::plain;
use crate::web::App;

/// As large as over HTTP.
const LARGEST: usize = 1 << 20;

/// Answers one call.
pub async fn check(State(app): State<App>, request: Request) -> Response {
    let codec = ProstCodec::<CheckResponse, CheckRequest>::default();
    let mut grpc = Grpc::new(codec).max_decoding_message_size(LARGEST);
    grpc.unary(Service(app), request)
        .await
        .map(axum::body::Body::new)
}

struct Service(App);

impl UnaryService<CheckRequest> for Service {
    type Response = CheckResponse;
    type Future =
        Pin<Box<dyn Future<Output = Result<tonic::Response<CheckResponse>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<CheckRequest>) -> Self::Future {
        let app = self.0.clone();
        Box::pin(async move {
            let hold = request.metadata().get("x-countersign-hold");
            let hold_ms = hold.and_then(|text| text.to_str().ok()?.parse().ok());
            let asked = read(request.into_inner(), hold_ms).map_err(|why| {
                tracing::warn!(%why, "an approval request could not be read");
                Status::new(Failure::InvalidArgument, why)
            })?;
            let standing = hold_until_answered(&app, asked)
                .await
                .map_err(|_| Status::new(Failure::Unavailable, NO_DATABASE))?;
            Ok(tonic::Response::new(response(&Told::new(&app, standing))))
        })
    }
}

fn read(request: CheckRequest, hold_ms: Option<u64>) -> Result<Asked, String> {
    let attributes = request.attributes.ok_or("the call has no attributes")?;
    match attributes.context_extensions.get(QUESTION) {
        Some(question) => Asked::read(question, hold_ms),
        None => plain::over_grpc(attributes),
    }
}

fn response(told: &Told) -> CheckResponse {
    if told.granted {
        // Metadata, and not headers: Envoy would hand those on to the upstream.
        let fields = told.facts.iter().map(|(name, value)| {
            let kind = Some(Kind::StringValue(value.clone()));
            ((*name).to_owned(), prost_types::Value { kind })
        });
        return CheckResponse {
            status: Some(Code::default()),
            http_response: Some(HttpResponse::Ok(OkHttpResponse::default())),
            dynamic_metadata: Some(prost_types::Struct {
                fields: fields.collect(),
            }),
        };
    }
    let facts = told.facts.iter();
    let mut headers: Vec<_> = facts
        .map(|(name, value)| HeaderValueOption::set(name, value))
        .collect();
    headers.push(HeaderValueOption::set("content-type", "application/json"));
    CheckResponse {
        status: Some(Code {
            code: Failure::PermissionDenied as i32,
            message: told.reason.clone(),
        }),
        http_response: Some(HttpResponse::Denied(DeniedHttpResponse {
            status: Some(HttpStatus { code: 403 }),
            headers,
            body: told.body().to_string(),
        })),
        dynamic_metadata: None,
    }
}
