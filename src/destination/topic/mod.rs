//! Topics: transactions, acknowledgements, refusals, dead letters as records.
//!
//! One producer a worker. Exactly once: one Kafka transaction holds the records, their dead letters and the group's
//! positions. At least once: no transaction; positions are committed once everything before them is acknowledged.
//!
//! A record that the broker refuses spoils its whole produce batch and transaction, so what can be known beforehand (the
//! topic's largest message where nothing is compressed, the keys that a compacted topic needs) is refused here. What only
//! the broker knows goes like this: abort; read again, and send the records of the refused batches one at a time; those
//! that are refused alone are at fault, and become dead letters: at the next reading where a transaction is spoilt, at
//! once where there is none.

mod facts;
mod positions;
mod send;

pub use facts::{Facts, TopicFacts, fitted, gone, missing};
pub use positions::Memory;
pub use send::{is_of_record, letter_refused, record_size, refused_failure};

use super::{
    Begin, Destination, Start, Tally, Ticket, TopicInfos, Work, goes_on, stands_made_anew, still_tripped, tell_new,
};
use crate::{
    config::{Delivery, OnPositionLost},
    failure::{Cause, Failure, Remedy, Setback},
    kafka::{Code, Committed, Consumer, Fault, Kind, Note, Producer, TopicInfo},
    record::{Partition, Positions},
};
use positions::another_topic;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a commit, and each other call to the cluster, may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a worker's letters say, and where they go.
#[derive(Clone, Debug)]
pub struct Letters {
    pub route: String,
    pub group: String,
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

/// On what terms positions are claimed.
#[derive(Clone, Debug)]
pub struct Terms {
    pub on_position_lost: OnPositionLost,
    /// Tells one configuration of the route from another.
    pub mark: String,
    /// What this process remembers of topics that may be made anew.
    pub memory: Arc<Memory>,
}

/// A record's origin, by which it is recognised when it is read again.
pub type Origin = (Partition, i64);

/// One worker's way to its topics.
pub struct Topics {
    pub(super) consumer: Arc<Consumer>,
    producer: Producer,
    delivery: Delivery,
    letters: Arc<Letters>,
    /// Of every topic that is written to; its partitions as of the last claim.
    facts: Facts,
    terms: Terms,
    claimed: Vec<Partition>,
    /// What is noted beside each committed position.
    notes: BTreeMap<String, Note>,
    /// Whether the producer is of use: it has fenced its predecessors, if it has to, and met no fatal fault.
    ready: bool,
    /// Whether a transaction is open.
    open: bool,
    /// Records that must not be sent were among those of this transaction: it is to be written again without them.
    spoilt: bool,
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
        facts: Facts,
        terms: Terms,
    ) -> Topics {
        Topics {
            consumer,
            producer,
            delivery,
            letters: Arc::new(letters),
            facts,
            terms,
            claimed: Vec::new(),
            notes: BTreeMap::new(),
            ready: delivery == Delivery::AtLeastOnce,
            open: false,
            spoilt: false,
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
            let begun = self.producer.begin();
            begun.map_err(|fault| self.failed(fault))?;
            self.open = true;
        }
        Ok(())
    }

    /// Waits until everything produced is acknowledged or refused.
    fn flush(&mut self) -> Result<(), Setback> {
        let flushed = self.producer.flush(DEADLINE, refusals(&mut self.refused));
        flushed.map_err(|fault| self.failed(fault))
    }

    /// Takes what reports are there, waiting at most so long for the first.
    fn reports(&mut self, wait: Duration) -> Result<(), Setback> {
        let taken = self.producer.reports(wait, refusals(&mut self.refused));
        taken.map(drop).map_err(|fault| self.failed(fault))
    }

    /// After a refusal: which records to look at when they are read again.
    fn suspect(&mut self) -> Setback {
        let (mut told, mut other) = (None, None::<Fault>);
        for (tag, fault) in std::mem::take(&mut self.refused) {
            // What was purged, or failed because its transaction had, says nothing of the record.
            if !send::is_of_record(&fault) {
                if other.as_ref().is_none_or(|o| o.is_consequence() && !fault.is_consequence()) {
                    other = Some(fault);
                }
                continue;
            }
            let Some(origin) = send::untag(tag, &self.claimed) else { continue };
            self.suspects.insert(origin);
            let singly = format!("the brokers refused records, which are now looked at singly: {fault}");
            told = Some(Setback::retry(Cause::Refused, singly));
        }
        let told = told.or_else(|| other.map(|fault| self.cause(fault).into()));
        told.unwrap_or_else(|| Setback::retry(Cause::Broker, "the brokers refused records"))
    }

    /// A failure in the middle of sending: a refusal is told where one is behind it.
    fn behind(&mut self, setback: Setback) -> Setback {
        let refused = |t: &Topics| t.refused.iter().any(|(_, f)| send::is_of_record(f));
        if setback.remedy == Remedy::Retry && self.flush().is_ok() && refused(self) {
            return self.suspect();
        }
        setback
    }

    fn forget(&mut self) {
        self.open = false;
        self.spoilt = false;
        self.tally = Tally::default();
        self.refused.clear();
    }

    /// A failure of the producer. After some it is of no more use, and the destination is opened anew.
    fn failed(&mut self, fault: Fault) -> Setback {
        let fault = self.cause(fault);
        self.ready &= fault.kind != Kind::Fatal;
        fault.into()
    }

    /// What is behind a fault, where it only says that the transaction had failed before.
    fn cause(&self, fault: Fault) -> Fault {
        let behind = (self.open && fault.is_consequence()).then(|| self.producer.failed_by()).flatten();
        behind.unwrap_or(fault)
    }
}

impl Destination for Topics {
    fn claim(&mut self, partitions: &[Partition], topics: &TopicInfos, start: Start<'_>) -> Result<Positions, Setback> {
        self.forget();
        if !self.ready {
            self.producer.init_transactions(DEADLINE).map_err(uncoordinated)?;
            self.ready = true;
        }
        self.look()?;
        let mut committed = self.consumer.committed(partitions, DEADLINE)?;
        let another = |p: &&Partition| match committed.get(*p) {
            None => self.terms.memory.is_of_another(&self.letters.group, p, topics),
            committed => another_topic(p, topics, committed),
        };
        let remade: Vec<_> = partitions.iter().filter(another).cloned().collect();
        if let (Some(partition), OnPositionLost::Stop) = (remade.first(), self.terms.on_position_lost) {
            return Err(stands_made_anew(partition, &self.letters.group));
        }
        let mark = Some(&self.terms.mark);
        let tripped = |c: &Committed| c.note.as_ref().is_some_and(|n| n.tripped.as_ref() == mark);
        if let Some((partition, _)) = committed.iter().find(|(_, c)| tripped(c)) {
            return Err(still_tripped(partition, &self.letters.group));
        }
        self.claimed = partitions.to_vec();
        committed.retain(|p, _| !remade.contains(p));
        let absent: Vec<_> =
            partitions.iter().filter(|p| !committed.contains_key(p) && !remade.contains(p)).cloned().collect();
        let begun = self.begun(topics, &committed, &absent)?;
        let lost = |p: &Partition| begun.get(&*p.topic).is_some_and(|b| b.was_whole && p.id < b.partitions);
        let (lost, absent): (Vec<_>, Vec<_>) = absent.into_iter().partition(lost);
        if let Some(partition) = lost.first() {
            let alarm = positions::lost(partition, &self.letters.group);
            goes_on(self.terms.on_position_lost, &self.letters.route, alarm)?;
        }
        let note = |(name, info): (&String, &TopicInfo)| {
            let (partitions, whole) = begun.get(name).map_or((info.partitions, false), |b| b.noted);
            (name.clone(), Note { topic_id: info.id.clone(), partitions: Some(partitions), whole, tripped: None })
        };
        self.notes = topics.iter().map(note).collect();
        let mut positions: Positions = committed.into_iter().map(|(p, c)| (p, c.offset)).collect();
        let (mut grown, new): (Vec<_>, Vec<_>) =
            absent.into_iter().partition(|p| begun.get(&*p.topic).is_some_and(|b| p.id >= b.partitions));
        grown.extend(remade);
        grown.extend(lost);
        positions.extend(self.begin_at(&new, &grown, topics, start)?);
        self.terms.memory.holds(&self.letters.group, &positions, topics);
        Ok(positions)
    }

    fn stored(&mut self, partitions: &[Partition], topics: &TopicInfos) -> Result<Positions, Setback> {
        let mut committed = self.consumer.committed(partitions, DEADLINE)?;
        committed.retain(|p, c| !another_topic(p, topics, Some(c)));
        Ok(committed.into_iter().map(|(p, c)| (p, c.offset)).collect())
    }

    fn write(&mut self, work: Work) -> Result<(), Setback> {
        self.begin()?;
        self.tally.add(&work);
        self.send(&work)
    }

    fn settle(&mut self) -> Result<Tally, Setback> {
        self.flush()?;
        if !self.refused.is_empty() {
            return Err(self.suspect());
        }
        if self.spoilt {
            let again = "records that the brokers refuse were found; the transaction is written again without them";
            return Err(Setback::retry(Cause::Refused, again));
        }
        Ok(std::mem::take(&mut self.tally))
    }

    fn commit(&mut self, ticket: Ticket) -> Result<(), Setback> {
        if !self.exactly_once() {
            self.consumer.commit(&ticket.positions, &self.notes)?;
            self.suspects.clear();
            self.condemned.clear();
            return Ok(());
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

    fn trip(&mut self) -> Result<(), Setback> {
        self.abort()?;
        let committed = self.consumer.committed(&self.claimed, DEADLINE)?;
        let positions = committed.into_iter().map(|(p, c)| (p, c.offset)).collect();
        let mut notes = self.notes.clone();
        notes.values_mut().for_each(|note| note.tripped = Some(self.terms.mark.clone()));
        Ok(self.consumer.commit(&positions, &notes)?)
    }

    fn abort(&mut self) -> Result<(), Setback> {
        let open = self.open;
        self.forget();
        if !self.ready {
            return Err(Setback::retry(Cause::Fenced, "the producer is of no more use"));
        }
        if !self.exactly_once() {
            self.producer.purge();
            self.producer.flush(DEADLINE, |_, _| ())?;
        } else if open {
            self.producer.abort(DEADLINE, |_, _| ())?;
        }
        Ok(())
    }
}

impl Topics {
    /// Finds and stores where partitions begin that have no position: as the route says, or at their first record.
    fn begin_at(
        &mut self,
        new: &[Partition],
        grown: &[Partition],
        topics: &TopicInfos,
        start: Start<'_>,
    ) -> Result<Positions, Setback> {
        let mut begins = Positions::new();
        for (partitions, why) in [(new, Begin::NewGroup), (grown, Begin::NewPartitions)] {
            if !partitions.is_empty() {
                begins.extend(start(partitions, why)?);
            }
        }
        // Whoever got a partition while this was looked for may have gone on in it.
        let meanwhile = self.stored(&[new, grown].concat(), topics)?;
        begins.retain(|p, _| !meanwhile.contains_key(p));
        // Stored at once: `latest`, resolved again after a crash, would skip what came in between. And together: their
        // notes speak of all of them.
        self.consumer.commit(&begins, &self.notes)?;
        let of_new = begins.iter().filter(|(p, _)| new.contains(p));
        tell_new(&self.letters.route, &self.letters.group, of_new);
        begins.extend(meanwhile);
        Ok(begins)
    }

    /// Looks at the partitions of the topics again: they may have grown. The producer has a view of its own, which it would
    /// take minutes to renew.
    fn look(&mut self) -> Result<(), Setback> {
        let topics: Vec<&str> = self.facts.keys().map(String::as_str).collect();
        let found = self.consumer.cluster(DEADLINE).topics(&topics)?;
        for (topic, facts) in &mut self.facts {
            facts.partitions = found.get(topic).ok_or_else(|| gone(topic))?.partitions;
        }
        Ok(self.producer.renew(DEADLINE)?)
    }
}

/// Where brokers answer, and nothing else is known to be wrong, transactions cannot begin in time for want of a coordinator.
fn uncoordinated(fault: Fault) -> Setback {
    let late = fault.code == Code::OperationTimedOut;
    let mut setback = Setback::from(fault);
    if late && setback.help.is_empty() {
        "the brokers' transaction coordinator does not answer: topic __transaction_state needs as many brokers as their \
         transaction.state.log.replication.factor says, and as many replicas in sync as their transaction.state.log.min.isr"
            .clone_into(&mut setback.help);
    }
    setback
}

/// Keeps what the brokers refuse.
fn refusals(refused: &mut Vec<(usize, Fault)>) -> impl FnMut(usize, Result<(), Fault>) {
    |tag, report| refused.extend(report.err().map(|fault| (tag, fault)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Kafka,
        kafka::{MockCluster, Reports, Settings},
    };

    #[test]
    fn a_producer_that_met_a_fatal_fault_is_not_used_again() {
        let cluster = MockCluster::start().unwrap();
        let kafka = Kafka { bootstrap_servers: cluster.bootstrap_servers(), ..Kafka::default() };
        let settings = Settings::new(&kafka, "test");
        let letters = Letters {
            route: "r".into(),
            group: "g".into(),
            cases: Vec::new(),
            dead: DeadLetters::Discard,
            apart: None,
        };
        let terms = Terms { on_position_lost: OnPositionLost::Stop, mark: String::new(), memory: Arc::default() };
        let consumer = Arc::new(Consumer::new(&settings, "g", "0").unwrap());
        let producer = Producer::idempotent(&settings, Reports::Refusals).unwrap();
        let mut topics = Topics::new(consumer, producer, Delivery::AtLeastOnce, letters, Facts::new(), terms);
        topics.abort().unwrap();
        topics.producer.break_for_good();
        topics.settle().unwrap_err();
        topics.abort().expect_err("the deliverer opens another destination then");
    }
}
