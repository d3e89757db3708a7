//! Which exchanges belong together, and reading them: a session that clients name, or what one
//! identity did around an exchange with no pause longer than [`IDLE`].

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::exchange::Exchange;
use super::timeline::{Ruling, Timeline, timeline};
use crate::approvals;
use crate::clock::Millis;
use crate::exchanges;
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, params};

// PostgreSQL indexes the beginnings of sessions and identities, which callers choose: an entry of its
// index has at most a third of a page. So the queries here name the beginning as well.

/// A longer pause ends a stretch of work.
pub const IDLE: Millis = 30 * 60 * 1000;
/// Exchanges that are read at once; the rest follows on the next page.
pub const PAGE: u32 = 200;
/// Bytes of records that are read at once.
const BYTES: usize = 64 << 20;
/// Newest exchanges that the list of sessions is made from.
const LOOKED_AT: u32 = 5_000;

/// What to replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The session that clients named so.
    Named(String),
    /// What the identity of this exchange did around it.
    Around(String),
}

impl Which {
    /// `~EXCHANGE` is what happened around an exchange, anything else a session's name.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix('~') {
            Some(exchange) => Self::Around(exchange.to_owned()),
            None => Self::Named(text.to_owned()),
        }
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(name) => out.write_str(name),
            Self::Around(exchange) => write!(out, "~{exchange}"),
        }
    }
}

/// A session that was read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Replay {
    /// What was asked for.
    pub session: String,
    /// Exchanges on this page.
    pub exchanges: usize,
    /// The exchange with which the next page begins, if there is one.
    pub next: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub timeline: Timeline,
}

/// Reads a session from the exchange `from` on, or from its beginning; nothing if there is none.
pub fn replay(
    c: &Connection,
    which: &Which,
    from: Option<&str>,
) -> Result<Option<Replay>, StoreError> {
    let ids = match which {
        Which::Named(name) => named(c, name, from)?,
        Which::Around(exchange) => around(c, exchange, from)?,
    };
    if ids.is_empty() {
        return Ok(None);
    }
    let read = read(c, ids.iter())?;
    Ok(Some(Replay {
        session: which.to_string(),
        exchanges: read.count,
        next: read.next,
        timeline: read.timeline,
    }))
}

fn ruling(approval: approvals::Approval) -> Ruling {
    let votes = approval.votes.iter();
    let by: Vec<&str> = votes.map(|vote| vote.who.as_str()).collect();
    let why = approval.decided_why.clone();
    Ruling {
        asked_at: approval.asked_at,
        decided_at: approval.decided_at,
        by: match by.is_empty() {
            true => approval.decided_by.clone(),
            false => Some(by.join(", ")),
        },
        why: why.filter(|why| !why.is_empty()),
        refused: approval.state == approvals::State::Refused,
    }
}

/// Exchanges on either side of one that its links are looked for in.
const NEIGHBOURS: u32 = 40;

/// An exchange among its neighbours in the session, so that its links can be shown.
pub fn neighbourhood(c: &Connection, exchange: &str) -> Result<Timeline, StoreError> {
    let Some((start, user)) = place(c, exchange)? else {
        return Ok(Timeline::default());
    };
    let session: Option<String> = c
        .prepare_cached("SELECT session FROM exchanges WHERE exchange = ?1")?
        .query_row([exchange], |row| row.get(0))?;
    let (column, value) = match (session, user) {
        (Some(session), _) => ("session", session),
        (None, Some(user)) => ("user_id", user),
        (None, None) => ("exchange", exchange.to_owned()),
    };
    let mut ids: Vec<String> = Vec::new();
    for (condition, order) in [("<", "DESC"), (">=", "ASC")] {
        let sql = format!(
            "SELECT exchange FROM exchanges
             WHERE {column} = ?1 AND substr({column}, 1, 200) = substr(?1, 1, 200) AND (at, id) {condition} (?2, ?3) AND abs(at - ?2) <= ?4
             ORDER BY at {order}, id {order} LIMIT ?5"
        );
        let found = c
            .prepare_cached(&sql)?
            .query_map(params![value, start.0, start.1, IDLE, NEIGHBOURS], |row| {
                row.get(0)
            })?
            .collect::<Result<Vec<String>, _>>()?;
        match order {
            "DESC" => ids.extend(found.into_iter().rev()),
            _ => ids.extend(found),
        }
    }
    Ok(read(c, ids.iter())?.timeline)
}

struct Read {
    timeline: Timeline,
    count: usize,
    next: Option<String>,
}

/// Reads exchanges in their order, until it is enough for once.
fn read<'a>(c: &Connection, ids: impl Iterator<Item = &'a String>) -> Result<Read, StoreError> {
    let mut read = Vec::new();
    let mut rulings = HashMap::new();
    let mut bytes = 0;
    let mut next = None;
    for (index, id) in ids.enumerate() {
        if index >= PAGE as usize || bytes > BYTES {
            next = Some(id.clone());
            break;
        }
        let Some(detail) = exchanges::detail(c, id)? else {
            continue;
        };
        let exchange = Exchange::new(&detail);
        bytes += exchange.weight();
        if let Some(approval) = exchange.text("countersign.approval.id")
            && let Some(found) = approvals::find(c, approval)?
        {
            rulings.insert(approval.to_owned(), ruling(found));
        }
        read.push(exchange);
    }
    Ok(Read {
        timeline: timeline(&read, &rulings),
        count: read.len(),
        next,
    })
}

type Place = (Millis, i64);

fn place(c: &Connection, exchange: &str) -> Result<Option<(Place, Option<String>)>, StoreError> {
    Ok(
        c.prepare_cached("SELECT at, id, user_id FROM exchanges WHERE exchange = ?1")?
            .query_row([exchange], |row| {
                Ok(((row.get(0)?, row.get(1)?), row.get(2)?))
            })
            .optional()?,
    )
}

/// One page of a session's exchanges and the one after it.
fn named(c: &Connection, name: &str, from: Option<&str>) -> Result<Vec<String>, StoreError> {
    let start = match from {
        Some(exchange) => match place(c, exchange)? {
            Some((place, _)) => place,
            None => return Ok(Vec::new()),
        },
        None => (i64::MIN, 0),
    };
    Ok(c.prepare_cached(
        "SELECT exchange FROM exchanges
         WHERE session = ?1 AND substr(session, 1, 200) = substr(?1, 1, 200) AND (at, id) >= (?2, ?3)
         ORDER BY at, id LIMIT ?4",
    )?
    .query_map(params![name, start.0, start.1, PAGE + 1], |row| row.get(0))?
    .collect::<Result<_, _>>()?)
}

fn around(c: &Connection, exchange: &str, from: Option<&str>) -> Result<Vec<String>, StoreError> {
    let Some((mut start, user)) = place(c, exchange)? else {
        return Ok(Vec::new());
    };
    let Some(user) = user else {
        return Ok(vec![exchange.to_owned()]);
    };
    match from.map(|from| place(c, from)).transpose()?.flatten() {
        Some((place, _)) => start = place,
        // Back to the last pause, at most half a page.
        None => {
            let mut back = c.prepare_cached(
                "SELECT at, id FROM exchanges
                 WHERE user_id = ?1 AND substr(user_id, 1, 200) = substr(?1, 1, 200) AND (at, id) < (?2, ?3)
                 ORDER BY at DESC, id DESC LIMIT ?4",
            )?;
            let mut rows = back.query(params![user, start.0, start.1, PAGE / 2])?;
            while let Some(row) = rows.next()? {
                let earlier: Place = (row.get(0)?, row.get(1)?);
                if start.0 - earlier.0 > IDLE {
                    break;
                }
                start = earlier;
            }
        }
    }
    let mut forward = c.prepare_cached(
        "SELECT exchange, at FROM exchanges
         WHERE user_id = ?1 AND substr(user_id, 1, 200) = substr(?1, 1, 200) AND (at, id) >= (?2, ?3)
         ORDER BY at, id LIMIT ?4",
    )?;
    let mut rows = forward.query(params![user, start.0, start.1, PAGE + 1])?;
    let mut found = Vec::new();
    let mut last = start.0;
    while let Some(row) = rows.next()? {
        let at: Millis = row.get(1)?;
        if at - last > IDLE {
            break;
        }
        last = at;
        found.push(row.get(0)?);
    }
    Ok(found)
}

/// A session in a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub session: String,
    /// Whose; the first, when there are several.
    pub user: Option<String>,
    /// How many identities took part.
    pub users: i64,
    /// Its first exchange.
    #[serde(rename = "first_at_ms")]
    pub first: Millis,
    /// Its last.
    #[serde(rename = "last_at_ms")]
    pub last: Millis,
    /// How many.
    pub exchanges: i64,
    /// Of those, refused.
    pub denied: i64,
    /// Of those, held for a person.
    pub held: i64,
    /// Secrets that were masked.
    pub masked: i64,
}

/// The sessions with the newest exchanges before `before`, newest first, and where the next page
/// begins. It looks at the newest few thousand exchanges, so that its cost does not grow with the
/// trail.
pub fn sessions(
    c: &Connection,
    user: Option<&str>,
    before: Option<Millis>,
    limit: u32,
) -> Result<(Vec<Listed>, Option<Millis>), StoreError> {
    let newest: Vec<(String, Millis)> = c
        .prepare_cached(
            "SELECT session, max(at) AS last FROM
               (SELECT session, at FROM exchanges
                WHERE at < ?1 AND (CAST(?2 AS TEXT) IS NULL OR user_id = ?2)
                ORDER BY at DESC, id DESC LIMIT ?3) AS newest
             WHERE session IS NOT NULL GROUP BY session ORDER BY last DESC LIMIT ?4",
        )?
        .query_map(
            params![before.unwrap_or(Millis::MAX), user, LOOKED_AT, limit],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<Result<_, _>>()?;
    let full = newest.len() >= limit as usize;
    let next = newest.last().filter(|_| full).map(|(_, last)| *last);
    let mut sum = c.prepare_cached(
        "SELECT min(user_id), count(DISTINCT user_id), min(at), max(at), count(*),
                count(*) FILTER (WHERE decision IN ('denied', 'undecided_denied', 'held_refused', 'held_expired')),
                count(*) FILTER (WHERE decision LIKE 'held%'), sum(masked)
         FROM exchanges WHERE session = ?1 AND substr(session, 1, 200) = substr(?1, 1, 200)",
    )?;
    let mut listed = Vec::new();
    for (session, _) in newest {
        let found = sum.query_row([&session], |row| {
            Ok(Listed {
                session: session.clone(),
                user: row.get(0)?,
                users: row.get(1)?,
                first: row.get(2)?,
                last: row.get(3)?,
                exchanges: row.get(4)?,
                denied: row.get(5)?,
                held: row.get(6)?,
                masked: row.get::<_, Option<i64>>(7)?.unwrap_or(0),
            })
        })?;
        // A session that goes on after `before` was on an earlier page.
        if before.is_none_or(|before| found.last < before) {
            listed.push(found);
        }
    }
    Ok((listed, next))
}
