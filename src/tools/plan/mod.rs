//! `plan` and `apply`: what the routes need outside (topics, subjects, tables) beside what is there.
//!
//! A [`Report`] is made by looking alone; `apply` carries its steps out, each of which is safe to repeat.

mod acls;
pub mod apply;
mod json;
mod show;
mod subjects;
mod tables;
mod topics;

pub use json::json;
pub use show::{acls as show_acls, human, outcome, summary};

use super::Exit;
use crate::{
    config::{Plan, TableName},
    failure::{Remedy, Setback},
};
pub use acls::Acl;
use std::{collections::BTreeMap, fmt, io};
use tokio::runtime::Runtime;

/// The parts that `--only` chooses among, in the order in which they are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Part {
    /// Topics, their partitions and settings.
    Topics,
    /// Subjects of the schema registry.
    Schemas,
    /// Migrations, and the tables that Pointsman keeps for itself.
    Tables,
}

impl Part {
    pub const ALL: [Part; 3] = [Part::Topics, Part::Schemas, Part::Tables];

    pub fn name(self) -> &'static str {
        match self {
            Part::Topics => "topics",
            Part::Schemas => "schemas",
            Part::Tables => "tables",
        }
    }
}

/// Everything that was looked at.
#[derive(Debug)]
pub struct Report {
    pub items: Vec<Item>,
    pub acls: Vec<Acl>,
}

/// A topic, a subject or a database.
#[derive(Debug)]
pub struct Item {
    pub part: Part,
    pub name: String,
    /// What is there, in a few words; empty where nothing is.
    pub state: String,
    pub steps: Vec<Step>,
    /// What keeps the routes from running, or a step from being carried out.
    pub problems: Vec<Finding>,
    /// What somebody should know, and `apply` leaves as it is.
    pub notes: Vec<Finding>,
    /// Why it could not be looked at.
    pub unreachable: Option<Setback>,
}

/// One change that `apply` makes.
#[derive(Debug)]
pub struct Step {
    /// In words, imperative: `widen from 2 to 4 partitions`.
    pub words: String,
    /// More about it, a line each.
    pub details: Vec<String>,
    pub change: Change,
    /// How `apply` fared; `None` where it was not tried.
    pub outcome: Option<Result<(), Setback>>,
}

/// Names and values of a topic's settings.
type Settings = BTreeMap<String, String>;

/// What a topic is made with and does not say is the brokers' default.
#[derive(Clone, Debug)]
pub enum Change {
    CreateTopic { partitions: Option<i32>, replication: Option<i32>, config: Settings },
    WidenTopic { partitions: i32 },
    SetTopic { settings: Settings },
    Register { text: String },
    Migrate { version: i64 },
    MakeTable { table: TableName },
}

impl Change {
    /// Stable: the `action` of a step in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Change::CreateTopic { .. } => "create-topic",
            Change::WidenTopic { .. } => "widen-topic",
            Change::SetTopic { .. } => "set-topic",
            Change::Register { .. } => "register",
            Change::Migrate { .. } => "migrate",
            Change::MakeTable { .. } => "make-table",
        }
    }

    /// Whether it makes something new, beside changing what is there.
    fn makes(&self) -> bool {
        !matches!(self, Change::WidenTopic { .. } | Change::SetTopic { .. })
    }
}

/// Something to know about an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable, documented.
    pub code: &'static str,
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
}

/// Every code of a finding, and what it means; README's reference is held against this table by a test.
pub const FINDINGS: &[(&str, &str)] = &[
    ("topic-missing", "a topic that a route or collector uses does not exist, and [topics] does not list it"),
    ("topic-refused", "the brokers would not make the topic so, or not take its settings"),
    (
        "too-few-partitions",
        "a route writes with partition = \"same\" to a topic with fewer partitions than its source, or one of them is made \
         with the brokers' default, which nobody knows before",
    ),
    (
        "incompatible",
        "the subject's compatibility level forbids the schema: by the registry's word, or by its versions",
    ),
    ("schema-refused", "the registry does not take it for a schema"),
    ("read-only", "something would have to be registered, and the registry's mode forbids it"),
    ("migrations", "an applied migration has changed or is gone, or the folder cannot be read"),
    ("table-unfit", "a table is missing or does not take the rows that a route writes, and no migration is pending"),
    (
        "no-permission",
        "the database's user may not make the tables that are to be made, or this user may not write to a SQLite file",
    ),
    ("more-partitions", "note: the topic has more partitions than routes.toml says; Kafka takes none away"),
    (
        "replication-differs",
        "note: the topic has another number of copies than routes.toml says; `apply` moves no data",
    ),
    ("waits", "note: a topic of dead letters is made once its source exists, whose partitions it takes"),
    ("newer-version", "note: the subject has a newer version than the one that is written"),
];

impl Finding {
    fn new(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Finding {
        debug_assert!(FINDINGS.iter().any(|(known, _)| *known == code), "{code} is documented");
        Finding { code, message: message.into(), help: help.into() }
    }
}

/// What an item comes to; the worst of what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Same,
    Create,
    Change,
    Problem,
    Unreachable,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Same => "same",
            Status::Create => "create",
            Status::Change => "change",
            Status::Problem => "problem",
            Status::Unreachable => "unreachable",
        }
    }
}

impl Item {
    fn new(part: Part, name: impl Into<String>) -> Item {
        Item {
            part,
            name: name.into(),
            state: String::new(),
            steps: Vec::new(),
            problems: Vec::new(),
            notes: Vec::new(),
            unreachable: None,
        }
    }

    /// An item that says why something could not be looked at.
    fn unreachable(part: Part, name: impl Into<String>, setback: Setback) -> Item {
        Item { unreachable: Some(setback), ..Item::new(part, name) }
    }

    pub fn status(&self) -> Status {
        match () {
            () if self.unreachable.is_some() => Status::Unreachable,
            () if !self.problems.is_empty() => Status::Problem,
            () if self.steps.is_empty() => Status::Same,
            () if self.state.is_empty() && self.steps.iter().all(|s| s.change.makes()) => Status::Create,
            () => Status::Change,
        }
    }

    fn step(&mut self, words: impl Into<String>, change: Change) -> &mut Step {
        let at = self.steps.len();
        self.steps.push(Step { words: words.into(), details: Vec::new(), change, outcome: None });
        &mut self.steps[at]
    }

    /// Takes a setback up: as a problem where somebody has to act, as unreachable otherwise.
    fn set_back(&mut self, code: &'static str, setback: Setback) {
        match setback.remedy {
            Remedy::Stand => self.problems.push(Finding::new(code, setback.message, setback.help)),
            Remedy::Retry => self.unreachable = Some(setback),
        }
    }
}

impl Report {
    pub fn count(&self, status: Status) -> usize {
        self.items.iter().filter(|i| i.status() == status).count()
    }

    /// The changes that `apply` would make.
    pub fn changes(&self) -> usize {
        self.items.iter().map(|i| i.steps.len()).sum()
    }

    /// The changes that `apply` has made.
    pub fn done(&self) -> usize {
        self.items.iter().flat_map(|i| &i.steps).filter(|s| matches!(s.outcome, Some(Ok(())))).count()
    }

    /// Whether everything is as the file wants it.
    pub fn is_done(&self) -> bool {
        self.exit() == Exit::Done && self.changes() == 0
    }

    /// 1 for a problem, 3 for what could not be looked at, else 0.
    pub fn exit(&self) -> Exit {
        match () {
            () if self.count(Status::Problem) > 0 => Exit::Findings,
            () if self.count(Status::Unreachable) > 0 => Exit::Environment,
            () => Exit::Done,
        }
    }
}

/// Looks at everything that these parts of a plan need; changes nothing.
///
/// # Errors
/// The operating system has no threads for it.
pub fn look(plan: &Plan, parts: &[Part]) -> io::Result<Report> {
    let runtime = Runtime::new()?;
    let mut items = Vec::new();
    for part in Part::ALL.iter().filter(|p| parts.contains(p)) {
        items.extend(match part {
            Part::Topics => topics::look(plan),
            Part::Schemas => subjects::look(plan, &runtime),
            Part::Tables => tables::look(plan, &runtime),
        });
    }
    Ok(Report { items, acls: if parts.contains(&Part::Topics) { acls::needed(plan) } else { Vec::new() } })
}

/// `1 change`, `2 changes`.
fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// Words with commas between them.
fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|i| i.to_string()).collect::<Vec<_>>().join(", ")
}
