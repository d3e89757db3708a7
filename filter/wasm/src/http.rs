//! One stream: Envoy's callbacks in, the engine's steps out.

use std::cell::RefCell;
use std::rc::Rc;

use countersign_core::effect::{CallKind, Flow};
use countersign_core::stream::{Ended, Stream};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType};

use crate::host::{self, Token};
use crate::shared::Shared;

/// The context of one HTTP stream.
pub struct Http {
    id: u32,
    shared: Rc<Shared>,
    stream: Rc<RefCell<Stream>>,
    /// Bytes of the paused request body that the engine has seen: while a request is paused, Envoy
    /// tells the size of everything so far.
    seen: usize,
}

impl Http {
    /// A stream that nothing is known of yet.
    pub fn new(id: u32, shared: Rc<Shared>) -> Self {
        let stream = shared.add(id);
        Http {
            id,
            shared,
            stream,
            seen: 0,
        }
    }

    fn run(
        &self,
        event: impl FnOnce(
            &mut Stream,
            &mut countersign_core::worker::Worker,
        ) -> countersign_core::effect::Step,
    ) -> Action {
        match self.shared.run(self.id, &self.stream, event) {
            Flow::Continue => Action::Continue,
            Flow::Pause => Action::Pause,
        }
    }

    fn fail(&self, what: &str) -> Action {
        self.run(|stream, _| stream.on_host_fault(what, host::now()))
    }
}

impl Context for Http {
    fn on_http_call_response(
        &mut self,
        token: u32,
        num_headers: usize,
        body_size: usize,
        _num_trailers: usize,
    ) {
        self.shared
            .on_call_response(Token(CallKind::Http, token), || {
                host::call_answer(num_headers, body_size)
            });
    }

    fn on_grpc_call_response(&mut self, token: u32, status: u32, size: usize) {
        self.shared
            .on_call_response(Token(CallKind::Grpc, token), || {
                host::grpc_answer(status, size)
            });
    }
}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        let Some(head) = host::request_head() else {
            return self.fail("request headers");
        };
        #[cfg(feature = "fault-injection")]
        inject_fault(&head);
        let source = host::source();
        self.run(|stream, worker| {
            stream.on_request_headers(worker, head, source, end_of_stream, host::now())
        })
    }

    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        let flowing = self.stream.borrow().is_flowing();
        let start = if flowing { 0 } else { self.seen.min(body_size) };
        let size = body_size - start;
        let wanted = self.stream.borrow().wants_request_bytes();
        let bytes = match wanted {
            true => host::body(BufferType::HttpRequestBody, start, size),
            false => Some(Vec::new()),
        };
        let Some(bytes) = bytes else {
            return self.fail("request body");
        };
        self.seen = body_size;
        let action = self.run(|stream, worker| {
            stream.on_request_body(worker, &bytes, size, end_of_stream, host::now())
        });
        if self.stream.borrow().is_draining() {
            // What was refused has been dropped from Envoy's buffer.
            self.seen = 0;
        }
        action
    }

    fn on_http_request_trailers(&mut self, _num_trailers: usize) -> Action {
        self.run(|stream, worker| stream.on_request_trailers(worker, host::now()))
    }

    fn on_http_response_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        let Some(head) = host::response_head() else {
            return self.fail("response headers");
        };
        self.run(|stream, _| stream.on_response_headers(head, end_of_stream, host::now()))
    }

    fn on_http_response_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        let wanted = self.stream.borrow().wants_response_bytes();
        let bytes = match wanted {
            true => host::body(BufferType::HttpResponseBody, 0, body_size),
            false => Some(Vec::new()),
        };
        let Some(bytes) = bytes else {
            return self.fail("response body");
        };
        self.run(|stream, worker| {
            stream.on_response_body(worker, &bytes, body_size, end_of_stream, host::now())
        })
    }

    fn on_http_response_trailers(&mut self, _num_trailers: usize) -> Action {
        self.run(|stream, _| stream.on_response_trailers())
    }

    fn on_log(&mut self) {
        // Reading a property costs as much as all headers.
        let ended = match self.stream.borrow().wants_ending() {
            true => host::ended(),
            false => Ended::default(),
        };
        let effects = self
            .shared
            .with_worker(|worker| self.stream.borrow_mut().on_log(worker, &ended, host::now()));
        if let Err(what) = self.shared.apply(self.id, effects) {
            host::log(countersign_core::effect::Level::Error, &what);
        }
        self.shared.remove(self.id);
        self.shared.wake_root();
    }
}

/// Traps the VM when asked to, as a fault in the engine would.
#[cfg(feature = "fault-injection")]
#[allow(clippy::panic)]
fn inject_fault(head: &countersign_core::head::RequestHead) {
    if head.headers.contains("x-trap") {
        panic!("a request asked for this fault");
    }
}
