//! Dead letters of a table that are bound for a topic.

use crate::harness::{Database, Project, create_topic, head, message, produce, read_topic, unique};

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
