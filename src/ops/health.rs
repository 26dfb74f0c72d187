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
        "outbox_records": r.outbox,
        "last_setback": r.setback.as_ref().map(|s| json!({
            "at": s.at.to_string(),
            "cause": s.cause,
            "message": s.message,
            "help": s.help,
            "attempt": s.attempt,
        })),
    })
}

/// Why the process is not ready yet: the routes that are starting or recovering, with what they wait for.
pub(super) fn waiting(board: &[RouteView]) -> Option<String> {
    if board.is_empty() {
        return Some("no route has been started yet".into());
    }
    let waiting: Vec<String> = board
        .iter()
        .filter(|r| matches!(r.state(), State::Starting | State::Recovering))
        .map(|r| match &r.setback {
            Some(s) if r.state() == State::Recovering => format!("{} is recovering ({})", r.name, s.message),
            _ => format!("{} is {}", r.name, r.state().name()),
        })
        .collect();
    (!waiting.is_empty()).then(|| waiting.join(", "))
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
        assert_eq!(waiting(&telemetry.board()).unwrap(), "orders is starting, sales is starting");
        orders.state(State::Flowing);
        sales.setback(&Setback::retry(Cause::Broker, "kafka:9092 does not answer"), 1, Duration::ZERO);
        assert_eq!(waiting(&telemetry.board()).unwrap(), "sales is recovering (kafka:9092 does not answer)");
        sales.setback(&Setback::stand(Cause::Broker, "no topic sales", "run `pointsman apply`"), 2, Duration::ZERO);
        assert_eq!(waiting(&telemetry.board()), None);
        let report = report(&telemetry.board(), telemetry.started());
        assert_eq!(report["status"], "degraded");
        assert_eq!(report["routes"][1]["state"], "standing");
        assert_eq!(report["routes"][1]["last_setback"]["help"], "run `pointsman apply`");
        assert_eq!(report["routes"][0]["last_setback"], Value::Null);
    }
}
