//! One connection to a database, as the rest of this room sees it: small statements, and rounds of rows.
//! The two dialects stand behind this trait; everything above it is the same for both.

use super::{
    live::{Dialect, LiveTable},
    refusals::Refusal,
    round::Round,
};
use crate::{codec::Cell, config::TableName, failure::Failure, route::TableTarget};
use std::ops::Range;

/// A value of a small statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Value {
    pub fn int(&self) -> i64 {
        if let Value::Int(i) = self { *i } else { 0 }
    }
    pub fn text(&self) -> &str {
        if let Value::Text(t) = self { t } else { "" }
    }
    /// Bytes of a text or of bytes.
    pub fn size(&self) -> usize {
        match self {
            Value::Null | Value::Int(_) => 0,
            Value::Text(t) => t.len(),
            Value::Bytes(b) => b.len(),
        }
    }
    pub fn bytes(self) -> Option<Vec<u8>> {
        if let Value::Bytes(b) = self { Some(b) } else { None }
    }
}

/// Why a round did not go through.
#[derive(Debug)]
pub(super) enum Trouble {
    /// These units (indexes in the pending queue) hold values that the database cannot store, seen before anything was sent.
    Units(Vec<(usize, Failure)>),
    /// Some row of the round, or all of them, or the database itself.
    Refused(Refusal),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Trouble::Refused(refusal)
    }
}

/// How a round's rows are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// The cheapest way when no row is refused.
    Whole,
    /// So that any part of the round can be put by itself.
    Divisible,
}

pub(super) trait Session: Send {
    fn dialect(&self) -> Dialect;

    /// Statements without values, separated by semicolons.
    fn run(&mut self, sql: &str) -> Result<(), Refusal>;
    /// One statement; gives the number of rows it changed.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, Refusal>;
    fn fetch(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>, Refusal>;

    /// What is known of a table; `None` where there is none.
    fn inspect(&mut self, table: &TableName) -> Result<Option<LiveTable>, Refusal>;
    /// Refuses a table that was not found only because this user may not look where it is.
    fn hidden(&mut self, _table: &TableName) -> Result<(), Refusal> {
        Ok(())
    }
    /// What is known of a destination's table, which Pointsman does not make.
    fn expect(&mut self, table: &TableName) -> Result<Option<LiveTable>, Refusal> {
        let live = self.inspect(table)?;
        if live.is_none() {
            self.hidden(table)?;
        }
        Ok(live)
    }

    /// Makes ready for rounds into these targets, once for a connection.
    fn prepare(&mut self, targets: &[(u16, &TableTarget, &LiveTable)]) -> Result<(), Refusal>;

    fn begin(&mut self) -> Result<(), Refusal>;
    fn commit(&mut self) -> Result<(), Refusal>;
    fn rollback(&mut self) -> Result<(), Refusal>;

    /// Appends rows to a table of Pointsman's own. `columns` are names in the table, one for each cell of a row.
    fn append(&mut self, table: &Appended, rows: &[Vec<Cell<'_>>]) -> Result<(), Refusal>;

    /// Whether the round that was loaded last must be loaded again before parts of it can be put.
    fn reload(&self) -> bool;
    /// Told that a row of the round that was loaded last stood already: whether a divisible load, which resolves such
    /// conflicts, may do better.
    fn resolvable(&mut self) -> bool;
    /// Makes a round's rows ready to be put, in any part of it when `sending` is [`Sending::Divisible`].
    fn load(&mut self, round: &Round<'_>, sending: Sending) -> Result<(), Trouble>;
    /// Writes and deletes the rows of these units, which are all of the round or a part of it.
    fn put(&mut self, round: &Round<'_>, units: Range<usize>) -> Result<(), Refusal>;
    /// Lets deferred constraints speak now, about everything put since the savepoint.
    fn check_deferred(&mut self, round: &Round<'_>) -> Result<(), Refusal>;
}

/// A table that only grows, with the columns that are written, as they are in the database.
#[derive(Clone, Debug)]
pub(super) struct Appended {
    pub name: TableName,
    pub columns: Vec<super::live::LiveColumn>,
}
