//! `destination` and `destinations`: where the records of a route, or of one of its cases, go.

use super::{
    document::{Entry, Kind, Table, Value},
    enrichers::Fields,
    plan::{Database, Destination, KeyFormat},
    problem::{Place, Problem},
    schemas::Schemas,
    section::{Section, wrong_type},
    table, topic,
};
use crate::schema::Schema;
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

/// What all destinations of a route share.
pub(super) struct Around<'a> {
    pub schemas: &'a Schemas,
    pub databases: &'a BTreeMap<String, Database>,
    pub key: KeyFormat,
    /// Some destination of the route says what it does with tombstones; those that do not have nothing to do with them.
    pub tombstones_decided: bool,
}

/// A destination with its place, for what is checked between several of them.
pub(super) struct Placed {
    /// `None` when it has problems.
    pub destination: Option<Destination>,
    pub domain: Option<Domain>,
    pub place: Place,
}

/// What one transaction can span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    Topics,
    Database(String),
}

impl Domain {
    pub(super) fn words(&self) -> String {
        match self {
            Domain::Topics => "topics".into(),
            Domain::Database(name) => format!("tables of `{name}`"),
        }
    }
}

/// The destinations of a route or a case; `holder` is its table. `None` when it names none.
pub(super) fn read(
    holder: &Section<'_>,
    around: &Around<'_>,
    fields: Option<&Fields>,
    schema: Option<&Arc<Schema>>,
) -> Option<Vec<Placed>> {
    let values = listed(holder)?;
    let mut all = Vec::new();
    for (value, place) in &values {
        let Some(table) = as_table(holder, value) else {
            all.push(Placed { destination: None, domain: None, place: *place });
            continue;
        };
        let section = Section { cx: holder.cx, table: &table, what: "the destination".into(), place: *place };
        all.push(one(&section, around, fields, schema));
    }
    Some(all)
}

fn listed<'a>(holder: &Section<'a>) -> Option<Vec<(&'a Value, Place)>> {
    match (holder.value("destination"), holder.value("destinations")) {
        (Some(_), Some(_)) => {
            holder.cx.report(
                Problem::error(
                    "two-destinations",
                    holder.key_place("destinations"),
                    "`destination` and `destinations`",
                )
                .also(holder.key_place("destination"), "the other one")
                .help("write `destinations` for several, `destination` for one"),
            );
            Some(Vec::new())
        }
        (Some(one), None) => Some(vec![(one, holder.key_place("destination"))]),
        (None, Some(value)) => match &value.kind {
            Kind::Array(items) if !items.is_empty() => Some(items.iter().map(|v| (v, v.place)).collect()),
            Kind::Array(_) => {
                holder.cx.report(Problem::error("nothing-to-do", value.place, "no destination is listed"));
                Some(Vec::new())
            }
            _ => {
                wrong_type(
                    holder.cx,
                    value,
                    "a list of tables",
                    "write `[[routes.NAME.destinations]]`, or `destination` for one",
                );
                Some(Vec::new())
            }
        },
        (None, None) => None,
    }
}

/// A bare string is a topic's name.
fn as_table<'a>(holder: &Section<'_>, value: &'a Value) -> Option<Cow<'a, Table>> {
    match &value.kind {
        Kind::Table(table) => Some(Cow::Borrowed(table)),
        Kind::String(_) => {
            let entry = Entry { key: "topic".into(), key_place: value.place, value: value.clone(), inherited: false };
            Some(Cow::Owned(Table { entries: vec![entry] }))
        }
        _ => {
            let help = match &value.kind {
                Kind::Array(_) => "several are `destinations = [{ topic = \"NAME\" }, …]`",
                _ => "write `{ topic = \"NAME\" }` or `{ database = \"NAME\", table = \"NAME\" }`",
            };
            wrong_type(holder.cx, value, "a table or a topic's name", help);
            None
        }
    }
}

fn one(section: &Section<'_>, around: &Around<'_>, fields: Option<&Fields>, schema: Option<&Arc<Schema>>) -> Placed {
    let placed = |domain, destination| Placed { destination, domain, place: section.place };
    match (section.value("topic"), section.value("table").or(section.value("database"))) {
        (Some(_), None) => {
            let input = fields.zip(schema).map(|(fields, schema)| topic::Input { fields, schema });
            let topic = topic::read(section, around.schemas, input.as_ref());
            placed(Some(Domain::Topics), topic.map(Destination::Topic))
        }
        (None, Some(_)) => {
            let known = section.name("database").filter(|name| around.databases.contains_key(&name.text));
            let domain = known.map(|name| Domain::Database(name.text));
            placed(domain, table::read(section, around, fields).map(Destination::Table))
        }
        (Some(_), Some(_)) => {
            let message = "a destination is a topic or a table, and this is both";
            section.cx.report(
                Problem::error("two-destinations", section.place, message)
                    .help("a route that feeds both is two routes on one topic: each has its own transaction"),
            );
            placed(None, None)
        }
        (None, None) => {
            section.cx.report(
                Problem::error("missing-key", section.place, "the destination names neither a topic nor a table")
                    .help("write `topic = \"NAME\"`, or `database = \"NAME\"` and `table = \"NAME\"`"),
            );
            placed(None, None)
        }
    }
}

/// Whether this route or case says what a destination does with tombstones.
pub(super) fn decide_tombstones(holder: &Table) -> bool {
    let says = |v: &Value| matches!(&v.kind, Kind::Table(t) if t.get("on_tombstone").is_some());
    let several = match holder.get("destinations").map(|v| &v.kind) {
        Some(Kind::Array(items)) => items.iter().any(says),
        _ => false,
    };
    several || holder.get("destination").is_some_and(says)
}
