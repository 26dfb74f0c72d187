//! Where values come from: the body, values that enrichers have set, the element of `for_each`; and what raw predicates see.

use super::support::{NOW, SALE, encoded, envelope, schema};
use crate::{
    codec::{Layout, NULL},
    expr::{Env, Fault, Place, Places, Scope, View, ViewField, check, check_raw},
    record::{OwnedRecord, Records},
    schema::Schema,
};
use bumpalo::Bump;
use std::sync::Arc;

/// The view after an enricher has set `note`, `total` and `parcel`.
fn enriched() -> (Env, Vec<u8>, Vec<u32>) {
    let mut view = View::of(&schema());
    let parcel = r#"{"type": "record", "name": "Parcel", "fields": [
        {"name": "id", "type": "long"}, {"name": "weight", "type": ["null", "double"]},
        {"name": "labels", "type": {"type": "array", "items": "string"}}]}"#;
    let set = [
        ("note", r#"["null", "string"]"#.to_owned(), r#""hello""#),
        ("total", r#"{"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}"#.to_owned(), "59.97"),
        ("parcel", format!(r#"["null", {parcel}]"#), r#"{"id": 5, "weight": 1.5, "labels": ["x", "y"]}"#),
        ("gone", r#"["null", "long"]"#.to_owned(), "null"),
        ("math", r#""string""#.to_owned(), r#""sums""#),
    ];
    let (mut added, mut added_at) = (vec![], vec![]);
    for (i, (name, avro, json)) in set.iter().enumerate() {
        let schema = Arc::new(Schema::parse(avro).unwrap());
        let node = schema.root();
        let at = added.len() as u32 + u32::from(schema.nullable(node).is_some());
        added_at.push(if *json == "null" { NULL } else { at });
        added.extend(encoded(&schema, json));
        let field = ViewField { name: (*name).into(), schema, node, place: Place::Added(i as u16) };
        match view.fields.iter_mut().find(|f| f.name == *name) {
            Some(old) => *old = field,
            None => view.fields.push(field),
        }
    }
    (Env { view, item: None }, added, added_at)
}

fn holds(source: &str) -> Result<bool, Fault> {
    let (env, added, added_at) = enriched();
    let typed = check(source, &env).unwrap_or_else(|p| panic!("{source}: {p:?}"));
    let schema = schema();
    let mut layout = Layout::new(schema.clone(), schema.root());
    let test = typed.lower_bool(&mut Places { body: &mut layout, item: None });
    let scanner = layout.build();
    let (mut slots, body) = (vec![NULL; scanner.slots()], encoded(&schema, SALE));
    scanner.scan(&body, &mut slots).unwrap();
    let (records, scratch) = (envelope(), Bump::new());
    let record = &records.get(0);
    let scope = Scope {
        body: &body,
        slots: &slots,
        added: &added,
        added_at: &added_at,
        item: &[],
        record,
        now: NOW,
        scratch: &scratch,
    };
    (test.0)(&scope)
}

#[test]
fn fields_that_enrichers_have_set_read_like_those_of_the_body() {
    for source in [
        "note != null && note == 'hello'",
        "total == unit_price * quantity",
        "has(parcel) && parcel.id == 5",
        "has(parcel.weight) && parcel.weight > 1.0",
        "parcel != null && parcel.labels[1] == 'y'",
        "parcel != null && parcel.labels.exists(l, l == 'x') && size(parcel.labels) == 2",
        "gone == null && !has(gone)",
        "has(gone) || total > 1.00",
        "math == 'sums' && math.contains('um') && math.greatest(1, 2) == 2 && math.abs(-1) == 1",
    ] {
        assert_eq!(holds(source), Ok(true), "{source}");
    }
}

#[test]
fn a_false_side_wins_over_a_failing_one_wherever_it_stands() {
    for (source, want) in [
        ("quantity / (id - 7) > 0 && !paid", Some(false)),
        ("!paid && quantity / (id - 7) > 0", Some(false)),
        ("quantity / (id - 7) > 0 || paid", Some(true)),
        ("paid || quantity / (id - 7) > 0", Some(true)),
        ("quantity / (id - 7) > 0 && paid", None),
        ("quantity / (id - 7) > 0 || !paid", None),
        ("!(quantity / (id - 7) > 0)", None),
    ] {
        assert_eq!(holds(source).ok(), want, "{source}");
    }
}

#[test]
fn a_predicate_that_passes_makes_nothing_in_the_arena() {
    let source = "quantity > 0 && currency in ['EUR', 'USD'] && unit_price < 10000.00 && state == 'shipped'
        && currency.startsWith('E') && has(discount) && discount < unit_price && created_at < now()";
    let typed = check(source, &Env { view: View::of(&schema()), item: None }).unwrap();
    let schema = schema();
    let mut layout = Layout::new(schema.clone(), schema.root());
    let test = typed.lower_bool(&mut Places { body: &mut layout, item: None });
    let scanner = layout.build();
    let (mut slots, body) = (vec![NULL; scanner.slots()], encoded(&schema, SALE));
    scanner.scan(&body, &mut slots).unwrap();
    let (records, scratch) = (envelope(), Bump::new());
    let record = &records.get(0);
    let scope =
        Scope { body: &body, slots: &slots, added: &[], added_at: &[], item: &[], record, now: NOW, scratch: &scratch };
    assert_eq!((test.0)(&scope), Ok(true));
    assert_eq!(scratch.allocated_bytes(), 0);
}

/// What an expression over a sale with so many items answers, and how many bytes it took from the arena.
fn over_items(source: &str, count: usize) -> (Result<bool, &'static str>, usize) {
    let mut sale: serde_json::Value = serde_json::from_str(SALE).unwrap();
    let item = sale["items"][0].clone();
    sale["items"] = vec![item; count].into();
    over(source, &schema(), &encoded(&schema(), &sale.to_string()))
}

fn over(source: &str, schema: &Arc<Schema>, body: &[u8]) -> (Result<bool, &'static str>, usize) {
    let typed = check(source, &Env { view: View::of(schema), item: None }).unwrap();
    let mut layout = Layout::new(schema.clone(), schema.root());
    let test = typed.lower_bool(&mut Places { body: &mut layout, item: None });
    let scanner = layout.build();
    let mut slots = vec![NULL; scanner.slots()];
    scanner.scan(body, &mut slots).unwrap();
    let (records, scratch) = (envelope(), Bump::new());
    let record = &records.get(0);
    let scope =
        Scope { body, slots: &slots, added: &[], added_at: &[], item: &[], record, now: NOW, scratch: &scratch };
    ((test.0)(&scope).map_err(|fault| fault.code), scratch.allocated_bytes())
}

#[test]
fn a_loop_within_a_loop_takes_no_memory_for_each_element() {
    let (answer, bytes) = over_items("items.all(x, items.all(y, y.quantity == x.quantity && y.sku == x.sku))", 300);
    assert_eq!(answer, Ok(true));
    assert!(bytes < 1 << 16, "{bytes} bytes");
}

#[test]
fn a_list_that_a_loop_makes_has_a_bound() {
    let (answer, bytes) = over_items("size(items.map(x, items.map(y, y.sku))) > 0", 1600);
    assert_eq!(answer, Err("overflow"));
    assert!(bytes < 256 << 20, "{bytes} bytes");
    assert_eq!(over_items("size(items.map(x, items.map(y, y.sku))) == 30", 30).0, Ok(true));
}

#[test]
fn texts_made_of_texts_have_a_bound() {
    let avsc = r#"{"type": "record", "name": "R", "fields": [
        {"name": "a", "type": "string"}, {"name": "b", "type": "string"}]}"#;
    let schema = Arc::new(Schema::parse(avsc).unwrap());
    let of = |n: usize| encoded(&schema, &serde_json::json!({"a": "x".repeat(n), "b": "y".repeat(n)}).to_string());
    let (few, many) = (of(10), of(12_000));
    for (source, made) in [
        ("size(a.replace('x', b))", 100),
        ("size(a.split('x').join(b))", 100),
        ("size(a.replace('x', b + b) + a)", 210),
        ("size(bytes(a.replace('x', b)) + bytes(b))", 110),
    ] {
        assert_eq!(over(&format!("{source} == {made}"), &schema, &few).0, Ok(true), "{source}");
        let (answer, bytes) = over(&format!("{source} > 0"), &schema, &many);
        assert_eq!(answer, Err("overflow"), "{source}");
        assert!(bytes < 256 << 20, "{source}: {bytes} bytes");
    }
}

#[test]
fn lists_whose_elements_take_no_bytes_or_one_have_a_bound_where_they_are_made() {
    let avsc = r#"{"type": "record", "name": "R", "fields": [
        {"name": "nothing", "type": {"type": "array", "items": "null"}},
        {"name": "numbers", "type": {"type": "array", "items": "long"}}]}"#;
    let schema = Arc::new(Schema::parse(avsc).unwrap());
    // Blocks of 100 nulls, which two bytes say; a block of two million zeros.
    let mut body = [0xc8, 0x01].repeat(20_000);
    body.extend([0, 0x80, 0x92, 0xf4, 0x01]);
    body.resize(body.len() + 2_000_000, 0);
    body.push(0);
    for source in ["size(nothing) == 2000000", "size(numbers) == 2000000", "!(7 in numbers)"] {
        let (answer, bytes) = over(source, &schema, &body);
        assert_eq!((answer, bytes), (Ok(true), 0), "{source}");
    }
    for source in ["nothing == [null]", "numbers == [7]", "size(numbers + numbers) > 0"] {
        let (answer, bytes) = over(source, &schema, &body);
        assert_eq!(answer, Err("overflow"), "{source}");
        assert!(bytes < 256 << 20, "{source}: {bytes} bytes");
    }
}

#[test]
fn slots_that_were_not_filled_are_a_fault_and_not_a_panic() {
    let typed = check("quantity > 0", &Env { view: View::of(&schema()), item: None }).unwrap();
    let mut layout = Layout::new(schema(), schema().root());
    let test = typed.lower_bool(&mut Places { body: &mut layout, item: None });
    let (records, scratch) = (envelope(), Bump::new());
    let record = &records.get(0);
    for slots in [&[][..], &[NULL], &[500]] {
        let scope =
            Scope { body: &[], slots, added: &[], added_at: &[], item: &[], record, now: NOW, scratch: &scratch };
        assert!((test.0)(&scope).is_err());
    }
}

#[test]
fn raw_predicates_look_into_json_without_decoding_it() {
    let json = r#"{"event_type": "view", "n": 3, "x": 1.5, "none": null, "flag": true, "esc": "a\"b\u00e9",
        "a": {"b": {"c": "deep"}}, "items": [{"sku": "A"}, {"sku": "B"}], "event-id": "e",
        "tags": ["a", "b"], "grid": [[1, 2], []]}"#;
    for (source, want) in [
        ("value.event_type != 'heartbeat'", "true"),
        ("value.n > 2 && value.n < 3.5 && value.x == 1.5", "true"),
        ("has(value.event_type) && !has(value.missing) && !has(value.none)", "true"),
        ("value.none == null && value.missing == null", "true"),
        ("value.missing == 'x'", "no-such-element: `value.missing` is absent"),
        ("value.a.b.c == 'deep' && has(value.a.b) && !has(value.a.x.c) && !has(value.n.c)", "true"),
        ("value['event-id'] == 'e' && value.items[1].sku == 'B'", "true"),
        ("value.items.exists(i, i.sku == 'A') && size(value.items) == 2", "true"),
        ("value.items.map(i, i.sku) == ['A', 'B']", "true"),
        (
            "value.tags == ['a', 'b'] && ['a', 'b'] == value.tags && value.tags != ['a'] && value.tags == value.tags",
            "true",
        ),
        ("value.grid == [[1, 2], []] && value.grid != [[1], []] && [[1, 2], []] == value.grid", "true"),
        ("value.a == ['b'] || value.n == [3] || value.a == 'b'", "false"),
        ("value.esc == 'a\"bé'", "true"),
        ("value.flag", "true"),
        ("value.event_type", "bad-conversion: `value.event_type`: expected a bool, found a string"),
        ("value.event_type > 3", "bad-conversion: `value.event_type > 3`: a string and an int have no order"),
        ("value.event_type == 3", "false"),
        ("value.event_type in ['view', 'click'] && 'view' in [value.event_type]", "true"),
        ("type(value.a) == map && type(value.items) == list && type(value.n) == int", "true"),
        ("int(value.n) + 1 == 4 && value.event_type.startsWith('v')", "true"),
        ("record.topic == 'sales' && record.partition == 4 && record.offset == 99", "true"),
        ("record.key != null && string(record.key) == 'k-1'", "true"),
    ] {
        let test = check_raw(source, true).unwrap_or_else(|p| panic!("{source}: {p:?}")).lower();
        let records = vec![OwnedRecord::new("sales", 4, 99).key("k-1").value(json)];
        let found = match (test.0)(&records.get(0), None) {
            Ok(b) => b.to_string(),
            Err(fault) => format!("{}: {}", fault.code, fault.message),
        };
        assert_eq!(found, want, "{source}");
    }
}

#[test]
fn raw_predicates_compare_objects_by_their_members() {
    let json = r#"{"a": {"n": 1, "in": {"l": [1, {"x": 2.0}], "é": null}}, "b": {"in": {"\u00e9": null, "l": [1.0, {"x": 2}]}, "n": 1.0},
        "more": {"n": 1, "in": 2, "m": 3}, "less": {"n": 1}, "other": {"m": 1}, "null": {"n": null}, "none": {}, "list": ["n"],
        "twice": {"n": 1, "n": 2}, "bad": {"n" 1}, "large": {"n": 18446744073709551616}}"#;
    for (source, want) in [
        ("value.a == value.b && value.b == value.a && !(value.a != value.b) && value.a == value.a", true),
        ("value.a in [value.b] && [value.a, value.less] == [value.b, value.less]", true),
        ("value.less == value.more || value.more == value.less || value.less == value.other", false),
        ("value.less == value['null'] || value['null'] == value.none || value.none != value.none", false),
        ("value.list == value.less || value.less == value.list || value.none == value.list", false),
        ("value.twice == value.less", true),
        ("value.bad == value.bad || value.bad == value.less", false),
        ("value.large == value.large && value.large != value.less", true),
    ] {
        let test = check_raw(source, true).unwrap_or_else(|p| panic!("{source}: {p:?}")).lower();
        let records = vec![OwnedRecord::new("t", 0, 0).value(json)];
        assert_eq!((test.0)(&records.get(0), None).map_err(|f| f.message), Ok(want), "{source}");
    }
}

#[test]
fn raw_predicates_fault_on_what_is_no_json_and_see_a_tombstone_as_absent() {
    let test = check_raw("has(value.stage)", true).unwrap().lower();
    for (value, want) in [
        (&b"{\"stage\": 1}"[..], Ok(true)),
        (b"[1]", Ok(false)),
        (b"", Err("malformed-json")),
        (b"{\"stage", Err("malformed-json")),
        (b"{\"a\": nope", Err("malformed-json")),
        (b"\xff", Err("malformed-json")),
    ] {
        let records = vec![OwnedRecord::new("t", 0, 0).value(value)];
        let found = (test.0)(&records.get(0), None).map_err(|fault| fault.code);
        assert_eq!(found, want, "{:?}", String::from_utf8_lossy(value));
    }
    assert_eq!((test.0)(&vec![OwnedRecord::new("t", 0, 0)].get(0), None), Ok(false));
    let deep = "[".repeat(10_000);
    let records = vec![OwnedRecord::new("t", 0, 0).value(format!("{{\"a\": {deep}"))];
    assert!((test.0)(&records.get(0), None).is_err());
}

#[test]
fn raw_predicates_see_the_writers_schema() {
    let test = check_raw("schema == 'shop.Event' || schema.startsWith('sales.')", false).unwrap().lower();
    let records = vec![OwnedRecord::new("t", 0, 0)];
    assert_eq!((test.0)(&records.get(0), Some("shop.Event")), Ok(true));
    assert_eq!((test.0)(&records.get(0), Some("sales.Opportunity")), Ok(true));
    assert_eq!((test.0)(&records.get(0), Some("jobs.Job")), Ok(false));
}
