//! Workers that come and go, on each group protocol: no record is missed or read twice, and a revoked partition goes to
//! nobody else before it is released.

use crate::{
    harness::{create_topic, message, produce, unique},
    kafka_records::{PATIENCE, ask, settings, settings_with},
};
use pointsman::{
    kafka::{Consumer, Event, Kind},
    record::{Partition, Positions, Record, Records},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

const PARTITIONS: i32 = 6;
const RECORDS: i64 = 60_000;
/// Long enough for each worker to leave and come back a few times.
const COMING_AND_GOING: Duration = Duration::from_secs(20);

/// What a table of positions would hold: each partition's owner, by number, and next offset.
#[derive(Default)]
struct Ledger {
    rows: Mutex<BTreeMap<Partition, (u64, i64)>>,
    read: AtomicU64,
    gaps: AtomicU64,
    stale: AtomicU64,
    /// Partitions that somebody else claimed while they were revoked and not released.
    taken: AtomicU64,
    released: AtomicU64,
}

struct Member<'l> {
    ledger: &'l Ledger,
    consumer: Arc<Consumer>,
    held: Positions,
    owner: u64,
    /// Revoked, and to be released then.
    revoked: Option<(Instant, Vec<Partition>)>,
    random: Random,
}

impl Member<'_> {
    /// Lives this long from its first partition on. A member that left before it had one would only keep the group
    /// rebalancing, and on a busy machine for ever.
    fn live(mut self, life: Duration) {
        let begun = Instant::now();
        let mut flowing: Option<Instant> = None;
        let goes_on = |flowing: Option<Instant>| match flowing {
            Some(since) => since.elapsed() < life,
            None => begun.elapsed() < COMING_AND_GOING,
        };
        while goes_on(flowing) || self.revoked.is_some() {
            if !self.held.is_empty() {
                flowing.get_or_insert_with(Instant::now);
            }
            for event in self.consumer.serve() {
                self.on(event);
            }
            if self.revoked.as_ref().is_some_and(|(at, _)| Instant::now() >= *at) {
                self.release();
            }
            self.read();
        }
        self.consumer.close();
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Assigned(partitions) => {
                let mut begins = Positions::new();
                for p in partitions {
                    let mut rows = self.ledger.rows.lock().unwrap();
                    let row = rows.entry(p.clone()).or_default();
                    row.0 = self.owner;
                    begins.insert(p, row.1);
                }
                self.held.extend(begins);
                self.flow();
            }
            Event::Revoked(partitions) => {
                let drained = Instant::now() + Duration::from_millis(self.random.below(400));
                self.revoked = Some((drained, partitions));
            }
            Event::Lost(partitions) => {
                self.revoked = None;
                self.held.retain(|p, _| !partitions.contains(p));
                self.flow();
            }
            Event::Trouble(fault) => panic!("{fault}"),
        }
    }

    fn release(&mut self) {
        let Some((_, partitions)) = self.revoked.take() else { return };
        for p in &partitions {
            self.held.remove(p);
            if self.ledger.rows.lock().unwrap()[p].0 != self.owner {
                self.ledger.taken.fetch_add(1, Relaxed);
            }
        }
        self.ledger.released.fetch_add(1, Relaxed);
        self.consumer.release().unwrap();
        self.flow();
    }

    fn flow(&self) {
        self.consumer.seek(&self.held, PATIENCE).unwrap();
        self.consumer.resume(self.held.keys()).unwrap();
    }

    fn read(&mut self) {
        let batch = self.consumer.batch(2000, usize::MAX, Duration::from_millis(20));
        assert_eq!((batch.gone, batch.faults), (vec![], vec![]));
        let revoked = self.revoked.as_ref().map_or(&[][..], |(_, partitions)| partitions);
        let mut rows = self.ledger.rows.lock().unwrap();
        let mut read = 0;
        for i in 0..batch.records.len() {
            let Record { topic, partition, offset, .. } = batch.records.get(i);
            let partition = Partition::new(topic, partition);
            match self.held.get_mut(&partition) {
                Some(next) if !revoked.contains(&partition) => {
                    if offset != *next {
                        self.ledger.gaps.fetch_add(1, Relaxed);
                    }
                    *next = offset + 1;
                    rows.get_mut(&partition).unwrap().1 = *next;
                    read += 1;
                }
                _ => drop(self.ledger.stale.fetch_add(1, Relaxed)),
            }
        }
        drop(rows);
        self.ledger.read.fetch_add(read, Relaxed);
        if read > 0 {
            // As long as a batch takes to be delivered: others must get their turn.
            std::thread::sleep(Duration::from_millis(self.random.below(160)));
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn workers_come_and_go(protocol: &str) {
    let (topic, group) = (unique("coming_and_going"), unique("group"));
    create_topic(&topic, PARTITIONS, &[]);
    produce(&topic, (0..RECORDS).map(|i| message(i.to_string(), "v")));
    let (ledger, settings) = (Ledger::default(), settings(protocol));
    let (begun, owners) = (Instant::now(), AtomicU64::new(1));
    let busy = || {
        let (read, released) = (ledger.read.load(Relaxed), ledger.released.load(Relaxed));
        begun.elapsed() < COMING_AND_GOING || read < RECORDS as u64 || released == 0
    };
    std::thread::scope(|scope| {
        for worker in 1..=3_u64 {
            let (ledger, settings, owners, topic, group, busy) = (&ledger, &settings, &owners, &topic, &group, &busy);
            scope.spawn(move || {
                let mut random = Random(worker * 7919);
                while busy() && begun.elapsed() < COMING_AND_GOING * 4 {
                    let owner = owners.fetch_add(1, Relaxed);
                    let consumer = Arc::new(Consumer::new(settings, group, &owner.to_string()).unwrap());
                    consumer.subscribe([topic.as_str()]).unwrap();
                    let life = Duration::from_millis(1500 + random.below(5000));
                    let random = Random(owner * 104_729);
                    Member { ledger, consumer, held: Positions::new(), owner, revoked: None, random }.live(life);
                }
            });
        }
    });
    let count = |counter: &AtomicU64| counter.load(Relaxed);
    println!("{protocol}: {} workers, {} revocations released", count(&owners) - 1, count(&ledger.released));
    assert_eq!(
        (count(&ledger.read), count(&ledger.gaps), count(&ledger.stale), count(&ledger.taken)),
        (RECORDS as u64, 0, 0, 0),
        "read, gaps, stale, taken"
    );
    assert!(count(&ledger.released) > 0, "no revocation was put off");
}

#[test]
fn workers_come_and_go_with_the_range_assignor() {
    workers_come_and_go("range");
}

#[test]
fn workers_come_and_go_with_the_cooperative_sticky_assignor() {
    workers_come_and_go("cooperative-sticky");
}

#[test]
fn workers_come_and_go_with_the_new_group_protocol() {
    workers_come_and_go("consumer");
}

/// Its topic grows while a member winds up what the group wants back: librdkafka joins again at once, and does not wait.
fn goes_on_without_an_answer(protocol: &str) {
    let (topic, group) = (unique("without_an_answer"), unique("group"));
    create_topic(&topic, 2, &[]);
    let settings = settings_with(protocol, &[("topic.metadata.refresh.interval.ms", "500")]);
    let [first, other] = ["0", "1"].map(|worker| Consumer::new(&settings, &group, worker).unwrap());
    let next_event = || {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "nothing happens");
            other.serve();
            other.release().unwrap();
            if let Some(event) = first.serve().into_iter().next() {
                return event;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    first.subscribe([topic.as_str()]).unwrap();
    let event = next_event();
    assert!(matches!(event, Event::Assigned(_)), "{event:?}");
    other.subscribe([topic.as_str()]).unwrap();
    let event = next_event();
    assert!(matches!(event, Event::Revoked(_)), "{event:?}");
    ask(|cluster| cluster.widen_topic(&topic, 3)).unwrap();
    // Which of its partitions are whose cannot be told any more.
    let event = next_event();
    assert!(matches!(&event, Event::Trouble(fault) if fault.kind == Kind::Fatal), "{event:?}");
    first.close();
    other.close();
}

#[test]
fn a_group_of_the_range_assignor_that_goes_on_without_an_answer_has_its_member_begin_anew() {
    goes_on_without_an_answer("range");
}

#[test]
fn a_cooperative_group_that_goes_on_without_an_answer_has_its_member_begin_anew() {
    goes_on_without_an_answer("cooperative-sticky");
}
