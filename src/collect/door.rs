//! One collector's HTTP: from a request to an answer.

use super::{
    body::{self, Budget},
    guard::{Client, Cors, Rates, Tokens},
    judge::{Form, Judges, LISTED, Open, Refused},
    problem::{Problem, of_event},
    sender::{Gate, Order, Reply},
    trace,
};
use crate::{
    failure::Failure,
    http::{Peer, REQUEST_TIMEOUT},
    record::Header,
    telemetry::CollectorTelemetry,
};
use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use crossbeam_channel::Sender;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::oneshot;

/// How long an answer waits for the brokers, and how long after the request's head it is given at the latest: once the
/// server gives the request up itself, its answer says that nothing was taken.
const PATIENCE: Duration = Duration::from_secs(14);
const ANSWERED_WITHIN: Duration = Duration::from_secs(REQUEST_TIMEOUT.as_secs() - 2);
/// A body of this size, in bytes, is judged aside: it would hold up the other requests of its thread.
const LARGE: usize = 1 << 20;

/// What a request meets.
pub(super) struct Door {
    pub tokens: Option<Tokens>,
    pub rates: Option<Rates>,
    pub cors: Cors,
    /// Bytes of a body.
    pub limit: usize,
    pub budget: Budget,
    pub judges: Judges,
    pub gate: Arc<Gate>,
    pub orders: Sender<Order>,
    pub telemetry: Arc<CollectorTelemetry>,
}

/// What the answer says: a refusal, or what became of the events.
type Answer = Result<Response, Problem>;

pub(super) async fn enter(State(door): State<Arc<Door>>, request: Request) -> Response {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<Peer>().copied();
    let mut response = match parts.method {
        Method::POST => door.post(&parts.headers, peer, body, begun).await.unwrap_or_else(Problem::into_response),
        Method::OPTIONS => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
            door.cors.preflight(&parts.headers, response.headers_mut());
            response
        }
        method => {
            let why = format!("events are posted: POST, not {method}");
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", why);
            problem.header(header::ALLOW, "POST, OPTIONS").into_response()
        }
    };
    door.cors.allow(&parts.headers, response.headers_mut());
    door.telemetry.answered(response.status().as_u16(), begun.elapsed());
    response
}

impl Door {
    async fn post(&self, headers: &HeaderMap, peer: Option<Peer>, body: Body, begun: Instant) -> Answer {
        let (form, open) = self.admit(headers, peer)?;
        let mut held = self.budget.nothing();
        let body = body::read(body, headers, self.limit, &self.budget, &mut held).await?;
        let trace = trace::headers(headers);
        let judged = self.judge(body, form, &trace, &open)?;
        self.budget.take(&mut held, judged.outcomes.out.len())?;
        let accepted: BTreeSet<u32> = judged.rows.iter().map(|r| r.index).collect();
        let (refused, count) = (judged.refused, judged.count);
        let judged = super::judge::Judged { refused: Vec::new(), ..judged };
        let (reply, answer) = oneshot::channel();
        let order = Order { judged, headers: trace, held, reply };
        let patience = patience(begun.elapsed());
        let reply = if !patience.is_zero() && self.orders.send(order).is_ok() {
            tokio::time::timeout(patience, answer).await.ok().and_then(Result::ok)
        } else {
            None
        };
        let reply = reply.unwrap_or_else(|| Reply {
            unacknowledged: accepted.clone(),
            why: "the brokers have not acknowledged the events in time".into(),
            ..Reply::default()
        });
        self.answer(count, accepted, refused, reply)
    }

    /// What can be said before the body is read.
    fn admit(&self, headers: &HeaderMap, peer: Option<Peer>) -> Result<(Form, Arc<Open>), Problem> {
        let client = match &self.tokens {
            Some(tokens) => Some(tokens.check(headers)?),
            None => peer.map(|Peer(address)| Client::Address(address.ip())),
        };
        if let Some((rates, client)) = self.rates.as_ref().zip(client) {
            rates.check(client, Instant::now())?;
        }
        let form = form(headers)?;
        let open = self.gate.state().map_err(|_| unavailable())?;
        Ok((form, open))
    }

    fn judge(
        &self,
        body: Vec<u8>,
        form: Form,
        trace: &[(&'static str, Vec<u8>)],
        open: &Open,
    ) -> Result<super::judge::Judged, Problem> {
        let headers: Vec<Header<'_>> =
            trace.iter().map(|(name, value)| Header { name: name.as_bytes(), value: Some(value) }).collect();
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = since.as_micros() as i64;
        let large = body.len() >= LARGE;
        let judge = || self.judges.judge(body, form, &headers, open, now);
        if large { tokio::task::block_in_place(judge) } else { judge() }
    }

    fn answer(&self, count: u32, mut accepted: BTreeSet<u32>, mut refused: Vec<Refused>, reply: Reply) -> Answer {
        for (index, failure) in reply.refused {
            accepted.remove(&index);
            refused.push(Refused { index, problems: vec![failure.clone()], failure });
        }
        accepted.retain(|index| !reply.unacknowledged.contains(index));
        let failures: Vec<&Failure> = refused.iter().map(|r| &r.failure).collect();
        self.telemetry.judged(accepted.len(), reply.unacknowledged.len(), &failures);
        let listed: Vec<u32> = accepted.iter().copied().collect();
        if !reply.unacknowledged.is_empty() {
            self.telemetry.unacknowledged(&reply.why);
            let problem = unavailable().with("accepted", listed);
            return Err(with_errors(problem, &refused));
        }
        if refused.is_empty() {
            return Ok((StatusCode::ACCEPTED, Json(json!({ "accepted": accepted.len() }))).into_response());
        }
        let detail = match (count, accepted.len()) {
            (1, _) => "the event is refused".to_owned(),
            (count, 0) => format!("all {count} events are refused"),
            (count, n) => format!("{} of {count} events are refused, {n} accepted", refused.len()),
        };
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-events", detail);
        Err(with_errors(problem.with("accepted", listed), &refused))
    }
}

/// How long the brokers are waited for by a request that has taken so long already; no time at all: they are not asked.
fn patience(taken: Duration) -> Duration {
    PATIENCE.min(ANSWERED_WITHIN.saturating_sub(taken))
}

/// Why is the operator's to know, from the log and /health: it tells of addresses inside.
fn unavailable() -> Problem {
    let detail = "events cannot be written to their topic at the moment: send them again later";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(5)
}

/// Which events are refused, and the problems of the first of them.
fn with_errors(problem: Problem, refused: &[Refused]) -> Problem {
    if refused.is_empty() {
        return problem;
    }
    let mut indexes: Vec<u32> = refused.iter().map(|r| r.index).collect();
    indexes.sort_unstable();
    let all = refused.iter().flat_map(|r| r.problems.iter().map(|p| of_event(r.index, p)));
    let errors: Vec<Value> = all.take(LISTED).collect();
    problem.with("refused", indexes).with("errors", errors)
}

/// How the body holds its events, by its content type.
fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let refused = |why: String| {
        let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown-content-type", why);
        problem.header(header::HeaderName::from_static("accept-post"), "application/json, application/x-ndjson")
    };
    let help =
        "send `content-type: application/json`, an event or an array of events, or `application/x-ndjson`, one a line";
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Err(refused(format!("the request has no content type: {help}")));
    };
    let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let form = match parts.next().unwrap_or_default() {
        "application/json" => Form::Json,
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => Form::Lines,
        other => return Err(refused(format!("content type {other:?} is not understood: {help}"))),
    };
    let charset = parts.find_map(|p| p.strip_prefix("charset=")).map(|c| c.trim_matches('"').to_owned());
    match charset.as_deref() {
        None | Some("utf-8" | "utf8" | "us-ascii") => Ok(form),
        Some(other) => Err(refused(format!("charset {other:?} is not understood: JSON is UTF-8"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_before_the_server_says_that_nothing_was_taken() {
        for taken in (0..60).map(Duration::from_secs) {
            let patience = patience(taken);
            assert!(patience.is_zero() || taken + patience < REQUEST_TIMEOUT, "{patience:?} after {taken:?}");
        }
        assert_eq!(patience(Duration::from_secs(1)), PATIENCE);
        assert_eq!(patience(Duration::from_secs(20)), Duration::from_secs(8));
    }
}
