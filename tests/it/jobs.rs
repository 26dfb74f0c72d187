//! The five jobs that Pointsman ships, from generated records to the last row. Here is what their tests share.

use crate::{
    harness::{Database, Message, Project, block_on, bootstrap_servers, create_topic, produce, read_topic, unique},
    registry_api::Served,
};
use pointsman::{
    config,
    generate::jobs::{Expect, Generated, Job, Recipe},
    registry::server::Registry,
};
use serde_json::{Value, json};
use sqlx::{SqlitePool, migrate::Migrator};
use std::{collections::BTreeMap, path::Path};

/// The shipped configuration on topics of a test's own, with a registry of its own.
pub struct Shipped {
    pub project: Project,
    topics: BTreeMap<&'static str, String>,
    registry: Served,
}

impl Shipped {
    /// Topics as routes.toml names them, each with its number of partitions.
    pub fn new(topics: &[(&'static str, i32)]) -> Shipped {
        let shipped = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("routes.toml")).unwrap();
        let mut routes = shipped.replace("app = \"examples\"", &format!("app = \"{}\"", unique("app")));
        let mut names = BTreeMap::new();
        for (topic, partitions) in topics {
            let own = unique(topic);
            create_topic(&own, *partitions, &[]);
            routes = routes.replace(&format!("[topics.{topic}]"), &format!("[topics.{own}]"));
            for key in ["topic", "dlq"] {
                routes = routes.replace(&format!("{key} = \"{topic}\""), &format!("{key} = \"{own}\""));
            }
            names.insert(*topic, own);
        }
        let registry = Served::new(Registry::in_memory());
        let project = Project::shipped()
            .file("routes.toml", &routes)
            .variable("KAFKA_BOOTSTRAP_SERVERS", &bootstrap_servers())
            .variable("SCHEMA_REGISTRY_URL", &registry.url)
            .variable("HTTP_LISTEN", "127.0.0.1:0");
        let shipped = Shipped { project, registry, topics: names };
        shipped.register_destinations();
        shipped
    }

    /// Registers what the routes write to these topics: `run` expects its subjects to be there.
    fn register_destinations(&self) {
        let loaded = config::load(&self.project.folder.join("routes.toml"), config::Options::default()).unwrap();
        let branches = loaded.plan.unwrap().routes.into_iter().flat_map(|r| r.lanes).flat_map(|l| l.branches);
        for destination in branches.flat_map(|b| b.destinations) {
            if let config::Destination::Topic(topic) = destination
                && let Some((name, _)) = self.topics.iter().find(|(_, own)| **own == topic.topic)
            {
                self.register(name, &serde_json::from_str(&topic.schema_text).unwrap());
            }
        }
    }

    pub fn variable(mut self, name: &str, value: &str) -> Shipped {
        self.project = self.project.variable(name, value);
        self
    }

    pub fn topic(&self, name: &str) -> &str {
        &self.topics[name]
    }

    /// Produces a job's records, and gives them back with what they expect.
    pub fn generate(&self, job: Job, recipe: &Recipe) -> Vec<Generated> {
        let records: Vec<Generated> = job.records(recipe).collect();
        self.produce(job, &records);
        records
    }

    pub fn produce(&self, job: Job, records: &[Generated]) {
        produce(self.topic(job.topic()), records.iter().map(message));
    }

    /// Runs one route until it has reached the topic's end.
    #[track_caller]
    pub fn run(&self, route: &str) {
        self.project.run(&["run", "--only", route, "--migrate", "--until-caught-up"]).ok();
    }

    /// Registers a schema for a topic's values, and gives its id.
    pub fn register(&self, topic: &str, schema: &Value) -> u32 {
        let url = format!("{}/subjects/{}-value/versions", self.registry.url, self.topic(topic));
        let request = reqwest::Client::new().post(url).json(&json!({ "schema": schema.to_string() }));
        let answer: Value = block_on(async { request.send().await.unwrap().json().await.unwrap() });
        answer["id"].as_u64().unwrap_or_else(|| panic!("{topic}: {answer}")) as u32
    }

    /// The id and the text of the schema that a topic's values were last registered with.
    pub fn registered(&self, topic: &str) -> (u32, String) {
        let url = format!("{}/subjects/{}-value/versions/latest", self.registry.url, self.topic(topic));
        let answer: Value = block_on(async { reqwest::get(url).await.unwrap().json().await.unwrap() });
        (answer["id"].as_u64().unwrap() as u32, answer["schema"].as_str().unwrap().to_owned())
    }

    /// The dead letters of a topic.
    pub fn letters(&self, topic: &str) -> Vec<Letter> {
        let letters = read_topic(self.topic(topic)).into_iter();
        letters
            .map(|m| Letter {
                stage: m.header("pointsman.stage").unwrap().to_owned(),
                code: m.header("pointsman.code").unwrap().to_owned(),
                key: m.key,
                value: m.value,
            })
            .collect()
    }
}

/// A dead letter's failure, and the record as it was.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Letter {
    pub stage: String,
    pub code: String,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// The rows of a table of dead letters.
pub fn stored_letters(database: &Database, table: &str) -> Vec<Letter> {
    let sql = format!("SELECT stage, code, key, value FROM {table}");
    let rows = block_on(sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&database.pool)).unwrap();
    rows.into_iter().map(|(stage, code, key, value)| Letter { stage, code, key, value }).collect()
}

/// The letters that these records must have become: each of them, once, byte for byte.
pub fn expected_letters(records: &[Generated]) -> Vec<Letter> {
    let mut letters: Vec<Letter> = records
        .iter()
        .filter_map(|r| {
            let Expect::Dead { stage, code } = r.expect else { return None };
            Some(Letter {
                stage: stage.name().into(),
                code: code.into(),
                key: Some(r.key.clone()),
                value: r.value.clone(),
            })
        })
        .collect();
    letters.sort();
    letters
}

/// How many letters have each failure: what to read first when they are not the expected ones.
pub fn by_code(letters: &[Letter]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    letters.iter().for_each(|l| *counts.entry(format!("{}/{}", l.stage, l.code)).or_default() += 1);
    counts
}

#[track_caller]
pub fn assert_letters(mut found: Vec<Letter>, records: &[Generated]) {
    found.sort();
    let expected = expected_letters(records);
    assert!(!expected.is_empty(), "the recipe has bad records");
    assert_eq!(by_code(&found), by_code(&expected));
    assert!(found == expected, "a letter is not its record byte for byte");
}

/// The values of records that must be delivered, as JSON, each with its case.
pub fn delivered(records: &[Generated]) -> impl Iterator<Item = (&'static str, Value)> {
    records.iter().filter_map(|r| match r.expect {
        Expect::Delivered { case } => Some((case, serde_json::from_slice(r.value.as_deref()?).unwrap())),
        _ => None,
    })
}

/// Milliseconds since the epoch of a timestamp in RFC 3339; null stays null.
pub fn millis(timestamp: &Value) -> Value {
    let parsed = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    timestamp.as_str().map_or(Value::Null, |text| json!(parsed(text)))
}

/// A number of JSON as a decimal with two places, from its text; null stays null.
pub fn money(number: &Value) -> Value {
    let text = match number {
        Value::Null => return Value::Null,
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    let (whole, places) = text.split_once('.').unwrap_or((&text, ""));
    json!(format!("{whole}.{places:0<2}"))
}

/// A double as the text that Postgres gives it.
pub fn double(number: &Value) -> Value {
    json!(number.as_f64().unwrap().to_string())
}

/// Rows by their key column, which is unique.
pub fn by_key(rows: impl IntoIterator<Item = Value>, key: &str) -> BTreeMap<String, Value> {
    rows.into_iter().map(|row| (row[key].as_str().unwrap().to_owned(), row)).collect()
}

/// Every row is as expected; names the first that is not.
#[track_caller]
pub fn assert_rows(found: &BTreeMap<String, Value>, expected: &BTreeMap<String, Value>) {
    for (key, row) in expected {
        assert_eq!(found.get(key), Some(row), "the row of {key}");
    }
    assert_eq!(found.len(), expected.len(), "rows that no record has made");
}

fn message(record: &Generated) -> Message {
    Message {
        key: Some(record.key.clone()),
        value: record.value.clone(),
        headers: record.headers.iter().map(|(n, v)| ((*n).to_owned(), v.clone().into_bytes())).collect(),
        ..Default::default()
    }
}

#[test]
fn the_shipped_configuration_has_no_problems() {
    let checked = Project::shipped().run(&["check"]).ok();
    let said = checked.stdout + &checked.stderr;
    assert!(!said.contains("warning") && !said.contains("error"), "{said}");
}

#[test]
fn shipped_migrations_give_both_databases_the_same_tables() {
    for name in ["shop", "crm", "jobs"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(name);
        let postgres = Database::new(name);
        let columns =
            |rows: Vec<(String, String)>| rows.into_iter().filter(|(t, _)| !t.starts_with('_')).collect::<Vec<_>>();
        let (ours, theirs) = block_on(async {
            let migrator = Migrator::new(folder.join("postgres")).await.unwrap();
            migrator.run(&postgres.pool).await.unwrap();
            let sql = "SELECT table_name::text, column_name::text FROM information_schema.columns
                       WHERE table_schema = 'public' ORDER BY table_name, ordinal_position";
            let ours = sqlx::query_as(sql).fetch_all(&postgres.pool).await.unwrap();
            let sqlite = SqlitePool::connect("sqlite::memory:").await.unwrap();
            Migrator::new(folder.join("sqlite")).await.unwrap().run(&sqlite).await.unwrap();
            let sql = "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c
                       WHERE t.type = 'table' ORDER BY t.name, c.cid";
            (ours, sqlx::query_as(sql).fetch_all(&sqlite).await.unwrap())
        });
        assert_eq!(columns(ours), columns(theirs), "{name}");
    }
}
