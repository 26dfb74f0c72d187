//! Dead letters of a table that are bound for a topic.

use crate::{
    harness::{
        Database, Message, Project, alter_topic, create_topic, delete_topic, free_port, head, message, produce,
        read_topic, unique, wait_until,
    },
    kafka_records::settings,
    run_leaves::metrics,
    table_support::{Batch, Db, claim, route, t, targets, topics},
};
use pointsman::{
    config::Dlq,
    destination::{
        Destination,
        table::{Relayed, RouteContext, Tables},
    },
    failure::Cause,
    kafka::{Producer, Reports},
    record::Positions,
    telemetry::Telemetry,
};
use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const PATIENCE: Duration = Duration::from_secs(90);

const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"outbox","fields":[{"name":"id","type":"long"}]}"#;

#[test]
fn a_tables_dead_letters_reach_their_topic_and_leave_the_outbox() {
    let app = unique("outbox");
    let (input, dlq) = (format!("{app}_in"), format!("{app}_dlq"));
    create_topic(&input, 4, &[]);
    create_topic(&dlq, 2, &[]);
    let database = Database::new("outbox");
    database.execute("CREATE TABLE events (id BIGINT PRIMARY KEY CHECK (id <> 13))");
    produce(&input, (0..40).map(|i| message(i.to_string(), format!("{{\"id\":{i}}}"))));
    produce(&input, [message("bad", "not json")]);
    let project = Project::new(&format!(
        "{}[databases.shop]\nurl = \"{}\"\n\
         [routes.r]\ntopic = \"{input}\"\nformat = \"json\"\nschema = \"outbox.Event\"\ndlq = \"{dlq}\"\n\
         destination = {{ database = \"shop\", table = \"events\", key_columns = [\"id\"] }}\n",
        head(&app),
        database.url
    ))
    .file("schemas/event.avsc", SCHEMA);
    project.run(&["run", "--until-caught-up"]).ok();
    assert_eq!(database.count("events"), 39);
    assert_eq!(database.count("pointsman_outbox"), 0);
    let mut letters: Vec<(Vec<u8>, String)> = read_topic(&dlq)
        .into_iter()
        .map(|l| (l.value.clone().unwrap(), l.header("pointsman.code").unwrap().to_owned()))
        .collect();
    letters.sort();
    assert_eq!(
        letters,
        [(b"not json".to_vec(), "malformed-json".to_owned()), (b"{\"id\":13}".to_vec(), "check-violation".to_owned())]
    );
    // Nothing is left to do, and nothing is sent again.
    project.run(&["run", "--until-caught-up"]).ok();
    assert_eq!(read_topic(&dlq).len(), 2);
}

/// A route to a table of one partition, and its topic of dead letters. Uncompressed: a letter is as large for the broker
/// as it looks.
fn to_topic(app: &str, database: &Database, settings: &[(&str, &str)]) -> Project {
    create_topic(&format!("{app}_in"), 1, &[]);
    create_topic(&format!("{app}_dlq"), 1, settings);
    database.execute("CREATE TABLE events (id BIGINT PRIMARY KEY)");
    to_table(app, database, &format!("\"{app}_dlq\""))
}

fn to_table(app: &str, database: &Database, dlq: &str) -> Project {
    to_table_beside(app, database, dlq, "")
}

fn to_table_beside(app: &str, database: &Database, dlq: &str, more: &str) -> Project {
    Project::new(&format!(
        "{}{more}[kafka.producer]\n\"compression.type\" = \"none\"\n\
         \"topic.metadata.refresh.interval.ms\" = \"500\"\n[databases.shop]\nurl = \"{}\"\n\
         [routes.r]\ntopic = \"{app}_in\"\nformat = \"json\"\nschema = \"outbox.Event\"\ndlq = {dlq}\n\
         destination = {{ database = \"shop\", table = \"events\", key_columns = [\"id\"] }}\n",
        head(app),
        database.url
    ))
    .file("schemas/event.avsc", SCHEMA)
}

#[test]
fn a_letter_that_its_topic_refuses_is_named_and_the_others_are_sent_once() {
    let (app, database) = (unique("outbox"), Database::new("outbox"));
    let (input, dlq) = (format!("{app}_in"), format!("{app}_dlq"));
    let project = to_topic(&app, &database, &[("max.message.bytes", "4000")]);
    let length = |i: usize| if i == 20 { 10_000 } else { 100 };
    produce(&input, (0..40).map(|i| message(i.to_string(), "x".repeat(length(i)))));
    for _ in 0..2 {
        let finished = project.run(&["run", "--until-caught-up"]);
        assert_eq!(finished.code, Some(3), "{}", finished.stderr);
        assert!(finished.stderr.contains(&format!("{input}/0 offset 20")), "{}", finished.stderr);
        assert!(finished.stderr.contains("raise its max.message.bytes"), "{}", finished.stderr);
        assert_eq!((read_topic(&dlq).len(), database.count("pointsman_outbox")), (39, 1), "{}", finished.stderr);
    }
    alter_topic(&dlq, &[("max.message.bytes", "100000")]);
    project.run(&["run", "--until-caught-up"]).ok();
    assert_eq!((read_topic(&dlq).len(), database.count("pointsman_outbox")), (40, 0));
}

/// Of a batch with several letters at fault the brokers tell each one's fault, and the others are said to be their neighbours.
#[test]
fn letters_without_keys_do_not_hold_up_their_neighbours_to_a_compacted_topic() {
    let (app, database) = (unique("outbox"), Database::new("outbox"));
    let (input, dlq) = (format!("{app}_in"), format!("{app}_dlq"));
    let project = to_topic(&app, &database, &[("cleanup.policy", "compact")]);
    let key = |i: usize| (!(20..=22).contains(&i)).then(|| i.to_string().into_bytes());
    produce(&input, (0..40).map(|i| Message { key: key(i), ..message("", "not json") }));
    let run = project.spawn(&["run", "--until-caught-up"]);
    let refused = format!("{input}/0 offset 20: the dead-letter topic {dlq} refuses its letter");
    wait_until("the first of them is named", PATIENCE, || run.stderr().contains(&refused));
    assert!(run.stderr().contains("let its cleanup.policy be delete"), "{}", run.stderr());
    assert_eq!((read_topic(&dlq).len(), database.count("pointsman_outbox")), (37, 3), "{}", run.stderr());
    assert_eq!(run.wait().code, Some(3));
    alter_topic(&dlq, &[("cleanup.policy", "delete")]);
    project.run(&["run", "--until-caught-up"]).ok();
    assert_eq!((read_topic(&dlq).len(), database.count("pointsman_outbox")), (40, 0));
}

/// Their topic is gone for a while.
#[test]
fn letters_that_had_to_wait_are_sent_once_and_without_another_record() {
    let (app, database) = (unique("outbox"), Database::new("outbox"));
    let (input, dlq) = (format!("{app}_in"), format!("{app}_dlq"));
    let project = to_topic(&app, &database, &[]);
    let run = project.spawn(&["run"]);
    produce(&input, [message("1", r#"{"id":1}"#)]);
    wait_until("it flows", PATIENCE, || database.count("events") == 1);
    delete_topic(&dlq);
    produce(&input, (0..3).map(|i| message(i.to_string(), "not json")));
    let waits = format!("dead letters wait in pointsman_outbox: topic {dlq} does not exist");
    wait_until("the letters wait", PATIENCE, || run.stderr().contains(&waits));
    assert!(run.stderr().contains("pointsman apply"), "{}", run.stderr());
    produce(&input, [message("3", "not json"), message("2", r#"{"id":2}"#)]);
    wait_until("records flow on", PATIENCE, || database.count("events") == 2);
    assert_eq!(database.count("pointsman_outbox"), 4, "{}", run.stderr());
    create_topic(&dlq, 1, &[]);
    wait_until("the letters are relayed", PATIENCE, || database.count("pointsman_outbox") == 0);
    assert_eq!(read_topic(&dlq).len(), 4, "{}", run.stderr());
    run.signal("TERM");
    run.wait().ok();
}

#[test]
fn letters_that_wait_reach_their_topic_also_when_the_route_names_another_place_by_now() {
    let (app, database) = (unique("outbox"), Database::new("outbox"));
    let dlq = format!("{app}_dlq");
    let project = to_topic(&app, &database, &[("max.message.bytes", "4000")]);
    produce(&format!("{app}_in"), [message("1", "x".repeat(900_000))]);
    let finished = project.run(&["run", "--until-caught-up"]);
    assert_eq!((finished.code, database.count("pointsman_outbox")), (Some(3), 1), "{}", finished.stderr);
    // More bytes than are taken at a time.
    let columns = "cluster_id, consumer_group, dlq, topic, \"partition\", position, \"key\", \"value\", headers";
    database.execute(&format!(
        "INSERT INTO pointsman_outbox ({columns}) SELECT {columns} FROM pointsman_outbox, generate_series(1, 11)"
    ));
    alter_topic(&dlq, &[("max.message.bytes", "2000000")]);
    to_table(&app, &database, "\"discard\"").run(&["run", "--until-caught-up"]).ok();
    assert_eq!((read_topic(&dlq).len(), database.count("pointsman_outbox")), (12, 0));
}

#[test]
fn a_letter_too_old_for_its_topic_names_it_and_the_setting() {
    let (app, database) = (unique("outbox"), Database::new("outbox"));
    let project = to_topic(&app, &database, &[("message.timestamp.before.max.ms", "3600000")]);
    let two_days_ago = SystemTime::now() - Duration::from_secs(2 * 86_400);
    let timestamp = two_days_ago.duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    produce(&format!("{app}_in"), [Message { timestamp: Some(timestamp), ..message("1", "not json") }]);
    let finished = project.run(&["run", "--until-caught-up"]);
    assert_eq!((finished.code, database.count("pointsman_outbox")), (Some(3), 1), "{}", finished.stderr);
    let refused = format!("{app}_in/0 offset 0: the dead-letter topic {app}_dlq refuses its letter");
    assert!(finished.stderr.contains(&refused), "{}", finished.stderr);
    assert!(finished.stderr.contains("raise its message.timestamp.before.max.ms"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("max.message.bytes"), "{}", finished.stderr);
}

#[test]
fn letters_whose_topic_is_gone_for_good_are_named() {
    let (app, database) = (unique("outbox"), Database::new("outbox"));
    let dlq = format!("{app}_dlq");
    let project = to_topic(&app, &database, &[("max.message.bytes", "4000")]);
    produce(&format!("{app}_in"), [message("1", "x".repeat(10_000))]);
    assert_eq!(project.run(&["run", "--until-caught-up"]).code, Some(3));
    delete_topic(&dlq);
    let finished = to_table(&app, &database, "\"discard\"").run(&["run", "--until-caught-up"]);
    assert_eq!((finished.code, database.count("pointsman_outbox")), (Some(3), 1), "{}", finished.stderr);
    assert!(finished.stderr.contains(&format!("topic {dlq} does not exist")), "{}", finished.stderr);
    assert!(finished.stderr.contains("wait in pointsman_outbox"), "{}", finished.stderr);
}

#[test]
fn a_topic_that_takes_no_letters_does_not_hold_up_those_to_another() {
    let (app, database) = (unique("outbox"), Database::new("outbox"));
    let (input, old, new) = (format!("{app}_in"), format!("{app}_dlq"), format!("{app}_new"));
    let project = to_topic(&app, &database, &[("max.message.bytes", "4000")]);
    produce(&input, [message("1", "x".repeat(10_000))]);
    assert_eq!(project.run(&["run", "--until-caught-up"]).code, Some(3));
    delete_topic(&old);
    create_topic(&new, 1, &[]);
    let project = to_table(&app, &database, &format!("\"{new}\""));
    let run = project.spawn(&["run"]);
    for letters in 1..=3 {
        produce(&input, [message("2", "not json")]);
        wait_until("the letter is relayed", PATIENCE, || read_topic(&new).len() == letters);
    }
    wait_until("the old one waits", PATIENCE, || run.stderr().contains("dead letters wait in pointsman_outbox"));
    assert_eq!(database.count("pointsman_outbox"), 1, "{}", run.stderr());
    create_topic(&old, 1, &[]);
    wait_until("the old one is relayed", PATIENCE, || database.count("pointsman_outbox") == 0);
    assert_eq!((read_topic(&old).len(), read_topic(&new).len()), (1, 3), "{}", run.stderr());
}

/// Two letters that their topic refuses, so that whoever holds their partitions stands.
#[test]
fn letters_of_a_partition_that_was_given_up_are_told_by_its_new_owner_alone() {
    let (app, database) = (unique("outbox"), Database::new("outbox"));
    let (input, dlq) = (format!("{app}_in"), format!("{app}_dlq"));
    create_topic(&input, 2, &[]);
    create_topic(&dlq, 2, &[("max.message.bytes", "4000")]);
    create_topic(&format!("{app}_other"), 1, &[]);
    database.execute("CREATE TABLE events (id BIGINT PRIMARY KEY)");
    let listens = [0, 1].map(|_| format!("127.0.0.1:{}", free_port()));
    let project = |listen: &str| {
        // Another route: the process does not end when `r` stands.
        let more = format!(
            "[http]\nlisten = \"{listen}\"\n[routes.other]\ntopic = \"{app}_other\"\nformat = \"json\"\n\
             schema = \"outbox.Event\"\ndlq = \"discard\"\ndestination = {{ topic = \"{dlq}\", format = \"json\" }}\n"
        );
        to_table_beside(&app, &database, &format!("\"{dlq}\""), &more)
    };
    let (first, second) = (project(&listens[0]), project(&listens[1]));
    produce(&input, [0, 1].map(|p| Message { partition: Some(p), ..message("1", "x".repeat(10_000)) }));
    let told = |i: usize| metrics(&listens[i], "pointsman_outbox_records{route=\"r\"} ").concat();
    let says = |letters: u32| format!("pointsman_outbox_records{{route=\"r\"}} {letters}");
    let first = first.spawn(&["run"]);
    wait_until("the first stands with both", PATIENCE, || told(0) == says(2) && first.stderr().contains("standing"));
    let _second = second.spawn(&["run"]);
    wait_until("the second has one of them", PATIENCE, || told(1) == says(1));
    assert_eq!(told(0), says(1));
}

/// Tables whose dead letters go to this topic, by two workers of one group; the first has claimed `t/0`.
fn two_owners(db: &Db, dlq: &str) -> (Tables, Tables) {
    let targets = targets([]);
    let open = || db.try_open(RouteContext { dlq: Dlq::Topic(dlq.into()), ..route() }, &targets).unwrap();
    let mut first = open();
    claim(&mut first).unwrap();
    (first, open())
}

#[test]
fn who_claims_a_partition_waits_for_the_letters_under_way() {
    let db = Db::postgres("under_way");
    let (mut first, mut second) = two_owners(&db, "orders.dlq");
    Batch::default().dead().dead().deliver(&mut first, &targets([])).unwrap();
    let letters = first.outbox_take(&[t(0)], None, 10).unwrap().letters;
    first.outbox_hold(&[t(0)]).unwrap();
    let claimed = std::thread::spawn(move || {
        claim(&mut second).unwrap();
        second
    });
    std::thread::sleep(Duration::from_millis(500));
    assert!(!claimed.is_finished());
    first.outbox_delete(&[letters[0].id]).unwrap();
    let mut second = claimed.join().unwrap();
    assert_eq!(second.outbox_take(&[t(0)], None, 10).unwrap().letters, letters[1..]);
    assert_eq!(first.outbox_hold(&[t(0)]).unwrap_err().cause, Cause::Fenced);
    second.outbox_hold(&[t(0)]).unwrap();
    second.outbox_delete(&[]).unwrap();
    claim(&mut first).unwrap();
}

/// A backlog is relayed in rounds, and another worker gets its partition after the first one.
#[test]
fn letters_are_not_relayed_any_more_by_who_has_lost_their_partition() {
    for db in [Db::postgres("backlog"), Db::sqlite("backlog")] {
        let dlq = unique("outbox");
        create_topic(&dlq, 1, &[]);
        let (first, second) = two_owners(&db, &dlq);
        db.execute(&format!(
            "INSERT INTO pointsman_outbox (cluster_id, consumer_group, dlq, topic, \"partition\", position, headers)
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
            SELECT 'cluster', 'shop.orders', '{dlq}', 't', 0, i, '[]' FROM n"
        ));
        let [mut first, mut second] = [first, second].map(|tables| {
            let outfitter =
                |_: &BTreeSet<&str>| Ok((Producer::idempotent(&settings("range"), Reports::All)?, HashMap::new()));
            Relayed::new(tables, Box::new(outfitter), Telemetry::new().route("r", &[""]), 0)
        });
        let claims = |relayed: &mut Relayed| {
            relayed.claim(&[t(0)], &topics("topic-id"), &mut |_, _| Ok(Positions::new())).unwrap();
        };
        claims(&mut first);
        first.tend().unwrap();
        let relayed = read_topic(&dlq).len();
        assert!(0 < relayed && relayed <= 1000, "{relayed}");
        claims(&mut second);
        assert_eq!(first.tend().unwrap_err().cause, Cause::Fenced);
        for _ in 0..10 {
            second.tend().unwrap();
        }
        assert_eq!((read_topic(&dlq).len(), db.count("pointsman_outbox")), (2500, 0));
    }
}

/// A hundred thousand letters are a hundred rounds: none reads what the others do.
#[test]
fn a_backlog_is_not_read_anew_for_each_round() {
    let db = Db::postgres("rounds");
    let (mut tables, _) = two_owners(&db, "orders.dlq");
    db.execute(
        "INSERT INTO pointsman_outbox (cluster_id, consumer_group, dlq, topic, \"partition\", position, \"value\", headers)
        SELECT 'cluster', 'shop.orders', 'orders.dlq', 't', i % 2, i, decode(repeat('ab', 300), 'hex'), '[]'
        FROM generate_series(1, 20000) i",
    );
    for _ in 0..8 {
        let letters = tables.outbox_take(&[t(0), t(1)], None, 1000).unwrap().letters;
        assert_eq!(letters.len(), 1000);
        tables.outbox_delete(&letters.iter().map(|l| l.id).collect::<Vec<_>>()).unwrap();
    }
    // What a connection has read is told when it ends.
    drop(tables);
    let statistics = "pg_stat_user_tables WHERE relname = 'pointsman_outbox'";
    wait_until("the deleted are told", PATIENCE, || db.count(&format!("{statistics} AND n_tup_del = 8000")) == 1);
    let read = db.texts(&format!("SELECT CAST(seq_tup_read AS TEXT) FROM {statistics}"));
    assert!(read[0].parse::<u64>().unwrap() < 20_000, "{read:?}");
}
