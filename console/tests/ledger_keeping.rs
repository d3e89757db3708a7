//! Keeping: retention, legal holds, keys, checkpoints in time, and what never came.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use common::database::alter;
use common::trail::{Trail, verify_folder};
use common::{NOON, exchange};
use countersign::clock::Millis;
use countersign::exchanges::{query, search};
use countersign::ledger::note::Note;
use countersign::ledger::retain::{Done, Keep, retain};
use countersign::ledger::verify::What;
use countersign::ledger::{checkpoint, derive, health, hold, keys, read};
use serde_json::{Value, json};

const DAY: Millis = 86_400_000;

fn tidy(trail: &Trail, keep: Keep) -> Done {
    let now = trail.clock.now();
    let done = trail
        .store
        .write_now(move |c| retain(c, now, keep))
        .unwrap();
    trail
        .store
        .write_now(|c| derive::advance(c, 10_000))
        .unwrap();
    done
}

fn bodies(days: i64) -> Keep {
    Keep {
        bodies: Some(days * DAY),
        periods: None,
    }
}

fn periods(days: i64) -> Keep {
    Keep {
        bodies: None,
        periods: Some(days * DAY),
    }
}

fn texts(trail: &Trail, exchange: &str) -> Vec<Option<String>> {
    let exchange = exchange.to_owned();
    trail
        .store
        .read_now(move |c| read::exchange(c, &exchange))
        .unwrap()
        .iter()
        .map(|record| record.attributes.get("countersign.request.body"))
        .map(|body| body.map(|body| body.as_str().unwrap().to_owned()))
        .collect()
}

fn found_by(trail: &Trail, words: &str) -> u64 {
    let query = query::parse(words, NOON).unwrap();
    let found = trail.store.read_now(|c| Ok(search::count(c, &query)));
    found.unwrap().unwrap().rows.len()
}

#[test]
fn bodies_go_first_and_days_last_and_the_rest_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let trail = Trail::new(folder.path());
    trail.exchanges("old", 0, 10);
    trail.approval();
    trail.clock.advance(40 * DAY);
    trail.exchanges("new", 100, 10);
    assert_eq!(found_by(&trail, "customer"), 20);

    let done = tidy(&trail, bodies(30));
    // Each prompt is in two records; the answer is one that newer exchanges have as well.
    assert_eq!((done.bodies, done.held), (11, 0), "{done:?}");
    assert_eq!(texts(&trail, "old-3"), [None, None]);
    assert!(texts(&trail, "new-103").iter().all(Option::is_some));
    assert_eq!(
        found_by(&trail, "customer"),
        10,
        "deleted text is not found"
    );
    let question: String = trail
        .store
        .read_now(|c| Ok(c.query_row("SELECT question FROM approvals", [], |row| row.get(0))?))
        .unwrap();
    assert!(
        !question.contains("hello"),
        "the held request's body is gone too"
    );
    let report = verify_folder(folder.path(), trail.key.verifier(), &[]);
    assert!(report.is_good(), "{report}");
    assert_eq!(report.bodies_deleted, 11);
    assert_eq!(
        tidy(&trail, bodies(30)),
        Done::default(),
        "nothing is left to delete"
    );

    let done = tidy(&trail, periods(35));
    assert_eq!(done.entries, 20, "{done:?}");
    assert_eq!(texts(&trail, "old-3"), Vec::<Option<String>>::new());
    let report = verify_folder(folder.path(), trail.key.verifier(), &[]);
    assert!(report.is_good(), "{report}");
    assert_eq!(report.hashes_only, 20);
    // The same deletion without an entry that says so is an attack.
    let newest: i64 = trail
        .store
        .read_now(|c| {
            let sql = "SELECT max(idx) FROM entries WHERE kind = 'record'";
            Ok(c.query_row(sql, [], |row| row.get(0))?)
        })
        .unwrap();
    alter(
        folder.path(),
        &format!("UPDATE entries SET leaf = NULL WHERE idx = {newest}"),
    );
    let report = verify_folder(folder.path(), trail.key.verifier(), &[]);
    assert_eq!(
        (report.findings[0].what, report.findings[0].entry),
        (What::Removed, Some(newest))
    );
}

#[test]
fn a_legal_hold_keeps_what_it_covers_until_it_is_lifted() {
    let folder = tempfile::tempdir().unwrap();
    let trail = Trail::new(folder.path());
    trail.exchanges("w", 0, 6);
    let filter = hold::Filter {
        exchange: Some("w-2".into()),
        ..hold::Filter::default()
    };
    let id = trail
        .store
        .write_now(move |c| hold::add(c, NOON, &filter, "case 7", "carol"))
        .unwrap();
    trail.clock.advance(100 * DAY);
    let done = tidy(
        &trail,
        Keep {
            bodies: Some(30 * DAY),
            periods: Some(60 * DAY),
        },
    );
    assert_eq!(done.entries, 10, "{done:?}");
    assert_eq!(texts(&trail, "w-2").iter().flatten().count(), 2);
    assert_eq!(texts(&trail, "w-3").len(), 0);
    assert!(verify_folder(folder.path(), trail.key.verifier(), &[]).is_good());
    let now = trail.clock.now();
    let lifted = id.clone();
    let there = trail
        .store
        .write_now(move |c| hold::lift(c, now, &lifted, "closed", "carol"))
        .unwrap();
    assert!(there);
    let done = tidy(
        &trail,
        Keep {
            bodies: Some(30 * DAY),
            periods: Some(60 * DAY),
        },
    );
    assert_eq!(done.entries, 2, "{done:?}");
    let report = verify_folder(folder.path(), trail.key.verifier(), &[]);
    assert!(report.is_good(), "{report}");
    let all = trail.store.read_now(|c| hold::list(c, false)).unwrap();
    assert_eq!(all[0].lifted_by.as_deref(), Some("carol"));
    assert!(
        trail
            .store
            .read_now(|c| hold::list(c, true))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_new_key_is_followed_and_a_replaced_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let trail = Trail::new(folder.path());
    trail.exchanges("w", 0, 5);
    let first = trail.key.verifier().clone();
    let file = trail.folder.signing_key();
    // From another program, as the command line does, while the console runs.
    let other = trail.folder.store().unwrap();
    let second = keys::rotate(&other, &file, NOON + 10, false).unwrap();
    assert_ne!(first, second);
    trail.clock.advance(60_000);
    trail.exchanges("w", 5, 5);
    let newest = Note::parse(&trail.checkpoint()).unwrap();
    assert!(newest.is_signed_by(&second) && !newest.is_signed_by(&first));
    for key in [&first, &second] {
        let report = verify_folder(folder.path(), key, &[]);
        assert!(report.is_good(), "{report}");
    }
    // Only the owner reads the key.
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(file.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    std::fs::remove_file(file.path()).unwrap();
    assert!(keys::rotate(&other, &file, NOON + 20, false).is_err());
    let third = keys::rotate(&other, &file, NOON + 20, true).unwrap();
    trail.exchanges("w", 10, 1);
    let report = verify_folder(folder.path(), &first, &[]);
    assert!(!report.is_good());
    assert!(
        report
            .to_string()
            .contains("without the signature of the one before")
    );
    let report = verify_folder(folder.path(), &third, &[]);
    assert!(report.is_good(), "{report}");
    let events = trail.store.read_now(keys::announced).unwrap();
    let events: Vec<&str> = events.iter().map(|key| key.event.as_str()).collect();
    assert_eq!(events, ["first", "rotated", "replaced"]);
}

#[test]
fn what_never_came_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let trail = Trail::new(folder.path());
    let (first, _) = exchange("e-1", "w-1", 3);
    let (second, outcome) = exchange("e-2", "w-1", 7);
    let mut dropping = outcome;
    let said = json!({"key": "countersign.worker.dropped", "value": {"intValue": "4"}});
    dropping["attributes"].as_array_mut().unwrap().push(said);
    trail.take(&[first, second, dropping]);
    let (third, _) = exchange("e-3", "w-2", 1);
    trail.take(&[third]);
    let later = NOON + health::UNDER_WAY + 1;
    let health = trail
        .store
        .read_now(move |c| health::health(c, later))
        .unwrap();
    assert_eq!((health.missing, health.dropped), (5, 4));
    let mut open: Vec<&str> = health.open.iter().map(|(id, _)| id.as_str()).collect();
    open.sort_unstable();
    assert_eq!(open, ["e-1", "e-3"]);
    let one = health.workers.iter().find(|w| w.worker == "w-1").unwrap();
    assert_eq!(one.gaps, [(1, 2), (4, 6)]);
    assert_eq!(health.workers.len(), 2);
    let soon = trail.store.read_now(|c| health::health(c, NOON)).unwrap();
    assert_eq!(soon.without_outcome, 0, "they may be under way");
}

#[test]
fn checkpoints_are_made_in_time_and_by_number_and_reach_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let trail = Trail::new(folder.path());
    let sizes = |trail: &Trail| -> Vec<u64> {
        let notes = trail.folder.checkpoints().notes().unwrap();
        notes
            .iter()
            .map(|note| Note::parse(note).unwrap().checkpoint().unwrap().size)
            .collect()
    };
    trail.exchanges("w", 0, 2);
    assert_eq!(sizes(&trail), [2], "the first commit is signed at once");
    trail.clock.advance(30_000);
    // Nothing comes in, but the console's beat commits.
    trail.store.write_now(|_| Ok(())).unwrap();
    assert_eq!(sizes(&trail), [2, 5]);
    trail.clock.advance(30_000);
    trail.store.write_now(|_| Ok(())).unwrap();
    assert_eq!(sizes(&trail), [2, 5], "nothing new, nothing signed");
    // One commit over two thousands.
    let many: Vec<Value> = (0..2_100)
        .map(|n| exchange(&format!("x-{n}"), "x", n + 1).0)
        .collect();
    trail.take(&many);
    assert_eq!(sizes(&trail), [2, 5, 1_000, 2_000]);
    let file = trail.folder.checkpoints();
    checkpoint::catch_up(&trail.store, &file).unwrap();
    assert_eq!(sizes(&trail).len(), 4, "nothing is missing in the file");
    let text = std::fs::read_to_string(file.path()).unwrap();
    std::fs::write(file.path(), &text[..text.len() - 30]).unwrap();
    checkpoint::repair(&file).unwrap();
    assert_eq!(
        sizes(&trail),
        [2, 5, 1_000],
        "a note that a crash cut off is gone"
    );
    checkpoint::catch_up(&trail.store, &file).unwrap();
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), text);
    std::fs::write(file.path(), "").unwrap();
    checkpoint::catch_up(&trail.store, &file).unwrap();
    assert_eq!(sizes(&trail), [2, 5, 1_000, 2_000]);
}
