//! Any text is refused with problems inside it, or is a schema whose own text reads back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman_fuzz::schema::Schema;

fuzz_target!(|text: &str| {
    match Schema::parse(text) {
        Ok(schema) => {
            let again = Schema::parse(&schema.to_json()).expect("a schema's own text is good");
            assert_eq!(again.to_json(), schema.to_json());
            assert_eq!(again.canonical(), schema.canonical());
        }
        Err(problems) => {
            assert!(problems.iter().all(|p| text.get(p.span.clone()).is_some()));
        }
    }
});
