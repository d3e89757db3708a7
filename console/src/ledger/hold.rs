//! Legal holds: what a hold covers is not deleted, however old it is.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::entry::{Kind, append};
use crate::clock::Millis;
use crate::intake::record::text;
use crate::secret::random_id;
use crate::store::StoreError;
use crate::store::sql::{self, Connection, OptionalExtension, Row, params};

/// What a hold covers. Everything that is given has to hold; a record without the value is covered
/// by no filter that asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Subject or e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<String>,
    /// The connection of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Taken at or after, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Millis>,
    /// Taken before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
}

impl Filter {
    /// Whether an entry that was taken at `at` and says `value` is covered. An approval's steps are
    /// those of the exchange and the person that asked.
    pub fn covers(&self, at: Millis, value: &Map<String, Value>) -> bool {
        let attributes = value.get("attributes").and_then(Value::as_object);
        let question = value.get("question");
        let attribute = |key: &str| attributes.and_then(|attributes| text(attributes, key));
        let asked = |pointer: &str| question?.pointer(pointer)?.as_str();
        let is = |wanted: &Option<String>, given: &[Option<&str>]| {
            wanted
                .as_deref()
                .is_none_or(|wanted| given.iter().flatten().any(|given| *given == wanted))
        };
        self.from.is_none_or(|from| from <= at)
            && self.until.is_none_or(|until| at < until)
            && is(
                &self.user,
                &[
                    attribute("user.id"),
                    attribute("user.email"),
                    asked("/identity/subject"),
                    asked("/identity/email"),
                ],
            )
            && is(
                &self.session,
                &[attribute("countersign.session.id"), asked("/session")],
            )
            && is(
                &self.exchange,
                &[
                    attribute("countersign.exchange.id"),
                    text(value, "exchange"),
                    asked("/exchange"),
                ],
            )
            && is(
                &self.connection,
                &[attribute("countersign.connection"), asked("/connection")],
            )
    }

    /// Whether it covers everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A hold.
#[derive(Clone, Debug, Serialize)]
pub struct Hold {
    /// Its id.
    pub id: String,
    /// What it covers.
    pub filter: Filter,
    /// Why it was put on.
    pub reason: String,
    /// Who put it on.
    pub who: String,
    /// When.
    pub added_at: Millis,
    /// When it was lifted; nothing while it stands.
    pub lifted_at: Option<Millis>,
    /// Who lifted it.
    pub lifted_by: Option<String>,
}

fn from_row(row: &Row<'_>) -> sql::Result<(String, Hold)> {
    Ok((
        row.get("filter")?,
        Hold {
            id: row.get("id")?,
            filter: Filter::default(),
            reason: row.get("reason")?,
            who: row.get("who")?,
            added_at: row.get("added_at")?,
            lifted_at: row.get("lifted_at")?,
            lifted_by: row.get("lifted_by")?,
        },
    ))
}

/// Every hold, the oldest first; only those that stand if `standing`.
pub fn list(c: &Connection, standing: bool) -> Result<Vec<Hold>, StoreError> {
    let rows: Vec<(String, Hold)> = c
        .prepare_cached(
            "SELECT * FROM holds WHERE ?1 = 0 OR lifted_at IS NULL ORDER BY added_at, id",
        )?
        .query_map([i64::from(standing)], from_row)?
        .collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|(filter, mut hold)| {
            hold.filter = serde_json::from_str(&filter)
                .map_err(|error| StoreError::Unreadable(format!("hold {}: {error}", hold.id)))?;
            Ok(hold)
        })
        .collect()
}

/// Puts a hold on and returns its id.
pub fn add(
    c: &Connection,
    now: Millis,
    filter: &Filter,
    reason: &str,
    who: &str,
) -> Result<String, StoreError> {
    let id = random_id()?;
    let value =
        json!({"event": "added", "hold": id, "filter": filter, "reason": reason, "who": who});
    let index = append(c, now, Kind::Hold, &value)?;
    if let Value::Object(value) = value {
        derive(c, index, now, &value)?;
    }
    Ok(id)
}

/// Lifts a hold. Whether there was one that stood.
pub fn lift(
    c: &Connection,
    now: Millis,
    id: &str,
    reason: &str,
    who: &str,
) -> Result<bool, StoreError> {
    let stands: Option<i64> = c
        .query_row(
            "SELECT 1 FROM holds WHERE id = ?1 AND lifted_at IS NULL",
            [id],
            |row| row.get(0),
        )
        .optional()?;
    if stands.is_none() {
        return Ok(false);
    }
    let value = json!({"event": "lifted", "hold": id, "reason": reason, "who": who});
    let index = append(c, now, Kind::Hold, &value)?;
    if let Value::Object(value) = value {
        derive(c, index, now, &value)?;
    }
    Ok(true)
}

/// Takes an entry of kind `hold` into the table.
pub(super) fn derive(
    c: &Connection,
    index: i64,
    at: Millis,
    value: &Map<String, Value>,
) -> Result<(), StoreError> {
    let word = |key: &str| {
        text(value, key)
            .ok_or_else(|| StoreError::Unreadable(format!("entry {index}: a hold without {key}")))
    };
    if word("event")? == "added" {
        let filter = value.get("filter").cloned().unwrap_or_default().to_string();
        c.prepare_cached(
            "INSERT INTO holds (id, filter, reason, who, added_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            word("hold")?,
            filter,
            word("reason")?,
            word("who")?,
            at
        ])?;
    } else {
        c.prepare_cached("UPDATE holds SET lifted_at = ?2, lifted_by = ?3 WHERE id = ?1")?
            .execute(params![word("hold")?, at, word("who")?])?;
    }
    Ok(())
}
