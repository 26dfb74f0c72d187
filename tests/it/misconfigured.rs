//! What is told where the configuration, or what stands around it, is not as it should be.

use crate::{
    harness::{Finished, Project, bootstrap_servers, create_topic, unique, wait_until},
    registry_client::answering,
};
use axum::{Router, http::StatusCode};
use std::{fs, net::TcpListener, time::Duration};

const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"t","fields":[{"name":"id","type":"long"}]}"#;

/// A routes.toml with one route, with `rest` after `[kafka]`'s servers.
fn project(app: &str, servers: &str, rest: &str, destination: &str) -> Project {
    Project::new(&format!(
        "version = 1\napp = \"{app}\"\n[kafka]\nbootstrap_servers = \"{servers}\"\n{rest}\n[routes.r]\n\
         topic = \"{app}_in\"\nformat = \"json\"\nschema = \"t.Event\"\ndlq = \"discard\"\n\
         destination = {destination}\n"
    ))
    .file("schemas/event.avsc", SCHEMA)
}

const TOPIC: &str = "{ topic = \"elsewhere\", format = \"json\" }";
const TABLE: &str = "{ database = \"shop\", table = \"events\" }";

/// An address at which nobody listens.
fn closed_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[track_caller]
fn assert_says(finished: &Finished, code: i32, words: &[&str]) {
    let said = format!("{}{}", finished.stdout, finished.stderr);
    assert_eq!(finished.code, Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word}:\n{said}");
    }
}

#[test]
fn programs_that_ask_for_json_get_json_whatever_is_wrong() {
    let project = Project::new("nonsense = 1\n").file("latin.toml", "version = 1").file("schemas/event.avsc", SCHEMA);
    fs::write(project.folder.join("latin.toml"), b"app = \"caf\xe9\"\n").unwrap();
    let commands =
        ["plan", "apply --yes", "schemas check", "schemas diff", "schemas register", "dashboards --check", "check"];
    for command in commands {
        for (file, code) in [("routes.toml", 1), ("latin.toml", 1), ("nope.toml", 3), ("schemas", 3)] {
            let arguments: Vec<&str> = command.split(' ').chain(["--format", "json", "-f", file]).collect();
            let finished = project.run(&arguments);
            let told: serde_json::Value =
                serde_json::from_str(&finished.stdout).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {finished:?}"));
            assert_eq!((finished.code, &told["ok"]), (Some(code), &false.into()), "{arguments:?}: {finished:?}");
            assert!(told["errors"].as_u64().unwrap() > 0 && finished.stderr.is_empty(), "{finished:?}");
        }
    }
    let finished = project.run(&["apply", "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!((finished.code, &told["ok"]), (Some(2), &false.into()), "{finished:?}");
}

#[test]
fn a_run_without_routes_says_what_to_write() {
    let project = Project::new("version = 1\napp = \"a\"\n[kafka]\nbootstrap_servers = \"localhost:9092\"\n")
        .file("schemas/event.avsc", SCHEMA);
    assert_says(&project.run(&["run"]), 2, &["no routes", "[routes.NAME]"]);
}

#[test]
fn a_password_in_a_collector_s_url_is_used_and_not_shown() {
    let url = answering(Router::new().fallback(async || (StatusCode::NOT_FOUND, "nothing here")));
    let url = url.replace("http://", "http://u:hunter2@");
    let project = Project::shipped();
    for to in [format!("{url}/wrong"), "http://u:hunter2@[::/x".to_owned()] {
        let finished = project.run(&["generate", "processed-events", "--count", "1", "--to", &to]);
        assert_says(&finished, 3, &[]);
        assert!(!format!("{finished:?}").contains("hunter2"), "{finished:?}");
    }
}

#[test]
fn why_no_broker_answers_is_told_with_what_to_do() {
    let html = answering(Router::new()).replace("http://", "");
    let (closed, real) = (closed_port(), bootstrap_servers());
    let ssl = "properties = { \"security.protocol\" = \"SSL\" }";
    let sasl = "properties = { \"security.protocol\" = \"SASL_PLAINTEXT\", \"sasl.mechanisms\" = \"PLAIN\", \
                \"sasl.username\" = \"u\", \"sasl.password\" = \"hunter2\" }";
    for (servers, properties, why, help) in [
        (closed.as_str(), "", "Connection refused", "start the brokers"),
        ("nowhere.invalid:9092", "", "resolve", "bootstrap_servers"),
        (&real, ssl, "SSL", "security.protocol"),
        (&real, sasl, "SASL", "security.protocol"),
        (&html, "", "", "security.protocol"),
    ] {
        let planned = project("a", servers, properties, TOPIC).run(&["plan", "--only", "topics"]);
        assert_says(&planned, 3, &[why, help, servers]);
        assert!(!planned.stdout.contains("BrokerTransportFailure"), "{}", planned.stdout);
        assert!(!format!("{planned:?}").contains("hunter2"), "{planned:?}");
    }
}

#[test]
fn a_file_that_is_no_database_stands_until_a_person_acts() {
    let app = unique("no_database");
    create_topic(&format!("{app}_in"), 1, &[]);
    let table = "[databases.shop]\nurl = \"sqlite://shop.db\"";
    let project =
        project(&app, &bootstrap_servers(), table, TABLE).file("shop.db", &"no database at all\n".repeat(500));
    let mut run = project.spawn(&["run"]);
    wait_until("it ends by itself", Duration::from_secs(60), || !run.runs());
    let again = "then start the process again";
    assert_says(
        &run.wait(),
        3,
        &["file is not a database", "\"help\":", "`url` of the database in routes.toml", again],
    );
    let planned = project.run(&["plan", "--only", "tables"]);
    assert_says(&planned, 1, &["file is not a database", "help: "]);
    assert!(!format!("{planned:?}").contains(again), "nothing has started there: {planned:?}");
}

#[test]
fn a_folder_in_which_nothing_may_be_written_stands_too() {
    let app = unique("no_folder");
    create_topic(&format!("{app}_in"), 1, &[]);
    // A file where the folder should be: what a user without rights gets, and root gets it too.
    let table = "[databases.shop]\nurl = \"sqlite://data/shop.db\"";
    let project = project(&app, &bootstrap_servers(), table, TABLE).file("data", "");
    let mut run = project.spawn(&["run"]);
    wait_until("it ends by itself", Duration::from_secs(60), || !run.runs());
    assert_says(&run.wait(), 3, &["cannot make ", "\"help\":", "`url` of the database in routes.toml"]);
    assert_says(&project.run(&["plan", "--only", "tables"]), 1, &["data: it is no folder", "help: "]);
}

#[test]
fn a_route_to_a_table_needs_no_lock_file_for_its_name() {
    let app = unique("no_lock");
    create_topic(&format!("{app}_in"), 1, &[]);
    let table = "[databases.shop]\nurl = \"sqlite://shop.db\"\nmigrations = \"m\"";
    let project = project(&app, &bootstrap_servers(), table, TABLE)
        .file("m/1_events.sql", "CREATE TABLE events (id INTEGER NOT NULL);")
        .variable("TMPDIR", "/nowhere");
    assert_says(&project.run(&["run", "--migrate", "--until-caught-up"]), 0, &["records in all"]);
}

#[test]
fn a_postgres_that_is_not_there_is_named() {
    let down = closed_port();
    let table = format!("[databases.shop]\nurl = \"postgres://me:hunter2@{down}/x\"");
    let planned = project("a", "localhost:9092", &table, TABLE).run(&["plan", "--only", "tables"]);
    assert_says(
        &planned,
        3,
        &[&down, "Connection refused", "help: start it, or correct `url` of the database in routes.toml"],
    );
    assert!(!planned.stdout.contains("hunter2"), "{}", planned.stdout);
}

#[test]
fn files_of_a_migrations_folder_that_cannot_be_meant_are_named() {
    let table = "[databases.shop]\nurl = \"sqlite://shop.db\"\nmigrations = \"m\"";
    let sql = "CREATE TABLE events (id BIGINT NOT NULL);";
    let plan = |project: &Project| project.run(&["plan", "--only", "tables"]);
    let twice = project("a", "localhost:9092", table, TABLE).file("m/1_one.sql", sql).file("m/1_two.sql", "SELECT 1;");
    assert_says(&plan(&twice), 1, &["1_one.sql and 1_two.sql", "one number", "help: "]);
    let unnumbered = project("a", "localhost:9092", table, TABLE).file("m/1_one.sql", sql).file("m/events.sql", sql);
    assert_says(&unnumbered.run(&["check"]), 0, &["events.sql", "never applied", "NUMBER_WORDS.sql", "1 warning"]);
    let worded = project("a", "localhost:9092", table, TABLE).file("m/make_events.sql", sql);
    assert_says(&plan(&worded), 1, &["make_events.sql", "no number", "NUMBER_WORDS.sql"]);
    let good = project("a", "localhost:9092", table, TABLE).file("m/1_one.up.sql", sql).file("m/1_one.down.sql", "");
    assert_says(&plan(&good), 0, &["apply migration 1_one"]);
}

#[test]
fn a_file_that_was_named_has_to_be_there() {
    let project = Project::shipped();
    for name in ["processed-events", "shop.Order"] {
        let finished = project.run(&["generate", name, "-f", "nope.toml", "--count", "1"]);
        assert_says(&finished, 3, &["cannot read nope.toml"]);
    }
}

#[test]
fn what_cannot_be_generated_is_refused_at_once_with_what_to_do() {
    let project = Project::shipped();
    fs::create_dir(project.folder.join("taken")).unwrap();
    let token = [("POINTSMAN_TOKEN".to_owned(), "a\nb".to_owned())];
    let to = format!("http://{}/events", closed_port());
    let refused = project.spawn_with(&["generate", "shop.Order", "--count", "1", "--to", &to], &token).wait();
    assert_says(&refused, 2, &["token", "line breaks"]);
    for (arguments, code, said) in [
        (&["shop.Order", "--to", "file:taken"][..], 3, "a file that may be written"),
        (&["shop.Order", "--to", "topic:bad name"], 2, "Kafka has no topic named `bad name`"),
        (&["shop.Order", "--faults", "truncated"], 2, "--invalid"),
    ] {
        assert_says(&project.run(&[&["generate"], arguments].concat()), code, &[said]);
    }
}
