//! What a transaction holds, counted: judged by the breaker before it commits, added to the metrics after.

use crate::{
    failure::{Failure, Stage},
    record::Partition,
    route::Verdict,
};
use std::{borrow::Cow, collections::BTreeMap};

/// Records by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub delivered: u64,
    pub filtered: u64,
    pub dead_lettered: u64,
}

impl Counts {
    pub fn consumed(&self) -> u64 {
        self.delivered + self.filtered + self.dead_lettered
    }
}

/// The records of a transaction.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub partitions: BTreeMap<Partition, Counts>,
    /// By case: its index in the program, `None` before one was chosen or for `otherwise`.
    pub cases: BTreeMap<Option<u16>, Counts>,
    pub failures: BTreeMap<(Option<u16>, Stage, Cow<'static, str>), u64>,
}

impl Tally {
    pub fn note(&mut self, partition: &Partition, verdict: &Verdict) {
        let case = match verdict {
            Verdict::Delivered { case } => Some(*case),
            Verdict::Dead { case, .. } => *case,
            Verdict::Filtered | Verdict::Apart(_) => None,
        };
        if !self.partitions.contains_key(partition) {
            self.partitions.insert(partition.clone(), Counts::default());
        }
        let at_partition = self.partitions.get_mut(partition);
        let at_case = self.cases.entry(case).or_default();
        for counts in at_partition.into_iter().chain([at_case]) {
            match verdict {
                Verdict::Delivered { .. } | Verdict::Apart(_) => counts.delivered += 1,
                Verdict::Filtered => counts.filtered += 1,
                Verdict::Dead { .. } => counts.dead_lettered += 1,
            }
        }
        if let Verdict::Dead { case, failure } = verdict {
            *self.failures.entry((*case, failure.stage, failure.code.clone())).or_default() += 1;
        }
    }

    /// A record noted as delivered that the destination then refused.
    pub fn refuse(&mut self, partition: &Partition, case: Option<u16>, failure: &Failure) {
        for counts in self.partitions.get_mut(partition).into_iter().chain(self.cases.get_mut(&case)) {
            counts.delivered -= 1;
            counts.dead_lettered += 1;
        }
        *self.failures.entry((case, failure.stage, failure.code.clone())).or_default() += 1;
    }

    pub fn total(&self) -> Counts {
        self.partitions.values().fold(Counts::default(), |a, b| Counts {
            delivered: a.delivered + b.delivered,
            filtered: a.filtered + b.filtered,
            dead_lettered: a.dead_lettered + b.dead_lettered,
        })
    }
}
