//! What a process says of itself while something that it needs does not answer.

use crate::harness::{
    Broker, Project, Running, block_on, bootstrap_servers, create_topic, delete_topic, head, message, produce,
    read_topic, unique, wait_until,
};
use std::{net::TcpListener, time::Duration};

const PATIENCE: Duration = Duration::from_secs(90);
const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"waits","fields":[{"name":"id","type":"long"}]}"#;

/// A process under way, and where its pages are.
struct Waiting {
    run: Running,
    pages: String,
    _project: Project,
}

impl Waiting {
    fn start(arguments: &[&str], servers: &str, rest: &str, destination: &str) -> Waiting {
        let (app, listen) = (unique("waits"), closed_port());
        let input = format!("{app}_in");
        create_topic(&input, 1, &[]);
        create_topic(&format!("{app}_out"), 1, &[]);
        let destination = destination.replace("{app}", &app);
        let project = Project::new(&format!(
            "version = 1\napp = \"{app}\"\n[kafka]\nbootstrap_servers = \"{servers}\"\n[http]\nlisten = \"{listen}\"\n\
             {rest}\n[routes.r]\ntopic = \"{input}\"\nformat = \"json\"\nschema = \"waits.Event\"\ndlq = \"stop\"\n\
             destination = {destination}\n"
        ))
        .file("schemas/event.avsc", SCHEMA)
        .file("migrations/1_events.sql", "CREATE TABLE events (id BIGINT NOT NULL);");
        Waiting { run: project.spawn(arguments), pages: format!("http://{listen}"), _project: project }
    }

    fn page(&self, path: &str) -> Option<(u16, String)> {
        block_on(async {
            let answer = reqwest::get(format!("{}{path}", self.pages)).await.ok()?;
            Some((answer.status().as_u16(), answer.text().await.ok()?))
        })
    }

    /// Waits until /ready says all of this, with 503; then what /health says of the route.
    fn says(&mut self, words: &[&str]) -> serde_json::Value {
        let mut said = None;
        wait_until("/ready says what is awaited", PATIENCE, || {
            assert!(self.run.runs(), "{}", self.run.stderr());
            said = self.page("/ready");
            said.as_ref().is_some_and(|(status, text)| *status == 503 && words.iter().all(|w| text.contains(w)))
        });
        let (_, health) = self.page("/health").unwrap();
        serde_json::from_str::<serde_json::Value>(&health).unwrap()["routes"][0].take()
    }
}

/// An address at which nobody listens.
fn closed_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_broker_that_is_down_at_the_start_is_named_with_the_time_and_the_last_setback() {
    let broker = closed_port();
    let mut waiting = Waiting::start(&["run"], &broker, "", "{ topic = \"{app}_out\", format = \"json\" }");
    let kafka = format!("r is starting, waits for Kafka at {broker} since 2");
    waiting.says(&[&kafka]);
    let kafka = format!("r is recovering, waits for Kafka at {broker} since 2");
    let route = waiting.says(&[&kafka, "attempt"]);
    assert_eq!(route["waits_for"]["what"], format!("Kafka at {broker}"));
    assert_eq!(route["last_setback"]["cause"], "broker");
    waiting.run.signal("TERM");
    waiting.run.wait().ok();
}

/// The member asks on and on; nothing would be read, and nothing said.
#[test]
fn a_group_that_does_not_take_the_member_is_told() {
    let property = "[kafka.consumer]\n\"session.timeout.ms\" = \"900\"\n\"heartbeat.interval.ms\" = \"300\"";
    let destination = "{ topic = \"{app}_out\", format = \"json\" }";
    let mut waiting = Waiting::start(&["run"], &bootstrap_servers(), property, destination);
    wait_until("the refusal is told", PATIENCE, || {
        assert!(waiting.run.runs(), "{}", waiting.run.stderr());
        waiting.run.stderr().contains("within the brokers' group.min.session.timeout.ms")
    });
    waiting.run.signal("TERM");
    waiting.run.wait().ok();
}

#[test]
fn a_registry_or_database_that_is_down_at_the_start_is_named() {
    let down = closed_port();
    let registry = format!("[schema_registry]\nurl = \"http://{down}\"");
    let mut waiting = Waiting::start(&["run"], &bootstrap_servers(), &registry, "{ topic = \"{app}_out\" }");
    let route = waiting.says(&[&format!("waits for the schema registry at http://{down} since 2"), "attempt"]);
    assert_eq!(route["last_setback"]["cause"], "registry");

    let database = format!("[databases.shop]\nurl = \"postgres://nobody@{down}/shop\"\nmigrations = \"migrations\"");
    for arguments in [&["run"][..], &["run", "--migrate"]] {
        let destination = "{ database = \"shop\", table = \"events\" }";
        let mut waiting = Waiting::start(arguments, &bootstrap_servers(), &database, destination);
        let route = waiting.says(&["waits for database shop since 2", "attempt"]);
        assert_eq!(route["last_setback"]["cause"], "database", "{arguments:?}");
    }
}

#[test]
fn a_topic_that_goes_away_is_waited_for() {
    let app = unique("gone");
    let (input, output) = (format!("{app}_in"), format!("{app}_out"));
    create_topic(&input, 1, &[]);
    create_topic(&output, 1, &[]);
    let project = Project::new(&format!(
        "{}[routes.r]\ntopic = \"{input}\"\nformat = \"json\"\nschema = \"waits.Event\"\ndlq = \"stop\"\n\
         on_position_lost = \"earliest\"\nretry = {{ max = \"1s\" }}\ndestination = {{ topic = \"{output}\", format = \"json\" }}\n",
        head(&app)
    ))
    .file("schemas/event.avsc", SCHEMA);
    let mut run = project.spawn(&["run"]);
    produce(&input, [message("1", r#"{"id":1}"#)]);
    wait_until("the first is delivered", PATIENCE, || read_topic(&output).len() == 1);
    delete_topic(&input);
    wait_until("it says so", PATIENCE, || {
        let told = format!("topic {input} does not exist");
        run.stderr().lines().any(|line| line.contains(&told) && line.contains("\"recovering\"")) || !run.runs()
    });
    create_topic(&input, 1, &[]);
    produce(&input, [message("2", r#"{"id":2}"#)]);
    wait_until("the second is delivered", PATIENCE, || !run.runs() || read_topic(&output).len() == 2);
    assert!(run.runs(), "{}", run.stderr());
    run.signal("TERM");
    run.wait().ok();
}

/// The topics that are written to, each deleted under the routes: nothing is lost or written twice.
#[test]
fn a_destination_and_a_topic_of_dead_letters_that_go_away_are_waited_for() {
    let app = unique("gone");
    let topic = |name: &str| format!("{app}_{name}");
    let all = ["in", "out1", "out2", "dlq"].map(topic);
    all.iter().for_each(|name| create_topic(name, 1, &[]));
    let [input, out1, out2, dlq] = &all;
    let route = |name: &str, delivery: &str, out: &str| {
        format!(
            "[routes.{name}]\ntopic = \"{input}\"\nformat = \"json\"\nschema = \"waits.Event\"\ndlq = \"{dlq}\"\n\
             delivery = \"{delivery}\"\nretry = {{ max = \"1s\" }}\ndestination = {{ topic = \"{out}\", format = \"json\" }}\n"
        )
    };
    let text = [
        head(&app),
        "[kafka.producer]\n\"message.timeout.ms\" = \"3000\"\n".to_owned(),
        route("exactly", "exactly-once", out1),
        route("least", "at-least-once", out2),
    ];
    let project = Project::new(&text.concat()).file("schemas/event.avsc", SCHEMA);
    let mut run = project.spawn(&["run"]);
    let says = |run: &Running, route: &str, topic: &str| {
        let said = [&format!("topic {topic} does not exist"), "pointsman apply", &format!("\"route\":\"{route}\"")];
        run.stderr().lines().any(|line| said.iter().all(|word| line.contains(*word)))
    };
    produce(input, [message("1", r#"{"id":1}"#)]);
    let delivered = || [out1, out2].map(|out| read_topic(out).len());
    wait_until("the first is delivered", PATIENCE, || delivered() == [1, 1]);
    for (gone, record) in [(&all[1..3], r#"{"id":2}"#), (&all[3..], "not json")] {
        gone.iter().for_each(|name| delete_topic(name));
        produce(input, [message("2", record)]);
        wait_until("both routes name what is gone", PATIENCE, || {
            assert!(run.runs(), "{}", run.stderr());
            says(&run, "exactly", &gone[0]) && says(&run, "least", gone.last().unwrap())
        });
        gone.iter().for_each(|name| create_topic(name, 1, &[]));
        let wanted = 2 / gone.len();
        wait_until("both routes go on", PATIENCE, || {
            assert!(run.runs(), "{}", run.stderr());
            gone.iter().all(|name| read_topic(name).len() == wanted)
        });
    }
    assert_eq!(delivered(), [1, 1], "the record of before is with the topics of before");
    run.signal("TERM");
    run.wait().ok();
}

/// librdkafka by itself would connect as often as the machine can to a controller that is down.
#[test]
fn brokers_that_are_down_cost_next_to_nothing() {
    let broker = Broker::start();
    let (app, servers) = (unique("down"), broker.servers());
    ["in", "out"].iter().for_each(|name| broker.create_topic(&format!("{app}_{name}")));
    let project = Project::new(&format!(
        "version = 1\napp = \"{app}\"\n[kafka]\nbootstrap_servers = \"{servers}\"\n[kafka.consumer]\n\
         \"session.timeout.ms\" = \"2000\"\n\"heartbeat.interval.ms\" = \"300\"\n[routes.r]\ntopic = \"{app}_in\"\n\
         format = \"json\"\nschema = \"waits.Event\"\ndlq = \"stop\"\n\
         destination = {{ topic = \"{app}_out\", format = \"json\" }}\n"
    ))
    .file("schemas/event.avsc", SCHEMA);
    let run = project.spawn(&["run"]);
    wait_until("it has its partition", PATIENCE, || {
        ["partitions assigned", "\"flowing\""].iter().all(|said| run.stderr().contains(said))
    });
    broker.produce(&format!("{app}_in"), [message("1", r#"{"id":1}"#)]);
    // Its connections have settled.
    std::thread::sleep(Duration::from_secs(3));
    let used = || run.processor_seconds().unwrap_or_default();
    broker.restart(|| {
        wait_until("it has lost its partition", PATIENCE, || run.stderr().contains("partitions lost"));
        let before = used();
        std::thread::sleep(Duration::from_secs(12));
        let used = used() - before;
        assert!(used < 2.0, "{used} seconds of 12");
    });
    run.signal("TERM");
    run.wait().ok();
}

#[test]
fn a_topic_that_may_not_be_written_to_is_named() {
    // Everybody may do everything, but with topics that have ACLs only what these say.
    let broker = Broker::with(
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         allow.everyone.if.no.acl.found=true\n",
    );
    let (app, servers) = (unique("acl"), broker.servers());
    ["in", "out", "dlq"].iter().for_each(|name| broker.create_topic(&format!("{app}_{name}")));
    let route = |name: &str, delivery: &str| {
        format!(
            "[routes.{name}]\ntopic = \"{app}_in\"\nformat = \"json\"\nschema = \"waits.Event\"\ndlq = \"{app}_dlq\"\n\
             delivery = \"{delivery}\"\ndestination = {{ topic = \"{app}_out\", format = \"json\" }}\n"
        )
    };
    let head = format!("version = 1\napp = \"{app}\"\n[kafka]\nbootstrap_servers = \"{servers}\"\n");
    let project = Project::new(&[head, route("exactly", "exactly-once"), route("least", "at-least-once")].concat())
        .file("schemas/event.avsc", SCHEMA);
    broker.forbid_writing(&format!("{app}_dlq"));
    broker.produce(&format!("{app}_in"), [message("1", r#"{"id":1}"#), message("2", "not json")]);
    let run = project.spawn(&["run"]);
    for route in ["exactly", "least"] {
        let said = [format!("\"route\":\"{route}\""), format!("{app}_dlq"), "Topic authorization failed".to_owned()];
        wait_until("the topic is named", PATIENCE, || {
            let stderr = run.stderr();
            let mut told = stderr.lines().filter(|line| line.contains("\"recovering\"") && line.contains(&said[0]));
            let first = told.next();
            assert!(first.is_none_or(|line| said.iter().all(|word| line.contains(word))), "{stderr}");
            first.is_some_and(|line| line.contains("ACLs"))
        });
    }
    run.signal("TERM");
    run.wait().ok();
}

#[test]
fn a_cluster_without_a_coordinator_of_groups_is_told() {
    let broker = Broker::with("offsets.topic.replication.factor=3\n");
    let (app, servers, listen) = (unique("coordinator"), broker.servers(), closed_port());
    broker.create_topic(&format!("{app}_in"));
    let project = Project::new(&format!(
        "version = 1\napp = \"{app}\"\n[kafka]\nbootstrap_servers = \"{servers}\"\n[http]\nlisten = \"{listen}\"\n\
         [databases.shop]\nurl = \"sqlite://shop.db\"\nmigrations = \"migrations\"\n[routes.r]\ntopic = \"{app}_in\"\n\
         format = \"json\"\nschema = \"waits.Event\"\ndlq = \"stop\"\n\
         destination = {{ database = \"shop\", table = \"events\" }}\n"
    ))
    .file("schemas/event.avsc", SCHEMA)
    .file("migrations/1_events.sql", "CREATE TABLE events (id BIGINT NOT NULL);");
    let run = project.spawn(&["run", "--migrate"]);
    let mut waiting = Waiting { run, pages: format!("http://{listen}"), _project: project };
    waiting.says(&[&format!("r is starting, waits for a place in consumer group {app}.r since 2")]);
    waiting.says(&["offsets.topic.replication.factor"]);
    assert!(!waiting.run.stderr().contains("flowing"), "{}", waiting.run.stderr());
    waiting.run.signal("TERM");
    waiting.run.wait().ok();
}
