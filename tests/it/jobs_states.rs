//! Job states: messages produced in batches, one table for each state, none dropped.

use crate::{
    harness::Database,
    jobs::{Shipped, assert_letters, assert_rows, by_key, delivered, double, millis, stored_letters},
};
use pointsman::generate::jobs::{Generated, Job, Recipe};
use serde_json::Value;
use std::collections::BTreeMap;

const STATES: [(&str, &str, &[&str]); 3] = [
    ("failed", "failed", &["ended_at", "error"]),
    ("completed", "completed", &["ended_at"]),
    ("in-progress", "in_progress", &["progress"]),
];

#[test]
fn of_a_thousand_states_in_batches_none_is_dropped_and_each_is_in_its_table() {
    let jobs = Database::new("jobs");
    let shipped = Shipped::new(&[("jobs", 3)]).variable("JOBS_DATABASE_URL", &jobs.url);
    let all: Vec<Generated> =
        Job::States.records(&Recipe { seed: 5, count: 1_000, invalid_share: 0.0, schema_id: 0 }).collect();
    let mut seen = 0;
    for batch in all.chunks(250) {
        shipped.produce(Job::States, batch);
        shipped.run("job-states");
        seen += batch.len() as i64;
        let stored: i64 = STATES.iter().map(|(_, table, _)| jobs.count(table)).sum();
        assert_eq!(stored, seen, "after {seen} messages");
    }
    assert_eq!(seen, 1_000);
    assert_states(&jobs, &all);
    assert!(stored_letters(&jobs, "dead_letters").is_empty());
}

#[test]
fn states_that_nobody_knows_are_dead_letters() {
    let jobs = Database::new("jobs");
    let shipped = Shipped::new(&[("jobs", 3)]).variable("JOBS_DATABASE_URL", &jobs.url);
    let recipe = Recipe { seed: 6, count: 1_000, invalid_share: 0.1, schema_id: 0 };
    let records = shipped.generate(Job::States, &recipe);
    shipped.run("job-states");
    assert_states(&jobs, &records);
    assert_letters(stored_letters(&jobs, "dead_letters"), &records);
}

/// Each table holds the jobs of its state, whole, and no other.
fn assert_states(jobs: &Database, records: &[Generated]) {
    for (state, table, columns) in STATES {
        let of_time = |column: &str| format!("(extract(epoch FROM {column}) * 1000)::bigint AS {column}");
        let own: Vec<String> =
            columns.iter().map(|c| if *c == "ended_at" { of_time(c) } else { format!("{c}::text") }).collect();
        let started = of_time("started_at");
        let sql = format!("SELECT id, kind, worker, attempt, {started}, {} FROM {table}", own.join(", "));
        let expected: BTreeMap<String, Value> = by_key(
            delivered(records).filter(|(case, _)| *case == state).map(|(_, mut job)| {
                job.as_object_mut().unwrap().remove("state");
                for time in ["started_at", "ended_at"] {
                    if let Some(at) = job.get_mut(time) {
                        *at = millis(at);
                    }
                }
                if let Some(progress) = job.get_mut("progress") {
                    *progress = double(progress);
                }
                job
            }),
            "id",
        );
        assert_rows(&by_key(jobs.rows(&sql), "id"), &expected);
    }
}
