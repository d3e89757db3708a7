//! Host calls. What the SDK would unwrap comes back as an error here.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_core::effect::{
    Call, CallAnswer, CallKind, Counter, Effect, Histogram, Level, Now,
};
use countersign_core::head::{Headers, RequestHead, ResponseHead};
use countersign_core::stream::{Ended, Source};
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType};

/// The whole of a buffer: Envoy takes a length beyond the end as "to the end".
const WHOLE: usize = i32::MAX as usize;

/// The time, as Envoy's worker sees it.
pub fn now() -> Now {
    let time = hostcalls::get_current_time().unwrap_or(SystemTime::UNIX_EPOCH);
    Now(time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos() as u64)
}

/// Writes a line to Envoy's log.
pub fn log(level: Level, line: &str) {
    let level = match level {
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    };
    let _ = hostcalls::log(level, line);
}

/// The request head; `None` if the host does not give it.
pub fn request_head() -> Option<RequestHead> {
    let mut head = RequestHead::default();
    let mut rest = Vec::new();
    for (name, value) in hostcalls::get_map_bytes(MapType::HttpRequestHeaders).ok()? {
        let pseudo = match name.as_str() {
            ":method" => &mut head.method,
            ":scheme" => &mut head.scheme,
            ":authority" => &mut head.authority,
            ":path" => &mut head.path,
            _ => {
                rest.push((name, value));
                continue;
            }
        };
        // A pseudo-header that is no text has no reading; empty is refused by the engine.
        *pseudo = String::from_utf8(value).unwrap_or_default();
    }
    head.headers = Headers::new(rest);
    Some(head)
}

/// The response head.
pub fn response_head() -> Option<ResponseHead> {
    let mut pairs = hostcalls::get_map_bytes(MapType::HttpResponseHeaders).ok()?;
    let status = take_status(&mut pairs).unwrap_or(0);
    Some(ResponseHead {
        status,
        headers: Headers::new(pairs),
    })
}

/// The answer to a call of the active context. No headers: nobody answered.
pub fn call_answer(num_headers: usize, body_size: usize) -> CallAnswer {
    if num_headers == 0 {
        return CallAnswer::default();
    }
    let mut pairs = hostcalls::get_map_bytes(MapType::HttpCallResponseHeaders).unwrap_or_default();
    let status = take_status(&mut pairs);
    let body = hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, body_size)
        .ok()
        .flatten();
    CallAnswer {
        status,
        headers: Headers::new(pairs),
        body: body.unwrap_or_default(),
        grpc_status: None,
    }
}

fn take_status(pairs: &mut Vec<(String, Vec<u8>)>) -> Option<u16> {
    let at = pairs.iter().position(|(name, _)| name == ":status")?;
    let (_, value) = pairs.remove(at);
    std::str::from_utf8(&value).ok()?.parse().ok()
}

/// New bytes of a body buffer.
pub fn body(buffer: BufferType, start: usize, size: usize) -> Option<Vec<u8>> {
    if size == 0 {
        return Some(Vec::new());
    }
    hostcalls::get_buffer(buffer, start, size).ok()?
}

/// Where the request came from.
pub fn source() -> Source {
    let address = hostcalls::get_property(vec!["source", "address"])
        .ok()
        .flatten();
    Source {
        address: String::from_utf8(address.unwrap_or_default()).unwrap_or_default(),
    }
}

/// What names the plugin whose root context this is.
pub fn plugin() -> String {
    let names = ["plugin_name", "plugin_root_id"].map(|name| {
        let value = hostcalls::get_property(vec![name]).ok().flatten();
        String::from_utf8(value.unwrap_or_default()).unwrap_or_default()
    });
    names.join("\n")
}

/// What was remembered under a key, on any worker.
pub fn recall(key: &str) -> Option<Vec<u8>> {
    hostcalls::get_shared_data(key).ok()?.0
}

/// How the exchange ended.
pub fn ended() -> Ended {
    let property = |name: &str| {
        hostcalls::get_property(vec!["response", name])
            .ok()
            .flatten()
    };
    let number = |name: &str| Some(i64::from_le_bytes(property(name)?.try_into().ok()?));
    Ended {
        status: number("code")
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| *code > 0),
        details: property("code_details")
            .and_then(|d| String::from_utf8(d).ok())
            .unwrap_or_default(),
        flags: number("flags")
            .and_then(|flags| u64::try_from(flags).ok())
            .unwrap_or(0),
    }
}

/// The message of a gRPC call that has been answered, and its status.
pub fn grpc_answer(status: u32, size: usize) -> CallAnswer {
    let message = match (status, size) {
        (0, 1..) => hostcalls::get_buffer(BufferType::GrpcReceiveBuffer, 0, size)
            .ok()
            .flatten(),
        _ => None,
    };
    CallAnswer {
        grpc_status: Some(status),
        body: message.unwrap_or_default(),
        ..CallAnswer::default()
    }
}

/// A number that a call is known by; Envoy numbers the two kinds apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub CallKind, pub u32);

/// Ends a call whose answer nobody waits for any more. Only gRPC calls can be ended.
pub fn cancel(token: Token) {
    if let Token(CallKind::Grpc, number) = token {
        let _ = hostcalls::cancel_grpc_call(number);
    }
}

/// Makes a call on behalf of the effective context.
pub fn call(call: &Call) -> Result<Token, String> {
    match call.kind {
        CallKind::Http => http_call(call).map(|number| Token(CallKind::Http, number)),
        CallKind::Grpc => grpc_call(call).map(|number| Token(CallKind::Grpc, number)),
    }
}

fn grpc_call(call: &Call) -> Result<u32, String> {
    let failed = |what: &str| format!("gRPC call to cluster {}: {what}", call.cluster);
    let header = |name: &str| {
        let mut found = call.headers.iter().filter(|(n, _)| n == name);
        found.next().map(|(_, value)| value.as_str())
    };
    let path = header(":path").unwrap_or_default();
    let (service, method) = path
        .trim_start_matches('/')
        .rsplit_once('/')
        .ok_or_else(|| failed("no method"))?;
    let metadata = call.headers.iter().filter(|(n, _)| !n.starts_with(':'));
    let metadata = metadata.map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
    let upstream = countersign_core::ext_authz::envoy_service(
        &call.cluster,
        header(":authority").unwrap_or_default(),
    );
    let upstream = std::str::from_utf8(&upstream).map_err(|_| failed("its name is too long"))?;
    let timeout = Duration::from_millis(call.timeout_ms);
    hostcalls::dispatch_grpc_call(
        upstream,
        service,
        method,
        metadata,
        Some(&call.body),
        timeout,
    )
    .map_err(|status| failed(&format!("{status:?}")))
}

fn http_call(call: &Call) -> Result<u32, String> {
    let headers = call
        .headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let timeout = Duration::from_millis(call.timeout_ms);
    hostcalls::dispatch_http_call(
        &call.cluster,
        headers,
        Some(&call.body),
        Vec::new(),
        timeout,
    )
    .map_err(|status| format!("call to cluster {}: {status:?}", call.cluster))
}

/// Counters and histograms, defined once.
#[derive(Default)]
pub struct Metrics {
    counters: HashMap<Counter, u32>,
    histograms: HashMap<Histogram, u32>,
}

impl Metrics {
    /// Defines all of them.
    pub fn define() -> Self {
        let define = |kind, name: &str| hostcalls::define_metric(kind, name).ok();
        let counters = Counter::all().into_iter();
        let histograms = Histogram::ALL.iter();
        Metrics {
            counters: counters
                .filter_map(|c| Some((c, define(MetricType::Counter, &c.name())?)))
                .collect(),
            histograms: histograms
                .filter_map(|h| Some((*h, define(MetricType::Histogram, h.name())?)))
                .collect(),
        }
    }

    /// Adds to a counter.
    pub fn count(&self, counter: Counter, by: u64) {
        if let Some(id) = self.counters.get(&counter) {
            let _ = hostcalls::increment_metric(*id, i64::try_from(by).unwrap_or(i64::MAX));
        }
    }

    fn observe(&self, histogram: Histogram, value: u64) {
        if let Some(id) = self.histograms.get(&histogram) {
            let _ = hostcalls::record_metric(*id, value);
        }
    }
}

/// Applies one effect to the stream that is the effective context.
///
/// # Errors
/// The host refused; the exchange must not go on.
pub fn apply(
    effect: Effect,
    metrics: &Metrics,
    on_call: &mut dyn FnMut(Token),
) -> Result<(), String> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |status| format!("{what}: {status:?}")
    };
    match effect {
        Effect::SetRequestHeader(name, value) => {
            hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, &name, Some(&value))
                .map_err(failed(&name))
        }
        Effect::RemoveRequestHeader(name) => {
            hostcalls::remove_map_value(MapType::HttpRequestHeaders, &name).map_err(failed(&name))
        }
        Effect::ReplaceRequestBody(body) => {
            hostcalls::set_buffer(BufferType::HttpRequestBody, 0, WHOLE, &body)
                .map_err(failed("request body"))
        }
        Effect::ResumeRequest => hostcalls::resume_http_request().map_err(failed("resume")),
        Effect::ResumeResponse => {
            hostcalls::resume_http_response().map_err(failed("resume response"))
        }
        Effect::SetResponseHeader(name, value) => {
            hostcalls::set_map_value_bytes(MapType::HttpResponseHeaders, &name, Some(&value))
                .map_err(failed(&name))
        }
        Effect::RemoveResponseHeader(name) => {
            hostcalls::remove_map_value(MapType::HttpResponseHeaders, &name).map_err(failed(&name))
        }
        Effect::ReplaceResponseBody(body) => {
            hostcalls::set_buffer(BufferType::HttpResponseBody, 0, WHOLE, &body)
                .map_err(failed("response body"))
        }
        Effect::Reply(reply) => {
            let headers = reply
                .headers
                .iter()
                .map(|(n, v)| (n.as_ref(), v.as_str()))
                .collect();
            hostcalls::send_http_response(u32::from(reply.status), headers, Some(&reply.body))
                .map_err(failed("reply"))
        }
        Effect::ResetResponse => hostcalls::reset_http_response().map_err(failed("reset")),
        Effect::Call(request) => call(&request).map(on_call),
        // The shell answers it before it applies the rest.
        Effect::Recall(_) => Err("recall".to_owned()),
        Effect::Remember(entries) => {
            for (key, value) in &entries {
                hostcalls::set_shared_data(key, Some(value), None).map_err(failed(key))?;
            }
            Ok(())
        }
        Effect::Summary(line) => {
            hostcalls::set_property(vec!["countersign"], Some(line.as_bytes()))
                .map_err(failed("filter state"))
        }
        Effect::Count(counter, by) => {
            metrics.count(counter, by);
            Ok(())
        }
        Effect::Observe(histogram, value) => {
            metrics.observe(histogram, value);
            Ok(())
        }
        Effect::Log(level, line) => {
            log(level, &line);
            Ok(())
        }
    }
}
