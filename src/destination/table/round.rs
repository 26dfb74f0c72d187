//! A round: what goes to the database in one go, at most one row for each key, sorted by key.
//!
//! Putting a round has the same result as putting its rows one after another. Where no single row can stand
//! for two of one key, the round ends before the second.

use super::{
    keys,
    pending::{Pending, Row, deletes, table},
};
use crate::{
    config::{OnConflict, TableDestination},
    failure::Failure,
    route::TableTarget,
};
use std::{collections::BTreeMap, ops::Range};

/// Units that were refused, with the reason.
pub(super) type Refused = BTreeMap<usize, Failure>;

pub(super) struct Round<'a> {
    pub pending: &'a Pending,
    /// The units it covers, refused ones among them left out.
    pub units: Range<usize>,
    /// In the order of the targets.
    pub targets: Vec<Part>,
    /// Rows were left out because a neighbour of the same key stands for them.
    pub folded: bool,
}

/// A round's rows of one target.
pub(super) struct Part {
    pub target: u16,
    /// Indexes, sorted by key.
    pub rows: Vec<u32>,
}

/// What two rows of one key come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fold {
    First,
    Last,
    /// Neither stands for both.
    Apart,
}

impl<'a> Round<'a> {
    /// The longest round that begins where `units` does and is no longer.
    pub fn of(pending: &'a Pending, refused: &Refused, units: Range<usize>) -> Round<'a> {
        let mut rows: Vec<u32> =
            units.clone().filter(|u| !refused.contains_key(u)).flat_map(|u| pending.rows_of(u)).collect();
        let mut round = Round { pending, units, targets: Vec::new(), folded: false };
        if let Some(end) = round.crossing(&rows) {
            round.end_before(end, &mut rows);
        }
        rows.sort_unstable_by(|a, b| {
            let (x, y) = (pending.row(*a), pending.row(*b));
            (x.kin.keyed, pending.key(x), *a).cmp(&(y.kin.keyed, pending.key(y), *b))
        });
        if let Some(end) = round.fold(&rows) {
            round.end_before(end, &mut rows);
            round.fold(&rows);
        }
        round
    }

    /// The table of a part.
    pub fn table(&self, part: &Part) -> Option<&'a TableTarget> {
        table(&self.pending.works.first()?.targets, part.target)
    }

    /// A part's rows whose units are in the range: all of them where it is the whole round.
    pub fn rows<'r>(&'r self, part: &'r Part, units: Range<usize>) -> impl Iterator<Item = &'a Row> + 'r {
        let pending = self.pending;
        part.rows.iter().map(move |r| pending.row(*r)).filter(move |row| units.contains(&(row.unit as usize)))
    }

    /// The number by which a unit's rows are known in this transaction.
    pub fn ordinal(&self, unit: usize) -> i64 {
        self.pending.base + unit as i64
    }

    fn end_before(&mut self, unit: usize, rows: &mut Vec<u32>) {
        self.units.end = unit;
        rows.retain(|r| (self.pending.row(*r).unit as usize) < unit);
    }

    /// The first unit that writes to a table by another key than the round does: which rows are one row's is not known then.
    fn crossing(&self, rows: &[u32]) -> Option<usize> {
        let mut keyed = BTreeMap::new();
        let mut rows = rows.iter().map(|r| self.pending.row(*r));
        let crossing = rows.find(|row| *keyed.entry(row.kin.table).or_insert(row.kin.keyed) != row.kin.keyed)?;
        Some(self.end_at(crossing))
    }

    /// Where a round ends that must not have this row's unit beside others: before it, or behind it where it is the first,
    /// whose rows the database decides about.
    fn end_at(&self, row: &Row) -> usize {
        (row.unit as usize).max(self.units.start + 1)
    }

    /// Fills the parts; gives the first unit that must not be part of this round.
    fn fold(&mut self, sorted: &[u32]) -> Option<usize> {
        let mut parts: Vec<Part> = Vec::new();
        let mut end = None;
        let mut folded = false;
        for same in sorted.chunk_by(|a, b| self.same_key(*a, *b)) {
            let mut earlier = same[0];
            for later in &same[1..] {
                match self.pair(earlier, *later) {
                    Fold::First => folded = true,
                    Fold::Last => {
                        folded = true;
                        earlier = *later;
                    }
                    Fold::Apart => {
                        let row = self.pending.row(*later);
                        let before = self.end_at(row);
                        end = Some(end.unwrap_or(before).min(before));
                        if row.unit as usize > self.units.start {
                            break;
                        }
                        self.push(&mut parts, earlier);
                        earlier = *later;
                    }
                }
            }
            self.push(&mut parts, earlier);
        }
        parts.sort_unstable_by_key(|part| part.target);
        self.targets = parts;
        self.folded = folded;
        end
    }

    fn push(&self, parts: &mut Vec<Part>, row: u32) {
        let target = self.pending.row(row).at.target;
        let part = match parts.iter().rposition(|part| part.target == target) {
            Some(part) => &mut parts[part],
            None => parts.push_mut(Part { target, rows: Vec::new() }),
        };
        part.rows.push(row);
    }

    fn same_key(&self, a: u32, b: u32) -> bool {
        let (a, b) = (self.pending.row(a), self.pending.row(b));
        let key = self.pending.key(a);
        // A row without a key has no double.
        !key.is_empty() && a.kin.keyed == b.kin.keyed && key == self.pending.key(b)
    }

    fn pair(&self, earlier: u32, later: u32) -> Fold {
        let (earlier, later) = (self.pending.row(earlier), self.pending.row(later));
        if earlier.kin.alike != later.kin.alike {
            return Fold::Apart;
        }
        let works = &self.pending.works;
        let Some(table) = works.first().and_then(|w| table(&w.targets, later.at.target)) else { return Fold::Apart };
        let destination = &table.destination;
        fold(destination, deletes(earlier), deletes(later), || {
            let Some(newer) = &destination.newer_by else { return true };
            let version = |row| self.pending.named_cell(row, destination, newer);
            match (version(earlier), version(later)) {
                (Some(first), Some(second)) => keys::replaces(&first, &second),
                _ => true,
            }
        })
    }
}

/// The rules. `replaces` says whether the later one's version is newer, true where there are no versions.
fn fold(destination: &TableDestination, earlier: bool, later: bool, replaces: impl Fn() -> bool) -> Fold {
    match (destination.on_conflict, earlier, later) {
        // The second of two rows is to be refused, if the first is not.
        (OnConflict::Reject, _, _) => Fold::Apart,
        // A row that is written after a delete has none of the old row's other columns.
        (_, true, false) => Fold::Apart,
        (OnConflict::Ignore, false, false) => Fold::First,
        // Whether the delete is newer depends on which row stands.
        (OnConflict::Ignore, false, true) if destination.newer_by.is_some() => Fold::Apart,
        _ if replaces() => Fold::Last,
        _ => Fold::First,
    }
}
