//! What has been handed over and not put yet: records as units, each with its rows and their keys.

use super::{keys, kin::Kin};
use crate::{
    codec::Cell,
    config::TableDestination,
    destination::Work,
    record::{Partition, Record},
    route::{Op, RowRef, TableTarget, Target, Verdict},
};
use std::ops::Range;

/// A delivered record with all of its rows: put or refused as one.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub work: u32,
    pub record: u32,
    pub case: u16,
    /// In [`Pending::rows`].
    rows: (u32, u32),
}

/// One row, with its key as bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Its unit's index.
    pub unit: u32,
    pub at: RowRef,
    /// Its target's.
    pub kin: Kin,
    key: (u32, u32),
}

#[derive(Debug, Default)]
pub(super) struct Pending {
    pub works: Vec<Work>,
    pub units: Vec<Unit>,
    rows: Vec<Row>,
    keys: Vec<u8>,
    /// About how much memory the works hold.
    pub bytes: usize,
    /// The number of the first unit in its transaction: rows that are staged are told apart by it.
    pub base: i64,
}

impl Pending {
    /// `kin` has that of each of the work's targets.
    pub fn push(&mut self, work: Work, kin: &[Kin]) {
        let index = self.works.len() as u32;
        let keys: Vec<Vec<usize>> = work.targets.iter().map(key_columns).collect();
        let mut next = 0;
        for (record, verdict) in work.outcomes.verdicts.iter().enumerate() {
            let record = record as u32;
            let first = self.rows.len() as u32;
            while let Some(at) = work.outcomes.rows.get(next).filter(|at| at.record <= record) {
                next += 1;
                let start = self.keys.len() as u32;
                push_key(&mut self.keys, &keys, &work, at);
                let key = (start, self.keys.len() as u32);
                self.rows.push(Row { unit: self.units.len() as u32, at: *at, kin: kin[at.target as usize], key });
            }
            if let Verdict::Delivered { case } = verdict {
                let rows = (first, self.rows.len() as u32);
                self.units.push(Unit { work: index, record, case: *case, rows });
            }
        }
        self.bytes += work.size();
        self.works.push(work);
    }

    pub fn clear(&mut self) {
        self.base += self.units.len() as i64;
        self.works.clear();
        self.units.clear();
        self.rows.clear();
        self.keys.clear();
        self.bytes = 0;
    }

    pub fn row(&self, index: u32) -> &Row {
        &self.rows[index as usize]
    }

    /// Indexes of a unit's rows, in the order in which they are to be put.
    pub fn rows_of(&self, unit: usize) -> Range<u32> {
        let (start, end) = self.units[unit].rows;
        start..end
    }

    pub fn key(&self, row: &Row) -> &[u8] {
        &self.keys[row.key.0 as usize..row.key.1 as usize]
    }

    pub fn work(&self, row: &Row) -> &Work {
        &self.works[self.units[row.unit as usize].work as usize]
    }

    pub fn record(&self, unit: usize) -> Record<'_> {
        let unit = &self.units[unit];
        self.works[unit.work as usize].batch.get(unit.record as usize)
    }

    /// Partition and offset of a unit's record.
    pub fn origin(&self, unit: usize) -> (Partition, i64) {
        let record = self.record(unit);
        (Partition::new(record.topic, record.partition), record.offset)
    }

    /// A column's value; `None` where the target has no such column.
    pub fn named_cell<'a>(&'a self, row: &Row, destination: &TableDestination, column: &str) -> Option<Cell<'a>> {
        let work = self.work(row);
        let column = destination.columns.iter().position(|c| c.name == column)?;
        Some(work.cell(&row.at, table(&work.targets, row.at.target)?, column))
    }
}

/// The table behind a target's index.
pub(super) fn table(targets: &[Target], index: u16) -> Option<&TableTarget> {
    match targets.get(index as usize)? {
        Target::Table(table) => Some(table),
        Target::Topic(_) => None,
    }
}

/// Indexes of a table's key columns.
fn key_columns(target: &Target) -> Vec<usize> {
    let Target::Table(table) = target else { return Vec::new() };
    let columns = &table.columns;
    table.destination.key_columns.iter().filter_map(|key| columns.iter().position(|c| &c.name == key)).collect()
}

fn push_key(key: &mut Vec<u8>, columns: &[Vec<usize>], work: &Work, at: &RowRef) {
    let Some(table) = table(&work.targets, at.target) else { return };
    for column in columns.get(at.target as usize).into_iter().flatten() {
        keys::push(key, &work.cell(at, table, *column));
    }
}

/// Whether a row is to be deleted.
pub(super) fn deletes(row: &Row) -> bool {
    row.at.op == Op::Delete
}
