//! A body of any bytes is refused, or everything in it reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman_fuzz::{
    codec::{CellReader, JsonWriter, Layout, Scanner, Slot},
    schema::Schema,
};
use std::sync::{Arc, LazyLock};

static SCHEMA: LazyLock<Arc<Schema>> =
    LazyLock::new(|| Arc::new(Schema::parse(include_str!("schema.avsc")).expect("the schema is good")));

static WRITER: LazyLock<JsonWriter> = LazyLock::new(|| JsonWriter::new(SCHEMA.clone()));

/// A scanner that notes every field, and a reader of each.
static PROGRAM: LazyLock<(Scanner, Vec<(Slot, CellReader)>)> = LazyLock::new(|| {
    let mut layout = Layout::new(SCHEMA.clone(), SCHEMA.root());
    let fields = &SCHEMA.record().expect("a record").fields;
    let columns = fields.iter().zip(0..).map(|(f, i)| (layout.value(&[i]), CellReader::new(SCHEMA.clone(), f.node)));
    let columns = columns.collect();
    (layout.build(), columns)
});

fuzz_target!(|body: &[u8]| {
    let (scanner, columns) = &*PROGRAM;
    let mut slots = vec![0; scanner.slots()];
    if scanner.scan(body, &mut slots).is_err() {
        return;
    }
    for (slot, reader) in columns {
        reader.read(body, slots[slot.0 as usize]);
    }
    let mut json = Vec::new();
    let end = WRITER.write(body, 0, &mut json).expect("a proven body is written");
    assert_eq!(end, body.len());
});
