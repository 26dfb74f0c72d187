//! A route's verbs: outcomes, batches, rebalances. The handles of its counters are obtained once.

use super::{
    Telemetry, WorkerTelemetry,
    board::{Awaited, Shared},
    lock,
};
use crate::failure::Stage;
use jiff::Timestamp;
use metrics::{Counter, Histogram, Label};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Committed records of one case.
#[derive(Clone, Copy, Debug)]
pub struct CaseCounts {
    /// The case's index; `None` before one was chosen, or for `otherwise`.
    pub case: Option<u16>,
    pub delivered: u64,
    pub filtered: u64,
    pub dead_lettered: u64,
}

/// Committed dead letters of one cause.
#[derive(Clone, Copy, Debug)]
pub struct FailureCount<'a> {
    pub case: Option<u16>,
    pub stage: Stage,
    pub code: &'a str,
    pub count: u64,
    pub example: Example<'a>,
}

/// One of several dead letters, by which a person finds it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Example<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub why: &'a str,
}

/// How many records of a batch are looked at for `end_to_end_seconds`: enough for its shape, too few to cost anything.
const END_TO_END_SAMPLE: usize = 16;

/// Timestamps (milliseconds since the epoch) of records that are not committed yet: all of a small batch, evenly spaced
/// ones of a large one.
#[derive(Debug, Default)]
pub struct Sample(Vec<i64>);

impl Sample {
    /// Adds a batch; `timestamp` is `None` where a record has none.
    pub fn of_batch(&mut self, records: usize, timestamp: impl Fn(usize) -> Option<i64>) {
        let step = records.div_ceil(END_TO_END_SAMPLE).max(1);
        self.0.extend((0..records).step_by(step).filter_map(timestamp));
    }

    pub fn add(&mut self, other: Sample) {
        self.0.extend(other.0);
    }
}

/// Dead letters are told in the log at once, then summed up this often.
const DEAD_LETTER_PAUSE: Duration = Duration::from_secs(30);

/// What a route's workers, deliverers and relays say.
#[derive(Debug)]
pub struct RouteTelemetry {
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) name: Arc<str>,
    pub(super) view: Shared,
    cases: Vec<CaseCounters>,
    has_cases: bool,
    /// Records that no case took: kept apart or filtered by `otherwise`, or refused before a case was chosen.
    no_case: CaseCounters,
    batch_seconds: Histogram,
    batch_records: Histogram,
    commit_seconds: Histogram,
    end_to_end_seconds: Histogram,
    unknown_fields: Counter,
    rebalances: Counter,
    lost_records: Counter,
    untold: Mutex<Untold>,
}

#[derive(Debug)]
struct CaseCounters {
    name: Arc<str>,
    delivered: Counter,
    filtered: Counter,
    dead_lettered: Counter,
}

/// Dead letters that the log has not told yet.
#[derive(Debug, Default)]
struct Untold {
    told: Option<Instant>,
    codes: BTreeMap<(Stage, String), u64>,
    /// Of one of them: topic, partition, offset, and what was wrong.
    example: Option<(String, i32, i64, String)>,
}

impl RouteTelemetry {
    pub(super) fn new(telemetry: Arc<Telemetry>, name: &str, cases: &[impl AsRef<str>], view: Shared) -> Self {
        let name: Arc<str> = name.into();
        let on = &telemetry.instruments;
        let route = || vec![Label::new("route", name.to_string())];
        let records = |case: &str, outcome: &'static str| {
            let labels = vec![
                Label::new("route", name.to_string()),
                Label::new("case", case.to_owned()),
                Label::new("outcome", outcome),
            ];
            on.counter("pointsman_records_total", labels)
        };
        let counters = |case: &str, delivered_as: &str| CaseCounters {
            name: case.into(),
            delivered: records(delivered_as, "delivered"),
            filtered: records(case, "filtered"),
            dead_lettered: records(case, "dead-lettered"),
        };
        let no_cases = cases.iter().all(|c| c.as_ref().is_empty());
        RouteTelemetry {
            cases: cases.iter().map(|c| counters(c.as_ref(), c.as_ref())).collect(),
            no_case: counters("", if no_cases { "" } else { OTHERWISE }),
            has_cases: !no_cases,
            batch_seconds: on.histogram("pointsman_batch_seconds", route()),
            batch_records: on.histogram("pointsman_batch_records", route()),
            commit_seconds: on.histogram("pointsman_commit_seconds", route()),
            end_to_end_seconds: on.histogram("pointsman_end_to_end_seconds", route()),
            unknown_fields: on.counter("pointsman_unknown_fields_total", route()),
            rebalances: on.counter("pointsman_rebalances_total", route()),
            lost_records: on.counter("pointsman_lost_records_total", route()),
            untold: Mutex::default(),
            view,
            name,
            telemetry,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The verbs of the route's worker of this number.
    pub fn worker(self: &Arc<Self>, number: usize) -> WorkerTelemetry {
        WorkerTelemetry::new(self.clone(), number)
    }

    /// A batch was processed; nothing of it is committed yet.
    pub fn batch_processed(&self, records: usize, took: Duration) {
        self.batch_records.record(records as f64);
        self.batch_seconds.record(took);
    }

    /// A transaction stands: its records count from now on, by case and outcome and by failure.
    pub fn committed<'a>(
        &self,
        counts: impl IntoIterator<Item = CaseCounts>,
        failures: impl IntoIterator<Item = FailureCount<'a>>,
        took: Duration,
    ) {
        self.commit_seconds.record(took);
        let mut view = lock(&self.view);
        for c in counts {
            let case = self.case(c.case);
            case.delivered.increment(c.delivered);
            case.filtered.increment(c.filtered);
            case.dead_lettered.increment(c.dead_lettered);
            if self.has_cases {
                let name = if c.case.is_none() { OTHERWISE } else { &case.name };
                let at = view.cases.entry(name.to_owned()).or_default();
                at.delivered += c.delivered;
                at.filtered += c.filtered;
                at.dead_lettered += c.dead_lettered;
            }
            view.counts.delivered += c.delivered;
            view.counts.filtered += c.filtered;
            view.counts.dead_lettered += c.dead_lettered;
        }
        let mut untold = lock(&self.untold);
        for f in failures {
            self.failure_counter(&f).increment(f.count);
            *view.failures.entry((f.stage, f.code.to_owned())).or_default() += f.count;
            *untold.codes.entry((f.stage, f.code.to_owned())).or_default() += f.count;
            let Example { topic, partition, offset, why } = f.example;
            untold.example.get_or_insert_with(|| (topic.to_owned(), partition, offset, why.to_owned()));
        }
        let total = view.counts;
        drop(view);
        untold.tell(&self.name);
        drop(untold);
        tracing::debug!(route = &*self.name, seconds = took.as_secs_f64(), consumed = total.consumed(), "committed");
        self.telemetry.instruments.upkeep();
    }

    /// These records are committed now.
    pub fn end_to_end(&self, sample: &Sample) {
        let now = Timestamp::now().as_millisecond();
        for timestamp in &sample.0 {
            self.end_to_end_seconds.record(now.saturating_sub(*timestamp).max(0) as f64 / 1000.0);
        }
    }

    /// What a worker needs before it can go on, as people name it; `None` once it has everything.
    pub fn awaits(&self, worker: usize, what: Option<&str>) {
        let awaited = &mut lock(&self.view).awaited;
        match what {
            None => drop(awaited.remove(&worker)),
            // Asked for again: since then.
            Some(what) if awaited.get(&worker).is_some_and(|a| a.what == what) => {}
            Some(what) => {
                awaited.insert(worker, Awaited { what: what.to_owned(), since: Timestamp::now() });
            }
        }
    }

    /// Partitions came (`assigned`), are to be given up (`revoked`), or are gone already (`lost`).
    pub fn rebalanced(&self, what: &'static str, partitions: &[(Arc<str>, i32)]) {
        self.rebalances.increment(1);
        let names: Vec<String> = partitions.iter().map(|(t, p)| format!("{t}/{p}")).collect();
        tracing::info!(route = &*self.name, partitions = names.join(" "), "partitions {what}");
    }

    /// Partitions are given up, and nothing more will be told of them.
    pub fn released(&self, partitions: &[(Arc<str>, i32)]) {
        let mut view = lock(&self.view);
        view.lag.retain(|p, _| !partitions.contains(p));
        view.workers.values_mut().for_each(|w| w.outbox.retain(|p, _| !partitions.contains(p)));
    }

    /// Records between the committed position and the partition's end.
    pub fn lag(&self, topic: &Arc<str>, partition: i32, records: u64) {
        lock(&self.view).lag.insert((topic.clone(), partition), records);
    }

    /// A rule with `on_fail = "warn"` would have refused so many records.
    pub fn rule_warned(&self, rule: &str, records: u64) {
        let labels = vec![Label::new("route", self.name.to_string()), Label::new("rule", rule.to_owned())];
        self.telemetry.instruments.counter("pointsman_rule_warnings_total", labels).increment(records);
        *lock(&self.view).rule_warnings.entry(rule.to_owned()).or_default() += records;
        tracing::debug!(route = &*self.name, rule, records, "a rule warns");
    }

    /// JSON fields that the schema does not have.
    pub fn unknown_fields(&self, fields: u64) {
        self.unknown_fields.increment(fields);
    }

    /// Dead letters of this worker's partitions that are committed and wait to be relayed, all of them.
    pub fn outbox(&self, worker: usize, letters: BTreeMap<(Arc<str>, i32), u64>) {
        if let Some(worker) = lock(&self.view).workers.get_mut(&worker) {
            worker.outbox = letters;
        }
    }

    /// The topic no longer holds a stored position. `skipped` records are passed over where the route goes on;
    /// `None` where the partition stands.
    pub fn position_lost(&self, topic: &str, partition: i32, offset: i64, skipped: Option<u64>) {
        let route = &*self.name;
        match skipped {
            Some(skipped) => {
                self.lost_records.increment(skipped);
                tracing::error!(
                    route,
                    topic,
                    partition,
                    offset,
                    skipped,
                    "the position is gone: going on after the gap"
                );
            }
            None => tracing::error!(route, topic, partition, offset, "the position is gone: the partition stands"),
        }
    }

    fn case(&self, case: Option<u16>) -> &CaseCounters {
        case.and_then(|c| self.cases.get(usize::from(c))).unwrap_or(&self.no_case)
    }

    fn failure_counter(&self, f: &FailureCount<'_>) -> Counter {
        let labels = vec![
            Label::new("route", self.name.to_string()),
            Label::new("case", self.case(f.case).name.to_string()),
            Label::new("stage", f.stage.name()),
            Label::new("code", f.code.to_owned()),
        ];
        self.telemetry.instruments.counter("pointsman_failures_total", labels)
    }
}

/// The case of records that no case took.
const OTHERWISE: &str = "otherwise";

impl Untold {
    /// One line for all that has gathered, unless the last one is recent.
    fn tell(&mut self, route: &str) {
        if self.codes.is_empty() || self.told.is_some_and(|t| t.elapsed() < DEAD_LETTER_PAUSE) {
            return;
        }
        self.told = Some(Instant::now());
        let records: u64 = self.codes.values().sum();
        let codes: Vec<String> = self.codes.iter().map(|((s, c), n)| format!("{s}/{c}={n}")).collect();
        self.codes.clear();
        let (topic, partition, offset, why) = self.example.take().unwrap_or_default();
        tracing::warn!(
            route,
            records,
            codes = codes.join(" "),
            topic,
            partition,
            offset,
            example = why,
            "dead letters"
        );
    }
}

impl Drop for RouteTelemetry {
    fn drop(&mut self) {
        let mut untold = lock(&self.untold);
        untold.told = None;
        untold.tell(&self.name);
    }
}
