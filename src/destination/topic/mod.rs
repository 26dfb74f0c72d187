//! Topics: transactions, acknowledgements, refusals, dead letters as records.
//!
//! One producer a worker. Exactly once: one Kafka transaction holds the records, their dead letters and the group's
//! positions. At least once: no transaction; positions are committed once everything before them is acknowledged.
//!
//! A record that the broker refuses spoils its whole transaction, so what can be known beforehand (the topic's largest
//! message, the keys that a compacted topic needs) is refused here. What only the broker knows goes like this: abort;
//! read again, and send the records of the refused batches one at a time; the one that is refused alone is at fault,
//! and at the third reading it is a dead letter.

mod facts;
mod letters;
mod send;

pub use facts::{TopicFacts, fitted, missing};
pub use send::{is_of_record, record_size, refused_failure};

use super::{Destination, Start, Tally, Ticket, Work};
use crate::{
    config::Delivery,
    failure::{Cause, Failure, Setback},
    kafka::{Consumer, Fault, Kind, Note, Producer},
    record::{Partition, Positions, Records},
    route::Target,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a commit, and each other call to the cluster, may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a worker's letters say, and where they go.
#[derive(Clone, Debug)]
pub struct Letters {
    pub route: String,
    /// As verdicts number them.
    pub cases: Vec<String>,
    pub dead: DeadLetters,
    /// The topic of records that no case took, if they are kept apart.
    pub apart: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetters {
    Topic(String),
    /// The first one stops the route.
    Stop,
    Discard,
}

/// A record's origin, by which it is recognised when it is read again.
type Origin = (Partition, i64);

/// One worker's way to its topics.
pub struct Topics {
    pub(super) consumer: Arc<Consumer>,
    producer: Producer,
    delivery: Delivery,
    letters: Letters,
    targets: Arc<[Target]>,
    /// Of every topic that is written to.
    facts: HashMap<String, TopicFacts>,
    /// What is noted beside each committed position: the topic's id.
    notes: BTreeMap<String, Note>,
    /// Whether the producer has fenced its predecessors.
    ready: bool,
    /// Whether a transaction is open.
    open: bool,
    /// What has been written and not yet settled: letters need the originals.
    works: Vec<Work>,
    tally: Tally,
    /// What the brokers refused, by the record's tag.
    refused: Vec<(usize, Fault)>,
    /// Records of refused batches, to be sent one at a time.
    suspects: BTreeSet<Origin>,
    /// Records that were refused alone.
    condemned: BTreeMap<Origin, Failure>,
}

impl Topics {
    pub fn new(
        consumer: Arc<Consumer>,
        producer: Producer,
        delivery: Delivery,
        letters: Letters,
        targets: Arc<[Target]>,
        facts: HashMap<String, TopicFacts>,
    ) -> Topics {
        Topics {
            consumer,
            producer,
            delivery,
            letters,
            targets,
            facts,
            notes: BTreeMap::new(),
            ready: false,
            open: false,
            works: Vec::new(),
            tally: Tally::default(),
            refused: Vec::new(),
            suspects: BTreeSet::new(),
            condemned: BTreeMap::new(),
        }
    }

    fn exactly_once(&self) -> bool {
        self.delivery == Delivery::ExactlyOnce
    }

    fn begin(&mut self) -> Result<(), Setback> {
        if self.exactly_once() && !self.open {
            self.producer.begin()?;
            self.open = true;
        }
        Ok(())
    }

    /// Waits until everything produced is acknowledged or refused.
    fn flush(&mut self) -> Result<(), Setback> {
        let refused = &mut self.refused;
        let flushed = self.producer.flush(DEADLINE, |tag, report| refused.extend(report.err().map(|f| (tag, f))));
        flushed.map_err(|fault| self.failed(fault))
    }

    /// Exactly once, after a refusal: which records to look at when they are read again.
    fn suspect(&mut self) -> Setback {
        let mut told = None;
        for (tag, fault) in std::mem::take(&mut self.refused) {
            // What was purged, or failed because its transaction had, says nothing of the record.
            if send::is_of_record(&fault)
                && let Some(origin) = self.origin(tag)
            {
                if self.suspects.contains(&origin) {
                    self.condemned.insert(origin, send::refused_failure(&fault));
                } else {
                    self.suspects.insert(origin);
                }
                let singly = format!("the brokers refused records, which are now looked at singly: {fault}");
                told = Some(Setback::retry(Cause::Fenced, singly));
            } else {
                told.get_or_insert_with(|| fault.into());
            }
        }
        told.unwrap_or_else(|| Setback::retry(Cause::Broker, "the brokers refused records"))
    }

    fn forget(&mut self) {
        self.open = false;
        self.works.clear();
        self.tally = Tally::default();
        self.refused.clear();
    }

    /// A failure of the producer. After some it is of no more use, and the destination is opened anew.
    fn failed(&mut self, fault: Fault) -> Setback {
        self.ready &= !matches!(fault.kind, Kind::Fatal | Kind::Fenced);
        fault.into()
    }
}

impl Destination for Topics {
    fn claim(
        &mut self,
        partitions: &[Partition],
        topics: &BTreeMap<String, String>,
        start: Start<'_>,
    ) -> Result<Positions, Setback> {
        self.forget();
        if self.exactly_once() && !self.ready {
            self.producer.init_transactions(DEADLINE)?;
            self.ready = true;
        }
        let note = |id: &String| Note { topic_id: Some(id.clone()) };
        self.notes = topics.iter().map(|(topic, id)| (topic.clone(), note(id))).collect();
        let mut positions = Positions::new();
        for (partition, committed) in self.consumer.committed(partitions, DEADLINE)? {
            self.same_topic(&partition, committed.note.as_ref())?;
            positions.insert(partition, committed.offset);
        }
        let absent: Vec<_> = partitions.iter().filter(|p| !positions.contains_key(p)).cloned().collect();
        if !absent.is_empty() {
            let begins = start(&absent)?;
            // Stored at once: `latest`, resolved again after a crash, would skip what came in between.
            self.consumer.commit(&begins, &self.notes)?;
            positions.extend(begins);
        }
        Ok(positions)
    }

    fn write(&mut self, work: Work) -> Result<(), Setback> {
        self.begin()?;
        self.works.push(work);
        self.send(self.works.len() - 1)
    }

    fn settle(&mut self) -> Result<Tally, Setback> {
        self.flush()?;
        if !self.refused.is_empty() {
            if self.exactly_once() {
                return Err(self.suspect());
            }
            self.letter_refused()?;
        }
        self.works.clear();
        Ok(std::mem::take(&mut self.tally))
    }

    fn commit(&mut self, ticket: Ticket) -> Result<(), Setback> {
        if !self.exactly_once() {
            return Ok(self.consumer.commit(&ticket.positions, &self.notes)?);
        }
        let group = ticket.group.ok_or_else(|| {
            Setback::retry(Cause::Fenced, "the group is rebalancing: this worker has no place in it to commit for")
        })?;
        // Only positions may have moved: past control records, or past filtered ones.
        self.begin()?;
        let sent = self.producer.send_offsets(&ticket.positions, &self.notes, &group, DEADLINE);
        sent.map_err(|fault| self.failed(fault))?;
        // A commit whose answer is late may stand: only asking again tells.
        let until = Instant::now() + DEADLINE;
        while let Err(fault) = self.producer.commit(until.saturating_duration_since(Instant::now())) {
            if fault.kind != Kind::Retriable || Instant::now() >= until {
                return Err(self.failed(fault));
            }
        }
        self.open = false;
        self.suspects.clear();
        self.condemned.clear();
        Ok(())
    }

    fn abort(&mut self) -> Result<(), Setback> {
        let open = self.open;
        self.forget();
        if !self.exactly_once() {
            self.producer.purge();
            return Ok(self.producer.flush(DEADLINE, |_, _| ())?);
        }
        if !self.ready {
            return Err(Setback::retry(Cause::Fenced, "the producer is of no more use"));
        }
        if open {
            self.producer.abort(DEADLINE, |_, _| ())?;
        }
        Ok(())
    }
}

impl Topics {
    /// A position is of the topic that had this name when it was committed: one that was deleted and made again
    /// holds other records at the same offsets.
    fn same_topic(&self, partition: &Partition, noted: Option<&Note>) -> Result<(), Setback> {
        let now = self.notes.get(&*partition.topic).and_then(|n| n.topic_id.as_ref());
        let then = noted.and_then(|n| n.topic_id.as_ref());
        if now.is_none() || then.is_none() || now == then {
            return Ok(());
        }
        Err(Setback::stand(
            Cause::Broker,
            format!("{partition}: the topic was deleted and made again since its position was committed"),
            "delete the group's committed offsets, so that the route begins at its start in the new topic",
        ))
    }

    fn origin(&self, tag: usize) -> Option<Origin> {
        let (work, record) = send::untag(tag);
        let work = self.works.get(work)?;
        (record < work.batch.len()).then(|| {
            let r = work.batch.get(record);
            (Partition::new(r.topic, r.partition), r.offset)
        })
    }
}
