//! Each command line of deploy/compose.yaml run as it stands, outside a container: the e-commerce job end to end.

use crate::{
    composed::compose,
    harness::{Database, Finished, Project, Running, Service, start_kafka_with, wait_until},
    shipped::root,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;
use std::{collections::BTreeMap, net::TcpListener, process::Command, time::Duration};

const PATIENCE: Duration = Duration::from_secs(120);

/// The containers' world, found on this machine: names and folders of there, and what stands for them here.
struct Translation(Vec<(String, String)>);

impl Translation {
    fn of(&self, text: &str) -> String {
        let here = self.0.iter().fold(text.to_owned(), |text, (there, here)| text.replace(there, here));
        for name in ["kafka:", "registry:", "postgres:5432", "collector:", "0.0.0.0", "/var/lib", "/etc/"] {
            assert!(!here.contains(name), "{here} names what there is only in a container");
        }
        here
    }

    /// The words of a service's command.
    fn command(&self, service: &Value) -> Vec<String> {
        service["command"].as_array().unwrap().iter().map(|w| self.of(w.as_str().unwrap())).collect()
    }
}

/// An address that nothing listens on.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A broker with the environment of the container, which its image makes properties of; its address.
fn kafka(compose: &Value) -> (Service, String) {
    let (inside, controller, outside) = (free(), free(), free());
    let names = [("9092", &inside), ("9093", &controller), ("29092", &outside)];
    let mut properties = String::new();
    for (name, value) in compose["services"]["kafka"]["environment"].as_object().unwrap() {
        let value = names.iter().fold(value.as_str().unwrap().to_owned(), |v, (port, here)| {
            [format!("kafka:{port}"), format!("localhost:{port}")]
                .iter()
                .fold(v, |v, there| v.replace(there, here))
                .replace(&format!("://:{port}"), &format!("://{here}"))
        });
        // The folder is the harness's own.
        if name != "KAFKA_LOG_DIRS" {
            let name = name.strip_prefix("KAFKA_").unwrap().to_lowercase().replace('_', ".");
            properties += &format!("{name}={value}\n");
        }
    }
    let service = start_kafka_with(&[], &properties, &[]).ready(|_| {
        let mut client = rdkafka::ClientConfig::new();
        client.set("bootstrap.servers", &inside).set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        let client: BaseConsumer = client.create().unwrap();
        client.fetch_metadata(None, Duration::from_secs(1)).is_ok()
    });
    (service, inside)
}

/// The services on this machine.
struct Stack {
    /// Where each container's pages are.
    pages: BTreeMap<String, String>,
    compose: Value,
    translation: Translation,
    project: Project,
    _kafka: Service,
}

impl Stack {
    fn new(databases: &[(&str, &Database)]) -> Stack {
        let compose = compose();
        let (kafka, broker) = kafka(&compose);
        let (registry, collector) = (free(), free());
        let project = Project::shipped();
        let folder = project.folder.display().to_string();
        let mut pairs = vec![
            ("kafka:9092".to_owned(), broker),
            ("0.0.0.0:8081".to_owned(), registry.clone()),
            ("registry:8081".to_owned(), registry),
            ("0.0.0.0:8088".to_owned(), collector.clone()),
            ("collector:8088".to_owned(), collector),
            ("/var/lib/pointsman".to_owned(), folder),
        ];
        for (name, database) in databases {
            pairs.push((format!("postgres://shop:shop@postgres:5432/{name}"), database.url.clone()));
        }
        let names = compose["services"].as_object().unwrap().keys();
        let pages = names.map(|name| (name.clone(), free())).collect();
        Stack { pages, compose, translation: Translation(pairs), project, _kafka: kafka }
    }

    fn service(&self, name: &str) -> &Value {
        let service = &self.compose["services"][name];
        assert_eq!(service["image"], "pointsman", "{name} is one of ours: {service}");
        service
    }

    /// What the service says, found on this machine.
    fn here(&self, service: &str, text: &str) -> String {
        self.translation.of(&text.replace("0.0.0.0:9187", &self.pages[service]))
    }

    /// A command in the service's environment; its program is in the image's ENTRYPOINT.
    fn start(&self, name: &str) -> Running {
        let service = self.service(name).clone();
        let words = self.translation.command(&service);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let variables = service["environment"].as_object().unwrap().iter();
        let variables = variables.map(|(n, v)| (n.clone(), self.here(name, v.as_str().unwrap())));
        self.project.spawn_with(&words, &variables.collect::<Vec<_>>())
    }

    /// Whether the container would be healthy: its own check, or the image's.
    fn healthy(&self, name: &str) -> bool {
        let service = self.service(name);
        let test = service["healthcheck"]["test"].as_array().map_or(vec!["CMD".into(), "healthcheck".into()], |t| {
            t.iter().map(|w| w.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        });
        assert_eq!(test[..2], ["CMD", "healthcheck"], "{name}");
        let port_of = |port: &str| self.here(name, &format!("0.0.0.0:{port}")).rsplit_once(':').unwrap().1.to_owned();
        let mut check = Command::new(root().join("deploy/healthcheck"));
        if let Some(port) = test.get(2) {
            check.arg(port_of(port)).args(&test[3..]);
        }
        check.env("HTTP_LISTEN", self.here(name, "0.0.0.0:9187"));
        check.output().unwrap().status.success()
    }

    fn wait_until_healthy(&self, name: &str, running: &mut Running) {
        wait_until(&format!("{name} is healthy"), PATIENCE, || {
            assert!(running.runs(), "{name} ended: {}", running.stderr());
            self.healthy(name)
        });
    }
}

fn ended_well(name: &str, running: Running) -> Finished {
    running.signal("TERM");
    let finished = running.wait();
    assert_eq!(finished.code, Some(0), "{name}: {}", finished.stderr);
    finished
}

#[test]
fn the_whole_stack_carries_events_from_the_generator_to_the_table() {
    let (shop, crm, jobs) = (Database::new("shop"), Database::new("crm"), Database::new("jobs"));
    let stack = Stack::new(&[("shop", &shop), ("crm", &crm), ("jobs", &jobs)]);
    let mut registry = stack.start("registry");
    stack.wait_until_healthy("registry", &mut registry);
    stack.start("apply").wait().ok();
    let mut pointsman = stack.start("pointsman");
    stack.wait_until_healthy("pointsman", &mut pointsman);
    let mut collector = stack.start("collector");
    stack.wait_until_healthy("collector", &mut collector);
    let mut generator = stack.start("generator");
    wait_until("events reach the table", PATIENCE, || {
        for (name, running) in
            [("pointsman", &mut pointsman), ("collector", &mut collector), ("generator", &mut generator)]
        {
            assert!(running.runs(), "{name} ended: {}", running.stderr());
        }
        shop.count("events") > 500
    });
    ended_well("generator", generator);
    ended_well("collector", collector);
    ended_well("pointsman", pointsman);
    ended_well("registry", registry);
    assert!(!stack.healthy("pointsman"), "nobody answers any more");
}
