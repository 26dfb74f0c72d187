//! SIGKILL in the middle of 200,000 records: nothing is lost, nothing stands twice.

use crate::harness::{
    Database, Message, Project, Registry, create_topic, head, produce, read_topic, unique, wait_until,
};
use std::{collections::BTreeMap, time::Duration};

const RECORDS: u64 = 200_000;
const PARTITIONS: i32 = 4;
const SCHEMA: &str = r#"{"type":"record","name":"Order","namespace":"crash","fields":[
  {"name":"id","type":"long"},{"name":"customer","type":"string"},{"name":"cents","type":"long"}]}"#;
const ENRICHED: &str = r#"{"type":"record","name":"Order","namespace":"crash","fields":[
  {"name":"id","type":"long"},{"name":"customer","type":"string"},{"name":"cents","type":"long"},
  {"name":"euros","type":"double"}]}"#;

/// Record `id` of the load; every hundredth breaks the rule.
fn record(id: u64) -> Message {
    let cents = if id.is_multiple_of(100) { -1 } else { id as i64 };
    let value = format!(r#"{{"id":{id},"customer":"c{}","cents":{cents}}}"#, id % 977);
    Message { key: Some(id.to_string().into_bytes()), value: Some(value.into_bytes()), ..Message::default() }
}

fn routes(app: &str, registry: &Registry, rest: &str) -> String {
    [&head(app), &registry.table(), rest].concat()
}

fn load(app: &str) -> [String; 3] {
    let topics = ["in", "out", "dlq"].map(|t| format!("{app}_{t}"));
    for topic in &topics {
        create_topic(topic, PARTITIONS, &[]);
    }
    produce(&topics[0], (0..RECORDS).map(record));
    topics
}

/// Runs the routes, killing the process each time `progress` has grown by a share of the load, then to the end.
fn run_and_kill(project: &Project, progress: impl Fn() -> u64) {
    for share in 1..=3 {
        let mut run = project.spawn(&["run", "--until-caught-up"]);
        let goal = RECORDS * share / 10;
        wait_until("the run gets on", Duration::from_secs(120), || {
            assert!(run.runs(), "it ended too early: {}", run.stderr());
            progress() >= goal
        });
        run.kill();
        assert!(progress() < RECORDS - RECORDS / 100, "killed in the middle");
    }
    project.run(&["run", "--until-caught-up"]).ok();
}

#[test]
fn a_killed_worker_loses_and_doubles_nothing_in_postgres() {
    let app = unique("crash_pg");
    let database = Database::new("crash");
    database.execute("CREATE TABLE orders (id BIGINT NOT NULL, customer TEXT NOT NULL, cents BIGINT NOT NULL)");
    let registry = Registry::start();
    load(&app);
    let url = &database.url;
    let project = Project::new(&routes(
        &app,
        &registry,
        &format!(
            r#"[databases.shop]
url = "{url}"
[validators.order]
schema = "crash.Order"
[validators.order.rules]
paid = "cents >= 0"
[routes.orders]
topic = "{app}_in"
format = "json"
validator = "order"
dlq = {{ database = "shop", table = "dead_letters" }}
destination = {{ database = "shop", table = "orders" }}"#
        ),
    ))
    .file("schemas/order.avsc", SCHEMA);
    run_and_kill(&project, || database.count("orders") as u64);
    // No key: a row written twice would stand twice.
    let good = (RECORDS - RECORDS / 100) as i64;
    assert_eq!(database.count("orders"), good);
    assert_eq!(database.count("(SELECT DISTINCT id, customer, cents FROM orders WHERE id = cents) AS o"), good);
    assert_eq!(database.count("dead_letters"), (RECORDS / 100) as i64);
    assert_eq!(
        database.count("(SELECT DISTINCT topic, \"partition\", \"offset\" FROM dead_letters) AS d"),
        (RECORDS / 100) as i64
    );
}

#[test]
fn a_killed_worker_loses_and_doubles_nothing_in_a_topic() {
    let app = unique("crash_topic");
    let registry = Registry::start();
    let [_, out, dlq] = load(&app);
    registry.register(&format!("{out}-value"), ENRICHED);
    let project = Project::new(&routes(
        &app,
        &registry,
        &format!(
            r#"[validators.order]
schema = "crash.Order"
[validators.order.rules]
paid = "cents >= 0"
[enrichers.euros.set]
euros = "double(cents) / 100.0"
[routes.orders]
topic = "{app}_in"
format = "json"
validator = "order"
enricher = "euros"
dlq = "{app}_dlq"
commit_interval = "20ms"
destination = {{ topic = "{app}_out" }}"#
        ),
    ))
    .file("schemas/order.avsc", SCHEMA);
    run_and_kill(&project, || read_topic(&out).len() as u64);
    let mut times: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for message in read_topic(&out) {
        *times.entry(message.key.unwrap()).or_default() += 1;
    }
    assert_eq!(times.len() as u64, RECORDS - RECORDS / 100);
    assert!(times.values().all(|n| *n == 1), "a record stands twice");
    let letters = read_topic(&dlq);
    assert_eq!(letters.len() as u64, RECORDS / 100);
    assert!(letters.iter().all(|l| l.header("pointsman.code") == Some("paid")));
}
