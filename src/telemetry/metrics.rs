//! The metrics: one table of names, and the recorder behind them.

use super::lock;
use metrics::{Counter, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

impl MetricKind {
    pub const fn name(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// One metric as it is documented; README's reference is held against this table by a test.
#[derive(Debug)]
pub struct MetricDoc {
    pub name: &'static str,
    pub kind: MetricKind,
    /// What is counted or measured; empty for information without a unit.
    pub unit: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

const fn doc(
    name: &'static str,
    kind: MetricKind,
    unit: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricDoc {
    MetricDoc { name, kind, unit, labels, help }
}

use MetricKind::{Counter as C, Gauge as G, Histogram as H};

/// Every metric, by what one looks at first.
pub const METRICS: &[MetricDoc] = &[
    doc(
        "pointsman_records_total",
        C,
        "records",
        &["route", "case", "outcome"],
        "Records whose outcome (delivered, filtered, dead-lettered) is committed.",
    ),
    doc(
        "pointsman_failures_total",
        C,
        "records",
        &["route", "case", "stage", "code"],
        "Dead letters by the stage and code of their failure.",
    ),
    doc(
        "pointsman_rule_warnings_total",
        C,
        "records",
        &["route", "rule"],
        "Records that a rule that only warns would have refused.",
    ),
    doc("pointsman_unknown_fields_total", C, "fields", &["route"], "JSON fields that the schema does not have."),
    doc(
        "pointsman_route_state",
        G,
        "",
        &["route", "state"],
        "1 for the state that the route is in, 0 for the others; of several workers the worst counts.",
    ),
    doc(
        "pointsman_lag_records",
        G,
        "records",
        &["route", "topic", "partition"],
        "Records between the committed position and the partition's end.",
    ),
    doc(
        "pointsman_oldest_unprocessed_seconds",
        G,
        "seconds",
        &["route"],
        "Age of the oldest record that was read and is not committed; 0 where there is none.",
    ),
    doc(
        "pointsman_end_to_end_seconds",
        H,
        "seconds",
        &["route"],
        "From a record's timestamp to the commit of its outcome; of up to 16 records of each batch, evenly spaced.",
    ),
    doc("pointsman_batch_seconds", H, "seconds", &["route"], "Processing of one batch, without I/O."),
    doc("pointsman_batch_records", H, "records", &["route"], "Records of one batch."),
    doc(
        "pointsman_commit_seconds",
        H,
        "seconds",
        &["route"],
        "From settling what a transaction wrote to the answer of its commit.",
    ),
    doc(
        "pointsman_retries_total",
        C,
        "retries",
        &["route", "cause"],
        "Setbacks (broker, registry, database, fenced, refused, record, host), each followed by a retry or a stop.",
    ),
    doc("pointsman_rebalances_total", C, "rebalances", &["route"], "Assignments and revocations of partitions."),
    doc(
        "pointsman_lost_records_total",
        C,
        "records",
        &["route"],
        "Records that their topic dropped before the route had read them, where on_position_lost goes on.",
    ),
    doc(
        "pointsman_outbox_records",
        G,
        "records",
        &["route"],
        "Dead letters that are committed and not yet relayed to their topic.",
    ),
    doc("pointsman_buffered_bytes", G, "bytes", &["route"], "Bytes of records that were read and are not committed."),
    doc(
        "pointsman_collector_events_total",
        C,
        "events",
        &["collector", "outcome"],
        "Events by what their sender was told: accepted (acknowledged by the brokers), refused, unacknowledged.",
    ),
    doc(
        "pointsman_collector_failures_total",
        C,
        "events",
        &["collector", "stage", "code"],
        "Refused events by the stage and code of their first failure.",
    ),
    doc(
        "pointsman_collector_requests_total",
        C,
        "requests",
        &["collector", "status"],
        "Requests by the HTTP status of their answer.",
    ),
    doc(
        "pointsman_collector_request_seconds",
        H,
        "seconds",
        &["collector"],
        "From a request's head to its answer, the brokers' acknowledgement included.",
    ),
    doc(
        "pointsman_collector_ready",
        G,
        "",
        &["collector"],
        "1 while events are taken, 0 while broker, topic or registry are waited for.",
    ),
    doc(
        "pointsman_collector_buffered_bytes",
        G,
        "bytes",
        &["collector"],
        "Bytes of requests that are being read or wait for the brokers.",
    ),
    doc("pointsman_build_info", G, "", &["version"], "Always 1; its labels tell what is running."),
];

const FAST_SECONDS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];
const COMMIT_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const END_TO_END_SECONDS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 86400.0];
const BATCH_RECORDS: &[f64] = &[1.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0, 50000.0];

static METADATA: Metadata<'static> = Metadata::new("pointsman", Level::INFO, None);

/// How often observations that nobody has read are folded into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder of one [`super::Telemetry`]: counters and histograms, which live as long as the process.
pub(super) struct Instruments {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    upkept: Mutex<Instant>,
}

impl Instruments {
    pub(super) fn new() -> Instruments {
        let recorder = recorder();
        let handle = recorder.handle();
        Instruments { recorder, handle, upkept: Mutex::new(Instant::now()) }
    }

    pub(super) fn counter(&self, name: &'static str, labels: Vec<Label>) -> Counter {
        debug_assert_documented(name, &labels, MetricKind::Counter);
        self.recorder.register_counter(&Key::from_parts(name, labels), &METADATA)
    }

    pub(super) fn histogram(&self, name: &'static str, labels: Vec<Label>) -> Histogram {
        debug_assert_documented(name, &labels, MetricKind::Histogram);
        self.recorder.register_histogram(&Key::from_parts(name, labels), &METADATA)
    }

    /// Folds observations into their buckets now and then, so that they take no memory where nobody reads `/metrics`.
    pub(super) fn upkeep(&self) {
        let mut upkept = lock(&self.upkept);
        if upkept.elapsed() >= UPKEEP {
            *upkept = Instant::now();
            drop(upkept);
            self.handle.run_upkeep();
        }
    }

    pub(super) fn render(&self) -> String {
        self.handle.render()
    }
}

impl std::fmt::Debug for Instruments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Instruments")
    }
}

/// Gauges of one page: a recorder that is made for it and dropped with it, so that no series outlives its subject.
pub(super) struct Gauges(PrometheusRecorder);

impl Gauges {
    pub(super) fn new() -> Gauges {
        Gauges(recorder())
    }

    pub(super) fn set(&self, name: &'static str, labels: Vec<Label>, value: f64) {
        debug_assert_documented(name, &labels, MetricKind::Gauge);
        self.0.register_gauge(&Key::from_parts(name, labels), &METADATA).set(value);
    }

    pub(super) fn render(&self) -> String {
        self.0.handle().render()
    }
}

fn recorder() -> PrometheusRecorder {
    let buckets = [
        ("pointsman_batch_seconds", FAST_SECONDS),
        ("pointsman_commit_seconds", COMMIT_SECONDS),
        ("pointsman_end_to_end_seconds", END_TO_END_SECONDS),
        ("pointsman_batch_records", BATCH_RECORDS),
        ("pointsman_collector_request_seconds", COMMIT_SECONDS),
    ];
    let builder = buckets.into_iter().fold(PrometheusBuilder::new(), |b, (name, bounds)| {
        b.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds).expect("bounds are not empty")
    });
    let recorder = builder.build_recorder();
    for m in METRICS {
        let (name, help) = (KeyName::from_const_str(m.name), m.help.into());
        match m.kind {
            MetricKind::Counter => recorder.describe_counter(name, unit(m), help),
            MetricKind::Gauge => recorder.describe_gauge(name, unit(m), help),
            MetricKind::Histogram => recorder.describe_histogram(name, unit(m), help),
        }
    }
    recorder
}

fn unit(m: &MetricDoc) -> Option<Unit> {
    match m.unit {
        "seconds" => Some(Unit::Seconds),
        "bytes" => Some(Unit::Bytes),
        "" => None,
        _ => Some(Unit::Count),
    }
}

fn debug_assert_documented(name: &str, labels: &[Label], kind: MetricKind) {
    debug_assert!(
        METRICS.iter().any(|m| m.name == name
            && m.kind == kind
            && m.labels.len() == labels.len()
            && m.labels.iter().zip(labels).all(|(a, b)| *a == b.key())),
        "{name} is not in METRICS with these labels"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_prometheus_rules() {
        for (i, m) in METRICS.iter().enumerate() {
            assert!(m.name.starts_with("pointsman_"), "{}", m.name);
            assert_eq!(m.name.ends_with("_total"), m.kind == MetricKind::Counter, "{}", m.name);
            let base_unit = ["seconds", "bytes"].contains(&m.unit);
            assert!(!base_unit || m.name.ends_with(m.unit), "{} is in {}", m.name, m.unit);
            assert!(m.help.ends_with('.') && !m.help.contains('\n'), "{}", m.name);
            assert!(!METRICS[..i].iter().any(|o| o.name == m.name), "{} stands twice", m.name);
        }
    }
}
