//! A record with every type, expressions over it, and golden files.

use crate::{
    codec::{Items, JsonOptions, JsonReader, JsonWriter, Layout, NULL},
    expr::{Env, Fault, Places, Problem, Scope, Typed, View, check},
    record::{OwnedRecord, Records},
    schema::{Kind, Schema},
};
use bumpalo::Bump;
use std::{fmt::Write as _, path::PathBuf, sync::Arc};

/// Everything that Avro has, nullable and not.
pub(super) const SCHEMA: &str = r#"{
  "type": "record", "name": "Sale", "namespace": "shop", "fields": [
    {"name": "id", "type": "long"},
    {"name": "quantity", "type": "int"},
    {"name": "weight", "type": "double"},
    {"name": "ratio", "type": "float"},
    {"name": "paid", "type": "boolean"},
    {"name": "currency", "type": "string"},
    {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["open", "shipped", "lost"]}},
    {"name": "unit_price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
    {"name": "tax", "type": {"type": "fixed", "name": "Tax", "size": 8, "logicalType": "decimal", "precision": 12, "scale": 4}},
    {"name": "raw", "type": "bytes"},
    {"name": "created_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "changed_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "due", "type": {"type": "int", "logicalType": "date"}},
    {"name": "opens", "type": {"type": "int", "logicalType": "time-millis"}},
    {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
    {"name": "uid", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "note", "type": ["null", "string"]},
    {"name": "discount", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}]},
    {"name": "paid_at", "type": [{"type": "long", "logicalType": "timestamp-millis"}, "null"]},
    {"name": "count", "type": ["null", "long"]},
    {"name": "address", "type": ["null", {"type": "record", "name": "Address", "fields": [
      {"name": "city", "type": "string"}, {"name": "zip", "type": ["null", "string"]}]}]},
    {"name": "buyer", "type": {"type": "record", "name": "Buyer", "fields": [
      {"name": "name", "type": "string"}, {"name": "age", "type": ["null", "int"]}]}},
    {"name": "tags", "type": {"type": "array", "items": "string"}},
    {"name": "hints", "type": {"type": "array", "items": ["null", "string"]}},
    {"name": "items", "type": {"type": "array", "items": {"type": "record", "name": "Item", "fields": [
      {"name": "sku", "type": "string"}, {"name": "quantity", "type": "int"},
      {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
      {"name": "colour", "type": ["null", "string"]}]}}},
    {"name": "labels", "type": {"type": "map", "values": "string"}},
    {"name": "origin", "type": ["null", "string", "long"]},
    {"name": "package", "type": "string"},
    {"name": "opt_tags", "type": ["null", {"type": "array", "items": "string"}]},
    {"name": "matrix", "type": {"type": "array", "items": {"type": "array", "items": "string"}}},
    {"name": "marks", "type": {"type": "array", "items": ["string", "long", "boolean"]}},
    {"name": "party", "type": ["string", "Buyer"]},
    {"name": "wild", "type": ["string", {"type": "array", "items": "string"}]},
    {"name": "either", "type": ["long", {"type": "array", "items": "string"}]},
    {"name": "bag", "type": {"type": "array", "items": ["string", {"type": "array", "items": "long"}, {"type": "map", "values": "long"}]}},
    {"name": "plain", "type": ["long", "boolean"]},
    {"name": "states", "type": {"type": "map", "values": "State"}},
    {"name": "stamps", "type": {"type": "array", "items": {"type": "long", "logicalType": "timestamp-micros"}}},
    {"name": "seen", "type": {"type": "map", "values": {"type": "long", "logicalType": "timestamp-micros"}}},
    {"name": "visits", "type": {"type": "array", "items": {"type": "record", "name": "Visit", "fields": [
      {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
      {"name": "what", "type": ["null", "string", {"type": "array", "items": "long"}], "default": null}]}}},
    {"name": "device", "type": {"type": "fixed", "name": "Device", "size": 16, "logicalType": "uuid"}},
    {"name": "devices", "type": {"type": "array", "items": ["null", "Device"]}}
  ]}"#;

/// One record of it.
pub(super) const SALE: &str = r#"{
  "id": 7, "quantity": 3, "weight": 2.5, "ratio": 0.5, "paid": true, "currency": "EUR", "state": "shipped",
  "unit_price": "19.99", "tax": "0.1900", "raw": "abc", "created_at": "2024-06-30T20:40:35.123Z",
  "changed_at": "2024-07-01T00:00:00.000001Z", "due": "2024-07-14", "opens": "08:30:00",
  "local": "2024-06-30T22:40:35", "uid": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "note": null, "discount": "1.50",
  "paid_at": null, "count": 41, "address": {"city": "Köln", "zip": null}, "buyer": {"name": "Ada", "age": 36},
  "tags": ["new", "gift"], "hints": ["a", null],
  "items": [{"sku": "A-1", "quantity": 2, "price": "10.00", "colour": "red"},
            {"sku": "B-2", "quantity": 1, "price": "0.50", "colour": null}],
  "labels": {"lang": "de", "tier": "gold"}, "origin": "web", "package": "box",
  "opt_tags": ["t"], "matrix": [["a"], ["b", "c"]], "marks": ["x", 5, true], "party": {"name": "Ada", "age": 36},
  "wild": ["a", "b"], "either": ["a"], "bag": ["één", [4, 5], {"map": {"x": 1}}], "plain": 5,
  "states": {"web": "open"}, "stamps": ["2024-07-01T12:00:00.000001Z"], "seen": {"web": "2024-07-01T12:00:00.000001Z"},
  "visits": [{"at": "2024-07-01T12:00:00.000001Z", "what": [8, 9]}, {"at": 0}], "device": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
  "devices": ["00000000-0000-0000-0000-000000000007", null]}"#;

/// 2024-08-01T12:00:00.000500Z.
pub(super) const NOW: i64 = 1_722_513_600_000_500;

pub(super) fn schema() -> Arc<Schema> {
    Arc::new(Schema::parse(SCHEMA).unwrap())
}

pub(super) fn env() -> Env {
    Env { view: View::of(&schema()), item: None }
}

/// As [`env`], with `item` an element of `items`.
pub(super) fn item_env() -> Env {
    let schema = schema();
    let items = schema.record().unwrap().fields.iter().find(|f| f.name == "items").unwrap().node;
    let Kind::Array(item) = schema.kind(items) else { panic!("items is an array") };
    Env { view: View::of(&schema), item: Some((schema.clone(), *item)) }
}

pub(super) fn encoded(schema: &Schema, json: &str) -> Vec<u8> {
    let mut body = Vec::new();
    JsonReader::compile(schema, JsonOptions::default()).read(json.as_bytes(), &mut body).unwrap();
    body
}

pub(super) fn envelope() -> Vec<OwnedRecord> {
    let record = OwnedRecord::new("sales", 4, 99).key("k-1").timestamp(1_700_000_000_000);
    vec![record.header(b"trace", b"t-9").header(b"bad", b"\xff")]
}

/// An expression's value over a record of [`SCHEMA`], written as `target` and shown as JSON, or its fault.
pub(super) fn evaluate(typed: &Typed, env: &Env, json: &str, target: Schema) -> Result<String, Fault> {
    let schema = schema();
    let body = encoded(&schema, json);
    let target = Arc::new(target);
    let mut layout = Layout::new(schema.clone(), schema.root());
    let mut item_layout = env.item.as_ref().map(|(s, node)| Layout::new(s.clone(), *node));
    let items = schema.record().unwrap().position("items").unwrap();
    let items = layout.value(&[items as u16]);
    let mut places = Places { body: &mut layout, item: item_layout.as_mut() };
    let write = typed.lower_write(&mut places, &target, target.root());
    let scanner = layout.build();
    let mut slots = vec![NULL; scanner.slots()];
    scanner.scan(&body, &mut slots).unwrap();
    let item_scanner = item_layout.map(Layout::build);
    let mut item = item_scanner.as_ref().map_or(vec![], |s| vec![NULL; s.slots()]);
    if let Some(scanner) = &item_scanner {
        Items::new(scanner, &body, slots[items.0 as usize]).next(&mut item).unwrap();
    }
    let (records, scratch) = (envelope(), Bump::new());
    let record = &records.get(0);
    let scope = Scope {
        body: &body,
        slots: &slots,
        added: &[],
        added_at: &[],
        item: &item,
        record,
        now: NOW,
        scratch: &scratch,
    };
    let mut out = b"before".to_vec();
    let begins = (write.0)(&scope, &mut out)?;
    let index = usize::from(target.nullable(target.root()).is_some());
    assert!(begins.is_none_or(|at| at as usize == 6 + index), "a value begins after its union's index");
    let mut text = Vec::new();
    let end = JsonWriter::new(target.clone()).write(&out, 6, &mut text).unwrap();
    assert_eq!(end, out.len(), "nothing is left over");
    Ok(String::from_utf8(text).unwrap())
}

/// A condition's answer over a body, `None` where it fails; or no answer, where a part is known to fail always.
pub(super) fn checked_bool(source: &str, env: &Env, schema: &Arc<Schema>, body: &[u8]) -> Option<Option<bool>> {
    let typed = match check(source, env) {
        Ok(typed) => typed,
        Err(problems) if problems.iter().all(|p| p.code == "always-fails") => return None,
        Err(problems) => panic!("{}", rendered(source, &problems)),
    };
    let mut layout = Layout::new(schema.clone(), schema.root());
    let test = typed.lower_bool(&mut Places { body: &mut layout, item: None });
    let scanner = layout.build();
    let mut slots = vec![NULL; scanner.slots()];
    scanner.scan(body, &mut slots).unwrap();
    let (records, scratch) = (envelope(), Bump::new());
    let record = &records.get(0);
    let scope =
        Scope { body, slots: &slots, added: &[], added_at: &[], item: &[], record, now: NOW, scratch: &scratch };
    Some((test.0)(&scope).ok())
}

/// Problems as a terminal shows them: message, the source with carets, help.
pub(super) fn rendered(source: &str, problems: &[Problem]) -> String {
    let mut out = String::new();
    for p in problems {
        assert!(source.get(p.span.clone()).is_some(), "{p:?} is not inside {source:?}");
        let before = source[..p.span.start].chars().count();
        let width = source[p.span.clone()].chars().count().max(1);
        writeln!(out, "error[{}]: {}", p.code, p.message).unwrap();
        writeln!(out, "  {source}\n  {}{}", " ".repeat(before), "^".repeat(width)).unwrap();
        if !p.help.is_empty() {
            writeln!(out, "  help: {}", p.help).unwrap();
        }
    }
    out
}

/// Holds `answer` of each `> source` in a golden file against what stands below it; `UPDATE_GOLDEN=1` writes it anew.
pub(super) fn golden(file: &str, answer: impl Fn(&str) -> String) -> usize {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/expr/tests").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut made = String::new();
    let mut count = 0;
    for line in text.lines() {
        if let Some(source) = line.strip_prefix("> ") {
            count += 1;
            write!(made, "> {source}\n{}\n", answer(source)).unwrap();
        } else if line.starts_with('#') {
            writeln!(made, "{line}\n").unwrap();
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &made).unwrap();
        return count;
    }
    for (i, (want, found)) in text.lines().zip(made.lines()).enumerate() {
        assert_eq!(want, found, "{file}, line {} (UPDATE_GOLDEN=1 writes the file anew)", i + 1);
    }
    assert_eq!(text.lines().count(), made.lines().count(), "{file}");
    count
}
