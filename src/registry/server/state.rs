//! What a registry holds: schemas by id, the versions of each subject, levels and modes.
//! It changes by [`Event`]s alone, so that a file of events brings it back.

use super::{problem::Problem, text};
use crate::schema::{Schema, compatibility::Level};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

pub type Version = u32;

/// A named type's schema in another subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    pub name: String,
    pub subject: String,
    /// As requested, -1 is the latest; as stored, a version.
    pub version: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    #[default]
    ReadWrite,
    ReadOnly,
}

impl Mode {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Mode::ReadWrite => "READWRITE",
            Mode::ReadOnly => "READONLY",
        }
    }

    /// Reads a mode whatever its case.
    pub(super) fn parse(text: &str) -> Result<Mode, Problem> {
        let mut modes = [Mode::ReadWrite, Mode::ReadOnly].into_iter();
        modes.find(|m| m.name().eq_ignore_ascii_case(text)).ok_or_else(Problem::bad_mode)
    }
}

/// One change, as it is written to the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    Registered {
        subject: String,
        version: Version,
        id: u32,
        schema: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        references: Vec<Reference>,
    },
    Deleted {
        subject: String,
        versions: Vec<Version>,
        permanent: bool,
    },
    /// Without a subject: of the whole registry. Without a level: back to the default.
    Level {
        subject: Option<String>,
        #[serde(with = "by_name")]
        level: Option<Level>,
    },
    Mode {
        subject: Option<String>,
        mode: Option<Mode>,
    },
}

/// A level as the file has it: Confluent's name.
mod by_name {
    use super::Level;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(level: &Option<Level>, to: S) -> Result<S::Ok, S::Error> {
        level.map(Level::name).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Level>, D::Error> {
        let unknown = |name: String| D::Error::custom(format!("{name} is not a compatibility level"));
        let name = Option::<String>::deserialize(from)?;
        name.map(|n| n.parse().map_err(|()| unknown(n))).transpose()
    }
}

impl Event {
    /// The versions that a deletion takes away.
    pub(super) fn versions(&self) -> &[Version] {
        match self {
            Event::Deleted { versions, .. } => versions,
            _ => &[],
        }
    }
}

/// A schema; several subjects may have versions of it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub text: String,
    pub references: Vec<Reference>,
}

/// A version's place in its subject.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub id: u32,
    pub deleted: bool,
}

/// What makes two schemas the same: their text whatever its layout, and what they refer to.
type Identity = (Arc<str>, Vec<Reference>);

/// The largest schema with everything it refers to, in bytes. Confluent's registry keeps schemas in a topic, whose records
/// have the same bound.
const MAX_SCHEMA: usize = 1 << 20;

#[derive(Clone, Debug, Default)]
pub struct State {
    schemas: BTreeMap<u32, Arc<Stored>>,
    ids: HashMap<Identity, u32>,
    last_id: u32,
    subjects: BTreeMap<String, BTreeMap<Version, Entry>>,
    level: Level,
    levels: BTreeMap<String, Level>,
    mode: Mode,
    modes: BTreeMap<String, Mode>,
}

impl State {
    pub(super) fn apply(&mut self, event: Event) {
        match event {
            Event::Registered { subject, version, id, schema, references } => {
                self.last_id = self.last_id.max(id);
                self.ids.insert((text::identity(&schema).into(), references.clone()), id);
                self.schemas.entry(id).or_insert_with(|| Arc::new(Stored { text: schema, references }));
                self.subjects.entry(subject).or_default().insert(version, Entry { id, deleted: false });
            }
            Event::Deleted { subject, versions, permanent } => self.delete(&subject, &versions, permanent),
            Event::Level { subject: None, level } => self.level = level.unwrap_or_default(),
            Event::Level { subject: Some(subject), level } => set(&mut self.levels, subject, level),
            Event::Mode { subject: None, mode } => self.mode = mode.unwrap_or_default(),
            Event::Mode { subject: Some(subject), mode } => set(&mut self.modes, subject, mode),
        }
    }

    fn delete(&mut self, subject: &str, versions: &[Version], permanent: bool) {
        let Some(entries) = self.subjects.get_mut(subject) else { return };
        for version in versions {
            if permanent {
                entries.remove(version);
            } else if let Some(entry) = entries.get_mut(version) {
                entry.deleted = true;
            }
        }
        if entries.values().all(|e| e.deleted) {
            // Confluent does the same: a subject that comes again begins with the defaults.
            self.levels.remove(subject);
            self.modes.remove(subject);
        }
        if entries.is_empty() {
            self.subjects.remove(subject);
        }
        if permanent {
            let used: BTreeSet<u32> = self.subjects.values().flat_map(|v| v.values().map(|e| e.id)).collect();
            self.schemas.retain(|id, _| used.contains(id));
            self.ids.retain(|_, id| used.contains(id));
        }
    }

    /// The id of this schema, if any subject has it, and the next free one.
    pub(super) fn id(&self, text: &str, references: &[Reference]) -> (Option<u32>, u32) {
        let id = self.ids.get(&(text::identity(text).into(), references.to_vec())).copied();
        (id, self.last_id.saturating_add(1))
    }

    pub(super) fn schema(&self, id: u32) -> Result<&Stored, Problem> {
        self.schemas.get(&id).map(|s| &**s).ok_or_else(|| Problem::no_schema(&format!("Schema {id}")))
    }

    /// The subjects with at least one version that is not deleted; with `deleted`, all.
    pub(super) fn subjects(&self, deleted: bool) -> impl Iterator<Item = &String> {
        self.subjects.iter().filter(move |(_, v)| deleted || v.values().any(|e| !e.deleted)).map(|(s, _)| s)
    }

    /// A subject's versions, deleted ones among them.
    pub(super) fn all_versions(&self, subject: &str) -> Option<&BTreeMap<Version, Entry>> {
        self.subjects.get(subject)
    }

    /// A subject's versions that are not deleted, or with `deleted` all; never empty.
    pub(super) fn versions(&self, subject: &str, deleted: bool) -> Result<BTreeMap<Version, Entry>, Problem> {
        let entries = self.subjects.get(subject).into_iter().flatten();
        let found: BTreeMap<Version, Entry> =
            entries.filter(|(_, e)| deleted || !e.deleted).map(|(v, e)| (*v, *e)).collect();
        if found.is_empty() { Err(Problem::no_subject(subject)) } else { Ok(found) }
    }

    /// One version of a subject; `None` is the latest.
    pub(super) fn version(
        &self,
        subject: &str,
        version: Option<Version>,
        deleted: bool,
    ) -> Result<(Version, Entry), Problem> {
        let versions = self.versions(subject, deleted)?;
        let found = match version {
            None => versions.last_key_value(),
            Some(v) => versions.get_key_value(&v),
        };
        found.map(|(v, e)| (*v, *e)).ok_or_else(|| Problem::no_version(version.unwrap_or_default()))
    }

    /// Where a schema stands.
    pub(super) fn places(&self, id: u32, deleted: bool) -> Vec<(&str, Version)> {
        let mut places = Vec::new();
        for (subject, versions) in &self.subjects {
            let here = versions.iter().filter(|(_, e)| e.id == id && (deleted || !e.deleted));
            places.extend(here.map(|(v, _)| (subject.as_str(), *v)));
        }
        places
    }

    /// The ids of schemas that refer to this version and have a version that is not deleted.
    pub(super) fn referenced_by(&self, subject: &str, version: Version) -> Vec<u32> {
        let refers = |r: &Reference| r.subject == subject && r.version == i64::from(version);
        let ids = self.schemas.iter().filter(|(_, s)| s.references.iter().any(refers)).map(|(id, _)| *id);
        ids.filter(|id| !self.places(*id, false).is_empty()).collect()
    }

    /// Parses a schema with everything it refers to, at any distance.
    pub(super) fn parse(&self, text: &str, references: &[Reference]) -> Result<Schema, Problem> {
        let mut wanted: Vec<&Reference> = references.iter().collect();
        let mut seen = BTreeSet::new();
        let mut texts: Vec<&str> = Vec::new();
        let mut size = text.len();
        while let Some(r) = wanted.pop() {
            if !seen.insert((&r.subject, r.version)) {
                continue;
            }
            let version = u32::try_from(r.version).ok();
            let found = version.and_then(|v| self.version(&r.subject, Some(v), true).ok());
            let stored = found.map(|(_, entry)| self.schema(entry.id)).transpose()?;
            let Some(stored) = stored else {
                let (subject, version) = (&r.subject, r.version);
                return Err(Problem::bad_schema(format!(
                    "No schema reference found for subject \"{subject}\" and version {version}"
                )));
            };
            texts.push(&stored.text);
            wanted.extend(&stored.references);
            size += stored.text.len();
        }
        if size > MAX_SCHEMA {
            return Err(Problem::bad_schema(format!("with what it refers to it is larger than {MAX_SCHEMA} bytes")));
        }
        Schema::parse_with(text, &texts).map_err(|problems| {
            let errors: Vec<String> = problems.iter().filter(|p| p.is_error()).map(ToString::to_string).collect();
            Problem::bad_schema(errors.join("; "))
        })
    }

    pub(super) fn level(&self, subject: Option<&str>) -> Option<Level> {
        match subject {
            None => Some(self.level),
            Some(subject) => self.levels.get(subject).copied(),
        }
    }

    pub(super) fn level_for(&self, subject: &str) -> Level {
        self.levels.get(subject).copied().unwrap_or(self.level)
    }

    pub(super) fn mode(&self, subject: Option<&str>) -> Option<Mode> {
        match subject {
            None => Some(self.mode),
            Some(subject) => self.modes.get(subject).copied(),
        }
    }

    pub(super) fn mode_for(&self, subject: &str) -> Mode {
        self.modes.get(subject).copied().unwrap_or(self.mode)
    }
}

fn set<T>(map: &mut BTreeMap<String, T>, key: String, value: Option<T>) {
    match value {
        Some(value) => {
            map.insert(key, value);
        }
        None => {
            map.remove(&key);
        }
    }
}
