//! What holds for every schema and every body.

use super::{
    Cell, CellReader, Decimal, Interval, JsonOptions, JsonReader, JsonWriter, Layout, Slot,
    testing::{Sample, samples},
};
use crate::schema::{Kind, NodeId, Schema};
use apache_avro::types::Value;
use proptest::prelude::*;

/// Every place that a layout may ask for, with the value that has to be there; `None` is null.
fn places<'v>(schema: &Schema, node: NodeId, value: Option<&'v Value>, path: &mut Vec<u16>, all: &mut Vec<Place<'v>>) {
    let inner = schema.nullable(node).map(|(_, _, inner)| inner);
    let value = match value {
        Some(Value::Union(_, inside)) if inner.is_some() => Some(&**inside).filter(|v| **v != Value::Null),
        other => other,
    };
    let node = inner.unwrap_or(node);
    all.push((path.clone(), node, value));
    if let Kind::Record(record) = schema.kind(node).clone()
        && path.len() < 4
    {
        for (i, field) in record.fields.iter().enumerate() {
            let below = value.map(|v| match v {
                Value::Record(fields) => &fields[i].1,
                other => panic!("{other:?} is no record"),
            });
            path.push(i as u16);
            places(schema, field.node, below, path, all);
            path.pop();
        }
    }
}

type Place<'v> = (Vec<u16>, NodeId, Option<&'v Value>);

/// What a column takes for a value that is no JSON there.
fn cell<'v>(value: &'v Value, schema: &Schema, node: NodeId) -> Option<Cell<'v>> {
    Some(match value {
        Value::Null => Cell::Null,
        Value::Boolean(b) => Cell::Bool(*b),
        Value::Int(n) => Cell::Int(i64::from(*n)),
        Value::Long(n) => Cell::Int(*n),
        Value::Float(n) => Cell::Double(f64::from(*n)),
        Value::Double(n) => Cell::Double(*n),
        Value::Bytes(b) | Value::Fixed(_, b) => Cell::Bytes(b),
        Value::String(s) | Value::Enum(_, s) => Cell::Text(s),
        Value::Uuid(u) => Cell::Uuid(*u.as_bytes()),
        Value::Date(n) => Cell::Date(*n),
        Value::TimeMillis(n) => Cell::Time(i64::from(*n) * 1000),
        Value::TimeMicros(n) => Cell::Time(*n),
        Value::TimestampMillis(n) => Cell::Instant(n.saturating_mul(1000)),
        Value::TimestampMicros(n) => Cell::Instant(*n),
        Value::LocalTimestampMillis(n) => Cell::Local(n.saturating_mul(1000)),
        Value::LocalTimestampMicros(n) => Cell::Local(*n),
        Value::TimestampNanos(n) => Cell::Instant(n.div_euclid(1000)),
        Value::LocalTimestampNanos(n) => Cell::Local(n.div_euclid(1000)),
        Value::Duration(d) => {
            Cell::Interval(Interval { months: d.months().into(), days: d.days().into(), millis: d.millis().into() })
        }
        Value::Decimal(d) => {
            let Some(crate::schema::Logical::Decimal { scale, .. }) = schema.node(node).logical else { return None };
            let bytes: Vec<u8> = d.try_into().unwrap();
            Cell::Decimal(Decimal::from_avro(&bytes, scale).unwrap())
        }
        _ => return None,
    })
}

fn scan(sample: &Sample, body: &[u8]) -> bool {
    Layout::new(sample.schema.clone(), sample.schema.root()).build().scan(body, &mut []).is_ok()
}

/// Reads a body in every way that a proven body may be read.
fn read_all(sample: &Sample, body: &[u8]) {
    let schema = &sample.schema;
    let mut all = Vec::new();
    places(schema, schema.root(), None, &mut Vec::new(), &mut all);
    let mut layout = Layout::new(schema.clone(), schema.root());
    let slots: Vec<Slot> = all.iter().map(|(path, ..)| layout.value(path)).collect();
    let scanner = layout.build();
    let mut offsets = vec![0; scanner.slots()];
    scanner.scan(body, &mut offsets).unwrap();
    for ((_, node, _), slot) in all.iter().zip(slots) {
        CellReader::new(schema.clone(), *node).read(body, offsets[slot.0 as usize]);
    }
    let mut json = Vec::new();
    JsonWriter::new(schema.clone()).write(body, 0, &mut json).unwrap();
    serde_json::from_slice::<serde::de::IgnoredAny>(&json).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_scan_takes_what_apache_avro_encodes_and_its_offsets_lead_to_the_values(sample in samples()) {
        let schema = &sample.schema;
        let mut all = Vec::new();
        places(schema, schema.root(), Some(&sample.value), &mut Vec::new(), &mut all);
        let mut layout = Layout::new(schema.clone(), schema.root());
        let slots: Vec<Slot> = all.iter().map(|(path, ..)| layout.value(path)).collect();
        let fields = schema.record().unwrap().fields.len() as u16;
        let edges: Vec<Slot> = (0..=fields).map(|i| layout.edge(i)).collect();
        let scanner = layout.build();
        let mut offsets = vec![0; scanner.slots()];
        scanner.scan(&sample.body, &mut offsets).unwrap();
        for ((path, node, value), slot) in all.iter().zip(slots) {
            let reader = CellReader::new(schema.clone(), *node);
            let found = reader.read(&sample.body, offsets[slot.0 as usize]);
            let wanted = value.map_or(Some(Cell::Null), |v| cell(v, schema, *node));
            if let Some(wanted) = wanted {
                prop_assert_eq!(found, wanted, "{:?} of {}", path, sample.avsc);
            }
        }
        let edges: Vec<u32> = edges.iter().map(|slot| offsets[slot.0 as usize]).collect();
        prop_assert!(edges.is_sorted());
        prop_assert_eq!((edges[0], edges[usize::from(fields)] as usize), (0, sample.body.len()));
    }

    #[test]
    fn json_of_a_body_reads_back_to_the_same_body(sample in samples(), base64: bool) {
        let mut json = Vec::new();
        let end = JsonWriter::new(sample.schema.clone()).base64(base64).write(&sample.body, 0, &mut json).unwrap();
        prop_assert_eq!(end, sample.body.len());
        let mut reader = JsonReader::compile(&sample.schema, JsonOptions { base64, reject_unknown: true });
        let mut out = b"before".to_vec();
        let text = String::from_utf8_lossy(&json);
        if let Err(failure) = reader.read(&json, &mut out) {
            return Err(TestCaseError::fail(format!("{failure}: {text} of {}", sample.avsc)));
        }
        prop_assert_eq!(&out[6..], &sample.body[..], "{} of {}", text, sample.avsc);
    }

    #[test]
    fn members_of_an_object_may_come_in_any_order(sample in samples()) {
        let mut json = Vec::new();
        JsonWriter::new(sample.schema.clone()).write(&sample.body, 0, &mut json).unwrap();
        let mut reader = JsonReader::compile(&sample.schema, JsonOptions::default());
        let mut members = members(std::str::from_utf8(&json).unwrap());
        members.reverse();
        members.push("\"no such field\":{\"a\":[1,{}]}".into());
        let mut out = Vec::new();
        let stats = reader.read(format!(" {{ {} }} ", members.join(" , ")).as_bytes(), &mut out).unwrap();
        prop_assert_eq!((stats.unknown_fields, out), (1, sample.body));
    }

    #[test]
    fn a_damaged_body_is_refused_or_reads_without_a_panic(
        sample in samples(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut: Option<prop::sample::Index>,
    ) {
        let mut body = sample.body.clone();
        for (at, byte) in damage {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
        }
        body.truncate(cut.map_or(body.len(), |cut| cut.index(body.len() + 1)));
        if scan(&sample, &body) {
            read_all(&sample, &body);
        }
    }

    #[test]
    fn random_bytes_are_refused_or_read_without_a_panic(sample in samples(), body in prop::collection::vec(any::<u8>(), 0..40)) {
        if scan(&sample, &body) {
            read_all(&sample, &body);
        }
    }

    #[test]
    fn damaged_json_is_refused_or_makes_a_body_that_scans(
        sample in samples(), at: prop::sample::Index, with in prop::sample::select(&b"{}[]\",:0-1.eEnt\\u\x00\xff"[..]),
    ) {
        let mut json = Vec::new();
        JsonWriter::new(sample.schema.clone()).write(&sample.body, 0, &mut json).unwrap();
        let at = at.index(json.len());
        json[at] = with;
        let mut out = Vec::new();
        match JsonReader::compile(&sample.schema, JsonOptions::default()).read(&json, &mut out) {
            Ok(_) => prop_assert!(scan(&sample, &out), "{:?}", String::from_utf8_lossy(&json)),
            Err(_) => prop_assert!(out.is_empty()),
        }
    }
}

/// The members of an object, each as text.
fn members(json: &str) -> Vec<String> {
    let (mut members, mut from, mut depth, mut quoted, mut escaped) = (Vec::new(), 1, 0, false, false);
    for (i, b) in json.bytes().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' => {
                depth -= i32::from(b != b',');
                if depth == i32::from(b == b',') {
                    members.push(json[from..i].to_owned());
                    from = i + 1;
                }
            }
            _ => {}
        }
    }
    members.retain(|m| !m.is_empty());
    members
}
