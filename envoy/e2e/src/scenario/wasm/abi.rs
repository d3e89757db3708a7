//! proxy-wasm ABI 0.2.1: the host's half, as far as the filter uses it. The rest answers
//! `Unimplemented`.

use countersign_core::effect::{Call, CallKind};
use countersign_core::ext_authz::messages::GrpcService;
use prost::Message;
use wasmi::{Caller, Error, ExternType, Linker, Module, Val};

use super::super::host::LocalReply;
use super::guest::{Fault, Guest};
use super::{State, wasi, wire};

/// `WasmResult`.
#[derive(Clone, Copy)]
enum Status {
    Ok = 0,
    NotFound = 1,
    BadArgument = 2,
    Empty = 7,
    InternalFailure = 10,
    Unimplemented = 12,
}

type Answer = Result<Status, Fault>;

fn done(answer: Answer) -> i32 {
    answer.unwrap_or(Status::BadArgument) as i32
}

impl From<Result<(), String>> for Status {
    fn from(result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Status::Ok,
            Err(_) => Status::InternalFailure,
        }
    }
}

/// Everything that `module` imports.
///
/// # Errors
/// It imports something that is no function.
pub fn linker(module: &Module) -> Result<Linker<State>, Error> {
    let mut linker = Linker::new(module.engine());
    // First everything as unimplemented, then what there is in its place.
    linker.allow_shadowing(true);
    for import in module.imports() {
        let ExternType::Func(ty) = import.ty().clone() else {
            return Err(Error::new(format!("{} is no function", import.name())));
        };
        linker.func_new(import.module(), import.name(), ty, |_, _, results| {
            if let Some(first) = results.first_mut() {
                *first = Val::I32(Status::Unimplemented as i32);
            }
            Ok(())
        })?;
    }
    wasi::define(&mut linker)?;
    streams(&mut linker)?;
    buffers(&mut linker)?;
    maps(&mut linker)?;
    worker(&mut linker)?;
    Ok(linker)
}

fn streams(linker: &mut Linker<State>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_continue_stream",
        |mut c: Caller<'_, State>, kind: u32| {
            let id = c.data().effective;
            let host = &mut c.data_mut().host;
            // `WasmStreamType`: 0 is a request, 1 a response.
            let resumed = match kind {
                1 => host.resume_response(id),
                _ => host.resume(id),
            };
            Status::from(resumed) as i32
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_close_stream",
        |mut c: Caller<'_, State>, _kind: u32| {
            let id = c.data().effective;
            Status::from(c.data_mut().host.reset(id)) as i32
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_send_local_response",
        |mut c: Caller<'_, State>,
         status: u32,
         _details: u32,
         _length: u32,
         body: u32,
         body_length: u32,
         headers: u32,
         headers_length: u32,
         _grpc: i32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                let body = guest.bytes(body, body_length)?;
                let headers = wire::decode(&guest.bytes(headers, headers_length)?).ok_or(Fault)?;
                let status = u16::try_from(status).map_err(|_| Fault)?;
                let id = guest.state().effective;
                Ok(guest
                    .state()
                    .host
                    .reply(
                        id,
                        LocalReply {
                            status,
                            headers,
                            body,
                        },
                    )
                    .into())
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_effective_context",
        |mut c: Caller<'_, State>, id: u32| {
            let known = id == super::ROOT || c.data().host.streams.contains_key(&id);
            if known {
                c.data_mut().effective = id;
            }
            if known {
                Status::Ok as i32
            } else {
                Status::BadArgument as i32
            }
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_property",
        |mut c: Caller<'_, State>, path: u32, length: u32, at: u32, size: u32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                let path = guest.text(path, length)?;
                match guest.state().property(&path) {
                    Some(value) => guest.hand_over(&value, at, size).map(|()| Status::Ok),
                    None => Ok(Status::NotFound),
                }
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_property",
        |mut c: Caller<'_, State>, path: u32, length: u32, value: u32, value_length: u32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                let path = guest.text(path, length)?;
                let value = guest.bytes(value, value_length)?;
                if path != "countersign" {
                    return Ok(Status::BadArgument);
                }
                let id = guest.state().effective;
                Ok(guest.state().host.set_filter_state(id, &value).into())
            };
            done(answer())
        },
    )?;
    Ok(())
}

/// `WasmBufferType`.
mod buffer {
    pub const REQUEST_BODY: u32 = 0;
    pub const RESPONSE_BODY: u32 = 1;
    pub const CALL_RESPONSE_BODY: u32 = 4;
    pub const GRPC_RECEIVE: u32 = 5;
    pub const PLUGIN_CONFIGURATION: u32 = 7;
}

fn buffers(linker: &mut Linker<State>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |mut c: Caller<'_, State>, kind: u32, start: u32, most: u32, at: u32, size: u32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                let Some(bytes) = guest.state().buffer(kind) else {
                    return Ok(Status::NotFound);
                };
                // Envoy: from a start beyond the end nothing, to an end beyond the end everything.
                let from = (start as usize).min(bytes.len());
                let to = from.saturating_add(most as usize).min(bytes.len());
                let part = bytes.get(from..to).unwrap_or_default().to_vec();
                guest.hand_over(&part, at, size).map(|()| Status::Ok)
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_buffer_bytes",
        |mut c: Caller<'_, State>, kind: u32, start: u32, size: u32, at: u32, length: u32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                let bytes = guest.bytes(at, length)?;
                let id = guest.state().effective;
                let present = guest.state().buffer(kind).map_or(0, <[u8]>::len);
                // Only the whole of a buffer is ever replaced.
                if start != 0 || (size as usize) < present {
                    return Ok(Status::BadArgument);
                }
                let host = &mut guest.state().host;
                Ok(match kind {
                    buffer::REQUEST_BODY => host.set_request_body(id, &bytes).into(),
                    buffer::RESPONSE_BODY => host.set_response_body(id, &bytes).into(),
                    _ => Status::BadArgument,
                })
            };
            done(answer())
        },
    )?;
    Ok(())
}

impl State {
    fn buffer(&self, kind: u32) -> Option<&[u8]> {
        let stream = self.host.streams.get(&self.effective);
        match kind {
            buffer::REQUEST_BODY => stream?.request_body.as_deref(),
            buffer::RESPONSE_BODY => stream?.response_body.as_deref(),
            buffer::CALL_RESPONSE_BODY | buffer::GRPC_RECEIVE => {
                self.answer.as_ref().map(|(_, body)| body.as_slice())
            }
            buffer::PLUGIN_CONFIGURATION => Some(&self.configuration),
            _ => None,
        }
    }
}

/// `WasmHeaderMapType`.
mod map {
    pub const REQUEST: u32 = 0;
    pub const RESPONSE: u32 = 2;
    pub const CALL_RESPONSE: u32 = 6;
}

fn maps(linker: &mut Linker<State>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_get_header_map_pairs",
        |mut c: Caller<'_, State>, kind: u32, at: u32, size: u32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                let state = guest.state();
                let stream = state.host.streams.get(&state.effective);
                let pairs = match kind {
                    map::REQUEST => stream.map(|s| &s.request),
                    map::RESPONSE => stream.map(|s| &s.response),
                    map::CALL_RESPONSE => state.answer.as_ref().map(|(headers, _)| headers),
                    _ => None,
                };
                let Some(pairs) = pairs else {
                    return Ok(Status::BadArgument);
                };
                let bytes = wire::encode(pairs);
                guest.hand_over(&bytes, at, size).map(|()| Status::Ok)
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_replace_header_map_value",
        |mut c: Caller<'_, State>,
         kind: u32,
         name: u32,
         name_length: u32,
         value: u32,
         value_length: u32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                let name = guest.text(name, name_length)?;
                let value = guest.bytes(value, value_length)?;
                let id = guest.state().effective;
                let host = &mut guest.state().host;
                Ok(match kind {
                    map::REQUEST => host.set_request_header(id, &name, &value).into(),
                    map::RESPONSE => host.set_response_header(id, &name, &value).into(),
                    _ => Status::BadArgument,
                })
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_remove_header_map_value",
        |mut c: Caller<'_, State>, kind: u32, name: u32, length: u32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                let name = guest.text(name, length)?;
                let id = guest.state().effective;
                let host = &mut guest.state().host;
                Ok(match kind {
                    map::REQUEST => host.remove_request_header(id, &name).into(),
                    map::RESPONSE => host.remove_response_header(id, &name).into(),
                    _ => Status::BadArgument,
                })
            };
            done(answer())
        },
    )?;
    Ok(())
}

fn worker(linker: &mut Linker<State>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_log",
        |mut c: Caller<'_, State>, level: u32, at: u32, length: u32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                let line = guest.text(at, length)?;
                let state = guest.state();
                // `critical` is what the panic hook writes.
                state.panicked |= level >= 5;
                state.host.log.push(format!("{level}: {line}"));
                Ok(Status::Ok)
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_current_time_nanoseconds",
        |mut c: Caller<'_, State>, at: u32| {
            let now = c.data().host.now.to_le_bytes();
            done(Guest::new(&mut c).and_then(|mut guest| guest.put(at, &now).map(|()| Status::Ok)))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_tick_period_milliseconds",
        |mut c: Caller<'_, State>, ms: u32| {
            c.data_mut().tick_ms = ms;
            Status::Ok as i32
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_define_metric",
        |mut c: Caller<'_, State>, _kind: u32, name: u32, length: u32, id: u32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                let name = guest.text(name, length)?;
                guest.state().metrics.push(name.clone());
                guest.state().host.count(&name, 0);
                let number = guest.state().metrics.len() - 1;
                guest
                    .put_u32(id, u32::try_from(number).map_err(|_| Fault)?)
                    .map(|()| Status::Ok)
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_increment_metric",
        |mut c: Caller<'_, State>, id: u32, by: i64| measure(c.data_mut(), id, by.unsigned_abs()),
    )?;
    linker.func_wrap(
        "env",
        "proxy_record_metric",
        |mut c: Caller<'_, State>, id: u32, value: u64| measure(c.data_mut(), id, value),
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_shared_data",
        |mut c: Caller<'_, State>, key: u32, length: u32, at: u32, size: u32, cas: u32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                let key = guest.text(key, length)?;
                let Some(value) = guest.state().host.recall(&key) else {
                    return Ok(Status::NotFound);
                };
                guest.put_u32(cas, 1)?;
                guest.hand_over(&value, at, size).map(|()| Status::Ok)
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_shared_data",
        |mut c: Caller<'_, State>, key: u32, length: u32, value: u32, size: u32, _cas: u32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                let key = guest.text(key, length)?;
                let value = guest.bytes(value, size)?;
                Ok(guest.state().host.remember(key, value).into())
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_register_shared_queue",
        |mut c: Caller<'_, State>, _name: u32, _length: u32, id: u32| {
            done(Guest::new(&mut c).and_then(|mut guest| guest.put_u32(id, 1).map(|()| Status::Ok)))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_enqueue_shared_queue",
        |mut c: Caller<'_, State>, _id: u32, _at: u32, _length: u32| {
            let state = c.data_mut();
            state.queued += 1;
            state.host.wake = true;
            Status::Ok as i32
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_dequeue_shared_queue",
        |mut c: Caller<'_, State>, _id: u32, at: u32, size: u32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                if guest.state().queued == 0 {
                    return Ok(Status::Empty);
                }
                guest.state().queued -= 1;
                guest.hand_over(b"!", at, size).map(|()| Status::Ok)
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_http_call",
        |mut c: Caller<'_, State>,
         cluster: u32,
         cluster_length: u32,
         headers: u32,
         headers_length: u32,
         body: u32,
         body_length: u32,
         _trailers: u32,
         _trailers_length: u32,
         timeout_ms: u32,
         token: u32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                let cluster = guest.text(cluster, cluster_length)?;
                let headers = guest.pairs(headers, headers_length)?;
                let body = guest.bytes(body, body_length)?;
                let call = Call {
                    kind: CallKind::Http,
                    cluster,
                    headers,
                    body,
                    timeout_ms: u64::from(timeout_ms),
                };
                let owner = guest.state().effective;
                match guest.state().host.call(owner, &call) {
                    Ok(number) => guest.put_u32(token, number).map(|()| Status::Ok),
                    Err(_) => Ok(Status::BadArgument),
                }
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_grpc_call",
        |mut c: Caller<'_, State>,
         upstream: u32,
         upstream_length: u32,
         service: u32,
         service_length: u32,
         method: u32,
         method_length: u32,
         metadata: u32,
         metadata_length: u32,
         message: u32,
         message_length: u32,
         timeout_ms: u32,
         token: u32| {
            let mut answer = || -> Answer {
                let mut guest = Guest::new(&mut c)?;
                let upstream = guest.bytes(upstream, upstream_length)?;
                let upstream = GrpcService::decode(upstream.as_slice()).map_err(|_| Fault)?;
                let upstream = upstream.envoy_grpc.ok_or(Fault)?;
                let service = guest.text(service, service_length)?;
                let method = guest.text(method, method_length)?;
                let metadata = guest.pairs(metadata, metadata_length)?;
                let mut headers = vec![
                    (":path".to_owned(), format!("/{service}/{method}")),
                    (":authority".to_owned(), upstream.authority),
                ];
                headers.extend(metadata);
                let body = guest.bytes(message, message_length)?;
                let call = Call {
                    kind: CallKind::Grpc,
                    cluster: upstream.cluster_name,
                    headers,
                    body,
                    timeout_ms: u64::from(timeout_ms),
                };
                let owner = guest.state().effective;
                match guest.state().host.call(owner, &call) {
                    Ok(number) => guest.put_u32(token, number).map(|()| Status::Ok),
                    Err(_) => Ok(Status::InternalFailure),
                }
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_grpc_cancel",
        |mut c: Caller<'_, State>, token: u32| {
            let waiting = &mut c.data_mut().host.waiting;
            let before = waiting.len();
            waiting.retain(|call| call.token != token);
            match waiting.len() < before {
                true => Status::Ok as i32,
                false => Status::NotFound as i32,
            }
        },
    )?;
    Ok(())
}

fn measure(state: &mut State, id: u32, by: u64) -> i32 {
    match state.metrics.get(id as usize).cloned() {
        Some(name) => {
            state.host.count(&name, by);
            Status::Ok as i32
        }
        None => Status::NotFound as i32,
    }
}
