//! Dead letters on their way to a topic: written in the transaction of their rows, relayed after it, then deleted.
//!
//! After a crash between relay and delete the same letter stands twice in its topic, with the same origin headers.

use super::{
    Tables,
    headers::{self, OwnedHeader},
    letters::text,
    linked,
    live::{Dialect, LiveColumn, PgType, Stored},
    positions::{self, Owner},
    refusals::Refusal,
    session::{Appended, Session, Value},
};
use crate::{
    codec::Cell,
    config::TableName,
    destination::Destination,
    failure::Setback,
    record::{Digits, Letter, Partition},
};
use std::collections::BTreeMap;

const TABLE: &str = "pointsman_outbox";

/// The rights that letters on their way need in their table.
pub(super) const RIGHTS: [&str; 3] = ["SELECT", "INSERT", "DELETE"];

/// Bytes of letters that are taken at a time; the one that goes beyond is among them.
const TAKEN: i64 = 8 << 20;

/// The written columns, in the order in which [`row`] fills them.
const COLUMNS: [(&str, PgType); 10] = [
    ("cluster_id", PgType::Text),
    ("consumer_group", PgType::Text),
    ("dlq", PgType::Text),
    ("topic", PgType::Text),
    ("partition", PgType::Int4),
    ("position", PgType::Int8),
    ("timestamp_ms", PgType::Int8),
    ("key", PgType::Bytea),
    ("value", PgType::Bytea),
    ("headers", PgType::Text),
];

/// A dead letter that its topic does not have yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub id: i64,
    /// The topic it is bound for.
    pub dlq: String,
    /// Where its record came from: the letter keeps the partition's number where `dlq` has it.
    pub origin: Partition,
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// The record's own headers, then the added ones.
    pub headers: Vec<OwnedHeader>,
}

/// Pointsman's own table, as SQL.
pub(super) fn create(dialect: Dialect) -> String {
    let (id, bytes) = match dialect {
        Dialect::Postgres => ("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "BYTEA"),
        Dialect::Sqlite => ("INTEGER PRIMARY KEY", "BLOB"),
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (
            id {id}, cluster_id TEXT NOT NULL, consumer_group TEXT NOT NULL, dlq TEXT NOT NULL,
            topic TEXT NOT NULL, \"partition\" INTEGER NOT NULL, position BIGINT NOT NULL, timestamp_ms BIGINT,
            \"key\" {bytes}, \"value\" {bytes}, headers TEXT NOT NULL)"
    )
}

pub(super) fn name() -> TableName {
    TableName { schema: None, table: TABLE.to_owned() }
}

pub(super) fn table() -> Appended {
    let column = |(name, ty): (&str, PgType)| LiveColumn {
        name: name.to_owned(),
        type_name: ty.staged().to_owned(),
        stored: Stored::Postgres(ty),
        not_null: false,
        has_default: false,
        generated: false,
        loose: false,
    };
    Appended { name: name(), columns: COLUMNS.map(column).into() }
}

pub(super) fn row<'a>(owner: &'a Owner, dlq: &'a str, letter: &Letter<'a>) -> Vec<Cell<'a>> {
    let r = &letter.record;
    let mut digits = Digits::default();
    let headers = headers::encode(letter.headers(&mut digits).map(|h| (h.name, h.value)));
    vec![
        text(&owner.cluster_id),
        text(&owner.group),
        text(dlq),
        text(r.topic),
        Cell::Int(r.partition.into()),
        Cell::Int(r.offset),
        r.timestamp.map_or(Cell::Null, Cell::Int),
        r.key.map_or(Cell::Null, Cell::Bytes),
        r.value.map_or(Cell::Null, Cell::Bytes),
        Cell::Json(headers.into_bytes()),
    ]
}

/// How many letters wait, by the topic that they are bound for and the partition that their records came from.
pub type Waiting = BTreeMap<(String, Partition), usize>;

/// Letters taken out to be relayed.
pub struct Taken {
    pub letters: Vec<Bound>,
    /// Whether no others wait.
    pub all: bool,
}

impl Tables {
    /// The oldest dead letters of these partitions that are bound for this topic, or for any: at most `limit`, of some MiB.
    /// Outside of a transaction: after a commit.
    ///
    /// # Errors
    /// The environment's.
    pub fn outbox_take(&mut self, partitions: &[Partition], dlq: Option<&str>, limit: usize) -> Result<Taken, Setback> {
        let (link, place) = (linked(&mut self.link, &self.place)?, &self.place);
        take(&mut *link.session, &self.owner, partitions, dlq, limit).map_err(|r| r.setback(place))
    }

    /// How many dead letters of these partitions are bound for topics.
    ///
    /// # Errors
    /// The environment's.
    pub fn outbox_count(&mut self, partitions: &[Partition]) -> Result<Waiting, Setback> {
        let (link, place) = (linked(&mut self.link, &self.place)?, &self.place);
        count(&mut *link.session, &self.owner, partitions).map_err(|r| r.setback(place))
    }

    /// Those of these partitions whose dead letters are bound for a topic.
    ///
    /// # Errors
    /// The environment's.
    pub fn outbox_origins(&mut self, partitions: &[Partition]) -> Result<Vec<Partition>, Setback> {
        let (link, place) = (linked(&mut self.link, &self.place)?, &self.place);
        origins(&mut *link.session, &self.owner, partitions).map_err(|r| r.setback(place))
    }

    /// Before letters of these partitions are relayed: on Postgres whoever claims one waits from now on until
    /// [`Tables::outbox_delete`]. SQLite's transaction would hold up every other worker, so it only looks whether they are ours.
    ///
    /// # Errors
    /// The environment's, or [`crate::failure::Cause::Fenced`] where one has another owner.
    pub fn outbox_hold(&mut self, partitions: &[Partition]) -> Result<(), Setback> {
        let (link, place) = (linked(&mut self.link, &self.place)?, &self.place);
        if link.session.dialect() == Dialect::Postgres {
            self.transaction.open = true;
            link.session.begin().map_err(|r| r.setback(place))?;
        }
        let held = self.lock(partitions);
        if held.is_err() {
            self.abort()?;
        }
        held
    }

    /// Deletes letters that their topic has acknowledged, and lets their partitions go where they are held.
    ///
    /// # Errors
    /// The environment's.
    pub fn outbox_delete(&mut self, ids: &[i64]) -> Result<(), Setback> {
        let held = std::mem::take(&mut self.transaction.open);
        if ids.is_empty() && !held {
            return Ok(());
        }
        let (link, place) = (linked(&mut self.link, &self.place)?, &self.place);
        let session = &mut *link.session;
        let begun = if held { Ok(()) } else { session.begin() };
        let deleted = begun.and_then(|()| delete(session, ids)).and_then(|()| session.commit());
        deleted.map_err(|r| r.setback(place)).inspect_err(|_| self.link = None)
    }
}

/// The group's oldest letters of these partitions, to one topic or to any, which their owner relays: at most `limit`, and
/// about [`TAKEN`] bytes.
fn take(
    session: &mut dyn Session,
    owner: &Owner,
    partitions: &[Partition],
    dlq: Option<&str>,
    limit: usize,
) -> Result<Taken, Refusal> {
    if partitions.is_empty() {
        return Ok(Taken { letters: Vec::new(), all: true });
    }
    let (mut of_ours, mut values) = of(owner, partitions);
    if let Some(dlq) = dlq {
        values.push(Value::Text(dlq.to_owned()));
        of_ours.push_str(&format!(" AND dlq = ${}", values.len()));
    }
    values.push(Value::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
    values.push(Value::Int(TAKEN));
    let (limited, taken) = (values.len() - 1, values.len());
    // Ids and sizes first: the letters themselves are only read once it is known which.
    let ids = format!(
        "SELECT id FROM (
            SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM (
                SELECT id, coalesce(octet_length(\"key\"), 0) + coalesce(octet_length(\"value\"), 0)
                    + octet_length(headers) AS size
                {of_ours} ORDER BY id LIMIT ${limited}
            ) AS oldest
        ) AS summed WHERE before < ${taken}"
    );
    // An array has Postgres look each of them up, where it would read the whole table a second time.
    let these = match session.dialect() {
        Dialect::Postgres => format!("id = ANY(ARRAY({ids}))"),
        Dialect::Sqlite => format!("id IN ({ids})"),
    };
    let rows = session.fetch(
        &format!(
            "SELECT id, dlq, topic, \"partition\", position, timestamp_ms, \"key\", \"value\", headers FROM {TABLE}
            WHERE {these} ORDER BY id"
        ),
        &values,
    )?;
    // The database counts a letter's key, value and headers; ids and names come on top here, which ends a round no later.
    let bytes: usize = rows.iter().flatten().map(Value::size).sum();
    let all = rows.len() < limit && bytes < TAKEN as usize;
    let letters = rows
        .into_iter()
        .map(|row| bound(row).ok_or_else(|| Refusal::environment(format!("{TABLE}: a row that is none of ours"))))
        .collect::<Result<_, _>>()?;
    Ok(Taken { letters, all })
}

/// How many letters of these partitions the group has.
fn count(session: &mut dyn Session, owner: &Owner, partitions: &[Partition]) -> Result<Waiting, Refusal> {
    if partitions.is_empty() {
        return Ok(Waiting::new());
    }
    let (of_ours, values) = of(owner, partitions);
    let sql = format!("SELECT topic, \"partition\", dlq, count(*) {of_ours} GROUP BY topic, \"partition\", dlq");
    let rows = session.fetch(&sql, &values)?;
    let counted = |row: &Vec<Value>| {
        let count = usize::try_from(row[3].int()).unwrap_or(0);
        Some(((row[2].text().to_owned(), positions::partition(row)?), count))
    };
    Ok(rows.iter().filter_map(counted).collect())
}

/// Those of these partitions whose letters the group has.
fn origins(session: &mut dyn Session, owner: &Owner, partitions: &[Partition]) -> Result<Vec<Partition>, Refusal> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let (of_ours, values) = of(owner, partitions);
    let rows = session.fetch(&format!("SELECT DISTINCT topic, \"partition\" {of_ours}"), &values)?;
    Ok(rows.iter().filter_map(|row| positions::partition(row)).collect())
}

/// The group's letters of these partitions: the end of a query, and its values. The condition is wrapped so that Postgres
/// expects many rows of it: a table that is mostly empty has statistics by which it would read and sort all of a backlog for
/// each round, where the oldest are to be had from the key's index.
fn of(owner: &Owner, partitions: &[Partition]) -> (String, Vec<Value>) {
    let mut values = vec![Value::Text(owner.cluster_id.clone()), Value::Text(owner.group.clone())];
    let mut list = Vec::new();
    for p in partitions {
        values.push(Value::Text(p.topic.to_string()));
        values.push(Value::Int(p.id.into()));
        list.push(format!("(CAST(${} AS TEXT), CAST(${} AS BIGINT))", values.len() - 1, values.len()));
    }
    let sql = format!(
        "FROM {TABLE} WHERE coalesce(
            cluster_id = $1 AND consumer_group = $2 AND (topic, \"partition\") IN (VALUES {}), false)",
        list.join(", ")
    );
    (sql, values)
}

fn delete(session: &mut dyn Session, ids: &[i64]) -> Result<(), Refusal> {
    for chunk in ids.chunks(1000) {
        let marks: Vec<String> = (1..=chunk.len()).map(|i| format!("${i}")).collect();
        let values: Vec<Value> = chunk.iter().map(|id| Value::Int(*id)).collect();
        session.execute(&format!("DELETE FROM {TABLE} WHERE id IN ({})", marks.join(", ")), &values)?;
    }
    Ok(())
}

fn bound(row: Vec<Value>) -> Option<Bound> {
    let [id, dlq, topic, partition, offset, timestamp, key, value, headers] = <[Value; 9]>::try_from(row).ok()?;
    Some(Bound {
        id: id.int(),
        dlq: dlq.text().to_owned(),
        origin: Partition::new(topic.text(), i32::try_from(partition.int()).ok()?),
        offset: offset.int(),
        timestamp: (timestamp != Value::Null).then(|| timestamp.int()),
        key: key.bytes(),
        value: value.bytes(),
        headers: headers::decode(headers.text())?,
    })
}
