//! git as agents run it: clones, pushes, holds, refusals.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::os::unix::process::CommandExt as _;
use std::thread;

use countersign_e2e::git::{self, Clone, Told, told, upstream_ref};
use countersign_e2e::{Curl, Person, Shared, Stack, StackOptions, eventually, policy};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// The shipped policy, in which `release/*` is held for a moment only.
static SHARED: Shared = Shared::new(|| {
    let mut shipped = policy::shipped()?;
    let mut release = policy::rule(&mut shipped, "production-branch")?.clone();
    release["name"] = "release-branch".into();
    release["refs"] = json!(["refs/heads/release/*"]);
    release["approval"]["hold"] = "3s".into();
    policy::rule(&mut shipped, "production-branch")?["refs"] = json!(["refs/heads/main"]);
    if let Some(rules) = shipped["rules"].as_array_mut() {
        rules.push(release);
    }
    Ok(StackOptions {
        policy: Some(shipped.to_string()),
        ..StackOptions::default()
    })
});

fn lead(stack: &Stack, name: &str) -> Person {
    stack.person(name, &["platform-leads"]).unwrap()
}

/// Whether a held question is about this push.
fn about(reference: &str, subject: &str) -> impl Fn(&Value) -> bool {
    move |approval| {
        let question = &approval["question"];
        question["identity"]["subject"] == subject
            && question["operations"]
                .as_array()
                .is_some_and(|all| all.iter().any(|o| o["ref"] == reference))
    }
}

/// Pushes in a thread of its own while `answer` runs; returns what git said.
fn push_while(clone: &Clone, arguments: &[&str], answer: impl FnOnce()) -> Told {
    thread::scope(|scope| {
        let push = scope.spawn(|| clone.git(arguments).unwrap());
        answer();
        push.join().unwrap()
    })
}

/// POSTs with commands or a pack that reached the upstream.
fn pushed(stack: &Stack, mark: &str) -> Vec<Value> {
    let seen = stack.seen_by(mark).unwrap();
    let posts = seen.into_iter().filter(|r| {
        r["method"] == "POST"
            && r["path"]
                .as_str()
                .is_some_and(|p| p.ends_with("git-receive-pack"))
    });
    posts.collect()
}

#[test]
fn a_feature_branch_is_cloned_changed_and_pushed() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("feature", &["agents"]).unwrap();
    let clone = Clone::of(&stack, "web", &token, "git-feature").unwrap();
    assert!(clone.folder().join("README.md").is_file());
    clone.branch("agents/feature").unwrap();
    let commit = clone.commit("src/new.rs", b"pub fn new() {}\n").unwrap();
    let told = clone.git(&["push", "origin", "HEAD"]).unwrap();
    assert_eq!(told.code, 0, "{}", told.text);
    let there = upstream_ref(&stack, "web", "refs/heads/agents/feature").unwrap();
    assert_eq!(there, Some(commit));
    let seen = pushed(&stack, "git-feature");
    assert!(!seen.is_empty());
    let shown = json!(seen).to_string();
    assert!(!shown.contains(&token), "the agent's token went upstream");
    let fetched = clone.git(&["fetch", "origin"]).unwrap();
    assert_eq!(fetched.code, 0, "{}", fetched.text);
}

#[test]
fn a_push_to_main_waits_for_its_approval_and_then_moves_the_branch() {
    let stack = SHARED.get().unwrap();
    let lead = lead(&stack, "ann");
    let token = stack.token("to-main", &["agents"]).unwrap();
    let clone = Clone::of(&stack, "docs", &token, "git-main").unwrap();
    let before = upstream_ref(&stack, "docs", "refs/heads/main").unwrap();
    let commit = clone.commit("src/more.md", b"# More\n").unwrap();
    let told = push_while(&clone, &["push", "origin", "main"], || {
        let approval = lead
            .asked("the push to main", about("refs/heads/main", "to-main"))
            .unwrap();
        let question = &approval["question"];
        assert_eq!(question["rule"], "production-branch");
        assert_eq!(question["operations"][0]["name"], "ref.push");
        assert_eq!(question["operations"][0]["repo"], "acme/docs");
        // Nothing has gone upstream, and nobody can answer who is not asked.
        assert!(
            pushed(&stack, "git-main").is_empty(),
            "forwarded while it is held"
        );
        assert_eq!(
            upstream_ref(&stack, "docs", "refs/heads/main").unwrap(),
            before
        );
        let other = stack.person("olaf", &["marketing"]).unwrap();
        let refused = other.decide(&approval, "approve", "please").unwrap();
        assert_eq!(refused.status, 403, "{}", refused.text());
        let own = stack.person("to-main", &["platform-leads"]).unwrap();
        let refused = own.decide(&approval, "approve", "mine").unwrap();
        assert_eq!(refused.status, 403, "{}", refused.text());
        lead.approve(&approval).unwrap();
    });
    assert_eq!(told.code, 0, "{}", told.text);
    assert_eq!(
        upstream_ref(&stack, "docs", "refs/heads/main").unwrap(),
        Some(commit)
    );
    eventually("the record of the approved push", || {
        let records = lead.records_of("git-main").ok()?;
        let held = records.iter().find(|r| r["decision"] == "held_approved")?;
        (held["outcome"]["countersign.approval.by"] == "ann").then_some(())
    })
    .unwrap();
}

#[test]
fn a_refused_push_tells_who_refused_and_why() {
    let stack = SHARED.get().unwrap();
    let lead = lead(&stack, "bea");
    let token = stack.token("refused", &["agents"]).unwrap();
    let clone = Clone::of(&stack, "api", &token, "git-refused").unwrap();
    let before = upstream_ref(&stack, "api", "refs/heads/main").unwrap();
    clone.commit("src/bad.rs", b"fn bad() {}\n").unwrap();
    let told = push_while(&clone, &["push", "origin", "main"], || {
        let approval = lead
            .asked("the push to main", about("refs/heads/main", "refused"))
            .unwrap();
        lead.refuse(&approval, "Not on a Friday.").unwrap();
    });
    assert_eq!(told.code, 1, "{}", told.text);
    assert!(
        told.text
            .contains("remote: Refused by bea: Not on a Friday."),
        "{}",
        told.text
    );
    assert!(told.text.contains("[remote rejected]"), "{}", told.text);
    assert!(
        !told.text.contains("Everything up-to-date"),
        "{}",
        told.text
    );
    assert_eq!(
        upstream_ref(&stack, "api", "refs/heads/main").unwrap(),
        before
    );
    assert!(pushed(&stack, "git-refused").is_empty());
}

#[test]
fn an_unanswered_push_gets_a_ticket_and_passes_once_when_it_is_approved() {
    let stack = SHARED.get().unwrap();
    let lead = lead(&stack, "cleo");
    let token = stack.token("ticket", &["agents"]).unwrap();
    let clone = Clone::of(&stack, "web", &token, "git-ticket").unwrap();
    clone.branch("release/1").unwrap();
    let commit = clone.commit("CHANGES", b"1\n").unwrap();
    let push = ["push", "origin", "release/1"];

    let first = clone.git(&push).unwrap();
    assert_eq!(first.code, 1, "{}", first.text);
    for part in [
        "nobody has answered yet",
        "Approval: http",
        "send the same request again",
        "[remote rejected]",
    ] {
        assert!(first.text.contains(part), "no `{part}` in {}", first.text);
    }
    assert!(pushed(&stack, "git-ticket").is_empty());

    let open = lead.get("/api/v1/approvals?state=pending").unwrap();
    let mut open = open["approvals"].as_array().unwrap().iter();
    let which = about("refs/heads/release/1", "ticket");
    let approval = open.find(|a| which(a)).unwrap();
    let id = approval["id"].as_str().unwrap();
    assert!(first.text.contains(id), "the link names the question");
    lead.approve(approval).unwrap();

    let second = clone.git(&push).unwrap();
    assert_eq!(second.code, 0, "{}", second.text);
    let there = upstream_ref(&stack, "web", "refs/heads/release/1").unwrap();
    assert_eq!(there, Some(commit));
    let now = lead.get(&format!("/api/v1/approvals/{id}")).unwrap();
    assert_eq!(now["state"], "consumed", "{now}");

    // The same commands again (the branch was put back) need another approval.
    let bare = stack.bare("web");
    let mut back = git::plain();
    back.arg("--git-dir").arg(&bare);
    let back = told(back.args(["update-ref", "-d", "refs/heads/release/1"])).unwrap();
    assert_eq!(back.code, 0, "{}", back.text);
    let third = clone.git(&push).unwrap();
    assert_eq!(third.code, 1, "an approval passed twice: {}", third.text);
}

#[test]
fn deleting_main_is_held_like_any_change_of_it() {
    let stack = SHARED.get().unwrap();
    let lead = lead(&stack, "dora");
    let token = stack.token("deleter", &["agents"]).unwrap();
    let clone = Clone::of(&stack, "web", &token, "git-delete").unwrap();
    let before = upstream_ref(&stack, "web", "refs/heads/main").unwrap();
    let told = push_while(&clone, &["push", "origin", ":main"], || {
        let approval = lead
            .asked("the delete of main", about("refs/heads/main", "deleter"))
            .unwrap();
        let change = &approval["question"]["operations"][0]["attributes"]["change"];
        assert_eq!(change, "delete", "{approval}");
        lead.refuse(&approval, "Never.").unwrap();
    });
    assert_eq!(told.code, 1, "{}", told.text);
    assert_eq!(
        upstream_ref(&stack, "web", "refs/heads/main").unwrap(),
        before
    );
}

#[test]
fn several_refs_are_judged_together_and_none_moves_alone() {
    let stack = SHARED.get().unwrap();
    let lead = lead(&stack, "emil");
    let token = stack.token("several", &["agents"]).unwrap();
    let clone = Clone::of(&stack, "api", &token, "git-several").unwrap();
    let main = upstream_ref(&stack, "api", "refs/heads/main").unwrap();
    clone.commit("src/two.rs", b"fn two() {}\n").unwrap();
    let refs = ["push", "origin", "HEAD:refs/heads/agents/one", "HEAD:main"];
    let told = push_while(&clone, &refs, || {
        let approval = lead
            .asked("the push", about("refs/heads/main", "several"))
            .unwrap();
        assert_eq!(
            approval["question"]["operations"].as_array().unwrap().len(),
            2
        );
        lead.refuse(&approval, "One at a time.").unwrap();
    });
    assert_eq!(told.code, 1, "{}", told.text);
    assert_eq!(
        told.text.matches("[remote rejected]").count(),
        2,
        "{}",
        told.text
    );
    assert_eq!(
        upstream_ref(&stack, "api", "refs/heads/main").unwrap(),
        main
    );
    let one = upstream_ref(&stack, "api", "refs/heads/agents/one").unwrap();
    assert_eq!(one, None);

    let branches = [
        "push",
        "origin",
        "HEAD:refs/heads/agents/one",
        "HEAD:refs/heads/agents/two",
    ];
    let told = clone.git(&branches).unwrap();
    assert_eq!(told.code, 0, "{}", told.text);
    let two = upstream_ref(&stack, "api", "refs/heads/agents/two").unwrap();
    assert!(two.is_some());
}

/// Bytes that no compression makes smaller, different for every seed.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

#[test]
fn a_pack_larger_than_every_buffer_streams_through_or_is_answered_readably() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("large", &["agents"]).unwrap();
    let clone = Clone::of(&stack, "docs", &token, "git-large").unwrap();
    clone.branch("agents/large").unwrap();
    let commit = clone.commit("large.bin", &noise(7, 48 << 20)).unwrap();
    let mut told = clone.git(&["push", "origin", "HEAD"]).unwrap();
    for _ in 0..2 {
        // Where writing the request's record takes longer than git needs for the first 32 MiB, the push is
        // refused readably, and can be sent again.
        if told.code == 0 || !told.text.contains("outgrew the gateway's buffer") {
            break;
        }
        told = clone.git(&["push", "origin", "HEAD"]).unwrap();
    }
    assert_eq!(told.code, 0, "{}", told.text);
    let there = upstream_ref(&stack, "docs", "refs/heads/agents/large").unwrap();
    assert_eq!(there, Some(commit));

    // To a held branch the pack can not wait in the buffer; its sender is told so.
    clone.commit("larger.bin", &noise(8, 48 << 20)).unwrap();
    let told = clone
        .git(&["push", "origin", "HEAD:refs/heads/release/large"])
        .unwrap();
    assert_eq!(told.code, 1, "{}", told.text);
    assert!(
        told.text.contains("too large to be held") || told.text.contains("outgrew"),
        "{}",
        told.text
    );
    for part in ["remote: [Countersign:", "[remote rejected]"] {
        assert!(told.text.contains(part), "no `{part}` in {}", told.text);
    }
    let held = upstream_ref(&stack, "docs", "refs/heads/release/large").unwrap();
    assert_eq!(held, None);
}

#[test]
fn without_a_token_git_is_asked_for_one_and_its_credential_helper_gives_it() {
    let stack = SHARED.get().unwrap();
    let url = format!("{}/acme/web.git", stack.gateway());
    let refs = format!("{url}/info/refs?service=git-upload-pack");
    let asked = Curl::get(&refs).mark("git-anonymous").run().unwrap();
    assert_eq!(asked.status, 401, "{}", asked.text());
    let challenge = asked.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Basic realm="), "{challenge}");
    assert!(stack.seen_by("git-anonymous").unwrap().is_empty());

    let refused = told(git::plain().args(["ls-remote", &url])).unwrap();
    assert_eq!(refused.code, 128, "{}", refused.text);

    let token = stack.token("helped", &["agents"]).unwrap();
    let helper = format!(
        "credential.helper=!f() {{ echo username=x-access-token; echo password={token}; }}; f"
    );
    let told = told(git::plain().args(["-c", &helper, "ls-remote", &url])).unwrap();
    assert_eq!(told.code, 0, "{}", told.text);
    assert!(told.text.contains("refs/heads/main"), "{}", told.text);
}

#[test]
fn a_git_client_that_goes_away_takes_its_question_with_it() {
    let stack = SHARED.get().unwrap();
    let lead = lead(&stack, "gus");
    let token = stack.token("gone", &["agents"]).unwrap();
    let clone = Clone::of(&stack, "web", &token, "git-gone").unwrap();
    clone.commit("gone.md", b"gone\n").unwrap();
    // A group of its own: git's helper process holds the connection, and goes with it.
    let mut push = clone
        .command(&["push", "origin", "main"])
        .process_group(0)
        .spawn()
        .unwrap();
    let approval = lead
        .asked("the push", about("refs/heads/main", "gone"))
        .unwrap();
    let group = Pid::from_raw(i32::try_from(push.id()).unwrap());
    killpg(group, Signal::SIGKILL).unwrap();
    push.wait().unwrap();
    let path = format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap());
    eventually("nobody to wait any more", || {
        (lead.get(&path).ok()?["waiting"] == false).then_some(())
    })
    .unwrap();
    let now = lead.get(&path).unwrap();
    let until = now["hold_until"].as_str().unwrap();
    let noticed = now["events"].as_array().unwrap().last().unwrap()["at"]
        .as_str()
        .unwrap();
    assert!(noticed < until, "only the hold's end was noticed: {now}");
    assert!(pushed(&stack, "git-gone").is_empty());
}
