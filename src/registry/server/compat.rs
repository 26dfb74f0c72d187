//! The check of a new schema against the versions that its subject's level names.

use super::{
    problem::Problem,
    state::{Reference, State, Version},
};
use crate::schema::{
    Schema,
    compatibility::{self, Level},
};

/// Reads a level whatever its case.
pub(super) fn level(text: &str) -> Result<Level, Problem> {
    text.parse().map_err(|()| Problem::bad_level())
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
            Ok(found) => found.into_keys().rev().take(if level.is_transitive() { usize::MAX } else { 1 }).collect(),
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
        if level == Level::None {
            return Ok(Vec::new());
        }
        let (_, entry) = self.version(subject, Some(version), false)?;
        let stored = self.schema(entry.id)?;
        let old = self.parse(&stored.text, &stored.references)?;
        let found = compatibility::check(new, &old, level).into_iter();
        Ok(found.map(|i| format!("{} against version {version}: {i}", i.kind.name())).collect())
    }
}
