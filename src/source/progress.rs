//! How far each partition has been read. No client: what the consumer brings goes in, decisions come out.

use crate::record::{Partition, Positions};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The partitions that flow, and where each stands.
///
/// It needs no counter of assignments: a partition flows from the seek that begins it to the pause, revocation or loss
/// that ends it, all on the thread that also takes the batches; and librdkafka hands out no record from before a seek
/// that has been answered.
#[derive(Debug, Default)]
pub(super) struct Progress {
    reading: BTreeMap<Partition, Reading>,
    /// The end that each partition had when it first flowed: what "caught up" means.
    ends: Positions,
}

#[derive(Debug)]
struct Reading {
    next: i64,
    /// When the end was reached, if nothing has come since.
    at_end: Option<Instant>,
    /// Whether a stall at this end has been told.
    told: bool,
}

impl Progress {
    /// These partitions flow from these positions, and no others.
    pub fn begin(&mut self, positions: &Positions, ends: &Positions) {
        for (partition, end) in ends {
            self.ends.entry(partition.clone()).or_insert(*end);
        }
        let reading = |next: &i64| Reading { next: *next, at_end: None, told: false };
        self.reading = positions.iter().map(|(p, next)| (p.clone(), reading(next))).collect();
    }

    /// Nothing flows; the partitions that did.
    pub fn stop(&mut self) -> Vec<Partition> {
        std::mem::take(&mut self.reading).into_keys().collect()
    }

    pub fn give_up(&mut self, partitions: &[Partition]) {
        self.reading.retain(|p, _| !partitions.contains(p));
    }

    /// Where everything that flows stands.
    pub fn positions(&self) -> Positions {
        self.reading.iter().map(|(p, r)| (p.clone(), r.next)).collect()
    }

    /// The position of a partition that flows; records before it have been read already, or are of an earlier time.
    pub fn position(&self, partition: &Partition) -> Option<i64> {
        self.reading.get(partition).map(|r| r.next)
    }

    /// Records up to this position have been read.
    pub fn advance(&mut self, partition: &Partition, next: i64) {
        if let Some(reading) = self.reading.get_mut(partition).filter(|r| next > r.next) {
            *reading = Reading { next, at_end: None, told: false };
        }
    }

    /// The partition's end was reached. Whether that moves the position: behind the last record there may be others that
    /// no reader of committed records sees.
    pub fn reached_end(&mut self, partition: &Partition, end: i64, now: Instant) -> bool {
        let Some(reading) = self.reading.get_mut(partition) else { return false };
        let moved = end > reading.next;
        reading.next = reading.next.max(end);
        reading.at_end = Some(now);
        moved
    }

    /// Whether every partition that flows has been read to the end it had when it first did.
    pub fn caught_up(&self) -> bool {
        let reached =
            |(p, r): (&Partition, &Reading)| r.at_end.is_some() || self.ends.get(p).is_none_or(|end| r.next >= *end);
        self.reading.iter().all(reached)
    }

    /// Partitions that have stood at their end for this long while there are records behind it, each told once: somebody's
    /// open transaction holds them back. `high` is the log's end, open transactions included.
    pub fn stalled(
        &mut self,
        now: Instant,
        patience: Duration,
        high: impl Fn(&Partition) -> Option<i64>,
    ) -> Vec<(Partition, i64)> {
        let mut stalled = Vec::new();
        for (partition, reading) in &mut self.reading {
            let waited = reading.at_end.is_some_and(|at| now.saturating_duration_since(at) >= patience);
            if waited && !reading.told && high(partition).is_some_and(|h| h > reading.next) {
                reading.told = true;
                stalled.push((partition.clone(), reading.next));
            }
        }
        stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(id: i32) -> Partition {
        Partition::new("t", id)
    }

    fn progress(positions: &[(i32, i64)], ends: &[(i32, i64)]) -> Progress {
        let map = |pairs: &[(i32, i64)]| pairs.iter().map(|(id, n)| (p(*id), *n)).collect();
        let mut progress = Progress::default();
        progress.begin(&map(positions), &map(ends));
        progress
    }

    #[test]
    fn an_end_moves_the_position_past_what_no_reader_sees() {
        let (mut progress, now) = (progress(&[(0, 5)], &[(0, 9)]), Instant::now());
        progress.advance(&p(0), 8);
        assert!(!progress.caught_up());
        assert!(progress.reached_end(&p(0), 9, now), "a control record stood at 8");
        assert_eq!(progress.position(&p(0)), Some(9));
        assert!(!progress.reached_end(&p(0), 9, now));
        assert!(progress.caught_up());
    }

    #[test]
    fn caught_up_is_the_end_of_the_start_however_far_the_topic_has_grown() {
        let mut progress = progress(&[(0, 0), (1, 3)], &[(0, 2), (1, 3)]);
        assert!(!progress.caught_up(), "partition 1 has nothing to read, 0 has");
        progress.advance(&p(0), 2);
        assert!(progress.caught_up());
        // Begun anew after a setback: the end of the first time stays.
        progress.begin(&Positions::from([(p(0), 2)]), &Positions::from([(p(0), 50)]));
        assert!(progress.caught_up());
    }

    #[test]
    fn what_was_given_up_no_longer_counts() {
        let mut progress = progress(&[(0, 0), (1, 0)], &[(0, 1), (1, 1)]);
        progress.advance(&p(0), 1);
        progress.give_up(&[p(1)]);
        assert!(progress.caught_up());
        assert_eq!(progress.position(&p(1)), None);
        assert!(!progress.reached_end(&p(1), 7, Instant::now()));
        assert_eq!(progress.stop(), [p(0)]);
    }

    #[test]
    fn a_stall_behind_an_open_transaction_is_told_once() {
        let (mut progress, now, patience) = (progress(&[(0, 0)], &[(0, 4)]), Instant::now(), Duration::from_secs(30));
        let high = |_: &Partition| Some(9);
        assert!(progress.stalled(now + patience, patience, high).is_empty(), "not at its end");
        progress.reached_end(&p(0), 4, now);
        assert!(progress.stalled(now, patience, high).is_empty(), "not for long");
        assert!(progress.stalled(now + patience, patience, |_| Some(4)).is_empty(), "nothing behind it");
        assert_eq!(progress.stalled(now + patience, patience, high), [(p(0), 4)]);
        assert!(progress.stalled(now + patience, patience, high).is_empty(), "told");
        progress.advance(&p(0), 9);
        progress.reached_end(&p(0), 9, now);
        assert!(progress.stalled(now + patience, patience, high).is_empty(), "it flows again");
    }
}
