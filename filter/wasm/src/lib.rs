//! Countersign's Envoy filter: translates proxy-wasm callbacks into calls of `countersign-core` and
//! its effects into host calls. It decides nothing.
//!
//! | file | part |
//! |---|---|
//! | `root`   | one per plugin and worker: configuration, ticks, the worker's own calls |
//! | `http`   | one per stream: callbacks in, effects out |
//! | `shared` | what both hold: worker, streams, who made which call |
//! | `host`   | host calls: effects, heads, properties, metrics |
//! | `envoy`  | the Envoy this runs in: versions that are known to be safe |
#![deny(clippy::indexing_slicing)]
// The SDK's entry macro expands to a public function without a doc comment.
#![expect(missing_docs)]

mod envoy;
mod host;
mod http;
mod root;
mod shared;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    // A panic traps the VM. It should not happen; if it does, the log says where.
    std::panic::set_hook(Box::new(|info| {
        let _ = proxy_wasm::hostcalls::log(LogLevel::Critical, &format!("countersign: {info}"));
    }));
    proxy_wasm::set_root_context(|id| Box::new(root::Root::new(id)));
}}
