//! Somebody who may write the data folder changes it, in every table and in every way: each time the
//! verifier says so, and from which entry on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::path::Path;

use common::database::{behind, copy_database, on_postgres, place};
use common::trail::{Trail, verify_folder};
use countersign::ledger::checkpoint::CheckpointFile;
use countersign::ledger::entry::{Hash, Kind, leaf, leaf_hash};
use countersign::ledger::keeper::Deriving;
use countersign::ledger::note::{NoteKey, Verifier, split_notes};
use countersign::ledger::verify::{Report, What};
use countersign::store::Store;
use countersign::store::sql::{Connection, params};
use sha2::{Digest, Sha256};

/// A ledger of 1,3xx entries: a checkpoint at 1,000, one in time, and a tail that is only sealed.
fn original(path: &Path) -> (Verifier, i64) {
    let trail = Trail::new(path);
    trail.exchanges("w-1", 0, 300);
    trail.approval();
    trail.hold();
    trail.policy("w-3", &"0a".repeat(32));
    trail.exchanges("w-2", 0, 320);
    trail.clock.advance(60_000);
    trail.exchanges("w-1", 300, 20);
    let entries = trail
        .store
        .read_now(|c| Ok(c.query_row("SELECT count(*) FROM entries", [], |row| row.get(0))?))
        .unwrap();
    (trail.close(), entries)
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_database(from, to.path());
    for file in ["checkpoints.txt", "ledger.key"] {
        std::fs::copy(from.join(file), to.path().join(file)).unwrap();
    }
    to
}

/// The report after `attack` on a copy.
fn after(
    original: &Path,
    key: &Verifier,
    attack: impl FnOnce(&Connection) + Send + 'static,
) -> Report {
    let folder = copy(original);
    behind(folder.path(), attack);
    verify_folder(folder.path(), key, &[])
}

fn edit(c: &Connection, index: i64) {
    let text = leaf_of(c, index).replace("ci-runner", "someone-else");
    c.execute(
        "UPDATE entries SET leaf = ?2 WHERE idx = ?1",
        params![index, text],
    )
    .unwrap();
}

/// Bytes as the engine writes them in SQL.
fn bytes(sql: &str) -> String {
    if !on_postgres() {
        return sql.to_owned();
    }
    let mut sql = sql.replace("x'00'", "'\\x00'::bytea");
    for size in [32, 8192] {
        let zeros = format!("decode(repeat('00', {size}), 'hex')");
        sql = sql.replace(&format!("zeroblob({size})"), &zeros);
    }
    sql
}

fn leaf_of(c: &Connection, index: i64) -> String {
    c.query_row("SELECT leaf FROM entries WHERE idx = ?1", [index], |row| {
        row.get(0)
    })
    .unwrap()
}

/// Everything that can be computed without the key is computed anew: hashes and tiles.
fn rehash(c: &Connection) {
    let leaves: Vec<(i64, String)> = c
        .prepare("SELECT idx, leaf FROM entries ORDER BY idx")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let mut hashes: Vec<Hash> = Vec::new();
    for (index, text) in leaves {
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["index"] = index.into();
        let text = value.to_string();
        let hash = leaf_hash(text.as_bytes());
        c.execute(
            "UPDATE entries SET leaf = ?2, hash = ?3 WHERE idx = ?1",
            params![index, text, hash],
        )
        .unwrap();
        hashes.push(hash);
    }
    c.execute("DELETE FROM tiles", []).unwrap();
    for (position, tile) in hashes.chunks_exact(256).enumerate() {
        c.execute(
            "INSERT INTO tiles (level, position, hashes) VALUES (0, ?1, ?2)",
            params![position as i64, tile.concat()],
        )
        .unwrap();
    }
}

/// Moves the entries from `from` on by one place, up or down.
fn shift(c: &Connection, from: i64, by: i64) {
    c.execute(
        "UPDATE entries SET idx = -(idx + ?2) - 1 WHERE idx >= ?1",
        [from, by],
    )
    .unwrap();
    c.execute("UPDATE entries SET idx = -(idx + 1) WHERE idx < 0", [])
        .unwrap();
}

fn forged(index: i64) -> (String, Hash) {
    let text = leaf(index, 5, Kind::Access, r#"{"forged":true}"#);
    let hash = leaf_hash(text.as_bytes());
    (text, hash)
}

fn put(c: &Connection, index: i64) {
    let (text, hash) = forged(index);
    c.execute(
        "INSERT INTO entries (idx, at, kind, leaf, hash) VALUES (?1, 5, 'access', ?2, ?3)",
        params![index, text, hash],
    )
    .unwrap();
}

#[test]
fn an_untouched_ledger_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let (key, entries) = original(folder.path());
    let report = verify_folder(folder.path(), &key, &[]);
    assert!(report.is_good(), "{report}");
    assert_eq!((report.entries, report.signed), (entries, entries));
    assert!(report.checkpoints >= 4 && report.bodies > 300 && report.derived_tables > 8);
    assert!(report.to_string().contains("GOOD"));
}

#[test]
fn each_change_of_the_entries_is_named_with_the_first_entry() {
    let folder = tempfile::tempdir().unwrap();
    let (key, n) = original(folder.path());
    type Attack = (&'static str, What, i64, Box<dyn FnOnce(&Connection) + Send>);
    let attacks: Vec<Attack> = vec![
        ("edit", What::Edited, 500, Box::new(|c| edit(c, 500))),
        (
            "edit in the tail",
            What::Edited,
            n - 3,
            Box::new(move |c| edit(c, n - 3)),
        ),
        (
            "edit, and its hash",
            What::Edited,
            500,
            Box::new(|c| {
                edit(c, 500);
                let hash = leaf_hash(leaf_of(c, 500).as_bytes());
                c.execute("UPDATE entries SET hash = ?1 WHERE idx = 500", [hash])
                    .unwrap();
            }),
        ),
        (
            "edit, and every hash and tile",
            What::Changed,
            500,
            Box::new(|c| {
                edit(c, 500);
                rehash(c);
            }),
        ),
        (
            "edit in the tail, and every hash",
            What::Changed,
            n - 3,
            Box::new(move |c| {
                edit(c, n - 3);
                rehash(c);
            }),
        ),
        (
            "edit of the columns",
            What::Edited,
            500,
            Box::new(|c| {
                c.execute("UPDATE entries SET at = at - 1000 WHERE idx = 500", [])
                    .unwrap();
            }),
        ),
        (
            "edit of a hash",
            What::Edited,
            500,
            Box::new(|c| {
                c.execute(
                    &bytes("UPDATE entries SET hash = zeroblob(32) WHERE idx = 500"),
                    [],
                )
                .unwrap();
            }),
        ),
        (
            "contents emptied",
            What::Removed,
            500,
            Box::new(|c| {
                c.execute("UPDATE entries SET leaf = NULL WHERE idx = 500", [])
                    .unwrap();
            }),
        ),
        (
            "removal",
            What::Removed,
            500,
            Box::new(|c| {
                c.execute("DELETE FROM entries WHERE idx = 500", [])
                    .unwrap();
            }),
        ),
        (
            "removal of the first",
            What::Removed,
            0,
            Box::new(|c| {
                c.execute("DELETE FROM entries WHERE idx = 0", []).unwrap();
            }),
        ),
        (
            "removal, the rest moved up",
            What::Removed,
            500,
            Box::new(|c| {
                c.execute("DELETE FROM entries WHERE idx = 500", [])
                    .unwrap();
                shift(c, 501, -1);
            }),
        ),
        (
            "removal, everything made anew",
            What::Changed,
            500,
            Box::new(|c| {
                c.execute("DELETE FROM entries WHERE idx = 500", [])
                    .unwrap();
                shift(c, 501, -1);
                rehash(c);
            }),
        ),
        (
            "swap",
            What::Reordered,
            500,
            Box::new(|c| {
                c.execute_batch(
                "UPDATE entries SET idx = -9 WHERE idx = 500; UPDATE entries SET idx = 500 WHERE idx = 600;
                 UPDATE entries SET idx = 600 WHERE idx = -9;",
            )
            .unwrap();
            }),
        ),
        (
            "insertion",
            What::Inserted,
            500,
            Box::new(|c| {
                shift(c, 500, 1);
                put(c, 500);
            }),
        ),
        (
            "insertion, everything made anew",
            What::Changed,
            500,
            Box::new(|c| {
                shift(c, 500, 1);
                put(c, 500);
                rehash(c);
            }),
        ),
        (
            "a record at the end",
            What::Unsigned,
            n,
            Box::new(move |c| {
                let text = leaf_of(c, n - 1)
                    .replace(&format!("\"index\":{}", n - 1), &format!("\"index\":{n}"));
                c.execute(
                "INSERT INTO entries (idx, at, kind, leaf, hash) VALUES (?1, (SELECT max(at) FROM entries),
                   'record', ?2, ?3)",
                params![n, text, leaf_hash(text.as_bytes())],
            )
            .unwrap();
            }),
        ),
        (
            "cut",
            What::Cut,
            n - 5,
            Box::new(move |c| {
                c.execute("DELETE FROM entries WHERE idx >= ?1", [n - 5])
                    .unwrap();
            }),
        ),
        (
            "cut, with the signatures",
            What::Cut,
            900,
            Box::new(|c| {
                c.execute_batch(
                    "DELETE FROM entries WHERE idx >= 900; DELETE FROM seals WHERE size > 900;
                 DELETE FROM checkpoints WHERE size > 900; DELETE FROM tiles WHERE position >= 3;",
                )
                .unwrap();
            }),
        ),
        (
            "everything cut",
            What::Cut,
            0,
            Box::new(|c| {
                c.execute_batch("DELETE FROM entries").unwrap();
            }),
        ),
    ];
    for (name, what, entry, attack) in attacks {
        let report = after(folder.path(), &key, attack);
        let first = report
            .findings
            .first()
            .unwrap_or_else(|| panic!("{name}: {report}"));
        assert_eq!(
            (first.what, first.entry),
            (what, Some(entry)),
            "{name}: {report}"
        );
        assert!(report.to_string().contains("NOT GOOD"), "{name}");
    }
}

#[test]
fn each_change_of_another_table_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (key, _) = original(folder.path());
    for attack in [
        // Bodies: swapped contents, one that is gone, one too many, one edited, one misfiled.
        "UPDATE bodies SET data = (SELECT data FROM bodies ORDER BY id DESC LIMIT 1)
         WHERE id = (SELECT min(id) FROM bodies)",
        "DELETE FROM bodies WHERE id = (SELECT min(id) FROM bodies)",
        "INSERT INTO bodies (sha256, size, codec, data, last_entry) VALUES (zeroblob(32), 1, 0, x'00', 3)",
        "UPDATE bodies SET codec = 0, data = x'00', size = 1 WHERE id = (SELECT min(id) FROM bodies)",
        "UPDATE bodies SET last_entry = 77 WHERE id = (SELECT min(id) FROM bodies)",
        // What proves it.
        "DELETE FROM tiles WHERE position = 2",
        "UPDATE tiles SET hashes = zeroblob(8192) WHERE position = 2",
        "UPDATE tiles SET position = position + 100",
        "DELETE FROM checkpoints WHERE size = 1000",
        "UPDATE checkpoints SET note = replace(note, 'ledger.test', 'ledger.tset')",
        "UPDATE checkpoints SET size = 999 WHERE size = 1000",
        "UPDATE checkpoints SET note = (SELECT note FROM checkpoints ORDER BY size LIMIT 1)",
        "DELETE FROM seals",
        "DELETE FROM seals WHERE size = 500",
        "UPDATE seals SET line = (SELECT line FROM seals WHERE size = 7) WHERE size = 500",
        "UPDATE seals SET size = 5000 WHERE size = 500",
        // What is derived.
        "UPDATE exchanges SET user_id = 'someone-else' WHERE exchange = 'w-1-7'",
        "DELETE FROM exchanges WHERE exchange = 'w-1-7'",
        "INSERT INTO exchanges (exchange, at, operations) VALUES ('made-up', 1, '')",
        "UPDATE exchanges SET decision = 'denied'",
        "DELETE FROM exchange_entries WHERE entry = 50",
        "UPDATE exchange_entries SET exchange = 1 WHERE entry = 50",
        "UPDATE arrivals SET entry = 3 WHERE entry = 50",
        "DELETE FROM arrivals WHERE entry = 50",
        "INSERT INTO arrivals (worker, seq, digest, entry) VALUES (1, 99999, zeroblob(32), 1)",
        "UPDATE workers SET highest = highest + 1, records = records + 1",
        "UPDATE workers SET dropped = 0, first_at = 1",
        "DELETE FROM workers WHERE worker = 'w-2'",
        "UPDATE policies SET last_at = first_at + 1, starts = starts + 1",
        "DELETE FROM policies",
        "INSERT INTO policies (digest, entry, first_at, last_at, starts) VALUES ('made-up', 3, 1, 1, 1)",
        "UPDATE meta SET value = '5' WHERE key = 'derived_to'",
        "UPDATE meta SET value = '99999' WHERE key = 'derived_to'",
        // Who agreed to what.
        "UPDATE approvals SET state = 'refused'",
        "UPDATE approvals SET decided_by = 'mallory'",
        "UPDATE approvals SET question = replace(question, 'acme/web', 'acme/api')",
        "UPDATE approvals SET subject = 'someone-else'",
        "DELETE FROM approvals",
        "UPDATE approval_votes SET who = 'mallory'",
        "DELETE FROM approval_votes",
        "INSERT INTO approval_votes SELECT approval, 'mallory', at, why, counts FROM approval_votes",
        "UPDATE approval_events SET who = 'mallory' WHERE kind = 'approved'",
        "DELETE FROM approval_events WHERE kind = 'consumed'",
        "UPDATE approval_events SET entry = entry + 1",
        "UPDATE holds SET lifted_at = 1, lifted_by = 'mallory'",
        "UPDATE holds SET filter = '{}'",
        "DELETE FROM holds",
    ] {
        let report = after(folder.path(), &key, move |c| {
            c.execute_batch(&bytes(attack)).unwrap();
        });
        assert!(!report.is_good(), "{attack}: {report}");
    }
}

#[test]
fn an_earlier_state_that_was_put_back_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let trail = Trail::new(folder.path());
    trail.exchanges("w-1", 0, 20);
    trail.store.close();
    let early = copy(folder.path());
    let trail = Trail::open(folder.path(), common::NOON + 600_000);
    trail.exchanges("w-1", 20, 20);
    let kept = trail.checkpoint();
    let key = trail.close();
    let now = tempfile::tempdir().unwrap();
    copy_database(early.path(), now.path());
    std::fs::copy(
        folder.path().join("checkpoints.txt"),
        now.path().join("checkpoints.txt"),
    )
    .unwrap();
    let report = verify_folder(now.path(), &key, &[]);
    let first = report.findings.first().unwrap();
    assert_eq!((first.what, first.entry), (What::Cut, Some(41)), "{report}");
    // With the file put back as well, a checkpoint that is kept elsewhere tells.
    assert!(verify_folder(early.path(), &key, &[]).is_good());
    let report = verify_folder(early.path(), &key, &[kept]);
    assert_eq!(report.findings[0].what, What::Cut, "{report}");
    // And a console does not go on with it.
    let store = Store::open_at(&place(now.path()), Box::new(Deriving::default())).unwrap();
    let file = CheckpointFile::at(now.path().join("checkpoints.txt"));
    let refused = countersign::ledger::checkpoint::guard(&store, &file)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("41 entries"), "{refused}");
}

#[test]
fn who_has_the_key_but_not_the_older_checkpoint_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (key, n) = original(folder.path());
    let kept =
        split_notes(&std::fs::read_to_string(folder.path().join("checkpoints.txt")).unwrap());
    let forged = copy(folder.path());
    behind(forged.path(), |c| {
        let text = leaf_of(c, 1_100).replace("ci-runner", "someone-else");
        c.execute("UPDATE entries SET leaf = ?1 WHERE idx = 1100", [&text])
            .unwrap();
        let (_, said) = text.split_once(r#","value":"#).unwrap();
        let digest: Hash = Sha256::digest(said.strip_suffix('}').unwrap()).into();
        c.execute(
            "UPDATE arrivals SET digest = ?1 WHERE entry = 1100",
            [digest],
        )
        .unwrap();
        rehash(c);
        c.execute_batch("DELETE FROM seals; DELETE FROM checkpoints")
            .unwrap();
        countersign::ledger::derive::reset(c).unwrap();
    });
    std::fs::remove_file(forged.path().join("checkpoints.txt")).unwrap();
    // The console itself signs the new history, with the right key.
    let trail = Trail::open(forged.path(), common::NOON + 900_000);
    trail.store.write_now(|_| Ok(())).unwrap();
    trail
        .store
        .write_now(|c| countersign::ledger::derive::advance(c, 10_000))
        .unwrap();
    trail.close();
    let alone = verify_folder(forged.path(), &key, &[]);
    assert!(alone.is_good(), "nothing inside can tell: {alone}");
    let report = verify_folder(forged.path(), &key, &kept);
    let first = report.findings.first().unwrap();
    assert_eq!(
        (first.what, first.entry),
        (What::Changed, Some(1_000)),
        "{report}"
    );
    assert!(n > 1_100);
}

#[test]
fn another_key_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let trail = Trail::new(folder.path());
    trail.exchanges("w-1", 0, 5);
    trail.close();
    let other = NoteKey::generate("ledger.test").unwrap();
    let report = verify_folder(folder.path(), other.verifier(), &[]);
    assert_eq!(report.findings[0].what, What::Foreign, "{report}");
}

#[test]
fn a_console_does_not_sign_a_ledger_that_was_cut_under_it() {
    let folder = tempfile::tempdir().unwrap();
    let trail = Trail::new(folder.path());
    trail.exchanges("w-1", 0, 5);
    behind(folder.path(), |c| {
        c.execute("DELETE FROM entries WHERE idx > 7", []).unwrap();
    });
    let refused = trail.store.write_now(|_| Ok(())).unwrap_err().to_string();
    assert!(refused.contains("had 11 entries and has 8"), "{refused}");
}
