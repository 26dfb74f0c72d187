//! Telemetry as named verbs: each writes its log line, its metric, and its part of the board that pages read.
//!
//! Nothing here is process-wide but the log subscriber: a [`Telemetry`] owns its metrics, so that a test, or a second
//! set of routes in one process, has its own. Counters and histograms are written by the verbs through handles that are
//! obtained once; gauges are written from the board when `/metrics` is read, so that what is gone (a partition
//! that another worker holds now) leaves the page with it, and an age grows even where a worker hangs.

mod board;
mod collector;
mod logs;
mod metrics;
mod route;
mod worker;

pub use board::{Awaited, Counts, RouteView, SetbackView, State};
pub use collector::{CollectorTelemetry, CollectorView};
pub use logs::{LogFormat, colours, init_logs};
pub use metrics::{METRICS, MetricDoc, MetricKind};
pub use route::{CaseCounts, Example, FailureCount, RouteTelemetry, Sample};
pub use worker::WorkerTelemetry;

use self::metrics::{Gauges, Instruments};
use ::metrics::Label;
use board::Shared;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
};

/// What a process tells about its routes.
#[derive(Debug)]
pub struct Telemetry {
    instruments: Instruments,
    board: Mutex<BTreeMap<String, Shared>>,
    collectors: Mutex<BTreeMap<String, Arc<collector::Shared>>>,
    started: Timestamp,
}

impl Telemetry {
    pub fn new() -> Arc<Telemetry> {
        Arc::new(Telemetry {
            instruments: Instruments::new(),
            board: Mutex::default(),
            collectors: Mutex::default(),
            started: Timestamp::now(),
        })
    }

    /// The verbs of a route; `cases` by their index in the program, one empty name for a route without cases.
    /// A route that is there already (another worker's) keeps its place on the board and goes on counting, as its metrics do.
    pub fn route(self: &Arc<Self>, name: &str, cases: &[impl AsRef<str>]) -> Arc<RouteTelemetry> {
        let mut board = lock(&self.board);
        let view = board.entry(name.to_owned()).or_insert_with(|| Arc::new(Mutex::new(RouteView::new(name)))).clone();
        drop(board);
        Arc::new(RouteTelemetry::new(self.clone(), name, cases, view))
    }

    /// Every route as it stands now, by name.
    pub fn board(&self) -> Vec<RouteView> {
        lock(&self.board).values().map(|v| lock(v).clone()).collect()
    }

    /// The verbs of a collector that writes to `topic`; events are posted to `url`, and `buffered` is how many bytes of
    /// requests it holds.
    pub fn collector(
        self: &Arc<Self>,
        name: &str,
        topic: &str,
        url: &str,
        buffered: Arc<AtomicUsize>,
    ) -> Arc<CollectorTelemetry> {
        let (telling, shared) = CollectorTelemetry::new(self.clone(), name, topic, url, buffered);
        lock(&self.collectors).insert(name.to_owned(), shared);
        telling
    }

    /// Every collector as it stands now, by name.
    pub fn collectors(&self) -> Vec<CollectorView> {
        lock(&self.collectors).values().map(|c| c.view()).collect()
    }

    /// When this process began.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// The metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        let now = Timestamp::now();
        let gauges = Gauges::new();
        gauges.set("pointsman_build_info", vec![Label::new("version", env!("CARGO_PKG_VERSION"))], 1.0);
        for view in self.board() {
            write_gauges(&gauges, &view, now);
        }
        for view in self.collectors() {
            let collector = || vec![Label::new("collector", view.name.clone())];
            gauges.set("pointsman_collector_ready", collector(), f64::from(u8::from(view.waits.is_none())));
            gauges.set("pointsman_collector_buffered_bytes", collector(), view.buffered_bytes as f64);
        }
        self.instruments.render() + &gauges.render()
    }
}

fn write_gauges(gauges: &Gauges, view: &RouteView, now: Timestamp) {
    let route = || Label::new("route", view.name.clone());
    let state = view.state();
    for s in State::ALL {
        let here = f64::from(u8::from(s == state));
        gauges.set("pointsman_route_state", vec![route(), Label::new("state", s.name())], here);
    }
    for ((topic, partition), records) in &view.lag {
        let labels =
            vec![route(), Label::new("topic", topic.to_string()), Label::new("partition", partition.to_string())];
        gauges.set("pointsman_lag_records", labels, *records as f64);
    }
    gauges.set("pointsman_oldest_unprocessed_seconds", vec![route()], view.oldest_unprocessed(now));
    gauges.set("pointsman_outbox_records", vec![route()], view.outbox() as f64);
    gauges.set("pointsman_buffered_bytes", vec![route()], view.buffered_bytes() as f64);
}

/// What a thread that panicked has left is still worth showing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Cause, Failure, Setback, Stage};
    use std::time::Duration;

    fn page_of(lines: &[&str], page: &str) {
        for line in lines {
            assert!(page.lines().any(|l| l == *line), "{line} is missing in\n{page}");
        }
    }

    #[test]
    fn committed_records_are_counted_by_case_and_outcome_and_failures_by_code() {
        let telemetry = Telemetry::new();
        let route = telemetry.route("sales", &["opportunity", "project"]);
        let counts = [
            CaseCounts { case: Some(1), delivered: 3, filtered: 0, dead_lettered: 2 },
            CaseCounts { case: None, delivered: 1, filtered: 4, dead_lettered: 0 },
        ];
        let failures = [FailureCount {
            case: Some(1),
            stage: Stage::Decode,
            code: "bad-date",
            count: 2,
            example: Example::default(),
        }];
        route.committed(counts, failures, Duration::from_millis(12));
        page_of(
            &[
                r#"pointsman_records_total{route="sales",case="opportunity",outcome="delivered"} 0"#,
                r#"pointsman_records_total{route="sales",case="project",outcome="delivered"} 3"#,
                r#"pointsman_records_total{route="sales",case="project",outcome="dead-lettered"} 2"#,
                r#"pointsman_records_total{route="sales",case="otherwise",outcome="delivered"} 1"#,
                r#"pointsman_records_total{route="sales",case="",outcome="filtered"} 4"#,
                r#"pointsman_failures_total{route="sales",case="project",stage="decode",code="bad-date"} 2"#,
                r#"pointsman_commit_seconds_count{route="sales"} 1"#,
                "# TYPE pointsman_records_total counter",
            ],
            &telemetry.render(),
        );
        let view = &telemetry.board()[0];
        assert_eq!(view.counts, Counts { delivered: 4, filtered: 4, dead_lettered: 2 });
        assert_eq!(view.cases["project"].delivered, 3);
        assert_eq!(view.failures[&(Stage::Decode, "bad-date".to_owned())], 2);
    }

    #[test]
    fn a_route_is_in_the_worst_state_of_its_workers_and_keeps_the_last_setback() {
        let telemetry = Telemetry::new();
        let route = telemetry.route("orders", &[""]);
        assert_eq!(telemetry.board()[0].state(), State::Starting);
        let mut a = route.worker(0);
        let mut b = telemetry.route("orders", &[""]).worker(1);
        a.state(State::Flowing);
        b.setback(&Setback::retry(Cause::Broker, "broker:9092 does not answer"), 1, Duration::from_millis(100));
        b.setback(&Setback::retry(Cause::Broker, "broker:9092 does not answer"), 2, Duration::from_millis(200));
        page_of(
            &[
                r#"pointsman_route_state{route="orders",state="recovering"} 1"#,
                r#"pointsman_route_state{route="orders",state="flowing"} 0"#,
                r#"pointsman_retries_total{route="orders",cause="broker"} 2"#,
            ],
            &telemetry.render(),
        );
        b.state(State::Flowing);
        let view = &telemetry.board()[0];
        assert_eq!((view.state(), view.workers()), (State::Flowing, 2));
        assert_eq!(view.setback.as_ref().map(|s| s.attempt), Some(2));
        a.setback(&Setback::stand(Cause::Database, "no table orders", "run `pointsman apply`"), 1, Duration::ZERO);
        assert_eq!(telemetry.board()[0].state(), State::Standing);
    }

    #[test]
    fn the_lag_of_a_partition_leaves_the_page_when_the_partition_is_given_up() {
        let telemetry = Telemetry::new();
        let route = telemetry.route("r", &[""]);
        let topic: Arc<str> = "t".into();
        route.lag(&topic, 0, 7);
        route.lag(&topic, 1, 9);
        let line = r#"pointsman_lag_records{route="r",topic="t",partition="0"} 7"#;
        page_of(&[line], &telemetry.render());
        route.released(&[(topic, 0)]);
        let page = telemetry.render();
        assert!(!page.contains(line) && page.contains(r#"partition="1"} 9"#), "{page}");
    }

    #[test]
    fn the_age_of_the_oldest_record_grows_while_its_worker_says_nothing() {
        let telemetry = Telemetry::new();
        let worker = telemetry.route("r", &[""]).worker(0);
        let now = Timestamp::now();
        worker.holds(Some(now.as_millisecond() - 90_000), 4096);
        let view = &telemetry.board()[0];
        assert!((view.oldest_unprocessed(now) - 90.0).abs() < 0.01);
        assert_eq!(view.buffered_bytes(), 4096);
        worker.holds(None, 0);
        let view = &telemetry.board()[0];
        assert_eq!((view.oldest_unprocessed(now), view.buffered_bytes()), (0.0, 0));
    }

    #[test]
    fn letters_that_wait_are_counted_over_all_workers_while_they_hold_their_partitions() {
        let telemetry = Telemetry::new();
        let route = telemetry.route("r", &[""]);
        let _workers = [route.worker(0), route.worker(1)];
        let of = |partition: i32, records: u64| ((Arc::from("t"), partition), records);
        route.outbox(0, [of(0, 1000), of(1, 150)].into());
        route.outbox(1, [of(2, 50)].into());
        page_of(&[r#"pointsman_outbox_records{route="r"} 1200"#], &telemetry.render());
        route.released(&[of(0, 0).0]);
        page_of(&[r#"pointsman_outbox_records{route="r"} 200"#], &telemetry.render());
    }

    #[test]
    fn end_to_end_samples_a_few_records_of_a_batch() {
        let telemetry = Telemetry::new();
        let route = telemetry.route("r", &[""]);
        let now = Timestamp::now().as_millisecond();
        let mut sample = Sample::default();
        sample.of_batch(10_000, |_| Some(now));
        sample.of_batch(3, |i| (i != 1).then_some(now - 2_000));
        route.end_to_end(&sample);
        let ages = [
            r#"pointsman_end_to_end_seconds_count{route="r"} 18"#,
            r#"pointsman_end_to_end_seconds_bucket{route="r",le="1"} 16"#,
        ];
        page_of(&ages, &telemetry.render());
    }

    #[test]
    fn every_documented_metric_appears_with_its_help() {
        let telemetry = Telemetry::new();
        let route = telemetry.route("r", &["c"]);
        let mut worker = route.worker(0);
        worker.setback(&Setback::retry(Cause::Registry, "x"), 1, Duration::ZERO);
        route.rule_warned("rule", 1);
        route.lag(&"t".into(), 0, 1);
        route.batch_processed(1, Duration::from_micros(1));
        let mut sample = Sample::default();
        sample.of_batch(1, |_| Some(0));
        route.end_to_end(&sample);
        let failures = [FailureCount {
            case: Some(0),
            stage: Stage::Frame,
            code: "bad-magic",
            count: 1,
            example: Example::default(),
        }];
        route.committed([], failures, Duration::ZERO);
        let collector = telemetry.collector("shop", "orders", "http://localhost:8088/shop", Arc::default());
        collector.judged(1, 1, &[&Failure::rule("positive", "x")]);
        collector.answered(202, Duration::ZERO);
        let page = telemetry.render();
        for m in METRICS {
            page_of(&[&format!("# TYPE {} {}", m.name, m.kind.name())], &page);
            assert!(page.contains(&format!("# HELP {} {}", m.name, m.help)), "{}: {page}", m.name);
        }
    }
}
