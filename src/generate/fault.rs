//! Faults: ways to make a good record bad, and what its route owes it for that.

use super::{
    chance::Chance,
    value::{Value, bare},
};
use crate::{
    config::Format,
    failure::Stage,
    schema::{Field, Kind, Logical, NodeId, Schema},
};
use serde_json::{Map, Value as Json, json};

/// A fault that a record may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    MissingField,
    WrongType,
    BrokenRule,
    Truncated,
    NotJson,
}

impl Fault {
    pub const ALL: [Fault; 5] =
        [Fault::MissingField, Fault::WrongType, Fault::BrokenRule, Fault::Truncated, Fault::NotJson];

    /// The fault's name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::MissingField => "missing-field",
            Fault::WrongType => "wrong-type",
            Fault::BrokenRule => "broken-rule",
            Fault::Truncated => "truncated",
            Fault::NotJson => "not-json",
        }
    }

    /// What it does to a record.
    pub const fn meaning(self) -> &'static str {
        match self {
            Fault::MissingField => "a field without default is left out",
            Fault::WrongType => "a field has a value of another type, or one that its type does not take",
            Fault::BrokenRule => "one of the route's rules is false",
            Fault::Truncated => "the value ends too early",
            Fault::NotJson => "the value is something else: neither JSON nor framed Avro",
        }
    }
}

/// A spoiled value, and the failure that it is owed.
#[derive(Clone, Debug)]
pub(super) struct Spoiled {
    pub value: Vec<u8>,
    pub stage: Stage,
    /// One of these; the judge says which.
    pub codes: &'static [&'static str],
}

/// Every way to put this fault into a record, in a drawn order. `value` is the good record, `header` the bytes before its body.
pub(super) fn spoil(
    fault: Fault,
    format: Format,
    schema: &Schema,
    fields: &[Value],
    (value, header): (&[u8], usize),
    chance: &mut Chance,
) -> Vec<Spoiled> {
    let decode = |value: Vec<u8>, codes| Spoiled { value, stage: Stage::Decode, codes };
    match (fault, format) {
        (Fault::BrokenRule, _) => Vec::new(),
        (Fault::Truncated, Format::Json) => vec![decode(cut(value, 1, chance), &["malformed-json"])],
        (Fault::Truncated, Format::Avro) if value.len() <= header + 1 => Vec::new(),
        (Fault::Truncated, Format::Avro) => {
            vec![decode(cut(value, header, chance), &["truncated", "bad-length", "too-many-items"])]
        }
        (Fault::NotJson, Format::Json) => {
            vec![decode(format!("<event n=\"{}\"/>", chance.between(1, 9_999)).into_bytes(), &["malformed-json"])]
        }
        (Fault::NotJson, Format::Avro) => {
            let value = format!("not framed: {}", chance.between(1, 9_999)).into_bytes();
            vec![Spoiled { value, stage: Stage::Frame, codes: &["bad-magic"] }]
        }
        (Fault::MissingField | Fault::WrongType, Format::Json) => {
            let Ok(Json::Object(object)) = serde_json::from_slice(value) else { return Vec::new() };
            let Some(record) = schema.record() else { return Vec::new() };
            let spoiled = |field| spoiled_json(fault, schema, field, &object, chance);
            let mut all: Vec<_> = record.fields.iter().filter_map(spoiled).collect();
            shuffle(&mut all, chance);
            all
        }
        (Fault::MissingField | Fault::WrongType, Format::Avro) => {
            let mut all = spoiled_avro(fault, schema, fields, &value[..header]);
            shuffle(&mut all, chance);
            all
        }
    }
}

/// Something between the first byte that may go and the last one.
fn cut(value: &[u8], least: usize, chance: &mut Chance) -> Vec<u8> {
    let at = chance.between(least as i64, value.len() as i64 - 1).max(least as i64) as usize;
    value[..at.min(value.len())].to_vec()
}

fn shuffle<T>(all: &mut [T], chance: &mut Chance) {
    for i in (1..all.len()).rev() {
        all.swap(i, chance.index(i + 1));
    }
}

fn spoiled_json(
    fault: Fault,
    schema: &Schema,
    field: &Field,
    object: &Map<String, Json>,
    chance: &mut Chance,
) -> Option<Spoiled> {
    let mut object = object.clone();
    let codes: &[&str] = if fault == Fault::MissingField {
        if field.default.is_some() || bare(schema, field.node) != field.node {
            return None;
        }
        object.shift_remove(&field.name)?;
        &["missing-field"]
    } else {
        let (wrong, code) = wrong_json(schema, bare(schema, field.node), chance)?;
        object.insert(field.name.clone(), wrong);
        code
    };
    Some(Spoiled { value: Json::Object(object).to_string().into_bytes(), stage: Stage::Decode, codes })
}

/// A JSON value that this type refuses, and what it says to that.
fn wrong_json(schema: &Schema, node: NodeId, chance: &mut Chance) -> Option<(Json, &'static [&'static str])> {
    let logical = schema.node(node).logical;
    let other_type = chance.share(0.4);
    Some(match (schema.kind(node), logical) {
        (Kind::Union(_) | Kind::Null, _) => return None,
        (_, Some(Logical::Uuid)) if !other_type => (json!("evt-17"), &["bad-uuid"]),
        (Kind::String | Kind::Boolean, _) => (json!(17), &["wrong-type"]),
        (Kind::Enum(_), _) if !other_type => (json!("no_such_symbol"), &["unknown-symbol"]),
        (_, Some(Logical::Decimal { .. })) if !other_type => (json!("about 20"), &["bad-decimal"]),
        (_, Some(logical)) if !other_type && (logical == Logical::Date || logical.clock().is_some()) => {
            (json!("yesterday"), &["bad-date"])
        }
        (Kind::Int, None) if !other_type => (json!(3_000_000_000_i64), &["out-of-range"]),
        (Kind::Long, None) if !other_type => (json!(1e30), &["out-of-range"]),
        (Kind::Int | Kind::Long | Kind::Float | Kind::Double, None) => (json!("many"), &["wrong-type"]),
        _ => (json!(true), &["wrong-type"]),
    })
}

/// Bodies in which one field is not what its type says.
fn spoiled_avro(fault: Fault, schema: &Schema, fields: &[Value], header: &[u8]) -> Vec<Spoiled> {
    let Some(record) = schema.record() else { return Vec::new() };
    let encoded: Vec<Vec<u8>> = (fields.iter().zip(&record.fields))
        .map(|(value, field)| {
            let mut out = Vec::new();
            value.write(schema, field.node, &mut out);
            out
        })
        .collect();
    let body = |i: usize, bytes: &[u8]| {
        let (before, after) = (encoded[..i].concat(), encoded[i + 1..].concat());
        [header, &before, bytes, &after].concat()
    };
    let spoiled = |i: usize| {
        let field = &record.fields[i];
        let (bytes, codes) = match fault {
            Fault::MissingField => (Vec::new(), ANY_FLAW),
            _ => wrong_avro(schema, field.node)?,
        };
        Some(Spoiled { value: body(i, &bytes), stage: Stage::Decode, codes })
    };
    (0..encoded.len()).filter_map(spoiled).collect()
}

/// What a body may fail with when all that follows a field is read at the wrong place.
const ANY_FLAW: &[&str] = &[
    "truncated",
    "trailing-bytes",
    "bad-varint",
    "bad-length",
    "bad-boolean",
    "bad-utf8",
    "bad-enum-index",
    "bad-union-index",
    "too-many-items",
    "bad-decimal",
];

/// Bytes that this type refuses.
fn wrong_avro(schema: &Schema, node: NodeId) -> Option<(Vec<u8>, &'static [&'static str])> {
    Some(match schema.kind(node) {
        // 126 in zigzag: neither a branch nor a symbol of anything that people write.
        Kind::Union(branches) if branches.len() < 63 => (vec![126], &["bad-union-index"]),
        Kind::Enum(e) if e.symbols.len() < 63 => (vec![126], &["bad-enum-index"]),
        Kind::String => (vec![2, 0xff], &["bad-utf8"]),
        Kind::Boolean => (vec![7], &["bad-boolean"]),
        Kind::Int => (vec![0xff, 0xff, 0xff, 0xff, 0xff, 0x01], &["bad-varint"]),
        Kind::Long => (vec![0xff; 11], &["bad-varint"]),
        Kind::Bytes => (vec![1], &["bad-length"]),
        _ => return None,
    })
}
