//! What the destination's broker refuses, and what a full disk does: a dead letter of one record alone, and of none.

use crate::harness::{
    Database, Message, Project, Running, alter_topic, create_topic, head, incompressible, message, produce, read_topic,
    unique, wait_until,
};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"no","fields":[
  {"name":"id","type":"long"},{"name":"text","type":"string","default":""}]}"#;

fn event(id: usize, length: usize) -> Message {
    message(id.to_string(), format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat(length)))
}

/// A route from topic to topic that runs, and has delivered a first record.
struct Copying {
    app: String,
    run: Running,
    _project: Project,
}

impl Copying {
    fn start(delivery: &str, settings: &[(&str, &str)]) -> Copying {
        // Uncompressed: a record is as large for the broker as it looks.
        Copying::between(&[], settings, delivery, "\"compression.type\" = \"none\"")
    }

    /// `around` are the settings of the source and of the topic of dead letters, `out` those of the destination.
    fn between(around: &[(&str, &str)], out: &[(&str, &str)], delivery: &str, producer: &str) -> Copying {
        let app = unique("refused");
        create_topic(&format!("{app}_in"), 1, around);
        create_topic(&format!("{app}_out"), 1, out);
        create_topic(&format!("{app}_dlq"), 1, around);
        let head = head(&app);
        let project = Project::new(&format!(
            "{head}[kafka.producer]\n{producer}\n[routes.r]\ntopic = \"{app}_in\"\nformat = \"json\"\n\
             schema = \"no.Event\"\ndlq = \"{app}_dlq\"\ndelivery = \"{delivery}\"\n\
             destination = {{ topic = \"{app}_out\", format = \"json\" }}\n"
        ))
        .file("schemas/event.avsc", SCHEMA);
        let copying = Copying { run: project.spawn(&["run"]), app, _project: project };
        copying.send([event(0, 0)]);
        copying.wait_for(1, 0);
        copying
    }

    fn send(&self, records: impl IntoIterator<Item = Message>) {
        produce(&format!("{}_in", self.app), records);
    }

    fn keys(&self, topic: &str) -> Vec<Option<String>> {
        let text = |key: Vec<u8>| String::from_utf8(key).unwrap();
        read_topic(&format!("{}_{topic}", self.app)).into_iter().map(|m| m.key.map(text)).collect()
    }

    /// Waits until so many records are delivered, and so many are dead letters.
    fn wait_for(&self, delivered: usize, dead: usize) {
        wait_until("records are delivered or dead", PATIENCE, || {
            self.keys("out").len() >= delivered && self.keys("dlq").len() >= dead
        });
    }

    fn letters(&self) -> Vec<Message> {
        read_topic(&format!("{}_dlq", self.app))
    }

    fn end(self) {
        self.run.signal("TERM");
        self.run.wait().ok();
    }
}

fn numbers(ids: impl IntoIterator<Item = usize>) -> Vec<Option<String>> {
    ids.into_iter().map(|id| Some(id.to_string())).collect()
}

/// The topic takes less than it did when the route looked: only the broker's refusal tells.
fn too_large_a_record_is_a_letter_alone(delivery: &str) {
    let copying = Copying::start(delivery, &[]);
    alter_topic(&format!("{}_out", copying.app), &[("max.message.bytes", "4000")]);
    let large = [7, 20, 21];
    copying.send((1..40).map(|id| event(id, if large.contains(&id) { 10_000 } else { 50 })));
    copying.wait_for(37, 3);
    assert_eq!(copying.keys("dlq"), numbers(large), "{}", copying.run.stderr());
    for letter in copying.letters() {
        assert_eq!(letter.header("pointsman.code"), Some("record-too-large"), "{letter:?}");
        assert!(letter.value.unwrap().len() > 10_000, "the letter is the whole record");
    }
    let mut delivered = copying.keys("out");
    if delivery == "at-least-once" {
        // What was acknowledged beside a refused batch is sent again.
        let mut seen = std::collections::HashSet::new();
        delivered.retain(|key| seen.insert(key.clone()));
        delivered.sort_by_key(|key| key.as_ref().unwrap().parse::<usize>().unwrap());
    }
    assert_eq!(delivered, numbers((0..40).filter(|id| !large.contains(id))));
    assert!(copying.run.stderr().contains(r#""cause":"refused""#), "{}", copying.run.stderr());
    copying.end();
}

#[test]
fn exactly_once_a_record_too_large_for_its_topic_is_a_letter_and_its_neighbours_are_delivered() {
    too_large_a_record_is_a_letter_alone("exactly-once");
}

#[test]
fn at_least_once_a_record_too_large_for_its_topic_is_a_letter_and_its_neighbours_are_delivered() {
    too_large_a_record_is_a_letter_alone("at-least-once");
}

/// Without a key nothing can be compacted; known beforehand, or told by the broker.
fn no_key_into_a_compacted_topic(delivery: &str, known: bool) {
    let compact = [("cleanup.policy", "compact")];
    let copying = Copying::start(delivery, if known { &compact } else { &[] });
    alter_topic(&format!("{}_out", copying.app), &compact);
    let without = Message { key: None, ..event(3, 0) };
    copying.send([event(1, 0), event(2, 0), without.clone(), event(4, 0), without, event(5, 0)]);
    copying.wait_for(5, 2);
    assert_eq!(copying.keys("dlq"), [None, None]);
    let code = if known { "not-encodable" } else { "broker-refused" };
    assert!(copying.letters().iter().all(|l| l.header("pointsman.code") == Some(code)), "{:?}", copying.letters());
    let mut delivered = copying.keys("out");
    delivered.dedup();
    assert!(numbers([0, 1, 2, 4, 5]).iter().all(|key| delivered.contains(key)), "{delivered:?}");
    assert!(delivery == "at-least-once" || delivered.len() == 5, "{delivered:?}");
    copying.end();
}

#[test]
fn a_record_without_a_key_is_a_letter_where_the_topic_is_compacted() {
    no_key_into_a_compacted_topic("exactly-once", true);
    no_key_into_a_compacted_topic("exactly-once", false);
    no_key_into_a_compacted_topic("at-least-once", false);
}

#[test]
fn a_letter_that_its_topic_refuses_stands_and_names_what_to_change() {
    let copying = Copying::start("exactly-once", &[]);
    alter_topic(&format!("{}_dlq", copying.app), &[("max.message.bytes", "300")]);
    copying.send([message("bad", "not json"), event(1, 0)]);
    wait_until("it stands", PATIENCE, || copying.run.stderr().contains("refuses its letter"));
    assert!(copying.run.stderr().contains("raise its max.message.bytes"), "{}", copying.run.stderr());
    assert_eq!(copying.run.wait().code, Some(3), "no route can run");
}

/// Of 2 MB each: one that compresses, and one that does not, into a topic that takes batches of 1 MiB.
fn a_records_compressed_size_counts(delivery: &str) {
    let copying = Copying::between(&[("max.message.bytes", "4000000")], &[], delivery, "");
    let text = incompressible(2_000_000);
    let noisy = message("3", format!(r#"{{"id":3,"text":"{text}"}}"#));
    copying.send([event(1, 50), event(2, 2_000_000), noisy, event(4, 50), event(5, 400_000), event(6, 400_000)]);
    wait_until("all have an outcome", PATIENCE, || {
        let outcomes: std::collections::HashSet<_> =
            copying.keys("out").into_iter().chain(copying.keys("dlq")).collect();
        outcomes.len() == 7
    });
    assert_eq!(copying.keys("dlq"), numbers([3]), "{}", copying.run.stderr());
    assert_eq!(copying.letters()[0].header("pointsman.code"), Some("record-too-large"));
    let mut delivered = copying.keys("out");
    delivered.sort();
    // At least once, what was acknowledged beside a refused batch is sent again.
    delivered.dedup();
    assert_eq!(delivered, numbers([0, 1, 2, 4, 5, 6]));
    copying.end();
}

#[test]
fn exactly_once_a_record_that_compressed_fits_its_topic_is_delivered() {
    a_records_compressed_size_counts("exactly-once");
}

#[test]
fn at_least_once_a_record_that_compressed_fits_its_topic_is_delivered() {
    a_records_compressed_size_counts("at-least-once");
}

#[test]
fn a_record_larger_than_the_producers_whole_queue_stands_and_names_the_setting() {
    let copying = Copying::between(&[], &[], "at-least-once", "\"queue.buffering.max.kbytes\" = \"100\"");
    copying.send([event(1, 50), event(2, 200_000)]);
    wait_until("it stands", PATIENCE, || copying.run.stderr().contains("refuses its letter"));
    assert!(copying.run.stderr().contains("queue.buffering.max.kbytes"), "{}", copying.run.stderr());
    assert_eq!(copying.run.wait().code, Some(3), "no route can run");
}

fn to_table(app: &str, url: &str) -> Project {
    let (input, head) = (format!("{app}_in"), head(app));
    create_topic(&input, 1, &[]);
    produce(&input, (0..2000).map(|id| event(id, 500)).chain([message("bad", "not json")]));
    Project::new(&format!(
        "{head}[databases.shop]\nurl = \"{url}\"\nmigrations = \"migrations\"\n[routes.r]\ntopic = \"{input}\"\n\
         format = \"json\"\nschema = \"no.Event\"\nretry = {{ initial = \"50ms\", max = \"200ms\" }}\n\
         dlq = {{ database = \"shop\", table = \"dead_letters\" }}\n\
         destination = {{ database = \"shop\", table = \"events\" }}\n"
    ))
    .file("migrations/1_events.sql", "CREATE TABLE events (id BIGINT NOT NULL, text TEXT NOT NULL);")
    .file("schemas/event.avsc", SCHEMA)
}

/// The SQLSTATE of a full disk, from a trigger: what a server says that cannot extend a file.
#[test]
fn a_full_disk_of_postgres_is_waited_for_and_makes_no_dead_letter() {
    let (app, database) = (unique("full"), Database::new("full"));
    let project = to_table(&app, &database.url);
    database.execute(
        "CREATE TABLE full_disk (a INT);
         CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF EXISTS (SELECT FROM full_disk) THEN
             RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
           END IF;
           RETURN NEW;
         END $$;
         CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
           IF to_regclass('events') IS NOT NULL THEN
             CREATE OR REPLACE TRIGGER full_disk BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION full_disk();
           END IF;
         END $$;
         CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION watch();
         INSERT INTO full_disk VALUES (1)",
    );
    let run = project.spawn(&["run", "--migrate", "--until-caught-up"]);
    wait_until("the route waits", PATIENCE, || run.stderr().contains("No space left on device"));
    assert_eq!((database.count("events"), database.count("dead_letters")), (0, 0));
    database.execute("DELETE FROM full_disk");
    run.wait().ok();
    assert_eq!((database.count("events"), database.count("dead_letters")), (2000, 1));
}

/// A limit on the size of files is a full disk for SQLite.
#[test]
fn a_full_disk_of_sqlite_is_waited_for_and_makes_no_dead_letter() {
    let app = unique("full");
    let project = to_table(&app, "sqlite://shop.db");
    let count = |from: &str| -> i64 {
        let url = format!("sqlite://{}", project.folder.join("shop.db").display());
        crate::harness::block_on(async {
            let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.unwrap();
            let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {from}"));
            sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
        })
    };
    // 600 blocks of 512 bytes; the records alone have four times as many.
    let limited = project.spawn_in_shell("trap '' XFSZ; ulimit -f 600; exec", &["run", "--migrate"]);
    wait_until("the route waits", PATIENCE, || limited.stderr().contains("recovering"));
    assert!(limited.stderr().contains("database `shop` (SQLite)"), "{}", limited.stderr());
    limited.signal("TERM");
    limited.wait().ok();
    assert_eq!((count("events"), count("dead_letters")), (0, 0));
    project.run(&["run", "--until-caught-up"]).ok();
    assert_eq!((count("events"), count("dead_letters")), (2000, 1));
}
