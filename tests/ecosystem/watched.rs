//! Dashboards and alerts against the real Prometheus, which scrapes a real run.

use crate::{
    composed::compose,
    harness::{block_on, bootstrap_servers, message, produce, start_service, wait_until},
    shipped::{Shipped, root},
    tools::{debian, python, run},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::copy,
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(120);
/// The topics that routes read.
const SOURCES: [&str; 6] = ["raw-events", "processed-events", "ecommerce_events_raw", "orders", "sales_events", "jobs"];
/// A rule warns of its quantity, and its schema has no `debug`.
const EVENT: &str = r#"{"event_id": "5f2b3c1e-0c7a-4c8e-9d55-3f1f6f2b7a10", "event_type": "purchase", "user_id": 7,
  "session_id": "s", "occurred_at": "2024-06-30T20:40:35Z", "page": "/", "product_id": 1, "quantity": 150,
  "unit_price": "2.50", "currency": "EUR", "debug": true}"#;

fn rules() -> String {
    fs::read_to_string(root().join("deploy/prometheus/pointsman.rules.yml")).unwrap()
}

fn promtool(arguments: &[&str]) -> String {
    run(Command::new(debian("prometheus", "promtool")).args(arguments))
}

#[test]
fn promtool_accepts_the_rules_and_the_configuration() {
    let folder = root().join("deploy/prometheus");
    promtool(&["check", "rules", "--lint-fatal", folder.join("pointsman.rules.yml").to_str().unwrap()]);
    promtool(&["check", "config", folder.join("prometheus.yml").to_str().unwrap()]);
}

#[test]
fn each_alert_fires_when_it_should_and_not_otherwise() {
    let tests = include_str!("alerts.yml");
    let rules = rules();
    for name in rules.lines().filter_map(|l| l.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {name}\n")), "{name} is not shown to fire");
        assert!(tests.contains(&format!("alertname: {name},")), "{name} is not shown to be silent");
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("alerts");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("rules.yml"), without_annotations(&rules)).unwrap();
    fs::write(folder.join("test.yml"), format!("rule_files: [rules.yml]\n{tests}")).unwrap();
    promtool(&["test", "rules", folder.join("test.yml").to_str().unwrap()]);
}

/// Grafana publishes its types for Python; what they do not know of a dashboard, Grafana would pass over.
#[test]
fn grafana_knows_everything_that_dashboards_say() {
    let python = python(&["grafana-foundation-sdk==1769699998!10.1.0"]).join("python");
    let script = root().join("tests/ecosystem/grafana.py");
    let files = fs::read_dir(root().join("deploy/grafana/dashboards")).unwrap().map(|e| e.unwrap().path());
    let said = run(Command::new(python).arg(script).args(files));
    assert_eq!(said, "");
}

/// promtool would have every word of them repeated in the expectations.
fn without_annotations(rules: &str) -> String {
    let mut inside = false;
    let kept = rules.lines().filter(|line| {
        let indent = line.len() - line.trim_start().len();
        inside = line.trim() == "annotations:" || (inside && indent > 8);
        !inside
    });
    kept.map(|line| format!("{line}\n")).collect()
}

/// What the alerts compare: their expressions without comparisons and set operators, which each begin a line.
fn compared(rules: &str) -> Vec<String> {
    let lines = rules.lines().filter_map(|line| line.strip_prefix("          ")).filter(|l| !l.starts_with(' '));
    let is_operator = |l: &&str| ["and ", "== ", "> ", ">= ", "/ "].iter().any(|o| l.starts_with(o));
    let is_annotation = |l: &&str| ["severity:", "route:", "summary:", "what_"].iter().any(|o| l.starts_with(o));
    // Of a series that is there, `absent` is empty: it is the series that has to be there.
    let inner = |l: &str| l.strip_prefix("absent(").and_then(|l| l.strip_suffix(')')).unwrap_or(l).to_owned();
    lines.filter(|l| !is_operator(l) && !is_annotation(l)).map(inner).collect()
}

/// The queries of all dashboards, as Grafana sends them when all jobs and processes are chosen.
fn queries() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for file in fs::read_dir(root().join("deploy/grafana/dashboards")).unwrap() {
        let path = file.unwrap().path();
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let name =
                    format!("{}: {} {}", path.file_stem().unwrap().to_str().unwrap(), panel["title"], target["refId"]);
                let query = target["expr"].as_str().unwrap();
                let query = query.replace("$job", ".+").replace("$instance", ".+").replace("$__rate_interval", "1m");
                found.insert(name, query);
            }
        }
    }
    found
}

struct Prometheus {
    url: String,
    _service: crate::harness::Service,
}

impl Prometheus {
    /// With the shipped configuration and rules and the container's command, scraping this address each second.
    fn start(target: &str) -> Prometheus {
        let program = debian("prometheus", "prometheus");
        let shipped = fs::read_to_string(root().join("deploy/prometheus/prometheus.yml")).unwrap();
        let config = shipped
            .replace("pointsman:9187", target)
            .replace(", \"collector:9187\"", "")
            .replace(" 5s", " 1s")
            .replace(" 15s", " 1s");
        assert!(config.contains(target) && !config.contains("5s"), "{config}");
        let service = start_service("prometheus", "TERM", |folder, port| {
            fs::write(folder.join("prometheus.yml"), &config).unwrap();
            fs::write(folder.join("pointsman.rules.yml"), rules()).unwrap();
            let compose = compose();
            let words = compose["services"]["prometheus"]["command"].as_array().unwrap().iter();
            let here = folder.display().to_string();
            let words = words.map(|w| {
                w.as_str().unwrap().replace("/etc/prometheus", &here).replace("=/prom", &format!("={here}/prom"))
            });
            let mut prometheus = Command::new(&program);
            prometheus.args(words).arg(format!("--web.listen-address=127.0.0.1:{port}"));
            prometheus
        });
        // It listens before it answers: until then every question gets a 503.
        let service = service.ready(|port| {
            let asked = block_on(reqwest::get(format!("http://127.0.0.1:{port}/-/ready")));
            asked.is_ok_and(|answer| answer.status().is_success())
        });
        Prometheus { url: format!("http://127.0.0.1:{}", service.port), _service: service }
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url = format!("{}{path}", self.url);
        let query: Vec<String> = query.iter().map(|(n, v)| format!("{n}={}", encoded(v))).collect();
        block_on(async { reqwest::get(format!("{url}?{}", query.join("&"))).await.unwrap().json().await.unwrap() })
    }

    /// How many series a query returns now; a query that is wrong is a panic.
    fn series(&self, query: &str) -> usize {
        let answer = self.get("/api/v1/query", &[("query", query)]);
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().unwrap().len()
    }
}

/// A value in a URL.
fn encoded(value: &str) -> String {
    value
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Lets connections to `listener` reach Kafka: until it is called they are refused, as where a broker is down.
fn forward(address: &str) {
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, broker) = (client.unwrap(), TcpStream::connect(bootstrap_servers()).unwrap());
            let (mut from, mut to) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
            thread::spawn(move || copy(&mut from, &mut to));
            let (mut from, mut to) = (broker, client);
            thread::spawn(move || copy(&mut from, &mut to));
        }
    });
}

/// An address that nothing listens on.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn every_query_returns_series_of_a_real_run() {
    let shipped = Shipped::new();
    let (broker, pages, collector) = (free(), free(), free());
    let topics = shipped.topics;
    let project = shipped.project.variable("KAFKA_BOOTSTRAP_SERVERS", &broker).variable("HTTP_LISTEN", &pages);
    let project = project.variable("COLLECTOR_LISTEN", &collector);
    let mut running = project.spawn(&["run", "--migrate"]);
    let metrics = || -> String {
        let answer = block_on(async { reqwest::get(format!("http://{pages}/metrics")).await?.text().await });
        answer.unwrap_or_default()
    };
    let mut wait_for = |what: &str, metric: &str, series: usize| {
        wait_until(what, PATIENCE, || {
            assert!(running.runs(), "it ended: {}", running.stderr());
            metrics().lines().filter(|l| l.starts_with(metric)).count() >= series
        });
    };
    // The broker is down at first, for every route.
    wait_for("each route meets a setback", "pointsman_retries_total{", SOURCES.len());
    forward(&broker);
    for topic in SOURCES {
        produce(&topics[topic], [message("key", "neither JSON nor framed Avro")]);
    }
    produce(&topics["raw-events"], [message("7", EVENT)]);
    wait_for("the collector takes events", "pointsman_collector_ready{collector=\"shop\"} 1", 1);
    for event in [EVENT, "{}"] {
        let request = reqwest::Client::new().post(format!("http://{collector}/events")).body(event);
        block_on(async { request.header("content-type", "application/json").send().await.unwrap() });
    }
    wait_for("each route has a dead letter", "pointsman_failures_total{", SOURCES.len());
    wait_for("a rule has warned", "pointsman_rule_warnings_total{", 1);

    let prometheus = Prometheus::start(&pages);
    let mut queries = queries();
    assert!(queries.len() > 100, "{} queries", queries.len());
    let alerts = compared(&rules());
    assert!(alerts.len() > 20, "{alerts:?}");
    queries.extend(alerts.into_iter().map(|expr| (format!("alert: {expr}"), expr)));
    // A rate needs two scrapes.
    for (name, query) in &queries {
        wait_until(&format!("series of {name}: {query}"), PATIENCE, || prometheus.series(query) > 0);
    }
    println!("{} queries returned series", queries.len());

    let answer = prometheus.get("/api/v1/rules", &[]);
    let groups = answer["data"]["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|g| g["rules"].as_array().unwrap()).collect();
    assert_eq!(rules.len(), self::rules().matches("- alert: ").count());
    let ill: Vec<_> = rules.iter().filter(|r| r["health"] == "err").collect();
    assert!(ill.is_empty(), "{ill:#?}");
}
