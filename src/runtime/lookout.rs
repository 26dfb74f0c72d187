//! What a worker looks at and tells beside its records: what it has committed and what it holds, how far the ends are, and
//! whether its topics are still the same.

use super::{
    deliverer::{Committed, Task},
    flow::State,
    hand::{earlier, first_timestamp},
    worker::Worker,
};
use crate::{
    destination::{TopicInfos, unchanged},
    record::{Partition, Records},
    route::Program,
    telemetry::{self, CaseCounts, Example, FailureCount},
};
use std::time::{Duration, Instant};

/// How often the ends of partitions are asked for while nothing is read from them.
const LAG: Duration = Duration::from_secs(10);

/// How often it is looked whether the topics that flow are still there, and the same.
const LOOK: Duration = Duration::from_secs(5);

impl Worker {
    /// Tells what a commit held.
    pub(super) fn tell_committed(&mut self, committed: &Committed) {
        let tally = &committed.tally;
        let counts = tally.cases.iter().map(|(case, c)| CaseCounts {
            case: *case,
            delivered: c.delivered,
            filtered: c.filtered,
            dead_lettered: c.dead_lettered,
        });
        let failures = tally.failures.iter().map(|((case, stage, code), failed)| {
            let (partition, offset) = (&failed.origin.0, failed.origin.1);
            let example = Example { topic: &partition.topic, partition: partition.id, offset, why: &failed.why };
            FailureCount { case: *case, stage: *stage, code, count: failed.count, example }
        });
        let route = self.telemetry.route().clone();
        route.committed(counts, failures, committed.took);
        let notes = std::mem::take(&mut self.hand.committing);
        route.unknown_fields(notes.unknown_fields);
        let names = self.program.as_ref().map(Program::warnings).unwrap_or_default();
        for (name, warned) in names.iter().zip(&notes.warned).filter(|(_, n)| **n > 0) {
            route.rule_warned(name, *warned);
        }
        route.end_to_end(&notes.sample);
        self.hand.committed.extend(committed.positions.clone());
        self.tell_lag(|p| self.source.end(p));
        self.tell_held();
    }

    /// Tells that records flow, or would if there were any: not before the group has answered.
    pub(super) fn tell_flowing(&mut self) {
        self.hand.joining = self.flow.assigned().is_empty() && self.source.joining();
        if self.hand.joining {
            self.telemetry.joins(self.source.group());
        } else {
            self.telemetry.state(telemetry::State::Flowing);
        }
    }

    /// Tells how far the committed positions are behind these ends.
    pub(super) fn tell_lag(&self, end: impl Fn(&Partition) -> Option<i64>) {
        for (partition, next) in &self.hand.committed {
            if let Some(end) = end(partition) {
                let lag = u64::try_from(end.saturating_sub(*next)).unwrap_or(0);
                self.telemetry.route().lag(&partition.topic, partition.id, lag);
            }
        }
    }

    /// Asks where the partitions end. What is read tells the client so by itself; a lag that grows while nothing can be
    /// delivered would not be seen. One who stands claims nothing, and asks for the group's positions too.
    pub(super) fn ask_ends(&mut self) {
        if self.flow.flowing() || self.hand.lag_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        self.hand.lag_at = Some(Instant::now() + LAG);
        self.ask_for_ends();
        let assigned = self.flow.assigned();
        if matches!(self.flow.state(), State::Standing(_)) && !assigned.is_empty() {
            self.order(Task::Stored(assigned.iter().cloned().collect()));
        }
    }

    pub(super) fn ask_for_ends(&self) {
        if !self.hand.committed.is_empty() {
            let partitions = self.hand.committed.keys().cloned().collect();
            self.fetch.ends(self.hand.attempt.now(), self.source.consumer(), partitions);
        }
    }

    /// These topics flow from now on.
    pub(super) fn look_after(&mut self, topics: TopicInfos) {
        self.hand.topics = topics;
        self.hand.look_at = Some(Instant::now() + LOOK);
    }

    /// Looks whether the topics that flow are still those that were claimed: librdkafka goes on by their names, waiting
    /// for one that is gone, and reading another one of the same name from where the first one's records ended.
    pub(super) fn look(&mut self) {
        if self.flow.flowing() && self.hand.look_at.is_some_and(|at| at <= Instant::now()) {
            self.hand.look_at = None;
            let topics = self.hand.topics.keys().cloned().collect();
            self.fetch.topics(self.hand.attempt.now(), self.source.consumer(), topics);
        }
    }

    pub(super) fn looked(&mut self, found: Option<&TopicInfos>) {
        self.hand.look_at = Some(Instant::now() + LOOK);
        if let (true, Some(found)) = (self.flow.flowing(), found)
            && let Err(setback) = unchanged(&self.hand.topics, found)
        {
            self.failed(setback);
        }
    }

    /// Tells what was read and is not committed.
    pub(super) fn tell_held(&self) {
        let hand = &self.hand;
        let ready = hand.ready.as_ref().map(|(_, _, notes)| notes);
        let notes = [&hand.committing, &hand.notes].into_iter().chain(ready).map(|n| (n.oldest, n.bytes));
        let held = hand.held.as_ref().map(|b| (first_timestamp(&b.records), b.records.bytes() as u64));
        let (oldest, bytes) =
            notes.chain(held).fold((None, 0), |(oldest, bytes), (o, b)| (earlier(oldest, o), bytes + b));
        self.telemetry.holds(oldest, bytes);
    }

    /// What was thrown away counts as held until it is read again. Where nothing is left to read, it has been committed
    /// after all: by a commit whose answer was lost, or by another worker.
    pub(super) fn forget_thrown(&mut self) {
        if self.hand.thrown && *self.flow.state() == State::Flowing && self.idle() {
            self.hand.thrown = false;
            self.tell_held();
        }
    }
}
