//! Rows as statements with many values: as few different ones as possible, so that SQLite prepares each once.

use super::{
    super::{
        live::LiveTable,
        pending::Row,
        refusals::Refusal,
        round::{Part, Round},
        shape::Shape,
        statements::{columns, insert_head, insert_tail, newer_than, position, quote, quote_table},
    },
    text,
};
use crate::{
    codec::Cell,
    config::TableDestination,
    failure::{Failure, Stage},
    route::{Op, TableTarget},
};
use sqlx::{Arguments, sqlite::SqliteArguments};
use std::{collections::BTreeMap, ops::Range};

/// Rows of one statement at most; more gain nothing.
const ROWS: usize = 256;
/// SQLite's bound on a statement's values.
const VALUES: usize = 32_766;

#[derive(Default)]
pub(super) struct Statements {
    targets: BTreeMap<u16, Target>,
}

struct Target {
    /// The statement that inserts 2ⁿ rows, for each n.
    inserts: Vec<String>,
    delete: Option<Delete>,
    /// Columns of a type that not every value fits.
    delicate: Vec<usize>,
    columns: usize,
}

struct Delete {
    sql: String,
    /// Indexes of the columns it binds.
    columns: Vec<usize>,
}

type Send<'a> = &'a mut dyn FnMut(&str, SqliteArguments) -> Result<(), Refusal>;

impl Statements {
    pub fn new(targets: &[(u16, &TableTarget, &LiveTable)]) -> Self {
        Statements { targets: targets.iter().map(|(index, target, _)| (*index, Target::new(target))).collect() }
    }

    /// Units with values that SQLite cannot keep.
    pub fn unfit(&self, round: &Round<'_>) -> Vec<(usize, Failure)> {
        let mut bad = Vec::new();
        for part in &round.targets {
            let (Some(target), Some(table)) = (self.targets.get(&part.target), round.table(part)) else { continue };
            if target.delicate.is_empty() {
                continue;
            }
            for row in round.rows(part, round.units.clone()) {
                for column in &target.delicate {
                    let cell = round.pending.work(row).cell(&row.at, table, *column);
                    if let Err(why) = put(&mut SqliteArguments::default(), &cell) {
                        let failure = Failure::new(Stage::Deliver, "value-refused", why);
                        bad.push((row.unit as usize, failure.at(table.columns[*column].name.clone())));
                        break;
                    }
                }
            }
        }
        bad
    }

    /// Deletes from the last table to the first, as children stand behind their parents, then inserts from the first to the last.
    pub fn put(&self, round: &Round<'_>, units: Range<usize>, send: Send<'_>) -> Result<(), Refusal> {
        for part in round.targets.iter().rev() {
            self.put_part(round, part, units.clone(), Op::Delete, send)?;
        }
        for part in &round.targets {
            self.put_part(round, part, units.clone(), Op::Write, send)?;
        }
        Ok(())
    }

    fn put_part(
        &self,
        round: &Round<'_>,
        part: &Part,
        units: Range<usize>,
        op: Op,
        send: Send<'_>,
    ) -> Result<(), Refusal> {
        let (Some(target), Some(table)) = (self.targets.get(&part.target), round.table(part)) else { return Ok(()) };
        let rows: Vec<&Row> = round.rows(part, units).filter(|row| row.at.op == op).collect();
        let bind = |arguments: &mut SqliteArguments, row: &Row, column: usize| {
            let cell = round.pending.work(row).cell(&row.at, table, column);
            put(arguments, &cell).map_err(Refusal::environment)
        };
        if op == Op::Delete {
            let Some(delete) = &target.delete else { return Ok(()) };
            for row in rows {
                let mut arguments = SqliteArguments::default();
                delete.columns.iter().try_for_each(|c| bind(&mut arguments, row, *c))?;
                send(&delete.sql, arguments)?;
            }
            return Ok(());
        }
        let mut rows = &rows[..];
        while !rows.is_empty() {
            let power = (rows.len().ilog2() as usize).min(target.inserts.len() - 1);
            let (now, later) = rows.split_at(1 << power);
            let mut arguments = SqliteArguments::default();
            arguments.reserve(now.len() * target.columns, 0);
            for row in now {
                (0..target.columns).try_for_each(|c| bind(&mut arguments, row, c))?;
            }
            send(&target.inserts[power], arguments)?;
            rows = later;
        }
        Ok(())
    }
}

impl Target {
    fn new(target: &TableTarget) -> Target {
        let destination = &target.destination;
        let count = columns(destination).count();
        let row = format!("({})", vec!["?"; count].join(", "));
        let most = ROWS.min(VALUES / count.max(1)).max(1);
        let insert = |power: u32| {
            let rows = vec![row.as_str(); 1 << power].join(", ");
            format!("{} VALUES {rows}{}", insert_head(destination), insert_tail(destination))
        };
        let delicate = destination.columns.iter().enumerate().filter(|(_, c)| {
            let shape = Shape::of(&c.schema, c.node);
            matches!(
                shape,
                Shape::Float
                    | Shape::Double
                    | Shape::Uuid
                    | Shape::Date
                    | Shape::Time { .. }
                    | Shape::Instant { .. }
                    | Shape::Local { .. }
            )
        });
        Target {
            inserts: (0..=most.ilog2()).map(insert).collect(),
            delete: delete(destination),
            delicate: delicate.map(|(i, _)| i).collect(),
            columns: count,
        }
    }
}

fn delete(destination: &TableDestination) -> Option<Delete> {
    let keys: Option<Vec<usize>> = destination.key_columns.iter().map(|key| position(destination, key)).collect();
    let mut columns = keys.filter(|k| !k.is_empty())?;
    let mut matches: Vec<String> = destination.key_columns.iter().map(|k| format!("t.{} = ?", quote(k))).collect();
    if let Some(newer) = &destination.newer_by {
        columns.push(position(destination, newer)?);
        matches.push(newer_than(newer, "?"));
    }
    let sql = format!("DELETE FROM {} AS t WHERE {}", quote_table(&destination.table), matches.join(" AND "));
    Some(Delete { sql, columns })
}

/// Appends one value. An error says what cannot be kept.
pub(super) fn put(arguments: &mut SqliteArguments, cell: &Cell<'_>) -> Result<(), String> {
    let added = match cell {
        Cell::Null => arguments.add(None::<i64>),
        Cell::Bool(b) => arguments.add(i64::from(*b)),
        Cell::Int(i) => arguments.add(*i),
        Cell::Double(d) if d.is_nan() => return Err("NaN, which SQLite would keep as NULL".to_owned()),
        Cell::Double(d) => arguments.add(*d),
        Cell::Decimal(d) => arguments.add(d.to_string()),
        Cell::NotUuid(t) => return Err(format!("{t:?}, which is no UUID")),
        Cell::Text(t) => arguments.add(*t),
        Cell::Interval(i) => arguments.add(i.to_string()),
        Cell::Bytes(b) => arguments.add(*b),
        Cell::Date(d) => arguments.add(text::date(i64::from(*d))?),
        Cell::Time(t) => arguments.add(text::time(*t)?),
        Cell::Instant(t) => arguments.add(text::date_time(*t)? + "Z"),
        Cell::Local(t) => arguments.add(text::date_time(*t)?),
        Cell::Uuid(u) => arguments.add(uuid::Uuid::from_bytes(*u).hyphenated().to_string()),
        Cell::Json(j) => match std::str::from_utf8(j) {
            Ok(json) => arguments.add(json),
            Err(_) => return Err("JSON that is not UTF-8".to_owned()),
        },
    };
    added.map_err(|e| e.to_string())
}
