//! What `run` says and does when something that it needs is missing.

use crate::harness::{Database, Project, Registry, create_topic, head, message, produce, read_topic, unique};
use std::net::TcpListener;

const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"start","fields":[{"name":"id","type":"long"}]}"#;

fn route(name: &str, topic: &str, destination: &str) -> String {
    format!(
        "[routes.{name}]\ntopic = \"{topic}\"\nformat = \"json\"\nschema = \"start.Event\"\ndlq = \"discard\"\ndestination = {destination}\n"
    )
}

fn project(routes: &str) -> Project {
    Project::new(routes).file("schemas/event.avsc", SCHEMA)
}

#[test]
fn a_missing_table_stops_its_own_route_and_the_others_run() {
    let app = unique("start_table");
    let (input, output) = (format!("{app}_in"), format!("{app}_out"));
    create_topic(&input, 2, &[]);
    create_topic(&output, 2, &[]);
    produce(&input, [message("1", r#"{"id":1}"#)]);
    let (registry, database) = (Registry::start(), Database::new("start"));
    registry.register(&format!("{output}-value"), SCHEMA);
    let routes = [
        head(&app),
        registry.table(),
        format!("[databases.shop]\nurl = \"{}\"\n", database.url),
        route("missing", &input, "{ database = \"shop\", table = \"nowhere\" }"),
        route("fine", &input, &format!("{{ topic = \"{output}\" }}")),
    ];
    let finished = project(&routes.concat()).run(&["run", "--until-caught-up"]);
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(finished.stderr.contains("nowhere"), "names the table: {}", finished.stderr);
    assert!(finished.stderr.contains("CREATE TABLE"), "and what would make it: {}", finished.stderr);
    assert_eq!(read_topic(&output).len(), 1, "the other route ran");
}

#[test]
fn a_missing_column_topic_or_subject_is_named_and_run_ends_with_3_when_no_route_can_run() {
    let app = unique("start_missing");
    let (input, output) = (format!("{app}_in"), format!("{app}_out"));
    create_topic(&input, 1, &[]);
    create_topic(&output, 1, &[]);
    let (registry, database) = (Registry::start(), Database::new("start"));
    database.execute("CREATE TABLE events (other BIGINT)");
    let shop = format!("[databases.shop]\nurl = \"{}\"\n", database.url);
    let cases = [
        (route("r", &input, "{ database = \"shop\", table = \"events\" }"), "column", "id"),
        (route("r", "absent_source", &format!("{{ topic = \"{output}\" }}")), "topic", "absent_source"),
        (route("r", &input, "{ topic = \"absent_destination\", format = \"json\" }"), "topic", "absent_destination"),
        (route("r", &input, &format!("{{ topic = \"{output}\" }}")), "subject", &format!("{output}-value")),
    ];
    for (route, kind, name) in cases {
        let routes = [head(&app), registry.table(), shop.clone(), route].concat();
        // Without --until-caught-up: `run` ends by itself, since no route can run.
        let finished = project(&routes).run(&["run"]);
        assert_eq!(finished.code, Some(3), "{kind} {name}: {}", finished.stderr);
        assert!(finished.stderr.contains(kind) && finished.stderr.contains(name), "{kind} {name}: {}", finished.stderr);
    }
}

#[test]
fn pending_migrations_are_an_error_without_migrate_and_applied_with_it() {
    let app = unique("start_migrate");
    let input = format!("{app}_in");
    create_topic(&input, 1, &[]);
    produce(&input, [message("1", r#"{"id":7}"#)]);
    let (registry, database) = (Registry::start(), Database::new("start"));
    let routes = [
        head(&app),
        registry.table(),
        format!("[databases.shop]\nurl = \"{}\"\nmigrations = \"migrations\"\n", database.url),
        route("r", &input, "{ database = \"shop\", table = \"events\" }"),
    ];
    let project =
        project(&routes.concat()).file("migrations/1_events.sql", "CREATE TABLE events (id BIGINT PRIMARY KEY);");
    let refused = project.run(&["run", "--until-caught-up"]);
    assert_eq!(refused.code, Some(3));
    assert!(refused.stderr.contains("1_events") && refused.stderr.contains("--migrate"), "{}", refused.stderr);
    let done = project.run(&["run", "--until-caught-up", "--migrate"]).ok();
    assert_eq!(database.rows("SELECT id FROM events"), [serde_json::json!({"id": 7})]);
    let summary = done.stderr.lines().find(|l| l.contains("records in all")).expect("a summary at the end");
    assert!(summary.contains(r#""delivered":1,"filtered":0,"dead_lettered":0"#), "{summary}");
}

#[test]
fn a_busy_port_is_named() {
    let app = unique("start_port");
    let input = format!("{app}_in");
    create_topic(&input, 1, &[]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let registry = Registry::start();
    let routes = [
        head(&app),
        registry.table(),
        format!("[http]\nlisten = \"{address}\"\n"),
        route("r", &input, &format!("{{ topic = \"{input}_out\" }}")),
    ];
    let finished = project(&routes.concat()).run(&["run"]);
    assert_eq!(finished.code, Some(3));
    assert!(finished.stderr.contains(&address.to_string()), "{}", finished.stderr);
    assert!(finished.stderr.contains("[http] listen"), "{}", finished.stderr);
}

/// The check and the start of a route look at the same schemas; a record of its own type was once refused by the start.
#[test]
fn a_record_that_refers_to_itself_goes_on_as_it_came() {
    let schema = r#"{"type":"record","name":"Tree","namespace":"self","fields":[{"name":"v","type":"int"},
        {"name":"valid_to","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"kids","type":{"type":"array","items":"Tree"}},{"name":"next","type":["null","Tree"],"default":null}]}"#;
    let app = unique("tree");
    let [input, json, avro] = ["in", "json", "avro"].map(|t| format!("{app}_{t}"));
    for topic in [&input, &json, &avro] {
        create_topic(topic, 1, &[]);
    }
    let registry = Registry::start();
    let leaf = |v: u8| format!(r#"{{"v":{v},"valid_to":"2024-06-30T12:00:00Z","kids":[],"next":null}}"#);
    let given = format!(r#"{{"v":1,"valid_to":"9999-12-31T23:59:59Z","kids":[{}],"next":{}}}"#, leaf(2), leaf(3));
    produce(&input, [message("k", given.clone())]);
    let project = Project::new(&format!(
        "{}{}[routes.r]\ntopic = \"{input}\"\nformat = \"json\"\nschema = \"self.Tree\"\ndlq = \"stop\"\n\
         destinations = [{{ topic = \"{json}\", format = \"json\" }}, {{ topic = \"{avro}\" }}]\n",
        head(&app),
        registry.table()
    ))
    .file("schemas/tree.avsc", schema);
    project.run(&["apply", "--yes"]).ok();
    project.run(&["run", "--until-caught-up"]).ok();
    assert_eq!(read_topic(&json)[0].value.as_deref(), Some(given.as_bytes()));
    // Behind the schema's id: v is 1, and in the end v is 3, the time, no kids, no next.
    let body = read_topic(&avro)[0].value.clone().unwrap()[5..].to_vec();
    assert!(body[0] == 2 && body.ends_with(&[0, 0]) && body.len() == 29, "{body:?}");
}
