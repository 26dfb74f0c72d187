//! `plan` and `apply` of topics: what differs is told apart into what is changed, what is left, and what is refused.

use crate::harness::{Finished, Project, block_on, bootstrap_servers, client, create_topic, unique};
use rdkafka::{
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};
use serde_json::Value;
use std::time::Duration;

const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"plan","fields":[{"name":"id","type":"long"}]}"#;

fn project(app: &str, topics: &str, routes: &str) -> Project {
    let servers = bootstrap_servers();
    let head = format!("version = 1\napp = \"{app}\"\n[kafka]\nbootstrap_servers = \"{servers}\"\n");
    Project::new(&[&head, topics, routes].concat()).file("schemas/event.avsc", SCHEMA)
}

fn route(name: &str, from: &str, to: &str, more: &str) -> String {
    format!(
        "[routes.{name}]\ntopic = \"{from}\"\nformat = \"json\"\nschema = \"plan.Event\"\n{more}\
         [routes.{name}.destination]\ntopic = \"{to}\"\nformat = \"json\"\n"
    )
}

fn partitions(topic: &str) -> usize {
    let consumer: BaseConsumer = client().create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(20)).unwrap();
    metadata.topics()[0].partitions().len()
}

fn default_partitions() -> usize {
    let consumer: BaseConsumer = client().create().unwrap();
    let broker = consumer.fetch_metadata(None, Duration::from_secs(20)).unwrap().brokers()[0].id();
    described(ResourceSpecifier::Broker(broker), "num.partitions").parse().unwrap()
}

fn setting(topic: &str, name: &str) -> String {
    described(ResourceSpecifier::Topic(topic), name)
}

fn described(what: ResourceSpecifier<'_>, name: &str) -> String {
    let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
    let described = block_on(admin.describe_configs(&[what], &AdminOptions::new()));
    let resource = described.unwrap().remove(0).unwrap();
    resource.get(name).unwrap().value.clone().unwrap()
}

fn report(project: &Project) -> (Option<i32>, Value) {
    let Finished { code, stdout, stderr } = project.run(&["plan", "--format", "json"]);
    (code, serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}{stderr}")))
}

fn item<'r>(report: &'r Value, name: &str) -> &'r Value {
    let items = report["items"].as_array().unwrap();
    items.iter().find(|i| i["name"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

/// The words of an item's steps.
fn steps(item: &Value) -> Vec<&str> {
    item["steps"].as_array().unwrap().iter().map(|s| s["words"].as_str().unwrap()).collect()
}

/// Code and message of an item's only problem, or note.
fn only<'i>(item: &'i Value, kind: &str) -> (&'i str, &'i str) {
    let [found] = &item[kind].as_array().unwrap()[..] else { panic!("{item:#}") };
    (found["code"].as_str().unwrap(), found["message"].as_str().unwrap())
}

#[test]
fn a_topic_grows_takes_its_settings_and_keeps_what_only_people_can_change() {
    let app = unique("plan_differ");
    let (input, wide, output) = (format!("{app}_in"), format!("{app}_wide"), format!("{app}_out"));
    create_topic(&input, 2, &[("retention.ms", "1000"), ("segment.ms", "60000")]);
    create_topic(&wide, 4, &[("cleanup.policy", "delete")]);
    let topics = format!(
        "[topics.{input}]\npartitions = 3\nconfig = {{ \"retention.ms\" = 2000, \"cleanup.policy\" = \"compact, delete\" }}\n\
         [topics.{wide}]\npartitions = 3\nreplication = 2\nconfig = {{ \"cleanup.policy\" = \"delete\" }}\n"
    );
    let more = "dlq = \"discard\"\n";
    let routes = [route("a", &input, &output, more), route("b", &wide, &output, more)].concat();
    let project = project(&app, &[topics, format!("[topics.{output}]\npartitions = 1\n")].concat(), &routes);
    let (code, planned) = report(&project);
    assert_eq!(code, Some(0));
    let of_input = item(&planned, &input);
    assert_eq!(
        steps(of_input),
        [
            "widen from 2 to 3 partitions",
            "set cleanup.policy from delete to compact, delete",
            "set retention.ms from 1000 to 2000"
        ]
    );
    let of_wide = item(&planned, &wide);
    assert_eq!((of_wide["status"].as_str(), steps(of_wide).len()), (Some("same"), 0));
    let notes: Vec<_> = of_wide["notes"].as_array().unwrap().iter().map(|n| n["code"].as_str().unwrap()).collect();
    assert_eq!(notes, ["more-partitions", "replication-differs"]);

    project.run(&["apply", "--yes"]).ok();
    assert_eq!((partitions(&input), partitions(&wide), partitions(&output)), (3, 4, 1));
    assert_eq!((setting(&input, "retention.ms"), setting(&input, "segment.ms")), ("2000".into(), "60000".into()));
    let human = project.run(&["plan", "--exit-code"]).ok();
    assert!(human.stdout.contains("note: has 1 copy of each partition, and routes.toml says 2"), "{}", human.stdout);
    assert!(human.stdout.ends_with("plan: nothing to do, 2 notes to look at\n"), "{}", human.stdout);
}

#[test]
fn a_topic_of_no_given_number_of_partitions_has_the_brokers_default() {
    let app = unique("plan_default");
    let [input, output, dlq] = ["in", "out", "dlq"].map(|t| format!("{app}_{t}"));
    create_topic(&output, 2, &[]);
    let topics = format!("[topics.{input}]\n[topics.{output}]\n");
    let project = project(&app, &topics, &route("r", &input, &output, &format!("dlq = \"{dlq}\"\n")));
    let (code, planned) = report(&project);
    assert_eq!((code, steps(item(&planned, &output)).len()), (Some(0), 0));
    for made in [&input, &dlq] {
        let step = &item(&planned, made)["steps"][0];
        assert_eq!(step["words"], "create with the brokers' default number of partitions");
        assert_eq!(step["partitions"], Value::Null);
    }
    project.run(&["apply", "--yes"]).ok();
    let default = default_partitions();
    assert_eq!((partitions(&input), partitions(&dlq), partitions(&output)), (default, default, 2));
    let human = project.run(&["plan", "--exit-code"]).ok();
    assert!(human.stdout.contains("plan: nothing to do: everything"), "{}", human.stdout);
}

#[test]
fn what_the_brokers_refuse_is_known_before_anything_is_made() {
    let app = unique("plan_refused");
    let (input, output, there) = (format!("{app}_in"), format!("{app}_out"), format!("{app}_there"));
    create_topic(&there, 1, &[]);
    let topics = format!(
        "[topics.{input}]\nreplication = 9\n[topics.{output}]\nconfig = {{ \"retention\" = 1 }}\n\
         [topics.{there}]\nconfig = {{ \"retention.ms\" = \"soon\", \"retentoin.ms\" = 5 }}\n"
    );
    let project = project(&app, &topics, &route("r", &input, &output, &format!("dlq = \"{there}\"\n")));
    let (code, planned) = report(&project);
    assert_eq!(code, Some(1));
    for (topic, words) in [(&input, "replication factor"), (&output, "retention"), (&there, "retent")] {
        let (code, message) = only(item(&planned, topic), "problems");
        assert!(code == "topic-refused" && message.to_lowercase().contains(words), "{topic}: {code}: {message}");
    }
    let refused = project.run(&["apply", "--yes"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stdout.contains("3 problems: nothing was applied"), "{}", refused.stdout);
    assert_eq!(report(&project).1["items"], planned["items"], "nothing was made");
}

#[test]
fn topics_that_are_expected_and_missing_are_findings() {
    let app = unique("plan_missing");
    let (input, output, dlq) = (format!("{app}_in"), format!("{app}.out"), format!("{app}_dlq"));
    let project = project(&app, "", &route("r", &input, &output, &format!("dlq = \"{dlq}\"\n")));
    let (code, planned) = report(&project);
    assert_eq!(code, Some(1));
    assert_eq!(
        only(item(&planned, &input), "problems"),
        ("topic-missing", "does not exist, and [topics] does not list it: route `r` reads it")
    );
    let of_output = item(&planned, &output);
    assert_eq!(only(of_output, "problems").1, "does not exist, and [topics] does not list it: route `r` writes to it");
    let help = of_output["problems"][0]["help"].as_str().unwrap();
    assert!(help.contains(&format!("[topics.\"{output}\"]")), "{help}");
    let (code, message) = only(item(&planned, &dlq), "notes");
    assert_eq!((code, message), ("waits", &*format!("is made with the partitions of {input}, once that exists")));

    // `run` says the same of each.
    let ran = project.run(&["run", "--until-caught-up"]);
    assert!(ran.code == Some(3) && ran.stderr.contains("pointsman apply"), "{}", ran.stderr);
}

#[test]
fn dead_letters_get_as_many_partitions_as_their_widest_source() {
    let app = unique("plan_dlq");
    let [a, b, out, dlq, again] = ["a", "b", "out", "dlq", "again"].map(|t| format!("{app}_{t}"));
    for (topic, partitions) in [(&a, 2), (&b, 5), (&out, 1)] {
        create_topic(topic, partitions, &[]);
    }
    // The letters of `retried` come from a topic that is itself one of dead letters.
    let routes = [
        route("r", &a, &out, &format!("dlq = \"{dlq}\"\n")),
        route("s", &b, &out, &format!("dlq = \"{dlq}\"\n")),
        route("retried", &dlq, &out, &format!("dlq = \"{again}\"\n")),
    ];
    let project = project(&app, &format!("[topics.{a}]\npartitions = 2\nreplication = 1\n"), &routes.concat());
    let (code, planned) = report(&project);
    assert_eq!((code, steps(item(&planned, &dlq))), (Some(0), vec!["create with 5 partitions, 1 replica"]));
    project.run(&["apply", "--yes"]).ok();
    assert_eq!((partitions(&dlq), partitions(&again)), (5, 5));
    project.run(&["plan", "--exit-code"]).ok();
}

#[test]
fn the_same_partition_needs_as_many_as_the_source_will_have() {
    let app = unique("plan_same");
    let (input, output) = (format!("{app}_in"), format!("{app}_out"));
    create_topic(&input, 2, &[]);
    create_topic(&output, 2, &[]);
    let route = route("r", &input, &output, "dlq = \"discard\"\n") + "partition = \"same\"\n";
    let grows = project(&app, &format!("[topics.{input}]\npartitions = 4\n"), &route);
    let (code, planned) = report(&grows);
    assert_eq!(code, Some(1));
    let (code, message) = only(item(&planned, &output), "problems");
    assert_eq!(
        (code, message),
        (
            "too-few-partitions",
            &*format!("has 2 partitions, and route `r` writes with partition = \"same\" from {input}, which has 4")
        )
    );
    let both = format!("[topics.{input}]\npartitions = 4\n[topics.{output}]\npartitions = 4\n");
    let both = project(&app, &both, &route);
    both.run(&["apply", "--yes"]).ok();
    assert_eq!((partitions(&input), partitions(&output)), (4, 4));
}

#[test]
fn a_default_that_nobody_knows_is_no_number_to_count_on() {
    let app = unique("plan_unknown");
    let [a, b, out, dlq] = ["a", "b", "out", "dlq"].map(|t| format!("{app}_{t}"));
    create_topic(&b, 2, &[]);
    let same = |topics: &str| {
        let route = route("r", &a, &out, "dlq = \"discard\"\n") + "partition = \"same\"\n";
        report(&project(&app, topics, &route))
    };
    let default = "is made with the brokers' default number of partitions";
    let (code, planned) = same(&format!("[topics.{a}]\npartitions = 6\n[topics.{out}]\n"));
    let says = format!("{default}, and route `r` writes with partition = \"same\" from {a}, which has 6");
    assert_eq!((code, only(item(&planned, &out), "problems")), (Some(1), ("too-few-partitions", &*says)));
    let (code, planned) = same(&format!("[topics.{a}]\n[topics.{out}]\npartitions = 2\n"));
    let says = format!("has 2 partitions, and route `r` writes with partition = \"same\" from {a}, which {default}");
    assert_eq!((code, only(item(&planned, &out), "problems")), (Some(1), ("too-few-partitions", &*says)));
    // Both have the same default.
    assert_eq!(same(&format!("[topics.{a}]\n[topics.{out}]\n")).0, Some(0));
    // Letters of two sources, one of them with the default: how many partitions they need shows once both are there.
    let routes = [&a, &b].map(|from| route(&from[app.len() + 1..], from, &out, &format!("dlq = \"{dlq}\"\n")));
    let project = project(&app, &format!("[topics.{a}]\n[topics.{out}]\n"), &routes.concat());
    let (code, planned) = report(&project);
    assert_eq!((code, only(item(&planned, &dlq), "notes").0), (Some(0), "waits"));
}
