//! What the specification says of each kind of pair, and what lies beyond it.

use super::{Resolution, Resolver};
use crate::{
    codec::{JsonWriter, Layout, write},
    failure::Failure,
    schema::Schema,
};
use serde_json::json;
use std::sync::Arc;

fn schema(text: &str) -> Arc<Schema> {
    Arc::new(Schema::parse(text).unwrap_or_else(|p| panic!("{text}: {p:?}")))
}

fn record(fields: &str) -> Arc<Schema> {
    schema(&format!(r#"{{"type":"record","name":"shop.R","fields":[{fields}]}}"#))
}

fn resolver(writer: &Arc<Schema>, reader: &Arc<Schema>) -> Resolver {
    match Resolution::compile(writer, reader) {
        Ok(Resolution::Rewrite(resolver)) => resolver,
        Ok(Resolution::Same) => panic!("{} and {} are the same", writer.to_json(), reader.to_json()),
        Err(why) => panic!("{why:?}"),
    }
}

fn resolve(writer: &Arc<Schema>, reader: &Arc<Schema>, body: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut out = b"before".to_vec();
    match resolver(writer, reader).resolve(body, &mut out) {
        Ok(()) => {
            let resolved = out.split_off(6);
            Layout::new(reader.clone(), reader.root()).build().scan(&resolved, &mut []).unwrap();
            Ok(resolved)
        }
        Err(failure) => {
            assert_eq!(out, b"before", "a failure leaves nothing behind");
            Err(failure)
        }
    }
}

/// A body of Avro's primitives, one after the other.
macro_rules! body {
    ($($what:ident $value:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut out = Vec::new();
        $(write::$what(&mut out, $value);)*
        out
    }};
}

#[test]
fn values_resolve_as_the_specification_says() {
    let cases: &[(&str, &str, Vec<u8>, Vec<u8>)] = &[
        // Promotions.
        (r#""int""#, r#""long""#, body![long - 7], body![long - 7]),
        (r#""int""#, r#""float""#, body![long 7], body![float 7.0]),
        (r#""long""#, r#""double""#, body![long i64::MAX], body![double i64::MAX as f64]),
        (r#""float""#, r#""double""#, body![float 0.1], body![double f64::from(0.1f32)]),
        (r#""string""#, r#""bytes""#, body![text "ü"], body![text "ü"]),
        (r#""bytes""#, r#""string""#, body![bytes "ü".as_bytes()], body![text "ü"]),
        // Unions: the first branch that matches, an exact one before a promotion.
        (r#""int""#, r#"["null","double","int"]"#, body![long 7], body![index 2, long 7]),
        (r#""int""#, r#"["null","double","long"]"#, body![long 7], body![index 1, double 7.0]),
        (r#"["int","null"]"#, r#"["null","long"]"#, body![index 0, long 7], body![index 1, long 7]),
        (r#"["null","int"]"#, r#""long""#, body![index 1, long 7], body![long 7]),
        // Containers, block by block.
        (
            r#"{"type":"array","items":"int"}"#,
            r#"{"type":"array","items":"float"}"#,
            body![long -2, long 2, long 1, long 2, long 1, long 3, long 0],
            body![long 2, float 1.0, float 2.0, long 1, float 3.0, long 0],
        ),
        (
            r#"{"type":"map","values":"int"}"#,
            r#"{"type":"map","values":["null","int"]}"#,
            body![long 1, text "k", long 5, long 0],
            body![long 1, text "k", index 1, long 5, long 0],
        ),
        (
            r#"{"type":"array","items":"null"}"#,
            r#"{"type":"array","items":["int","null"]}"#,
            body![long 2, long 0],
            body![long 2, index 1, index 1, long 0],
        ),
        // Enums: by symbol, else the default.
        (
            r#"{"type":"enum","name":"a.E","symbols":["A","B","X"]}"#,
            r#"{"type":"enum","name":"b.E","symbols":["U","B","A"],"default":"U"}"#,
            body![index 2],
            body![index 0],
        ),
    ];
    for (writer, reader, given, expected) in cases {
        let found = resolve(&schema(writer), &schema(reader), given);
        assert_eq!(found.as_ref(), Ok(expected), "{writer} as {reader}");
    }
}

#[test]
fn fields_are_reordered_skipped_filled_and_renamed() {
    let writer = record(
        r#"{"name":"a","type":"int"},{"name":"gone","type":"string"},{"name":"b","type":"string"},{"name":"old","type":"boolean"}"#,
    );
    let reader = schema(
        r#"{"type":"record","name":"other.New","aliases":["shop.R"],"fields":[
            {"name":"new","type":"boolean","aliases":["old"]},{"name":"b","type":"string"},
            {"name":"extra","type":{"type":"array","items":"int"},"default":[1,2]},{"name":"a","type":"long"}]}"#,
    );
    let given = body![long 5, text "skipped", text "b", boolean true];
    let expected = body![boolean true, text "b", long 2, long 1, long 2, long 0, long 5];
    assert_eq!(resolve(&writer, &reader, &given), Ok(expected));
}

#[test]
fn what_both_write_alike_is_copied_in_whole_runs() {
    let fields = |last: &str| {
        record(&format!(
            r#"{{"name":"a","type":"int"}},{{"name":"b","type":["null","string"]}},{{"name":"c","type":"{last}"}},{{"name":"d","type":"int"}},{{"name":"e","type":"bytes"}}"#
        ))
    };
    let printed = resolver(&fields("float"), &fields("double")).to_string();
    assert_eq!(printed, "0 Record copy(0..1) c→1 copy(2..3)\n1 Floating { from: Float, double: true }\n");
    assert_eq!(resolver(&fields("int"), &fields("long")).to_string(), "0 Copy\n", "an int's bytes are a long's");
}

#[test]
fn recursive_records_resolve_to_128_levels() {
    let list = |ty| {
        schema(&format!(
            r#"{{"type":"record","name":"L","fields":[{{"name":"v","type":"{ty}"}},{{"name":"next","type":["null","L"]}}]}}"#
        ))
    };
    let (writer, reader) = (list("int"), list("double"));
    let nested = |n: usize| [body![long 1, index 1].repeat(n), body![long 1, index 0]].concat();
    let expected = [body![double 1.0, index 1].repeat(127), body![double 1.0, index 0]].concat();
    assert_eq!(resolve(&writer, &reader, &nested(127)), Ok(expected));
    assert_eq!(resolve(&writer, &reader, &nested(200)).unwrap_err().code, "too-deep");
    assert_eq!(resolve(&writer, &reader, &nested(100_000)).unwrap_err().code, "too-deep");
}

#[test]
fn decimals_and_times_convert_exactly_or_are_refused() {
    let decimal = |precision: u32, scale: u32| {
        json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}).to_string()
    };
    let fixed = |size: u32, precision: u32, scale: u32| {
        json!({"type": "fixed", "name": "F", "size": size, "logicalType": "decimal", "precision": precision, "scale": scale}).to_string()
    };
    let time = |ty: &str, unit: &str| json!({"type": ty, "logicalType": unit}).to_string();
    let (millis, micros) = (time("long", "timestamp-millis"), time("long", "timestamp-micros"));
    let nanos = time("long", "timestamp-nanos");
    let (day_ms, day_us) = (time("int", "time-millis"), time("long", "time-micros"));
    type Expected = Result<Vec<u8>, &'static str>;
    let cases: Vec<(String, String, Vec<u8>, Expected)> = vec![
        (decimal(4, 2), decimal(6, 4), body![decimal - 150], Ok(body![decimal - 15_000])),
        (decimal(6, 4), decimal(4, 2), body![decimal 15_000], Ok(body![decimal 150])),
        (decimal(6, 4), decimal(4, 2), body![decimal 15_001], Err("bad-decimal")),
        (decimal(6, 2), decimal(4, 2), body![decimal 10_000], Err("bad-decimal")),
        // Padded by its writer, minimal afterwards.
        (decimal(4, 2), decimal(5, 3), body![bytes & [0, 0, 0, 1]], Ok(body![decimal 10])),
        (fixed(4, 4, 2), decimal(4, 2), vec![0xff, 0xff, 0xff, 0xfe], Ok(body![decimal - 2])),
        (decimal(9, 2), fixed(2, 4, 2), body![decimal - 2], Ok(vec![0xff, 0xfe])),
        (decimal(4, 2), fixed(1, 2, 2), body![decimal 99], Ok(vec![99])),
        (decimal(4, 2), decimal(5, 3), body![bytes & [1; 17]], Err("bad-decimal")),
        (millis.clone(), micros.clone(), body![long - 3], Ok(body![long - 3000])),
        (millis.clone(), micros.clone(), body![long i64::MAX], Err("bad-date")),
        (micros.clone(), millis.clone(), body![long - 3000], Ok(body![long - 3])),
        (micros.clone(), millis.clone(), body![long 3001], Err("bad-date")),
        (millis.clone(), nanos.clone(), body![long - 3], Ok(body![long - 3_000_000])),
        (nanos.clone(), millis.clone(), body![long 7_000_000], Ok(body![long 7])),
        (nanos.clone(), micros.clone(), body![long 7_001], Err("bad-date")),
        (micros.clone(), nanos, body![long i64::MAX], Err("bad-date")),
        (day_ms.clone(), day_us.clone(), body![long 7], Ok(body![long 7000])),
        (day_us.clone(), day_ms.clone(), body![long 7000], Ok(body![long 7])),
        (day_us.clone(), day_ms.clone(), body![long 1 << 45], Err("bad-date")),
    ];
    for (writer, reader, given, expected) in cases {
        let found = resolve(&schema(&writer), &schema(&reader), &given);
        assert_eq!(found.as_ref().map_err(|f| &*f.code), expected.as_ref().map_err(|c| *c), "{writer} as {reader}");
    }
}

#[test]
fn the_same_bytes_are_borrowed_only_where_they_mean_the_same() {
    let is_same = |w: &str, r: &str| matches!(Resolution::compile(&schema(w), &schema(r)), Ok(Resolution::Same));
    let field =
        |ty: &str, rest: &str| format!(r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":{ty}{rest}}}]}}"#);
    let e = |symbols: &str| format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]}}"#);
    let decimal =
        |p: u32, s: u32| json!({"type": "bytes", "logicalType": "decimal", "precision": p, "scale": s}).to_string();
    assert!(is_same(&field(r#""int""#, ""), &field(r#""int""#, r#","default":5,"doc":"x","aliases":["b"]"#)));
    assert!(is_same(&field(r#"["null","R"]"#, ""), &field(r#"["null","R"]"#, "")));
    assert!(is_same(&field(&e(r#""A","B""#), ""), &field(&e(r#""A","B""#), "")));
    assert!(is_same(&decimal(4, 2), &decimal(9, 2)));
    for (writer, reader) in [
        (field(r#""int""#, ""), field(r#""long""#, "")),
        (field(r#""string""#, ""), field(r#""bytes""#, "")),
        (field(r#"["null","R"]"#, ""), field(r#"["R","null"]"#, "")),
        (field(r#"["null","int"]"#, ""), field(r#"["null","int","string"]"#, "")),
        (e(r#""A","B""#), e(r#""A","B","C""#)),
        (e(r#""A","B""#), e(r#""B","A""#)),
        (decimal(4, 2), decimal(4, 1)),
        (decimal(4, 2), decimal(3, 2)),
    ] {
        assert!(!is_same(&writer, &reader), "{writer} as {reader}");
    }
}

#[test]
fn schemas_that_share_no_value_are_refused_with_the_paths_of_their_fields() {
    let writer = record(
        r#"{"name":"a","type":"int"},{"name":"d","type":{"type":"int","logicalType":"date"}},{"name":"items","type":{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"sku","type":"int"}]}}}"#,
    );
    let reader = record(
        r#"{"name":"b","type":"int"},{"name":"a","type":"string"},{"name":"d","type":{"type":"int","logicalType":"time-millis"}},{"name":"items","type":{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"sku","type":"string"}]}}}"#,
    );
    let why: Vec<String> = Resolution::compile(&writer, &reader).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        why,
        [
            "b: the writer lacks this field, and it has no default",
            "a: expected string, the writer has int",
            "d: expected time-millis, the writer has date",
            "items[].sku: expected string, the writer has int",
        ]
    );
}

#[test]
fn a_value_without_counterpart_fails_alone_at_its_field() {
    let items = |ty: &str| {
        record(&format!(r#"{{"name":"x","type":"int"}},{{"name":"m","type":{{"type":"map","values":{ty}}}}}"#))
    };
    let (writer, reader) = (items(r#"["null","int","string"]"#), items(r#"["null","long"]"#));
    let given =
        |last: Vec<u8>| [body![long 1, long 2, text "a", index 1, long 7, text "b"], last, body![long 0]].concat();
    assert!(resolve(&writer, &reader, &given(body![index 0])).is_ok());
    let failure = resolve(&writer, &reader, &given(body![index 2, text "no"])).unwrap_err();
    assert_eq!((&*failure.code, &*failure.field), ("unresolvable", r#"m["b"]"#));
    assert_eq!(failure.message, "no branch of the union [null, long] takes string");
    let e =
        |symbols: &str| record(&format!(r#"{{"name":"e","type":{{"type":"enum","name":"E","symbols":[{symbols}]}}}}"#));
    let failure = resolve(&e(r#""A","B""#), &e(r#""A","C""#), &[2]).unwrap_err();
    assert_eq!((&*failure.code, &*failure.field), ("unresolvable", "e"));
    let (writer, reader) = (record(r#"{"name":"s","type":"bytes"}"#), record(r#"{"name":"s","type":"string"}"#));
    let failure = resolve(&writer, &reader, &[2, 0xff]).unwrap_err();
    assert_eq!((&*failure.code, &*failure.field), ("bad-utf8", "s"));
}

#[test]
fn skipped_fields_and_leftovers_are_proven_too() {
    let (writer, reader) = (
        record(r#"{"name":"a","type":"string"},{"name":"b","type":"boolean"}"#),
        record(r#"{"name":"b","type":"boolean"}"#),
    );
    for (given, code) in [
        (body![text "x", boolean true], None),
        (vec![2, 0xff, 1], Some("bad-utf8")),
        (vec![2, b'x', 2], Some("bad-boolean")),
        (vec![2, b'x'], Some("truncated")),
        (vec![2, b'x', 1, 0], Some("trailing-bytes")),
    ] {
        let found = resolve(&writer, &reader, &given);
        assert_eq!(found.err().map(|f| f.code.into_owned()).as_deref(), code, "{given:?}");
    }
}

#[test]
fn items_of_no_bytes_cannot_grow_without_measure() {
    let text = "x".repeat(10_000);
    let array = |fields: &str| {
        schema(&format!(r#"{{"type":"array","items":{{"type":"record","name":"I","fields":[{fields}]}}}}"#))
    };
    let (writer, reader) = (array(""), array(&format!(r#"{{"name":"s","type":"string","default":"{text}"}}"#)));
    let body = [body![long 256].repeat(1000), body![long 0]].concat();
    assert_eq!(resolve(&writer, &reader, &body).unwrap_err().code, "too-many-items");
}

/// The scale is a writer's, who may write any.
#[test]
fn a_decimal_of_a_scale_without_measure_is_refused_or_read_but_never_panics() {
    let decimal = |digits: u32| {
        let scale = format!(r#""logicalType":"decimal","precision":{digits},"scale":{digits}"#);
        record(&format!(r#"{{"name":"d","type":{{"type":"bytes",{scale}}}}}"#))
    };
    for digits in [70_000, u32::MAX] {
        let (writer, reader) = (decimal(digits), decimal(30));
        let body = body![bytes & [1]];
        if let Resolution::Rewrite(resolver) = Resolution::compile(&writer, &reader).unwrap() {
            let _ = resolver.resolve(&body, &mut Vec::new());
        }
        JsonWriter::new(writer).write(&body, 0, &mut Vec::new()).unwrap();
    }
    let failure = resolve(&decimal(1000), &decimal(30), &body![bytes & [1]]).unwrap_err();
    assert_eq!(failure.code, "bad-decimal");
}
