//! A batch and its outcomes, as one thing that moves to the deliverer.

use crate::{
    codec::{Cell, NULL},
    record::{Record, Records},
    route::{Op, Origin, Outcomes, RowRef, Span, TableTarget, Target},
};
use std::sync::Arc;

/// What a record holds besides its key and value, about: librdkafka's own, and its headers.
const RECORD: usize = 256;

pub struct Work {
    pub batch: Box<dyn Records + Send>,
    pub outcomes: Outcomes,
    pub targets: Arc<[Target]>,
}

impl Work {
    /// The bytes of a span of a record's row; `None` for a null key or value.
    pub fn bytes(&self, row: &RowRef, span: Span) -> Option<&[u8]> {
        match span {
            Span::None => None,
            Span::Out { start, end } => Some(&self.outcomes.out[start as usize..end as usize]),
            Span::Key | Span::Value { .. } => self.bytes_of(&self.batch.get(row.record as usize), span),
        }
    }

    /// The same where the record is at hand.
    pub fn bytes_of<'a>(&'a self, record: &Record<'a>, span: Span) -> Option<&'a [u8]> {
        match span {
            Span::None => None,
            Span::Key => record.key,
            Span::Value { start, end } => record.value.map(|v| &v[start as usize..end as usize]),
            Span::Out { start, end } => Some(&self.outcomes.out[start as usize..end as usize]),
        }
    }

    /// About how much memory it holds, in bytes: its records and what was made of them.
    pub fn size(&self) -> usize {
        let Outcomes { verdicts, out, slots, rows, .. } = &self.outcomes;
        let made = out.len() + size_of_val(&slots[..]) + size_of_val(&rows[..]) + size_of_val(&verdicts[..]);
        self.batch.bytes() + self.batch.len() * RECORD + made
    }

    /// A column's value in a row of this table.
    pub fn cell<'a>(&'a self, row: &RowRef, table: &'a TableTarget, column: usize) -> Cell<'a> {
        let slot = self.outcomes.slots[row.slots as usize + column];
        if slot == NULL {
            return Cell::Null;
        }
        let column = &table.columns[column];
        let bytes = match (column.origin, row.op) {
            (Origin::Body, Op::Write) => self.bytes(row, row.body).unwrap_or_default(),
            _ => &self.outcomes.out,
        };
        column.reader.read(bytes, slot)
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Work({} records, {} rows)", self.batch.len(), self.outcomes.rows.len())
    }
}
