//! The analytics example handed on to Spark: what Parquet and SQL hold in the end is what was generated.

use crate::{
    harness::read_topic,
    tools::{python, run},
    walk::Walk,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

/// What is summed up of a category in a minute. Money is in cents.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    events: i64,
    views: i64,
    carts: i64,
    purchases: i64,
    revenue: i64,
}

#[test]
fn sparks_totals_are_the_generators() {
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/analytics/SPARK.md")).unwrap();
    let packages = guide.lines().find_map(|l| l.strip_prefix("pip install ")).expect("SPARK.md says what to install");
    let programs = python(&packages.split_whitespace().collect::<Vec<_>>());

    let mut walk = Walk::through("analytics", &[], std::slice::from_ref(&programs));
    walk.follow("README.md");
    walk.follow("SPARK.md");

    let expected = expected(&walk);
    let total = |of: fn(&Sums) -> i64| expected.values().map(of).sum::<i64>();
    assert!(total(|s| s.events) > 18_000 && total(|s| s.revenue) > 0, "{:?}", expected.iter().next());
    let minutes = "SELECT strftime(minute, '%Y-%m-%dT%H:%M'), category, events, views, carts, purchases,
                          (revenue * 100)::BIGINT FROM read_parquet('lake/category_minutes/*/*.parquet')";
    let rows = rows(&programs, &walk.project.folder, ":memory:", minutes);
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), expected.len(), "each minute of a category is written once");
    for row in rows {
        let key = (row[0].as_str().unwrap().to_owned(), row[1].as_str().unwrap().to_owned());
        let [events, views, carts, purchases, revenue] = [2, 3, 4, 5, 6].map(|i| row[i].as_i64().unwrap());
        assert_eq!(expected.get(&key), Some(&Sums { events, views, carts, purchases, revenue }), "{key:?}");
    }
    let days = "SELECT sum(events)::BIGINT, sum(purchases)::BIGINT, (sum(revenue) * 100)::BIGINT FROM category_days";
    let sums = json!([[total(|s| s.events), total(|s| s.purchases), total(|s| s.revenue)]]);
    assert_eq!(self::rows(&programs, &walk.project.folder, "dbt/clickstream.duckdb", days), sums);
}

/// The sums of the events that were generated and are no dead letters, by minute and category, from the JSON itself.
fn expected(walk: &Walk) -> BTreeMap<(String, String), Sums> {
    let origin = |name: &str, letter: &crate::harness::Message| letter.header(name).unwrap().parse::<i64>().unwrap();
    let dead: BTreeSet<(i64, i64)> = read_topic(&walk.topics["dead_letter_queue"])
        .iter()
        .map(|l| (origin("pointsman.partition", l), origin("pointsman.offset", l)))
        .collect();
    assert!(dead.len() > 100, "{} dead letters: wrong events were generated too", dead.len());
    let mut sums: BTreeMap<_, Sums> = BTreeMap::new();
    for record in read_topic(&walk.topics["ecommerce_events_raw"]) {
        if dead.contains(&(i64::from(record.partition.unwrap()), record.offset)) {
            continue;
        }
        let event: Value = serde_json::from_slice(&record.value.unwrap()).unwrap();
        let minute = event["event_time"].as_str().unwrap()[..16].to_owned();
        // README.md's own events: their minutes are still open.
        if minute.starts_with("2026") {
            continue;
        }
        let code = event["category_code"].as_str();
        let category = code.map_or("unknown", |code| code.split('.').next().unwrap());
        let sums = sums.entry((minute, category.to_owned())).or_default();
        sums.events += 1;
        match event["event_type"].as_str().unwrap() {
            "view" => sums.views += 1,
            "cart" => sums.carts += 1,
            "purchase" => {
                sums.purchases += 1;
                sums.revenue += cents(&event["price"]);
            }
            _ => {}
        }
    }
    sums
}

/// A price as JSON has it, as a number or as text.
fn cents(price: &Value) -> i64 {
    let text = price.as_str().map_or_else(|| price.to_string(), str::to_owned);
    let (whole, places) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{places:0<2}").parse().unwrap()
}

/// The rows of a query, as DuckDB gives them.
fn rows(programs: &Path, folder: &Path, database: &str, sql: &str) -> Value {
    let script = "import duckdb, json, sys
print(json.dumps(duckdb.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()))";
    let mut python = Command::new(programs.join("python"));
    serde_json::from_str(&run(python.current_dir(folder).args(["-c", script, database, sql]))).unwrap()
}
