//! Exports that the console writes every so often: whole files, each entry once, and what is said when
//! they cannot be written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use axum::http::{Method, StatusCode};
use common::{Console, batch, exchange};
use countersign::export::schedule::Schedules;
use countersign::store::meta;
use serde_json::Value;

const HOUR: i64 = 3_600_000;

async fn fill(console: &Console, from: i64, exchanges: i64) {
    let records = (from..from + exchanges).flat_map(|number| {
        let (request, outcome) = exchange(&format!("x{number}"), "w", 2 * number + 1);
        [request, outcome]
    });
    let body = batch(&records.collect::<Vec<_>>()).to_string().into_bytes();
    let answer = console.logs("application/json", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

/// The exports of a console's settings, under way.
struct Exports(Schedules);

impl Exports {
    fn start(console: &Console) -> Self {
        let app = &console.app;
        let exports = &app.settings().exports;
        app.schedules
            .replace(exports, &app.store, &app.clock)
            .unwrap();
        Self(app.schedules.clone())
    }

    async fn end(self) {
        tokio::task::spawn_blocking(move || self.0.stop())
            .await
            .unwrap();
    }
}

fn settings(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "version: v1\nexports:\n\
         - {{ name: all, every: 1h, format: ndjson, directory: {directory} }}\n\
         - {{ name: some, every: 1h, format: csv, directory: {directory}, query: \"exchange:x3\" }}\n"
    )
}

/// The names of the files, hidden ones too.
fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn whole(directory: &Path, export: &str) -> String {
    let names = files(directory);
    let of_it = names.iter().filter(|name| name.starts_with(export));
    of_it
        .map(|name| std::fs::read_to_string(directory.join(name)).unwrap())
        .collect()
}

/// Waits until each export has written what there was.
async fn written(console: &Console, now: i64) {
    let done = async || {
        let status = console.app.schedules.status();
        status.iter().all(|one| one.last_at == Some(now))
    };
    until(done).await;
}

async fn until(mut done: impl AsyncFnMut() -> bool) {
    while !done().await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The index is kept up when nothing else is to be done; exports of exchanges go as far as it is.
async fn indexed(console: &Console) {
    let read = async || {
        let position = countersign::ledger::derive::position;
        console.app.store.read(position).await.unwrap()
    };
    until(async || read().await.behind() <= 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_since_is_written_when_it_is_time_and_each_entry_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let console = Console::start().with_settings(&settings(path));
    fill(&console, 0, 5).await;
    indexed(&console).await;
    let exports = Exports::start(&console);
    written(&console, common::NOON).await;
    let first = files(path);
    assert_eq!(
        first,
        [
            "all-000000000000-000000000010.ndjson",
            "some-000000000000-000000000010.csv"
        ]
    );
    let some = whole(path, "some");
    assert!(some.contains("x3") && !some.contains("x4"), "{some}");
    // Not before it is time, and what came meanwhile then.
    fill(&console, 5, 5).await;
    indexed(&console).await;
    console.app.clock.advance(HOUR - 1);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(files(path), first);
    console.app.clock.advance(1);
    written(&console, common::NOON + HOUR).await;
    // Of the second hour nothing is what the search finds: there is no file.
    assert_eq!(
        files(path),
        [
            "all-000000000000-000000000010.ndjson",
            "all-000000000010-000000000020.ndjson",
            "some-000000000000-000000000010.csv"
        ]
    );
    let all = whole(path, "all");
    let lines: Vec<Value> = all
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let different: BTreeSet<String> = lines.iter().map(|line| line["index"].to_string()).collect();
    assert_eq!((lines.len(), different.len()), (20, 20), "{all}");
    exports.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_that_was_killed_between_file_and_cursor_goes_on_behind_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let console = Console::start().with_settings(&settings(path));
    fill(&console, 0, 5).await;
    indexed(&console).await;
    let exports = Exports::start(&console);
    written(&console, common::NOON).await;
    exports.end().await;
    // The cursors as they were before, and a file that was begun.
    let back = |c: &countersign::store::sql::Connection| {
        meta::set(c, "export all", "0")?;
        meta::set(c, "export some", "0")
    };
    console.app.store.write(back).await.unwrap();
    std::fs::write(path.join(".all.part"), "half of a li").unwrap();
    fill(&console, 5, 5).await;
    indexed(&console).await;
    let console = console.restart().await.with_settings(&settings(path));
    let exports = Exports::start(&console);
    written(&console, common::NOON).await;
    assert_eq!(
        files(path),
        [
            "all-000000000000-000000000010.ndjson",
            "all-000000000010-000000000020.ndjson",
            "some-000000000000-000000000010.csv"
        ]
    );
    assert_eq!(whole(path, "all").lines().count(), 20);
    exports.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_told_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not-there-yet");
    let console = Console::start().with_settings(&settings(&path));
    let secret = console.person("ann", &[]).await;
    let cookie = console.sign_in(&secret).await;
    fill(&console, 0, 5).await;
    indexed(&console).await;
    let exports = Exports::start(&console);
    let failing = async || {
        let status = console.app.schedules.status();
        status.iter().all(|one| one.failures > 0)
    };
    until(failing).await;
    let page = console.page("/health", &cookie).await.text();
    assert!(
        page.contains("Nothing could be written of the export all")
            && page.contains("not-there-yet: No such file"),
        "{page}"
    );
    let told = console
        .api(Method::GET, "/api/v1/exports", &secret, Value::Null)
        .await
        .json();
    assert!(told["exports"][0]["trouble"].is_string(), "{told}");
    std::fs::create_dir(&path).unwrap();
    let recovered = async || {
        console.app.clock.advance(60_000);
        let status = console.app.schedules.status();
        status.iter().all(|one| one.trouble.is_none())
    };
    until(recovered).await;
    assert!(whole(&path, "all").lines().count() >= 10);
    let page = console.page("/health", &cookie).await.text();
    assert!(
        !page.contains("could be written") && page.contains("all: last"),
        "{page}"
    );
    exports.end().await;
}
