//! Where a route goes on: in a topic that has grown, and in one that was made anew.

use crate::harness::{
    Database, Project, create_topic, delete_topic, grow_topic, head, message, produce, read_topic, unique,
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
