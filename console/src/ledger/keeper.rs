//! What the ledger does at each commit and between them.

use rusqlite::Connection;

use super::derive;
use crate::store::{Keeper, StoreError};

/// A backlog of so many entries is derived in the transaction that brought the last of them.
const AT_ONCE: i64 = 256;
/// Entries that are derived between two looks at whether anybody waits.
const WHEN_IDLE: u32 = 256;

/// Keeps the derived tables up.
#[derive(Debug)]
pub struct Deriving;

impl Keeper for Deriving {
    fn before_commit(&mut self, c: &Connection) -> Result<(), StoreError> {
        if derive::position(c)?.behind() <= AT_ONCE {
            derive::advance(c, AT_ONCE as u32)?;
        }
        Ok(())
    }

    fn after_commit(&mut self) {}

    fn when_idle(&mut self, c: &Connection) -> Result<bool, StoreError> {
        if derive::position(c)?.behind() <= 0 {
            return Ok(false);
        }
        Ok(derive::advance(c, WHEN_IDLE)?.behind() > 0)
    }
}
