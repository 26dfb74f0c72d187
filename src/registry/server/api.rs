//! The REST API: paths, bodies and answers as Confluent's registry has them. What is decided is decided elsewhere.

use super::{
    Registry,
    change::Asked,
    problem::Problem,
    settings,
    state::{Reference, State as Held, Stored, Version},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{FromRequest, Path, Query, Request, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, json};

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

pub(super) type Answer = Result<Json<Value>, Problem>;

/// The whole API of a registry, served with [`crate::http::Listener::serve`].
pub fn router(registry: Registry) -> Router {
    Router::new()
        .route("/", get(async || Json(json!({}))))
        .route("/schemas/types", get(async || Json(json!(["AVRO"]))))
        .route("/schemas/ids/{id}", get(schema_by_id))
        .route("/schemas/ids/{id}/schema", get(text_by_id))
        .route("/schemas/ids/{id}/versions", get(versions_of_id))
        .route("/schemas/ids/{id}/subjects", get(subjects_of_id))
        .route("/schemas/guids/{guid}", get(schema_by_guid))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(look_up).delete(delete_subject))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version).delete(delete_version))
        .route("/subjects/{subject}/versions/{version}/schema", get(version_text))
        .route("/subjects/{subject}/versions/{version}/referencedby", get(referenced_by))
        .merge(settings::router())
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(middleware::from_fn(in_confluents_words))
        .with_state(registry)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "error_code": self.code, "message": self.message });
        (self.status(), [(header::CONTENT_TYPE, CONTENT_TYPE)], body.to_string()).into_response()
    }
}

/// Gives every answer the registry's content type, and every refusal of the layers below (no such path, wrong method,
/// a path that is not UTF-8, a body that is too large) the form that clients expect.
async fn in_confluents_words(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE).map(|v| v.as_bytes());
    if kind == Some(b"application/json") {
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(CONTENT_TYPE));
    } else if !response.status().is_success() && kind != Some(CONTENT_TYPE.as_bytes()) {
        let status = response.status();
        let message = format!("HTTP {} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
        return Problem::http(status, message).into_response();
    }
    response
}

/// A JSON body of any of the types that clients send.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        refuse_form(request.headers())?;
        let bytes = Bytes::from_request(request, state).await.map_err(|e: BytesRejection| {
            let limit = crate::http::BODY_LIMIT >> 20;
            let message = match e.status() {
                StatusCode::PAYLOAD_TOO_LARGE => format!("the body is larger than {limit} MiB"),
                _ => e.body_text(),
            };
            Problem::http(e.status(), message)
        })?;
        serde_json::from_slice(&bytes)
            .map(Body)
            .map_err(|e| Problem::http(StatusCode::BAD_REQUEST, format!("the body is not the JSON expected here: {e}")))
    }
}

/// curl's `-d` sends a form unless it is told otherwise, and so it would seem to work here and fail at Confluent's.
fn refuse_form(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/json");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.ends_with("json") || kind == "application/octet-stream" {
        return Ok(());
    }
    let message = format!("HTTP 415 Unsupported Media Type: {kind}; send Content-Type: {CONTENT_TYPE}");
    Err(Problem::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
}

/// The parameters of any request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Params {
    #[serde(deserialize_with = "flag")]
    deleted: bool,
    #[serde(deserialize_with = "flag")]
    deleted_only: bool,
    #[serde(deserialize_with = "flag")]
    permanent: bool,
    subject_prefix: String,
    #[serde(deserialize_with = "flag")]
    pub(super) verbose: bool,
    #[serde(deserialize_with = "flag")]
    pub(super) default_to_global: bool,
}

/// Reads `true` in any case; all else is false, as in Confluent's registry. Python's client writes `False`.
fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(String::deserialize(from)?.eq_ignore_ascii_case("true"))
}

/// A version in a path: a number, `latest`, or -1, which says the same.
pub(super) fn version_of(text: &str) -> Result<Option<Version>, Problem> {
    match text {
        "latest" | "-1" => Ok(None),
        _ => match text.parse::<u32>() {
            Ok(v) if (1..=i32::MAX as u32).contains(&v) => Ok(Some(v)),
            _ => Err(Problem::bad_version(text)),
        },
    }
}

/// Runs what may parse large schemas or wait for the disk off the threads that serve connections.
pub(super) async fn off<T: Send + 'static>(
    f: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(f).await.unwrap_or_else(|e| Err(Problem::store(e)))
}

fn shown(stored: &Stored) -> Value {
    let mut answer = json!({ "schema": stored.text });
    add_references(&mut answer, &stored.references);
    answer
}

fn add_references(answer: &mut Value, references: &[Reference]) {
    if !references.is_empty() {
        answer["references"] = json!(references);
    }
}

fn shown_version(held: &Held, subject: &str, version: Version, id: u32) -> Result<Value, Problem> {
    let stored = held.schema(id)?;
    let mut answer = json!({ "subject": subject, "version": version, "id": id });
    add_references(&mut answer, &stored.references);
    answer["schema"] = json!(stored.text);
    Ok(answer)
}

async fn schema_by_id(State(registry): State<Registry>, Path(id): Path<u32>) -> Answer {
    registry.read(|held| Ok(Json(shown(held.schema(id)?))))
}

async fn text_by_id(State(registry): State<Registry>, Path(id): Path<u32>) -> Result<Response, Problem> {
    let text = registry.read(|held| Ok(held.schema(id)?.text.clone()))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

async fn schema_by_guid(Path(guid): Path<String>) -> Answer {
    Err(Problem::no_schema(&format!("Schema {guid}")))
}

async fn versions_of_id(State(registry): State<Registry>, Path(id): Path<u32>, Query(q): Query<Params>) -> Answer {
    registry.read(|held| {
        held.schema(id)?;
        let places = held.places(id, q.deleted).into_iter();
        Ok(Json(places.map(|(subject, version)| json!({ "subject": subject, "version": version })).collect()))
    })
}

async fn subjects_of_id(State(registry): State<Registry>, Path(id): Path<u32>, Query(q): Query<Params>) -> Answer {
    registry.read(|held| {
        held.schema(id)?;
        let mut subjects: Vec<&str> = held.places(id, q.deleted).into_iter().map(|(s, _)| s).collect();
        subjects.dedup();
        Ok(Json(json!(subjects)))
    })
}

async fn subjects(State(registry): State<Registry>, Query(q): Query<Params>) -> Answer {
    registry.read(|held| {
        let live: Vec<&String> = held.subjects(false).collect();
        let all = held.subjects(q.deleted || q.deleted_only);
        let kept = all.filter(|s| s.starts_with(&q.subject_prefix) && !(q.deleted_only && live.contains(s)));
        Ok(Json(json!(kept.collect::<Vec<_>>())))
    })
}

async fn versions(State(registry): State<Registry>, Path(subject): Path<String>, Query(q): Query<Params>) -> Answer {
    registry.read(|held| {
        let versions = held.versions(&subject, q.deleted || q.deleted_only)?;
        let kept = versions.iter().filter(|(_, e)| !q.deleted_only || e.deleted).map(|(v, _)| *v);
        Ok(Json(json!(kept.collect::<Vec<_>>())))
    })
}

async fn version(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    Query(q): Query<Params>,
) -> Answer {
    let version = version_of(&version)?;
    registry.read(|held| {
        let (version, entry) = held.version(&subject, version, q.deleted)?;
        Ok(Json(shown_version(held, &subject, version, entry.id)?))
    })
}

async fn version_text(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    Query(q): Query<Params>,
) -> Result<Response, Problem> {
    let version = version_of(&version)?;
    let text = registry.read(|held| {
        let (_, entry) = held.version(&subject, version, q.deleted)?;
        Ok(held.schema(entry.id)?.text.clone())
    })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

async fn referenced_by(State(registry): State<Registry>, Path((subject, version)): Path<(String, String)>) -> Answer {
    let version = version_of(&version)?;
    registry.read(|held| {
        let (version, _) = held.version(&subject, version, true)?;
        Ok(Json(json!(held.referenced_by(&subject, version))))
    })
}

async fn register(State(registry): State<Registry>, Path(subject): Path<String>, Body(asked): Body<Asked>) -> Answer {
    let id = off(move || registry.change(|held| held.register(&subject, held.candidate(asked)?))).await?;
    Ok(Json(json!({ "id": id })))
}

async fn look_up(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    Query(q): Query<Params>,
    Body(asked): Body<Asked>,
) -> Answer {
    let look = move |held: &Held| {
        held.versions(&subject, q.deleted)?;
        let candidate = held.candidate(asked)?;
        let Some((id, version)) = held.place(&subject, &candidate, q.deleted) else {
            held.parse(&candidate.text, &candidate.references)?;
            return Err(Problem::no_schema("Schema"));
        };
        Ok(Json(shown_version(held, &subject, version, id)?))
    };
    off(move || registry.read(look)).await
}

async fn delete_subject(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    Query(q): Query<Params>,
) -> Answer {
    let versions = off(move || {
        registry.change(|held| {
            let event = held.delete_subject(&subject, q.permanent)?;
            Ok((event.versions().to_vec(), Some(event)))
        })
    });
    Ok(Json(json!(versions.await?)))
}

async fn delete_version(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    Query(q): Query<Params>,
) -> Answer {
    let version = version_of(&version)?;
    let versions = off(move || {
        registry.change(|held| {
            let event = held.delete_version(&subject, version, q.permanent)?;
            Ok((event.versions().to_vec(), Some(event)))
        })
    });
    Ok(Json(json!(versions.await?.first())))
}
