//! A gateway that takes another policy while requests are held under the one before, without a restart:
//! Envoy is handed a listener with another configuration of the filter, as a control plane does it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::fs;
use std::path::PathBuf;
use std::thread;

use countersign_e2e::{Curl, Stack, StackOptions, eventually, policy};
use serde_json::{Value, json};

const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";

fn options() -> StackOptions {
    let mut shipped = policy::shipped().unwrap();
    let rule = |name: &str, folder: &str, hold: &str| {
        json!({
            "name": name, "operations": ["content.write"], "paths": [format!("docs/{folder}/**")],
            "action": "require_approval",
            "approval": { "reviewers": { "groups": ["platform-leads"] }, "hold": hold, "ticket": "10m" }
        })
    };
    shipped["rules"] = json!([rule("held", "held", "90s"), rule("brief", "brief", "1s")]);
    StackOptions {
        policy: Some(shipped.to_string()),
        // Each of them has a policy of its own to change.
        workers: Some(2),
        ..StackOptions::default()
    }
}

/// A stack whose listener comes from a file that Envoy watches.
struct Watched {
    stack: Stack,
    file: PathBuf,
}

impl Watched {
    fn start() -> Self {
        let mut stack = Stack::start_with(&options()).unwrap();
        let bootstrap = stack.folder().join("envoy.yaml");
        let text = fs::read_to_string(&bootstrap).unwrap();
        let mut whole: Value = serde_json::from_str(&text).unwrap();
        let listeners = whole["static_resources"].as_object_mut().unwrap();
        let mut listener = listeners.remove("listeners").unwrap()[0].take();
        listener["@type"] = LISTENER.into();
        let file = stack.folder().join("listeners").join("lds.json");
        fs::create_dir(file.parent().unwrap()).unwrap();
        let watched = json!({"path": file, "watched_directory": {"path": file.parent()}});
        whole["dynamic_resources"] =
            json!({"lds_config": {"resource_api_version": "V3", "path_config_source": watched}});
        fs::write(&file, json!({"resources": [listener]}).to_string()).unwrap();
        fs::write(&bootstrap, whole.to_string()).unwrap();
        stack.envoy.kill().unwrap();
        stack.restart_envoy().unwrap();
        let watched = Watched { stack, file };
        eventually("the gateway", || {
            let ready = Curl::get(watched.stack.gateway()).run().ok()?;
            (ready.status > 0).then_some(())
        })
        .unwrap();
        watched
    }

    /// Hands Envoy the same listener with another policy.
    fn take(&self, change: impl FnOnce(&mut Value)) {
        let mut whole: Value =
            serde_json::from_str(&fs::read_to_string(&self.file).unwrap()).unwrap();
        let place = concat!(
            "/resources/0/filter_chains/0/filters/0/typed_config",
            "/http_filters/0/typed_config/config/configuration/value"
        );
        change(whole.pointer_mut(place).unwrap());
        let beside = self.stack.folder().join("lds.next");
        fs::write(&beside, whole.to_string()).unwrap();
        fs::rename(beside, &self.file).unwrap();
    }

    fn write(&self, subject: &str, folder: &str) -> Curl {
        let token = self.stack.token(subject, &["agents"]).unwrap();
        let path = format!("api/v3/repos/acme/web/contents/docs/{folder}/{subject}.md");
        Curl::new("PUT", &format!("{}/{path}", self.stack.gateway()))
            .mark(subject)
            .bearer(&token)
            .json(&json!({"message": "m", "content": "aGVsZAo=", "branch": "main"}))
    }
}

fn deny(name: &'static str) -> impl FnOnce(&mut Value) {
    move |policy| {
        let rule = policy::rule(policy, name).unwrap();
        rule["action"] = "deny".into();
        rule.as_object_mut().unwrap().remove("approval");
    }
}

#[test]
fn what_is_held_when_the_policy_changes_is_sent_back_and_judged_anew() {
    let watched = Watched::start();
    let lead = watched.stack.person("lead", &["platform-leads"]).unwrap();
    let of = |subject: &str| {
        let subject = subject.to_owned();
        move |approval: &Value| approval["question"]["identity"]["subject"] == subject.as_str()
    };
    // One was approved after its caller had left with a ticket; some are held, on either worker.
    let brief = watched.write("brief", "brief");
    assert_eq!(brief.run().unwrap().reason(), "approval_pending");
    let granted = lead.get("/api/v1/approvals?state=pending").unwrap()["approvals"][0].take();
    lead.approve(&granted).unwrap();
    let subjects = ["one", "two", "three", "four"];
    thread::scope(|scope| {
        let asking = subjects.map(|subject| {
            let write = watched.write(subject, "held");
            scope.spawn(move || write.run().unwrap())
        });
        let asked = subjects.map(|subject| lead.asked(subject, of(subject)).unwrap());
        watched.take(deny("held"));
        for held in asking {
            let answer = held.join().unwrap();
            assert_eq!(answer.reason(), "policy_changed", "{}", answer.text());
            assert_eq!(answer.status, 403);
            assert!(answer.text().contains("Send it again"), "{}", answer.text());
        }
        // Reviewers are not asked in vain.
        for approval in &asked {
            let path = format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap());
            let moot = eventually("the question to be moot", || {
                let now = lead.get(&path).ok()?;
                (now["state"] == "expired").then_some(now)
            })
            .unwrap();
            let steps = moot["events"].as_array().unwrap();
            assert!(steps.iter().any(|e| e["kind"] == "outdated"), "{moot}");
            let late = lead.decide(approval, "approve", "").unwrap();
            assert_eq!(late.status, 409, "{}", late.text());
        }
    });
    // The same again is judged by the policy that is in force.
    let denied = watched.write("one", "held").run().unwrap();
    assert_eq!(denied.reason(), "rule_denied", "{}", denied.text());
    // What was granted under the other policy is not used up, though its rule is the same.
    let again = brief.run().unwrap();
    assert_eq!(again.reason(), "approval_pending", "{}", again.text());
    for subject in subjects.iter().chain(&["brief"]) {
        assert!(watched.stack.seen_by(subject).unwrap().is_empty());
    }
    let record = &lead.exchanges_of("one", 2).unwrap();
    let held = record.iter().find(|e| e["decision"] == "held_expired");
    assert_eq!(held.unwrap()["reason"], "policy_changed", "{record:?}");
}

#[test]
fn what_is_held_stays_when_the_listener_changes_and_the_policy_does_not() {
    let watched = Watched::start();
    let lead = watched.stack.person("lead", &["platform-leads"]).unwrap();
    thread::scope(|scope| {
        let write = watched.write("patient", "held");
        let held = scope.spawn(move || write.run().unwrap());
        let approval = lead.asked("the write", |_| true).unwrap();
        let listeners = || {
            let url = format!(
                "{}/stats?filter=listener_manager.lds.update_success",
                watched.stack.admin()
            );
            Curl::get(&url).run().unwrap().text()
        };
        let before = listeners();
        let mut whole: Value =
            serde_json::from_str(&fs::read_to_string(&watched.file).unwrap()).unwrap();
        whole["resources"][0]["metadata"] = json!({"filter_metadata": {"new": {"version": "2"}}});
        let beside = watched.stack.folder().join("lds.next");
        fs::write(&beside, whole.to_string()).unwrap();
        fs::rename(beside, &watched.file).unwrap();
        eventually("the other listener", || {
            (listeners() != before).then_some(())
        })
        .unwrap();
        // It is served by then, and what is held is where it was.
        let free = watched.write("free", "free").run().unwrap();
        assert_eq!(free.reason(), "", "{}", free.text());
        lead.approve(&approval).unwrap();
        let answer = held.join().unwrap();
        assert_eq!(answer.reason(), "", "{}", answer.text());
    });
    assert_eq!(watched.stack.seen_by("patient").unwrap().len(), 1);
}
