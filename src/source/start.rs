//! Where partitions without a position begin.

use super::DEADLINE;
use crate::{
    config::Start,
    failure::Setback,
    kafka::{At, Consumer, Settings},
    record::{Partition, Positions},
};

/// The first positions of these partitions, as the route's `start` says.
///
/// # Errors
/// The cluster does not answer, or does not know a partition.
pub fn resolve(
    consumer: &Consumer,
    settings: &Settings,
    start: &Start,
    partitions: &[Partition],
) -> Result<Positions, Setback> {
    let cluster = consumer.cluster(DEADLINE);
    let group = match start {
        Start::Earliest => return Ok(cluster.offsets(partitions, At::Earliest)?),
        Start::Latest => return Ok(cluster.offsets(partitions, At::Latest)?),
        Start::Time(millis) => return Ok(cluster.offsets(partitions, At::Time(*millis))?),
        Start::Group(group) => group,
    };
    // A consumer that never joins only reads what the other group has stored.
    let other = Consumer::new(settings, group, "start")?;
    let theirs = other.committed(partitions, DEADLINE)?;
    if theirs.is_empty() {
        tracing::warn!(
            group,
            partitions = partitions.len(),
            "`start` names a group that has no offsets in Kafka for these partitions, as no route to tables has: they begin at \
             their first records"
        );
    }
    let mut positions: Positions = theirs.into_iter().map(|(p, committed)| (p, committed.offset)).collect();
    // Where the other group has none, nothing of the partition has been seen by it.
    let absent: Vec<_> = partitions.iter().filter(|p| !positions.contains_key(p)).cloned().collect();
    positions.extend(cluster.offsets(&absent, At::Earliest)?);
    Ok(positions)
}
