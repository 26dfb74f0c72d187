//! One walk over a body that proves it well formed and notes the offsets a program needs.

use crate::{
    failure::Failure,
    schema::{NodeId, Schema},
};
use std::sync::Arc;

/// A slot's content where the value, or a record around it, is null.
pub const NULL: u32 = u32::MAX;

/// Index of an offset that a scan notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub u32);

/// Which places of a body are to be noted; asking for the same place twice gives the same slot.
#[derive(Debug)]
pub struct Layout {
    schema: Arc<Schema>,
    node: NodeId,
}

impl Layout {
    /// A layout over values of `node` (the root for a whole body, an array's element for `for_each`).
    pub fn new(schema: Arc<Schema>, node: NodeId) -> Self {
        Layout { schema, node }
    }
    /// Where the value of a field begins: after its union's index when the field is nullable.
    /// `path` is field indexes from the record down, through records and nullable records; empty is the value itself.
    pub fn value(&mut self, _path: &[u16]) -> Slot {
        todo!()
    }
    /// Where top-level field number `field` begins, its union's index included; the number of fields asks for the record's end.
    pub fn edge(&mut self, _field: u16) -> Slot {
        todo!()
    }
    pub fn build(self) -> Scanner {
        let _ = (self.schema, self.node);
        todo!()
    }
}

/// A compiled layout.
#[derive(Clone, Debug)]
pub struct Scanner {}

impl Scanner {
    /// How many slots a scan fills.
    pub fn slots(&self) -> usize {
        todo!()
    }
    /// Walks the whole body. `slots` is filled; its length is [`Scanner::slots`].
    ///
    /// # Errors
    /// Stage `decode`: the body is truncated, malformed, too deep, or has bytes left over.
    pub fn scan(&self, _body: &[u8], _slots: &mut [u32]) -> Result<(), Failure> {
        todo!()
    }
    /// Walks one value that begins at `at`, inside a larger body, and gives the offset of its end; slots are offsets in `body`.
    ///
    /// # Errors
    /// As [`Scanner::scan`], without the check for bytes left over.
    pub fn scan_at(&self, _body: &[u8], _at: usize, _slots: &mut [u32]) -> Result<usize, Failure> {
        todo!()
    }
}
