//! A body of any bytes is refused, or was well formed and becomes a body that the reader's schema proves.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman_fuzz::{
    codec::{Layout, Resolution, Resolver, Scanner},
    schema::Schema,
};
use std::sync::{Arc, LazyLock};

fn schema(text: &str) -> Arc<Schema> {
    Arc::new(Schema::parse(text).expect("the schema is good"))
}

fn scanner(schema: &Arc<Schema>) -> Scanner {
    Layout::new(schema.clone(), schema.root()).build()
}

static PROGRAM: LazyLock<(Scanner, Resolver, Scanner)> = LazyLock::new(|| {
    let (writer, reader) = (schema(include_str!("schema.avsc")), schema(include_str!("reader.avsc")));
    match Resolution::compile(&writer, &reader) {
        Ok(Resolution::Rewrite(resolver)) => (scanner(&writer), resolver, scanner(&reader)),
        other => panic!("expected a resolution that rewrites, found {other:?}"),
    }
});

fuzz_target!(|body: &[u8]| {
    let (writer, resolver, reader) = &*PROGRAM;
    let mut out = Vec::new();
    match resolver.resolve(body, &mut out) {
        Ok(()) => {
            writer.scan(body, &mut []).expect("what resolves was well formed");
            reader.scan(&out, &mut []).expect("what it resolves to is well formed");
        }
        Err(_) => assert!(out.is_empty(), "a failure leaves nothing behind"),
    }
});
