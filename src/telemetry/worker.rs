//! A worker's verbs: its state, its setbacks, what it holds.

use super::{
    RouteTelemetry, SetbackView, State,
    board::{RouteView, WorkerView},
    lock,
};
use crate::failure::{Cause, Remedy, Setback};
use jiff::Timestamp;
use metrics::Label;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// The same setback is told in the log when it begins, and then this often.
const SETBACK_PAUSE: Duration = Duration::from_secs(60);

/// For how long a worker waits for others before the log tells, and how often it does.
const WAIT_PAUSE: Duration = Duration::from_secs(30);

/// What one worker of a route says. Owned by the worker; it leaves the board with it only by [`State::Stopped`].
#[derive(Debug)]
pub struct WorkerTelemetry {
    route: Arc<RouteTelemetry>,
    number: usize,
    /// The setback that is not over yet: when it began, what the log was told of it, and when.
    pending: Option<Pending>,
    /// Since when it waits for others, or when the log was told so.
    waiting: Option<Instant>,
}

#[derive(Debug)]
struct Pending {
    began: Instant,
    told: Setback,
    told_at: Instant,
}

impl WorkerTelemetry {
    pub(super) fn new(route: Arc<RouteTelemetry>, number: usize) -> Self {
        let worker = WorkerTelemetry { route, number, pending: None, waiting: None };
        let (state, since) = (State::Starting, Timestamp::now());
        let view = WorkerView { state, since, oldest: None, buffered_bytes: 0, outbox: BTreeMap::new() };
        lock(&worker.route.view).workers.insert(number, view);
        worker
    }

    /// The verbs of the worker's route.
    pub fn route(&self) -> &Arc<RouteTelemetry> {
        &self.route
    }

    /// The worker is in this state now. Telling the same state again is free of log lines.
    pub fn state(&mut self, state: State) {
        let mut changed = false;
        self.update(|_, worker| {
            changed = worker.state != state;
            if changed {
                worker.state = state;
                worker.since = Timestamp::now();
            }
        });
        if matches!(state, State::Flowing | State::Stopped) {
            self.route.awaits(self.number, None);
            self.waiting = None;
        }
        let (route, worker) = (&*self.route.name, self.number);
        if state == State::Flowing
            && let Some(over) = self.pending.take()
        {
            let seconds = over.began.elapsed().as_secs_f64();
            tracing::info!(
                route,
                worker,
                state = state.name(),
                cause = over.told.cause.name(),
                after_seconds = seconds,
                "goes on"
            );
        } else if changed {
            tracing::info!(route, worker, state = state.name(), "{}", state.name());
        }
    }

    /// The environment did not do its part. The worker recovers, trying again after `next`, or stands where only a
    /// person can help; `attempt` counts from 1 and begins anew once records flow.
    pub fn setback(&mut self, setback: &Setback, attempt: u32, next: Duration) {
        let stands = setback.remedy == Remedy::Stand;
        let labels = vec![Label::new("route", self.route.name.to_string()), Label::new("cause", setback.cause.name())];
        self.route.telemetry.instruments.counter("pointsman_retries_total", labels).increment(1);
        let seen = SetbackView {
            at: Timestamp::now(),
            cause: setback.cause.name(),
            message: setback.message.clone(),
            help: setback.help.clone(),
            attempt,
        };
        self.enter(if stands { State::Standing } else { State::Recovering }, seen);
        // What it led to may be told first, and what helps after that.
        let news = self.pending.as_ref().is_none_or(|p| {
            let helps = p.told.help.is_empty() && !setback.help.is_empty();
            p.told.cause != setback.cause || p.told.remedy != setback.remedy || helps
        });
        if !news && self.pending.as_ref().is_some_and(|p| p.told_at.elapsed() < SETBACK_PAUSE) {
            return;
        }
        let now = Instant::now();
        let began = self.pending.as_ref().map_or(now, |p| p.began);
        self.pending = Some(Pending { began, told: setback.clone(), told_at: now });
        let (route, worker, cause) = (&*self.route.name, self.number, setback.cause.name());
        let help = (!setback.help.is_empty()).then_some(&*setback.help);
        if stands {
            tracing::error!(route, worker, state = "standing", cause, help, "{}", setback.message);
        } else {
            let next_seconds = next.as_secs_f64();
            tracing::warn!(
                route,
                worker,
                state = "recovering",
                cause,
                attempt,
                next_seconds,
                help,
                "{}",
                setback.message
            );
        }
    }

    /// The brokers cannot be reached: shown until a first setback says more. An attempt takes much longer to give up.
    pub fn troubled(&self, message: &str) {
        self.update(|latest, _| {
            latest.get_or_insert_with(|| SetbackView {
                at: Timestamp::now(),
                cause: Cause::Broker.name(),
                message: message.to_owned(),
                help: String::new(),
                attempt: 0,
            });
        });
    }

    /// The breaker stopped the worker: too many records fail.
    pub fn tripped(&mut self, message: &str, help: &str) {
        let seen = SetbackView {
            at: Timestamp::now(),
            cause: "breaker",
            message: message.into(),
            help: help.into(),
            attempt: 1,
        };
        self.enter(State::Tripped, seen);
        tracing::error!(route = &*self.route.name, worker = self.number, state = "tripped", help, "{message}");
    }

    /// This worker has caught up, and waits for somebody to bring this partition to its end too.
    pub fn waits_for(&mut self, topic: &str, partition: i32) {
        let since = *self.waiting.get_or_insert_with(Instant::now);
        if since.elapsed() >= WAIT_PAUSE {
            self.waiting = Some(Instant::now());
            let (route, worker) = (&*self.route.name, self.number);
            tracing::info!(route, worker, topic, partition, "has caught up, and waits for whoever holds the partition");
        }
    }

    /// The group has yet to give this worker a place in it.
    pub fn joins(&mut self, group: &str) {
        self.route.awaits(self.number, Some(&format!("a place in consumer group {group}")));
        let since = *self.waiting.get_or_insert_with(Instant::now);
        if since.elapsed() >= WAIT_PAUSE {
            self.waiting = Some(Instant::now());
            let (route, worker) = (&*self.route.name, self.number);
            let why = format!("consumer group {group} has not given this worker a place yet");
            let help = "where no group ever answers, the brokers lack a coordinator: topic __consumer_offsets needs as many \
                        brokers as their offsets.topic.replication.factor says";
            tracing::warn!(route, worker, help, "{why}");
            self.troubled(&format!("{why}: {help}"));
        }
    }

    /// What was read and is not committed: the timestamp (milliseconds since the epoch) of the oldest record, and the
    /// bytes of all of them.
    pub fn holds(&self, oldest: Option<i64>, bytes: u64) {
        self.update(|_, worker| (worker.oldest, worker.buffered_bytes) = (oldest, bytes));
    }

    /// What was held is to be read again.
    pub fn holds_nothing(&self) {
        self.update(|_, worker| worker.buffered_bytes = 0);
    }

    fn enter(&self, state: State, setback: SetbackView) {
        self.update(|latest, worker| {
            if worker.state != state {
                worker.state = state;
                worker.since = setback.at;
            }
            *latest = Some(setback);
        });
    }

    fn update(&self, change: impl FnOnce(&mut Option<SetbackView>, &mut WorkerView)) {
        let mut view = lock(&self.route.view);
        let RouteView { workers, setback, .. } = &mut *view;
        if let Some(worker) = workers.get_mut(&self.number) {
            change(setback, worker);
        }
    }
}
