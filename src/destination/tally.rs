//! What a transaction holds, counted: judged by the breaker before it commits, added to the metrics after.

use super::Work;
use crate::{
    failure::{Failure, Stage},
    record::{Partition, capped, runs},
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

    fn note(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Delivered { .. } | Verdict::Apart(_) => self.delivered += 1,
            Verdict::Filtered => self.filtered += 1,
            Verdict::Dead { .. } => self.dead_lettered += 1,
        }
    }

    fn add(&mut self, other: Counts) {
        self.delivered += other.delivered;
        self.filtered += other.filtered;
        self.dead_lettered += other.dead_lettered;
    }
}

/// The records of a transaction.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub partitions: BTreeMap<Partition, Counts>,
    /// By case: its index in the program, `None` before one was chosen or for `otherwise`.
    pub cases: BTreeMap<Option<u16>, Counts>,
    pub failures: BTreeMap<(Option<u16>, Stage, Cow<'static, str>), Failed>,
}

/// Dead letters of one cause.
#[derive(Clone, Debug)]
pub struct Failed {
    pub count: u64,
    /// Where the first of them came from, and what it says.
    pub origin: (Partition, i64),
    pub why: String,
}

/// What is kept of a failure's words, in bytes.
const WHY: usize = 300;

impl Tally {
    /// Counts every record of a batch by what became of it.
    pub fn add(&mut self, work: &Work) {
        let mut cases: Vec<(Option<u16>, Counts)> = Vec::new();
        for run in runs(&*work.batch) {
            let first = work.batch.get(run.start);
            let partition = Partition::new(first.topic, first.partition);
            let mut counts = Counts::default();
            for i in run {
                let verdict = &work.outcomes.verdicts[i];
                counts.note(verdict);
                if let Verdict::Dead { case, failure } = verdict {
                    self.failed(&partition, work.batch.get(i).offset, *case, failure);
                }
                let case = verdict.case();
                match cases.iter_mut().find(|(c, _)| *c == case) {
                    Some((_, counts)) => counts.note(verdict),
                    None => cases.push_mut((case, Counts::default())).1.note(verdict),
                }
            }
            self.partitions.entry(partition).or_default().add(counts);
        }
        for (case, counts) in cases {
            self.cases.entry(case).or_default().add(counts);
        }
    }

    /// A record noted as delivered that the destination then refused.
    pub fn refuse(&mut self, (partition, offset): &(Partition, i64), case: Option<u16>, failure: &Failure) {
        for counts in self.partitions.get_mut(partition).into_iter().chain(self.cases.get_mut(&case)) {
            counts.delivered -= 1;
            counts.dead_lettered += 1;
        }
        self.failed(partition, *offset, case, failure);
    }

    fn failed(&mut self, partition: &Partition, offset: i64, case: Option<u16>, failure: &Failure) {
        let first = || Failed {
            count: 0,
            origin: (partition.clone(), offset),
            why: capped(&failure.to_string(), WHY).to_owned(),
        };
        self.failures.entry((case, failure.stage, failure.code.clone())).or_insert_with(first).count += 1;
    }

    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.partitions.values().for_each(|c| total.add(*c));
        total
    }
}
