//! The words of the demo: what it is about to do, what came of it, what to try next.

use super::{
    account::{self, Owed},
    world::INVALID_SHARE,
};
use crate::{
    config::{Dlq, Plan},
    telemetry::{Counts, RouteView},
    tools::thousands,
};
use std::{fmt::Write, path::Path, time::Duration};

pub fn opening(folder: &Path, plan: &Plan, records: usize) -> String {
    format!(
        "Pointsman carries {} records through {} routes: JSON and Avro, checked, enriched, into topics and tables.
Broker, schema registry and SQLite run inside this process. {:.0}% of the records are bad on purpose.
Everything is in {}
",
        thousands(records as u64),
        plan.routes.len(),
        INVALID_SHARE * 100.0,
        folder.display()
    )
}

/// What each route did, and why it refused what it refused.
pub fn routes(plan: &Plan, owed: &[Owed], board: &[RouteView]) -> String {
    let mut text = format!(
        "{:<16} {:<20} {:>8} = {:>9} + {:>8} + {:>7}\n",
        "ROUTE", "READS", "CONSUMED", "DELIVERED", "FILTERED", "DEAD"
    );
    let mut sum = Counts::default();
    let mut line = |name: &str, reads: &str, c: Counts| {
        let [consumed, delivered, filtered, dead] =
            [c.consumed(), c.delivered, c.filtered, c.dead_lettered].map(thousands);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<16} {reads:<20} {consumed:>8} = {delivered:>9} + {filtered:>8} + {dead:>7}");
    };
    for o in owed {
        let counts = account::view(board, o.route).map(|v| v.counts).unwrap_or_default();
        sum.delivered += counts.delivered;
        sum.filtered += counts.filtered;
        sum.dead_lettered += counts.dead_lettered;
        let reads = plan.routes.iter().find(|r| r.name == o.route).map(|r| r.topics.join(", "));
        line(o.route, &reads.unwrap_or_default(), counts);
    }
    line("all", "", sum);
    text.push_str("\nDEAD LETTERS BY REASON, each kept byte for byte, with its origin\n");
    for o in owed {
        let Some(view) = account::view(board, o.route).filter(|v| !v.failures.is_empty()) else { continue };
        let place = plan.routes.iter().find(|r| r.name == o.route).map(|r| place(&r.dlq)).unwrap_or_default();
        let _ = writeln!(text, "{} -> {place}", o.route);
        let mut reasons: Vec<_> = view.failures.iter().map(|((s, c), n)| format!("{}/{c} {n}", s.name())).collect();
        reasons.sort();
        for row in reasons.chunks(2) {
            let cells: Vec<_> = row.iter().map(|r| format!("{r:<38}")).collect();
            let _ = writeln!(text, "  {}", cells.concat().trim_end());
        }
    }
    text
}

fn place(dlq: &Dlq) -> String {
    match dlq {
        Dlq::Topic(topic) => format!("topic {topic}"),
        Dlq::Table { database, table } => format!("table {table} of {database}"),
        Dlq::Stop | Dlq::Discard => String::new(),
    }
}

pub fn verdict(differences: &[String], total: u64, took: Duration) -> String {
    if differences.is_empty() {
        let total = thousands(total);
        // More than the records: those that one route passes on to another have an outcome in each.
        return format!(
            "Every record is accounted for: {total} outcomes in {:.1} s, exactly as the generator expects.\n",
            took.as_secs_f64()
        );
    }
    format!("NOT every record is accounted for:\n  {}\n", differences.join("\n  "))
}

pub fn closing(folder: &Path, plan: &Plan, pages: Option<&str>, stays: bool) -> String {
    let (folder, pages) = (folder.display(), pages.unwrap_or_default());
    let pages = if stays {
        let registry = plan.registry.as_ref().map_or("", |r| &r.url);
        format!(
            "Still running: open {pages}/ or {pages}/metrics. Ctrl-C ends it.
The broker is at {}, the schema registry at {registry}.",
            plan.kafka.bootstrap_servers
        )
    } else {
        "Metrics and a status page were served meanwhile: `pointsman demo --keep-running` leaves them open.".to_owned()
    };
    format!(
        "WHAT TO TRY NEXT
  sqlite3 {folder}/data/shop.db 'SELECT event_type, count(*), sum(amount) FROM events GROUP BY 1'
  sqlite3 {folder}/data/jobs.db 'SELECT code, field, message FROM dead_letters LIMIT 5'
  less {folder}/routes.toml          all six routes; misspell a field there, then:
  pointsman check -f {folder}/routes.toml
  KAFKA_BOOTSTRAP_SERVERS=host:9092 pointsman run -f {folder}/routes.toml --migrate

{pages}"
    )
}

#[cfg(test)]
mod tests {
    use super::{closing, thousands};
    use crate::config::{Kafka, Plan, Registry};
    use std::{collections::BTreeMap, path::Path, time::Duration};

    #[test]
    fn a_demo_that_stays_says_where_its_broker_and_registry_are() {
        let plan = Plan {
            app: "demo".into(),
            kafka: Kafka { bootstrap_servers: "127.0.0.1:4711".into(), ..Kafka::default() },
            registry: Some(Registry {
                url: "http://127.0.0.1:4712".into(),
                user: None,
                password: None,
                ca: None,
                unknown_id_grace: Duration::ZERO,
            }),
            databases: BTreeMap::new(),
            http: None,
            topics: BTreeMap::new(),
            routes: Vec::new(),
            collectors: Vec::new(),
        };
        let told = closing(Path::new("/tmp/demo"), &plan, Some("http://127.0.0.1:4713"), true);
        for address in ["127.0.0.1:4711", "http://127.0.0.1:4712", "http://127.0.0.1:4713/metrics"] {
            assert!(told.contains(address), "{told}");
        }
    }

    #[test]
    fn digits_stand_in_groups_of_three() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (n, text) in cases {
            assert_eq!(thousands(n), text);
        }
    }
}
