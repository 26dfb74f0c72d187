//! Where records go: a topic through Kafka transactions, or tables through SQL transactions,
//! with the positions inside the same transaction.

mod tally;
mod work;
pub mod table;
pub mod topic;

pub use tally::{Counts, Tally};
pub use work::Work;

use crate::{
    failure::Setback,
    kafka::GroupMetadata,
    record::{Partition, Positions},
};
use std::collections::BTreeMap;

/// Resolves where partitions without a position begin.
pub type Start<'a> = &'a mut dyn FnMut(&[Partition]) -> Result<Positions, Setback>;

/// One worker's way to its destinations. Every call is made by the deliverer thread, in this order:
/// claim, then any number of (write…, settle, commit); abort at any time, after which only claim follows.
pub trait Destination: Send {
    /// Takes the positions of newly assigned partitions under a new owner's epoch. `topics` has each topic's id, where the
    /// broker tells it. A partition without a position gets its start, which is stored before this returns.
    ///
    /// # Errors
    /// The environment's; nothing is claimed then.
    fn claim(
        &mut self,
        partitions: &[Partition],
        topics: &BTreeMap<String, String>,
        start: Start<'_>,
    ) -> Result<Positions, Setback>;

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
