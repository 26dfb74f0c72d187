//! What one record costs: an e-commerce event of 12 fields in the codec, and through a whole route of the end-to-end
//! bench (a rule of three terms, two fields set, one record in twenty a dead letter), as Avro and as JSON.
//!
//! `cargo bench --bench record`

#[path = "end_to_end/load.rs"]
mod load;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pointsman::{
    codec::{JsonOptions, JsonReader, JsonWriter, Layout, Scanner},
    config::{self, Plan},
    record::OwnedRecord,
    route::{Known, Program, Writer},
    schema::Schema,
};
use std::{env, fs, hint::black_box, sync::Arc};

const SCHEMA: &str = r#"{"type": "record", "name": "shop.Event", "fields": [
    {"name": "event_id", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "event_type", "type": {"type": "enum", "name": "shop.Type", "symbols": ["page_view", "add_to_cart", "purchase"]}},
    {"name": "user_id", "type": "long"},
    {"name": "session_id", "type": "string"},
    {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "page", "type": "string"},
    {"name": "product_id", "type": ["null", "long"], "default": null},
    {"name": "product_name", "type": ["null", "string"], "default": null},
    {"name": "quantity", "type": "int"},
    {"name": "unit_price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
    {"name": "currency", "type": "string"},
    {"name": "first_visit", "type": "boolean"}
]}"#;

const JSON: &str = r#"{"event_id":"6f9619ff-8b86-d011-b42d-00c04fc964ff","event_type":"purchase","user_id":8812734,"session_id":"s-5f2a90c1d7","occurred_at":"2024-06-30T20:40:35.123Z","page":"/checkout/confirm/8812734","product_id":55120,"product_name":"Walking boots, grün","quantity":2,"unit_price":129.99,"currency":"EUR","first_visit":false}"#;

fn scanner(schema: &Arc<Schema>) -> Scanner {
    let mut layout = Layout::new(schema.clone(), schema.root());
    // What a rule of three terms and a splice of two fields ask for.
    for field in [8, 9, 10] {
        layout.value(&[field]);
    }
    layout.edge(12);
    layout.build()
}

fn record(c: &mut Criterion) {
    let schema = Arc::new(Schema::parse(SCHEMA).unwrap_or_else(|problems| panic!("{problems:?}")));
    let mut reader = JsonReader::compile(&schema, JsonOptions::default());
    let mut body = Vec::new();
    reader.read(JSON.as_bytes(), &mut body).expect("the example fits its schema");
    println!("one record: {} bytes of JSON, {} bytes of Avro", JSON.len(), body.len());

    let mut group = c.benchmark_group("record");
    group.throughput(Throughput::Elements(1));
    let scanner = scanner(&schema);
    let mut slots = vec![0; scanner.slots()];
    group.bench_function("scan", |b| b.iter(|| scanner.scan(black_box(&body), black_box(&mut slots))));
    let mut out = Vec::with_capacity(1024);
    group.bench_function("JSON to Avro", |b| {
        b.iter(|| {
            out.clear();
            reader.read(black_box(JSON.as_bytes()), black_box(&mut out))
        });
    });
    let shuffled = shuffled();
    group.bench_function("JSON to Avro, fields in another order", |b| {
        b.iter(|| {
            out.clear();
            reader.read(black_box(shuffled.as_bytes()), black_box(&mut out))
        });
    });
    let writer = JsonWriter::new(schema.clone());
    group.bench_function("Avro to JSON", |b| {
        b.iter(|| {
            out.clear();
            writer.write(black_box(&body), 0, black_box(&mut out))
        });
    });
    group.finish();
}

/// The end-to-end bench's routes, without what they need around them.
const ROUTES: &str = r#"version = 1
app = "bench"
[kafka]
bootstrap_servers = "127.0.0.1:9"
[schema_registry]
url = "http://127.0.0.1:9"
[routes.avro]
topic = "avro"
validator = "event"
enricher = "priced"
dlq = "dlq"
destination = { topic = "out" }
[routes.json]
topic = "json"
format = "json"
validator = "event"
enricher = "priced"
dlq = "dlq"
destination = { topic = "out" }
"#;

fn plan() -> Plan {
    let folder = env::temp_dir().join(format!("pointsman-bench-{}", std::process::id()));
    fs::create_dir_all(folder.join("schemas")).expect("a folder");
    fs::write(folder.join("schemas/event.avsc"), load::SCHEMA).expect("a file");
    fs::write(folder.join("routes.toml"), format!("{ROUTES}{}", load::WORK)).expect("a file");
    let options = config::Options { strict: false, env: &|_| None, properties: None };
    let loaded = config::load(&folder.join("routes.toml"), options).expect("the file is there");
    fs::remove_dir_all(&folder).expect("the folder goes");
    loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.problems))
}

/// Batches of a thousand records, as a worker processes them.
fn route(c: &mut Criterion) {
    let writer = Schema::parse(load::SCHEMA).unwrap_or_else(|problems| panic!("{problems:?}"));
    let known = Known { writers: [(1, Writer::Schema(Arc::new(writer)))].into() };
    let mut group = c.benchmark_group("a thousand records through a route");
    group.throughput(Throughput::Elements(1000));
    for route in &plan().routes {
        let mut program = Program::compile(route, &[2]).expect("the route compiles");
        let schema_id = (route.name == "avro").then_some(1);
        let batch: Vec<OwnedRecord> = (0..1000)
            .map(|i| {
                let (key, value) = load::record(i, schema_id);
                OwnedRecord::new(&route.name, 0, i as i64).key(key).value(value)
            })
            .collect();
        group.bench_function(&route.name, |b| {
            b.iter(|| program.process(black_box(&batch), &known, 1_750_000_000_000_000).expect("the schema is known"));
        });
    }
    group.finish();
}

/// The same record with its last member first.
fn shuffled() -> String {
    let inside = &JSON[1..JSON.len() - 1];
    let (rest, last) = inside.rsplit_once(",\"").expect("the example has members");
    format!("{{\"{last},{rest}}}")
}

criterion_group!(benches, record, route);
criterion_main!(benches);
