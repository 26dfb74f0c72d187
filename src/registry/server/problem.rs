//! Refusals of the embedded registry, with the error codes that Confluent's clients know.

use super::state::Version;
use axum::http::StatusCode;

/// A refusal: an HTTP status, Confluent's error code, and a message for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: u32,
    pub message: String,
}

impl Problem {
    fn new(code: u32, message: impl Into<String>) -> Problem {
        Problem { code, message: message.into() }
    }

    /// Confluent's codes begin with their HTTP status.
    pub fn status(&self) -> StatusCode {
        let status = if self.code < 1000 { self.code } else { self.code / 100 };
        u16::try_from(status)
            .ok()
            .and_then(|s| StatusCode::from_u16(s).ok())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(super) fn http(status: StatusCode, message: impl Into<String>) -> Problem {
        Problem::new(status.as_u16().into(), message)
    }
    pub(super) fn incompatible(subject: &str, why: &[String]) -> Problem {
        let why = why.join("; ");
        Problem::new(
            409,
            format!(
                "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{why}]"
            ),
        )
    }
    pub(super) fn no_subject(subject: &str) -> Problem {
        Problem::new(40401, format!("Subject '{subject}' not found."))
    }
    pub(super) fn no_version(version: Version) -> Problem {
        Problem::new(40402, format!("Version {version} not found."))
    }
    pub(super) fn no_schema(what: &str) -> Problem {
        Problem::new(40403, format!("{what} not found"))
    }
    pub(super) fn subject_soft_deleted(subject: &str) -> Problem {
        Problem::new(40404, format!("Subject '{subject}' was soft deleted. Set permanent=true to delete permanently"))
    }
    pub(super) fn subject_not_soft_deleted(subject: &str) -> Problem {
        Problem::new(40405, format!("Subject '{subject}' was not deleted first before being permanently deleted"))
    }
    pub(super) fn version_soft_deleted(subject: &str, version: Version) -> Problem {
        Problem::new(
            40406,
            format!("Subject '{subject}' Version {version} was soft deleted. Set permanent=true to delete permanently"),
        )
    }
    pub(super) fn version_not_soft_deleted(subject: &str, version: Version) -> Problem {
        Problem::new(
            40407,
            format!("Subject '{subject}' Version {version} was not deleted first before being permanently deleted"),
        )
    }
    pub(super) fn no_level(subject: &str) -> Problem {
        Problem::new(40408, format!("Subject '{subject}' does not have subject-level compatibility configured"))
    }
    pub(super) fn no_mode(subject: &str) -> Problem {
        Problem::new(40409, format!("Subject '{subject}' does not have subject-level mode configured"))
    }
    pub(super) fn bad_schema(why: impl std::fmt::Display) -> Problem {
        Problem::new(42201, format!("Invalid schema: {why}"))
    }
    pub(super) fn bad_version(version: &str) -> Problem {
        Problem::new(
            42202,
            format!(
                "The specified version '{version}' is not a valid version id. Allowed values are between [1, 2^31-1] and \
                 the string \"latest\""
            ),
        )
    }
    pub(super) fn bad_level() -> Problem {
        Problem::new(
            42203,
            "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, \
             forward_transitive, and full_transitive",
        )
    }
    pub(super) fn bad_mode() -> Problem {
        Problem::new(42204, "Invalid mode. Valid values are READWRITE and READONLY")
    }
    pub(super) fn not_permitted(why: impl Into<String>) -> Problem {
        Problem::new(42205, why)
    }
    pub(super) fn referenced(subject: &str, version: Version, by: &[u32]) -> Problem {
        Problem::new(
            42206,
            format!(
                "One or more references exist to the schema {{subject={subject},version={version}}}: by ids {by:?}"
            ),
        )
    }
    pub(super) fn bad_subject(subject: &str) -> Problem {
        Problem::new(42208, format!("The specified subject '{}' is not a valid subject.", subject.escape_debug()))
    }
    pub(super) fn store(why: impl std::fmt::Display) -> Problem {
        Problem::new(50001, format!("Error in the backend data store: {why}"))
    }
}
