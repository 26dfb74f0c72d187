//! Positions that end behind what no reader sees, that are gone, or that belong to another topic of the same name.

use crate::{
    harness::{create_topic, delete_records, delete_topic, message, produce, unique, wait_until},
    kafka_records::{PATIENCE, ask, member, member_joins, record, send, settings},
};
use pointsman::{
    config::{Delivery, Dlq, Format, KeyFormat, OnPositionLost, Otherwise, Retry, Route, Start},
    destination::{
        Begin, Destination, Ticket,
        topic::{DeadLetters, Facts, Letters, Terms, Topics},
    },
    failure::{Cause, Remedy},
    kafka::{At, Consumer, Producer, Reports},
    record::{Partition, Positions, Records},
    source::{self, Event, Source},
    telemetry::Telemetry,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

fn route(topic: &str, on_position_lost: OnPositionLost) -> Route {
    Route {
        name: unique("route"),
        topics: vec![topic.to_owned()],
        format: Format::Json,
        key: KeyFormat::Bytes,
        group: unique("group"),
        start: Start::Earliest,
        on_position_lost,
        where_raw: None,
        lanes: vec![],
        otherwise: Otherwise::DeadLetter,
        dlq: Dlq::Discard,
        delivery: Delivery::ExactlyOnce,
        workers: 1,
        retry: Retry { initial: Duration::from_millis(1), max: Duration::from_millis(1), give_up_after: None },
        breaker: None,
        commit_interval: Duration::from_millis(100),
        fk_wait: Duration::ZERO,
    }
}

/// A worker's reading side, its partitions assigned and not flowing.
fn open(protocol: &str, route: &Route) -> (Source, Vec<Partition>) {
    let telemetry = Telemetry::new().route(&route.name, &[""]);
    let mut source = Source::open(&settings(protocol), route, 0, telemetry).unwrap();
    source.join().unwrap();
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "no assignment");
        if let Some(event) = source.serve().into_iter().next() {
            let Event::Assigned(partitions) = event else { panic!("{event:?}") };
            return (source, partitions);
        }
    }
}

/// Reads until the source has caught up; the offsets read, and the last position of each partition.
fn read_all(source: &mut Source) -> (Vec<i64>, Positions) {
    let (mut offsets, mut positions, begun) = (Vec::new(), Positions::new(), Instant::now());
    while !source.caught_up() {
        assert!(begun.elapsed() < PATIENCE, "not caught up after {offsets:?}");
        let events = source.serve();
        assert!(events.is_empty(), "{events:?}");
        if let Some(batch) = source.batch(100, usize::MAX, Duration::from_millis(50)) {
            offsets.extend((0..batch.records.len()).map(|i| batch.records.get(i).offset));
            positions.extend(batch.positions);
        }
    }
    (offsets, positions)
}

/// Serves and reads until something happens.
fn next_event(source: &mut Source) -> Event {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "nothing happens");
        if let Some(event) = source.serve().into_iter().next() {
            return event;
        }
        source.batch(100, usize::MAX, Duration::from_millis(50));
    }
}

#[test]
fn caught_up_is_past_control_records_and_aborted_ones() {
    let topic = unique("control");
    create_topic(&topic, 1, &[]);
    let mut producer = Producer::transactional(&settings("range"), &unique("id"), Reports::All).unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin().unwrap();
    send(&mut producer, &record(&topic, b"committed"));
    producer.commit(PATIENCE).unwrap();
    producer.begin().unwrap();
    send(&mut producer, &record(&topic, b"aborted"));
    producer.abort(PATIENCE, |_, _| {}).unwrap();
    let route = route(&topic, OnPositionLost::Stop);
    let (mut source, partitions) = open("cooperative-sticky", &route);
    let begins = source::resolve(&source.consumer(), &settings("range"), &route.start, &partitions).unwrap();
    source.flow(&begins).unwrap();
    let end = ask(|cluster| cluster.offsets(&partitions, At::Latest)).unwrap();
    assert_eq!((end[&partitions[0]], read_all(&mut source)), (4, (vec![0], end.clone())));
    source.close();
}

/// A consumer that reads what is uncommitted too has left its group there.
#[test]
fn a_position_behind_an_open_transaction_is_not_lost() {
    let topic = unique("behind");
    create_topic(&topic, 1, &[]);
    let mut producer = Producer::transactional(&settings("range"), &unique("id"), Reports::All).unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin().unwrap();
    send(&mut producer, &record(&topic, b"open"));
    send(&mut producer, &record(&topic, b"open too"));
    producer.flush(PATIENCE, |_, _| {}).unwrap();
    let route = route(&topic, OnPositionLost::Stop);
    let (mut source, partitions) = open("cooperative-sticky", &route);
    let at = |offset| Positions::from([(partitions[0].clone(), offset)]);
    let setback = source.flow(&at(3)).unwrap_err();
    assert!(setback.message.contains("position is 3, and the topic holds 0 to 2"), "{setback}");
    source.flow(&at(2)).unwrap();
    producer.commit(PATIENCE).unwrap();
    producer.begin().unwrap();
    send(&mut producer, &record(&topic, b"after"));
    producer.commit(PATIENCE).unwrap();
    source.flow(&at(2)).unwrap();
    let begun = Instant::now();
    let read = loop {
        assert!(begun.elapsed() < PATIENCE, "nothing is read");
        match source.batch(100, usize::MAX, Duration::from_millis(50)) {
            Some(batch) if !batch.records.is_empty() => break batch.records.get(0).offset,
            _ => {}
        }
    };
    assert_eq!(read, 3);
    source.close();
}

#[test]
fn a_group_without_positions_starts_where_its_route_says() {
    let topic = unique("start");
    // Records of 1970: retention would take them.
    create_topic(&topic, 1, &[("retention.ms", "-1")]);
    produce(&topic, (1..=5).map(|i| crate::harness::Message { timestamp: Some(i * 1000), ..message("k", "v") }));
    let other = route(&topic, OnPositionLost::Stop);
    let (mut source, partitions) = open("consumer", &other);
    let at = |offset| Positions::from([(partitions[0].clone(), offset)]);
    source.flow(&at(0)).unwrap();
    source.consumer().commit(&at(2), &Default::default()).unwrap();
    for (start, expected) in [
        (Start::Earliest, 0),
        (Start::Latest, 5),
        (Start::Time(3500), 3),
        (Start::Group(other.group.clone()), 2),
        (Start::Group(unique("nobody")), 0),
    ] {
        let found = source::resolve(&source.consumer(), &settings("range"), &start, &partitions).unwrap();
        assert_eq!(found, at(expected), "{start:?}");
    }
    source.close();
}

#[test]
fn a_position_that_retention_has_passed_stops_the_route_or_is_counted() {
    for protocol in ["range", "cooperative-sticky", "consumer"] {
        let topic = unique("passed");
        create_topic(&topic, 1, &[]);
        produce(&topic, (0..20).map(|_| message("k", "v")));
        let partition = Partition::new(&topic, 0);
        let at = |offset| Positions::from([(partition.clone(), offset)]);
        delete_records(&topic, 0, 15);

        let (mut source, _) = open(protocol, &route(&topic, OnPositionLost::Stop));
        let setback = source.flow(&at(10)).unwrap_err();
        assert_eq!(setback.remedy, Remedy::Stand);
        assert!(setback.message.contains("position is 10, and the topic holds 15 to 20"), "{setback}");
        source.close();

        let (mut source, _) = open(protocol, &route(&topic, OnPositionLost::Earliest));
        source.flow(&at(20)).unwrap();
        assert_eq!(read_all(&mut source).0, [] as [i64; 0]);
        // While it flows: what the next fetch asks for is gone, and librdkafka stops the partition.
        source.consumer().seek(&at(10), PATIENCE).unwrap();
        let mut read = Vec::new();
        wait_until("the partition reads again", PATIENCE, || {
            for event in source.serve() {
                assert!(matches!(&event, Event::Failed(s) if s.remedy == Remedy::Retry), "{event:?}");
                source.flow(&at(10)).unwrap();
            }
            if let Some(batch) = source.batch(100, usize::MAX, Duration::from_millis(50)) {
                read.extend((0..batch.records.len()).map(|i| batch.records.get(i).offset));
            }
            read.len() >= 5
        });
        assert_eq!(read, [15, 16, 17, 18, 19], "{protocol}");
        source.close();
    }
}

#[test]
fn a_topic_that_is_made_anew_is_noticed() {
    let topic = unique("anew");
    create_topic(&topic, 1, &[]);
    produce(&topic, (0..5).map(|_| message("k", "old")));
    let id = || ask(|cluster| cluster.topics(&[&topic])).unwrap().remove(&topic).and_then(|info| info.id);
    let old = id();
    let (mut source, partitions) = open("cooperative-sticky", &route(&topic, OnPositionLost::Stop));
    source.flow(&Positions::from([(partitions[0].clone(), 0)])).unwrap();
    assert_eq!(read_all(&mut source).0, [0, 1, 2, 3, 4]);
    delete_topic(&topic);
    create_topic(&topic, 1, &[]);
    produce(&topic, (0..8).map(|_| message("k", "new")));
    // The worker claims again after any event, and the claim compares the ids.
    next_event(&mut source);
    assert_ne!(id(), old);
    source.close();
}

fn to_topics(consumer: &Arc<Consumer>, producer: Producer, delivery: Delivery, group: String) -> Topics {
    let letters = Letters { route: "r".into(), group, cases: Vec::new(), dead: DeadLetters::Discard, apart: None };
    let terms = Terms { on_position_lost: OnPositionLost::Stop, mark: String::new(), memory: Arc::default() };
    Topics::new(consumer.clone(), producer, delivery, letters, Facts::new(), terms)
}

/// A worker asks where partitions begin, and waits for the answer; meanwhile another one gets them, and goes on.
#[test]
fn a_position_that_came_in_between_is_not_put_back_to_the_start() {
    let (topic, group) = (unique("between"), unique("group"));
    create_topic(&topic, 2, &[]);
    let consumer = Arc::new(Consumer::new(&settings("range"), &group, "0").unwrap());
    let producer = Producer::idempotent(&settings("range"), Reports::Refusals).unwrap();
    let mut topics = to_topics(&consumer, producer, Delivery::AtLeastOnce, group);
    let both = [Partition::new(&topic, 0), Partition::new(&topic, 1)];
    let expected = Positions::from([(both[0].clone(), 5), (both[1].clone(), 0)]);
    let infos = ask(|cluster| cluster.topics(&[&topic])).unwrap();
    let claimed = topics.claim(&both, &infos, &mut |absent, _| {
        consumer.commit(&Positions::from([(both[0].clone(), 5)]), &Default::default()).unwrap();
        Ok(absent.iter().map(|p| (p.clone(), 0)).collect())
    });
    assert_eq!(claimed.unwrap(), expected);
    let stored = consumer.committed(&both, PATIENCE).unwrap();
    assert_eq!(stored.into_iter().map(|(p, c)| (p, c.offset)).collect::<Positions>(), expected);
}

#[test]
fn a_commit_that_a_rebalance_overtakes_leaves_its_destination_usable() {
    let (topic, group) = (unique("overtaken"), unique("group"));
    create_topic(&topic, 1, &[]);
    let consumer = member(&topic, &group);
    let producer = Producer::transactional(&settings("range"), &unique("id"), Reports::Refusals).unwrap();
    let mut topics = to_topics(&consumer, producer, Delivery::ExactlyOnce, group.clone());
    let partitions = [Partition::new(&topic, 0)];
    let infos = ask(|cluster| cluster.topics(&[&topic])).unwrap();
    let mut start = |absent: &[Partition], _: Begin| Ok(absent.iter().map(|p| (p.clone(), 0)).collect::<Positions>());
    topics.claim(&partitions, &infos, &mut start).unwrap();
    let before = consumer.group_metadata().ok();
    let other = member_joins(&consumer, &topic, &group);
    let ticket = Ticket { positions: Positions::from([(partitions[0].clone(), 1)]), group: before };
    assert_eq!(topics.commit(ticket).unwrap_err().cause, Cause::Fenced);
    topics.abort().expect("it need not be opened anew");
    assert_eq!(topics.claim(&partitions, &infos, &mut start).unwrap()[&partitions[0]], 0);
    other.close();
    consumer.close();
}
