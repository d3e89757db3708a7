//! `countersign.wasm` in a small proxy-wasm host: an interpreter in Envoy's place.
//!
//! What the module does to the host goes through the same [`Host`] as the engine's effects, so that
//! a scenario cannot tell the two apart.

mod abi;
mod guest;
mod wasi;
mod wire;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use countersign_core::effect::{CallAnswer, Flow};
use serde_json::Value;
use wasmi::{Engine, Instance, Linker, Module, Store, WasmParams, WasmResults};

use super::gateway::Filter;
use super::host::{Host, Pairs};

/// The root context.
const ROOT: u32 = 1;
/// The host's name for whoever is no stream.
const WORKER: u32 = 0;

/// What host functions see.
pub struct State {
    host: Host,
    /// The context that host calls are about.
    effective: u32,
    configuration: Vec<u8>,
    environment: Vec<String>,
    version: Option<[i64; 3]>,
    /// Headers and body of the answer that is being handed over.
    answer: Option<(Pairs, Vec<u8>)>,
    metrics: Vec<String>,
    queued: u32,
    tick_ms: u32,
    panicked: bool,
    seed: u64,
}

impl State {
    fn random(&mut self) -> u8 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 32) as u8
    }

    fn property(&self, path: &str) -> Option<Vec<u8>> {
        let parts: Vec<&str> = path.split('\0').collect();
        let number = |n: i64| Some(n.to_le_bytes().to_vec());
        let stream = self.host.streams.get(&self.effective);
        match parts.as_slice() {
            ["xds", "node", "user_agent_build_version", "version", part] => {
                let version = self.version?;
                let index = ["major_number", "minor_number", "patch"]
                    .iter()
                    .position(|p| p == part)?;
                number(*version.get(index)?)
            }
            ["source", "address"] => Some(b"127.0.0.1:50000".to_vec()),
            ["response", "code"] => number(i64::from(stream?.status?)),
            ["response", "flags"] => number(0),
            ["response", "code_details"] => Some(b"via_upstream".to_vec()),
            _ => None,
        }
    }
}

/// A module, compiled once for all that run it.
pub struct Program {
    module: Module,
    linker: Linker<State>,
}

impl Program {
    /// Reads a module.
    ///
    /// # Errors
    /// It is none, or imports what no Envoy has.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let module = Module::new(&Engine::default(), bytes).context("no module")?;
        let linker = abi::linker(&module)?;
        Ok(Program { module, linker })
    }
}

/// What a plugin is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `(major, minor, patch)` of Envoy; `None`: it does not tell.
    pub version: Option<[i64; 3]>,
    /// Plugin configuration.
    pub configuration: Vec<u8>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
}

impl Setup {
    /// The oldest Envoy of the newest line, with this policy.
    pub fn new(policy: &Value, environment: &BTreeMap<String, String>) -> Self {
        Setup {
            version: Some([1, 40, 0]),
            configuration: policy.to_string().into_bytes(),
            environment: environment.clone(),
        }
    }
}

/// A started module with its root context.
pub struct Wasm {
    store: Store<State>,
    instance: Instance,
    /// Whether it took its configuration.
    pub configured: bool,
}

impl Wasm {
    /// Starts the module as Envoy starts a VM, and hands it its configuration.
    ///
    /// # Errors
    /// It traps.
    pub fn start(program: &Program, host: Host, setup: Setup) -> Result<Self> {
        let environment = setup
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let state = State {
            host,
            effective: ROOT,
            environment: environment.collect(),
            configuration: setup.configuration,
            version: setup.version,
            answer: None,
            metrics: Vec::new(),
            queued: 0,
            tick_ms: 0,
            panicked: false,
            seed: 0x9e37_79b9_7f4a_7c15,
        };
        let mut store = Store::new(program.module.engine(), state);
        let instance = program
            .linker
            .instantiate_and_start(&mut store, &program.module)?;
        let mut wasm = Wasm {
            store,
            instance,
            configured: false,
        };
        wasm.call::<(), ()>("_initialize", ())?;
        wasm.call::<_, ()>("proxy_on_context_create", (ROOT, 0_u32))?;
        let started: i32 = wasm.call("proxy_on_vm_start", (ROOT, 0_u32))?;
        ensure!(started == 1, "the VM does not start");
        let size = u32::try_from(wasm.store.data().configuration.len())?;
        wasm.configured = wasm.call::<_, i32>("proxy_on_configure", (ROOT, size))? == 1;
        Ok(wasm)
    }

    /// As [`Wasm::start`], for a configuration that has to be taken.
    ///
    /// # Errors
    /// It is refused.
    pub fn configured(
        program: &Program,
        host: Host,
        policy: &Value,
        env: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let mut wasm = Self::start(program, host, Setup::new(policy, env))?;
        ensure!(
            wasm.configured,
            "configuration refused: {:#?}",
            wasm.host().log
        );
        ensure!(wasm.store.data().tick_ms > 0, "it asked for no ticks");
        wasm.host().wake = true;
        Ok(wasm)
    }

    /// Pages of 64 KiB that its memory has.
    ///
    /// # Errors
    /// It has none.
    pub fn pages(&self) -> Result<u64> {
        let memory = self
            .instance
            .get_memory(&self.store, "memory")
            .context("no memory")?;
        Ok(memory.size(&self.store))
    }

    fn call<P: WasmParams, R: WasmResults>(&mut self, name: &str, parameters: P) -> Result<R> {
        let function = self.instance.get_typed_func::<P, R>(&self.store, name)?;
        let result = function.call(&mut self.store, parameters).map_err(|trap| {
            anyhow::anyhow!(
                "{name} trapped: {trap}; log: {:#?}",
                self.store.data().host.log
            )
        })?;
        if self.store.data().panicked {
            bail!("{name} panicked: {:#?}", self.store.data().host.log);
        }
        Ok(result)
    }

    fn about<P: WasmParams, R: WasmResults>(
        &mut self,
        id: u32,
        name: &str,
        parameters: P,
    ) -> Result<R> {
        self.store.data_mut().effective = id;
        self.call(name, parameters)
    }

    fn action<P: WasmParams>(&mut self, id: u32, name: &str, parameters: P) -> Result<Flow> {
        match self.about::<P, i32>(id, name, parameters)? {
            0 => Ok(Flow::Continue),
            1 => Ok(Flow::Pause),
            other => bail!("{name} returned the action {other}"),
        }
    }
}

impl Wasm {
    /// A gRPC call that has been answered gives its message, one that failed its status.
    fn grpc_answered(
        &mut self,
        context: u32,
        token: u32,
        status: u32,
        message: Vec<u8>,
    ) -> Result<()> {
        if status != 0 {
            return self.about(context, "proxy_on_grpc_close", (context, token, status));
        }
        let size = u32::try_from(message.len())?;
        self.store.data_mut().answer = Some((Pairs::new(), message));
        let result = self.about(context, "proxy_on_grpc_receive", (context, token, size));
        self.store.data_mut().answer = None;
        result
    }
}

impl Filter for Wasm {
    fn host(&mut self) -> &mut Host {
        &mut self.store.data_mut().host
    }

    fn open(&mut self, id: u32) -> Result<()> {
        self.about(id, "proxy_on_context_create", (id, ROOT))
    }

    fn request_headers(&mut self, id: u32, end: bool) -> Result<Flow> {
        let count = self.host().streams.get(&id).map_or(0, |s| s.request.len());
        self.action(
            id,
            "proxy_on_request_headers",
            (id, u32::try_from(count)?, u32::from(end)),
        )
    }

    fn request_body(&mut self, id: u32, size: usize, end: bool) -> Result<Flow> {
        self.action(
            id,
            "proxy_on_request_body",
            (id, u32::try_from(size)?, u32::from(end)),
        )
    }

    fn request_trailers(&mut self, id: u32) -> Result<Flow> {
        self.action(id, "proxy_on_request_trailers", (id, 0_u32))
    }

    fn response_headers(&mut self, id: u32, end: bool) -> Result<Flow> {
        let count = self.host().streams.get(&id).map_or(0, |s| s.response.len());
        self.action(
            id,
            "proxy_on_response_headers",
            (id, u32::try_from(count)?, u32::from(end)),
        )
    }

    fn response_body(&mut self, id: u32, size: usize, end: bool) -> Result<Flow> {
        self.action(
            id,
            "proxy_on_response_body",
            (id, u32::try_from(size)?, u32::from(end)),
        )
    }

    fn response_trailers(&mut self, id: u32) -> Result<Flow> {
        self.action(id, "proxy_on_response_trailers", (id, 0_u32))
    }

    fn answered(&mut self, owner: u32, token: u32, answer: CallAnswer) -> Result<()> {
        let context = if owner == WORKER { ROOT } else { owner };
        if let Some(status) = answer.grpc_status {
            return self.grpc_answered(context, token, status, answer.body);
        }
        let mut headers: Pairs = Vec::new();
        if let Some(status) = answer.status {
            headers.push((":status".to_owned(), status.to_string().into_bytes()));
        }
        headers.extend(
            answer
                .headers
                .iter()
                .map(|(n, v)| (n.to_owned(), v.to_vec())),
        );
        let (count, size) = (
            u32::try_from(headers.len())?,
            u32::try_from(answer.body.len())?,
        );
        self.store.data_mut().answer = Some((headers, answer.body));
        let result = self.about(
            context,
            "proxy_on_http_call_response",
            (context, token, count, size, 0_u32),
        );
        self.store.data_mut().answer = None;
        result
    }

    fn tick(&mut self) -> Result<()> {
        self.about(ROOT, "proxy_on_tick", ROOT)
    }

    fn woken(&mut self) -> Result<()> {
        self.about(ROOT, "proxy_on_queue_ready", (ROOT, 1_u32))
    }

    fn log(&mut self, id: u32) -> Result<()> {
        self.about::<_, i32>(id, "proxy_on_done", id)?;
        self.about::<_, ()>(id, "proxy_on_log", id)?;
        self.about(id, "proxy_on_delete", id)
    }
}
