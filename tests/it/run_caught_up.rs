//! `run --until-caught-up` with several workers and processes: it ends when the whole group is at the ends of the start,
//! not before and not never, also where a worker is stopped for longer than its membership lasts.

use crate::harness::{
    Database, Project, Registry, create_topic, ends_of_topic, head, members_of, message, produce, read_topic, unique,
    wait_until,
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

const RECORDS: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(180);
const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"caught","fields":[{"name":"id","type":"long"}]}"#;

/// A load of two partitions, and a route that takes a while for it: each record costs a few thousand comparisons.
struct Case {
    app: String,
    input: String,
    project: Project,
}

/// `kafka`: properties of the consumers. `route`: further keys of the route, its destination among them.
fn case(name: &str, kafka: &str, tables: &str, route: &str) -> Case {
    let app = unique(name);
    let input = format!("{app}_in");
    create_topic(&input, 2, &[]);
    produce(&input, (0..RECORDS).map(|id| message(id.to_string(), format!(r#"{{"id":{id}}}"#))));
    let head = head(&app);
    let list = (0..50).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let route = route.replace("{app}", &app);
    let project = Project::new(&format!(
        r#"{head}
[kafka.consumer]
{kafka}
{tables}
[validators.event]
schema = "caught.Event"
[validators.event.rules]
slow = "[{list}].all(a, [{list}].all(b, a + b + id >= 0))"
[routes.r]
topic = "{input}"
format = "json"
validator = "event"
{route}
"#
    ))
    .file("schemas/event.avsc", SCHEMA);
    Case { app, input, project }
}

const CLASSIC: &str = "\"session.timeout.ms\" = \"3000\"\n\"heartbeat.interval.ms\" = \"500\"";
const TO_TABLE: &str = "dlq = \"stop\"\ndestination = { database = \"shop\", table = \"events\" }";
const TO_TOPIC: &str = "dlq = \"stop\"\ndestination = { topic = \"{app}_out\" }";

fn shop(database: &Database) -> String {
    // No key: a row written twice would stand twice.
    database.execute("CREATE TABLE events (id BIGINT NOT NULL)");
    format!("[databases.shop]\nurl = \"{}\"", database.url)
}

/// The output topic, its subject registered.
fn output(case: &Case, registry: &Registry) -> String {
    let output = format!("{}_out", case.app);
    create_topic(&output, 2, &[]);
    registry.register(&format!("{output}-value"), SCHEMA);
    output
}

/// Stops the process until the group has given it up.
fn stop_for_longer_than_a_session(run: &crate::harness::Running, group: &str) {
    run.signal("STOP");
    wait_until("the group gives the stopped process up", PATIENCE, || members_of(group) == 0);
}

fn a_stopped_worker_comes_back(case: &Case, progress: impl Fn() -> u64) {
    let group = format!("{}.r", case.app);
    let mut first = case.project.spawn(&["run", "--until-caught-up"]);
    let mut gets_to = |share: u64| {
        wait_until("the run gets on", PATIENCE, || {
            assert!(first.runs(), "it ended too early: {}", first.stderr());
            progress() >= RECORDS * share / 20
        });
    };
    gets_to(1);
    stop_for_longer_than_a_session(&first, &group);
    let before = progress();
    assert!(before < RECORDS, "stopped in the middle");
    first.signal("CONT");
    wait_until("it goes on where it was", PATIENCE, || {
        assert!(first.runs(), "it took itself for caught up: {}", first.stderr());
        progress() > before + RECORDS / 20
    });
    // Now somebody else takes over, and everything to its end.
    stop_for_longer_than_a_session(&first, &group);
    assert!(progress() < RECORDS, "stopped in the middle");
    case.project.run(&["run", "--until-caught-up"]).ok();
    first.signal("CONT");
    // It has lost what it had under way, finds nothing left to do, and says that all is well.
    first.wait().ok();
}

#[test]
fn a_worker_that_was_stopped_comes_back_and_changes_no_row_of_its_successor() {
    let database = Database::new("caught");
    let case = case("caught_pg", CLASSIC, &shop(&database), TO_TABLE);
    a_stopped_worker_comes_back(&case, || database.count("events") as u64);
    assert_eq!(database.count("events"), RECORDS as i64);
    assert_eq!(database.count("(SELECT DISTINCT id FROM events) AS e"), RECORDS as i64);
}

#[test]
fn a_worker_that_was_stopped_comes_back_and_adds_no_record_to_its_successors() {
    let registry = Registry::start();
    let case = case("caught_topic", CLASSIC, &registry.table(), TO_TOPIC);
    let output = output(&case, &registry);
    a_stopped_worker_comes_back(&case, || ends_of_topic(&output));
    let read = read_topic(&output);
    let keys: BTreeSet<_> = read.iter().map(|m| m.key.clone()).collect();
    assert_eq!((read.len() as u64, keys.len() as u64), (RECORDS, RECORDS));
}

/// Two processes of four workers each over two partitions: six workers have nothing to do, and whichever process ends
/// first, everything is there by then.
fn ends_when_the_group_has_caught_up(name: &str, kafka: &str) {
    let database = Database::new("caught");
    let case = case(name, kafka, &shop(&database), &format!("workers = 4\n{TO_TABLE}"));
    let (mut one, mut other) =
        (case.project.spawn(&["run", "--until-caught-up"]), case.project.spawn(&["run", "--until-caught-up"]));
    wait_until("one of them ends", PATIENCE, || !one.runs() || !other.runs());
    assert_eq!(database.count("events"), RECORDS as i64, "{}\n{}", one.stderr(), other.stderr());
    one.wait().ok();
    other.wait().ok();
    // Once more, with nothing to do.
    case.project.run(&["run", "--until-caught-up"]).ok();
    produce(&case.input, [message("k", format!(r#"{{"id":{RECORDS}}}"#))]);
    case.project.run(&["run", "--until-caught-up"]).ok();
    assert_eq!(database.count("(SELECT DISTINCT id FROM events) AS e"), RECORDS as i64 + 1);
}

#[test]
fn more_workers_than_partitions_end_with_the_classic_protocol() {
    ends_when_the_group_has_caught_up("caught_classic", CLASSIC);
}

#[test]
fn more_workers_than_partitions_end_with_the_new_group_protocol() {
    ends_when_the_group_has_caught_up("caught_consumer", "\"group.protocol\" = \"consumer\"");
}

#[test]
fn a_run_with_nothing_to_do_does_not_join_and_leaves_no_member_behind() {
    let database = Database::new("caught");
    let app = unique("caught_idle");
    let (input, group) = (format!("{app}_in"), format!("{app}.r"));
    create_topic(&input, 2, &[]);
    let project = Project::new(&format!(
        "{}{}\n[routes.r]\ntopic = \"{input}\"\nformat = \"json\"\nschema = \"caught.Event\"\n{TO_TABLE}\n",
        head(&app),
        shop(&database)
    ))
    .file("schemas/event.avsc", SCHEMA);
    let send = || produce(&input, (0..10).map(|id| message(id.to_string(), format!(r#"{{"id":{id}}}"#))));
    send();
    project.run(&["run", "--until-caught-up"]).ok();
    for _ in 0..3 {
        let idle = project.run(&["run", "--until-caught-up"]).ok();
        assert_eq!(members_of(&group), 0, "{}", idle.stderr);
        assert!(!idle.stderr.contains("partitions assigned"), "{}", idle.stderr);
        assert!(!idle.stderr.contains("LeaveGroup"), "{}", idle.stderr);
    }
    send();
    let begun = Instant::now();
    let run = project.run(&["run", "--until-caught-up"]).ok();
    // A member left behind would hold it up for a session of 10 s.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}: {}", begun.elapsed(), run.stderr);
    assert_eq!(database.count("events"), 20);
}
