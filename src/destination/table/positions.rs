//! Positions in the database: claimed under a new owner's epoch, moved by compare-and-set.

use super::{
    live::Dialect,
    refusals::Refusal,
    session::{Session, Value},
};
use crate::{
    destination::{Begin, Start, Tally, TopicInfos, position_lost},
    failure::{Cause, Setback},
    record::{Partition, Positions},
};
use std::collections::{BTreeMap, BTreeSet};

/// The rights that positions need in their table.
pub(super) const RIGHTS: [&str; 3] = ["SELECT", "INSERT", "UPDATE"];

/// Partitions of one statement at most: far from every limit on its values.
const CHUNK: usize = 500;

/// A partition as this worker holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub next: i64,
    pub epoch: i64,
}

/// Whose positions: every statement is about one group on one cluster.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub cluster_id: String,
    pub group: String,
}

impl Owner {
    fn values(&self) -> Vec<Value> {
        vec![Value::Text(self.cluster_id.clone()), Value::Text(self.group.clone())]
    }
}

/// Pointsman's own table, as SQL.
pub(super) fn create(dialect: Dialect) -> String {
    let time = match dialect {
        Dialect::Postgres => "TIMESTAMPTZ",
        Dialect::Sqlite => "TEXT",
    };
    format!(
        "CREATE TABLE IF NOT EXISTS pointsman_positions (
            cluster_id TEXT NOT NULL, consumer_group TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL,
            topic_id TEXT NOT NULL, owner_epoch BIGINT NOT NULL, next_offset BIGINT NOT NULL,
            consumed BIGINT NOT NULL DEFAULT 0, delivered BIGINT NOT NULL DEFAULT 0,
            filtered BIGINT NOT NULL DEFAULT 0, dead_lettered BIGINT NOT NULL DEFAULT 0,
            updated_at {time} NOT NULL DEFAULT CURRENT_TIMESTAMP, tripped TEXT,
            PRIMARY KEY (cluster_id, consumer_group, topic, partition))"
    )
}

/// A position, and its topic's id when that was stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub next: i64,
    pub topic_id: String,
    /// The mark of the configuration under which the breaker stopped the route; empty where it did not.
    pub tripped: String,
}

/// The positions that the group has.
pub(super) fn stored(session: &mut dyn Session, owner: &Owner) -> Result<BTreeMap<Partition, Stored>, Refusal> {
    let sql = "SELECT topic, partition, topic_id, next_offset, tripped FROM pointsman_positions
        WHERE cluster_id = $1 AND consumer_group = $2";
    let rows = session.fetch(sql, &owner.values())?;
    let stored = |row: &Vec<Value>| Stored {
        next: row[3].int(),
        topic_id: row[2].text().to_owned(),
        tripped: row[4].text().to_owned(),
    };
    Ok(rows.iter().filter_map(|row| Some((partition(row)?, stored(row)))).collect())
}

/// Takes these partitions: those without a position get theirs first. Inside a transaction.
pub(super) fn claim(
    session: &mut dyn Session,
    owner: &Owner,
    partitions: &[Partition],
    starts: &Positions,
    topics: &TopicInfos,
) -> Result<BTreeMap<Partition, Held>, Refusal> {
    let id = |p: &Partition| topic_id(p, topics);
    let starts: Vec<_> = starts.iter().collect();
    for chunk in starts.chunks(CHUNK) {
        let (list, values) =
            listed(owner, chunk.iter().map(|(p, next)| (*p, vec![id(p), Value::Int(**next)])), &["TEXT", "BIGINT"]);
        let sql = format!(
            "INSERT INTO pointsman_positions
                (cluster_id, consumer_group, topic, partition, topic_id, owner_epoch, next_offset)
            SELECT $1, $2, v.column1, v.column2, v.column3, 0, v.column4 FROM ({list}) AS v WHERE true
            ON CONFLICT DO NOTHING"
        );
        session.execute(&sql, &values)?;
    }
    let mut held = BTreeMap::new();
    for chunk in partitions.chunks(CHUNK) {
        lock(session, owner, chunk)?;
        let (list, values) = listed(owner, chunk.iter().map(|p| (p, vec![id(p)])), &["TEXT"]);
        let sql = format!(
            "UPDATE pointsman_positions AS p SET owner_epoch = p.owner_epoch + 1, updated_at = CURRENT_TIMESTAMP,
                tripped = NULL, topic_id = CASE WHEN v.column3 = '' THEN p.topic_id ELSE v.column3 END
            FROM ({list}) AS v
            WHERE p.cluster_id = $1 AND p.consumer_group = $2 AND p.topic = v.column1 AND p.partition = v.column2
            RETURNING topic, partition, next_offset, owner_epoch"
        );
        for row in session.fetch(&sql, &values)? {
            if let Some(p) = partition(&row) {
                held.insert(p, Held { next: row[2].int(), epoch: row[3].int() });
            }
        }
    }
    Ok(held)
}

/// Notes that the breaker stopped the route under the configuration of this mark.
pub(super) fn trip(
    session: &mut dyn Session,
    owner: &Owner,
    held: &BTreeMap<Partition, Held>,
    mark: &str,
) -> Result<(), Refusal> {
    for (p, held) in held {
        let mut values = owner.values();
        values.extend([Value::Text(p.topic.to_string()), Value::Int(p.id.into()), Value::Int(held.epoch)]);
        values.push(Value::Text(mark.to_owned()));
        let sql = "UPDATE pointsman_positions SET tripped = $6
            WHERE cluster_id = $1 AND consumer_group = $2 AND topic = $3 AND partition = $4 AND owner_epoch = $5";
        session.execute(sql, &values)?;
    }
    Ok(())
}

/// Puts positions of topics that were made again to the beginning, unless another worker has begun there meanwhile.
pub(super) fn restart(
    session: &mut dyn Session,
    owner: &Owner,
    partitions: &[Partition],
    topics: &TopicInfos,
) -> Result<(), Refusal> {
    for p in partitions {
        let mut values = owner.values();
        values.extend([Value::Text(p.topic.to_string()), Value::Int(p.id.into()), topic_id(p, topics)]);
        let sql = "UPDATE pointsman_positions SET next_offset = 0
            WHERE cluster_id = $1 AND consumer_group = $2 AND topic = $3 AND partition = $4 AND topic_id <> $5";
        session.execute(sql, &values)?;
    }
    Ok(())
}

/// Locks positions in the order of their partitions, and gives them as they stand. SQLite's transaction is lock enough.
pub(super) fn lock(
    session: &mut dyn Session,
    owner: &Owner,
    partitions: &[Partition],
) -> Result<BTreeMap<Partition, Held>, Refusal> {
    let mut standing = BTreeMap::new();
    for chunk in partitions.chunks(CHUNK) {
        let (list, values) = listed(owner, chunk.iter().map(|p| (p, Vec::new())), &[]);
        let lock = match session.dialect() {
            Dialect::Postgres => "ORDER BY p.topic, p.partition FOR UPDATE OF p",
            Dialect::Sqlite => "",
        };
        let sql = format!(
            "SELECT p.topic, p.partition, p.next_offset, p.owner_epoch FROM pointsman_positions AS p, ({list}) AS v
            WHERE p.cluster_id = $1 AND p.consumer_group = $2 AND p.topic = v.column1 AND p.partition = v.column2 {lock}"
        );
        for row in session.fetch(&sql, &values)? {
            if let Some(p) = partition(&row) {
                standing.insert(p, Held { next: row[2].int(), epoch: row[3].int() });
            }
        }
    }
    Ok(standing)
}

/// Moves positions and adds to their counters, if every one is still where its owner left it. False: another owner has
/// taken one, and the transaction must be rolled back.
pub(super) fn advance(
    session: &mut dyn Session,
    owner: &Owner,
    moves: &[(Partition, Held, i64)],
    tally: &Tally,
) -> Result<bool, Refusal> {
    for chunk in moves.chunks(CHUNK) {
        let of = |p: &Partition, held: &Held, next: i64| {
            let counts = tally.partitions.get(p).copied().unwrap_or_default();
            let counts = [counts.consumed(), counts.delivered, counts.filtered, counts.dead_lettered];
            let counts = counts.map(|c| i64::try_from(c).unwrap_or(i64::MAX));
            [held.epoch, held.next, next].into_iter().chain(counts).map(Value::Int).collect()
        };
        let (list, values) = listed(owner, chunk.iter().map(|(p, held, next)| (p, of(p, held, *next))), &["BIGINT"; 7]);
        let sql = format!(
            "UPDATE pointsman_positions AS p SET next_offset = v.column5, updated_at = CURRENT_TIMESTAMP,
                consumed = p.consumed + v.column6, delivered = p.delivered + v.column7,
                filtered = p.filtered + v.column8, dead_lettered = p.dead_lettered + v.column9
            FROM ({list}) AS v
            WHERE p.cluster_id = $1 AND p.consumer_group = $2 AND p.topic = v.column1 AND p.partition = v.column2
                AND p.owner_epoch = v.column3 AND p.next_offset = v.column4"
        );
        if session.execute(&sql, &values)? != chunk.len() as u64 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The alarm: a position that this worker has held itself, so that somebody must have deleted it since.
pub(super) fn lost(partition: &Partition, group: &str) -> Setback {
    let mends = "put its row of pointsman_positions back; a process that is started again knows of no loss, and begins \
                 where the route's `start` says";
    position_lost(Cause::Database, partition, group, mends)
}

/// Where partitions begin.
#[derive(Default)]
pub(super) struct Starts {
    /// At their first record: by them their topic has grown, or their positions are lost.
    pub grown: Positions,
    /// As the route says.
    pub new: Positions,
}

/// Where these partitions begin, which have no position. Where the group is new to a topic, each of its partitions gets its
/// start at once: one that has no position later on is one by which the topic has grown.
pub(super) fn starts(
    missing: Vec<Partition>,
    lost: Vec<Partition>,
    stored: &BTreeMap<Partition, Stored>,
    topics: &TopicInfos,
    start: Start<'_>,
) -> Result<Starts, Setback> {
    let begun: BTreeSet<&str> = stored.keys().chain(&lost).map(|p| &*p.topic).collect();
    let (mut grown, new): (Vec<_>, Vec<_>) = missing.into_iter().partition(|p| begun.contains(&*p.topic));
    grown.extend(lost);
    let mut starts = Starts::default();
    if !grown.is_empty() {
        starts.grown = start(&grown, Begin::NewPartitions)?;
    }
    if !new.is_empty() {
        let count = |topic: &str| topics.get(topic).map_or(0, |info| info.partitions);
        let beside = new.iter().flat_map(|p| (0..count(&p.topic)).map(|id| Partition { topic: p.topic.clone(), id }));
        let all: BTreeSet<Partition> = beside.chain(new.iter().cloned()).collect();
        starts.new = start(&all.into_iter().collect::<Vec<_>>(), Begin::NewGroup)?;
    }
    Ok(starts)
}

/// A VALUES list of partitions, each with more columns of the given types; its values stand behind the owner's.
fn listed<'a>(
    owner: &Owner,
    rows: impl Iterator<Item = (&'a Partition, Vec<Value>)>,
    types: &[&str],
) -> (String, Vec<Value>) {
    let mut values = owner.values();
    let mut list = Vec::new();
    for (partition, more) in rows {
        let own = [Value::Text(partition.topic.to_string()), Value::Int(partition.id.into())];
        let columns = own.into_iter().zip(["TEXT", "BIGINT"]).chain(more.into_iter().zip(types.iter().copied()));
        let marks: Vec<String> = columns
            .map(|(value, ty)| {
                values.push(value);
                format!("CAST(${} AS {ty})", values.len())
            })
            .collect();
        list.push(format!("({})", marks.join(", ")));
    }
    (format!("VALUES {}", list.join(", ")), values)
}

/// The id of a partition's topic, as the brokers tell it; empty where they tell none.
fn topic_id(p: &Partition, topics: &TopicInfos) -> Value {
    Value::Text(topics.get(&*p.topic).and_then(|info| info.id.clone()).unwrap_or_default())
}

/// The partition that a row begins with.
pub(super) fn partition(row: &[Value]) -> Option<Partition> {
    Some(Partition::new(row.first()?.text(), i32::try_from(row.get(1)?.int()).ok()?))
}
