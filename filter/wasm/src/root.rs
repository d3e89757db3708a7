//! One root context per plugin and worker: configuration, ticks, and the worker's own calls.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::rc::{Rc, Weak};
use std::time::Duration;

use countersign_core::config;
use countersign_core::effect::{CallKind, Level};
use countersign_core::worker::Worker;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};

use crate::envoy;
use crate::host::{self, Token};
use crate::http::Http;
use crate::shared::Shared;

/// How often timers and retries are looked at.
const TICK: Duration = Duration::from_millis(50);

thread_local! {
    /// By plugin, the worker that was configured last. A new configuration is a new root context, in the
    /// same VM where only the plugin's has changed; streams that are under way stay with the old one.
    static NEWEST: RefCell<HashMap<String, Weak<Shared>>> = RefCell::default();
}

/// The root context.
pub struct Root {
    id: u32,
    shared: Option<Rc<Shared>>,
}

impl Root {
    /// A root context without a configuration.
    pub fn new(id: u32) -> Self {
        Root { id, shared: None }
    }

    fn configure(&mut self, size: usize) -> Result<(), Vec<String>> {
        if let Some(refusal) = envoy::refusal(envoy::version()) {
            return Err(vec![refusal]);
        }
        let bytes = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size)
            .ok()
            .flatten();
        let bytes = bytes.ok_or_else(|| vec!["the plugin has no configuration".to_owned()])?;
        let environment = |name: &str| std::env::var(name).ok();
        let policy = config::compile_plugin(&bytes, &environment)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        hostcalls::set_tick_period(TICK)
            .map_err(|status| vec![format!("tick period: {status:?}")])?;
        // Random keys of the standard library: 64 bits from the host, without another crate.
        let id = format!("{:016x}", RandomState::new().hash_one(self.id));
        let queue = hostcalls::register_shared_queue(&format!("countersign.{id}")).ok();
        let worker = Worker::new(Rc::new(policy), id);
        let shared = Rc::new(Shared::new(self.id, queue, worker));
        let before =
            NEWEST.with_borrow_mut(|newest| newest.insert(host::plugin(), Rc::downgrade(&shared)));
        if let Some(before) = before.and_then(|before| before.upgrade()) {
            before.give_way(&shared);
        }
        self.shared = Some(shared);
        Ok(())
    }
}

impl Context for Root {
    fn on_http_call_response(
        &mut self,
        token: u32,
        num_headers: usize,
        body_size: usize,
        _num_trailers: usize,
    ) {
        if let Some(shared) = &self.shared {
            shared.on_call_response(Token(CallKind::Http, token), || {
                host::call_answer(num_headers, body_size)
            });
        }
    }

    fn on_grpc_call_response(&mut self, token: u32, status: u32, size: usize) {
        if let Some(shared) = &self.shared {
            shared.on_call_response(Token(CallKind::Grpc, token), || {
                host::grpc_answer(status, size)
            });
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        match self.configure(size) {
            Ok(()) => true,
            Err(faults) => {
                for fault in faults {
                    host::log(
                        Level::Error,
                        &format!("countersign: configuration refused: {fault}"),
                    );
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        if let Some(shared) = &self.shared {
            shared.poll();
        }
    }

    fn on_queue_ready(&mut self, queue: u32) {
        while let Ok(Some(_)) = hostcalls::dequeue_shared_queue(queue) {}
        if let Some(shared) = &self.shared {
            shared.poll();
        }
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        // Envoy makes no streams for a plugin whose configuration was refused.
        let shared = self.shared.as_ref()?;
        Some(Box::new(Http::new(id, Rc::clone(shared))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
