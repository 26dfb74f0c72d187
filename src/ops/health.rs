//! /health as JSON, and whether the process is ready.

use crate::telemetry::{RouteView, State};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What /health answers. `status` is `ok`, `starting`, or `degraded` where a route recovers, stands or is tripped.
pub(super) fn report(board: &[RouteView], started: Timestamp) -> Value {
    let troubled = |r: &RouteView| matches!(r.state(), State::Recovering | State::Standing | State::Tripped);
    let status = if board.iter().any(troubled) {
        "degraded"
    } else if waiting(board).is_some() {
        "starting"
    } else {
        "ok"
    };
    let now = Timestamp::now();
    json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "started": started.to_string(),
        "routes": board.iter().map(|r| route(r, now)).collect::<Vec<_>>(),
    })
}

fn route(r: &RouteView, now: Timestamp) -> Value {
    json!({
        "name": r.name,
        "state": r.state().name(),
        "since": r.since().to_string(),
        "workers": r.workers(),
        "records": { "delivered": r.counts.delivered, "filtered": r.counts.filtered, "dead_lettered": r.counts.dead_lettered },
        "lag_records": r.lag.values().sum::<u64>(),
        "oldest_unprocessed_seconds": r.oldest_unprocessed(now),
        "outbox_records": r.outbox(),
        "buffered_bytes": r.buffered_bytes(),
        "waits_for": r.awaited().filter(|_| waits(r)).map(|a| json!({ "what": a.what, "since": a.since.to_string() })),
        "last_setback": r.setback.as_ref().map(|s| json!({
            "at": s.at.to_string(),
            "cause": s.cause,
            "message": s.message,
            "help": s.help,
            "attempt": s.attempt,
        })),
    })
}

fn waits(r: &RouteView) -> bool {
    matches!(r.state(), State::Starting | State::Recovering)
}

/// Why the process is not ready yet: a line for each route that is starting or recovering, with what it waits for, since
/// when, and what it was told last.
pub(super) fn waiting(board: &[RouteView]) -> Option<String> {
    if board.is_empty() {
        return Some("no route has been started yet".into());
    }
    let now = Timestamp::now();
    let waiting: Vec<String> = board.iter().filter(|r| waits(r)).map(|r| reason(r, now)).collect();
    (!waiting.is_empty()).then(|| waiting.join("\n"))
}

fn reason(r: &RouteView, now: Timestamp) -> String {
    let mut reason = format!("{} is {}", r.name, r.state().name());
    if let Some(a) = r.awaited() {
        let seconds = now.duration_since(a.since).as_secs().max(0);
        reason.push_str(&format!(", waits for {} since {:.0} ({seconds} s)", a.what, a.since));
    }
    // At the start, what came before this wait is over.
    let current = |at: Timestamp| r.state() == State::Recovering || r.awaited().is_some_and(|a| at >= a.since);
    if let Some(s) = r.setback.as_ref().filter(|s| current(s.at)) {
        let attempt = if s.attempt > 0 { format!(", attempt {}", s.attempt) } else { String::new() };
        reason.push_str(&format!("{attempt}: {}", s.message));
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        failure::{Cause, Setback},
        telemetry::Telemetry,
    };
    use std::time::Duration;

    #[test]
    fn a_process_is_ready_when_each_route_flows_or_stands_for_a_person() {
        let telemetry = Telemetry::new();
        assert!(waiting(&telemetry.board()).is_some());
        let mut orders = telemetry.route("orders", &[""]).worker(0);
        let mut sales = telemetry.route("sales", &[""]).worker(0);
        assert_eq!(waiting(&telemetry.board()).unwrap(), "orders is starting\nsales is starting");
        orders.state(State::Flowing);
        sales.setback(&Setback::retry(Cause::Broker, "kafka:9092 does not answer"), 1, Duration::ZERO);
        assert_eq!(waiting(&telemetry.board()).unwrap(), "sales is recovering, attempt 1: kafka:9092 does not answer");
        sales.route().awaits(0, Some("Kafka at kafka:9092"));
        let why = waiting(&telemetry.board()).unwrap();
        assert!(why.starts_with("sales is recovering, waits for Kafka at kafka:9092 since 2"), "{why}");
        assert!(why.ends_with(" (0 s), attempt 1: kafka:9092 does not answer"), "{why}");
        let health = report(&telemetry.board(), telemetry.started());
        assert_eq!(health["routes"][1]["waits_for"]["what"], "Kafka at kafka:9092");
        assert_eq!(health["routes"][0]["waits_for"], Value::Null);
        sales.setback(&Setback::stand(Cause::Broker, "no topic sales", "run `pointsman apply`"), 2, Duration::ZERO);
        assert_eq!(waiting(&telemetry.board()), None);
        let report = report(&telemetry.board(), telemetry.started());
        assert_eq!(report["status"], "degraded");
        assert_eq!(report["routes"][1]["state"], "standing");
        assert_eq!(report["routes"][1]["last_setback"]["help"], "run `pointsman apply`");
        assert_eq!(report["routes"][0]["last_setback"], Value::Null);
    }
}
