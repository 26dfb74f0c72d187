//! One value of a body, read at its offset: what a table's column takes.

use super::Decimal;
use crate::schema::{NodeId, Schema};
use std::sync::Arc;

/// A value in the form that databases bind. Borrowed from the body wherever Avro's form allows.
#[derive(Clone, Debug)]
pub enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Decimal(Decimal),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Instant(i64),
    /// Microseconds since 1970-01-01T00:00:00 of a local clock.
    Local(i64),
    Uuid([u8; 16]),
    /// A record, array, map or many-branched union as JSON text.
    Json(Vec<u8>),
}

/// Reads one type at an offset of a body that a scan has proven well formed.
#[derive(Clone, Debug)]
pub struct CellReader {
    schema: Arc<Schema>,
    node: NodeId,
}

impl CellReader {
    /// A reader of values of `node`, which for a nullable union is its branch that is not null.
    pub fn new(schema: Arc<Schema>, node: NodeId) -> Self {
        CellReader { schema, node }
    }
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
    pub fn node(&self) -> NodeId {
        self.node
    }
    /// The value at `offset` of `body`; an offset of [`super::NULL`] is null.
    pub fn read<'a>(&self, _body: &'a [u8], _offset: u32) -> Cell<'a> {
        todo!()
    }
}
