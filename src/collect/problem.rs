//! Answers that say no: `application/problem+json`, RFC 9457.

use crate::failure::Failure;
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request is refused as a whole, or in part.
#[derive(Debug)]
pub(super) struct Problem {
    pub status: StatusCode,
    /// Kebab-case and stable.
    pub code: &'static str,
    /// What was found, and what to do.
    pub detail: String,
    headers: Vec<(HeaderName, String)>,
    more: Vec<(&'static str, Value)>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, code, detail: detail.into(), headers: Vec::new(), more: Vec::new() }
    }

    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Problem {
        self.headers.push((name, value.into()));
        self
    }

    /// When to try again, in seconds.
    pub fn retry_after(self, seconds: u64) -> Problem {
        self.header(header::RETRY_AFTER, seconds.to_string())
    }

    /// A member of the body beside those of RFC 9457.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Problem {
        self.more.push((name, value.into()));
        self
    }
}

/// One problem of one event, as an answer lists it.
pub(super) fn of_event(index: u32, failure: &Failure) -> Value {
    let mut entry = json!({ "index": index, "code": failure.code, "detail": failure.message });
    if !failure.field.is_empty() {
        entry["field"] = failure.field.clone().into();
    }
    entry
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        for (name, value) in self.more {
            body[name] = value;
        }
        let mut response = Response::new(Body::from(body.to_string() + "\n"));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
