//! Records through a real broker: whole, and only those of committed transactions.

use crate::harness::{Message, bootstrap_servers, create_topic, message, produce, read_topic, unique};
use pointsman::{
    config,
    failure::{Cause, Setback},
    kafka::{At, Batch, Cluster, Connection, Consumer, Event, Kind, Outgoing, Producer, Reports, Settings},
    record::{Header, Partition, Positions, Records, runs},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

pub const PATIENCE: Duration = Duration::from_secs(30);

/// Settings for consumers of a group protocol, or of an assignor of the classic one.
pub fn settings(protocol: &str) -> Settings {
    settings_with(protocol, &[])
}

/// These with more properties of consumers.
pub fn settings_with(protocol: &str, more: &[(&str, &str)]) -> Settings {
    let property = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let consumer = match protocol {
        "consumer" => vec![property("group.protocol", "consumer")],
        assignor => {
            vec![
                property("partition.assignment.strategy", assignor),
                property("session.timeout.ms", "6000"),
                property("heartbeat.interval.ms", "300"),
            ]
        }
    };
    let kafka = config::Kafka {
        bootstrap_servers: bootstrap_servers(),
        consumer: consumer.into_iter().chain(more.iter().map(|(name, value)| property(name, value))).collect(),
        ..Default::default()
    };
    Settings::new(&kafka, "pointsman-test")
}

/// Asks the broker something.
pub fn ask<T>(question: impl FnOnce(&Cluster<'_>) -> T) -> T {
    question(&Connection::new(&settings("range")).unwrap().cluster(PATIENCE))
}

pub fn record<'a>(topic: &'a str, value: &'a [u8]) -> Outgoing<'a> {
    Outgoing { topic, partition: Some(0), key: None, value: Some(value), headers: &[], timestamp: None, tag: 0 }
}

/// Produces and waits for the reports.
pub fn send(producer: &mut Producer, record: &Outgoing<'_>) {
    producer.produce(record).unwrap();
    producer.flush(PATIENCE, |_, report| report.unwrap()).unwrap();
}

fn transactional(id: &str) -> Producer {
    let mut producer = Producer::transactional(&settings("range"), id, Reports::All).unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

/// A member that reads its topic's partitions from the beginning.
pub fn member(topic: &str, group: &str) -> Arc<Consumer> {
    let consumer = Arc::new(Consumer::new(&settings("range"), group, "0").unwrap());
    consumer.subscribe([topic]).unwrap();
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "no assignment");
        if let Some(event) = consumer.serve().into_iter().next() {
            let Event::Assigned(partitions) = event else { panic!("{event:?}") };
            let begins = partitions.into_iter().map(|p| (p, 0)).collect::<Positions>();
            consumer.seek(&begins, PATIENCE).unwrap();
            consumer.resume(begins.keys()).unwrap();
            return consumer;
        }
    }
}

/// The first batch that is not empty.
fn batch(consumer: &Arc<Consumer>) -> Batch {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "no records");
        assert_eq!(consumer.serve(), []);
        let batch = consumer.batch(100, usize::MAX, Duration::from_millis(50));
        if !batch.is_empty() {
            return batch;
        }
    }
}

#[test]
fn records_come_with_key_headers_and_time_or_without() {
    let topic = unique("records");
    create_topic(&topic, 1, &[("retention.ms", "-1")]);
    let headers = vec![("source".to_owned(), b"shop".to_vec()), ("source".to_owned(), vec![])];
    let whole = Message { partition: Some(0), timestamp: Some(1_700_000_000_000), headers, ..message("k", "v") };
    let tombstone = Message { partition: Some(0), timestamp: Some(5), key: Some(vec![]), ..Default::default() };
    produce(&topic, [whole, tombstone]);
    let consumer = member(&topic, &unique("group"));
    let mut read = batch(&consumer);
    while read.records.len() < 2 {
        read = batch(&consumer);
    }
    let (first, second) = (read.records.get(0), read.records.get(1));
    assert_eq!((first.topic, first.partition, first.offset), (&*topic, 0, 0));
    assert_eq!((first.key, first.value), (Some(&b"k"[..]), Some(&b"v"[..])));
    assert_eq!(first.timestamp, Some(1_700_000_000_000));
    let header = |value| Header { name: b"source", value: Some(value) };
    assert_eq!(first.headers, [header(b"shop"), header(b"")]);
    assert_eq!((second.key, second.value, second.timestamp), (Some(&b""[..]), None, Some(5)));
    assert!(second.headers.is_empty());
    // Taking records out leaves the others whole.
    read.records.retain(|record| record.offset == 1);
    assert_eq!((read.records.len(), read.records.get(0).timestamp), (1, Some(5)));
    consumer.close();
}

#[test]
fn a_batch_knows_its_runs() {
    let topic = unique("runs");
    create_topic(&topic, 3, &[]);
    let on = |i: i32| Message { partition: Some(i % 3), ..message("k", "v") };
    produce(&topic, (0..300).map(on));
    let consumer = member(&topic, &unique("group"));
    let mut read = 0;
    while read < 300 {
        let batch = batch(&consumer).records;
        let mut next = 0;
        for run in runs(&batch) {
            assert_eq!(run.start, next);
            let first = batch.get(run.start);
            for i in run.clone() {
                let record = batch.get(i);
                assert_eq!((record.topic, record.partition), (&*topic, first.partition));
                assert_eq!(record.offset, first.offset + (i - run.start) as i64);
            }
            next = run.end;
        }
        assert_eq!(next, batch.len());
        read += batch.len();
    }
    consumer.close();
}

#[test]
fn a_batch_is_bounded_by_records_and_by_bytes() {
    let topic = unique("bounds");
    create_topic(&topic, 1, &[]);
    produce(&topic, (0..3000).map(|_| message("k", vec![7; 999])));
    let consumer = member(&topic, &unique("group"));
    let (mut largest, mut read) = (0, 0);
    while read < 3000 {
        let batch = consumer.batch(700, usize::MAX, Duration::from_secs(1));
        assert_eq!(consumer.serve(), []);
        (largest, read) = (largest.max(batch.records.len()), read + batch.records.len());
    }
    assert!(largest <= 700, "{largest}");
    consumer.seek(&Positions::from([(Partition::new(&topic, 0), 0)]), PATIENCE).unwrap();
    let bytes = batch(&consumer).records.bytes();
    let few = consumer.batch(3000, 10_000, PATIENCE);
    assert!(bytes > 0 && few.records.bytes() < 10_000 + 1100, "{} bytes", few.records.bytes());
    consumer.close();
}

#[test]
fn an_aborted_transaction_is_seen_by_nobody() {
    let topic = unique("aborted");
    create_topic(&topic, 1, &[]);
    let mut producer = transactional(&unique("id"));
    producer.begin().unwrap();
    send(&mut producer, &record(&topic, b"aborted"));
    producer.abort(PATIENCE, |_, _| {}).unwrap();
    producer.begin().unwrap();
    send(&mut producer, &record(&topic, b"committed"));
    producer.commit(PATIENCE).unwrap();
    let values: Vec<_> = read_topic(&topic).into_iter().filter_map(|m| m.value).collect();
    assert_eq!(values, [b"committed"]);
}

#[test]
fn a_successor_fences_its_predecessor() {
    let (topic, id) = (unique("fenced"), unique("id"));
    create_topic(&topic, 1, &[]);
    let mut old = transactional(&id);
    old.begin().unwrap();
    send(&mut old, &record(&topic, b"old"));
    let mut new = transactional(&id);
    let fault = old.commit(PATIENCE).unwrap_err();
    assert_eq!((fault.kind, Setback::from(fault).cause), (Kind::Fatal, Cause::Fenced));
    new.begin().unwrap();
    send(&mut new, &record(&topic, b"new"));
    new.commit(PATIENCE).unwrap();
    let values: Vec<_> = read_topic(&topic).into_iter().filter_map(|m| m.value).collect();
    assert_eq!(values, [b"new"]);
}

#[test]
fn positions_commit_inside_a_transaction_and_only_for_a_member() {
    let (topic, group) = (unique("positions"), unique("group"));
    create_topic(&topic, 1, &[]);
    produce(&topic, [message("k", "v")]);
    let partition = Partition::new(&topic, 0);
    let consumer = member(&topic, &group);
    let mut producer = transactional(&unique("id"));
    let to = |offset| Positions::from([(partition.clone(), offset)]);
    let metadata = consumer.group_metadata().unwrap();
    producer.begin().unwrap();
    producer.send_offsets(&to(1), &BTreeMap::new(), &metadata, PATIENCE).unwrap();
    producer.commit(PATIENCE).unwrap();
    let stored = || consumer.committed(std::slice::from_ref(&partition), PATIENCE).unwrap()[&partition].clone();
    assert_eq!((stored().offset, stored().note.is_some()), (1, true));
    // Somebody else joins: the old proof is worth nothing.
    let other = member_joins(&consumer, &topic, &group);
    producer.begin().unwrap();
    let fault = producer.send_offsets(&to(0), &BTreeMap::new(), &metadata, PATIENCE).unwrap_err();
    assert_eq!((fault.kind, Setback::from(fault).cause), (Kind::Fenced, Cause::Fenced));
    producer.abort(PATIENCE, |_, _| {}).unwrap();
    // The producer goes on.
    producer.begin().unwrap();
    producer.abort(PATIENCE, |_, _| {}).unwrap();
    assert_eq!(stored().offset, 1);
    other.close();
    consumer.close();
    assert_eq!(consumer.group_metadata().unwrap_err().kind, Kind::Fenced);
}

/// A second member; returns once both have been assigned anew.
pub fn member_joins(first: &Arc<Consumer>, topic: &str, group: &str) -> Arc<Consumer> {
    let other = Arc::new(Consumer::new(&settings("range"), group, "1").unwrap());
    other.subscribe([topic]).unwrap();
    let (begun, mut done) = (Instant::now(), [false; 2]);
    while done != [true; 2] {
        assert!(begun.elapsed() < PATIENCE, "no rebalance");
        for (consumer, done) in [first, &other].into_iter().zip(&mut done) {
            for event in consumer.serve() {
                match event {
                    Event::Assigned(_) => *done = true,
                    _ => consumer.release().unwrap(),
                }
            }
        }
    }
    other
}

#[test]
fn the_cluster_answers_questions() {
    let topic = unique("asked");
    create_topic(&topic, 2, &[("max.message.bytes", "12345")]);
    let at = |id, timestamp| Message { partition: Some(id), timestamp: Some(timestamp), ..message("k", "v") };
    produce(&topic, [at(0, 1000), at(0, 2000), at(0, 3000)]);
    let partitions = [Partition::new(&topic, 0), Partition::new(&topic, 1)];
    let both = |a, b| Positions::from([(partitions[0].clone(), a), (partitions[1].clone(), b)]);
    ask(|cluster| {
        assert_eq!(cluster.id().unwrap().as_deref(), Some("cG9pbnRzbWFuLXRlc3RzLQ"));
        assert_eq!(cluster.topic_setting(&topic, "max.message.bytes").unwrap(), "12345");
        let info = &cluster.topics(&[&topic, "absent"]).unwrap()[&topic];
        assert_eq!((info.partitions, info.id.is_some()), (2, true));
        assert_eq!(cluster.topics(&["absent"]).unwrap(), BTreeMap::new());
        assert_eq!(cluster.offsets(&partitions, At::Earliest).unwrap(), both(0, 0));
        assert_eq!(cluster.offsets(&partitions, At::Latest).unwrap(), both(3, 0));
        assert_eq!(cluster.offsets(&partitions, At::Time(1500)).unwrap(), both(1, 0));
        assert_eq!(cluster.offsets(&partitions, At::Time(9000)).unwrap(), both(3, 0));
        cluster.widen_topic(&topic, 3).unwrap();
    });
}
