//! `generate` to files and the standard output, and what it says to those who ask for what cannot be.

use crate::harness::{Finished, Project};
use apache_avro::{Reader, types::Value};
use std::fs;

fn generate(project: &Project, arguments: &[&str]) -> Finished {
    project.run(&[&["generate"], arguments].concat())
}

#[test]
fn a_container_file_is_read_by_others() {
    let project = Project::shipped();
    generate(&project, &["shop.Order", "--to", "file:orders.avro", "--count", "3000"]).ok();
    let bytes = fs::read(project.folder.join("orders.avro")).unwrap();
    let orders: Vec<Value> = Reader::new(&bytes[..]).unwrap().map(Result::unwrap).collect();
    assert_eq!(orders.len(), 3_000);
    let Value::Record(fields) = &orders[0] else { panic!("{:?}", orders[0]) };
    assert_eq!(fields[0], ("order_id".to_owned(), Value::String("O-0000001".to_owned())));
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("OrderItem") && !text.contains("\"pointsman\""), "hints are not part of the schema");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let project = Project::shipped();
    for (target, more) in [("a.jsonl", &["--invalid", "10%"][..]), ("b.avro", &[])] {
        let file = |name: &str, seed: &str| {
            let to = format!("file:{name}{target}");
            generate(&project, &[&["stored-orders", "--count", "2000", "--seed", seed, "--to", &to], more].concat())
                .ok();
            fs::read(project.folder.join(format!("{name}{target}"))).unwrap()
        };
        assert!(file("one", "5") == file("two", "5"), "{target}");
        assert!(file("one", "5") != file("other", "6"), "{target}");
    }
}

#[test]
fn times_begin_where_start_says_and_now_is_now() {
    let project = Project::shipped();
    let first = |start: &str| {
        let finished = generate(&project, &["jobs.Job", "--count", "1", "--start", start]).ok();
        let job: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        job["started_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    };
    assert!(first("2030-01-01T00:00:00Z").to_string().starts_with("2030-01-01T00:00:00."));
    let at = first("now");
    let age = jiff::Timestamp::now().as_second() - at.as_second();
    assert!((0..600).contains(&age), "{age} s");
}

#[test]
fn a_schema_needs_no_routes() {
    let project = Project::shipped();
    fs::remove_file(project.folder.join("routes.toml")).unwrap();
    let finished = generate(&project, &["shop.Customer", "--count", "3"]).ok();
    assert_eq!(finished.stdout.lines().count(), 3);
    assert!(finished.stdout.starts_with("{\"customer_id\":1,\"name\":\""), "{}", finished.stdout);
}

#[test]
fn a_uuid_of_16_bytes_is_one() {
    let schema = r#"{"type":"record","name":"T","namespace":"shop","fields":[
        {"name":"id","type":{"type":"fixed","name":"Id","size":16,"logicalType":"uuid"},"pointsman":{"key":true}}]}"#;
    let project = Project::new(ROUTES).file("schemas/T.avsc", schema);
    fs::remove_file(project.folder.join("routes.toml")).unwrap();
    let text = generate(&project, &["shop.T", "--count", "1"]).ok().stdout;
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    generate(&project, &["shop.T", "--count", "1", "--to", "file:t.avro"]).ok();
    let bytes = fs::read(project.folder.join("t.avro")).unwrap();
    let Value::Record(fields) = Reader::new(&bytes[..]).unwrap().next().unwrap().unwrap() else { panic!("{text}") };
    let Value::Uuid(id) = &fields[0].1 else { panic!("{fields:?}") };
    assert_eq!(record["id"], id.to_string());
}

const ROUTES: &str = r#"
version = 1
app = "a"
[kafka]
bootstrap_servers = "127.0.0.1:9"
[validators.parcel]
schema = "shop.Parcel"
[validators.parcel.rules]
impossible = "grams > 5 && grams < 5"
[routes.parcels]
topic = "parcels"
format = "json"
validator = "parcel"
dlq = "discard"
destination = { topic = "out", format = "json" }
"#;

#[test]
fn hints_that_do_not_fit_are_told_at_their_places() {
    let project = Project::new(ROUTES).file(
        "schemas/Parcel.avsc",
        r#"{"type":"record","name":"Parcel","namespace":"shop","fields":[
  {"name":"id","type":"string","pointsman":{"patern":"P-{n}"}},
  {"name":"grams","type":"int","pointsman":{"range":[5, 1]}},
  {"name":"sent","type":{"type":"int","logicalType":"date"},"pointsman":{"like":"name"}},
  {"name":"carrier","type":{"type":"enum","name":"Carrier","symbols":["dhl","ups"]},
   "pointsman":{"weights":{"dhl":1,"usp":2}}},
  {"name":"buyer","type":"long","pointsman":{"ref":"shop.Buyer.id"}}
]}
"#,
    );
    let finished = generate(&project, &["parcels"]);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert_eq!(finished.stderr, include_str!("../generate/bad-hints.txt"));
    let args = ["shop.Parcel", "--count", "1"];
    assert_eq!(generate(&project, &args).code, Some(1), "a schema alone has the same problems");
}

#[test]
fn what_no_record_can_keep_is_told_with_the_rule() {
    let parcel = r#"{"type":"record","name":"Parcel","namespace":"shop","fields":[{"name":"grams","type":"int"}]}"#;
    let project = Project::new(ROUTES).file("schemas/Parcel.avsc", parcel);
    let finished = generate(&project, &["parcels"]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains("none of 1000 records passes"), "{}", finished.stderr);
    assert!(finished.stderr.contains("validate/impossible"), "{}", finished.stderr);
}

#[test]
fn what_cannot_be_is_refused_with_what_can() {
    let project = Project::shipped();
    for (arguments, said) in [
        (&["shop.Oder"][..], "did you mean `shop.Order`?"),
        (&["shop.Currency"], "`shop.Currency` is no record"),
        (&["shop.Order", "--to", "topic"], "a schema has no topic of its own"),
        (&["sales", "--to", "file:x.avro"], "name one of them in place of the route: sales.Opportunity, sales.Project"),
        (&["sales", "--to", "topic", "--format", "avro"], "the route sales reads json"),
        (&["shop.Order", "--invalid", "5%", "--faults", "broken-rule"], "`broken-rule` needs rules"),
        (&["shop.Order", "--to", "file:x.avro", "--invalid", "5%"], "no fault can be put into these records"),
        (&["shop.Order", "--to", "http://localhost:9/", "--format", "avro"], "a collector takes JSON"),
        (&["shop.Order", "--faults", "lost"], "faults are missing-field, wrong-type"),
        (&["shop.Order", "--invalid", "500%"], "write a share"),
    ] {
        let finished = generate(&project, arguments);
        assert_eq!(finished.code, Some(2), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(said), "{arguments:?}: {}", finished.stderr);
    }
    let nowhere = generate(&project, &["shop.Order", "--to", "file:no/such/folder/x"]);
    assert_eq!(nowhere.code, Some(3), "{}", nowhere.stderr);
}
