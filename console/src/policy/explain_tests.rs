//! What the shipped guardrails make of requests, as a person reads it.

use serde_json::Value;

use super::*;
use crate::policy::check;
use crate::policy::layout::{self, Style};
use crate::policy::request_file;

/// 21 November 2026, 09:30 UTC.
const AT: Now = Now(1_795_253_400_000_000_000);

fn guardrails() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/github/policy.yaml"
    );
    check::compiled_file(std::path::Path::new(path)).unwrap()
}

fn explained(document: &Value, request: &str, groups: &[&str]) -> Explanation {
    let asking = Asking {
        subject: "agent-7".to_owned(),
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        claims: vec![("sid".to_owned(), serde_json::json!("s-1"))],
        at: AT,
    };
    let request = request_file::parse(request.as_bytes()).unwrap();
    explain(document, &request, &asking).unwrap()
}

fn text(explanation: &Explanation) -> String {
    layout::text(explanation, Style::new(false))
}

const MERGE: &str = "POST /repos/acme/web/merges HTTP/1.1\nHost: api.github.com\n\n{\"base\":\"main\",\"head\":\"agent/fix\"}\n";

#[test]
fn a_denial_tells_operation_rule_condition_and_answer() {
    let explanation = explained(&guardrails(), MERGE, &["agents"]);
    let text = text(&explanation);
    for part in [
        "POST api.github.com/repos/acme/web/merges\n",
        "connection  github-api (protocol github)\n",
        "caller      agent-7, in agents, sid=s-1\n",
        "operation   ref.update (write)\n",
        "  also      github:repos/merge, ref.push\n",
        "  repo      acme/web\n",
        "  ref       refs/heads/main\n",
        "  rule everyday          applies: allow\n",
        "  rule suspended         no, for its groups\n",
        "  rule our-organisation  no, for its owners\n",
        "  rule main              applies: deny\n",
        "  rule tags              no, for its refs\n",
        "verdict     deny, by the rule main, rule_denied\n",
        "The caller reads\n  HTTP 403\n  content-type: application/json",
        "main changes by pull request",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no colours unless asked for");
    assert!(layout::text(&explanation, Style::new(true)).contains("\u{1b}[31mdeny\u{1b}[0m"));
}

#[test]
fn what_is_allowed_has_no_answer() {
    let read = "GET /repos/acme/web HTTP/1.1\nHost: api.github.com\nAuthorization: Bearer old\n\n";
    let explanation = explained(&guardrails(), read, &["agents"]);
    assert_eq!(
        (explanation.verdict, explanation.rule.as_deref()),
        ("allow", Some("everyday"))
    );
    assert_eq!(explanation.reply, None);
    let stranger = explained(&guardrails(), read, &[]);
    assert_eq!(stranger.verdict, "deny");
    assert!(text(&stranger).contains("verdict     deny, default_denied\n"));
}

#[test]
fn a_held_push_tells_who_is_asked_and_what_git_shows_meanwhile() {
    let command = format!(
        "{} {} refs/heads/agent/fix\0 report-status side-band-64k",
        "1".repeat(40),
        "2".repeat(40)
    );
    let push = format!(
        "POST /acme/web.git/git-receive-pack HTTP/1.1\r\nHost: github.com\r\nContent-Type: application/x-git-receive-pack-request\r\n\r\n{:04x}{command}0000PACK",
        command.len() + 4
    );
    let explanation = explained(&guardrails(), &push, &["agents"]);
    let text = text(&explanation);
    assert_eq!(explanation.verdict, "require_approval", "{text}");
    for part in [
        "  paths     not told by the request\n",
        "  rule workflows         might apply (paths_unknown): require_approval\n",
        "asked       1 of platform-leads; held for 45 s, the ticket holds for 15 min\n",
        "While nobody answers, the caller reads\n  HTTP 200\n",
        "ng refs/heads/agent/fix",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn what_cannot_be_read_or_reached_is_explained_too() {
    let document = guardrails();
    let broken = MERGE.replace("\"head\"", "\"base\"");
    let explanation = explained(&document, &broken, &["agents"]);
    assert_eq!(explanation.verdict, "undecided");
    assert!(text(&explanation).contains("body_unreadable"));
    let elsewhere = MERGE.replace("api.github.com", "example.com");
    let explanation = explained(&document, &elsewhere, &["agents"]);
    assert!(text(&explanation).contains("connection  none has this host and path\n"));
    assert_eq!(explanation.reply.map(|reply| reply.status), Some(404));
}

#[test]
fn json_has_all_of_it() {
    let json = explained(&guardrails(), MERGE, &["agents"]).to_json();
    assert_eq!(json["connection"]["name"], "github-api");
    assert_eq!(json["operations"][0]["ref"], "refs/heads/main");
    assert_eq!(
        json["verdict"],
        serde_json::json!({"action": "deny", "rule": "main", "reason": "rule_denied", "detail": null, "observed": false})
    );
    assert_eq!(json["reply"]["status"], 403);
    let rules = json["rules"].as_array().unwrap();
    let main = rules.iter().find(|rule| rule["name"] == "main").unwrap();
    assert_eq!(main["operations"][0], serde_json::json!({"applies": "yes"}));
    let tags = rules.iter().find(|rule| rule["name"] == "tags").unwrap();
    assert_eq!(
        tags["operations"][0],
        serde_json::json!({"applies": "no", "because": "refs"})
    );
}

#[test]
fn an_observing_policy_says_what_it_would_do() {
    let mut document = guardrails();
    document["mode"] = serde_json::json!("observe");
    let explanation = explained(&document, MERGE, &["agents"]);
    assert!(explanation.observed);
    assert!(text(&explanation).contains("would be recorded and let through"));
}
