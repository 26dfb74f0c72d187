//! What a record becomes on its way: filtered, delivered, set apart, or a dead letter with its stage, code and field.

use super::{Known, Op, Origin, Outcomes, Program, RowRef, Span, Target, Verdict, Wants, Writer};
use crate::{
    codec::write,
    config::testing::Folder,
    record::{OwnedRecord, Records},
    schema::{Schema, framing},
};
use std::sync::Arc;

const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"t","fields":[
  {"name":"id","type":"string"},
  {"name":"quantity","type":"int"},
  {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
  {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
     {"name":"sku","type":"string"},{"name":"n","type":"int"}]}},"default":[]}]}"#;

const WIDE: &str = r#"{"type":"record","name":"Wide","namespace":"t","fields":[
  {"name":"id","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":0}},
  {"name":"tag","type":"bytes"}]}"#;

/// Compiles the one route of this text, with schema id 9 for every destination.
fn program(route: &str) -> Program {
    program_of(SCHEMA, route)
}

fn program_of(schema: &str, route: &str) -> Program {
    program_of_all(&[("schemas/event.avsc", schema), ("schemas/wide.avsc", WIDE)], route)
}

fn program_of_all(schemas: &[(&str, &str)], route: &str) -> Program {
    let head = "version = 1\napp = \"a\"\n[kafka]\nbootstrap_servers = \"b\"\n[schema_registry]\nurl = \"http://r\"\n[databases.d]\nurl = \"sqlite://d.db\"\n";
    let routes = format!("{head}{route}");
    let files = [schemas, &[("routes.toml", &routes)]].concat();
    let loaded = Folder::new(&files).load();
    let plan = loaded.plan.unwrap_or_else(|| panic!("{:#?}", loaded.problems));
    Program::compile(&plan.routes[0], &[9; 8]).unwrap()
}

fn json(values: &[&str]) -> Vec<OwnedRecord> {
    let records = values.iter().enumerate();
    records.map(|(i, v)| OwnedRecord::new("in", 0, i as i64).key("k").value(*v)).collect()
}

fn process(program: &mut Program, batch: &Vec<OwnedRecord>) -> Outcomes {
    program.process(batch, &Known::default(), 1_700_000_000_000_000).unwrap()
}

/// A verdict in short: `delivered 0`, `filtered`, or `stage/code at field`.
fn short(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Delivered { case } => format!("delivered {case}"),
        Verdict::Filtered => "filtered".into(),
        Verdict::Apart(f) => format!("apart {}", f.code),
        Verdict::Dead { failure, .. } => format!("{}/{} at {:?}", failure.stage, failure.code, failure.field),
    }
}

fn verdicts(outcomes: &Outcomes) -> Vec<String> {
    outcomes.verdicts.iter().map(short).collect()
}

const TO_TOPIC: &str = r#"
[validators.event]
schema = "t.Event"
[validators.event.rules]
positive = "quantity > 0"
cheap = { check = "price < 100.00", on_fail = "warn" }
[enrichers.total.set]
total = "price * quantity"
[routes.r]
topic = "in"
format = "json"
where_raw = "value.id != 'heartbeat'"
where = "quantity != 7"
validator = "event"
enricher = "total"
dlq = "dlq"
destination = { topic = "out" }
"#;

#[test]
fn each_step_of_the_journey_has_its_own_answer() {
    let mut program = program(TO_TOPIC);
    let outcomes = process(
        &mut program,
        &json(&[
            r#"{"id":"a","quantity":2,"price":1.50}"#,
            r#"{"id":"heartbeat"}"#,
            r#"{"id":"b","quantity":7,"price":1.50}"#,
            r#"{"id":"c","quantity":0,"price":1.50}"#,
            r#"{"id":"d","quantity":1,"price":100.00,"extra":1}"#,
            r#"{"id":"e","quantity":"1","price":1.50}"#,
            "nonsense",
            r#"{"id":"f","quantity":1,"price":1.50,"lines":[{"sku":"s","n":1},{"sku":"s"}]}"#,
        ]),
    );
    assert_eq!(
        verdicts(&outcomes),
        [
            "delivered 0",
            "filtered",
            "filtered",
            "validate/positive at \"\"",
            "delivered 0",
            "decode/wrong-type at \"quantity\"",
            "decode/malformed-json at \"\"",
            "decode/missing-field at \"lines[1].n\"",
        ]
    );
    assert_eq!((outcomes.warned.as_slice(), outcomes.unknown_fields), ([1].as_slice(), 1));
    assert_eq!(outcomes.rows.len(), 2, "a record that fails half-way leaves no row");
}

#[test]
fn a_destination_gets_the_input_with_the_set_fields_spliced_in() {
    let mut program = program(TO_TOPIC);
    let outcomes = process(&mut program, &json(&[r#"{"price":1.50,"quantity":2,"id":"a"}"#]));
    let mut expected = Vec::new();
    framing::write(9, &mut expected);
    write::text(&mut expected, "a");
    write::long(&mut expected, 2);
    write::decimal(&mut expected, 150);
    write::long(&mut expected, 0);
    write::decimal(&mut expected, 300);
    let Span::Out { start, end } = outcomes.rows[0].body else { panic!("{:?}", outcomes.rows[0]) };
    assert_eq!(outcomes.out[start as usize..end as usize], expected);
    assert_eq!(outcomes.rows[0].key, Span::Key);
}

#[test]
fn avro_of_the_validators_own_schema_is_borrowed_and_other_writers_are_resolved() {
    let mut program =
        program(&TO_TOPIC.replace("format = \"json\"\n", "").replace("where_raw = \"value.id != 'heartbeat'\"\n", ""));
    let older = SCHEMA
        .replace(r#"{"name":"quantity","type":"int"},"#, "")
        .replace("\"default\":[]", "\"default\":[],\"aliases\":[]");
    let mut bodies = Vec::new();
    for (id, quantity) in [(1, true), (2, false), (3, true)] {
        let mut value = Vec::new();
        framing::write(id, &mut value);
        write::text(&mut value, "a");
        if quantity {
            write::long(&mut value, 2);
        }
        write::decimal(&mut value, 150);
        write::long(&mut value, 0);
        bodies.push(OwnedRecord::new("in", 0, i64::from(id)).value(value));
    }
    let wants = program.process(&bodies, &Known::default(), 0).unwrap_err();
    assert_eq!(wants, Wants { schema_ids: vec![1, 2, 3] });
    let mut known = Known::default();
    known.writers.insert(1, Writer::Schema(Arc::new(Schema::parse(SCHEMA).unwrap())));
    known.writers.insert(2, Writer::Schema(Arc::new(Schema::parse(&older).unwrap())));
    known.writers.insert(3, Writer::Unknown("the registry does not know it".into()));
    let outcomes = program.process(&bodies, &known, 0).unwrap();
    // The older writer has no quantity, and the validator's schema has no default for it.
    assert_eq!(
        verdicts(&outcomes),
        ["delivered 0", "frame/unusable-schema at \"\"", "frame/unknown-schema-id at \"\""]
    );
    let Verdict::Dead { failure, .. } = &outcomes.verdicts[2] else { panic!() };
    assert_eq!(failure.schema_id, Some(3));
}

const TO_TABLES: &str = r#"
[routes.r]
topic = "in"
format = "json"
key = "json"
schema = "t.Event"
dlq = { database = "d", table = "dead" }
[[routes.r.destinations]]
database = "d"
table = "events"
key_columns = ["id"]
on_tombstone = "delete"
columns = { id = "id", quantity = "quantity", doubled = "quantity * 2" }
[[routes.r.destinations]]
database = "d"
table = "lines"
for_each = "lines"
columns = { id = "id", sku = "item.sku" }
"#;

#[test]
fn one_record_gives_a_row_and_a_row_for_each_element_and_a_tombstone_deletes_by_its_key() {
    let mut program = program(TO_TABLES);
    let mut batch = json(&[r#"{"id":"a","quantity":2,"price":1,"lines":[{"sku":"x","n":1},{"sku":"y","n":1}]}"#]);
    batch.push(OwnedRecord::new("in", 0, 1).key(r#"{"id":"gone"}"#));
    batch.push(OwnedRecord::new("in", 0, 2));
    let outcomes = process(&mut program, &batch);
    assert_eq!(verdicts(&outcomes), ["delivered 0", "delivered 0", "decode/bad-key at \"key\""]);
    let targets = program.targets();
    let cells: Vec<String> = outcomes.rows.iter().map(|row| cells(&batch, &outcomes, &targets, row)).collect();
    assert_eq!(
        cells,
        [
            "events Write Text(\"a\") Int(2) Int(4)",
            "lines Write Text(\"a\") Text(\"x\")",
            "lines Write Text(\"a\") Text(\"y\")",
            "events Delete Text(\"gone\") Null Null",
        ]
    );
    assert_eq!(outcomes.rows[3].op, Op::Delete);
}

#[test]
fn a_tombstones_key_keeps_every_digit_and_byte_in_either_form() {
    let route = |key: &str| {
        program(&format!(
            r#"
[routes.r]
topic = "in"
format = "json"
key = "{key}"
schema = "t.Wide"
dlq = "discard"
destination = {{ database = "d", table = "wide", key_columns = ["id", "tag"], on_tombstone = "delete" }}
"#
        ))
    };
    let json = br#"{"tag":"YWJjZA==","id":123456789012345678901234567891}"#.to_vec();
    let mut avro = Vec::new();
    framing::write(1, &mut avro);
    write::decimal(&mut avro, 123_456_789_012_345_678_901_234_567_891);
    write::bytes(&mut avro, b"abcd");
    let mut known = Known::default();
    known.writers.insert(1, Writer::Schema(Arc::new(Schema::parse(WIDE).unwrap())));
    for (format, key) in [("json", json), ("avro", avro)] {
        let mut program = route(format);
        let batch = vec![OwnedRecord::new("in", 0, 0).key(key)];
        let outcomes = program.process(&batch, &known, 0).unwrap();
        assert_eq!(verdicts(&outcomes), ["delivered 0"], "{format}: {:?}", outcomes.verdicts);
        let row = cells(&batch, &outcomes, &program.targets(), &outcomes.rows[0]);
        let id = "Decimal(Decimal { unscaled: 123456789012345678901234567891, scale: 0 })";
        assert_eq!(row, format!("wide Delete {id} Bytes([97, 98, 99, 100])"), "{format}");
    }
}

#[test]
fn a_tombstones_text_is_read_as_its_column_s_type() {
    for (ty, key, want) in [
        (r#""long""#, "5", "Int(5)"),
        (r#""int""#, "-7", "Int(-7)"),
        (r#""double""#, "0.5", "Double(0.5)"),
        (r#""boolean""#, "true", "Bool(true)"),
        (r#""string""#, "5", "Text(\"5\")"),
        (r#"{"type":"long","logicalType":"timestamp-millis"}"#, "1970-01-01T00:00:01Z", "Instant(1000000)"),
        (r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#, "1.5", "1.50"),
        (r#""long""#, "five", "bad-key"),
        (r#""long""#, "\"5\"", "bad-key"),
        (r#""long""#, "{\"id\":5}", "bad-key"),
    ] {
        let schema = format!(r#"{{"type":"record","name":"t.Key","fields":[{{"name":"id","type":{ty}}}]}}"#);
        let route = r#"
[routes.r]
topic = "in"
format = "json"
key = "string"
schema = "t.Key"
dlq = "discard"
destination = { database = "d", table = "t", key_columns = ["id"], on_tombstone = "delete" }
"#;
        let mut program = program_of(&schema, route);
        let batch = vec![OwnedRecord::new("in", 0, 0).key(key)];
        let outcomes = process(&mut program, &batch);
        let found = match &outcomes.verdicts[0] {
            Verdict::Dead { failure, .. } => failure.code.to_string(),
            _ => cells(&batch, &outcomes, &program.targets(), &outcomes.rows[0]),
        };
        let decimal = "Decimal(Decimal { unscaled: 150, scale: 2 })";
        assert_eq!(found.trim_start_matches("t Delete ").replace(decimal, "1.50"), want, "{ty} {key}");
    }
}

/// A row's table, operation and values, as a destination reads them.
fn cells(batch: &Vec<OwnedRecord>, outcomes: &Outcomes, targets: &[Target], row: &RowRef) -> String {
    let Target::Table(table) = &targets[row.target as usize] else { panic!("{row:?}") };
    let cells = table.columns.iter().zip(&outcomes.slots[row.slots as usize..]).map(|(column, slot)| {
        let bytes = match (column.origin, row.op) {
            (Origin::Body, Op::Write) => super::process::body(&batch.get(row.record as usize), &outcomes.out, row.body),
            _ => &outcomes.out,
        };
        format!("{:?}", column.reader.read(bytes, *slot))
    });
    format!("{} {:?} {}", table.destination.table, row.op, cells.collect::<Vec<_>>().join(" "))
}

const CASES: &str = r#"
[validators.event]
schema = "t.Event"
[routes.r]
topic = "in"
format = "json"
validator = "event"
dlq = "discard"
otherwise = { topic = "others" }
[[routes.r.cases]]
name = "few"
when = "quantity < 10"
destination = { topic = "few", format = "json" }
[[routes.r.cases]]
name = "many"
when = "quantity < 100"
destination = { topic = "many", format = "json", record_key = ["id", "quantity"] }
"#;

#[test]
fn the_first_case_that_matches_takes_the_record_and_the_rest_is_set_apart() {
    let mut program = program(CASES);
    let values = [5, 50, 500].map(|n| format!(r#"{{"id":"a","quantity":{n},"price":1}}"#));
    let outcomes = process(&mut program, &json(&values.each_ref().map(String::as_str)));
    assert_eq!(verdicts(&outcomes), ["delivered 0", "delivered 1", "apart no-case-matched"]);
    assert_eq!(program.cases(), ["few", "many"]);
    let text = |span: Span| match span {
        Span::Out { start, end } => String::from_utf8_lossy(&outcomes.out[start as usize..end as usize]).into_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!(text(outcomes.rows[1].key), r#"{"id":"a","quantity":50}"#);
    assert_eq!(text(outcomes.rows[0].body), r#"{"id":"a","quantity":5,"price":1.00,"lines":[]}"#);
}

#[test]
fn a_record_that_refers_to_itself_is_passed_on_and_what_is_set_in_it_makes_a_record_of_another_name() {
    let tree = r#"{"type":"record","name":"Tree","namespace":"t","fields":[{"name":"v","type":"long"},
        {"name":"kids","type":{"type":"array","items":"Tree"}},{"name":"next","type":["null","Tree"],"default":null}]}"#;
    let top = r#"{"type":"record","name":"Top","namespace":"t","fields":[{"name":"v","type":"long"},
        {"name":"kids","type":{"type":"array","items":"Tree"}},{"name":"next","type":["null","Tree"],"default":null}]}"#;
    let given = r#"{"v":1,"kids":[{"v":2,"kids":[],"next":null}],"next":{"v":3,"kids":[],"next":null}}"#;
    let body = |enricher: &str, destination: &str| {
        let route = format!(
            "[enrichers.up.set]\nv = \"v * 10\"\n[routes.r]\ntopic = \"in\"\nformat = \"json\"\nschema = \"t.Tree\"\ndlq = \"discard\"\n{enricher}\ndestination = {destination}\n"
        );
        let mut program = program_of_all(&[("schemas/tree.avsc", tree), ("schemas/top.avsc", top)], &route);
        let outcomes = process(&mut program, &json(&[given]));
        let Span::Out { start, end } = outcomes.rows[0].body else { panic!("{:?}", verdicts(&outcomes)) };
        outcomes.out[start as usize..end as usize].to_vec()
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert_eq!(text(body("", r#"{ topic = "out", format = "json" }"#)), given);
    assert_eq!(text(body("", r#"{ topic = "out", format = "json", schema = "t.Tree" }"#)), given);
    let up = r#"{ topic = "out", format = "json", schema = "t.Top" }"#;
    assert_eq!(text(body("enricher = \"up\"", up)), given.replace("\"v\":1", "\"v\":10"));
    let mut avro = Vec::new();
    framing::write(9, &mut avro);
    // v 1, one kid (v 2, no kids, no next), a next (v 3, no kids, no next).
    avro.extend([2, 2, 4, 0, 0, 0, 2, 6, 0, 0]);
    assert_eq!(body("", r#"{ topic = "out" }"#), avro);
}

#[test]
fn a_record_whose_elements_would_make_more_than_a_record_may_fails_alone() {
    let mut program = program(
        r#"
[routes.r]
topic = "in"
format = "json"
schema = "t.Event"
dlq = "discard"
destination = { database = "d", table = "lines", for_each = "lines", columns = { name = "id + item.sku" } }
"#,
    );
    let event = |length: usize, lines: usize| {
        let lines = vec![r#"{"sku":"x","n":1}"#; lines].join(",");
        format!(r#"{{"id":"{}","quantity":1,"price":1,"lines":[{lines}]}}"#, "a".repeat(length))
    };
    let values = [event(1, 2), event(1 << 20, 100), event(1 << 10, 3)];
    let batch = json(&values.each_ref().map(String::as_str));
    let outcomes = process(&mut program, &batch);
    assert_eq!(verdicts(&outcomes), ["delivered 0", "encode/not-encodable at \"\"", "delivered 0"]);
    assert_eq!(outcomes.rows.len(), 5);
    let row = cells(&batch, &outcomes, &program.targets(), &outcomes.rows[4]);
    assert_eq!(row, format!("lines Write Text(\"{}x\")", "a".repeat(1 << 10)));
}
