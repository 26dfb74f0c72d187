//! A collector's verbs: requests answered, events accepted and refused, and what it waits for.

use super::{Telemetry, lock};
use crate::failure::{Failure, Remedy, Setback};
use jiff::Timestamp;
use metrics::{Counter, Histogram, Label};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Events that are not acknowledged are told in the log at once, then this often.
const UNACKNOWLEDGED_PAUSE: Duration = Duration::from_secs(30);

/// A collector as it stands.
#[derive(Clone, Debug)]
pub struct CollectorView {
    pub name: String,
    pub topic: String,
    /// Where events are posted to.
    pub url: String,
    /// What it waits for; events are answered with 503 meanwhile.
    pub waits: Option<Setback>,
    /// Since when it is open, or waits.
    pub since: Timestamp,
    /// Events that are in the topic.
    pub accepted: u64,
    /// Events that the validator, or a broker, refused.
    pub refused: u64,
    /// Events that no broker acknowledged in time: their senders were told to send them again.
    pub unacknowledged: u64,
    /// Bytes of requests that are being read or wait for the broker.
    pub buffered_bytes: usize,
}

/// A collector's place on the board.
#[derive(Debug)]
pub(super) struct Shared {
    view: Mutex<CollectorView>,
    buffered: Arc<AtomicUsize>,
}

impl Shared {
    pub(super) fn view(&self) -> CollectorView {
        CollectorView { buffered_bytes: self.buffered.load(Ordering::Relaxed), ..lock(&self.view).clone() }
    }
}

/// What a collector says.
#[derive(Debug)]
pub struct CollectorTelemetry {
    telemetry: Arc<Telemetry>,
    name: Arc<str>,
    shared: Arc<Shared>,
    seconds: Histogram,
    accepted: Counter,
    refused: Counter,
    unacknowledged: Counter,
    /// When the log last told of events that were not acknowledged.
    told: Mutex<Option<Instant>>,
}

impl CollectorTelemetry {
    /// It waits for its broker at first.
    pub(super) fn new(
        telemetry: Arc<Telemetry>,
        name: &str,
        topic: &str,
        url: &str,
        buffered: Arc<AtomicUsize>,
    ) -> (Arc<Self>, Arc<Shared>) {
        let on = &telemetry.instruments;
        let label = || Label::new("collector", name.to_owned());
        let events = |outcome: &'static str| {
            on.counter("pointsman_collector_events_total", vec![label(), Label::new("outcome", outcome)])
        };
        let view = CollectorView {
            name: name.to_owned(),
            topic: topic.to_owned(),
            url: url.to_owned(),
            waits: Some(Setback::retry(crate::failure::Cause::Broker, "the brokers have not answered yet")),
            since: Timestamp::now(),
            accepted: 0,
            refused: 0,
            unacknowledged: 0,
            buffered_bytes: 0,
        };
        let shared = Arc::new(Shared { view: Mutex::new(view), buffered });
        let telling = CollectorTelemetry {
            name: name.into(),
            shared: shared.clone(),
            seconds: on.histogram("pointsman_collector_request_seconds", vec![label()]),
            accepted: events("accepted"),
            refused: events("refused"),
            unacknowledged: events("unacknowledged"),
            told: Mutex::default(),
            telemetry,
        };
        (Arc::new(telling), shared)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// A request was answered.
    pub fn answered(&self, status: u16, took: Duration) {
        let labels = vec![Label::new("collector", self.name.to_string()), Label::new("status", status.to_string())];
        self.telemetry.instruments.counter("pointsman_collector_requests_total", labels).increment(1);
        self.seconds.record(took);
        self.telemetry.instruments.upkeep();
    }

    /// What became of a request's events.
    pub fn judged(&self, accepted: usize, unacknowledged: usize, refused: &[&Failure]) {
        self.accepted.increment(accepted as u64);
        self.unacknowledged.increment(unacknowledged as u64);
        self.refused.increment(refused.len() as u64);
        let mut causes: BTreeMap<_, u64> = BTreeMap::new();
        for failure in refused {
            *causes.entry((failure.stage, &*failure.code)).or_default() += 1;
        }
        for ((stage, code), count) in causes {
            let labels = vec![
                Label::new("collector", self.name.to_string()),
                Label::new("stage", stage.name()),
                Label::new("code", code.to_owned()),
            ];
            self.telemetry.instruments.counter("pointsman_collector_failures_total", labels).increment(count);
        }
        let mut view = lock(&self.shared.view);
        view.accepted += accepted as u64;
        view.unacknowledged += unacknowledged as u64;
        view.refused += refused.len() as u64;
    }

    /// Why no broker acknowledged events in time; told once in a while.
    pub fn unacknowledged(&self, why: &str) {
        let mut told = lock(&self.told);
        if told.is_none_or(|t| t.elapsed() >= UNACKNOWLEDGED_PAUSE) {
            *told = Some(Instant::now());
            let so_far = lock(&self.shared.view).unacknowledged;
            tracing::warn!(
                collector = &*self.name,
                so_far,
                "events are not acknowledged, and answered with 503: {why}"
            );
        }
    }

    /// Events are taken from now on.
    pub fn open(&self) {
        let mut view = lock(&self.shared.view);
        if view.waits.take().is_some() {
            view.since = Timestamp::now();
            tracing::info!(collector = &*self.name, topic = view.topic, url = view.url, "events are taken");
        }
    }

    /// Events are answered with 503 from now on; one line for each new reason.
    pub fn waits(&self, setback: &Setback) {
        let mut view = lock(&self.shared.view);
        if view.waits.as_ref().is_some_and(|known| known.message == setback.message) {
            return;
        }
        if view.waits.is_none() {
            view.since = Timestamp::now();
        }
        view.waits = Some(setback.clone());
        let (collector, help) = (&*self.name, &*setback.help);
        match setback.remedy {
            Remedy::Retry => tracing::warn!(collector, help, "waits, and answers 503: {}", setback.message),
            Remedy::Stand => tracing::error!(collector, help, "waits, and answers 503: {}", setback.message),
        }
    }
}
