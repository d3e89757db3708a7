//! What was seen against what was expected, and against the promises of every exchange.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use anyhow::{Context, Result, bail, ensure};
use countersign_core::protocol::{Vocabulary, vocabulary};
use serde_json::Value;

use super::format::{Expect, Forwarded, Reply, Request, Response, Scenario, Upstream};
use super::host::{LocalReply, Pairs};
use super::seen::{Exchange, Received, Seen, Sent, header};
use super::subset::missing;

/// Compares the whole of a scenario.
///
/// # Errors
/// The first difference.
pub fn check(scenario: &Scenario, policy: &Value, secrets: &[String], seen: &Seen) -> Result<()> {
    ensure!(
        seen.exchanges.len() == scenario.steps.len(),
        "not every exchange was played"
    );
    for (index, (step, exchange)) in scenario.steps.iter().zip(&seen.exchanges).enumerate() {
        let records: Vec<&Value> = seen
            .records
            .iter()
            .filter(|r| r["countersign.exchange.id"] == exchange.id.as_str())
            .collect();
        let all = || -> Result<()> {
            expected(&step.expect, &step.request, &step.upstream, exchange)?;
            if let Some(wanted) = &step.expect.records {
                let found = Value::Array(records.iter().map(|r| (*r).clone()).collect());
                same(&Value::Array(wanted.clone()), &found).context("records")?;
            }
            if let Some(wanted) = &step.expect.asked {
                let own = |q: &&Value| q["body"]["exchange"] == exchange.id.as_str();
                let found = Value::Array(seen.asked.iter().filter(own).cloned().collect());
                same(&Value::Array(wanted.clone()), &found).context("questions")?;
            }
            promises(exchange, &step.request, policy, seen)
        };
        all().with_context(|| format!("step {}", index + 1))?;
    }
    if let Some(counters) = &seen.counters {
        for (name, wanted) in &scenario.counters {
            let found = counters
                .get(&format!("countersign.{name}"))
                .copied()
                .unwrap_or_default();
            ensure!(found == *wanted, "counter {name} is {found}, not {wanted}");
        }
    }
    ledger(seen)?;
    named(seen)?;
    nothing_leaks(secrets, seen)
}

fn expected(
    expect: &Expect,
    request: &Request,
    upstream: &Upstream,
    seen: &Exchange,
) -> Result<()> {
    let kinds = [
        expect.reply.is_some(),
        expect.forwarded.is_some(),
        expect.unanswered,
    ];
    ensure!(kinds.contains(&true), "the scenario expects nothing");
    match (&expect.reply, &seen.reply) {
        (Some(wanted), Some(found)) => reply(wanted, found).context("reply")?,
        (Some(_), None) => bail!(
            "forwarded, where an answer was expected: {:?}",
            seen.summary
        ),
        (None, Some(found)) => bail!(
            "answered: {} {}",
            found.status,
            String::from_utf8_lossy(&found.body)
        ),
        (None, None) => {}
    }
    match (&expect.forwarded, &seen.forwarded) {
        (Some(wanted), Some(found)) => forwarded(wanted, request, found).context("forwarded")?,
        (Some(_), None) => bail!("not forwarded: {:?}", seen.summary),
        (None, Some(_)) => bail!("forwarded: {:?}", seen.summary),
        (None, None) => {}
    }
    match (&expect.response, &seen.response) {
        (Some(wanted), Some(found)) => response(wanted, upstream, found).context("response")?,
        (Some(_), None) => bail!("no response"),
        (None, Some(found)) => ensure!(!found.reset, "the response was cut"),
        (None, None) => {}
    }
    match &expect.summary {
        // Not every runner sees the access log.
        Some(wanted) if !seen.summary.is_null() => same(wanted, &seen.summary).context("summary"),
        Some(_) | None => Ok(()),
    }
}

fn reply(wanted: &Reply, found: &LocalReply) -> Result<()> {
    let body = String::from_utf8_lossy(&found.body);
    ensure!(
        wanted.status == found.status,
        "status {}: {body}",
        found.status
    );
    let reason = header(&found.headers, "x-countersign-reason");
    ensure!(
        reason.as_deref() == Some(wanted.reason.as_str()),
        "reason {reason:?}: {body}"
    );
    for (name, part) in &wanted.headers {
        let value = header(&found.headers, name).with_context(|| format!("no {name}"))?;
        ensure!(value.contains(part.as_str()), "{name}: {value}");
    }
    absent(&wanted.absent, &found.headers)?;
    if let Some(json) = &wanted.json {
        same(
            json,
            &serde_json::from_slice(&found.body).with_context(|| body.to_string())?,
        )?;
    }
    texts(&wanted.has, &wanted.lacks, &found.body)?;
    if !wanted.git.is_empty() {
        let told = git_text(&found.body).with_context(|| body.to_string())?;
        for line in &wanted.git {
            ensure!(
                told.contains(line.as_str()),
                "git would not print {line:?} but\n{told}"
            );
        }
    }
    Ok(())
}

fn forwarded(wanted: &Forwarded, request: &Request, found: &Sent) -> Result<()> {
    let is = |name: &str, wanted: &Option<String>| -> Result<()> {
        let value = header(&found.headers, name);
        ensure!(
            wanted.is_none() || wanted.as_deref() == value.as_deref(),
            "{name} is {value:?}"
        );
        Ok(())
    };
    is(":method", &wanted.method)?;
    is(":path", &wanted.path)?;
    for (name, value) in &wanted.headers {
        is(name, &Some(value.clone()))?;
    }
    absent(&wanted.absent, &found.headers)?;
    body(
        &wanted.body,
        wanted.body_as_sent,
        &request.body.pieces()?.concat(),
        &found.body,
    )?;
    if let Some(json) = &wanted.json {
        same(json, &serde_json::from_slice(&found.body)?)?;
    }
    texts(&wanted.has, &wanted.lacks, &found.body)?;
    if let Some(length) = header(&found.headers, "content-length") {
        ensure!(
            length.parse() == Ok(found.body.len()),
            "content-length {length} for {} bytes",
            found.body.len()
        );
    }
    Ok(())
}

fn response(wanted: &Response, upstream: &Upstream, found: &Received) -> Result<()> {
    ensure!(
        wanted.status.is_none_or(|s| s == found.status),
        "status {}",
        found.status
    );
    for (name, value) in &wanted.headers {
        let seen = header(&found.headers, name);
        ensure!(
            seen.as_deref() == Some(value.as_str()),
            "{name} is {seen:?}"
        );
    }
    absent(&wanted.absent, &found.headers)?;
    ensure!(wanted.reset == found.reset, "reset: {}", found.reset);
    body(
        &wanted.body,
        wanted.body_as_sent,
        &upstream.body.pieces()?.concat(),
        &found.body,
    )?;
    texts(&wanted.has, &wanted.lacks, &found.body)
}

fn body(wanted: &Option<String>, as_sent: bool, sent: &[u8], found: &[u8]) -> Result<()> {
    let shown = || {
        String::from_utf8_lossy(found.get(..found.len().min(2_000)).unwrap_or_default())
            .into_owned()
    };
    ensure!(
        !as_sent || sent == found,
        "the body is not as it was sent ({} bytes, not {}): {}",
        found.len(),
        sent.len(),
        shown()
    );
    if let Some(wanted) = wanted {
        ensure!(wanted.as_bytes() == found, "the body is {}", shown());
    }
    Ok(())
}

fn texts(has: &[String], lacks: &[String], body: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(body);
    for part in has {
        ensure!(text.contains(part.as_str()), "no {part:?} in {text}");
    }
    for part in lacks {
        ensure!(!text.contains(part.as_str()), "{part:?} in {text}");
    }
    Ok(())
}

fn absent(names: &[String], headers: &Pairs) -> Result<()> {
    for name in names {
        let value = header(headers, name);
        ensure!(value.is_none(), "{name} is {value:?}");
    }
    Ok(())
}

fn same(wanted: &Value, found: &Value) -> Result<()> {
    match missing(wanted, found) {
        None => Ok(()),
        Some(what) => bail!("{what}\nin {found:#}"),
    }
}

/// What holds whatever a scenario expects.
fn promises(exchange: &Exchange, request: &Request, policy: &Value, seen: &Seen) -> Result<()> {
    ensure!(
        !exchange.id.is_empty(),
        "the exchange has no id: no line in the access log, or no record"
    );
    let own = |r: &&Value| r["countersign.exchange.id"] == exchange.id.as_str();
    let Some(sent) = &exchange.forwarded else {
        return Ok(());
    };
    if policy["audit"]["delivery"] == "strict" {
        let durable = seen
            .records
            .get(..exchange.records_before)
            .unwrap_or_default();
        ensure!(
            durable.iter().any(|r| own(&r) && r["event"] == "request"),
            "forwarded before its record was durable"
        );
    }
    let held = seen
        .records
        .iter()
        .any(|r| own(&r) && r["event"] == "request" && r["countersign.decision"] == "held");
    let asked_about_answer = seen
        .asked
        .iter()
        .any(|q| q["body"]["exchange"] == exchange.id.as_str() && !q["body"]["answer"].is_null());
    if asked_about_answer && exchange.response.is_some() {
        ensure!(
            seen.approved.contains(&exchange.id),
            "an answer was delivered before it was approved"
        );
    }
    if held {
        let given = seen
            .approved
            .get(..exchange.approvals_before)
            .unwrap_or_default();
        ensure!(
            given.contains(&exchange.id),
            "forwarded before it was approved"
        );
    }
    for (name, _) in &sent.headers {
        ensure!(
            !name.starts_with("x-countersign-"),
            "{name} reached the upstream"
        );
    }
    let known = seen
        .records
        .iter()
        .any(|r| own(&r) && !r["user.id"].is_null());
    if let (true, Some(token)) = (known, &request.token) {
        let holds = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(token.as_str());
        ensure!(
            !sent.headers.iter().any(|(_, v)| holds(v)),
            "the agent's token reached the upstream"
        );
    }
    Ok(())
}

/// Every exchange has one outcome record, and no worker's number is missing.
fn ledger(seen: &Seen) -> Result<()> {
    let numbers: Vec<i64> = seen
        .records
        .iter()
        .filter_map(|r| r["countersign.worker.seq"].as_i64())
        .collect();
    ensure!(
        numbers.len() == seen.records.len(),
        "a record without a number"
    );
    let unique: BTreeSet<i64> = numbers.iter().copied().collect();
    ensure!(
        unique.len() == numbers.len(),
        "a number twice in {numbers:?}"
    );
    for exchange in &seen.exchanges {
        let own = |r: &&Value| r["countersign.exchange.id"] == exchange.id.as_str();
        let outcomes = seen
            .records
            .iter()
            .filter(own)
            .filter(|r| r["event"] == "outcome")
            .count();
        ensure!(
            outcomes <= 1,
            "{outcomes} outcome records for {}",
            exchange.id
        );
    }
    Ok(())
}

/// Every name of an operation is one of the vocabulary: `countersign check` calls a rule on any other
/// one that can never match.
fn named(seen: &Seen) -> Result<()> {
    static WORDS: LazyLock<Vocabulary> = LazyLock::new(vocabulary);
    for record in &seen.records {
        for operation in record["countersign.operations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let aliases = operation["aliases"].as_array().into_iter().flatten();
            for name in std::iter::once(&operation["name"]).chain(aliases) {
                let name = name.as_str().context("a name that is no text")?;
                ensure!(WORDS.has(name), "`{name}` is not in the vocabulary");
            }
        }
    }
    Ok(())
}

/// The gateway's own secrets are in nothing that people read.
fn nothing_leaks(secrets: &[String], seen: &Seen) -> Result<()> {
    for secret in secrets {
        let shows = |text: &str| text.contains(secret.as_str());
        ensure!(
            !seen.records.iter().any(|r| shows(&r.to_string())),
            "a record holds a secret of the gateway"
        );
        ensure!(
            !seen.log.iter().any(|line| shows(line)),
            "Envoy's log holds a secret of the gateway"
        );
        for exchange in &seen.exchanges {
            let replied = exchange.reply.as_ref().map(|r| (&r.headers, &r.body));
            let response = exchange.response.as_ref().map(|r| (&r.headers, &r.body));
            for (headers, body) in replied.into_iter().chain(response) {
                let in_headers = headers
                    .iter()
                    .any(|(_, v)| shows(&String::from_utf8_lossy(v)));
                ensure!(
                    !in_headers && !shows(&String::from_utf8_lossy(body)),
                    "an answer holds a secret of the gateway"
                );
            }
        }
    }
    Ok(())
}

/// The text of a refused push as git prints it: side-band 2, then the report's lines.
///
/// # Errors
/// Bytes that are no pkt-lines.
pub fn git_text(body: &[u8]) -> Result<String> {
    let mut told = Vec::new();
    let mut report = Vec::new();
    for line in lines(body)? {
        match line.split_first() {
            Some((2, text)) => told.extend_from_slice(text),
            Some((1, bytes)) => report.extend_from_slice(bytes),
            Some(_) => {
                told.extend_from_slice(line);
            }
            None => {}
        }
    }
    for line in lines(&report)? {
        told.extend_from_slice(line);
    }
    Ok(String::from_utf8(told)?)
}

fn lines(mut bytes: &[u8]) -> Result<Vec<&[u8]>> {
    let mut lines = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes
            .split_at_checked(4)
            .context("a pkt-line without its length")?;
        let length = usize::from_str_radix(std::str::from_utf8(length)?, 16)?;
        if length == 0 {
            bytes = rest;
            continue;
        }
        let (line, rest) = rest
            .split_at_checked(length.saturating_sub(4))
            .context("a pkt-line is cut")?;
        lines.push(line);
        bytes = rest;
    }
    Ok(lines)
}
