//! The filter in the wrong place: traps, an Envoy that is too old or badly configured, a bad policy.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use countersign_e2e::stack::run;
use countersign_e2e::{Curl, Repository, Stack, StackOptions, eventually, policy};
use serde_json::{Value, json};

/// Where the filter's configuration is in the bootstrap that Envoy gets.
const PLUGIN: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config";

fn edit(bootstrap: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut bootstrap: Value = serde_json::from_str(bootstrap).unwrap();
    change(bootstrap.pointer_mut(PLUGIN).unwrap());
    bootstrap.to_string()
}

fn get(stack: &Stack, token: &str, path: &str, mark: &str) -> Curl {
    Curl::get(&format!("{}{path}", stack.gateway()))
        .mark(mark)
        .bearer(token)
}

/// The filter with a fault built in: built here, because no shipped module may have one.
fn module_with_fault() -> PathBuf {
    let repository = Repository::find().unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || repository.path("target"),
        |folder| repository.path("").join(folder),
    );
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(repository.path(""))
        .args(["build", "--quiet", "--locked", "-p", "countersign-filter"])
        .args([
            "--features",
            "fault-injection",
            "--target",
            "wasm32-wasip1",
            "--target-dir",
        ])
        .arg(&target)
        .env("RUSTFLAGS", "-C target-feature=+simd128 -C debuginfo=0");
    run(&mut cargo).unwrap();
    target.join("wasm32-wasip1/debug/countersign.wasm")
}

#[test]
fn a_worker_that_traps_recovers_and_lets_nothing_through_meanwhile() {
    let options = StackOptions {
        wasm: Some(module_with_fault()),
        ..StackOptions::default()
    };
    let stack = Stack::start_with(&options).unwrap();
    let lead = stack.person("lead", &["platform-leads"]).unwrap();
    let token = stack.token("agent-7", &["agents"]).unwrap();
    let fine = get(&stack, &token, "/api/v3/user", "before-trap");
    assert_eq!(fine.run().unwrap().status, 200);

    thread::scope(|scope| {
        // A bystander on the same worker, whose request has gone upstream already.
        let slow = get(&stack, &token, "/api/v3/user", "bystander").simulate("slow=8000");
        let bystander = scope.spawn(move || slow.run().unwrap());
        stack.await_seen("bystander").unwrap();
        let trap = get(&stack, &token, "/api/v3/user", "trap").header("x-trap", "1");
        let trapped = trap.run().unwrap();
        assert_eq!(trapped.status, 503, "{}", trapped.text());
        assert!(stack.seen_by("trap").unwrap().is_empty());
        let lost = bystander.join().unwrap();
        assert_eq!(lost.status, 503, "{}", lost.text());
    });
    assert!(
        stack.envoy.log().contains("countersign: panicked at"),
        "the log says where"
    );

    // The bystander's request is on record although its stream has lost its filter.
    let records = lead.records_of("bystander").unwrap();
    assert!(!records[0]["request"].is_null(), "{records:?}");
    assert!(records[0]["outcome"].is_null(), "{records:?}");

    eventually("a fresh VM", || {
        let mark = "after-trap";
        let fine = get(&stack, &token, "/api/v3/user", mark).run().ok()?;
        // Until then it is closed, never open: what is not judged is not forwarded.
        if fine.status != 200 {
            assert_eq!(fine.status, 503);
            assert!(stack.seen_by(mark).ok()?.is_empty());
        }
        (fine.status == 200).then_some(())
    })
    .unwrap();
    let denied = Curl::new(
        "DELETE",
        &format!("{}/api/v3/repos/acme/web", stack.gateway()),
    )
    .mark("judged-again")
    .bearer(&token)
    .run()
    .unwrap();
    assert_eq!(denied.status, 403, "{}", denied.text());
    assert!(stack.seen_by("judged-again").unwrap().is_empty());
    let anonymous = Curl::get(&format!("{}/api/v3/user", stack.gateway()));
    assert_eq!(anonymous.run().unwrap().status, 401);
}

#[test]
fn the_shipped_module_has_no_such_fault() {
    let stack = Stack::start().unwrap();
    let token = stack.token("agent-7", &["agents"]).unwrap();
    let answer = get(&stack, &token, "/api/v3/user", "no-trap")
        .header("x-trap", "1")
        .run()
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn an_envoy_that_holds_bodies_back_is_noticed_and_nothing_is_forwarded() {
    let mut shipped = policy::shipped().unwrap();
    shipped["limits"]["first_body"] = "500ms".into();
    let options = StackOptions {
        policy: Some(shipped.to_string()),
        edit_bootstrap: Some(|text| {
            edit(&text, |plugin| {
                plugin["allow_on_headers_stop_iteration"] = false.into();
            })
        }),
        ..StackOptions::default()
    };
    let stack = Stack::start_with(&options).unwrap();
    let token = stack.token("agent-7", &["agents"]).unwrap();
    let answer = Curl::new(
        "POST",
        &format!("{}/api/v3/repos/acme/web/issues", stack.gateway()),
    )
    .mark("no-header-pause")
    .bearer(&token)
    .json(&json!({ "title": "hello" }))
    .run()
    .unwrap();
    assert_eq!(
        (answer.status, answer.reason()),
        (500, "header_pause_missing"),
        "{}",
        answer.text()
    );
    assert!(
        answer.text().contains("allow_on_headers_stop_iteration"),
        "{}",
        answer.text()
    );
    assert!(stack.seen_by("no-header-pause").unwrap().is_empty());
}

#[test]
fn a_bad_policy_keeps_envoy_from_starting_and_every_error_is_listed() {
    let options = StackOptions {
        edit_bootstrap: Some(|text| {
            edit(&text, |plugin| {
                let policy = &mut plugin["configuration"]["value"];
                policy["surprise"] = true.into();
                policy["rules"][0]["operation"] = json!(["repo.delete"]);
                policy["audit"]["delivery"] = "sometimes".into();
            })
        }),
        ..StackOptions::default()
    };
    let refused = Stack::start_with(&options).unwrap_err();
    let told = format!("{refused:#}");
    for part in [
        "configuration refused",
        "surprise",
        "rules[0].operation",
        "audit.delivery",
    ] {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
}

#[test]
fn a_secret_that_envoy_was_not_given_keeps_it_from_starting() {
    let options = StackOptions {
        edit_bootstrap: Some(|text| {
            edit(&text, |plugin| {
                plugin["vm_config"]["environment_variables"]["host_env_keys"] =
                    json!(["COUNTERSIGN_GATEWAY_KEY"]);
            })
        }),
        ..StackOptions::default()
    };
    let refused = format!("{:#}", Stack::start_with(&options).unwrap_err());
    assert!(refused.contains("GITHUB_TOKEN"), "{refused}");
}

/// `$ENVOY_OLD_BIN`, or the one that `scripts/setup --test` installs for this.
fn refused_envoy() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("ENVOY_OLD_BIN") {
        return Some(PathBuf::from(path));
    }
    let library = Repository::find().unwrap().path(".tools/envoy-refused/lib");
    let mut pythons = std::fs::read_dir(library).ok()?.flatten();
    pythons.find_map(|python| {
        let path = python.path().join("site-packages/envoy/_bin/envoy");
        path.is_file().then_some(path)
    })
}

#[test]
fn an_envoy_that_may_lose_bytes_is_refused_by_its_version() {
    let Some(old) = refused_envoy() else {
        println!("skipped: no Envoy 1.39.0 (scripts/setup --test, or ENVOY_OLD_BIN)");
        return;
    };
    let options = StackOptions {
        envoy: Some(old),
        ..StackOptions::default()
    };
    let refused = format!("{:#}", Stack::start_with(&options).unwrap_err());
    assert!(refused.contains("Countersign needs Envoy"), "{refused}");
}
