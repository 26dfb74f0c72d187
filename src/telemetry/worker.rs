//! A worker's verbs: its state, its setbacks, what it holds.

use super::{
    RouteTelemetry, SetbackView, State,
    board::{RouteView, WorkerView},
    lock,
};
use crate::failure::{Remedy, Setback};
use jiff::Timestamp;
use metrics::Label;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The same setback is told in the log when it begins, and then this often.
const SETBACK_PAUSE: Duration = Duration::from_secs(60);

/// What one worker of a route says. Owned by the worker; it leaves the board with it only by [`State::Stopped`].
#[derive(Debug)]
pub struct WorkerTelemetry {
    route: Arc<RouteTelemetry>,
    number: usize,
    /// The setback that is not over yet: when it began, what the log was told of it, and when.
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    began: Instant,
    told: Setback,
    told_at: Instant,
}

impl WorkerTelemetry {
    pub(super) fn new(route: Arc<RouteTelemetry>, number: usize) -> Self {
        let worker = WorkerTelemetry { route, number, pending: None };
        let view = WorkerView { state: State::Starting, since: Timestamp::now(), oldest: None, buffered_bytes: 0 };
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
        let (route, worker) = (&*self.route.name, self.number);
        if state == State::Flowing
            && let Some(over) = self.pending.take()
        {
            let seconds = over.began.elapsed().as_secs_f64();
            tracing::info!(
                route,
                worker,
                state = state.name(),
                after_seconds = seconds,
                "goes on: {} is back",
                over.told.cause.name()
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
        let news =
            self.pending.as_ref().is_none_or(|p| p.told.cause != setback.cause || p.told.remedy != setback.remedy);
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

    /// The timestamp (milliseconds since the epoch) of the oldest record that was read and is not committed.
    pub fn oldest_unprocessed(&self, timestamp: Option<i64>) {
        self.update(|_, worker| worker.oldest = timestamp);
    }

    /// Bytes of records that this worker holds.
    pub fn buffered_bytes(&self, bytes: u64) {
        self.update(|_, worker| worker.buffered_bytes = bytes);
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
