//! What integration tests stand on: real services, topics and databases of a test's own, and the real command.
//!
//! Kafka and Postgres are started once per test process, by the first test that asks for them, and end with it.
//! `POINTSMAN_TEST_KAFKA` (bootstrap servers) and `POINTSMAN_TEST_POSTGRES` (a URL) name running ones instead.
#![allow(dead_code, unused_imports, clippy::unwrap_used)] // a kit, of which a bench uses a part; its panics are for testers

mod command;
mod kafka;
mod postgres;
mod registry;
mod services;

pub use command::{Finished, Project, Running, head};
pub use kafka::{
    Broker, Message, alter_topic, bootstrap_servers, client, create_topic, delete_group, delete_records, delete_topic,
    ends_of_topic, grow_topic, members_of, message, produce, read_topic,
};
pub use postgres::Database;
pub use registry::Registry;
pub use services::{Service, free_port, kafka_tools, start_kafka_with, start_service};

use std::{
    future::Future,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A name that no other test uses, nor another run on the same services: letters, digits and underscores, so that it
/// is good for topics, groups and databases.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static RUN: LazyLock<u128> = LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis());
    let run = *RUN % 0x1000_0000;
    format!("{name}_{run:x}_{:x}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A text that lz4 finds nothing in (xorshift).
pub fn incompressible(length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(LETTERS[(state >> 58) as usize])
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Waits until `condition` holds; panics with `what` when `deadline` has passed.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < deadline, "{what}: not within {deadline:?}");
        sleep(Duration::from_millis(20));
    }
}

/// Runs a future on the runtime that all tests share: pools live as long as their tests.
pub fn block_on<F: Future>(future: F) -> F::Output {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());
    RUNTIME.block_on(future)
}

#[test]
fn a_topic_is_read_back_as_it_was_produced() {
    let topic = unique("harness");
    create_topic(&topic, 2, &[("retention.ms", "-1")]);
    let headers = vec![("source".to_owned(), b"shop".to_vec())];
    let written =
        Message { partition: Some(1), timestamp: Some(1_700_000_000_000), headers, ..message("key", "value") };
    let tombstone =
        Message { partition: Some(0), timestamp: Some(1), key: Some(b"gone".to_vec()), ..Default::default() };
    produce(&topic, [written.clone(), tombstone.clone()]);
    assert_eq!(read_topic(&topic), [tombstone, written]);
}

#[test]
fn each_database_is_empty_at_first() {
    let (one, other) = (Database::new("harness"), Database::new("harness"));
    one.execute("CREATE TABLE t (a int, b numeric); INSERT INTO t VALUES (1, 2.50)");
    assert_eq!(one.rows("SELECT a, b::text FROM t"), [serde_json::json!({"a": 1, "b": "2.50"})]);
    assert_eq!(one.count("t"), 1);
    assert_eq!(other.count("pg_tables WHERE schemaname = 'public'"), 0);
}
