//! A signed ledger in a data folder, with something in every table.

#![allow(dead_code)] // Each test file uses its part.

use std::path::Path;

use countersign::approvals::book::{self, Caller};
use countersign::approvals::{Authority, Choice, Question, decide};
use countersign::clock::{Clock, Millis};
use countersign::data_folder::DataFolder;
use countersign::intake::record::records;
use countersign::ledger::checkpoint::{self, CheckpointFile};
use countersign::ledger::keeper::Signing;
use countersign::ledger::note::{NoteKey, Verifier};
use countersign::ledger::verify::{Against, Report, verify};
use countersign::ledger::{arrival, hold, keys};
use countersign::people::Person;
use countersign::settings::Approvals;
use countersign::store::{Place, Store, read_only};
use serde_json::Value;

use super::database::place;
use super::{NOON, batch, exchange, question, record};

/// A ledger that is written to.
pub struct Trail {
    pub folder: DataFolder,
    pub store: Store,
    pub clock: Clock,
    pub key: NoteKey,
}

impl Trail {
    /// A new one in `path`.
    pub fn new(path: &Path) -> Self {
        Self::open(path, NOON)
    }

    /// The one in `path`, at `now`.
    pub fn open(path: &Path, now: Millis) -> Self {
        let mut folder = DataFolder::open_or_make(path).unwrap();
        if let Place::Server(target) = place(path) {
            folder = folder.sharing(*target);
        }
        let clock = Clock::set_to(now);
        let store = folder.store().unwrap();
        let key = keys::ensure(&store, &folder.signing_key(), now, Some("ledger.test")).unwrap();
        store.close();
        let signing = Signing::new(
            clock.clone(),
            key.clone(),
            folder.signing_key(),
            folder.checkpoints(),
        );
        let store = folder.store_with(Box::new(signing)).unwrap();
        Self {
            folder,
            store,
            clock,
            key,
        }
    }

    /// Takes records in, as one commit.
    pub fn take(&self, those: &[Value]) {
        let (records, bad) = records(serde_json::from_value(batch(those)).unwrap());
        assert_eq!(bad, Vec::<String>::new());
        let now = self.clock.now();
        self.store
            .write_now(move |c| arrival::keep(c, now, &records))
            .unwrap();
    }

    /// Takes `count` exchanges of one worker in, each record as a commit of its own, with prompts of
    /// their own.
    pub fn exchanges(&self, worker: &str, from: i64, count: i64) {
        for n in from..from + count {
            let (request, outcome) = exchange(&format!("{worker}-{n}"), worker, 2 * n + 1);
            let unique = |record: Value| -> Value {
                let text = record.to_string();
                let prompt = format!("please drop the tables of customer {n}");
                serde_json::from_str(&text.replace("please drop the tables", &prompt)).unwrap()
            };
            self.take(&[unique(request)]);
            self.take(&[unique(outcome)]);
            self.clock.advance(10);
        }
    }

    /// A worker begins with a policy.
    pub fn policy(&self, worker: &str, digest: &str) {
        let began = serde_json::json!({
            "countersign.worker.id": worker, "countersign.worker.seq": 1,
            "countersign.policy.digest": digest, "countersign.policy.document": "{}",
        });
        self.take(&[record("countersign.policy", &began)]);
    }

    /// Holds a request and lets somebody approve it.
    pub fn approval(&self) {
        let now = self.clock.now();
        let asked = question(7, "w-1-1");
        let raw = asked.to_string();
        self.store
            .write_now(move |c| {
                let question = Question::read(raw.as_bytes()).unwrap();
                let caller = Caller {
                    waiter: "w".into(),
                    exchange: question.exchange.clone(),
                    hold_until: now + 1_000,
                    most_pending: 10,
                };
                book::ask(c, now, &question, &raw, &caller)?;
                let id: String = c.query_row("SELECT id FROM approvals", [], |row| row.get(0))?;
                let person = Person {
                    name: "bob".into(),
                    email: None,
                    groups: vec!["platform-leads".into()],
                    ..Person::default()
                };
                let by = Authority::of(c, now, &Approvals::default(), person)?;
                decide(c, now, &id, &by, Choice::Approve, Some("fine"))?.unwrap();
                book::look(c, now, &id, &caller, false)?;
                Ok(())
            })
            .unwrap();
    }

    /// Puts a legal hold on a session that nobody has.
    pub fn hold(&self) -> String {
        let now = self.clock.now();
        let filter = hold::Filter {
            session: Some("none".into()),
            ..hold::Filter::default()
        };
        self.store
            .write_now(move |c| hold::add(c, now, &filter, "case 7", "carol"))
            .unwrap()
    }

    /// Ends it, and says by which key it verifies.
    pub fn close(self) -> Verifier {
        self.store.close();
        self.key.verifier().clone()
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> String {
        self.store
            .read_now(checkpoint::newest)
            .unwrap()
            .unwrap()
            .note
    }
}

/// What `countersign ledger verify --data` does.
pub fn verify_folder(path: &Path, key: &Verifier, elsewhere: &[String]) -> Report {
    let connection = read_only(&place(path)).unwrap();
    let snapshot = connection.snapshot().unwrap();
    let against = Against {
        key: key.clone(),
        checkpoints: elsewhere.to_vec(),
        beside: CheckpointFile::at(path.join("checkpoints.txt"))
            .notes()
            .unwrap(),
        derived: true,
        selection: false,
    };
    verify(&snapshot, &against).unwrap()
}
