//! What a registry's refusal means: nothing there, no to a schema, or a setback with what to do about it.

use crate::failure::{Cause, Remedy, Setback};
use schema_registry_converter::{error::SRCError, schema_registry_common::RawError};
use std::{error::Error, fmt};

/// Why a schema was not registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterError {
    /// The subject's compatibility level says no; the registry's reasons.
    Incompatible(String),
    /// The registry does not take it for a schema, or takes no schemas under this subject.
    Refused(String),
    Setback(Setback),
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegisterError::Incompatible(why) | RegisterError::Refused(why) => f.write_str(why),
            RegisterError::Setback(s) => s.fmt(f),
        }
    }
}

impl Error for RegisterError {}

/// An answer that is not what was asked for.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no such subject, version or schema: Confluent's error codes 40401 to 40403.
    NotFound,
    /// An answer in Confluent's terms: HTTP status, message.
    Said {
        status: u16,
        message: String,
        setback: Setback,
    },
    Setback(Setback),
}

impl Refusal {
    pub(super) fn setback(self) -> Setback {
        match self {
            Refusal::Said { setback, .. } | Refusal::Setback(setback) => setback,
            Refusal::NotFound => retry("the schema registry lost what it had a moment ago".into(), ""),
        }
    }

    pub(super) fn registering(self, subject: &str) -> RegisterError {
        match self {
            Refusal::Said { status: 409, message, .. } => RegisterError::Incompatible(format!(
                "subject {subject} does not take this schema, its compatibility level says no: {message}"
            )),
            Refusal::Said { status: 422, message, .. } => {
                RegisterError::Refused(format!("subject {subject} does not take this schema: {message}"))
            }
            other => RegisterError::Setback(other.setback()),
        }
    }
}

/// Reads what the library below made of an answer.
pub(super) fn refusal(url: &str, e: &SRCError) -> Refusal {
    let (raw, http) = causes(e);
    let raw = raw.map(|r| (i64::from(r.error_code), r.message.as_str()));
    match (status(e), http) {
        (status, _) if raw.is_some_and(|(code, _)| code > 0) => said(url, status, raw),
        (Some(status), _) => said(url, Some(status), None),
        (None, Some(e)) => Refusal::Setback(unanswered(url, e)),
        (None, None) => Refusal::Setback(retry(format!("schema registry {url}: {}", e.error), "")),
    }
}

/// An answer that is not a success: its status, and Confluent's code and message where it has them.
pub(super) fn said(url: &str, status: Option<u16>, raw: Option<(i64, &str)>) -> Refusal {
    if let Some((code, message)) = raw.filter(|(code, _)| *code > 0) {
        if (40401..=40403).contains(&code) {
            return Refusal::NotFound;
        }
        let status = status.unwrap_or(code.clamp(0, 999) as u16);
        let setback = retry(format!("schema registry {url} answers {code}: {message}"), help(status));
        return Refusal::Said { status, message: message.to_owned(), setback };
    }
    let status = status.unwrap_or_default();
    let help = match help(status) {
        "" if status < 500 => "check [schema_registry] url: something other than a schema registry answers there",
        help => help,
    };
    Refusal::Setback(retry(format!("schema registry {url} answers with HTTP {status}"), help))
}

/// No answer, or one that is not what a registry writes.
pub(super) fn unanswered(url: &str, e: &reqwest::Error) -> Setback {
    if e.is_decode() {
        return no_registry(url);
    }
    if e.is_timeout() {
        return retry(format!("schema registry {url} does not answer in time"), "");
    }
    let root = root(e);
    let help = if root.contains("certificate") {
        "set [schema_registry] ca to the certificates of the authority that signed the registry's"
    } else {
        "start it, or check [schema_registry] url"
    };
    retry(format!("schema registry {url} cannot be reached: {root}"), help)
}

/// An answer that no registry gives.
pub(super) fn no_registry(url: &str) -> Setback {
    retry(
        format!("schema registry {url} does not answer as a schema registry does"),
        "check [schema_registry] url: something other than a schema registry answers there",
    )
}

fn help(status: u16) -> &'static str {
    match status {
        401 => "check user and password of [schema_registry]",
        403 => "the user of [schema_registry] lacks the permission",
        407 => "check the proxy's credentials",
        _ => "",
    }
}

fn retry(message: String, help: &str) -> Setback {
    Setback { cause: Cause::Registry, remedy: Remedy::Retry, message, help: help.into() }
}

/// The registry's own error and the HTTP client's, wherever they stand in the chain of causes.
fn causes(e: &SRCError) -> (Option<&RawError>, Option<&reqwest::Error>) {
    let (mut raw, mut http) = (None, None);
    let mut cause: Option<&(dyn Error + 'static)> = Some(e);
    while let Some(c) = cause {
        raw = raw.or_else(|| c.downcast_ref::<RawError>());
        http = http.or_else(|| c.downcast_ref::<reqwest::Error>());
        cause = c.source();
    }
    (raw, http)
}

/// The HTTP status, which the library tells in the words of its error alone.
fn status(e: &SRCError) -> Option<u16> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(e);
    while let Some(c) = cause {
        if let Some(e) = c.downcast_ref::<SRCError>()
            && let Some((_, rest)) = e.error.split_once("failed with status ")
        {
            return rest.get(..3)?.parse().ok();
        }
        cause = c.source();
    }
    None
}

/// The innermost cause, which names what happened ("Connection refused", a certificate's fault).
fn root(e: &reqwest::Error) -> String {
    let mut cause: &dyn Error = e;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
