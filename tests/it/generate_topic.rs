//! `generate` to topics of a real Kafka: what it makes for a route, the route takes.

use crate::{
    harness::{Database, Finished, Project, Registry, bootstrap_servers, create_topic, read_topic, unique, wait_until},
    jobs::{Shipped, stored_letters},
};
use std::time::Duration;

/// The number before these words in what the command told last.
#[track_caller]
fn told(finished: &Finished, words: &str) -> usize {
    let line = finished.stderr.lines().rev().find(|l| l.contains(words));
    let line = line.unwrap_or_else(|| panic!("nobody told of `{words}`:\n{}", finished.stderr));
    let before = line.split(words).next().unwrap();
    before.rsplit(' ').find(|w| !w.is_empty()).unwrap().replace(',', "").parse().unwrap()
}

#[test]
fn each_shipped_route_takes_what_is_generated_for_it_and_refuses_the_faults() {
    let topics = [
        ("raw-events", 2),
        ("processed-events", 2),
        ("dead-letter-queue", 1),
        ("ecommerce_events_raw", 2),
        ("ecommerce_events_enriched", 2),
        ("dead_letter_queue", 1),
        ("orders", 2),
        ("sales_events", 2),
        ("jobs", 2),
    ];
    let [shop, crm, jobs] = ["shop", "crm", "jobs"].map(Database::new);
    let shipped = Shipped::new(&topics)
        .variable("SHOP_DATABASE_URL", &shop.url)
        .variable("CRM_DATABASE_URL", &crm.url)
        .variable("JOBS_DATABASE_URL", &jobs.url);
    let routes: [(&str, &dyn Fn() -> usize); 6] = [
        ("processed-events", &|| shipped.letters("dead-letter-queue").len()),
        ("stored-events", &|| stored_letters(&shop, "dead_letters WHERE route = 'stored-events'").len()),
        ("enriched-events", &|| shipped.letters("dead_letter_queue").len()),
        ("stored-orders", &|| stored_letters(&shop, "dead_letters WHERE route = 'stored-orders'").len()),
        ("sales", &|| stored_letters(&crm, "dead_letters").len()),
        ("job-states", &|| stored_letters(&jobs, "dead_letters").len()),
    ];
    for (route, letters) in routes {
        let good = shipped.project.run(&["generate", route, "--to", "topic", "--count", "200"]).ok();
        assert_eq!(told(&good, " acknowledged"), 200, "{}", good.stderr);
        shipped.run(route);
        assert_eq!(letters(), 0, "{route} refuses what was generated for it");

        let some_bad = ["generate", route, "--to", "topic", "--count", "200", "--seed", "2", "--invalid", "20%"];
        let faults = told(&shipped.project.run(&some_bad).ok(), " with a fault");
        assert!(faults > 20, "{faults}");
        shipped.run(route);
        assert_eq!(letters(), faults, "{route}");
    }
}

const ROUTES: &str = r#"
version = 1
app = "APP"
[kafka]
bootstrap_servers = "${KAFKA}"
[schema_registry]
url = "${REGISTRY}"
[routes.r]
topic = "TOPIC"
schema = "t.Reading"
dlq = "discard"
destination = { topic = "elsewhere", format = "json" }
"#;
const READING: &str = r#"{"type":"record","name":"Reading","namespace":"t","fields":[
  {"name":"sensor","type":"string","pointsman":{"pattern":"s{1..9}","key":true}},
  {"name":"celsius","type":"double","pointsman":{"range":[-20,40]}}]}"#;

fn readings(topic: &str, registry: &str) -> Project {
    Project::new(&ROUTES.replace("TOPIC", topic).replace("APP", &unique("app")))
        .file("schemas/Reading.avsc", READING)
        .variable("KAFKA", &bootstrap_servers())
        .variable("REGISTRY", registry)
}

#[test]
fn avro_records_are_framed_with_the_id_that_the_registry_gives_them_and_keyed() {
    let (topic, registry) = (unique("readings"), Registry::start());
    create_topic(&topic, 3, &[]);
    let project = readings(&topic, &registry.url);
    let finished = project.run(&["generate", "r", "--to", "topic", "--count", "500", "--batch", "100"]).ok();
    assert!(finished.stderr.contains(&format!("t.Reading is registered as {topic}-value, id ")), "{}", finished.stderr);
    let records = read_topic(&topic);
    assert_eq!(records.len(), 500);
    for record in &records {
        let (key, value) = (record.key.as_deref().unwrap(), record.value.as_deref().unwrap());
        assert_eq!(value[..4], [0, 0, 0, 0]);
        assert_eq!(value[6..6 + key.len()], *key, "the key is the sensor's text");
    }
    // Nothing is left that a Ctrl-C would lose: what was sent is acknowledged before it ends.
    let mut endless = project.spawn(&["generate", "r", "--to", "topic", "--rate", "2000"]);
    wait_until("records come", Duration::from_secs(60), || endless.stderr().contains("acknowledged"));
    endless.signal("INT");
    wait_until("it ends", Duration::from_secs(60), || !endless.runs());
    let ended = endless.wait().ok();
    let sent = told(&ended, " records of r");
    assert_eq!(told(&ended, " acknowledged"), sent, "{}", ended.stderr);
    assert_eq!(read_topic(&topic).len(), 500 + sent);
}

#[test]
fn what_is_not_there_is_told_with_what_to_do() {
    let project = readings("nowhere-to-be-found", "http://127.0.0.1:9");
    let missing = project.run(&["generate", "t.Reading", "--to", "topic:nowhere-to-be-found", "--format", "json"]);
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);
    assert!(missing.stderr.contains("there is no topic nowhere-to-be-found"), "{}", missing.stderr);
    let no_registry = project.run(&["generate", "r", "--to", "topic"]);
    assert_eq!(no_registry.code, Some(3), "{}", no_registry.stderr);
    assert!(no_registry.stderr.contains("127.0.0.1:9"), "{}", no_registry.stderr);
}

const FLOW: &str = r#"
version = 1
app = "APP"
[kafka]
bootstrap_servers = "${KAFKA}"
[schema_registry]
url = "${REGISTRY}"
[enrichers.more.set]
note = "'a note'"
[routes.in]
topic = "TOPIC_raw"
format = "json"
schema = "t.Reading"
enricher = "more"
dlq = "discard"
destination = { topic = "TOPIC" }
[routes.store]
topic = "TOPIC"
schema = "t.Reading"
dlq = "discard"
destination = { topic = "elsewhere", format = "json" }
"#;

#[test]
fn a_subject_that_has_versions_gets_no_new_one() {
    let (topic, registry) = (unique("flow"), Registry::start());
    create_topic(&topic, 1, &[]);
    let project = Project::new(&FLOW.replace("TOPIC", &topic).replace("APP", &unique("app")))
        .file("schemas/Reading.avsc", READING)
        .variable("KAFKA", &bootstrap_servers())
        .variable("REGISTRY", &registry.url);
    project.run(&["schemas", "register"]).ok();
    let subject = format!("{topic}-value");
    let written = registry.latest(&subject);
    assert!(written.contains("\"note\""), "{written}");
    let refused = project.run(&["generate", "store", "--to", "topic", "--count", "1"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    for words in [&*format!("{subject} has version 1"), "pointsman generate in --to topic", "pointsman schemas diff"] {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    assert_eq!(registry.latest(&subject), written);
    assert_eq!(read_topic(&topic).len(), 0);

    // A version that is no longer the newest can be written with: the id is its own.
    let other = unique("older");
    let subject = format!("{other}-value");
    create_topic(&other, 1, &[]);
    let to = format!("topic:{other}");
    project.run(&["generate", "t.Reading", "--to", &to, "--format", "avro", "--count", "1"]).ok();
    registry.set("/config", serde_json::json!({ "compatibility": "NONE" }));
    registry.register(&subject, &written);
    let one = project.run(&["generate", "t.Reading", "--to", &to, "--format", "avro", "--count", "1"]).ok();
    assert!(one.stderr.contains("1 record of t.Reading "), "{}", one.stderr);
    assert_eq!(registry.latest(&subject), written, "nothing was registered");
    let ids: Vec<_> = read_topic(&other).iter().map(|r| r.value.as_deref().unwrap()[..5].to_vec()).collect();
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn a_schema_that_the_registry_refuses_is_a_finding() {
    let (topic, registry) = (unique("read_only"), Registry::start());
    registry.set("/mode", serde_json::json!({ "mode": "READONLY" }));
    let refused = readings(&topic, &registry.url).run(&["generate", "r", "--to", "topic", "--count", "1"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(!refused.stderr.contains("`pointsman schemas`"), "{}", refused.stderr);
}
