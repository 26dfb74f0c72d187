//! What became of a batch: verdicts, rows, and the bytes that processing made. Ranges, no references,
//! so that it moves between threads together with its batch.

use crate::failure::{Failure, Stage};
use std::sync::{Arc, Mutex, PoisonError};

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its rows go to the destinations of a case (its index in the program; 0 without cases).
    Delivered {
        case: u16,
    },
    Filtered,
    /// A dead letter; `case` once one had been chosen.
    Dead {
        case: Option<u16>,
        failure: Box<Failure>,
    },
    /// No case took it, and `otherwise` names a place for it.
    Apart(Box<Failure>),
}

impl Verdict {
    /// The case that took the record, if one had been chosen.
    pub fn case(&self) -> Option<u16> {
        match self {
            Verdict::Delivered { case } => Some(*case),
            Verdict::Dead { case, .. } => *case,
            Verdict::Filtered | Verdict::Apart(_) => None,
        }
    }
}

/// The outcomes of a batch.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// One for each record of the batch, in its order.
    pub verdicts: Vec<Verdict>,
    /// Bytes that processing made: transcoded bodies, spliced values, computed columns and keys.
    pub out: Vec<u8>,
    /// Offsets that rows refer to.
    pub slots: Vec<u32>,
    /// What is to be written, in the order of the records.
    pub rows: Vec<RowRef>,
    /// For each rule that only warns (as the program names them), how many records broke it.
    pub warned: Vec<u64>,
    /// JSON fields that the schema lacks.
    pub unknown_fields: u64,
    /// Where the buffers go back to.
    spare: Option<Arc<Spare>>,
}

/// Buffers of outcomes that are done with, for the next batch: an allocator takes ones of their size back to the system,
/// and a batch would begin with page faults.
#[derive(Debug, Default)]
pub(super) struct Spare(Mutex<Vec<Outcomes>>);

/// Bytes of [`Outcomes::out`] that one record may make: a column that is computed for each element of an array makes the
/// square of its record's size.
pub(super) const MOST_OF_RECORD: usize = 64 << 20;
/// The same of a batch: far below what an offset can say, so that none wraps before it is noticed.
const MOST_OF_BATCH: usize = 2 << 30;

/// How many buffers are kept, more than batches wait for a deliverer, and of how many bytes at most each.
const SPARE: usize = 32;
const SPARE_BYTES: usize = 512 << 10;

impl Drop for Outcomes {
    fn drop(&mut self) {
        let Some(spare) = self.spare.take().filter(|_| self.out.capacity() <= SPARE_BYTES) else { return };
        self.verdicts.clear();
        self.truncate(Mark { out: 0, slots: 0, rows: 0 });
        let mut kept = spare.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < SPARE {
            kept.push(std::mem::take(self));
        }
    }
}

/// One row or message to write.
#[derive(Clone, Copy, Debug)]
pub struct RowRef {
    /// Index of the record in the batch.
    pub record: u32,
    /// Index in the program's targets.
    pub target: u16,
    pub op: Op,
    /// Tables: the Avro body that slots of origin `Body` refer to. Topics: the value to produce.
    pub body: Span,
    /// Topics: the key to produce.
    pub key: Span,
    /// Where this row's slots begin in [`Outcomes::slots`]: for a table one for each column;
    /// for a topic two (start, end in `out`) for each header that is set.
    pub slots: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Write,
    /// Topics: produce a tombstone. Tables: delete the row of this key; every slot's origin is then `out`,
    /// and only key columns (and `newer_by`) have values.
    Delete,
}

/// A range of bytes, by where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    None,
    /// The record's own key.
    Key,
    /// In the record's value.
    Value {
        start: u32,
        end: u32,
    },
    /// In [`Outcomes::out`].
    Out {
        start: u32,
        end: u32,
    },
}

/// A length of [`Outcomes`], to go back to when a record fails half-way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    out: usize,
    slots: usize,
    rows: usize,
}

impl Outcomes {
    pub(super) fn for_batch(spare: &Arc<Spare>, records: usize, warnings: usize) -> Outcomes {
        let mut out = spare.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        out.verdicts.reserve(records);
        out.rows.reserve(records);
        out.warned = vec![0; warnings];
        out.unknown_fields = 0;
        out.spare = Some(spare.clone());
        out
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { out: self.out.len(), slots: self.slots.len(), rows: self.rows.len() }
    }

    /// What has been made of a record since its mark, held against what one may make, and a batch, whose bytes are told
    /// apart by offsets of 32 bits.
    ///
    /// # Errors
    /// It is more.
    pub(super) fn bounded(&self, mark: Mark) -> Result<(), Failure> {
        if self.out.len() - mark.out <= MOST_OF_RECORD && self.out.len() <= MOST_OF_BATCH {
            return Ok(());
        }
        let why = format!("the record makes more than {} MiB for its destinations", MOST_OF_RECORD >> 20);
        Err(Failure::new(Stage::Encode, "not-encodable", why))
    }

    pub(super) fn truncate(&mut self, mark: Mark) {
        self.out.truncate(mark.out);
        self.slots.truncate(mark.slots);
        self.rows.truncate(mark.rows);
    }
}
