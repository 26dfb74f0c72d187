//! The thread that holds a collector's producer: finds the topic, produces, and tells each request what became of it.
//!
//! Requests come over an unbounded channel; what bounds it is the budget of bytes that each of them holds.

use super::{
    body::Held,
    judge::{Judged, Open},
};
use crate::{
    config::{Collector, Format, Kafka},
    destination::topic::{TopicFacts, fitted, is_of_record, missing, refused_failure},
    failure::{Cause, Failure, Setback},
    kafka::{Fault, Outgoing, Producer, Reports, Settings},
    record::Header,
    registry,
    telemetry::CollectorTelemetry,
};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::oneshot};

/// How long brokers may take to acknowledge a record before its sender is told to send it again.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(10);
/// How long a question to the cluster may take.
const ASK: Duration = Duration::from_secs(3);
/// How often a collector that waits looks again.
const AGAIN: Duration = Duration::from_secs(1);
/// For how long a record that was not written speaks against a cluster that answers: whoever is told that we are not ready
/// sends nothing that could show the contrary.
const UNWRITTEN: Duration = Duration::from_secs(10);
/// What is under way at a stop, or before a record that is sent by itself, has so long to be acknowledged.
const STOP: Duration = Duration::from_secs(4);

/// A request's records on their way.
pub(super) struct Order {
    pub judged: Judged,
    pub headers: Vec<(&'static str, Vec<u8>)>,
    pub held: Held,
    pub reply: oneshot::Sender<Reply>,
}

/// What became of a request's records.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// Events that the brokers refused, by their index.
    pub refused: Vec<(u32, Failure)>,
    /// Events that nobody acknowledged, by their index, and why.
    pub unacknowledged: BTreeSet<u32>,
    pub why: String,
}

/// Whether events can be taken, as requests see it.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<Result<Arc<Open>, Setback>>,
    pub stopping: AtomicBool,
}

impl Gate {
    pub fn new() -> Gate {
        let setback = Setback::retry(Cause::Broker, "the brokers have not answered yet");
        Gate { state: Mutex::new(Err(setback)), stopping: AtomicBool::new(false) }
    }

    pub fn state(&self) -> Result<Arc<Open>, Setback> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: Result<Arc<Open>, Setback>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

pub(super) struct Sender {
    pub collector: Collector,
    pub kafka: Kafka,
    pub client_id: String,
    pub registry: Option<Arc<registry::Client>>,
    pub handle: Handle,
    pub gate: Arc<Gate>,
    pub telemetry: Arc<CollectorTelemetry>,
    pub orders: Receiver<Order>,
}

/// Requests whose records have not all been reported. A record's tag is its request's number and its own; numbers are
/// not used again, so that a late report of a request that was given up is nobody else's.
#[derive(Default)]
struct Pending {
    requests: HashMap<u32, Waiting>,
    next: u32,
    /// Records of refused batches, to be sent one at a time: a broker's refusal is its whole batch's.
    again: VecDeque<usize>,
    /// The one that is sent by itself now.
    alone: Option<usize>,
    /// Whether a batch was refused since the topic was looked at.
    refused: bool,
    /// Why a record was not written, and when, while none has been since.
    unwritten: Option<(Instant, Setback)>,
    /// Whether the cluster is to be asked.
    suspect: bool,
}

struct Waiting {
    records: Arc<Records>,
    /// By a record's number.
    reported: Vec<bool>,
    left: usize,
    answer: Reply,
    reply: oneshot::Sender<Reply>,
    held: Held,
}

/// A request's records, kept until each is reported.
struct Records {
    judged: Judged,
    headers: Vec<(&'static str, Vec<u8>)>,
}

impl Records {
    /// The same for each of them.
    fn headers(&self) -> Vec<Header<'_>> {
        self.headers.iter().map(|(name, value)| Header { name: name.as_bytes(), value: Some(value) }).collect()
    }
}

impl Waiting {
    fn answer(self) {
        drop(self.held);
        // A client that has gone does not wait for an answer.
        let _ = self.reply.send(self.answer);
    }
}

impl Pending {
    /// The request's number, and what is to be produced of it.
    fn add(&mut self, order: Order) -> (u32, Arc<Records>) {
        let records = Arc::new(Records { judged: order.judged, headers: order.headers });
        let waiting = Waiting {
            left: records.judged.rows.len(),
            reported: vec![false; records.judged.rows.len()],
            records: records.clone(),
            answer: Reply::default(),
            reply: order.reply,
            held: order.held,
        };
        let request = self.next;
        self.next = self.next.wrapping_add(1);
        self.requests.insert(request, waiting);
        (request, records)
    }

    /// A request's records while its sender waits for an answer. Who has had one is to send them again, and what is left
    /// of them is forgotten.
    fn wanted(&mut self, request: u32) -> Option<&Arc<Records>> {
        if self.requests.get(&request)?.reply.is_closed() {
            self.requests.remove(&request);
        }
        self.requests.get(&request).map(|waiting| &waiting.records)
    }

    /// A record's report. What was refused with others is sent again by itself.
    fn report(&mut self, tag: usize, result: Result<(), Fault>) {
        let of_batch = self.alone != Some(tag) && result.as_ref().is_err_and(is_of_record);
        if of_batch {
            self.refused = true;
            self.again.push_back(tag);
        } else {
            self.settle(tag, result);
        }
    }

    /// What became of a record; the last one of a request answers it.
    fn settle(&mut self, tag: usize, result: Result<(), Fault>) {
        let (request, number) = untag(tag);
        let Some(waiting) = self.requests.get_mut(&request) else { return };
        let Some(reported) = waiting.reported.get_mut(number) else { return };
        if std::mem::replace(reported, true) {
            return;
        }
        waiting.left -= 1;
        let index = waiting.records.judged.rows[number].index;
        match result {
            Ok(()) => self.unwritten = None,
            Err(fault) if is_of_record(&fault) => waiting.answer.refused.push((index, refused_failure(&fault))),
            Err(fault) => {
                waiting.answer.unacknowledged.insert(index);
                waiting.answer.why = fault.message.clone();
                self.unwritten = Some((Instant::now(), fault.into()));
                self.suspect = true;
            }
        }
        if waiting.left == 0 {
            self.answer(request);
        }
    }

    fn answer(&mut self, request: u32) {
        if let Some(waiting) = self.requests.remove(&request) {
            waiting.answer();
        }
    }

    /// Answers everything that is still under way: nobody knows what became of it.
    fn give_up(&mut self, why: &str) {
        for (_, mut waiting) in self.requests.drain() {
            let rows = waiting.records.judged.rows.iter();
            let open = rows.zip(&waiting.reported).filter(|(_, reported)| !**reported);
            waiting.answer.unacknowledged.extend(open.map(|(row, _)| row.index));
            waiting.answer.why = why.to_owned();
            waiting.answer();
        }
    }
}

/// A record's request, and its number there.
fn untag(tag: usize) -> (u32, usize) {
    ((tag >> 32) as u32, tag & 0xffff_ffff)
}

impl Sender {
    /// Runs until the collector's last request is gone.
    pub fn run(self) {
        loop {
            let (open, producer) = match self.open() {
                Ok(opened) => opened,
                Err(setback) => {
                    self.waits(&setback);
                    if self.refuse(&setback) { continue } else { return }
                }
            };
            self.opens(&open);
            match self.produce(producer, &open) {
                Some(setback) => self.waits(&setback),
                None => return,
            }
        }
    }

    fn waits(&self, setback: &Setback) {
        self.telemetry.waits(setback);
        self.gate.set(Err(setback.clone()));
    }

    fn opens(&self, open: &Open) {
        self.gate.set(Ok(Arc::new(open.clone())));
        self.telemetry.open();
    }

    /// Answers what comes while there is no producer. Whether there may be more.
    fn refuse(&self, setback: &Setback) -> bool {
        let until = Instant::now() + AGAIN;
        loop {
            match self.orders.recv_deadline(until) {
                Ok(order) => {
                    let mut pending = Pending::default();
                    pending.add(order);
                    pending.give_up(&setback.message);
                }
                Err(RecvTimeoutError::Timeout) => return !self.gate.stopping.load(Ordering::Relaxed),
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Finds topic and schema, and makes a producer that fits them.
    fn open(&self) -> Result<(Open, Producer), Setback> {
        let mut kafka = self.kafka.clone();
        let timeouts = ["message.timeout.ms", "delivery.timeout.ms"];
        if !timeouts.iter().any(|t| kafka.producer.contains_key(*t) || kafka.properties.contains_key(*t)) {
            kafka.producer.insert(timeouts[0].to_owned(), ACKNOWLEDGED_WITHIN.as_millis().to_string());
        }
        let settings = |kafka: &Kafka| Settings::new(kafka, &self.client_id);
        let first = Producer::idempotent(&settings(&kafka), Reports::All)?;
        let facts = self.facts(&first)?;
        if facts.compacted && self.collector.record_key.is_none() {
            let message = format!("topic {} is compacted and takes no record without a key", self.collector.topic);
            return Err(Setback::stand(Cause::Broker, message, "name the key's fields: `record_key = [\"id\"]`"));
        }
        let schema_id = if self.collector.format == Format::Avro { self.schema_id()? } else { 0 };
        let fitting = fitted(&kafka, std::iter::once(&facts));
        let producer = if fitting.producer == kafka.producer {
            first
        } else {
            Producer::idempotent(&settings(&fitting), Reports::All)?
        };
        Ok((Open { facts, compresses: producer.compresses(), schema_id }, producer))
    }

    fn facts(&self, producer: &Producer) -> Result<TopicFacts, Setback> {
        let topic = self.collector.topic.as_str();
        TopicFacts::read(&producer.cluster(ASK), &[topic])?.remove(topic).ok_or_else(|| missing(topic))
    }

    fn schema_id(&self) -> Result<u32, Setback> {
        let subject = format!("{}-value", self.collector.topic);
        let registry = self.registry.as_ref().ok_or_else(|| {
            let message = format!("topic {} takes Avro, and no schema registry is configured", self.collector.topic);
            Setback::stand(Cause::Registry, message, "set url in [schema_registry]")
        })?;
        let text = self.collector.validator.schema.to_json();
        self.handle.block_on(registry.place_of(&subject, &text))?.map(|p| p.id).ok_or_else(|| {
            let message = format!("subject {subject} does not have the schema of collector {}", self.collector.name);
            Setback::stand(Cause::Registry, message, "register it: `pointsman apply`")
        })
    }

    /// Produces until the last request is gone (then `None`), or the producer is of no more use.
    fn produce(&self, mut producer: Producer, open: &Open) -> Option<Setback> {
        let mut pending = Pending::default();
        let mut looked = Instant::now();
        let mut stop_by = None;
        loop {
            // With records under way their reports are looked for at once; otherwise a request is waited for.
            let wait = if pending.requests.is_empty() { AGAIN / 4 } else { Duration::from_millis(2) };
            let mut gone = false;
            // Nothing is sent beside a record that is sent by itself.
            let order =
                if pending.again.is_empty() { self.orders.recv_timeout(wait) } else { Err(RecvTimeoutError::Timeout) };
            match order {
                Ok(order) => {
                    let more: Vec<Order> = self.orders.try_iter().take(64).collect();
                    for order in std::iter::once(order).chain(more) {
                        self.send(&mut producer, &mut pending, order);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => gone = true,
            }
            let reported = producer.reports(Duration::ZERO, |tag, result| pending.report(tag, result));
            if let Err(fault) = reported.and_then(|_| self.singly(&mut producer, &mut pending)) {
                pending.give_up(&fault.message);
                return Some(fault.into());
            }
            if pending.again.is_empty() && std::mem::take(&mut pending.refused) {
                // The topic may take less than it did: then events are judged, and batches made, by what it takes now.
                if self.facts(&producer).is_ok_and(|facts| facts != open.facts) {
                    let why =
                        format!("topic {} takes other records than it did: it is looked at anew", self.collector.topic);
                    pending.give_up(&why);
                    return Some(Setback::retry(Cause::Broker, why));
                }
            }
            if gone && pending.requests.is_empty() {
                return None;
            }
            if self.gate.stopping.load(Ordering::Relaxed) || gone {
                let by = *stop_by.get_or_insert_with(|| Instant::now() + STOP);
                if Instant::now() >= by {
                    // Whoever comes later finds nobody who listens, and is told to send again.
                    pending.give_up("the collector stops, and no broker has acknowledged this yet");
                    return None;
                }
            }
            self.look(&producer, open, &mut pending, &mut looked);
        }
    }

    /// Hands a request's records over.
    fn send(&self, producer: &mut Producer, pending: &mut Pending, order: Order) {
        let (request, records) = pending.add(order);
        let count = records.judged.rows.len();
        if count == 0 {
            pending.answer(request);
        }
        let headers = records.headers();
        for number in 0..count {
            // It may have waited long, and so may each of its records, for room in a full queue.
            if pending.wanted(request).is_none() {
                return;
            }
            self.hand_over(producer, pending, &records.judged, &headers, ((request as usize) << 32) | number);
        }
    }

    /// Sends the next record of a refused batch with no other beside it: if it is refused now, it is at fault.
    fn singly(&self, producer: &mut Producer, pending: &mut Pending) -> Result<(), Fault> {
        let Some(tag) = pending.again.pop_front() else { return Ok(()) };
        let Some(records) = pending.wanted(untag(tag).0).cloned() else { return Ok(()) };
        producer.flush(STOP, |tag, result| pending.report(tag, result))?;
        pending.alone = Some(tag);
        self.hand_over(producer, pending, &records.judged, &records.headers(), tag);
        producer.flush(STOP, |tag, result| pending.report(tag, result))?;
        pending.alone = None;
        Ok(())
    }

    fn hand_over(
        &self,
        producer: &mut Producer,
        pending: &mut Pending,
        judged: &Judged,
        headers: &[Header<'_>],
        tag: usize,
    ) {
        let Some(row) = judged.rows.get(untag(tag).1) else { return };
        let record = Outgoing {
            topic: &self.collector.topic,
            partition: None,
            key: judged.key(row),
            value: Some(judged.value(row)),
            headers,
            timestamp: None,
            tag,
        };
        let taken = producer.hand_over(&record, ACKNOWLEDGED_WITHIN, |tag, result| pending.report(tag, result));
        if let Err(fault) = taken {
            // No broker has seen it: this is its own.
            pending.settle(tag, Err(fault));
        }
    }

    /// Closes the gate while the cluster does not answer, and opens it again when it does. While it answers and writes
    /// nothing, the gate stays open, for only an event shows that this is over.
    fn look(&self, producer: &Producer, open: &Open, pending: &mut Pending, looked: &mut Instant) {
        pending.suspect |= producer.trouble().is_some();
        if !pending.suspect || looked.elapsed() < AGAIN {
            return;
        }
        // Asked once before the gate closes: one broker that went away says nothing of the others.
        let topic = self.collector.topic.as_str();
        let answer = producer.cluster(ASK).topics(&[topic]).map(|found| found.contains_key(topic));
        *looked = Instant::now();
        match answer {
            Ok(true) => match pending.unwritten.as_ref().filter(|(at, _)| at.elapsed() < UNWRITTEN) {
                Some((_, setback)) => {
                    self.telemetry.waits(setback);
                    self.gate.set(Ok(Arc::new(open.clone())));
                }
                None => {
                    pending.suspect = false;
                    self.opens(open);
                }
            },
            Ok(false) => self.waits(&missing(topic)),
            Err(fault) => self.waits(&fault.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::body::Budget, *};
    use crate::route::Outcomes;

    #[test]
    fn what_was_answered_already_is_not_produced() {
        let budget = Budget::new(1);
        let order = || {
            let mut held = budget.nothing();
            budget.take(&mut held, 10).unwrap();
            let (reply, answer) = oneshot::channel();
            let (outcomes, rows, refused) = (Outcomes::default(), Vec::new(), Vec::new());
            let judged = Judged { body: Vec::new(), outcomes, rows, refused, count: 0 };
            (Order { judged, headers: Vec::new(), held, reply }, answer)
        };
        let mut pending = Pending::default();
        let ((waited_for, _answer), (given_up, answer)) = (order(), order());
        let (waited_for, given_up) = (pending.add(waited_for).0, pending.add(given_up).0);
        assert!(pending.wanted(waited_for).is_some() && pending.wanted(given_up).is_some());
        drop(answer);
        assert!(pending.wanted(waited_for).is_some() && pending.wanted(given_up).is_none());
        assert_eq!((pending.requests.len(), budget.used().load(Ordering::Relaxed)), (1, 10));
    }
}
