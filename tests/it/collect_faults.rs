//! Collectors while things go wrong: kills, shutdowns, brokers that do not answer, clients that crawl.

use crate::{
    collect_support::{Collecting, SCHEMA, config, get},
    harness::{
        Broker, Project, alter_topic, bootstrap_servers, create_topic, incompressible, read_topic, unique, wait_until,
    },
};
use pointsman::{config::Kafka, kafka};
use rdkafka::{
    mocking::MockCluster,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const GOOD: &str = r#"{"id":1,"kind":"view"}"#;

/// A client that posts batches on one connection until it breaks; the ids of those that were answered with 202.
fn load(address: &str, next: &AtomicU64, acknowledged: &Mutex<BTreeSet<u64>>) -> std::io::Result<()> {
    const BATCH: u64 = 50;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    loop {
        let first = next.fetch_add(BATCH, Ordering::Relaxed);
        let events: Vec<String> =
            (first..first + BATCH).map(|id| format!(r#"{{"id":{id},"kind":"view","quantity":1}}"#)).collect();
        let body = format!("[{}]", events.join(","));
        write!(
            stream,
            "POST /shop HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let (mut status, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if answers.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if status.is_empty() {
                status = line.clone();
            }
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        answers.read_exact(&mut vec![0; length])?;
        assert!(status.contains(" 202 ") || status.contains(" 503 "), "{status}");
        if status.contains(" 202 ") {
            acknowledged.lock().unwrap().extend(first..first + BATCH);
        }
    }
}

/// Clients that post until the collector is gone.
struct Load {
    clients: Vec<thread::JoinHandle<()>>,
    acknowledged: Arc<Mutex<BTreeSet<u64>>>,
}

impl Load {
    fn start(address: &str) -> Load {
        let (next, acknowledged) = (Arc::new(AtomicU64::new(0)), Arc::default());
        let clients = (0..6).map(|_| {
            let (address, next) = (address.to_owned(), next.clone());
            let acknowledged = Arc::clone(&acknowledged);
            // Its connection breaks when the collector is killed.
            thread::spawn(move || drop(load(&address, &next, &acknowledged)))
        });
        Load { clients: clients.collect(), acknowledged }
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    fn wait(self) -> BTreeSet<u64> {
        self.clients.into_iter().for_each(|c| c.join().unwrap());
        Arc::try_unwrap(self.acknowledged).unwrap().into_inner().unwrap()
    }
}

/// The ids in a topic, and how many records it has.
fn ids(topic: &str) -> (BTreeSet<u64>, usize) {
    let messages = read_topic(topic);
    let id = |value: &[u8]| serde_json::from_slice::<serde_json::Value>(value).unwrap()["id"].as_u64().unwrap();
    (messages.iter().map(|m| id(m.value.as_ref().unwrap())).collect(), messages.len())
}

#[test]
fn a_killed_collector_has_every_event_that_it_acknowledged_in_the_topic() {
    let mut c = Collecting::start("", "");
    let load = Load::start(c.address());
    wait_until("events are acknowledged", Duration::from_secs(120), || load.acknowledged() >= 20_000);
    c.running.kill();
    let acknowledged = load.wait();
    let (there, _) = ids(&c.topic);
    let lost: Vec<&u64> = acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged events are lost", lost.len(), acknowledged.len());
}

#[test]
fn a_collector_that_is_told_to_stop_answers_what_it_has_taken() {
    let c = Collecting::start("", "");
    // Half a request, which the collector has begun to read: it says that it wants the rest.
    let mut slow = TcpStream::connect(c.address()).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = format!(
        "POST /shop HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        GOOD.len()
    );
    slow.write_all(head.as_bytes()).unwrap();
    let mut answers = BufReader::new(slow.try_clone().unwrap());
    let mut line = String::new();
    answers.read_line(&mut line).unwrap();
    assert!(line.contains("100 Continue"), "{line}");
    let load = Load::start(c.address());
    wait_until("events are acknowledged", Duration::from_secs(120), || load.acknowledged() >= 1_000);
    c.running.signal("TERM");
    let address = c.address().to_owned();
    wait_until("it listens no longer", Duration::from_secs(20), || TcpStream::connect(&address).is_err());
    slow.write_all(GOOD.as_bytes()).unwrap();
    let mut rest = String::new();
    answers.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("202 Accepted") && rest.contains("connection: close"), "{rest}");
    let topic = c.topic.clone();
    let acknowledged = load.wait();
    let Collecting { running, project: _project, .. } = c;
    running.wait().ok();
    let (there, records) = ids(&topic);
    assert!(acknowledged.is_subset(&there));
    // Nobody was left without an answer: what is in the topic was acknowledged, but for the slow one's second id 1.
    assert_eq!((there.difference(&acknowledged).count(), records), (0, acknowledged.len() + 1));
}

#[test]
fn a_broker_that_does_not_answer_is_told_with_503_until_it_does() {
    let broker = Broker::start();
    let servers = broker.servers();
    let topic = "events".to_owned();
    let settings = Kafka { bootstrap_servers: servers.clone(), ..Kafka::default() };
    let connection = kafka::Connection::new(&kafka::Settings::new(&settings, "test")).unwrap();
    let cluster = connection.cluster(Duration::from_secs(30));
    let new = kafka::NewTopic { name: &topic, partitions: Some(1), replication: Some(1), config: &Default::default() };
    cluster.create_topic(&new).unwrap();
    let project = Project::new(&config(&servers, &topic, "", "")).file("schemas/event.avsc", SCHEMA);
    let c = Collecting::launch(project, topic.clone());
    c.wait_until_ready();
    assert_eq!(c.json(GOOD).status, 202);
    broker.signal("STOP");
    // What was sent meanwhile is not acknowledged, and said to be so.
    let answer = c.json(GOOD);
    assert_eq!((answer.problem(), answer.header("retry-after")), ((503, "unavailable"), "5"));
    assert_eq!(answer.body["accepted"], serde_json::json!([]));
    wait_until("the gate closes", Duration::from_secs(60), || get(&format!("{}/ready", c.pages)).status == 503);
    // From then on nobody waits in vain.
    let asked = Instant::now();
    assert_eq!(c.json(GOOD).problem(), (503, "unavailable"));
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    let health = get(&format!("{}/health", c.pages)).body;
    assert_eq!((&health["status"], &health["collectors"][0]["state"]), (&"degraded".into(), &"waiting".into()));
    broker.signal("CONT");
    c.wait_until_ready();
    assert_eq!(c.json(GOOD).status, 202);
    // Nothing is under way when the broker goes: the collector notices, and finds it again, by itself.
    let waits =
        || wait_until("the gate closes", Duration::from_secs(60), || get(&format!("{}/ready", c.pages)).status == 503);
    let _broker = broker.restart(waits);
    c.wait_until_ready();
    assert_eq!(c.json(GOOD).status, 202);
}

#[test]
fn a_topic_that_is_missing_is_named_and_taken_once_it_is_there() {
    let topic = unique("collect_missing");
    let project = Project::new(&config(&bootstrap_servers(), &topic, "", "")).file("schemas/event.avsc", SCHEMA);
    let c = Collecting::launch(project, topic.clone());
    let told = format!("topic {topic} does not exist");
    wait_until("the topic is named", Duration::from_secs(60), || c.running.stderr().contains(&told));
    let answer = c.json(GOOD);
    assert_eq!(answer.problem(), (503, "unavailable"));
    assert!(!answer.body.to_string().contains(&topic), "what is inside is not told outside: {answer:?}");
    let health = get(&format!("{}/health", c.pages)).body;
    let help = health["collectors"][0]["waits_for"]["help"].as_str().unwrap();
    assert!(help.contains("pointsman apply"), "{health}");
    create_topic(&topic, 1, &[]);
    c.wait_until_ready();
    assert_eq!(c.json(GOOD).status, 202);
}

#[test]
fn ten_thousand_slow_clients_are_let_go_and_hold_nobody_up() {
    const EACH: usize = 5_000;
    // Each is a socket here and one there. There it is the collector's own matter, which begins as a login shell's would.
    let files = getrlimit(Resource::Nofile);
    // macOS does not take its own hard limit for a soft one.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files });
    let most = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| usize::try_from(most).unwrap());
    let each = EACH.min(most / 3);
    if each < EACH {
        eprintln!("no more than {} clients: the limit of open files is {most}", 2 * each);
    }
    let topic = unique("collect_slow");
    create_topic(&topic, 3, &[]);
    let project = Project::new(&config(&bootstrap_servers(), &topic, "", "")).file("schemas/event.avsc", SCHEMA);
    let running = project.spawn_in_shell("ulimit -Sn 1024; exec", &["collect"]);
    let c = Collecting::of(project, running, topic);
    c.wait_until_ready();
    let connect = |text: &str| {
        let mut stream = TcpStream::connect(c.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let body = "POST /shop HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let bodies: Vec<TcpStream> = (0..each).map(|_| connect(body)).collect();
    let heads: Vec<TcpStream> = (0..each).map(|_| connect("POST /shop HTTP/1.1\r\nho")).collect();
    assert_eq!(c.json(GOOD).status, 202, "others are served meanwhile");
    for mut stream in heads {
        // Closed, with an answer or without.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    for mut stream in bodies {
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408");
    }
    assert_eq!(read_topic(&c.topic).len(), 1);
    assert!(!c.running.stderr().contains("cannot accept"), "{}", c.running.stderr());
}

#[test]
fn a_client_that_does_not_read_its_answers_is_let_go() {
    let c = Collecting::start("", "");
    let mut stream = TcpStream::connect(c.address()).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
    let asks = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    // Until nothing more is taken: its answers fill all that lies between it and the collector.
    let full = (0..100_000).map(|_| stream.write_all(asks.as_bytes())).find_map(Result::err).unwrap();
    assert_eq!(full.kind(), ErrorKind::WouldBlock, "{full}");
    wait_until("the collector breaks off", Duration::from_secs(120), || {
        stream.write(asks.as_bytes()).is_err_and(|e| e.kind() != ErrorKind::WouldBlock)
    });
    assert_eq!(c.json(GOOD).status, 202);
}

#[test]
fn a_collector_whose_events_are_all_refused_is_not_ready_and_goes_on_trying() {
    let topic = "events".to_owned();
    // A real broker refuses what is written, and tells of its topics, by ACLs alone.
    let broker = MockCluster::new(1).unwrap();
    broker.create_topic(&topic, 1, 1).unwrap();
    let servers = broker.bootstrap_servers();
    let project = Project::new(&config(&servers, &topic, "", "")).file("schemas/event.avsc", SCHEMA);
    let c = Collecting::launch(project, topic);
    c.wait_until_ready();
    assert_eq!(c.json(GOOD).status, 202);
    broker.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 100]);
    assert_eq!(c.json(GOOD).problem(), (503, "unavailable"));
    let ready = format!("{}/ready", c.pages);
    wait_until("it is not ready", Duration::from_secs(8), || get(&ready).status == 503);
    let health = get(&format!("{}/health", c.pages)).body;
    assert_eq!(health["collectors"][0]["state"], "waiting", "{health}");
    assert!(health["collectors"][0]["waits_for"]["help"].as_str().unwrap().contains("ACLs"), "{health}");
    broker.clear_request_errors(RDKafkaApiKey::Produce);
    assert_eq!(c.json(GOOD).status, 202, "the next event shows that it is over");
    c.wait_until_ready();
}

/// Records linger, so that the events of a request are one batch, and are as large there as they are.
const ONE_BATCH: &str = "[kafka.producer]\n\"linger.ms\" = \"300\"\n\"compression.type\" = \"none\"\n";

/// An event of about this many bytes.
fn of_size(id: usize, size: usize) -> String {
    format!(r#"{{"id":{id},"kind":"view","items":[{{"sku":"{}","count":1}}]}}"#, "x".repeat(size))
}

#[test]
fn an_event_that_its_topic_does_not_take_any_more_is_refused_alone() {
    let topic = unique("collect_limit");
    create_topic(&topic, 1, &[]);
    let project = Project::new(&config(&bootstrap_servers(), &topic, "", ONE_BATCH));
    let c = Collecting::launch(project.file("schemas/event.avsc", SCHEMA), topic);
    c.wait_until_ready();
    alter_topic(&c.topic, &[("max.message.bytes", "4000")]);
    let both = format!("[{},{}]", of_size(1, 10), of_size(2, 10_000));
    let mut answer = c.json(&both);
    wait_until("the broker takes less", Duration::from_secs(60), || {
        let taken = answer.status == 202;
        if taken {
            answer = c.json(&both);
        }
        !taken
    });
    assert_eq!(answer.problem(), (422, "invalid-events"));
    assert_eq!((&answer.body["accepted"], &answer.body["refused"]), (&json!([0]), &json!([1])), "{answer:?}");
    assert_eq!(answer.body["errors"][0]["code"], "record-too-large", "{answer:?}");
    // It has looked at the topic meanwhile: what its batches may hold is known again.
    let many: Vec<String> = (3..9).map(|id| of_size(id, 1_000)).collect();
    let before = read_topic(&c.topic).len();
    wait_until("many small events are taken", Duration::from_secs(30), || {
        c.json(&format!("[{}]", many.join(","))).status == 202
    });
    assert!(read_topic(&c.topic).len() >= before + 6);
    let answer = c.json(&both);
    assert!(answer.body["errors"].to_string().contains("takes at most 4000"), "{answer:?}");
}

#[test]
fn events_that_only_their_batch_is_too_large_for_are_taken() {
    let topic = unique("collect_batch");
    create_topic(&topic, 1, &[("max.message.bytes", "4000")]);
    let own = format!("{ONE_BATCH}\"batch.size\" = \"100000\"\n");
    let project = Project::new(&config(&bootstrap_servers(), &topic, "", &own));
    let c = Collecting::launch(project.file("schemas/event.avsc", SCHEMA), topic);
    c.wait_until_ready();
    let many: Vec<String> = (0..6).map(|id| of_size(id, 1_000)).collect();
    let answer = c.json(&format!("[{}]", many.join(",")));
    assert_eq!((answer.status, &answer.body["accepted"]), (202, &json!(6)), "{answer:?}");
    assert_eq!(ids(&c.topic), ((0..6).collect(), 6));
}

/// Three million bytes each: one that compresses, and one that does not, into a topic that takes batches of 1 MiB.
#[test]
fn an_event_that_compressed_fits_its_topic_is_taken() {
    let c = Collecting::start("limits = { body = \"8MiB\" }", "");
    let answer = c.json(&of_size(1, 3_000_000));
    assert_eq!((answer.status, &answer.body["accepted"]), (202, &json!(1)), "{answer:?}");
    let sku = incompressible(3_000_000);
    let noisy = format!(r#"{{"id":2,"kind":"view","items":[{{"sku":"{sku}","count":1}}]}}"#);
    let answer = c.json(&format!("[{},{noisy},{}]", of_size(3, 3_000_000), of_size(4, 10)));
    assert_eq!(answer.problem(), (422, "invalid-events"));
    assert_eq!((&answer.body["accepted"], &answer.body["refused"]), (&json!([0, 2]), &json!([1])));
    assert_eq!(answer.body["errors"][0]["code"], "record-too-large", "{answer:?}");
    assert_eq!(ids(&c.topic).0, BTreeSet::from([1, 3, 4]));
}

#[test]
fn run_collects_beside_its_routes_and_the_command_line_names_what_is_wrong() {
    let topic = unique("collect_run");
    let out = format!("{topic}_out");
    create_topic(&topic, 1, &[]);
    create_topic(&out, 1, &[]);
    let route = format!(
        "[routes.r]\ntopic = \"{topic}\"\nformat = \"json\"\nvalidator = \"event\"\ndlq = \"discard\"\n\
         destination = {{ topic = \"{out}\", format = \"json\" }}\n"
    );
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let routes = config(&bootstrap_servers(), &topic, "", &route);
    let routes = routes.replacen(
        "[collectors.shop]\nlisten = \"127.0.0.1:0\"",
        &format!("[collectors.shop]\nlisten = \"{free}\""),
        1,
    );
    let project = Project::new(&routes).file("schemas/event.avsc", SCHEMA);
    let run = project.spawn(&["run"]);
    let url = format!("http://{free}/shop");
    let post = || {
        let headers = [("content-type", "application/json")];
        crate::collect_support::request(reqwest::Method::POST, &url, &headers, GOOD).status
    };
    wait_until("it listens", Duration::from_secs(60), || TcpStream::connect(free).is_ok());
    wait_until("an event is taken", Duration::from_secs(60), || post() == 202);
    wait_until("it comes out of the route", Duration::from_secs(60), || !read_topic(&out).is_empty());
    let busy = project.run(&["collect"]);
    assert_eq!(busy.code, Some(3));
    assert!(busy.stderr.contains(&free.to_string()) && busy.stderr.contains("[collectors.shop] listen"), "{busy:?}");
    run.signal("TERM");
    run.wait().ok();
    let unknown = project.run(&["collect", "shoop"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("shoop") && unknown.stderr.contains("collectors are: shop"), "{unknown:?}");
    // A route alone leaves the collectors out: their port is free.
    let _taken = TcpListener::bind(free).unwrap();
    project.run(&["run", "--until-caught-up"]).ok();
}
