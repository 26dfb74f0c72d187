//! What is asked to change, decided: either refused, or an [`Event`] that makes it so.

use super::{
    problem::Problem,
    state::{Event, Mode, Reference, State, Version},
    text,
};
use serde::Deserialize;
use serde_json::Value;

/// The body that registration, look-up and the compatibility check share.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    schema: Option<String>,
    schema_type: Option<String>,
    references: Option<Vec<Reference>>,
    id: Option<i64>,
    metadata: Option<Value>,
    rule_set: Option<Value>,
}

/// A schema whose form is in order; that it parses is not known yet.
#[derive(Debug)]
pub struct Candidate {
    pub text: String,
    pub references: Vec<Reference>,
}

impl State {
    /// Reads a body. References to the latest version get its number.
    pub(super) fn candidate(&self, asked: Asked) -> Result<Candidate, Problem> {
        if let Some(kind) = asked.schema_type.filter(|k| k != "AVRO") {
            return Err(Problem::bad_schema(format!("schema type {kind} is not supported, only AVRO is")));
        }
        if asked.metadata.or(asked.rule_set).is_some_and(|v| !v.is_null()) {
            return Err(Problem::bad_schema("metadata and rule sets are not supported"));
        }
        if asked.id.is_some_and(|id| id > 0) {
            return Err(Problem::not_permitted("an id of one's own needs mode IMPORT, which is not supported"));
        }
        let text = asked.schema.unwrap_or_default();
        if text.trim().is_empty() {
            return Err(Problem::bad_schema("the schema is empty"));
        }
        let Some(text) = text::compact(&text) else {
            // The schema's own parser tells the place.
            return Err(self.parse(&text, &[]).err().unwrap_or_else(|| Problem::bad_schema("it is not JSON")));
        };
        let mut references = asked.references.unwrap_or_default();
        for r in references.iter_mut().filter(|r| r.version == -1) {
            if let Ok((latest, _)) = self.version(&r.subject, None, false) {
                r.version = latest.into();
            }
        }
        references.sort();
        Ok(Candidate { text, references })
    }

    /// Where a subject has this schema: id and version.
    pub(super) fn place(&self, subject: &str, candidate: &Candidate, deleted: bool) -> Option<(u32, Version)> {
        let id = self.id(&candidate.text, &candidate.references).0?;
        let versions = self.versions(subject, deleted).ok()?;
        versions.iter().rev().find(|(_, e)| e.id == id).map(|(v, _)| (id, *v))
    }

    /// Registers a schema: its id, and the change unless the subject has it already.
    pub(super) fn register(&self, subject: &str, candidate: Candidate) -> Result<(u32, Option<Event>), Problem> {
        if subject.is_empty() || subject.chars().any(char::is_control) || ["__GLOBAL", "__EMPTY"].contains(&subject) {
            return Err(Problem::bad_subject(subject));
        }
        if let Some((id, _)) = self.place(subject, &candidate, false) {
            return Ok((id, None));
        }
        if self.mode_for(subject) == Mode::ReadOnly {
            return Err(Problem::not_permitted(format!("Subject {subject} is in read-only mode")));
        }
        let why = self.incompatibilities(subject, &candidate.text, &candidate.references)?;
        if !why.is_empty() {
            return Err(Problem::incompatible(subject, &why));
        }
        let Candidate { text: schema, references } = candidate;
        let (known, next) = self.id(&schema, &references);
        let id = known.unwrap_or(next);
        let last = self.all_versions(subject).and_then(|v| v.last_key_value()).map_or(0, |(v, _)| *v);
        let version = last.saturating_add(1);
        Ok((id, Some(Event::Registered { subject: subject.to_owned(), version, id, schema, references })))
    }

    /// Deletes a subject: softly first, then for good. Gives the versions that go.
    pub(super) fn delete_subject(&self, subject: &str, permanent: bool) -> Result<Event, Problem> {
        let all = self.versions(subject, true)?;
        let live = self.versions(subject, false).unwrap_or_default();
        let versions: Vec<Version> = match (permanent, live.is_empty()) {
            (false, true) => return Err(Problem::subject_soft_deleted(subject)),
            (true, false) => return Err(Problem::subject_not_soft_deleted(subject)),
            (false, false) => live.into_keys().collect(),
            (true, true) => all.into_keys().collect(),
        };
        self.deleted(subject, versions, permanent)
    }

    /// Deletes one version (`None`: the latest), softly first, then for good.
    pub(super) fn delete_version(
        &self,
        subject: &str,
        version: Option<Version>,
        permanent: bool,
    ) -> Result<Event, Problem> {
        let (version, entry) = self.version(subject, version, true)?;
        match (permanent, entry.deleted) {
            (false, true) => Err(Problem::version_soft_deleted(subject, version)),
            (true, false) => Err(Problem::version_not_soft_deleted(subject, version)),
            _ => self.deleted(subject, vec![version], permanent),
        }
    }

    fn deleted(&self, subject: &str, versions: Vec<Version>, permanent: bool) -> Result<Event, Problem> {
        if self.mode_for(subject) == Mode::ReadOnly {
            return Err(Problem::not_permitted(format!("Subject {subject} is in read-only mode")));
        }
        for version in &versions {
            let by = self.referenced_by(subject, *version);
            if !by.is_empty() {
                return Err(Problem::referenced(subject, *version, &by));
            }
        }
        Ok(Event::Deleted { subject: subject.to_owned(), versions, permanent })
    }
}
