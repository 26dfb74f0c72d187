//! The breaker: what it stops stays stopped until the route changes.

use crate::harness::{Database, Finished, Message, Project, create_topic, head, message, produce, read_topic, unique};

const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"trip","fields":[{"name":"id","type":"long"}]}"#;

struct Case {
    app: String,
    rest: &'static str,
    tables: String,
}

impl Case {
    fn new(name: &str, rest: &'static str, tables: String) -> Case {
        let app = unique(name);
        create_topic(&format!("{app}_in"), 2, &[]);
        for topic in ["out", "dlq"] {
            create_topic(&format!("{app}_{topic}"), 2, &[]);
        }
        let text = |i: i32| if i < 5 { format!(r#"{{"id":{i}}}"#) } else { "not json".to_owned() };
        produce(
            &format!("{app}_in"),
            (0..40).map(|i| Message { partition: Some(i % 2), ..message(i.to_string(), text(i)) }),
        );
        Case { app, rest, tables }
    }

    fn run(&self, share: &str) -> Finished {
        let Case { app, tables, .. } = self;
        let (head, rest) = (head(app), self.rest.replace("{app}", app));
        let routes = format!(
            "{head}{tables}[routes.r]\ntopic = \"{app}_in\"\nformat = \"json\"\nschema = \"trip.Event\"\n\
             breaker = {{ share = {share}, min = 5, window = \"1m\" }}\n{rest}\n"
        );
        Project::new(&routes).file("schemas/event.avsc", SCHEMA).run(&["run", "--until-caught-up"])
    }

    fn trips_and_stays_so(&self, delivered_and_dead: impl Fn() -> (usize, usize)) {
        let tripped = self.run("0.5");
        assert_eq!(tripped.code, Some(3), "{}", tripped.stderr);
        assert!(tripped.stderr.contains("records failed, so none of them were committed"), "{}", tripped.stderr);
        assert_eq!(delivered_and_dead(), (0, 0));
        let again = self.run("0.5");
        assert_eq!(again.code, Some(3), "{}", again.stderr);
        assert!(again.stderr.contains("has not changed since"), "{}", again.stderr);
        assert!(again.stderr.contains("\"state\":\"tripped\""), "{}", again.stderr);
        assert_eq!(delivered_and_dead(), (0, 0));
        self.run("1.0").ok();
        assert_eq!(delivered_and_dead(), (5, 35));
    }
}

#[test]
fn a_tripped_route_to_a_topic_stays_so_over_restarts_until_it_changes() {
    let rest = "dlq = \"{app}_dlq\"\ndestination = { topic = \"{app}_out\", format = \"json\" }";
    let case = Case::new("trip_topic", rest, String::new());
    let count = |topic: &str| read_topic(&format!("{}_{topic}", case.app)).len();
    case.trips_and_stays_so(|| (count("out"), count("dlq")));
}

#[test]
fn a_tripped_route_to_a_table_stays_so_over_restarts_until_it_changes() {
    let database = Database::new("trip");
    database.execute("CREATE TABLE events (id BIGINT NOT NULL)");
    let rest = "dlq = { database = \"shop\", table = \"dead_letters\" }\n\
                destination = { database = \"shop\", table = \"events\" }";
    let case = Case::new("trip_pg", rest, format!("[databases.shop]\nurl = \"{}\"\n", database.url));
    case.trips_and_stays_so(|| (database.count("events") as usize, database.count("dead_letters") as usize));
}
