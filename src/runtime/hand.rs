//! What a worker has in hand: read, processed, offered, and what is to be told of it once it is committed.

use super::deliverer::Attempt;
use crate::{
    destination::{TopicInfos, Work},
    failure::Setback,
    record::{Positions, Records},
    source,
    telemetry::Sample,
};
use std::{collections::BTreeSet, time::Instant};

/// What the worker holds between poll and offer.
#[derive(Default)]
pub struct Hand {
    /// Read, and waiting for what the program wants to know.
    pub held: Option<source::Batch>,
    /// Processed, and waiting for room at the deliverer.
    pub ready: Option<(Work, Positions, Notes)>,
    pub fetching: bool,
    /// Whether the deliverer is asked if the group has caught up; and when to ask again.
    pub comparing: bool,
    pub compare_at: Option<Instant>,
    /// Orders and reports of an earlier one are stale.
    pub attempt: Attempt,
    /// Where the batches offered since the last commit end.
    pub offered: Positions,
    pub notes: Notes,
    pub committing: Notes,
    /// Whether something was thrown away that may have to be read again.
    pub thrown: bool,
    /// The positions that are claimed or committed, for the lag; and when to ask for the ends again.
    pub committed: Positions,
    pub lag_at: Option<Instant>,
    /// The topics as they were claimed, and when to look at them again.
    pub topics: TopicInfos,
    pub look_at: Option<Instant>,
    /// Since when ids are taken for unknown, and all that ever were: the registry has had its grace for these.
    pub unknown_since: Option<Instant>,
    pub graced: BTreeSet<u32>,
    /// What only a person can help against.
    pub standing: Option<Setback>,
    /// Whether it left in the middle of a delivery.
    pub undelivered: bool,
    /// Whether nothing is assigned because the group has not answered yet.
    pub joining: bool,
    /// Whether a command has asked for the stop.
    pub told: bool,
    /// Why the client is of no more use.
    pub dead: Option<Setback>,
}

/// What processing counted, told once it is committed.
#[derive(Default)]
pub struct Notes {
    pub warned: Vec<u64>,
    pub unknown_fields: u64,
    /// Milliseconds since the epoch.
    pub oldest: Option<i64>,
    pub bytes: u64,
    pub sample: Sample,
}

impl Notes {
    pub fn add(&mut self, other: Notes) {
        self.warned.resize(self.warned.len().max(other.warned.len()), 0);
        for (mine, theirs) in self.warned.iter_mut().zip(&other.warned) {
            *mine += theirs;
        }
        self.unknown_fields += other.unknown_fields;
        self.oldest = earlier(self.oldest, other.oldest);
        self.bytes += other.bytes;
        self.sample.add(other.sample);
    }
}

/// As good as the oldest: a partition's timestamps mostly grow.
pub fn first_timestamp(records: &impl Records) -> Option<i64> {
    (!records.is_empty()).then(|| records.get(0).timestamp).flatten()
}

pub fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}
