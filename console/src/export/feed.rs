//! Reading the trail in its own order.

use std::collections::{HashMap, HashSet};

use roaring::RoaringBitmap;
use serde_json::{Map, Value};

use crate::clock::Millis;
use crate::exchanges;
use crate::exchanges::query::Query;
use crate::exchanges::search::{self, SearchError};
use crate::intake::record::{Half, text};
use crate::ledger::read::{self, Entry};
use crate::ledger::{Kind, derive};
use crate::replay::Exchange;
use crate::store::StoreError;
use crate::store::sql::{self, Connection};

/// Which records are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Of this identity.
    pub user: Option<String>,
    /// At or after.
    pub since: Option<Millis>,
    /// Before.
    pub until: Option<Millis>,
    /// Of exchanges that this finds.
    pub query: Option<Query>,
}

impl Selection {
    /// Whether it can only be told once the derived tables have an exchange.
    pub fn needs_exchanges(&self) -> bool {
        self.query.is_some()
    }
}

/// One entry of the trail at its place.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its place in the trail.
    pub index: i64,
    /// Its kind; everything but [`Kind::Record`] and [`Kind::Policy`] was written by the console itself.
    pub kind: Kind,
    /// The worker that wrote a record.
    pub worker: String,
    /// The worker's number for it.
    pub seq: i64,
    /// When the console took it.
    pub received_at: Millis,
    /// The event name.
    pub event: String,
    /// When it happened.
    pub at: Millis,
    /// Attributes of the resource.
    pub resource: Map<String, Value>,
    /// Attributes of the record; of another entry, what it says.
    pub attributes: Map<String, Value>,
    /// The exchange as far as it is on record; read for formats that tell of exchanges.
    pub exchange: Option<Exchange>,
}

impl Item {
    /// The exchange that an entry of a [`Format::by_exchange`](super::Format::by_exchange) format
    /// tells of here, if one is due: at its outcome, or at a request that has none.
    pub fn due(&self) -> Option<&Exchange> {
        let exchange = self.exchange.as_ref()?;
        let is_outcome = self.event == Half::Outcome.event_name();
        (is_outcome || !exchange.has_outcome()).then_some(exchange)
    }
}

/// A part of the trail.
#[derive(Clone, Debug)]
pub struct Page {
    /// The records that are wanted.
    pub items: Vec<Item>,
    /// Where the next page begins.
    pub next: i64,
    /// Whether there is nothing behind it yet.
    pub end: bool,
}

/// Reads at most `limit` entries from the place `from` on. `whole` is for formats that tell of
/// exchanges: it reads the exchange of each record, and leaves everything else out.
pub fn page(
    c: &Connection,
    from: i64,
    limit: u32,
    selection: &Selection,
    whole: bool,
) -> Result<Page, StoreError> {
    let mut entries = read::entries(c, from, None, limit)?;
    let end_of_trail = end(c, whole || selection.needs_exchanges())?;
    // An exchange is found once the derived tables have it.
    entries.retain(|entry| entry.index < end_of_trail);
    let end = entries.len() < limit as usize;
    let next = entries.last().map_or(from, |entry| entry.index + 1);
    if let (Some(query), Some(first), Some(last)) =
        (&selection.query, entries.first(), entries.last())
    {
        let found = found(c, query, first.index, last.index)?;
        entries.retain(|entry| found.contains(&entry.index));
    }
    let mut exchanges: HashMap<String, Option<Exchange>> = HashMap::new();
    let mut items = Vec::new();
    for entry in &entries {
        let item = match entry.kind {
            Kind::Record => record(c, entry)?,
            _ if whole => None,
            Kind::Policy => record(c, entry)?,
            _ => entry.value()?.map(|value| Item {
                index: entry.index,
                kind: entry.kind,
                worker: String::new(),
                seq: 0,
                received_at: entry.at,
                event: format!("countersign.{}", entry.kind.as_str()),
                at: entry.at,
                resource: Map::new(),
                attributes: value,
                exchange: None,
            }),
        };
        // What retention has deleted leaves a hash, and nothing to export.
        let Some(mut item) = item.filter(|item| selection.wants(item)) else {
            continue;
        };
        if whole && let Some(id) = text(&item.attributes, "countersign.exchange.id") {
            item.exchange = match exchanges.get(id) {
                Some(known) => known.clone(),
                None => {
                    let read = exchange(c, id)?;
                    exchanges.insert(id.to_owned(), read.clone());
                    read
                }
            };
        }
        items.push(item);
    }
    Ok(Page { items, next, end })
}

/// The entries between two places, both included, whose exchanges a query finds.
fn found(c: &Connection, query: &Query, first: i64, last: i64) -> Result<HashSet<i64>, StoreError> {
    let pairs: Vec<(i64, u32)> = c
        .prepare_cached(
            "SELECT entry, exchange FROM exchange_entries WHERE entry >= ?1 AND entry <= ?2",
        )?
        .query_map(sql::params![first, last], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    let rows: RoaringBitmap = pairs.iter().map(|(_, row)| *row).collect();
    let rows = match search::among(c, query, &rows) {
        Ok(rows) => rows,
        Err(SearchError::Store(error)) => return Err(error),
        Err(wide @ SearchError::TooWide { .. }) => {
            return Err(StoreError::Unreadable(wide.to_string()));
        }
    };
    let wanted = pairs.into_iter().filter(|(_, row)| rows.contains(*row));
    Ok(wanted.map(|(entry, _)| entry).collect())
}

fn record(c: &Connection, entry: &Entry) -> Result<Option<Item>, StoreError> {
    let record = read::stored_record(c, entry)?;
    Ok(record.map(|record| Item {
        index: record.index,
        kind: entry.kind,
        worker: record.worker,
        seq: record.seq,
        received_at: record.received_at,
        event: record.event,
        at: record.at,
        resource: record.resource,
        attributes: record.attributes,
        exchange: None,
    }))
}

fn exchange(c: &Connection, id: &str) -> Result<Option<Exchange>, StoreError> {
    Ok(exchanges::detail(c, id)?.map(|detail| Exchange::new(&detail)))
}

/// Where the trail ends now: the place of the next entry. For formats that tell of exchanges it ends
/// where the derived tables are.
pub fn end(c: &Connection, whole: bool) -> Result<i64, StoreError> {
    let position = derive::position(c)?;
    Ok(match whole {
        true => position.derived.min(position.entries),
        false => position.entries,
    })
}

/// Whether anything between two places is more than somebody's look at the trail.
pub fn has_more_than_looks(c: &Connection, from: i64, until: i64) -> Result<bool, StoreError> {
    Ok(c.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM entries WHERE idx >= ?1 AND idx < ?2 AND kind <> ?3)",
    )?
    .query_row(sql::params![from, until, Kind::Access], |row| row.get(0))?)
}

impl Selection {
    fn wants(&self, item: &Item) -> bool {
        let user = |wanted: &String| {
            ["user.id", "user.email"]
                .into_iter()
                .any(|key| item.attributes.get(key).and_then(Value::as_str) == Some(wanted))
        };
        self.since.is_none_or(|since| item.at >= since)
            && self.until.is_none_or(|until| item.at < until)
            && self.user.as_ref().is_none_or(user)
    }
}
