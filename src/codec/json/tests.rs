//! What JSON means, case by case.

use super::{JsonOptions, JsonReader, JsonWriter, ambiguous_union};
use crate::{
    codec::{Layout, read::Reader, write},
    failure::Failure,
    schema::Schema,
};
use std::sync::Arc;

fn schema(fields: &str) -> Arc<Schema> {
    let avsc = format!(r#"{{"type": "record", "name": "t", "fields": [{fields}]}}"#);
    Arc::new(Schema::parse(&avsc).unwrap_or_else(|problems| panic!("{avsc}: {problems:?}")))
}

/// A record whose only field `v` has this type.
fn one(ty: &str) -> Arc<Schema> {
    schema(&format!(r#"{{"name": "v", "type": {ty}}}"#))
}

fn read(schema: &Schema, json: &str) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    JsonReader::compile(schema, JsonOptions::default()).read(json.as_bytes(), &mut out).map(|_| out)
}

/// JSON → Avro → JSON.
fn again(schema: &Arc<Schema>, json: &str) -> Result<String, Failure> {
    let body = read(schema, json)?;
    Layout::new(schema.clone(), schema.root()).build().scan(&body, &mut [])?;
    let mut out = Vec::new();
    JsonWriter::new(schema.clone()).write(&body, 0, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

const MILLIS: &str = r#"{"type": "long", "logicalType": "timestamp-millis"}"#;
const MICROS: &str = r#"{"type": "long", "logicalType": "timestamp-micros"}"#;
const LOCAL: &str = r#"{"type": "long", "logicalType": "local-timestamp-micros"}"#;
const NANOS: &str = r#"{"type": "long", "logicalType": "timestamp-nanos"}"#;
const LOCAL_NANOS: &str = r#"{"type": "long", "logicalType": "local-timestamp-nanos"}"#;
const DURATION: &str = r#"{"type": "fixed", "name": "Span", "size": 12, "logicalType": "duration"}"#;
const DATE: &str = r#"{"type": "int", "logicalType": "date"}"#;
const TIME: &str = r#"{"type": "int", "logicalType": "time-millis"}"#;
const UUID_FIXED: &str = r#"{"type": "fixed", "name": "u", "size": 16, "logicalType": "uuid"}"#;
const UUID: &str = r#"{"type": "string", "logicalType": "uuid"}"#;
const MONEY: &str = r#"{"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}"#;
const CENTS: &str =
    r#"{"type": "fixed", "name": "c", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 2}"#;
const SIZE: &str = r#"{"type": "enum", "name": "size", "symbols": ["S", "M"]}"#;
const FIXED: &str = r#"{"type": "fixed", "name": "two", "size": 2}"#;

#[test]
fn values_read_and_are_written_in_their_natural_form() {
    for (ty, json, want) in [
        (r#""int""#, "-2147483648", "-2147483648"),
        (r#""long""#, "9223372036854775807", "9223372036854775807"),
        (r#""long""#, "1e3", "1000"),
        (r#""long""#, "7.0", "7"),
        (r#""double""#, "0.1", "0.1"),
        (r#""double""#, "5", "5.0"),
        (r#""float""#, "0.1", "0.1"),
        (r#""boolean""#, "true", "true"),
        (r#""string""#, r#""a\u00e9\ud83d\ude00\n\"""#, "\"aé😀\\n\\\"\""),
        (r#""bytes""#, r#""\u0000\u00ff""#, "\"\\u0000ÿ\""),
        (FIXED, r#""ab""#, r#""ab""#),
        (SIZE, r#""M""#, r#""M""#),
        (MONEY, "19.99", "19.99"),
        (MONEY, r#""-0.5""#, "-0.50"),
        (MONEY, "1.500e1", "15.00"),
        (CENTS, "-99.99", "-99.99"),
        (DATE, r#""2024-06-30""#, r#""2024-06-30""#),
        (DATE, "19904", r#""2024-06-30""#),
        (TIME, r#""20:40:35.5""#, r#""20:40:35.500000""#),
        (MILLIS, r#""2024-06-30T22:40:35.123456+02:00""#, r#""2024-06-30T20:40:35.123Z""#),
        (MICROS, "1719780035123456", r#""2024-06-30T20:40:35.123456Z""#),
        (MICROS, "9223372036854775807", "9223372036854775807"),
        (LOCAL, r#""2024-06-30T20:40:35""#, r#""2024-06-30T20:40:35""#),
        (NANOS, r#""2024-06-30T22:40:35.123456789+02:00""#, r#""2024-06-30T20:40:35.123456789Z""#),
        (NANOS, "-1", r#""1969-12-31T23:59:59.999999999Z""#),
        (LOCAL_NANOS, r#""2024-06-30T20:40:35.000000001""#, r#""2024-06-30T20:40:35.000000001""#),
        (DURATION, r#""P1Y2W1DT1M0.5S""#, r#""P12M15DT60.500S""#),
        (UUID, r#""6f9619ff-8b86-d011-b42d-00c04fc964ff""#, r#""6f9619ff-8b86-d011-b42d-00c04fc964ff""#),
        (UUID, r#""6F9619FF-8B86-D011-B42D-00C04FC964FF""#, r#""6F9619FF-8B86-D011-B42D-00C04FC964FF""#),
        (UUID_FIXED, r#""6F9619FF-8B86-D011-B42D-00C04FC964FF""#, r#""6f9619ff-8b86-d011-b42d-00c04fc964ff""#),
        (r#"{"type": "array", "items": "int"}"#, "[ 1 , 2 ]", "[1,2]"),
        (r#"{"type": "array", "items": "int"}"#, "[]", "[]"),
        (r#"{"type": "map", "values": "int"}"#, r#"{"b": 1, "a\n": 2}"#, r#"{"b":1,"a\n":2}"#),
    ] {
        let written = again(&one(ty), &format!("{{\"v\": {json}}}")).unwrap_or_else(|f| panic!("{ty} {json}: {f}"));
        assert_eq!(written, format!("{{\"v\":{want}}}"), "{ty} {json}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_a_code_and_a_reason() {
    for (ty, json, code, reason) in [
        (r#""long""#, r#""abc""#, "wrong-type", r#"expected a long, found the string "abc""#),
        (r#""long""#, "1.5", "wrong-type", "expected a long, found the number 1.5"),
        (r#""long""#, "1E-5000", "wrong-type", "expected a long, found the number 1E-5000"),
        (r#""long""#, "null", "wrong-type", "expected a long, found null"),
        (r#""long""#, "9223372036854775808", "out-of-range", "more than 64 bits"),
        (r#""long""#, "1e400", "out-of-range", "more than 64 bits"),
        (r#""int""#, "2147483648", "out-of-range", "from -2147483648 to 2147483647, found 2147483648"),
        (r#""double""#, "1e999", "out-of-range", "does not fit a double"),
        (r#""float""#, "1e39", "out-of-range", "does not fit a float"),
        (r#""double""#, "NaN", "malformed-json", "expected a value, found `NaN`"),
        (r#""double""#, "-Infinity", "malformed-json", "expected a value, found"),
        (r#""double""#, r#""NaN""#, "wrong-type", r#"expected a double, found the string "NaN""#),
        (r#""boolean""#, "1", "wrong-type", "expected true or false, found the number 1"),
        (r#""string""#, "{}", "wrong-type", "expected a string, found an object"),
        (r#""null""#, "0", "wrong-type", "expected null, found the number 0"),
        (MONEY, "0.001", "bad-decimal", "0.001 has more digits after the point than decimal(8, 2)"),
        (MONEY, "1234567.00", "bad-decimal", "has too many digits for decimal(8, 2)"),
        (MONEY, "1e99", "bad-decimal", "has too many digits"),
        (MONEY, r#""ten""#, "bad-decimal", "ten is no number"),
        (DATE, r#""2024-02-30""#, "bad-date", "expected a date like"),
        (MILLIS, r#""2024-06-30T20:40:35""#, "bad-date", "with its offset"),
        (LOCAL, r#""2024-06-30T20:40:35Z""#, "bad-date", "without offset"),
        (TIME, "86400000", "out-of-range", "no time of a day"),
        (NANOS, r#""2300-01-01T00:00:00Z""#, "bad-date", "with its offset"),
        (DURATION, r#""P-1M""#, "bad-date", "expected a duration"),
        (DURATION, "5", "wrong-type", "expected a duration like \"P14M3DT0.5S\", found the number 5"),
        (UUID_FIXED, r#""0123456789abcdef""#, "bad-uuid", "expected a UUID like"),
        (UUID, r#""6f96""#, "bad-uuid", "expected a UUID"),
        (UUID, r#""6f9619ff8b86d011b42d00c04fc964ff""#, "bad-uuid", "expected a UUID like"),
        (UUID, r#""{6f9619ff-8b86-d011-b42d-00c04fc964ff}""#, "bad-uuid", "expected a UUID like"),
        (UUID, r#""urn:uuid:6f9619ff-8b86-d011-b42d-00c04fc964ff""#, "bad-uuid", "expected a UUID like"),
        (SIZE, r#""XL""#, "unknown-symbol", r#""XL" is none of the enum's symbols"#),
        (FIXED, r#""abc""#, "bad-bytes", "expected 2 bytes, found 3"),
        (r#""bytes""#, r#""€""#, "bad-bytes", "no byte"),
        (r#"["null", "long"]"#, "true", "wrong-type", "expected a long or null, found true"),
        (r#"["string", "boolean"]"#, "1", "wrong-type", "expected one of string, boolean, found the number 1"),
        (r#"{"type": "map", "values": "int"}"#, r#"{"a": 1, "\u0061": 2}"#, "duplicate-key", "twice"),
    ] {
        let failure = read(&one(ty), &format!("{{\"v\": {json}}}")).unwrap_err();
        assert_eq!(failure.code, code, "{ty} {json}: {failure}");
        assert!(failure.message.contains(reason), "{ty} {json}: {failure}");
        assert!(failure.field.starts_with('v') || code == "malformed-json", "{ty} {json}: {failure}");
    }
}

#[test]
fn a_text_that_is_no_json_is_refused() {
    let schema = one(r#"["null", "int"]"#);
    for (json, reason) in [
        ("", "the value is empty"),
        (" \n", "the value is empty"),
        ("{", "expected a string, found the end"),
        (r#"{"v""#, "expected `:`"),
        (r#"{"v":"#, "the JSON ends where a value is expected"),
        (r#"{"v":1"#, "expected `,` or `}`"),
        (r#"{"v":1,}"#, "expected a string"),
        (r#"{"v":01}"#, "expected a value"),
        (r#"{"v":1.}"#, "expected a number"),
        (r#"{"v":nul}"#, "expected a value, found `nul`"),
        (r#"{"v":1} x"#, "expected the end, found `x`"),
        (r#"{"v":1}{}"#, "expected the end"),
        (r#"{'v':1}"#, "expected a string, found `\\'`"),
        (r#"{"x":"a"#, "has no end"),
        (r#"{"x":"\q"}"#, "unknown escape"),
        (r#"{"x":"\ud800"}"#, "no character"),
        ("{\"x\":\"\n\"}", "control character"),
    ] {
        let failure = read(&schema, json).unwrap_err();
        assert_eq!(failure.code, "malformed-json", "{json}: {failure}");
        assert!(failure.message.contains(reason), "{json}: {failure}");
    }
    let mut out = Vec::new();
    let failure =
        JsonReader::compile(&schema, JsonOptions::default()).read(b"{\"x\": \"\xff\"}", &mut out).unwrap_err();
    assert_eq!((&*failure.code, &*failure.message), ("malformed-json", "the value is not UTF-8 from byte 7 on"));
}

#[test]
fn failures_say_where() {
    let item = r#"{"type": "record", "name": "item", "fields": [{"name": "quantity", "type": "long"}]}"#;
    let schema = schema(&format!(
        r#"{{"name": "items", "type": {{"type": "array", "items": {item}}}}},
           {{"name": "tags", "type": ["null", {{"type": "map", "values": "string"}}], "default": null}}"#
    ));
    for (json, code, field) in [
        (r#"{"items": [{"quantity": 1}, {"quantity": "abc"}]}"#, "wrong-type", "items[1].quantity"),
        (r#"{"items": [{}]}"#, "missing-field", "items[0].quantity"),
        (r#"{"items": 5}"#, "wrong-type", "items"),
        (r#"{"items": [], "tags": {"a": "x", "b": 1}}"#, "wrong-type", r#"tags["b"]"#),
        (r#"{"items": [], "items": []}"#, "duplicate-key", "items"),
        (r#"{"tags": {}}"#, "missing-field", "items"),
        ("[]", "wrong-type", ""),
    ] {
        let failure = read(&schema, json).unwrap_err();
        assert_eq!((&*failure.code, &*failure.field), (code, field), "{json}: {failure}");
    }
}

#[test]
fn unknown_fields_are_counted_or_refused() {
    let schema = schema(r#"{"name": "quantity", "type": "long"}"#);
    let json = br#"{"x": {"deep": [1, "a", null, true]}, "quantity": 1, "y": 2}"#;
    let mut out = Vec::new();
    let stats = JsonReader::compile(&schema, JsonOptions::default()).read(json, &mut out).unwrap();
    assert_eq!((stats.unknown_fields, &out[..]), (2, &[2][..]));
    let mut strict = JsonReader::compile(&schema, JsonOptions { reject_unknown: true, ..JsonOptions::default() });
    let failure = strict.read(br#"{"quantty": 1}"#, &mut out).unwrap_err();
    assert_eq!((&*failure.code, &*failure.field), ("unknown-field", "quantty"));
    assert!(failure.message.contains("did you mean `quantity`?"), "{failure}");
    assert_eq!(out, [2], "a failure appends nothing");
}

#[test]
fn absent_fields_take_their_default_or_null() {
    let schema = schema(
        r#"{"name": "a", "type": "int", "default": 7}, {"name": "b", "type": ["null", "string"]},
           {"name": "c", "type": ["string", "null"], "default": "x"}, {"name": "d", "type": ["string", "null"]},
           {"name": "e", "type": {"type": "array", "items": "int"}, "default": [1]}"#,
    );
    assert_eq!(again(&schema, "{}").unwrap(), r#"{"a":7,"b":null,"c":"x","d":null,"e":[1]}"#);
    let json = r#"{"e": [], "d": "y", "b": "z", "c": null}"#;
    assert_eq!(again(&schema, json).unwrap(), r#"{"a":7,"b":"z","c":null,"d":"y","e":[]}"#);
    assert_eq!(read(&schema, r#"{"a": null}"#).unwrap_err().code, "wrong-type");
}

#[test]
fn unions_read_naturally_or_under_a_branchs_name() {
    let record = r#"{"type": "record", "name": "r", "namespace": "n", "fields": [{"name": "x", "type": "int"}]}"#;
    let map = r#"{"type": "map", "values": "long"}"#;
    for (ty, json, want) in [
        (r#"["null", "string"]"#.to_owned(), r#"{"string": "x"}"#, r#""x""#),
        (r#"["null", "string"]"#.to_owned(), r#"{"null": null}"#, "null"),
        (r#"["null", "long", "double"]"#.to_owned(), "5", "5"),
        (r#"["null", "long", "double"]"#.to_owned(), "5.5", "5.5"),
        (r#"["null", "long", "double"]"#.to_owned(), r#"{"double": 5}"#, "5.0"),
        (format!(r#"["null", "double", {DATE}]"#), "5.5", "5.5"),
        (format!(r#"["null", "double", {DATE}]"#), r#""2024-06-30""#, r#""2024-06-30""#),
        (format!(r#"["null", "long", {MONEY}]"#), r#"{"bytes": "1.5"}"#, r#"{"bytes":1.50}"#),
        (r#"["null", "string", "bytes"]"#.to_owned(), r#"{"bytes": "x"}"#, r#"{"bytes":"x"}"#),
        (format!(r#"["null", "int", {record}]"#), r#"{"x": 1}"#, r#"{"x":1}"#),
        (format!(r#"["null", "int", {record}]"#), r#"{"n.r": {"x": 1}}"#, r#"{"x":1}"#),
        (format!(r#"["null", "int", {record}]"#), r#"{"int": 5}"#, "5"),
        (format!(r#"["null", {map}]"#), r#"{"map": 5}"#, r#"{"map":5}"#),
        (format!(r#"["null", {map}]"#), r#"{"map": {"map": 5}}"#, r#"{"map":5}"#),
        (format!(r#"["null", "int", {map}]"#), r#"{"a": 5}"#, r#"{"map":{"a":5}}"#),
    ] {
        let written = again(&one(&ty), &format!("{{\"v\": {json}}}")).unwrap_or_else(|f| panic!("{ty} {json}: {f}"));
        assert_eq!(written, format!("{{\"v\":{want}}}"), "{ty} {json}");
    }
    let failure = read(&one(r#"["string", "bytes"]"#), r#"{"v": "x"}"#).unwrap_err();
    assert!(failure.message.contains("several branches"), "{failure}");
    let failure = read(&one(r#"["null", "string"]"#), r#"{"v": {"string": "x", "y": 1}}"#).unwrap_err();
    assert_eq!(failure.code, "malformed-json", "{failure}");
}

#[test]
fn base64_is_read_where_the_validator_says_so() {
    let schema = one(r#""bytes""#);
    let mut reader = JsonReader::compile(&schema, JsonOptions { base64: true, reject_unknown: false });
    for json in [r#"{"v": "+/8="}"#, r#"{"v": "-_8"}"#] {
        let mut out = Vec::new();
        reader.read(json.as_bytes(), &mut out).unwrap();
        assert_eq!(Reader::new(&out, 0).bytes(), Ok(&[0xfb, 0xff][..]));
    }
    assert_eq!(reader.read(br#"{"v": "*"}"#, &mut Vec::new()).unwrap_err().code, "bad-bytes");
}

#[test]
fn deep_json_is_refused_before_it_costs_the_stack() {
    let list = Schema::parse(
        r#"{"type": "record", "name": "l", "fields": [{"name": "next", "type": ["null", "l"], "default": null}]}"#,
    )
    .unwrap();
    let nested = |n: usize| format!("{}null{}", r#"{"next":"#.repeat(n), "}".repeat(n));
    read(&list, &nested(128)).unwrap();
    for json in
        [nested(129), nested(10_000), format!(r#"{{"x":{}"#, "[".repeat(10_000)), r#"{"next":{"l":"#.repeat(10_000)]
    {
        assert_eq!(read(&list, &json).unwrap_err().code, "too-deep");
    }
}

#[test]
fn ten_megabytes_are_read() {
    let schema = one(r#"{"type": "array", "items": "string"}"#);
    let json = format!(r#"{{"x": [{}1], "v": [{}"a"]}}"#, "1,".repeat(2_500_000), r#""abc","#.repeat(900_000));
    let body = read(&schema, &json).unwrap();
    let mut count = Vec::new();
    write::index(&mut count, 900_001);
    assert_eq!(body[..count.len()], count);
    Layout::new(schema.clone(), schema.root()).build().scan(&body, &mut []).unwrap();
}

#[test]
fn an_integer_beside_a_double_and_a_date_says_neither() {
    for (ty, ambiguous) in [
        (format!(r#"["double", {DATE}]"#), true),
        (format!(r#"[{MILLIS}, "null", "float"]"#), true),
        (r#"["double", "long"]"#.to_owned(), false),
        (r#"["null", "int", "float"]"#.to_owned(), false),
        (r#"["double", "string"]"#.to_owned(), false),
    ] {
        assert_eq!(ambiguous_union(&one(&ty)).is_some(), ambiguous, "{ty}");
    }
}

#[test]
fn an_unknown_field_may_have_the_name_of_its_own_record() {
    let address = r#"{"type": "record", "name": "shop.address", "fields": [{"name": "city", "type": "string"}]}"#;
    for ty in [format!(r#"["null", {address}]"#), format!(r#"["null", {address}, "string"]"#)] {
        let schema = one(&ty);
        let plain = read(&schema, r#"{"v": {"city": "Köln"}}"#).unwrap();
        for json in [
            r#"{"v": {"address": "Main St 1", "city": "Köln"}}"#,
            r#"{"v": {"address": {"city": "Köln"}}}"#,
            r#"{"v": {"shop.address": {"city": "Köln"}}}"#,
        ] {
            assert_eq!(read(&schema, json).unwrap_or_else(|f| panic!("{ty} {json}: {f}")), plain, "{ty} {json}");
        }
    }
    let or_text = one(&format!(r#"["null", {address}, "string"]"#));
    assert_eq!(again(&or_text, r#"{"v": {"string": "x"}}"#).unwrap(), r#"{"v":"x"}"#);
}
