//! Which targets write to one table, as cases of a route may: their rows are applied in the order of their records.

use super::shape::Shape;
use crate::{
    config::{Column, TableDestination, TableName},
    route::Target,
};

/// What a target has in common with others, each as the index of the first target that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kin {
    /// The table.
    pub table: u16,
    /// The table and its key: equal keys have equal bytes.
    pub keyed: u16,
    /// All of it: a row of the one can stand for a row of the other.
    pub alike: u16,
}

/// The kin of each target.
pub(super) fn of(targets: &[Target]) -> Vec<Kin> {
    let tables: Vec<Option<&TableDestination>> = targets.iter().map(destination).collect();
    let first = |i: usize, same: fn(&TableDestination, &TableDestination) -> bool| {
        let before = tables[..i].iter().position(|other| other.zip(tables[i]).is_some_and(|(a, b)| same(a, b)));
        before.unwrap_or(i) as u16
    };
    (0..tables.len()).map(|i| Kin { table: first(i, table), keyed: first(i, keyed), alike: first(i, alike) }).collect()
}

fn destination(target: &Target) -> Option<&TableDestination> {
    match target {
        Target::Table(table) => Some(&table.destination),
        Target::Topic(_) => None,
    }
}

/// Names that may be one table's: to take two tables for one costs time alone.
fn table(a: &TableDestination, b: &TableDestination) -> bool {
    let (TableName { schema: x, table: a }, TableName { schema: y, table: b }) = (&a.table, &b.table);
    a.eq_ignore_ascii_case(b) && x.as_ref().zip(y.as_ref()).is_none_or(|(x, y)| x.eq_ignore_ascii_case(y))
}

fn keyed(a: &TableDestination, b: &TableDestination) -> bool {
    let shape = |d: &TableDestination, name: &str| {
        d.columns.iter().find(|c| c.name == name).map(|c| Shape::of(&c.schema, c.node))
    };
    let keys = &a.key_columns;
    table(a, b) && *keys == b.key_columns && keys.iter().all(|key| shape(a, key) == shape(b, key))
}

fn alike(a: &TableDestination, b: &TableDestination) -> bool {
    let same =
        |(a, b): (&Column, &Column)| a.name == b.name && Shape::of(&a.schema, a.node) == Shape::of(&b.schema, b.node);
    keyed(a, b)
        && (&a.table, a.on_conflict, &a.newer_by) == (&b.table, b.on_conflict, &b.newer_by)
        && a.columns.len() == b.columns.len()
        && a.columns.iter().zip(&b.columns).all(same)
}
