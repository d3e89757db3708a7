use serde_json::{Value, json};

use super::*;
use crate::approvals;
use crate::exchanges;
use crate::ledger::{Kind, derive, read};
use crate::store::Store;

fn record(event: &str, seq: i64) -> Value {
    let pair = |key: &str, value: Value| json!({"key": key, "value": value});
    json!({
        "resource": {"attributes": [pair("service.name", json!({"stringValue": "countersign"}))]},
        "scope": {"name": "countersign", "version": "0.1.0"},
        "logRecord": {
            "timeUnixNano": "1790000000123000000",
            "eventName": event,
            "attributes": [
                pair("countersign.exchange.id", json!({"stringValue": "e-1"})),
                pair("countersign.worker.id", json!({"stringValue": "w-1"})),
                pair("countersign.worker.seq", json!({"intValue": seq.to_string()})),
                pair("countersign.request.body", json!({"stringValue": "drop the tables"})),
            ],
        },
    })
}

#[test]
fn the_data_of_the_first_schema_become_entries() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let old = Connection::open(&path).unwrap();
    migrate_to(&old, 1).unwrap();
    for (seq, event, at) in [
        (1, "countersign.request", 1_000),
        (3, "countersign.outcome", 3_000),
    ] {
        old.execute(
            "INSERT INTO records (worker, seq, digest, exchange, event, received_at, record)
             VALUES ('w-1', ?1, ?2, 'e-1', ?3, ?4, ?5)",
            crate::store::sql::params![
                seq,
                [seq as u8; 32],
                event,
                at,
                record(event, seq).to_string()
            ],
        )
        .unwrap();
    }
    let question = approvals::question::tests::sample(1, "e-1");
    old.execute(
        "INSERT INTO approvals (id, fingerprint, state, question, subject, asked_at, expires_at, hold_until)
         VALUES ('a-1', 'ff', 'pending', ?1, 'ci-runner', 2000, 9000, 3000)",
        [question.to_string()],
    )
    .unwrap();
    old.execute(
        "INSERT INTO approval_events (approval, at, kind, who) VALUES ('a-1', 2000, 'asked', 'ci-runner')",
        [],
    )
    .unwrap();
    drop(old);

    let store = Store::open(&path).unwrap();
    // Behind this write, everything before it has been derived.
    store.write_now(|c| derive::advance(c, 100)).unwrap();
    store
        .read_now(|c| {
            let kinds: Vec<(i64, i64, Kind)> = read::entries(c, 0, None, 10)?
                .into_iter()
                .map(|entry| (entry.index, entry.at, entry.kind))
                .collect();
            assert_eq!(
                kinds,
                [
                    (0, 1_000, Kind::Record),
                    (1, 2_000, Kind::ApprovalEvent),
                    (2, 3_000, Kind::Record)
                ]
            );
            let detail = exchanges::detail(c, "e-1")?.unwrap();
            assert!(detail.summary.has_request && detail.summary.has_outcome);
            assert_eq!(detail.records.len(), 2);
            let first = &detail.records[0];
            assert_eq!(
                first.attributes["countersign.request.body"],
                "drop the tables"
            );
            assert_eq!(
                (first.at, first.received_at, first.seq),
                (1_790_000_000_123, 1_000, 1)
            );
            assert_eq!(first.resource["service.name"], "countersign");
            let health = exchanges::health(c)?;
            assert_eq!((health.workers, health.missing_records), (1, 1));
            let bodies: i64 = c.query_row("SELECT count(*) FROM bodies", [], |row| row.get(0))?;
            assert_eq!(bodies, 2, "the same prompt twice, and the question's");
            let step = read::entry(c, 1)?.unwrap().value()?.unwrap();
            assert!(step["question"]["request"].get("body").is_none());
            let whole = crate::ledger::approval::question(c, &step)?.unwrap();
            assert_eq!(whole, question);
            assert_eq!(approvals::events(c, "a-1")?.len(), 1);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_ledger_of_the_sixth_schema_gets_its_policies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let pair = |key: &str, value: Value| json!({"key": key, "value": value});
    let began = [1, 2].map(|worker| {
        json!({
            "timeUnixNano": "1790000000123000000",
            "eventName": "countersign.policy",
            "attributes": [
                pair("countersign.worker.id", json!({"stringValue": format!("w-{worker}")})),
                pair("countersign.worker.seq", json!({"intValue": "1"})),
                pair("countersign.policy.digest", json!({"stringValue": "0a"})),
                pair("countersign.policy.document", json!({"stringValue": "{}"})),
            ],
        })
    });
    let scope = json!({"scope": {"name": "countersign"}, "logRecords": began});
    let began = json!({"resourceLogs": [{"scopeLogs": [scope]}]});
    let (records, bad) = crate::intake::record::records(serde_json::from_value(began).unwrap());
    assert_eq!(bad, Vec::<String>::new());
    let store = Store::open(&path).unwrap();
    store
        .write_now(move |c| crate::ledger::arrival::keep(c, 1, &records))
        .unwrap();
    let wanted = store.read_now(crate::policy::history::versions).unwrap();
    assert_eq!(wanted.iter().map(|v| v.starts).collect::<Vec<_>>(), [2]);
    store.close();
    let old = Connection::open(&path).unwrap();
    old.execute_batch("DROP TABLE policies; DROP TABLE limited; PRAGMA user_version = 6")
        .unwrap();
    drop(old);
    let store = Store::open(&path).unwrap();
    while store.read_now(derive::position).unwrap().behind() > 0 {
        std::thread::yield_now();
    }
    let found = store.read_now(crate::policy::history::versions).unwrap();
    assert_eq!(found, wanted);
}
