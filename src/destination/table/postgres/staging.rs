//! The temporary tables that keyed rows are sent to, and the statements that merge them from there.
//!
//! Each staged row has its unit's number: any part of a round can be merged by itself, without being sent again.
//! Rows without a key are copied straight into their table, and staged only when one of them is refused. So are rows with
//! a key, which costs half as much, as long as no row of their keys stands: while they do, a round is only now and then
//! tried so.

use super::{
    super::{
        live::{LiveColumn, LiveTable, PgType, Stored},
        pending::deletes,
        refusals::Refusal,
        round::{Part, Round},
        session::{Sending, Trouble},
        statements::{columns, insert_head, insert_tail, list, newer_than, position, quote, quote_table},
    },
    binary,
};
use crate::{
    config::TableDestination,
    failure::{self, Failure},
    route::{Op, TableTarget},
};
use std::{collections::BTreeMap, ops::Range};

/// A COPY statement and its bytes.
pub(super) type Load = (String, Vec<u8>);

#[derive(Default)]
pub(super) struct Stages {
    stages: BTreeMap<u16, Stage>,
    /// What `put` is to copy straight into its table, by target.
    direct: BTreeMap<u16, Load>,
    /// Whether the last load left rows unstaged, and ones with keys among them.
    unstaged: bool,
    keyed_unstaged: bool,
    /// Rounds with keys that are staged before one is copied straight again, and how many the next disappointment adds.
    staged_rounds: u32,
    disappointment: u32,
}

/// Rounds between two attempts at most.
const MOST_STAGED: u32 = 1024;

/// One thing that `put` sends.
pub(super) enum Step {
    Merge(String),
    Copy(Load),
}

struct Stage {
    types: Vec<PgType>,
    /// What the columns are called in the table; in the stage they are `c0`, `c1` and so on.
    names: Vec<String>,
    keyed: bool,
    /// COPY does what INSERT does where no row stands in the way.
    copied: bool,
    create: String,
    copy: String,
    copy_direct: String,
    insert: String,
    delete: Option<String>,
}

impl Stages {
    pub fn new(targets: &[(u16, &TableTarget, &LiveTable)]) -> Self {
        let stages = targets.iter().map(|(index, target, live)| (*index, Stage::new(*index, target, live)));
        Stages { stages: stages.collect(), disappointment: 1, ..Stages::default() }
    }

    pub fn create(&self) -> String {
        self.stages.values().map(|s| s.create.as_str()).collect::<Vec<_>>().join("; ")
    }

    pub fn begin(&mut self) {
        self.direct.clear();
    }

    /// Whether rows of the round are not staged after a load as a whole.
    pub fn unstaged(&self) -> bool {
        self.unstaged
    }

    /// A row of the round that was loaded last stood already: whether it may have been one that is to be replaced.
    pub fn resolvable(&mut self) -> bool {
        let keyed = std::mem::take(&mut self.keyed_unstaged);
        if keyed {
            self.staged_rounds = self.disappointment;
            self.disappointment = (2 * self.disappointment).min(MOST_STAGED);
        }
        keyed
    }

    /// A refusal of what was to be staged for a target, with the name that its column has in the target's table.
    pub fn named(&self, target: u16, refusal: Refusal) -> Refusal {
        let at = refusal.column.strip_prefix('c').and_then(|i| i.parse::<usize>().ok());
        let name = at.and_then(|i| self.stages.get(&target)?.names.get(i));
        match name {
            Some(name) => Refusal { column: name.clone(), ..refusal },
            None => refusal,
        }
    }

    /// The bytes of a round: those to be staged are given by target, those to be copied directly kept for `put`.
    /// Units with values that Postgres cannot store are found here, all of them at once.
    pub fn encode(&mut self, round: &Round<'_>, sending: Sending) -> Result<Vec<(u16, Load)>, Trouble> {
        self.direct.clear();
        let mut staged = Vec::new();
        let mut direct = BTreeMap::new();
        let mut bad = Vec::new();
        let whole = sending == Sending::Whole;
        let try_keyed = whole && self.staged_rounds == 0;
        if whole {
            self.staged_rounds = self.staged_rounds.saturating_sub(1);
        }
        if std::mem::take(&mut self.keyed_unstaged) {
            // The round before went through.
            self.disappointment = (self.disappointment / 2).max(1);
        }
        for part in &round.targets {
            let Some(stage) = self.stages.get(&part.target) else { continue };
            let deletes = || round.rows(part, round.units.clone()).any(|row| row.at.op == Op::Delete);
            let is_staged = !whole || !stage.copied || stage.keyed && (!try_keyed || deletes());
            let bytes = stage.encode(round, part, is_staged, &mut bad);
            self.keyed_unstaged |= !is_staged && stage.keyed;
            if is_staged {
                staged.push((part.target, (stage.copy.clone(), bytes)));
            } else {
                direct.insert(part.target, (stage.copy_direct.clone(), bytes));
            }
        }
        if !bad.is_empty() {
            return Err(Trouble::Units(bad));
        }
        self.unstaged = !direct.is_empty();
        self.direct = direct;
        Ok(staged)
    }

    /// What puts these units' rows: deletes from the last table to the first, as children stand behind their parents,
    /// then writes from the first to the last.
    pub fn steps(&mut self, round: &Round<'_>, units: Range<usize>) -> Vec<Step> {
        let any = |part, op: Op| round.rows(part, units.clone()).any(|row| row.at.op == op);
        let mut steps = Vec::new();
        for part in round.targets.iter().rev().filter(|part| any(part, Op::Delete)) {
            steps.extend(self.stages.get(&part.target).and_then(|s| s.delete.clone()).map(Step::Merge));
        }
        for part in round.targets.iter().filter(|part| any(part, Op::Write)) {
            let direct = self.direct.remove(&part.target).map(Step::Copy);
            steps.extend(direct.or_else(|| Some(Step::Merge(self.stages.get(&part.target)?.insert.clone()))));
        }
        steps
    }
}

impl Stage {
    fn new(index: u16, target: &TableTarget, live: &LiveTable) -> Stage {
        let destination = &target.destination;
        let stage = format!("pg_temp.pointsman_stage_{index}");
        let types: Vec<PgType> = columns(destination).map(|name| type_of(&live.columns, name)).collect();
        let numbered = |f: &dyn Fn(usize) -> String| (0..types.len()).map(f).collect::<Vec<_>>().join(", ");
        let names = numbered(&|i| format!("c{i}"));
        let definitions = numbered(&|i| format!("c{i} {}", types[i].staged()));
        let table = quote_table(&destination.table);
        Stage {
            names: columns(destination).map(str::to_owned).collect(),
            keyed: !destination.key_columns.is_empty(),
            copied: live.copied,
            create: format!(
                "CREATE TEMPORARY TABLE pointsman_stage_{index} \
                 (n bigint NOT NULL, d boolean NOT NULL, {definitions}) ON COMMIT DELETE ROWS"
            ),
            copy: format!("COPY {stage} (n, d, {names}) FROM STDIN (FORMAT binary)"),
            copy_direct: format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", list(columns(destination))),
            insert: format!(
                "{} SELECT {names} FROM {stage} AS s WHERE s.n BETWEEN $1 AND $2 AND NOT s.d{}",
                insert_head(destination),
                insert_tail(destination)
            ),
            delete: delete(destination, &stage),
            types,
        }
    }

    fn encode(&self, round: &Round<'_>, part: &Part, staged: bool, bad: &mut Vec<(usize, Failure)>) -> Vec<u8> {
        let mut out = Vec::with_capacity(part.rows.len() * 128);
        out.extend(binary::HEADER);
        let Some(table) = round.table(part) else { return out };
        for row in round.rows(part, round.units.clone()) {
            let work = round.pending.work(row);
            binary::row(&mut out, self.types.len() + if staged { 2 } else { 0 });
            if staged {
                out.extend(8i32.to_be_bytes());
                out.extend(round.ordinal(row.unit as usize).to_be_bytes());
                out.extend(1i32.to_be_bytes());
                out.push(u8::from(deletes(row)));
            }
            for (column, ty) in self.types.iter().enumerate() {
                if let Err(why) = binary::put(&mut out, &work.cell(&row.at, table, column), ty) {
                    let failure = Failure::new(failure::Stage::Deliver, "value-refused", why);
                    bad.push((row.unit as usize, failure.at(table.columns[column].name.clone())));
                    break;
                }
            }
        }
        out.extend(binary::TRAILER);
        out
    }
}

fn type_of(columns: &[LiveColumn], name: &str) -> PgType {
    let stored = columns.iter().find(|c| c.name == name).map(|c| &c.stored);
    // Start-up has refused every table whose columns are not all there, of a type that is written.
    if let Some(Stored::Postgres(ty)) = stored { ty.clone() } else { PgType::Text }
}

fn delete(destination: &TableDestination, stage: &str) -> Option<String> {
    let keys: Option<Vec<String>> = destination
        .key_columns
        .iter()
        .map(|key| Some(format!("t.{} = s.c{}", quote(key), position(destination, key)?)))
        .collect();
    let mut matches = keys.filter(|k| !k.is_empty())?;
    if let Some(newer) = &destination.newer_by {
        let version = format!("s.c{}", position(destination, newer)?);
        matches.push(newer_than(newer, &version));
    }
    Some(format!(
        "DELETE FROM {} AS t USING {stage} AS s WHERE s.n BETWEEN $1 AND $2 AND s.d AND {}",
        quote_table(&destination.table),
        matches.join(" AND ")
    ))
}
