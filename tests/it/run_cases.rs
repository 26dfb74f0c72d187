//! Routes whose cases share one destination, and what tombstones do there.

use crate::{
    harness::{Message, Project, create_topic, head, message, produce, read_topic, unique},
    table_support::{Db, on_both},
};

const SCHEMA: &str = r#"{"type":"record","name":"Order","namespace":"cases","fields":[
  {"name":"id","type":{"type":"bytes","logicalType":"decimal","precision":30,"scale":0}},
  {"name":"state","type":"string"}]}"#;

on_both! {
    rows_of_two_cases_are_applied_in_the_order_of_their_records
    a_tombstone_with_a_text_for_a_number_deletes_its_row
}

/// A route of two cases to the route's own destination, until it is caught up.
fn run(app: &str, database: &str, destination: &str) {
    let project = Project::new(&format!(
        "{}{database}[routes.r]\ntopic = \"{app}_in\"\nformat = \"json\"\nkey = \"json\"\nschema = \"cases.Order\"\n\
         dlq = \"stop\"\ndestination = {destination}\n\
         [[routes.r.cases]]\nname = \"paid\"\nwhen = \"state == 'paid'\"\n\
         [[routes.r.cases]]\nname = \"other\"\nwhen = \"true\"\n",
        head(app)
    ))
    .file("schemas/order.avsc", SCHEMA);
    project.run(&["run", "--until-caught-up"]).ok();
}

fn order(id: &str, state: &str) -> Message {
    message(id, format!(r#"{{"id":{id},"state":"{state}"}}"#))
}

fn gone(id: &str) -> Message {
    Message { key: Some(id.into()), ..Message::default() }
}

fn rows_of_two_cases_are_applied_in_the_order_of_their_records(db: Db) {
    let app = unique("cases");
    create_topic(&format!("{app}_in"), 1, &[]);
    // Two ids that are the same number as doubles.
    let (one, other) = ("123456789012345678901234567890", "123456789012345678901234567891");
    let records = [
        order("7", "open"),
        order("7", "paid"),
        order("8", "paid"),
        order("8", "open"),
        order("9", "open"),
        gone("9"),
        order("9", "paid"),
        order("10", "paid"),
        gone("10"),
        order(one, "open"),
        order(other, "open"),
        gone(one),
    ];
    produce(&format!("{app}_in"), records);
    db.execute(&format!(
        "CREATE TABLE orders (id {} PRIMARY KEY, state TEXT NOT NULL)",
        db.pick("NUMERIC(30,0)", "TEXT")
    ));
    run(
        &app,
        &format!("[databases.shop]\nurl = \"{}\"\n", db.config.url),
        "{ database = \"shop\", table = \"orders\", key_columns = [\"id\"], on_tombstone = \"delete\" }",
    );
    let rows = db.texts("SELECT CAST(id AS TEXT) || ' ' || state FROM orders ORDER BY length(CAST(id AS TEXT)), id");
    assert_eq!(rows, ["7 paid", "8 open", "9 paid", &format!("{other} open")]);
}

fn a_tombstone_with_a_text_for_a_number_deletes_its_row(db: Db) {
    let app = unique("texts");
    create_topic(&format!("{app}_in"), 1, &[]);
    let rows = ["5", "6"].map(|id| message(id, format!(r#"{{"id":{id}}}"#)));
    produce(&format!("{app}_in"), rows.into_iter().chain([gone("5"), gone("six")]));
    db.execute("CREATE TABLE accounts (id BIGINT PRIMARY KEY)");
    let project = Project::new(&format!(
        "{}[databases.shop]\nurl = \"{}\"\n[routes.r]\ntopic = \"{app}_in\"\nformat = \"json\"\nkey = \"string\"\n\
         schema = \"texts.Account\"\ndlq = \"discard\"\n\
         destination = {{ database = \"shop\", table = \"accounts\", key_columns = [\"id\"], on_tombstone = \"delete\" }}\n",
        head(&app),
        db.config.url
    ))
    .file("schemas/account.avsc", r#"{"type":"record","name":"texts.Account","fields":[{"name":"id","type":"long"}]}"#);
    project.run(&["run", "--until-caught-up"]).ok();
    assert_eq!(db.texts("SELECT CAST(id AS TEXT) FROM accounts ORDER BY id"), ["6"]);
}

#[test]
fn a_tombstone_goes_once_to_the_topic_of_all_cases() {
    let app = unique("cases");
    for topic in ["in", "out"] {
        create_topic(&format!("{app}_{topic}"), 1, &[]);
    }
    produce(&format!("{app}_in"), [order("1", "paid"), gone("1"), order("2", "open")]);
    run(&app, "", &format!("{{ topic = \"{app}_out\", format = \"json\" }}"));
    let out: Vec<_> =
        read_topic(&format!("{app}_out")).into_iter().map(|m| (m.key.unwrap(), m.value.is_some())).collect();
    assert_eq!(out, [(b"1".to_vec(), true), (b"1".to_vec(), false), (b"2".to_vec(), true)]);
}
