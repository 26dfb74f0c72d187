//! What the generated records owe each route, and whether the route has paid: every record, by outcome, case and reason.

use crate::{
    failure::Stage,
    generate::jobs::{Expect, Generated, Job},
    telemetry::{Counts, RouteView},
};
use std::collections::BTreeMap;

/// The route that reads what another writes: each record that the first delivers is owed to the second.
const CHAINED: (Job, &str) = (Job::Shop, "stored-events");
/// What the board calls the records that no case took.
const OTHERWISE: &str = "otherwise";

/// What a route has to count in the end.
#[derive(Debug, Default)]
pub struct Owed {
    pub route: &'static str,
    pub counts: Counts,
    /// Delivered, by case; empty for a route without cases.
    cases: BTreeMap<&'static str, u64>,
    failures: BTreeMap<(Stage, String), u64>,
}

/// What these records owe each route.
pub fn owed(records: &[Generated]) -> Vec<Owed> {
    let mut all = Vec::new();
    for job in Job::ALL {
        let mut owed = Owed { route: job.route(), ..Owed::default() };
        for record in records.iter().filter(|r| r.topic == job.topic()) {
            owed.add(record.expect);
        }
        let delivered = owed.counts.delivered;
        all.push(owed);
        if job == CHAINED.0 {
            all.push(Owed { route: CHAINED.1, counts: Counts { delivered, ..Counts::default() }, ..Owed::default() });
        }
    }
    all
}

impl Owed {
    fn add(&mut self, expect: Expect) {
        match expect {
            Expect::Delivered { case } => {
                self.counts.delivered += 1;
                if !case.is_empty() {
                    *self.cases.entry(case).or_default() += 1;
                }
            }
            Expect::Apart => {
                self.counts.delivered += 1;
                *self.cases.entry(OTHERWISE).or_default() += 1;
            }
            Expect::Filtered => self.counts.filtered += 1,
            Expect::Dead { stage, code } => {
                self.counts.dead_lettered += 1;
                *self.failures.entry((stage, code.to_owned())).or_default() += 1;
            }
        }
    }

    /// Each figure that is not as it must be, in words.
    fn differences(&self, view: Option<&RouteView>) -> Vec<String> {
        let Some(view) = view else { return vec![format!("{}: it never started", self.route)] };
        let mut found = Vec::new();
        let mut compare = |what: String, owed: u64, counted: u64| {
            if owed != counted {
                found.push(format!("{}: {what}: expected {owed}, counted {counted}", self.route));
            }
        };
        compare("delivered".into(), self.counts.delivered, view.counts.delivered);
        compare("filtered".into(), self.counts.filtered, view.counts.filtered);
        compare("dead-lettered".into(), self.counts.dead_lettered, view.counts.dead_lettered);
        for (case, owed) in &self.cases {
            let counted = view.cases.get(*case).map_or(0, |c| c.delivered);
            compare(format!("delivered as {case}"), *owed, counted);
        }
        for (reason, owed) in &self.failures {
            let counted = view.failures.get(reason).copied().unwrap_or_default();
            compare(format!("dead letters {}/{}", reason.0.name(), reason.1), *owed, counted);
        }
        for ((stage, code), counted) in &view.failures {
            if !self.failures.contains_key(&(*stage, code.clone())) {
                compare(format!("dead letters {}/{code}", stage.name()), 0, *counted);
            }
        }
        found
    }
}

/// Records that all routes are to account for.
pub fn total(owed: &[Owed]) -> u64 {
    owed.iter().map(|o| o.counts.consumed()).sum()
}

/// Records that they have accounted for so far; one that is counted twice does not stand in for another's.
pub fn settled(owed: &[Owed], board: &[RouteView]) -> u64 {
    let counted = |o: &Owed| view(board, o.route).map_or(0, |v| v.counts.consumed().min(o.counts.consumed()));
    owed.iter().map(counted).sum()
}

/// Each figure that is not as the generator knows it must be; empty when every record is accounted for.
pub fn differences(owed: &[Owed], board: &[RouteView]) -> Vec<String> {
    owed.iter().flat_map(|o| o.differences(view(board, o.route))).collect()
}

pub fn view<'b>(board: &'b [RouteView], route: &str) -> Option<&'b RouteView> {
    board.iter().find(|v| v.name == route)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        generate::jobs::Recipe,
        telemetry::{CaseCounts, Example, FailureCount, Telemetry},
    };
    use std::time::Duration;

    #[test]
    fn a_lost_record_a_double_one_and_a_wrong_reason_are_each_told() {
        let record = |expect| Generated { expect, ..states().remove(0) };
        let late = Expect::Dead { stage: Stage::Decode, code: "bad-date" };
        let owed = owed(&[record(Expect::Delivered { case: "failed" }), record(late)]);
        let counted = |delivered, code| {
            let telemetry = Telemetry::new();
            for o in &owed {
                telemetry.route(o.route, &[""]);
            }
            let counts = [CaseCounts { case: Some(0), delivered, filtered: 0, dead_lettered: 1 }];
            let failures =
                [FailureCount { case: None, stage: Stage::Decode, code, count: 1, example: Example::default() }];
            telemetry.route("job-states", &["failed"]).committed(counts, failures, Duration::ZERO);
            telemetry.board()
        };
        assert_eq!(differences(&owed, &counted(1, "bad-date")), Vec::<String>::new());
        assert_eq!(settled(&owed, &counted(1, "bad-date")), total(&owed));
        assert_eq!(settled(&owed, &counted(5, "bad-date")), total(&owed));
        assert_eq!(differences(&owed, &counted(0, "bad-date")).len(), 2);
        assert_eq!(differences(&owed, &counted(2, "bad-date")).len(), 2);
        let wrong = differences(&owed, &counted(1, "wrong-type"));
        assert_eq!(wrong[0], "job-states: dead letters decode/bad-date: expected 1, counted 0");
        assert_eq!(wrong.len(), 2);
    }

    fn states() -> Vec<Generated> {
        Job::States.records(&Recipe { seed: 1, count: 1, invalid_share: 0.0, schema_id: 0 }).collect()
    }
}
