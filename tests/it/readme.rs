//! What README.md says is true: its tables are the code's, and its ten-minute path leads where it says.

use crate::harness::{Project, block_on, bootstrap_servers, message, produce, unique};
use pointsman::{
    failure::CODES,
    generate::{Fault, HINTS, LIKES},
    telemetry::METRICS,
    tools::plan::FINDINGS,
};
use sqlx::SqlitePool;

const README: &str = include_str!("../../README.md");

/// The rows of the table below this head.
fn table(head: &str) -> Vec<&'static str> {
    let (_, rest) = README.split_once(head).unwrap_or_else(|| panic!("README.md has a table {head}"));
    rest.lines().skip(2).take_while(|l| l.starts_with('|')).collect()
}

#[test]
fn the_reference_of_failure_codes_is_the_codes_table() {
    let rows: Vec<String> = CODES.iter().map(|c| format!("| {} | `{}` | {} |", c.stage, c.code, c.meaning)).collect();
    assert_eq!(table("| stage | code | what it means |"), rows);
}

#[test]
fn the_reference_of_findings_is_the_table_of_findings() {
    let rows: Vec<String> = FINDINGS.iter().map(|(code, meaning)| format!("| `{code}` | {meaning} |")).collect();
    assert_eq!(table("| finding | what it means |"), rows);
}

#[test]
fn the_reference_of_metrics_is_the_metrics_table() {
    let row = |m: &pointsman::telemetry::MetricDoc| {
        format!("| `{}` | {} | {} | {} |", m.name, m.kind.name(), m.labels.join(", "), m.help)
    };
    assert_eq!(table("| metric | kind | labels | what it tells |"), METRICS.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn the_references_of_the_generator_are_its_tables() {
    let hints = HINTS.iter().map(|h| format!("| `{}` | {} | {} |", h.key, h.on, h.meaning));
    assert_eq!(table("| hint | on | meaning |"), hints.collect::<Vec<_>>());
    let likes = LIKES.iter().map(|l| format!("| `{}` | {} |", l.name, l.example));
    assert_eq!(table("| like | such as |"), likes.collect::<Vec<_>>());
    let faults = Fault::ALL.iter().map(|f| format!("| `{}` | {} |", f.name(), f.meaning()));
    assert_eq!(table("| fault | what is wrong |"), faults.collect::<Vec<_>>());
}

/// The code block that follows "in `path`:".
fn file(path: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("in `{path}`:\n")).unwrap_or_else(|| panic!("README.md has {path}"));
    let (_, block) = rest.split_once("```").unwrap();
    let (_, block) = block.split_once('\n').unwrap();
    block.split_once("```").unwrap().0
}

#[test]
fn the_ten_minute_path_leads_to_a_row_and_a_dead_letter() {
    let topic = unique("payments");
    let routes = file("routes.toml").replace("topic = \"payments\"", &format!("topic = \"{topic}\""));
    let routes = routes.replace("[topics.payments]", &format!("[topics.{topic}]"));
    let mut project = Project::new(&routes.replace("app = \"payments\"", &format!("app = \"{}\"", unique("app"))));
    for path in ["schemas/shop/Payment.avsc", "migrations/0001_payments.sql"] {
        project = project.file(path, file(path));
    }
    let project = project.variable("KAFKA_BOOTSTRAP_SERVERS", &bootstrap_servers());
    let project = project.variable("HTTP_LISTEN", "127.0.0.1:0");
    project.run(&["check"]).ok();
    project.run(&["apply", "--yes"]).ok();
    produce(&topic, README.lines().filter(|l| l.starts_with("{\"id\"")).map(|json| message("", json)));
    project.run(&["run", "--until-caught-up"]).ok();

    let database = format!("sqlite://{}", project.folder.join("books.db").display());
    block_on(async {
        let books = SqlitePool::connect(&database).await.unwrap();
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT id, fee FROM payments").fetch_all(&books).await.unwrap();
        assert_eq!(rows, [("p1".to_owned(), "3.48".to_owned())]);
        let letters: Vec<(String, String)> =
            sqlx::query_as("SELECT stage, code FROM dead_letters").fetch_all(&books).await.unwrap();
        assert_eq!(letters, [("validate".to_owned(), "positive".to_owned())]);
    });

    // Records that need no program of Kafka's.
    let (_, rest) = README.split_once("(`pointsman generate").unwrap();
    let generate: Vec<&str> = rest.split_once('`').unwrap().0.split_whitespace().collect();
    project.run(&[&["generate"], &generate[..]].concat()).ok();
    project.run(&["run", "--until-caught-up"]).ok();
    let counted = "SELECT (SELECT count(*) FROM payments), (SELECT count(*) FROM dead_letters)";
    let (rows, letters): (i64, i64) = block_on(async {
        let books = SqlitePool::connect(&database).await.unwrap();
        sqlx::query_as(counted).fetch_one(&books).await.unwrap()
    });
    assert!(rows + letters == 22 && rows > 1 && letters > 1, "{rows} rows, {letters} dead letters");
}
