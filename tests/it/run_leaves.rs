//! How a process leaves, whatever it is in the middle of, and how its workers come back.

use crate::{
    harness::{
        Broker, Database, Message, Project, Registry, Running, block_on, bootstrap_servers, create_topic, free_port,
        head, message, produce, read_topic, unique, wait_until,
    },
    registry_client::answering,
};
use axum::{Json, Router, http::StatusCode, routing::get};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"leaves","fields":[{"name":"id","type":"long"}]}"#;
const PATIENCE: Duration = Duration::from_secs(60);

/// A route from `{app}_in` to `{app}_out`, both JSON; `more` stands between the head and the route.
fn project(app: &str, head: &str, more: &str, keys: &str) -> Project {
    Project::new(&format!(
        "{head}{more}\n[routes.r]\ntopic = \"{app}_in\"\nformat = \"json\"\nschema = \"leaves.Event\"\ndlq = \"stop\"\n\
         {keys}\ndestination = {{ topic = \"{app}_out\", format = \"json\" }}\n"
    ))
    .file("schemas/event.avsc", SCHEMA)
}

fn topics(app: &str, partitions: i32) {
    create_topic(&format!("{app}_in"), partitions, &[]);
    create_topic(&format!("{app}_out"), partitions, &[]);
}

fn send(app: &str, ids: std::ops::Range<i32>) {
    let at = |id: i32| Message { partition: Some(id % 4), ..message(id.to_string(), format!(r#"{{"id":{id}}}"#)) };
    produce(&format!("{app}_in"), ids.map(at));
}

/// The lines of a page of metrics that begin so.
pub fn metrics(listen: &str, name: &str) -> Vec<String> {
    let page = block_on(async { reqwest::get(format!("http://{listen}/metrics")).await.ok()?.text().await.ok() });
    page.unwrap_or_default().lines().filter(|l| l.starts_with(name)).map(str::to_owned).collect()
}

/// The lag of route `r`, all partitions together.
fn lag(listen: &str) -> u64 {
    let lines = metrics(listen, "pointsman_lag_records{route=\"r\"");
    lines.iter().map(|l| l.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// A page of metrics, and another route: the process does not end when `r` stands.
fn beside(app: &str, listen: &str) -> String {
    format!(
        "[http]\nlisten = \"{listen}\"\n[routes.other]\ntopic = \"{app}_other\"\nformat = \"json\"\n\
         schema = \"leaves.Event\"\ndlq = \"discard\"\ndestination = {{ topic = \"{app}_out\", format = \"json\" }}\n"
    )
}

#[test]
fn a_process_that_waits_for_what_does_not_answer_leaves_when_it_is_told() {
    let down = format!("127.0.0.1:{}", free_port());
    let app = unique("leaves_down");
    let head = head(&app).replace(&bootstrap_servers(), &down);
    let database = format!("[databases.shop]\nurl = \"postgres://nobody@{down}/shop\"\nmigrations = \"migrations\"\n");
    let to_table = to_table(&app, &head, &database, "")
        .file("migrations/1_events.sql", "CREATE TABLE events (id BIGINT NOT NULL);");
    for (project, arguments, says) in
        [(project(&app, &head, "", ""), &["run"][..], "refused"), (to_table, &["run", "--migrate"][..], "refused")]
    {
        let mut run = project.spawn(arguments);
        wait_until("it says what does not answer", PATIENCE, || {
            assert!(run.runs(), "{}", run.stderr());
            run.stderr().contains(says)
        });
        let told = Instant::now();
        run.signal("TERM");
        let finished = run.wait();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert!(told.elapsed() < Duration::from_secs(5), "{arguments:?} left after {:?}", told.elapsed());
        assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
        // Nothing was read.
        assert!(!finished.stderr.contains("left behind"), "{}", finished.stderr);
    }
}

#[test]
fn the_lag_of_partitions_that_were_given_up_is_not_told_any_more() {
    let app = unique("leaves_lag");
    topics(&app, 4);
    let listens = [0, 1].map(|_| format!("127.0.0.1:{}", free_port()));
    let process = |listen: &str| project(&app, &head(&app), &format!("[http]\nlisten = \"{listen}\""), "");
    let (first, second) = (process(&listens[0]), process(&listens[1]));
    let lags = |i: usize| metrics(&listens[i], "pointsman_lag_records{");
    let mut sent = 0;
    // Records flow all the time, so that the partitions given up are drained.
    let mut flow = move || {
        send(&app, sent..sent + 400);
        sent += 400;
    };
    let _first = first.spawn(&["run"]);
    wait_until("the first has all partitions", PATIENCE, || {
        flow();
        lags(0).len() == 4
    });
    let _second = second.spawn(&["run"]);
    wait_until("the second has its own two", PATIENCE, || {
        flow();
        lags(1).len() == 2
    });
    // What the first has committed until then has been told.
    assert_eq!(lags(0).len(), 2, "{:?}", lags(0));
}

#[test]
fn the_lag_grows_while_nothing_can_be_delivered() {
    let app = unique("leaves_still");
    topics(&app, 4);
    create_topic(&format!("{app}_other"), 1, &[]);
    let listen = format!("127.0.0.1:{}", free_port());
    let project = project(&app, &head(&app), &beside(&app, &listen), "");
    let mut run = project.spawn(&["run"]);
    let lag = || lag(&listen);
    // `dlq = "stop"`: the route stands on this one.
    produce(&format!("{app}_in"), [message("bad", "no JSON")]);
    wait_until("the route stands", PATIENCE, || {
        assert!(run.runs(), "{}", run.stderr());
        run.stderr().contains("standing")
    });
    send(&app, 0..100);
    wait_until("its lag is told", PATIENCE, || lag() == 101);
}

/// A route that stands in every partition, while another process comes and goes.
fn keeps_its_lag(app: &str, project: impl Fn(&str) -> Project) {
    topics(app, 4);
    create_topic(&format!("{app}_other"), 1, &[]);
    let listens = [0, 1].map(|_| format!("127.0.0.1:{}", free_port()));
    let (first, second) = (project(&listens[0]), project(&listens[1]));
    let bad = |partition| Message { partition: Some(partition), ..message("bad", "no JSON") };
    produce(&format!("{app}_in"), (0..4).map(bad));
    let stands = |run: &mut Running| {
        assert!(run.runs(), "{}", run.stderr());
        run.stderr().contains("standing")
    };
    let mut first = first.spawn(&["run"]);
    wait_until("the first stands", PATIENCE, || stands(&mut first));
    wait_until("its lag is told", PATIENCE, || lag(&listens[0]) == 4);
    let mut second = second.spawn(&["run"]);
    wait_until("the second stands beside it", PATIENCE, || stands(&mut second));
    wait_until("each tells the lag of its two", PATIENCE, || (lag(&listens[0]), lag(&listens[1])) == (2, 2));
    second.signal("TERM");
    second.wait();
    send(app, 0..100);
    wait_until("the first tells the lag of all", PATIENCE, || lag(&listens[0]) == 104);
}

#[test]
fn a_route_to_a_topic_that_stands_keeps_its_lag_over_a_rebalance() {
    let app = unique("leaves_stands");
    keeps_its_lag(&app, |listen| project(&app, &head(&app), &beside(&app, listen), ""));
}

#[test]
fn a_route_to_a_table_that_stands_keeps_its_lag_over_a_rebalance() {
    let app = unique("leaves_stands_pg");
    let database = Database::new("leaves");
    database.execute("CREATE TABLE events (id BIGINT NOT NULL)");
    let more = |listen: &str| format!("{}[databases.shop]\nurl = \"{}\"", beside(&app, listen), database.url);
    keeps_its_lag(&app, |listen| to_table(&app, &head(&app), &more(listen), ""));
}

#[test]
fn a_process_that_finds_its_breaker_tripped_tells_its_lag() {
    let app = unique("leaves_tripped");
    topics(&app, 4);
    create_topic(&format!("{app}_other"), 1, &[]);
    let listen = format!("127.0.0.1:{}", free_port());
    let project = project(&app, &head(&app), &beside(&app, &listen), "breaker = { min = 1 }");
    let routes = std::fs::read_to_string(project.folder.join("routes.toml")).unwrap();
    let project = project.file("routes.toml", &routes.replace("dlq = \"stop\"", "dlq = \"discard\""));
    produce(&format!("{app}_in"), (0..10).map(|_| message("bad", "no JSON")));
    for _ in 0..2 {
        let mut run = project.spawn(&["run"]);
        wait_until("it is tripped", PATIENCE, || {
            assert!(run.runs(), "{}", run.stderr());
            run.stderr().contains("\"state\":\"tripped\"")
        });
        wait_until("its lag is told", PATIENCE, || lag(&listen) == 10);
        run.signal("TERM");
        run.wait();
    }
}

#[test]
fn an_id_that_the_registry_learns_of_after_its_grace_is_delivered_from_then_on() {
    let app = unique("leaves_unknown");
    topics(&app, 1);
    create_topic(&format!("{app}_dlq"), 1, &[]);
    let registry = Registry::start();
    let known = registry.register(&format!("{app}_other-value"), SCHEMA);
    let late = known + 1;
    let routes = format!(
        "{}{}unknown_id_grace = \"1s\"\n[routes.r]\ntopic = \"{app}_in\"\nschema = \"leaves.Event\"\n\
         dlq = \"{app}_dlq\"\ndestination = {{ topic = \"{app}_out\", format = \"json\" }}\n",
        head(&app),
        registry.table()
    );
    let project = Project::new(&routes).file("schemas/event.avsc", SCHEMA);
    let record = |id: u8| {
        let value = [&[0][..], &late.to_be_bytes(), &[2 * id]].concat();
        Message { key: Some(vec![id]), value: Some(value), ..Message::default() }
    };
    let _run = project.spawn(&["run"]);
    produce(&format!("{app}_in"), [record(1)]);
    wait_until("the first one is a dead letter", PATIENCE, || read_topic(&format!("{app}_dlq")).len() == 1);
    // Another schema, so another id: the one that the record names.
    let other = SCHEMA.replace("\"fields\"", "\"doc\":\"late\",\"fields\"");
    assert_eq!(registry.register(&format!("{app}_in-value"), &other), late);
    let mut id = 1;
    wait_until("what comes later is delivered", PATIENCE, || {
        id += 1;
        produce(&format!("{app}_in"), [record(id)]);
        !read_topic(&format!("{app}_out")).is_empty()
    });
}

#[test]
fn an_id_that_the_registry_learns_of_late_has_its_grace_among_many_that_it_knows() {
    let app = unique("leaves_late");
    topics(&app, 1);
    create_topic(&format!("{app}_dlq"), 1, &[]);
    let registry = Registry::start();
    let schema = |doc: u32| SCHEMA.replace("\"fields\"", &format!("\"doc\":\"{doc}\",\"fields\""));
    let mut ids: Vec<u32> = (0..12).map(|i| registry.register(&format!("{app}_{i}-value"), &schema(i))).collect();
    let late = ids[11] + 1;
    ids.push(late);
    let routes = format!(
        "{}{}unknown_id_grace = \"10m\"\n[routes.r]\ntopic = \"{app}_in\"\nschema = \"leaves.Event\"\n\
         dlq = \"{app}_dlq\"\ndestination = {{ topic = \"{app}_out\", format = \"json\" }}\n",
        head(&app),
        registry.table()
    );
    let project = Project::new(&routes).file("schemas/event.avsc", SCHEMA);
    // All of one batch: they are there before it begins.
    produce(&format!("{app}_in"), ids.iter().map(|id| message("k", [&[0][..], &id.to_be_bytes(), &[2]].concat())));
    let run = project.spawn(&["run"]);
    wait_until("it reads", PATIENCE, || run.stderr().contains("partitions assigned"));
    // By now it has asked, or it will: both end well.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(registry.register(&format!("{app}_in-value"), &schema(late)), late);
    wait_until("all of them are delivered or dead letters", PATIENCE, || {
        read_topic(&format!("{app}_out")).len() + read_topic(&format!("{app}_dlq")).len() == ids.len()
    });
    assert_eq!(read_topic(&format!("{app}_dlq")).len(), 0, "{}", run.stderr());
}

#[test]
fn a_schema_that_another_one_refers_to_has_its_grace_too() {
    let app = unique("leaves_reference");
    topics(&app, 1);
    create_topic(&format!("{app}_dlq"), 1, &[]);
    // One node of a registry: it has the schema, and gets the one that it refers to a little later.
    let asked = Arc::new(AtomicUsize::new(0));
    let of = r#"{"name":"of","type":"leaves.Shop"}"#;
    let outer = SCHEMA.replace("}]}", &format!("}},{of}]}}"));
    let inner = r#"{"type":"record","name":"Shop","namespace":"leaves","fields":[{"name":"id","type":"long"}]}"#;
    let reference = json!({ "name": "leaves.Shop", "subject": "shop", "version": 1 });
    let schema = json!({ "schema": outer, "references": [reference] });
    let referred = json!({ "subject": "shop", "id": 1, "version": 1, "schema": inner });
    let times = asked.clone();
    let url = answering(Router::new().route("/schemas/ids/{id}", get(async move || Json(schema))).route(
        "/subjects/shop/versions/1",
        get(async move || match times.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => (StatusCode::NOT_FOUND, Json(json!({ "error_code": 40401, "message": "Subject not found" }))),
            _ => (StatusCode::OK, Json(referred)),
        }),
    ));
    let routes = format!(
        "{}[schema_registry]\nurl = \"{url}\"\n[routes.r]\ntopic = \"{app}_in\"\nschema = \"leaves.Event\"\n\
         dlq = \"{app}_dlq\"\ndestination = {{ topic = \"{app}_out\", format = \"json\" }}\n",
        head(&app)
    );
    let project = Project::new(&routes).file("schemas/event.avsc", SCHEMA);
    produce(&format!("{app}_in"), [message("k", [0, 0, 0, 0, 7, 2, 4])]);
    let run = project.spawn(&["run"]);
    wait_until("the record is delivered or a dead letter", PATIENCE, || {
        read_topic(&format!("{app}_out")).len() + read_topic(&format!("{app}_dlq")).len() == 1
    });
    assert_eq!(read_topic(&format!("{app}_dlq")).len(), 0, "{}", run.stderr());
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[test]
fn a_member_whose_name_was_taken_reads_on_once_the_other_is_gone() {
    let app = unique("leaves_fenced");
    topics(&app, 1);
    let consumer = "[kafka.consumer]\n\"group.instance.id\" = \"one\"\n\"session.timeout.ms\" = \"6000\"";
    let project = || project(&app, &head(&app), consumer, "retry = { initial = \"2s\", max = \"5s\" }");
    let (first, second) = (project(), project());
    let sent = |id: i32| produce(&format!("{app}_in"), [message("k", format!(r#"{{"id":{id}}}"#))]);
    let delivered = || read_topic(&format!("{app}_out")).len();
    let mut first = first.spawn(&["run", "--instance", "a"]);
    sent(1);
    wait_until("the first delivers", PATIENCE, || delivered() == 1);
    let mut second = second.spawn(&["run", "--instance", "b"]);
    wait_until("the second has taken the first's name and partition", PATIENCE, || {
        assert!(second.runs(), "{}", second.stderr());
        second.stderr().contains("partitions assigned") && first.stderr().contains("instance")
    });
    second.kill();
    sent(2);
    wait_until("the first delivers again", PATIENCE, || {
        assert!(first.runs(), "{}", first.stderr());
        delivered() == 2
    });
}

/// Keeps rows out of the table `events` until it is dropped.
fn locked(database: &Database) -> PgConnection {
    block_on(async {
        let mut held = PgConnection::connect(&database.url).await.unwrap();
        sqlx::raw_sql("BEGIN; LOCK TABLE events IN SHARE MODE").execute(&mut held).await.unwrap();
        held
    })
}

/// A route to the table `events`.
fn to_table(app: &str, head: &str, more: &str, keys: &str) -> Project {
    let project = project(app, head, more, keys);
    let routes = std::fs::read_to_string(project.folder.join("routes.toml")).unwrap();
    let topic = format!("{{ topic = \"{app}_out\", format = \"json\" }}");
    project.file("routes.toml", &routes.replace(&topic, "{ database = \"shop\", table = \"events\" }"))
}

#[test]
fn a_process_that_is_fenced_while_it_drains_leaves_all_the_same() {
    let app = unique("leaves_draining");
    topics(&app, 1);
    let database = Database::new("leaves");
    database.execute("CREATE TABLE events (id BIGINT NOT NULL)");
    let more = format!(
        "[kafka.consumer]\n\"group.instance.id\" = \"one\"\n\"session.timeout.ms\" = \"6000\"\n\
         [databases.shop]\nurl = \"{}\"",
        database.url
    );
    let project = || to_table(&app, &head(&app), &more, "retry = { initial = \"1s\", max = \"5s\" }");
    let (old, new) = (project(), project());
    let sent = |id: i32| produce(&format!("{app}_in"), [message("k", format!(r#"{{"id":{id}}}"#))]);
    let mut first = old.spawn(&["run", "--instance", "a", "--drain", "600"]);
    sent(1);
    wait_until("the first delivers", PATIENCE, || database.count("events") == 1);
    // What it delivers next cannot be committed, so its drain lasts.
    let held = locked(&database);
    sent(2);
    let waits = "pg_locks WHERE NOT granted AND relation = 'events'::regclass";
    wait_until("the first waits for the table", PATIENCE, || database.count(waits) == 1);
    first.signal("TERM");
    wait_until("the first drains", PATIENCE, || first.stderr().contains("draining"));
    // A deployment's new process takes the name.
    let _second = new.spawn(&["run", "--instance", "b"]);
    wait_until("the first has left", PATIENCE, || !first.runs());
    let finished = first.wait();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    drop(held);
    wait_until("the second delivers what the first left", PATIENCE, || database.count("events") == 2);
}

#[test]
fn a_process_whose_terminal_closes_drains_unless_nohup_keeps_it() {
    let app = unique("leaves_hup");
    topics(&app, 1);
    let database = Database::new("leaves");
    database.execute("CREATE TABLE events (id BIGINT NOT NULL)");
    let more = format!("[databases.shop]\nurl = \"{}\"", database.url);
    let project = to_table(&app, &head(&app), &more, "");
    produce(&format!("{app}_in"), [message("k", r#"{"id":1}"#)]);
    // As a script run by `nohup`: it listens by the time that it reads.
    let kept = project.spawn_in_shell("trap '' HUP; exec", &["run"]);
    wait_until("it delivers", PATIENCE, || database.count("events") == 1);
    kept.signal("HUP");
    kept.signal("TERM");
    let kept = kept.wait().ok();
    assert!(kept.stderr.contains("SIGTERM") && !kept.stderr.contains("SIGHUP"), "{}", kept.stderr);
    produce(&format!("{app}_in"), [message("k", r#"{"id":2}"#)]);
    let closed = project.spawn(&["run"]);
    wait_until("it reads", PATIENCE, || closed.stderr().contains("partitions assigned"));
    closed.signal("HUP");
    let closed = closed.wait().ok();
    assert!(closed.stderr.contains("SIGHUP"), "{}", closed.stderr);
}

#[test]
fn a_signal_that_comes_twice_at_once_drains_and_a_later_one_leaves_at_once() {
    let app = unique("leaves_twice");
    topics(&app, 1);
    let database = Database::new("leaves");
    database.execute("CREATE TABLE events (id BIGINT NOT NULL)");
    let more = format!("[databases.shop]\nurl = \"{}\"", database.url);
    let project = to_table(&app, &head(&app), &more, "");
    let mut run = project.spawn(&["run", "--drain", "600"]);
    let sent = |id: i32| produce(&format!("{app}_in"), [message("k", format!(r#"{{"id":{id}}}"#))]);
    sent(1);
    wait_until("it delivers", PATIENCE, || database.count("events") == 1);
    let _held = locked(&database);
    sent(2);
    let waits = "pg_locks WHERE NOT granted AND relation = 'events'::regclass";
    wait_until("it waits for the table", PATIENCE, || database.count(waits) == 1);
    // As `timeout` sends it: to the process and to its group.
    run.signal("TERM");
    run.signal("TERM");
    std::thread::sleep(Duration::from_secs(2));
    assert!(run.runs() && !run.stderr().contains("leaving at once"), "{}", run.stderr());
    run.signal("TERM");
    let finished = run.wait().ok();
    assert!(finished.stderr.contains("SIGTERM: leaving at once"), "{}", finished.stderr);
    // This one was under way indeed.
    assert!(finished.stderr.contains("left behind"), "{}", finished.stderr);
}

#[test]
fn the_lag_grows_also_after_the_broker_was_away() {
    let app = unique("leaves_away");
    let broker = Broker::start();
    let listen = format!("127.0.0.1:{}", free_port());
    let (input, other, out) = (format!("{app}_in"), format!("{app}_other"), format!("{app}_out"));
    for topic in [&input, &other, &out] {
        broker.create_topic(topic);
    }
    // Nothing is taken from it while the broker is away.
    let more = format!("[kafka.consumer]\n\"session.timeout.ms\" = \"60000\"\n{}", beside(&app, &listen));
    let head = head(&app).replace(&bootstrap_servers(), &broker.servers());
    let project = project(&app, &head, &more, "");
    let mut run = project.spawn(&["run"]);
    let lag = || lag(&listen);
    broker.produce(&input, [message("bad", "no JSON")]);
    wait_until("the route stands, and tells its lag", PATIENCE, || {
        assert!(run.runs(), "{}", run.stderr());
        run.stderr().contains("standing") && lag() == 1
    });
    let is_down = || wait_until("the broker is missed", PATIENCE, || run.stderr().contains("FAIL"));
    let broker = broker.restart(is_down);
    broker.produce(&input, [message("k", r#"{"id":1}"#)]);
    wait_until("its lag grows", PATIENCE, || lag() == 2);
}

#[test]
fn what_was_committed_after_all_is_not_told_as_unprocessed() {
    let app = unique("leaves_oldest");
    topics(&app, 1);
    let database = Database::new("leaves");
    database.execute("CREATE TABLE events (id BIGINT NOT NULL)");
    let listen = format!("127.0.0.1:{}", free_port());
    let more = format!("[http]\nlisten = \"{listen}\"\n[databases.shop]\nurl = \"{}\"", database.url);
    let project = to_table(&app, &head(&app), &more, "retry = { initial = \"5s\", max = \"5s\" }");
    let sent = |id: i32| produce(&format!("{app}_in"), [message("k", format!(r#"{{"id":{id}}}"#))]);
    let oldest = || {
        let lines = metrics(&listen, "pointsman_oldest_unprocessed_seconds{");
        lines.first().map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
    };
    let run = project.spawn(&["run"]);
    sent(1);
    wait_until("it delivers", PATIENCE, || database.count("events") == 1);
    let held = locked(&database);
    sent(2);
    let waits = "pg_locks WHERE NOT granted AND relation = 'events'::regclass";
    wait_until("a commit waits for the table", PATIENCE, || database.count(waits) == 1);
    // As if the commit had gone through and its answer been lost: its position is there when the worker claims again.
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'events'::regclass;
         UPDATE pointsman_positions SET next_offset = 2",
    );
    wait_until("it recovers", PATIENCE, || run.stderr().contains("recovering"));
    assert!(oldest().unwrap() > 0.0, "the record gets older while nothing flows");
    drop(held);
    wait_until("nothing is unprocessed", PATIENCE, || oldest() == Some(0.0));
    assert_eq!(database.count("events"), 1);
}
