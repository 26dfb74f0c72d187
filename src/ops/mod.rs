//! What people and probes read while routes run: /metrics, /health, /ready and a status page, all over the board.

mod collectors;
mod health;
mod page;

use crate::telemetry::Telemetry;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use std::sync::Arc;

/// The pages of a process; served with [`crate::http::Listener::serve`].
pub fn router(telemetry: Arc<Telemetry>) -> Router {
    Router::new()
        .route("/", get(status))
        .route("/metrics", get(metrics))
        .route("/health", get(healthy))
        .route("/ready", get(ready))
        .fallback(unknown)
        .with_state(telemetry)
}

async fn metrics(State(telemetry): State<Arc<Telemetry>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry.render())
}

/// 200 as long as the process answers: to start it again would not help a route that stands. The routes tell their own.
async fn healthy(State(telemetry): State<Arc<Telemetry>>) -> impl IntoResponse {
    let mut report = health::report(&telemetry.board(), telemetry.started());
    collectors::report(&mut report, &telemetry.collectors());
    Json(report)
}

/// 503 until no route is starting or recovering, and every collector takes events. One that stands or is tripped is as ready as it can be.
async fn ready(State(telemetry): State<Arc<Telemetry>>) -> Response {
    let (board, collectors) = (telemetry.board(), telemetry.collectors());
    // A process of collectors alone has no routes.
    let routes = if board.is_empty() && !collectors.is_empty() { None } else { health::waiting(&board) };
    let waiting: Vec<String> = routes.into_iter().chain(collectors::waiting(&collectors)).collect();
    match (!waiting.is_empty()).then(|| waiting.join(", ")) {
        None => (StatusCode::OK, "ready\n").into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}

async fn status(State(telemetry): State<Arc<Telemetry>>) -> impl IntoResponse {
    Html(page::html(&telemetry.board(), &telemetry.collectors(), telemetry.started()))
}

async fn unknown() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, "not found; there are / /metrics /health /ready\n")
}
