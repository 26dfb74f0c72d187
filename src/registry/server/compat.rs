//! Compatibility levels, and the check of a new schema against the versions that its level names.

use super::{
    problem::Problem,
    state::{Reference, State, Version},
};
use crate::schema::Schema;
use serde::{Deserialize, Serialize};

/// Confluent's compatibility levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Level {
    None,
    /// The new schema reads what the latest version wrote.
    #[default]
    Backward,
    BackwardTransitive,
    /// The latest version reads what the new schema writes.
    Forward,
    ForwardTransitive,
    Full,
    FullTransitive,
}

impl Level {
    pub(super) const ALL: [Level; 7] = [
        Level::None,
        Level::Backward,
        Level::BackwardTransitive,
        Level::Forward,
        Level::ForwardTransitive,
        Level::Full,
        Level::FullTransitive,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Level::None => "NONE",
            Level::Backward => "BACKWARD",
            Level::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Level::Forward => "FORWARD",
            Level::ForwardTransitive => "FORWARD_TRANSITIVE",
            Level::Full => "FULL",
            Level::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// Reads a level whatever its case.
    pub(super) fn parse(text: &str) -> Result<Level, Problem> {
        Level::ALL.into_iter().find(|l| l.name().eq_ignore_ascii_case(text)).ok_or_else(Problem::bad_level)
    }

    fn transitive(self) -> bool {
        matches!(self, Level::BackwardTransitive | Level::ForwardTransitive | Level::FullTransitive)
    }
    fn backward(self) -> bool {
        matches!(self, Level::Backward | Level::BackwardTransitive | Level::Full | Level::FullTransitive)
    }
    fn forward(self) -> bool {
        matches!(self, Level::Forward | Level::ForwardTransitive | Level::Full | Level::FullTransitive)
    }
}

impl State {
    /// Why `text` may not follow the versions that the subject has; empty where it may. Deleted versions do not count.
    pub(super) fn incompatibilities(
        &self,
        subject: &str,
        text: &str,
        references: &[Reference],
    ) -> Result<Vec<String>, Problem> {
        let new = self.parse(text, references)?;
        let level = self.level_for(subject);
        let versions: Vec<Version> = match self.versions(subject, false) {
            Ok(found) => found.into_keys().rev().take(if level.transitive() { usize::MAX } else { 1 }).collect(),
            Err(_) => Vec::new(),
        };
        let mut why = Vec::new();
        for version in versions {
            why.extend(self.against(subject, version, &new, level)?);
        }
        Ok(why)
    }

    /// As [`State::incompatibilities`], against one version.
    pub(super) fn incompatibilities_with(
        &self,
        subject: &str,
        version: Version,
        text: &str,
        references: &[Reference],
    ) -> Result<Vec<String>, Problem> {
        let new = self.parse(text, references)?;
        self.against(subject, version, &new, self.level_for(subject))
    }

    fn against(&self, subject: &str, version: Version, new: &Schema, level: Level) -> Result<Vec<String>, Problem> {
        let mut why = Vec::new();
        if level == Level::None {
            return Ok(why);
        }
        let (_, entry) = self.version(subject, Some(version), false)?;
        let stored = self.schema(entry.id)?;
        let old = self.parse(&stored.text, &stored.references)?;
        if level.backward() {
            why.extend(faults(new, &old).map(|f| format!("the new schema cannot read version {version}: {f}")));
        }
        if level.forward() {
            why.extend(faults(&old, new).map(|f| format!("version {version} cannot read the new schema: {f}")));
        }
        Ok(why)
    }
}

/// Why `reader` cannot read what `writer` writes.
fn faults(reader: &Schema, writer: &Schema) -> impl Iterator<Item = String> {
    let (reader, writer) =
        (apache_avro::Schema::parse_str(&reader.to_json()), apache_avro::Schema::parse_str(&writer.to_json()));
    let fault = match (reader, writer) {
        (Ok(reader), Ok(writer)) => apache_avro::schema_compatibility::SchemaCompatibility::can_read(&writer, &reader)
            .err()
            .map(|e| e.to_string()),
        (Err(e), _) | (_, Err(e)) => Some(e.to_string()),
    };
    fault.into_iter()
}
