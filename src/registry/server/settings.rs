//! The API's settings: compatibility levels, modes, and the check that a level asks for.

use super::{
    Registry,
    api::{Answer, Body, Params, off, version_of},
    change::Asked,
    compat,
    problem::Problem,
    state::{Event, Mode, State as Held},
};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn router() -> Router<Registry> {
    Router::new()
        .route("/config", get(level).put(set_level).delete(reset_level))
        .route("/config/{subject}", get(level).put(set_level).delete(reset_level))
        .route("/mode", get(mode).put(set_mode).delete(reset_mode))
        .route("/mode/{subject}", get(mode).put(set_mode).delete(reset_mode))
        .route("/compatibility/subjects/{subject}/versions", post(check))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(check_version))
}

#[derive(Deserialize)]
struct LevelAsked {
    #[serde(default)]
    compatibility: String,
}

#[derive(Deserialize)]
struct ModeAsked {
    #[serde(default)]
    mode: String,
}

/// The subject that a setting is of; without one it is the whole registry's.
type Of = Option<Path<String>>;

async fn level(State(registry): State<Registry>, of: Of, Query(q): Query<Params>) -> Answer {
    let subject = of.as_ref().map(|Path(s)| s.as_str());
    registry.read(|held| {
        let level = held.level(subject).or_else(|| held.level(None).filter(|_| q.default_to_global));
        let level = level.ok_or_else(|| Problem::no_level(subject.unwrap_or_default()))?;
        Ok(Json(json!({ "compatibilityLevel": level.name() })))
    })
}

async fn set_level(State(registry): State<Registry>, of: Of, Body(asked): Body<LevelAsked>) -> Answer {
    let change = move |_: &Held| {
        let level = compat::level(&asked.compatibility)?;
        let event = Event::Level { subject: of.map(|Path(s)| s), level: Some(level) };
        Ok((Json(json!({ "compatibility": level.name() })), Some(event)))
    };
    off(move || registry.change(change)).await
}

async fn reset_level(State(registry): State<Registry>, of: Of) -> Answer {
    let subject = of.map(|Path(s)| s);
    let change = move |held: &Held| {
        let old = held.level(subject.as_deref());
        let old = old.ok_or_else(|| Problem::no_level(subject.as_deref().unwrap_or_default()))?;
        Ok((Json(json!({ "compatibilityLevel": old.name() })), Some(Event::Level { subject, level: None })))
    };
    off(move || registry.change(change)).await
}

async fn mode(State(registry): State<Registry>, of: Of, Query(q): Query<Params>) -> Answer {
    let subject = of.as_ref().map(|Path(s)| s.as_str());
    registry.read(|held| {
        let mode = held.mode(subject).or_else(|| held.mode(None).filter(|_| q.default_to_global));
        let mode = mode.ok_or_else(|| Problem::no_mode(subject.unwrap_or_default()))?;
        Ok(Json(json!({ "mode": mode.name() })))
    })
}

async fn set_mode(State(registry): State<Registry>, of: Of, Body(asked): Body<ModeAsked>) -> Answer {
    let change = move |_: &Held| {
        let mode = Mode::parse(&asked.mode)?;
        let event = Event::Mode { subject: of.map(|Path(s)| s), mode: Some(mode) };
        Ok((Json(json!({ "mode": mode.name() })), Some(event)))
    };
    off(move || registry.change(change)).await
}

async fn reset_mode(State(registry): State<Registry>, of: Of) -> Answer {
    let subject = of.map(|Path(s)| s);
    let change = move |held: &Held| {
        let old = held.mode(subject.as_deref());
        let old = old.ok_or_else(|| Problem::no_mode(subject.as_deref().unwrap_or_default()))?;
        Ok((Json(json!({ "mode": old.name() })), Some(Event::Mode { subject, mode: None })))
    };
    off(move || registry.change(change)).await
}

async fn check(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    Query(q): Query<Params>,
    Body(asked): Body<Asked>,
) -> Answer {
    off(move || {
        registry.read(|held| {
            let candidate = held.candidate(asked)?;
            let why = held.incompatibilities(&subject, &candidate.text, &candidate.references)?;
            Ok(Json(verdict(&why, q.verbose)))
        })
    })
    .await
}

async fn check_version(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    Query(q): Query<Params>,
    Body(asked): Body<Asked>,
) -> Answer {
    let version = version_of(&version)?;
    off(move || {
        registry.read(|held| {
            let (version, _) = held.version(&subject, version, false)?;
            let candidate = held.candidate(asked)?;
            let why = held.incompatibilities_with(&subject, version, &candidate.text, &candidate.references)?;
            Ok(Json(verdict(&why, q.verbose)))
        })
    })
    .await
}

fn verdict(why: &[String], verbose: bool) -> Value {
    let mut answer = json!({ "is_compatible": why.is_empty() });
    if verbose {
        answer["messages"] = json!(why);
    }
    answer
}
