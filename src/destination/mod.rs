//! Where records go: a topic through Kafka transactions, or tables through SQL transactions,
//! with the positions inside the same transaction.

mod tally;
mod work;
pub mod table;
pub mod topic;

pub use tally::{Counts, Tally};
pub use work::Work;

use crate::{
    config::OnPositionLost,
    failure::{Cause, Setback},
    kafka::{GroupMetadata, TopicInfo},
    record::{Partition, Positions},
};
use std::collections::BTreeMap;

/// Resolves where partitions without a position begin.
pub type Start<'a> = &'a mut dyn FnMut(&[Partition], Begin) -> Result<Positions, Setback>;

/// Why partitions have no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The group is new to their topic: they begin as the route's `start` says.
    NewGroup,
    /// Their topic has grown since the group began with it, or was made anew: they begin at their first record.
    NewPartitions,
}

/// A route's topics as the brokers describe them, by name.
pub type TopicInfos = BTreeMap<String, TopicInfo>;

/// One worker's way to its destinations. Every call is made by the deliverer thread, in this order:
/// claim, then any number of (write…, settle, commit); abort at any time, after which only claim follows; tend at any
/// time. Nothing is open when it is asked what is stored or owing.
pub trait Destination: Send {
    /// Takes the positions of newly assigned partitions under a new owner's epoch. A partition without a position
    /// gets its start, which is stored before this returns.
    ///
    /// # Errors
    /// The environment's; nothing is claimed then.
    fn claim(&mut self, partitions: &[Partition], topics: &TopicInfos, start: Start<'_>) -> Result<Positions, Setback>;

    /// The group's positions in these partitions, whoever moved them. Left out are those of a topic that has been made
    /// anew since.
    ///
    /// # Errors
    /// The environment's.
    fn stored(&mut self, partitions: &[Partition], topics: &TopicInfos) -> Result<Positions, Setback>;

    /// Those of these partitions whose dead letters still wait to be relayed, whoever holds them.
    ///
    /// # Errors
    /// The environment's.
    fn owing(&mut self, _partitions: &[Partition]) -> Result<Vec<Partition>, Setback> {
        Ok(Vec::new())
    }

    /// Hands a processed batch over; opens a transaction if none is open. May return before anything is acknowledged.
    ///
    /// # Errors
    /// The environment's; the caller aborts.
    fn write(&mut self, work: Work) -> Result<(), Setback>;

    /// Waits until everything written is acknowledged, or refused and lettered.
    ///
    /// # Errors
    /// The environment's; the caller aborts.
    fn settle(&mut self) -> Result<Tally, Setback>;

    /// Commits rows or records, dead letters and positions together.
    ///
    /// # Errors
    /// The environment's, or [`crate::failure::Cause::Fenced`] when another owner holds a partition: nothing is committed.
    /// A commit whose answer was lost is looked up before this returns.
    fn commit(&mut self, ticket: Ticket) -> Result<(), Setback>;

    /// Does some of what is owed beside the records: relays a round of dead letters that are committed. True where more is
    /// owed that need not wait. Called after every order, before its answer; while there is none, about once a second, or
    /// at once where more is owed.
    ///
    /// # Errors
    /// The environment's, where the route cannot go on without it; the caller aborts. What was committed stands.
    fn tend(&mut self) -> Result<bool, Setback> {
        Ok(false)
    }

    /// Throws the open transaction away, and remembers beside the positions that the breaker stopped the route under this
    /// configuration: a claim finds it, and stands.
    ///
    /// # Errors
    /// The environment's.
    fn trip(&mut self) -> Result<(), Setback>;

    /// Throws the open transaction away.
    ///
    /// # Errors
    /// The environment's.
    fn abort(&mut self) -> Result<(), Setback>;
}

/// What a commit moves, made by the worker.
#[derive(Debug)]
pub struct Ticket {
    /// The new positions of every partition that moved.
    pub positions: Positions,
    /// The group's metadata at this moment; tables do not look at it.
    pub group: Option<GroupMetadata>,
}

/// Whether a topic of this id is another one than that of `then`; brokers older than 2.8 tell none.
fn made_anew(topic: &str, topics: &TopicInfos, then: Option<&str>) -> bool {
    let now = topics.get(topic).and_then(|info| info.id.as_deref());
    matches!((now, then), (Some(now), Some(then)) if now != then && !then.is_empty())
}

/// Whether the topics of `then` are still there, and the same.
///
/// # Errors
/// Which one is not: what that means for its records, a claim decides.
pub fn unchanged(then: &TopicInfos, now: &TopicInfos) -> Result<(), Setback> {
    for (topic, info) in then {
        if !now.contains_key(topic) {
            return Err(topic::gone(topic));
        }
        if made_anew(topic, now, info.id.as_deref()) {
            return Err(Setback::retry(Cause::Broker, format!("topic {topic} was deleted and made again")));
        }
    }
    Ok(())
}

/// The alarm: other records stand at the offsets that the group knows.
fn stands_made_anew(partition: &Partition, group: &str) -> Setback {
    let topic = &partition.topic;
    Setback::stand(
        Cause::Broker,
        format!("topic {topic} was deleted and made again since group {group} stored its position in {partition}"),
        "set on_position_lost = \"earliest\" to begin the new topic at its first record",
    )
}

/// The alarm: the group had a position in this partition. `mends`: what also does, beside going on at the first record.
fn position_lost(cause: Cause, partition: &Partition, group: &str, mends: &str) -> Setback {
    Setback::stand(
        cause,
        format!("group {group} has lost its position in {partition}: it is not stored any more"),
        format!("set on_position_lost = \"earliest\" to begin at the partition's first record, or {mends}"),
    )
}

/// Goes on at the first record after a lost position, which its alarm then only tells.
///
/// # Errors
/// The alarm, where the route is to stop.
fn goes_on(terms: OnPositionLost, route: &str, alarm: Setback) -> Result<(), Setback> {
    if terms == OnPositionLost::Stop {
        return Err(alarm);
    }
    tracing::error!(route, "{}: going on at the first record", alarm.message);
    Ok(())
}

/// Says where partitions begin that have no position: the group is new to them, or all of its positions are forgotten.
fn tell_new<'p>(route: &str, group: &str, begins: impl Iterator<Item = (&'p Partition, &'p i64)>) {
    let list: Vec<String> = begins.map(|(p, at)| format!("{p} at {at}")).collect();
    if list.is_empty() {
        return;
    }
    tracing::info!(
        route,
        group,
        count = list.len(),
        partitions = list.join(", "),
        "no position is stored: partitions begin anew, as the route's start says"
    );
}

/// What the breaker said before this process began, and still holds.
fn still_tripped(partition: &Partition, group: &str) -> Setback {
    Setback::stand(
        Cause::Tripped,
        format!(
            "the breaker stopped group {group} at {partition}, and the route's configuration has not changed since"
        ),
        "compare the route's validator with what producers send; any change of the route lets it go on: raise its \
         breaker.share where its records are to become dead letters",
    )
}
