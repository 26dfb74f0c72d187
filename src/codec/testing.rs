//! Random schemas, values and bodies for property tests; what apache-avro encodes is the reference.

use crate::schema::Schema;
use apache_avro::types::Value;
use proptest::{prelude::*, test_runner::TestRng};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// A schema, a value of it, and the body that apache-avro makes of them.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub avsc: String,
    pub schema: Arc<Schema>,
    pub value: Value,
    pub body: Vec<u8>,
}

/// Samples whose root is a record.
pub(crate) fn samples() -> impl Strategy<Value = Sample> {
    record_schemas().prop_perturb(|avsc, mut rng| sample(&avsc, &mut rng))
}

/// A random value of a schema.
pub(crate) fn sample(avsc: &Json, rng: &mut TestRng) -> Sample {
    let avsc = avsc.to_string();
    let schema = Schema::parse(&avsc).unwrap_or_else(|problems| panic!("{avsc}: {problems:?}"));
    let apache = apache_avro::Schema::parse_str(&avsc).unwrap_or_else(|why| panic!("{avsc}: {why}"));
    let names = apache_avro::schema::ResolvedSchema::try_from(&apache).unwrap();
    let value = value(&apache, names.get_names(), rng, 0);
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&apache).build().unwrap();
    let body = writer.write_value_to_vec(value.clone()).unwrap_or_else(|why| panic!("{avsc} {value:?}: {why}"));
    Sample { avsc, schema: Arc::new(schema), value, body }
}

/// Schemas of records, with every type and logical type, nested and recursive.
pub(crate) fn record_schemas() -> impl Strategy<Value = Json> {
    proptest::collection::vec(types(), 0..6).prop_map(|fields| {
        let mut next = 0;
        name(&record(fields), &mut next)
    })
}

fn scalars() -> impl Strategy<Value = Json> {
    let plain = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
    let logical = [
        ("int", "date"),
        ("int", "time-millis"),
        ("long", "time-micros"),
        ("long", "timestamp-millis"),
        ("long", "timestamp-micros"),
        ("long", "local-timestamp-millis"),
        ("long", "timestamp-nanos"),
        ("long", "local-timestamp-micros"),
        ("long", "local-timestamp-nanos"),
        ("string", "uuid"),
    ];
    prop_oneof![
        4 => prop::sample::select(plain.to_vec()).prop_map(|t| json!(t)),
        3 => prop::sample::select(logical.to_vec()).prop_map(|(t, l)| json!({"type": t, "logicalType": l})),
        1 => (1u32..38, 0u32..10).prop_map(|(p, s)| json!({"type": "bytes", "logicalType": "decimal", "precision": p, "scale": s.min(p)})),
        1 => (0usize..9).prop_map(|size| json!({"type": "fixed", "name": "", "size": size})),
        1 => Just(json!({"type": "fixed", "name": "", "size": 12, "logicalType": "duration"})),
        1 => Just(json!({"type": "fixed", "name": "", "size": 16, "logicalType": "uuid"})),
        1 => (1usize..9).prop_map(|symbols| {
            let symbols: Vec<String> = (0..symbols).map(|i| format!("S{i}")).collect();
            json!({"type": "enum", "name": "", "symbols": symbols})
        }),
    ]
}

fn types() -> impl Strategy<Value = Json> {
    scalars().prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            2 => inner.clone().prop_map(|t| json!({"type": "array", "items": t})),
            1 => inner.clone().prop_map(|t| json!({"type": "map", "values": t})),
            3 => inner.clone().prop_map(|t| union(vec![json!("null"), t])),
            1 => proptest::collection::vec(inner.clone(), 1..5).prop_map(union),
            3 => proptest::collection::vec(inner, 0..5).prop_map(record),
        ]
    })
}

fn record(fields: Vec<Json>) -> Json {
    let fields: Vec<Json> =
        fields.into_iter().enumerate().map(|(i, t)| json!({"name": format!("f{i}"), "type": t})).collect();
    json!({"type": "record", "name": "", "fields": fields})
}

/// A union of those that may stand beside each other.
fn union(candidates: Vec<Json>) -> Json {
    let mut branches: Vec<Json> = Vec::new();
    let kind = |t: &Json| t.get("type").unwrap_or(t).clone();
    for t in candidates {
        let named = t.get("name").is_some();
        if !t.is_array() && (named || branches.iter().all(|b| kind(b) != kind(&t))) {
            branches.push(t);
        }
    }
    if branches.is_empty() { json!("null") } else { json!(branches) }
}

/// Gives each named type a name, and every other record a field of its own type.
fn name(t: &Json, next: &mut u32) -> Json {
    let Json::Object(object) = t else {
        return match t {
            Json::Array(branches) => Json::Array(branches.iter().map(|b| name(b, next)).collect()),
            _ => t.clone(),
        };
    };
    let mut named = object.clone();
    let mut own = String::new();
    if object.contains_key("name") {
        *next += 1;
        own = format!("N{next}");
        named.insert("name".into(), json!(own));
        named.insert("namespace".into(), json!("test"));
    }
    for key in ["items", "values"] {
        if let Some(inner) = object.get(key) {
            named.insert(key.into(), name(inner, next));
        }
    }
    if let Some(Json::Array(fields)) = object.get("fields") {
        let mut fields: Vec<Json> =
            fields.iter().map(|f| json!({"name": f["name"], "type": name(&f["type"], next)})).collect();
        if next.is_multiple_of(2) {
            fields.push(json!({"name": "own", "type": ["null", format!("test.{own}")]}));
            fields.push(json!({"name": "many", "type": {"type": "array", "items": format!("test.{own}")}}));
        }
        named.insert("fields".into(), json!(fields));
    }
    Json::Object(named)
}

type Names<'s> = std::collections::HashMap<apache_avro::schema::Name, &'s apache_avro::Schema>;

fn value(schema: &apache_avro::Schema, names: &Names<'_>, rng: &mut TestRng, depth: usize) -> Value {
    use apache_avro::Schema as S;
    let few = |rng: &mut TestRng| if depth > 5 { 0 } else { rng.random_range(0..4usize) };
    match schema {
        S::Null => Value::Null,
        S::Boolean => Value::Boolean(rng.random()),
        S::Int => Value::Int(edge(rng) as i32),
        S::Long => Value::Long(edge(rng)),
        S::Float => Value::Float(f32::from_bits(rng.random_range(0..0x7f80_0000))),
        S::Double => Value::Double(-f64::from_bits(rng.random_range(0..0x7ff0_0000_0000_0000))),
        S::Bytes => Value::Bytes((0..few(rng) * 3).map(|_| rng.random()).collect()),
        S::String => Value::String((0..few(rng) * 3).map(|_| rng.random::<char>()).collect()),
        S::Uuid(_) => Value::Uuid(uuid::Uuid::from_u128(rng.random())),
        S::Fixed(f) => Value::Fixed(f.size, (0..f.size).map(|_| rng.random()).collect()),
        S::Enum(e) => {
            let i = rng.random_range(0..e.symbols.len());
            Value::Enum(i as u32, e.symbols[i].clone())
        }
        S::Decimal(d) => {
            let most = 10i128.pow(d.precision as u32) - 1;
            let n = rng.random_range(-most..=most) >> rng.random_range(0..100);
            let mut bytes = Vec::new();
            super::write::decimal(&mut bytes, n);
            Value::Decimal(apache_avro::Decimal::from(&bytes[1..]))
        }
        S::Date => Value::Date(edge(rng) as i32),
        S::TimeMillis => Value::TimeMillis(rng.random_range(0..86_400_000)),
        S::TimeMicros => Value::TimeMicros(rng.random_range(0..86_400_000_000)),
        S::TimestampMillis => Value::TimestampMillis(edge(rng)),
        S::TimestampMicros => Value::TimestampMicros(edge(rng)),
        S::TimestampNanos => Value::TimestampNanos(edge(rng)),
        S::LocalTimestampNanos => Value::LocalTimestampNanos(edge(rng)),
        S::Duration(_) => Value::Duration(rng.random::<[u8; 12]>().into()),
        S::LocalTimestampMillis => Value::LocalTimestampMillis(edge(rng)),
        S::LocalTimestampMicros => Value::LocalTimestampMicros(edge(rng)),
        S::Array(a) => Value::Array((0..few(rng)).map(|_| value(&a.items, names, rng, depth + 1)).collect()),
        S::Map(m) => {
            Value::Map((0..few(rng)).map(|i| (format!("k\"{i}"), value(&m.types, names, rng, depth + 1))).collect())
        }
        S::Union(u) => {
            let branches = u.variants();
            let i = if depth > 5 { 0 } else { rng.random_range(0..branches.len()) };
            Value::Union(i as u32, Box::new(value(&branches[i], names, rng, depth + 1)))
        }
        S::Record(r) => {
            Value::Record(r.fields.iter().map(|f| (f.name.clone(), value(&f.schema, names, rng, depth + 1))).collect())
        }
        S::Ref { name } => value(names[name], names, rng, depth + 1),
        other => panic!("not generated: {other:?}"),
    }
}

/// Numbers of every width.
fn edge(rng: &mut TestRng) -> i64 {
    rng.random::<i64>() >> rng.random_range(0..64)
}
