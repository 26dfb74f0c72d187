//! Records without a value: forwarded, filtered, dead-lettered, or the row of their key deleted.
//!
//! A tombstone cannot be decoded, so no case can be chosen by its fields: it goes to the destinations of every case,
//! each by its own `on_tombstone`, and once to one that cases share.

use super::{
    Known, Op, Outcomes, Program, RowRef, Span, Wants,
    decode::{Undecoded, writer_schema},
    program::{destinations, value_node},
};
use crate::{
    codec::{JsonOptions, JsonReader, JsonWriter, NULL, member, write},
    config::{Destination, KeyFormat, OnTombstone, Route, TableDestination},
    failure::{Failure, Stage},
    record::Record,
    schema::{Kind, Logical, Schema, framing},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::{borrow::Cow, sync::Arc};

pub(super) struct Tombstones {
    key: KeyFormat,
    /// In the order of the targets.
    actions: Vec<Action>,
}

enum Action {
    Forward,
    Filter,
    DeadLetter,
    Delete { columns: usize, keys: Vec<KeyColumn>, version: Option<Version> },
}

/// The `newer_by` column, a timestamp: a tombstone has no fields, so its own timestamp says how new it is.
#[derive(Clone, Copy)]
struct Version {
    column: usize,
    /// The column's units in a millisecond.
    unit: i64,
}

/// Reads one key column's value out of the record's key.
struct KeyColumn {
    name: String,
    column: usize,
    reader: JsonReader,
    /// The key is a text and the column a number or a boolean: what stands between the key's quotes is its JSON.
    bare: bool,
}

impl Tombstones {
    pub(super) fn compile(route: &Route) -> Tombstones {
        let all: Vec<&Destination> = destinations(route).collect();
        let actions = all.iter().enumerate().map(|(i, destination)| {
            if all[..i].iter().any(|earlier| does_the_same(earlier, destination)) {
                return Action::Filter;
            }
            let (on, table) = match destination {
                Destination::Topic(t) => (t.on_tombstone, None),
                Destination::Table(t) => (t.on_tombstone, Some(t)),
            };
            match (on, table) {
                (OnTombstone::Forward, None) => Action::Forward,
                (OnTombstone::Delete, Some(table)) => {
                    let keys = key_columns(route.key, table);
                    Action::Delete { columns: table.columns.len(), keys, version: version(table) }
                }
                (OnTombstone::DeadLetter, _) => Action::DeadLetter,
                _ => Action::Filter,
            }
        });
        Tombstones { key: route.key, actions: actions.collect() }
    }
}

/// Whether a tombstone that the first has got is nothing more to the second, as where cases share a destination.
fn does_the_same(first: &Destination, second: &Destination) -> bool {
    match (first, second) {
        (Destination::Topic(a), Destination::Topic(b)) => {
            (&a.topic, a.same_partition, a.on_tombstone) == (&b.topic, b.same_partition, b.on_tombstone)
        }
        (Destination::Table(a), Destination::Table(b)) => {
            (&a.table, &a.key_columns, &a.newer_by, a.on_tombstone)
                == (&b.table, &b.key_columns, &b.newer_by, b.on_tombstone)
        }
        _ => false,
    }
}

fn key_columns(key: KeyFormat, table: &TableDestination) -> Vec<KeyColumn> {
    let keys = table.key_columns.iter().filter_map(|name| table.columns.iter().position(|c| c.name == *name));
    keys.map(|column| {
        let c = &table.columns[column];
        let schema = c.schema.subschema(value_node(&c.schema, c.node));
        let root = schema.node(schema.root());
        let number = matches!(root.kind, Kind::Boolean | Kind::Int | Kind::Long | Kind::Float | Kind::Double);
        let reader = JsonReader::compile(&schema, JsonOptions { base64: true, reject_unknown: false });
        let bare = key == KeyFormat::String && number && root.logical.is_none();
        KeyColumn { name: c.name.clone(), column, reader, bare }
    })
    .collect()
}

fn version(table: &TableDestination) -> Option<Version> {
    let newer = table.newer_by.as_ref()?;
    let column = table.columns.iter().position(|c| c.name == *newer)?;
    let c = &table.columns[column];
    let unit = match c.schema.node(value_node(&c.schema, c.node)).logical? {
        Logical::TimestampMillis => 1,
        Logical::TimestampMicros => 1_000,
        _ => return None,
    };
    Some(Version { column, unit })
}

impl Program {
    /// The rows of a tombstone; `None` when every destination filters it.
    pub(super) fn tombstone(
        &mut self,
        i: u32,
        record: &Record<'_>,
        known: &Known,
        wants: &mut Wants,
        out: &mut Outcomes,
    ) -> Result<Option<u16>, Undecoded> {
        let Tombstones { key, actions } = &mut self.tombstones;
        let mut written = None;
        for (target, action) in actions.iter_mut().enumerate() {
            let row = RowRef {
                record: i,
                target: target as u16,
                op: Op::Delete,
                body: Span::None,
                key: Span::Key,
                slots: out.slots.len() as u32,
            };
            match action {
                Action::Filter => continue,
                Action::DeadLetter => {
                    let why = "the record has no value (a tombstone), and on_tombstone is dead-letter";
                    return Err(Failure::new(Stage::Frame, "unexpected-tombstone", why).into());
                }
                Action::Forward => {}
                Action::Delete { columns, keys, version } => {
                    let json = key_as_json(*key, record, known, wants)?;
                    out.slots.resize(out.slots.len() + *columns, NULL);
                    for k in keys {
                        out.slots[row.slots as usize + k.column] = k.read(&json, &mut out.out)?;
                    }
                    if let (Some(version), Some(timestamp)) = (version, record.timestamp) {
                        out.slots[row.slots as usize + version.column] = out.out.len() as u32;
                        write::long(&mut out.out, timestamp.saturating_mul(version.unit));
                    }
                }
            }
            out.rows.push(row);
            written = Some(0);
        }
        Ok(written)
    }
}

impl KeyColumn {
    /// Appends the column's value; a key that is an object has it as a member, any other key is the value itself.
    fn read(&mut self, key: &str, out: &mut Vec<u8>) -> Result<u32, Failure> {
        let value = member(key, &self.name).map_err(|f| bad_key(format!("the key is not JSON: {}", f.message)))?;
        let mut value = value.unwrap_or("null");
        if self.bare {
            value = value.trim_matches('"');
        }
        let at = out.len() as u32;
        self.reader.read(value.as_bytes(), out).map_err(|f| {
            bad_key(format!("key column {}: {}", self.name, f.message)).at(format!("key.{}", self.name))
        })?;
        Ok(at)
    }
}

fn bad_key(message: impl Into<String>) -> Failure {
    Failure::new(Stage::Decode, "bad-key", message).at("key")
}

/// The record's key as the route's key format reads it, as JSON text: a number keeps its digits.
fn key_as_json<'r>(
    format: KeyFormat,
    record: &Record<'r>,
    known: &Known,
    wants: &mut Wants,
) -> Result<Cow<'r, str>, Undecoded> {
    let key = record.key.ok_or_else(|| bad_key("a tombstone without a key names no row to delete"))?;
    let text = || std::str::from_utf8(key).map_err(|_| bad_key("the key is not UTF-8"));
    Ok(match format {
        KeyFormat::Bytes => format!("\"{}\"", BASE64_STANDARD.encode(key)).into(),
        KeyFormat::String => serde_json::Value::from(text()?).to_string().into(),
        KeyFormat::Long => {
            let bytes: [u8; 8] =
                key.try_into().map_err(|_| bad_key(format!("a long key has 8 bytes, this has {}", key.len())))?;
            i64::from_be_bytes(bytes).to_string().into()
        }
        KeyFormat::Json => text()?.into(),
        KeyFormat::Avro => {
            let (id, body) = framing::split(key)?;
            let Some(schema) = writer_schema(id, known, wants)? else { return Err(Undecoded::Wanted) };
            avro_key(schema, body)?.into()
        }
    })
}

fn avro_key(schema: &Arc<Schema>, body: &[u8]) -> Result<String, Failure> {
    let scanner = crate::codec::Layout::new(schema.clone(), schema.root()).build();
    scanner.scan(body, &mut vec![0; scanner.slots()]).map_err(|f| bad_key(f.message))?;
    let mut json = Vec::new();
    JsonWriter::new(schema.clone()).base64(true).write(body, 0, &mut json)?;
    String::from_utf8(json).map_err(|e| bad_key(format!("the key's JSON form: {e}")))
}
