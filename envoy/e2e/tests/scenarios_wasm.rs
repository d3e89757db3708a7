//! The corpus on `countersign.wasm`, in an interpreter with a small proxy-wasm host.
#![expect(clippy::unwrap_used, reason = "every function here is a test's")]

use std::collections::BTreeMap;
use std::fs;
use std::sync::OnceLock;

use countersign_e2e::Repository;
use countersign_e2e::scenario::corpus;
use countersign_e2e::scenario::format::{Body, Request, Upstream, World};
use countersign_e2e::scenario::gateway::{Filter as _, Gateway, Variant};
use countersign_e2e::scenario::host::Host;
use countersign_e2e::scenario::play::{VARIANTS, play};
use countersign_e2e::scenario::policy;
use countersign_e2e::scenario::services::Services;
use countersign_e2e::scenario::token::{Mint, NOW_S};
use countersign_e2e::scenario::wasm::{Program, Setup, Wasm};
use serde_json::{Value, json};

/// Ways of cutting that differ in what the shell, not the engine, has to do.
const SHELL: &[&str] = &[
    "as written",
    "as written, late answers",
    "random cuts 2, trailers",
    "random cuts 3, empty end",
];

fn repository() -> Repository {
    Repository::find().unwrap()
}

/// The built module, compiled once.
fn program() -> &'static Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = repository().wasm().unwrap();
        Program::new(&fs::read(path).unwrap()).unwrap()
    })
}

fn host() -> Host {
    let services = Services::new(&repository(), &World::default()).unwrap();
    Host::new(NOW_S * 1_000_000_000, services, Vec::new())
}

fn environment() -> BTreeMap<String, String> {
    BTreeMap::from([
        (
            "GITHUB_TOKEN".to_owned(),
            "ghs-injected-by-the-gateway".to_owned(),
        ),
        (
            "COUNTERSIGN_GATEWAY_KEY".to_owned(),
            "gateway-key-of-the-scenarios".to_owned(),
        ),
    ])
}

fn gateway_policy(merge: Value) -> Value {
    let source = serde_json::from_value(json!({"merge": merge})).unwrap();
    policy::document(&repository(), &source).unwrap()
}

#[test]
fn every_scenario_holds_on_the_built_module() {
    let repository = repository();
    let scenarios = corpus::read(&repository).unwrap();
    let mut faults = Vec::new();
    let mut runs = 0;
    for scenario in scenarios.iter().filter(|s| !s.not_on.contains_key("wasm")) {
        let variants = VARIANTS.iter().filter(|v| SHELL.contains(&v.name));
        let variants: Vec<_> = variants.filter(|v| scenario.allows(v)).collect();
        // The shell does the same for every case of a scenario: one way each, in turn.
        let turn = scenario.case % variants.len();
        let variants = match scenario.case {
            0 => variants.as_slice(),
            _ => &variants[turn..=turn],
        };
        for variant in variants {
            runs += 1;
            let start = |host, policy: &Value, env: &BTreeMap<String, String>| {
                Wasm::configured(program(), host, policy, env)
            };
            if let Err(fault) = play(&repository, scenario, **variant, start) {
                faults.push(format!("{fault:#}"));
                break;
            }
        }
    }
    println!(
        "{} scenarios, {runs} runs on countersign.wasm",
        scenarios.len()
    );
    assert!(
        faults.is_empty(),
        "{} scenarios failed:\n\n{}",
        faults.len(),
        faults.join("\n\n")
    );
}

#[test]
fn an_envoy_that_loses_bytes_is_refused_and_a_good_one_is_not() {
    let policy = gateway_policy(Value::Null);
    let started = |version| {
        let setup = Setup {
            version,
            ..Setup::new(&policy, &environment())
        };
        let mut wasm = Wasm::start(program(), host(), setup).unwrap();
        (wasm.configured, wasm.host().log.join("\n"))
    };
    for old in [[1, 34, 0], [1, 36, 4], [1, 37, 5], [1, 38, 3], [1, 39, 0]] {
        let (configured, log) = started(Some(old));
        assert!(!configured, "{old:?} was taken");
        assert!(log.contains("Countersign needs Envoy"), "{old:?}: {log}");
    }
    let (configured, log) = started(None);
    assert!(
        !configured && log.contains("does not tell its version"),
        "{log}"
    );
    for good in [[1, 37, 6], [1, 38, 4], [1, 39, 1], [1, 40, 0], [2, 0, 0]] {
        let (configured, log) = started(Some(good));
        assert!(configured, "{good:?}: {log}");
    }
}

/// The SDK (proxy-wasm 0.2.5) panics on most statuses but `Ok`: the VM traps, and Envoy ends the
/// stream. Whichever way it ends, nothing is handed on.
#[test]
fn a_host_call_that_fails_forwards_nothing() {
    let policy =
        gateway_policy(json!({"masking": {"request": {"rules": ["default"], "action": "mask"}}}));
    let token = Mint::new(&repository(), NOW_S)
        .unwrap()
        .all(&Value::Null)
        .unwrap()["ada"]
        .clone();
    let secret = format!("my key is AKIA{} thanks", "Q3EGRZ7KX2ML5WTN");
    let request: Request = serde_json::from_value(json!({
        "method": "POST", "url": "https://api.github.com/repos/acme/web/issues", "token": token,
        "headers": {"x-countersign-approval": "forged"}, "body": {"json": {"title": secret}},
    }))
    .unwrap();
    for effect in [
        "set_request_header",
        "remove_request_header",
        "set_request_body",
    ] {
        let mut host = host();
        host.fails.push(effect.to_owned());
        let wasm = Wasm::configured(program(), host, &policy, &environment()).unwrap();
        let mut gateway = Gateway::new(wasm, false);
        match gateway.play(&request, &Upstream::default(), VARIANTS[0]) {
            Ok(exchange) => {
                assert!(exchange.forwarded.is_none(), "{effect}");
                assert_eq!(
                    exchange.reply.map(|reply| reply.status),
                    Some(500),
                    "{effect}"
                );
            }
            Err(trap) => assert!(trap.to_string().contains("trapped"), "{effect}: {trap:#}"),
        }
    }
}

#[test]
fn a_policy_with_faults_is_refused_with_all_of_them() {
    let policy = gateway_policy(json!({"default": "maybe", "colour": "red"}));
    let mut wasm = Wasm::start(program(), host(), Setup::new(&policy, &environment())).unwrap();
    assert!(!wasm.configured);
    let log = wasm.host().log.join("\n");
    assert!(log.contains("default:") && log.contains("colour:"), "{log}");

    let mut poor = Setup::new(&gateway_policy(Value::Null), &BTreeMap::new());
    poor.environment
        .insert("GITHUB_TOKEN".to_owned(), "short".to_owned());
    let mut wasm = Wasm::start(program(), host(), poor).unwrap();
    assert!(!wasm.configured);
    let log = wasm.host().log.join("\n");
    assert!(
        log.contains("secrets.github") && log.contains("COUNTERSIGN_GATEWAY_KEY"),
        "{log}"
    );
}

/// A worker lives as long as Envoy: what an exchange takes it has to give back.
#[test]
fn memory_does_not_grow_with_exchanges() {
    const WARM_UP: usize = 200;
    const EXCHANGES: usize = 2_000;
    let policy = gateway_policy(json!({
        "masking": {"request": {"rules": ["default"], "action": "mask"}, "response": {"rules": ["default"], "action": "mask"}},
        "rules": [{"name": "main", "operations": ["ref.push"], "refs": ["refs/heads/main"], "action": "deny"}],
        "audit": {"delivery": "strict"},
    }));
    let wasm = Wasm::configured(program(), host(), &policy, &environment()).unwrap();
    let mut gateway = Gateway::new(wasm, false);
    let token = Mint::new(&repository(), NOW_S)
        .unwrap()
        .all(&Value::Null)
        .unwrap()["ada"]
        .clone();
    let request = |method: &str, url: &str, body: Body| Request {
        method: method.to_owned(),
        url: url.to_owned(),
        token: Some(token.clone()),
        headers: BTreeMap::new(),
        body,
        trailers: BTreeMap::new(),
        leaves: false,
        open: false,
    };
    let issue = Body {
        json: Some(json!({"title": "hello", "body": "word ".repeat(300)})),
        ..Body::default()
    };
    let push = serde_json::from_value(
        json!({"push": {"commands": ["update refs/heads/main"], "pack": 2000}}),
    )
    .unwrap();
    let requests = [
        request(
            "GET",
            "https://api.github.com/repos/acme/web",
            Body::default(),
        ),
        request(
            "POST",
            "https://api.github.com/repos/acme/web/issues",
            issue,
        ),
        request(
            "POST",
            "https://github.com/acme/web.git/git-receive-pack",
            push,
        ),
    ];
    let play = |gateway: &mut Gateway<Wasm>, count: usize| -> usize {
        let whole: Variant = VARIANTS[0];
        let requests = requests.iter().cycle().take(count);
        requests
            .filter(|request| {
                gateway
                    .play(request, &Upstream::default(), whole)
                    .unwrap()
                    .forwarded
                    .is_some()
            })
            .count()
    };
    play(&mut gateway, WARM_UP);
    let before = gateway.filter.pages().unwrap();
    let forwarded = play(&mut gateway, EXCHANGES);
    let after = gateway.filter.pages().unwrap();
    println!("{EXCHANGES} exchanges, {forwarded} forwarded: {before} pages before, {after} after");
    // Two of three are allowed; every one of them was recorded before and after.
    assert!((EXCHANGES * 2 / 3..=EXCHANGES * 2 / 3 + 1).contains(&forwarded));
    assert!(gateway.filter.host().services.records.len() >= EXCHANGES + forwarded);
    // The cache of verified identities and the queue have their room after the warm-up; 128 KiB are
    // for the allocator's fragments.
    assert!(
        after <= before + 2,
        "memory grew from {before} to {after} pages"
    );
}
