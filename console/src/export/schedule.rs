//! Exports that the console itself writes, every so often: a file for what came since the last one.
//!
//! A file is written under a name that begins with a dot and renamed once it is whole and on disk, so
//! that whoever collects files never sees half of one. Its name says which entries it has, from the
//! first to the one behind the last; the cursor is kept in the database. A console that was killed
//! between the two finds the file by its name and goes on behind it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use super::Encoder;
use super::feed::{self, Selection};
use crate::clock::{Clock, Millis};
use crate::exchanges::query;
use crate::settings::Export;
use crate::store::{Store, StoreError, meta};

/// Entries that are read at once.
const PAGE: u32 = 500;
/// Entries that one file tells of at most; a backlog is written as several.
const FILE: i64 = 200_000;
/// How often is looked whether it is time.
const LOOK: Duration = Duration::from_millis(100);
/// The first and the longest pause after a failure.
const PAUSE: (Millis, Millis) = (1_000, 60_000);

/// How one export fares.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Where its files go.
    pub directory: PathBuf,
    /// The place of the next entry.
    pub cursor: i64,
    /// Files that were written since the console started.
    pub files: u64,
    /// When it last had written all that there was.
    #[serde(rename = "last_at_ms")]
    pub last_at: Option<Millis>,
    /// Attempts that failed in a row.
    pub failures: u64,
    /// What the last failure was; nothing while it works.
    pub trouble: Option<String>,
    /// Since when it fails.
    #[serde(rename = "failing_since_ms")]
    pub failing_since: Option<Millis>,
}

/// Every export of a console; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Schedules(Arc<Mutex<Running>>);

#[derive(Debug, Default)]
struct Running {
    status: Vec<Arc<Mutex<Status>>>,
    threads: Vec<JoinHandle<()>>,
    /// Tells the threads to end.
    stop: Option<watch::Sender<bool>>,
}

impl Schedules {
    /// How each export fares.
    pub fn status(&self) -> Vec<Status> {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let copy =
            |one: &Arc<Mutex<Status>>| one.lock().unwrap_or_else(PoisonError::into_inner).clone();
        running.status.iter().map(copy).collect()
    }

    /// Puts these exports in the place of those before, each from where it was left or from the
    /// beginning of the trail. Waits for those before, which end between two pages of entries.
    ///
    /// # Errors
    /// No thread was to be had; the exports that have one go on.
    pub fn replace(&self, exports: &[Export], store: &Store, clock: &Clock) -> io::Result<()> {
        self.stop();
        let (stop, stopping) = watch::channel(false);
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.stop = Some(stop);
        for export in exports {
            let status = Arc::new(Mutex::new(Status {
                name: export.name.clone(),
                directory: export.directory.clone(),
                ..Status::default()
            }));
            running.status.push(Arc::clone(&status));
            let mut schedule = Schedule {
                key: format!("export {}", export.name),
                export: export.clone(),
                store: store.clone(),
                clock: clock.clone(),
                stopping: stopping.clone(),
                status,
            };
            let thread = std::thread::Builder::new().name("export".to_owned());
            running.threads.push(thread.spawn(move || schedule.run())?);
        }
        Ok(())
    }

    /// Ends them, between two pages of entries.
    pub fn stop(&self) {
        let before = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        drop(before.stop);
        for thread in before.threads {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Why a file was not written.
enum Trouble {
    Failed(String),
    /// The console stops: the next one writes it.
    Stopping,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

struct Schedule {
    key: String,
    export: Export,
    store: Store,
    clock: Clock,
    stopping: watch::Receiver<bool>,
    status: Arc<Mutex<Status>>,
}

/// What the database keeps of an export: the next entry, and when all was written last.
#[derive(Clone, Copy, Default)]
struct Kept {
    cursor: i64,
    last_at: Option<Millis>,
}

impl Kept {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace().map(str::parse);
        Some(Self {
            cursor: words.next()?.ok()?,
            last_at: words.next().and_then(Result::ok),
        })
    }

    fn text(self) -> String {
        match self.last_at {
            Some(at) => format!("{} {at}", self.cursor),
            None => self.cursor.to_string(),
        }
    }
}

impl Schedule {
    fn run(&mut self) {
        let mut pause = PAUSE.0;
        let mut not_before = Millis::MIN;
        while !self.is_stopping() {
            if !self.store.leads() || self.clock.now() < not_before {
                std::thread::sleep(LOOK);
                continue;
            }
            match self.round() {
                Ok(next) => {
                    pause = PAUSE.0;
                    not_before = next;
                }
                Err(Trouble::Stopping) => return,
                Err(Trouble::Failed(why)) => {
                    self.failed(&why);
                    not_before = self.clock.now() + pause;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    /// Writes what there is, if it is time; when it is time again.
    fn round(&self) -> Result<Millis, Trouble> {
        let every = self.export.every;
        let mut kept = self.kept()?;
        self.with_status(|status| status.cursor = kept.cursor);
        let now = self.clock.now();
        // A clock that was set back does not stop it.
        if let Some(at) = kept.last_at.filter(|at| now >= *at && now - at < every) {
            self.with_status(|status| status.last_at = Some(at));
            return Ok(at + every);
        }
        let whole = self.export.format.by_exchange() || self.export.query.is_some();
        let end = self.store.read_now(|c| feed::end(c, whole))?;
        while kept.cursor < end {
            let next = match self.written(kept.cursor)? {
                Some(next) => next,
                None => self.write(kept.cursor, end.min(kept.cursor + FILE))?,
            };
            if next == kept.cursor {
                break;
            }
            kept.cursor = next;
            self.keep(kept)?;
        }
        kept.last_at = Some(now);
        self.keep(kept)?;
        self.with_status(|status| {
            status.last_at = Some(now);
            status.failures = 0;
            status.trouble = None;
            status.failing_since = None;
        });
        Ok(now + every)
    }

    /// Writes a file with the entries from `from` on until about `until`; the place behind its last. If
    /// nothing of them is wanted, there is no file.
    fn write(&self, from: i64, until: i64) -> Result<i64, Trouble> {
        let selection = self.selection()?;
        let hidden = self
            .export
            .directory
            .join(format!(".{}.part", self.export.name));
        let mut out = Part::create(&hidden).map_err(|error| in_words(&hidden, &error))?;
        let mut encoder = Encoder::new(self.export.format);
        let mut bytes = Vec::new();
        encoder.head(&mut bytes);
        let mut cursor = from;
        while cursor < until {
            if self.is_stopping() {
                return Err(Trouble::Stopping);
            }
            let by_exchange = self.export.format.by_exchange();
            let page = self
                .store
                .read_now(|c| feed::page(c, cursor, PAGE, &selection, by_exchange))?;
            if page.next == cursor {
                break;
            }
            for item in &page.items {
                encoder.item(item, &mut bytes);
            }
            out.write(&bytes)
                .map_err(|error| in_words(&hidden, &error))?;
            bytes.clear();
            cursor = page.next;
        }
        encoder.tail(&mut bytes);
        if encoder.entries() > 0 {
            let name = self.file_name(from, cursor);
            out.write(&bytes)
                .and_then(|()| out.finish(&self.export.directory, &name))
                .map_err(|error| in_words(&hidden, &error))?;
            self.with_status(|status| status.files += 1);
        }
        Ok(cursor)
    }

    /// The end of a file that begins at `from` and is there already.
    fn written(&self, from: i64) -> Result<Option<i64>, Trouble> {
        let directory = &self.export.directory;
        let found = fs::read_dir(directory).map_err(|error| in_words(directory, &error))?;
        for file in found {
            let file = file.map_err(|error| in_words(directory, &error))?;
            let name = file.file_name();
            let end = name.to_str().and_then(|name| {
                let rest = name.strip_prefix(&format!("{}-{from:012}-", self.export.name))?;
                let (end, _) = rest.split_once('.')?;
                end.parse().ok()
            });
            if let Some(end) = end.filter(|end| *end > from) {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    fn file_name(&self, from: i64, to: i64) -> String {
        let Export { name, format, .. } = &self.export;
        format!("{name}-{from:012}-{to:012}.{}", format.extension())
    }

    /// A time in the query that is an age is one before now.
    fn selection(&self) -> Result<Selection, Trouble> {
        let query = self.export.query.as_deref();
        let query = query.map(|text| query::parse(text, self.clock.now()));
        Ok(Selection {
            query: query
                .transpose()
                .map_err(|error| Trouble::Failed(error.to_string()))?,
            ..Selection::default()
        })
    }

    fn kept(&self) -> Result<Kept, StoreError> {
        let text = self.store.read_now(|c| meta::get(c, &self.key))?;
        let Some(text) = text else {
            return Ok(Kept::default());
        };
        Kept::parse(&text)
            .ok_or_else(|| StoreError::Unreadable(format!("`{}` is `{text}`", self.key)))
    }

    fn keep(&self, kept: Kept) -> Result<(), StoreError> {
        let key = self.key.clone();
        self.store
            .write_now(move |c| meta::set(c, &key, &kept.text()))?;
        self.with_status(|status| status.cursor = kept.cursor);
        Ok(())
    }

    fn failed(&self, why: &str) {
        let now = self.clock.now();
        let failures = self.with_status(|status| {
            status.failures += 1;
            status.trouble = Some(why.to_owned());
            status.failing_since.get_or_insert(now);
            status.failures
        });
        // The first, and then less and less often.
        if failures.is_power_of_two() {
            tracing::error!(export = %self.export.name, failures, %why, "an export cannot be written");
        }
    }

    fn with_status<T>(&self, change: impl FnOnce(&mut Status) -> T) -> T {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_stopping(&self) -> bool {
        // A console that is gone without a word has stopped too.
        *self.stopping.borrow() || self.stopping.has_changed().is_err()
    }
}

fn in_words(path: &Path, error: &io::Error) -> Trouble {
    Trouble::Failed(format!("{}: {error}", path.display()))
}

/// A file that nobody sees before it is finished, and that goes if it never is.
struct Part {
    path: PathBuf,
    file: File,
    finished: bool,
}

impl Part {
    fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            // Of whoever collects, the group may read.
            .mode(0o640)
            .open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            finished: false,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn finish(&mut self, directory: &Path, name: &str) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, directory.join(name))?;
        self.finished = true;
        // The name has to be on disk before the cursor is.
        File::open(directory)?.sync_all()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            // One that stays is overwritten the next time.
            let _ = fs::remove_file(&self.path);
        }
    }
}
