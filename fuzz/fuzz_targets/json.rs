//! Any text is refused, or becomes a body that scans and whose JSON reads back to the same body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman_fuzz::{
    codec::{JsonOptions, JsonReader, JsonWriter, Layout, Scanner},
    schema::Schema,
};
use std::sync::{Arc, LazyLock, Mutex};

static SCHEMA: LazyLock<Arc<Schema>> =
    LazyLock::new(|| Arc::new(Schema::parse(include_str!("schema.avsc")).expect("the schema is good")));

static READER: LazyLock<Mutex<JsonReader>> =
    LazyLock::new(|| Mutex::new(JsonReader::compile(&SCHEMA, JsonOptions::default())));
static WRITER: LazyLock<JsonWriter> = LazyLock::new(|| JsonWriter::new(SCHEMA.clone()));
static SCANNER: LazyLock<Scanner> = LazyLock::new(|| Layout::new(SCHEMA.clone(), SCHEMA.root()).build());

fuzz_target!(|json: &[u8]| {
    let mut reader = READER.lock().expect("one thread");
    let mut body = Vec::new();
    if reader.read(json, &mut body).is_err() {
        assert!(body.is_empty(), "a failure appends nothing");
        return;
    }
    SCANNER.scan(&body, &mut []).expect("what is read scans");
    let mut written = Vec::new();
    WRITER.write(&body, 0, &mut written).expect("what scans is written");
    let mut again = Vec::new();
    reader.read(&written, &mut again).expect("what is written reads");
    assert_eq!(body, again);
});
