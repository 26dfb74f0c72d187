//! Where a route goes on: in a topic that has grown, and in one that was made anew.

use crate::harness::{
    Database, Project, Running, block_on, bootstrap_servers, create_topic, delete_group, delete_records, delete_topic,
    grow_topic, head, kafka_tools, message, produce, read_topic, unique, wait_until,
};
use crate::kafka_records::{PATIENCE, settings};
use pointsman::{kafka::Consumer, record::Partition};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::TcpListener,
    process::Command,
    time::Duration,
};

const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"at","fields":[{"name":"id","type":"long"}]}"#;

/// A route to a table and one to a topic, over the same input.
struct Both {
    app: String,
    input: String,
    database: Database,
}

impl Both {
    fn new(name: &str) -> Both {
        let (app, database) = (unique(name), Database::new(name));
        database.execute("CREATE TABLE events (id BIGINT NOT NULL)");
        create_topic(&format!("{app}_out"), 1, &[]);
        Both { input: format!("{app}_in"), app, database }
    }

    /// `keys` stand in both routes.
    fn project(&self, keys: &str) -> Project {
        let Both { app, input, database } = self;
        let (head, url) = (head(app), &database.url);
        let route = |name: &str, destination: &str| {
            format!(
                "[routes.{name}]\ntopic = \"{input}\"\nformat = \"json\"\nschema = \"at.Event\"\ndlq = \"stop\"\n\
                 {keys}\ndestination = {destination}\n"
            )
        };
        let routes = [
            format!("{head}[databases.shop]\nurl = \"{url}\"\n"),
            route("rows", "{ database = \"shop\", table = \"events\" }"),
            route("records", &format!("{{ topic = \"{app}_out\", format = \"json\" }}")),
        ];
        Project::new(&routes.concat()).file("schemas/event.avsc", SCHEMA)
    }

    fn send(&self, partition: i32, ids: std::ops::Range<i32>) {
        let at = |id: i32| crate::harness::Message {
            partition: Some(partition),
            ..message(id.to_string(), format!(r#"{{"id":{id}}}"#))
        };
        produce(&self.input, ids.map(at));
    }

    /// The ids that each route has delivered.
    fn delivered(&self) -> [Vec<String>; 2] {
        let rows = self.database.rows("SELECT id::text AS id FROM events ORDER BY events.id");
        let rows = rows.iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect();
        let records = read_topic(&format!("{}_out", self.app));
        let mut records: Vec<i32> =
            records.iter().map(|m| std::str::from_utf8(m.key.as_ref().unwrap()).unwrap().parse().unwrap()).collect();
        records.sort_unstable();
        [rows, records.iter().map(i32::to_string).collect()]
    }
}

fn ids(ids: impl Iterator<Item = i32>) -> [Vec<String>; 2] {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    [ids.clone(), ids]
}

#[test]
fn latest_counts_for_a_new_group_and_not_for_a_new_partition() {
    let both = Both::new("latest");
    create_topic(&both.input, 2, &[]);
    both.send(0, 0..3);
    both.send(1, 3..6);
    // Two workers: the second may find what the first has stored already.
    let project = both.project("start = \"latest\"\nworkers = 2");
    project.run(&["run", "--until-caught-up"]).ok();
    assert_eq!(both.delivered(), ids(0..0), "what was there before the group is not its concern");
    both.send(1, 6..8);
    grow_topic(&both.input, 4);
    both.send(3, 8..11);
    project.run(&["run", "--until-caught-up"]).ok();
    assert_eq!(both.delivered(), ids(6..11));
    grow_topic(&both.input, 5);
    both.send(4, 11..13);
    project.run(&["run", "--until-caught-up"]).ok();
    assert_eq!(both.delivered(), ids(6..13));
}

#[test]
fn a_topic_that_was_made_anew_stands_with_an_alarm_however_long_the_new_one_is() {
    for (case, new) in [("shorter", 2), ("longer", 9)] {
        let both = Both::new("anew");
        create_topic(&both.input, 1, &[]);
        both.send(0, 0..5);
        both.project("").run(&["run", "--until-caught-up"]).ok();
        delete_topic(&both.input);
        create_topic(&both.input, 1, &[]);
        both.send(0, 100..100 + new);
        let finished = both.project("").run(&["run", "--until-caught-up", "--only", "rows"]);
        assert_eq!(finished.code, Some(3), "{case}: {}", finished.stderr);
        let alarm = format!("topic {} was deleted and made again", both.input);
        assert!(finished.stderr.contains(&alarm), "{case}: {}", finished.stderr);
        assert!(finished.stderr.contains("on_position_lost"), "{case}: {}", finished.stderr);
        // Kafka forgets a group's positions with the topic: the route to a topic begins as a new group does.
        both.project("on_position_lost = \"earliest\"").run(&["run", "--until-caught-up"]).ok();
        assert_eq!(both.delivered(), ids((0..5).chain(100..100 + new)), "{case}");
    }
}

/// A route that runs goes on by a topic's name: another one of that name has other records at the offsets that it knows.
fn made_anew_under_a_route(keys: &str) -> (Both, Project, Running, String) {
    let (both, listen) = (Both::new("anew"), TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    create_topic(&both.input, 1, &[]);
    let project = both.project(keys);
    project.run(&["run", "--until-caught-up"]).ok();
    let routes = fs::read_to_string(project.folder.join("routes.toml")).unwrap();
    // A route that runs on keeps the process.
    let (out, other) = (format!("{}_out", both.app), format!("{}_other", both.app));
    create_topic(&other, 1, &[]);
    let further = format!(
        "[http]\nlisten = \"{listen}\"\n[routes.other]\ntopic = \"{out}\"\nformat = \"json\"\nschema = \"at.Event\"\n\
         dlq = \"stop\"\ndestination = {{ topic = \"{other}\", format = \"json\" }}\n"
    );
    let project = project.file("routes.toml", &(routes + &further));
    let run = project.spawn(&["run"]);
    both.send(0, 0..5);
    wait_until("it flows", PATIENCE, || both.delivered() == ids(0..5));
    // While it sleeps: it finds the new one as if there had been no other.
    run.signal("STOP");
    delete_topic(&both.input);
    create_topic(&both.input, 1, &[]);
    both.send(0, 100..109);
    run.signal("CONT");
    (both, project, run, format!("http://{listen}/metrics"))
}

#[test]
fn a_topic_that_is_made_anew_under_a_route_stands_with_an_alarm_and_all_of_it_is_lag() {
    let (both, _project, mut run, metrics) = made_anew_under_a_route("");
    let alarm = format!("topic {} was deleted and made again", both.input);
    wait_until("both routes stand, and say how much waits for a person", PATIENCE, || {
        assert!(run.runs(), "{}", run.stderr());
        let stderr = run.stderr();
        let told = stderr.lines().filter(|line| line.contains(&alarm) && line.contains("\"standing\"")).count() == 2;
        let page = block_on(async { reqwest::get(&metrics).await?.text().await }).unwrap_or_default();
        let lag =
            |r: &str| format!("pointsman_lag_records{{route=\"{r}\",topic=\"{}\",partition=\"0\"}} 9", both.input);
        told && ["rows", "records"].iter().all(|route| page.contains(&lag(route)))
    });
}

#[test]
fn nothing_is_lost_of_a_topic_that_is_made_anew_under_a_route_that_goes_on() {
    let (both, _project, run, _) = made_anew_under_a_route("start = \"latest\"\non_position_lost = \"earliest\"");
    wait_until("all of the new topic is delivered", PATIENCE, || {
        // What was read of it before it was noticed comes again.
        both.delivered().map(|ids| ids.into_iter().collect::<BTreeSet<_>>())
            == ids((0..5).chain(100..109)).map(|ids| ids.into_iter().collect())
    });
    run.signal("TERM");
    run.wait().ok();
}

/// The brokers have forgotten the group's positions with the topic, and the group has dropped its partitions.
#[test]
fn a_topic_that_comes_back_long_after_it_went_away_stands_with_an_alarm() {
    let both = Both::new("back");
    create_topic(&both.input, 1, &[]);
    both.project("start = \"latest\"").run(&["run", "--until-caught-up"]).ok();
    let project = both.project("start = \"latest\"\nretry = { max = \"1s\" }");
    let routes = fs::read_to_string(project.folder.join("routes.toml")).unwrap();
    let soon = "[kafka.consumer]\n\"topic.metadata.refresh.interval.ms\" = \"300\"\n";
    let project = project.file("routes.toml", &(routes + soon));
    let mut run = project.spawn(&["run"]);
    both.send(0, 0..5);
    wait_until("it flows", PATIENCE, || both.delivered() == ids(0..5));
    delete_topic(&both.input);
    wait_until("neither route has it any more", PATIENCE, || {
        let gone = |line: &&str| ["partitions lost", "partitions revoked"].iter().any(|w| line.contains(w));
        run.stderr().lines().filter(gone).count() == 2
    });
    create_topic(&both.input, 1, &[]);
    both.send(0, 100..104);
    wait_until("both routes stand", PATIENCE, || !run.runs());
    let finished = run.wait();
    let alarm = format!("topic {} was deleted and made again", both.input);
    let told = finished.stderr.lines().filter(|line| line.contains(&alarm) && line.contains("\"standing\"")).count();
    assert_eq!((finished.code, told), (Some(3), 2), "{}", finished.stderr);
    assert_eq!(both.delivered(), ids(0..5));
}

#[test]
fn same_partition_holds_for_those_by_which_both_topics_grow_meanwhile() {
    let app = unique("same");
    let (input, output) = (format!("{app}_in"), format!("{app}_out"));
    create_topic(&input, 1, &[]);
    create_topic(&output, 1, &[]);
    let project = Project::new(&format!(
        "{}[kafka.consumer]\n\"topic.metadata.refresh.interval.ms\" = \"300\"\n\
         [routes.r]\ntopic = \"{input}\"\nformat = \"json\"\nschema = \"at.Event\"\ndlq = \"stop\"\n\
         destination = {{ topic = \"{output}\", format = \"json\", partition = \"same\" }}\n",
        head(&app)
    ))
    .file("schemas/event.avsc", SCHEMA);
    let send = |partition| {
        let at = |id: i32| crate::harness::Message {
            partition: Some(partition),
            ..message(id.to_string(), format!(r#"{{"id":{id}}}"#))
        };
        produce(&input, [at(partition)]);
    };
    let mut run = project.spawn(&["run"]);
    send(0);
    wait_until("the first is delivered", Duration::from_secs(60), || read_topic(&output).len() == 1);
    grow_topic(&output, 3);
    grow_topic(&input, 3);
    send(2);
    wait_until("the second is delivered", Duration::from_secs(60), || !run.runs() || read_topic(&output).len() == 2);
    let partitions: Vec<_> = read_topic(&output).iter().map(|m| m.partition).collect();
    assert_eq!(partitions, [Some(0), Some(2)], "{}", run.stderr());
    run.signal("TERM");
    run.wait().ok();
}

/// A route over a topic of two partitions with one record, which has delivered it.
fn delivered(app: &str, keys: &str) -> Project {
    let (input, output) = (format!("{app}_in"), format!("{app}_out"));
    create_topic(&input, 2, &[]);
    create_topic(&output, 1, &[]);
    let at = |partition, id: i32| crate::harness::Message {
        partition: Some(partition),
        ..message(id.to_string(), format!(r#"{{"id":{id}}}"#))
    };
    produce(&input, [at(0, 0), at(1, 1), at(1, 2)]);
    let project = lost(app, keys);
    let first = project.run(&["run", "--until-caught-up"]).ok();
    assert!(begins_anew(&first.stderr), "{}", first.stderr);
    project
}

fn lost(app: &str, keys: &str) -> Project {
    Project::new(&format!(
        "{}[routes.r]\ntopic = \"{app}_in\"\nformat = \"json\"\nschema = \"at.Event\"\ndlq = \"stop\"\n\
         group = \"{app}\"\n{keys}\ndestination = {{ topic = \"{app}_out\", format = \"json\" }}\n",
        head(app)
    ))
    .file("schemas/event.avsc", SCHEMA)
}

/// Deletes what the group has stored, and stores it again in these partitions alone.
fn keep_positions(app: &str, partitions: std::ops::Range<i32>) {
    let kept: Vec<Partition> = partitions.map(|id| Partition::new(&format!("{app}_in"), id)).collect();
    let consumer = Consumer::new(&settings("range"), app, "0").unwrap();
    let stored = consumer.committed(&kept, PATIENCE).unwrap();
    assert_eq!(stored.len(), kept.len());
    delete_group(app);
    for (partition, stored) in stored {
        let notes = BTreeMap::from([(partition.topic.to_string(), stored.note.unwrap())]);
        consumer.commit(&[(partition, stored.offset)].into(), &notes).unwrap();
    }
}

fn begins_anew(stderr: &str) -> bool {
    stderr.contains("partitions begin anew") && stderr.contains("\"count\":2")
}

#[test]
fn a_group_without_any_position_says_where_it_begins() {
    let app = unique("lost");
    let project = delivered(&app, "");
    let again = project.run(&["run", "--until-caught-up"]).ok();
    assert!(!begins_anew(&again.stderr), "it goes on: {}", again.stderr);
    delete_group(&app);
    let anew = project.run(&["run", "--until-caught-up"]).ok();
    assert!(begins_anew(&anew.stderr) && anew.stderr.contains(&format!("{app}_in/1 at 0")), "{}", anew.stderr);
}

#[test]
fn a_single_lost_position_is_an_alarm() {
    let app = unique("lost");
    let project = delivered(&app, "start = \"earliest\"");
    keep_positions(&app, 0..1);
    let alarm = project.run(&["run", "--until-caught-up"]);
    assert_eq!(alarm.code, Some(3), "{}", alarm.stderr);
    assert!(alarm.stderr.contains(&format!("group {app} has lost its position in {app}_in/1")), "{}", alarm.stderr);
    assert_eq!(read_topic(&format!("{app}_out")).len(), 3);
    lost(&app, "on_position_lost = \"earliest\"").run(&["run", "--until-caught-up"]).ok();
    assert_eq!(read_topic(&format!("{app}_out")).len(), 5, "partition 1 from its beginning");
}

#[test]
fn a_lost_position_of_a_partition_that_came_later_is_an_alarm() {
    let app = unique("lost");
    let project = delivered(&app, "start = \"earliest\"");
    grow_topic(&format!("{app}_in"), 4);
    let at = |id: i32| crate::harness::Message {
        partition: Some(id),
        ..message(id.to_string(), format!(r#"{{"id":{id}}}"#))
    };
    produce(&format!("{app}_in"), [at(2), at(3)]);
    project.run(&["run", "--until-caught-up"]).ok();
    assert_eq!(read_topic(&format!("{app}_out")).len(), 5);
    keep_positions(&app, 0..3);
    let alarm = project.run(&["run", "--until-caught-up"]);
    assert_eq!(alarm.code, Some(3), "{}", alarm.stderr);
    assert!(alarm.stderr.contains(&format!("group {app} has lost its position in {app}_in/3")), "{}", alarm.stderr);
    assert_eq!(read_topic(&format!("{app}_out")).len(), 5);
}

#[test]
fn positions_that_are_dropped_under_a_running_table_route_stand_it_with_an_alarm() {
    let both = Both::new("dropped");
    create_topic(&both.input, 2, &[]);
    both.send(0, 0..3);
    let project = both.project("");
    let mut run = project.spawn(&["run", "--only", "rows"]);
    wait_until("it delivers", PATIENCE, || both.database.count("events") == 3);
    assert!(begins_anew(&run.stderr()), "{}", run.stderr());
    both.database.execute("DROP TABLE pointsman_positions");
    both.send(0, 3..4);
    wait_until("the route stands", PATIENCE, || !run.runs());
    let finished = run.wait();
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    let alarm = format!("group {}.rows has lost its position in {}/0", both.app, both.input);
    assert!(finished.stderr.contains(&alarm), "{}", finished.stderr);
    assert_eq!(both.database.count("events"), 3, "nothing comes again without a word");
}

/// Retention has taken all that was to be read.
#[test]
fn a_gap_up_to_the_end_is_passed_over_once() {
    let both = Both::new("gap");
    create_topic(&both.input, 1, &[]);
    both.send(0, 0..3);
    let project = both.project("on_position_lost = \"earliest\"");
    project.run(&["run", "--until-caught-up"]).ok();
    both.send(0, 3..8);
    delete_records(&both.input, 0, 8);
    for told in [2, 0] {
        let mut run = project.spawn(&["run", "--until-caught-up"]);
        wait_until("it has caught up", PATIENCE, || !run.runs());
        let finished = run.wait().ok();
        let lost = finished.stderr.lines().filter(|line| line.contains("going on after the gap"));
        assert_eq!(lost.count(), told, "once by each route: {}", finished.stderr);
    }
    both.send(0, 8..9);
    project.run(&["run", "--until-caught-up"]).ok();
    assert_eq!(both.delivered(), ids((0..3).chain(8..9)));
}

/// docs/operating.md tells how a position is set: in Kafka for a route to topics, in the database for one to tables.
#[test]
fn a_route_goes_on_from_the_position_that_was_set_as_the_document_says() {
    let both = Both::new("set");
    create_topic(&both.input, 1, &[]);
    both.send(0, 0..3);
    let project = both.project("");
    project.run(&["run", "--until-caught-up"]).ok();
    both.send(0, 3..8);
    delete_records(&both.input, 0, 5);
    let stood = project.run(&["run", "--until-caught-up"]);
    assert_eq!(stood.code, Some(3), "{}", stood.stderr);
    assert!(stood.stderr.contains("set the group's position, as docs/operating.md shows"), "{}", stood.stderr);

    let document = include_str!("../../docs/operating.md");
    let shown = |begin: &str, route: &str| {
        let (_, rest) = document.split_once(begin).unwrap();
        let text =
            format!("{begin}{}", rest.split_once("```").unwrap().0).replace("localhost:9092", &bootstrap_servers());
        let text = text.replace("shop.orders", &format!("{}.{route}", both.app)).replace("1200", "6");
        text.replace("orders", &both.input)
    };
    kafka_tools(&project.folder);
    let path = format!("{}:{}", project.folder.display(), std::env::var("PATH").unwrap());
    let command = shown("kafka-consumer-groups.sh", "records");
    let done = Command::new("sh").args(["-c", &command]).env("PATH", path).output().unwrap();
    assert!(done.status.success(), "{command}: {done:?}");
    both.database.execute(&shown("UPDATE pointsman_positions SET next_offset", "rows"));
    project.run(&["run", "--until-caught-up"]).ok();
    assert_eq!(both.delivered(), ids((0..3).chain(6..8)));
}

/// A route to tables has no offsets in Kafka, so nobody can begin at them: that is told.
#[test]
fn a_start_at_the_offsets_of_a_group_that_has_none_is_told() {
    let old = Both::new("begun");
    create_topic(&old.input, 1, &[]);
    old.send(0, 0..3);
    old.project("").run(&["run", "--until-caught-up"]).ok();
    for (other, told, delivered) in [("records", 0, 0..0), ("rows", 2, 0..3)] {
        let new = Both { input: old.input.clone(), ..Both::new("begins") };
        let project = new.project(&format!("start = {{ group = \"{}.{other}\" }}", old.app));
        let finished = project.run(&["run", "--until-caught-up"]).ok();
        let warnings = finished.stderr.lines().filter(|line| line.contains("has no offsets in Kafka"));
        assert_eq!(warnings.count(), told, "once by each route: {}", finished.stderr);
        assert_eq!(new.delivered(), ids(delivered));
    }
}
