//! A producer: records out, reports back.

use super::{
    client::{Client, Queue, millis},
    cluster::Cluster,
    fault::{self, Fault, Kind, check},
    group::GroupMetadata,
    note::{Note, noted},
    settings::Settings,
    watch::Trouble,
};
use crate::record::{Header, Positions};
use rdkafka::{
    bindings as rd,
    types::{RDKafkaErrorCode, RDKafkaType},
};
use std::{
    collections::BTreeMap,
    ffi::{CStr, CString, c_void},
    ptr::NonNull,
    time::{Duration, Instant},
};

/// A record on its way out. Everything is copied by [`Producer::produce`].
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub topic: &'a str,
    /// `None`: the key decides, as Java's default partitioner does.
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    pub headers: &'a [Header<'a>],
    /// Milliseconds since the epoch; `None` takes the time of this call.
    pub timestamp: Option<i64>,
    /// Comes back with the record's report.
    pub tag: usize,
}

/// Why a record was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// The producer's queue is full: [`Producer::reports`] makes room.
    QueueFull,
    /// This record alone: it is larger than the producer or the topic takes.
    TooLarge(Fault),
    Fault(Fault),
}

/// Of which records a producer reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reports {
    All,
    /// Only of those that the brokers have not. It costs less: the others are let go where they are acknowledged.
    Refusals,
}

/// One producer. Its calls belong to one thread at a time.
pub struct Producer {
    /// Freed before the client, as the topics are.
    events: Queue,
    /// A handful: looking through them costs less than a hash.
    topics: Vec<(Box<str>, Topic)>,
    compresses: bool,
    client: Client,
}

/// librdkafka's RD_KAFKA_PARTITION_UA: the partitioner decides.
const ANY: i32 = -1;

/// To librdkafka a timestamp of 0 is the time of the call.
const NOW: i64 = 0;

/// How long a record waits before it is offered to a full queue again.
const QUEUE_FULL: Duration = Duration::from_millis(10);

/// librdkafka's object of a topic; made once, since a look-up by name costs on every record.
struct Topic(NonNull<rd::rd_kafka_topic_t>);

// SAFETY: a reference-counted object that librdkafka locks.
unsafe impl Send for Topic {}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: our reference, given back once, while the client lives.
        unsafe { rd::rd_kafka_topic_destroy(self.0.as_ptr()) }
    }
}

impl Producer {
    /// An idempotent producer, without transactions.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn idempotent(settings: &Settings, reports: Reports) -> Result<Producer, Fault> {
        Producer::new(settings, None, reports)
    }

    /// A transactional producer. It fences every other one of this id in [`Producer::init_transactions`].
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn transactional(settings: &Settings, id: &str, reports: Reports) -> Result<Producer, Fault> {
        Producer::new(settings, Some(id), reports)
    }

    fn new(settings: &Settings, id: Option<&str>, reports: Reports) -> Result<Producer, Fault> {
        let mut config = settings.producer(id);
        config.set("delivery.report.only.error", (reports == Reports::Refusals).to_string());
        let client = Client::new(&config, RDKafkaType::RD_KAFKA_PRODUCER, rd::RD_KAFKA_EVENT_DR)?;
        let compresses = config.get("compression.type") != Some("none");
        Ok(Producer { events: Queue::main(&client), topics: Vec::new(), compresses, client })
    }

    /// Whether batches are smaller on their way than their records are.
    pub fn compresses(&self) -> bool {
        self.compresses
    }

    /// Hands a record over; its report, if there is one, comes through [`Producer::reports`].
    ///
    /// # Errors
    /// The record was not taken; nothing will be reported about it.
    pub fn produce(&mut self, record: &Outgoing<'_>) -> Result<(), NotTaken> {
        use rd::rd_kafka_vtype_t as T;
        let topic = self.topic(record.topic).map_err(NotTaken::Fault)?;
        let headers = Headers::new(record.headers);
        type U = rd::rd_kafka_vu_s__bindgen_ty_1;
        let argument = |vtype, u| rd::rd_kafka_vu_t { vtype, u };
        // librdkafka goes through them one by one: those that most records do not need stand last, and are left off.
        let arguments = [
            argument(T::RD_KAFKA_VTYPE_RKT, U { rkt: topic.as_ptr() }),
            argument(T::RD_KAFKA_VTYPE_MSGFLAGS, U { i: rd::RD_KAFKA_MSG_F_COPY }),
            argument(T::RD_KAFKA_VTYPE_OPAQUE, U { ptr: record.tag as *mut c_void }),
            argument(T::RD_KAFKA_VTYPE_VALUE, U { mem: memory(record.value) }),
            argument(T::RD_KAFKA_VTYPE_TIMESTAMP, U { i64_: record.timestamp.unwrap_or(NOW) }),
            argument(T::RD_KAFKA_VTYPE_KEY, U { mem: memory(record.key) }),
            argument(T::RD_KAFKA_VTYPE_PARTITION, U { i32_: record.partition.unwrap_or(ANY) }),
            argument(
                T::RD_KAFKA_VTYPE_HEADERS,
                U { headers: headers.as_ref().map_or(std::ptr::null_mut(), |h| h.0.as_ptr()) },
            ),
        ];
        let needed = match (&headers, record.partition) {
            (Some(_), _) => arguments.len(),
            (None, Some(_)) => arguments.len() - 1,
            (None, None) => arguments.len() - 2,
        };
        // SAFETY: each argument has the union's field of its type, and there are no fewer than `needed`. Key and value are
        // copied. Headers, null for none, are taken over when the call succeeds, and only then; the error object is ours.
        let taken = unsafe { fault::take(rd::rd_kafka_produceva(self.client.ptr(), arguments.as_ptr(), needed), "") };
        match taken {
            Ok(()) => {
                std::mem::forget(headers);
                Ok(())
            }
            Err(f) if f.code == RDKafkaErrorCode::QueueFull => Err(NotTaken::QueueFull),
            Err(mut f) => {
                f.message = format!("cannot produce to {}{}", record.topic, f.message);
                Err(if f.code == RDKafkaErrorCode::MessageSizeTooLarge {
                    NotTaken::TooLarge(f)
                } else {
                    NotTaken::Fault(f)
                })
            }
        }
    }

    /// Hands a record over, waiting up to `wait` for room in the queue. `report` hears what is reported meanwhile.
    ///
    /// # Errors
    /// The record was not taken: [`RDKafkaErrorCode::MessageSizeTooLarge`] where it is larger than the producer ever takes,
    /// retriable where there was no room in time, or a fault of the producer.
    pub fn hand_over(
        &mut self,
        record: &Outgoing<'_>,
        wait: Duration,
        mut report: impl FnMut(usize, Result<(), Fault>),
    ) -> Result<(), Fault> {
        // Nearly always there is room, and looking at the clock costs as much as a small record.
        let mut waiting_since = None;
        let mut empty = false;
        loop {
            match self.produce(record) {
                Ok(()) => return Ok(()),
                Err(NotTaken::TooLarge(fault) | NotTaken::Fault(fault)) => return Err(fault),
                Err(NotTaken::QueueFull) if empty => {
                    let what = format!(
                        "cannot produce to {}: the record is larger than the producer's whole queue \
                         (queue.buffering.max.kbytes under [kafka.producer])",
                        record.topic
                    );
                    return Err(Fault::new(RDKafkaErrorCode::MessageSizeTooLarge, what));
                }
                Err(NotTaken::QueueFull) if waiting_since.get_or_insert_with(Instant::now).elapsed() >= wait => {
                    let what = format!(
                        "cannot produce to {}: the queue is full, and its {} records are not acknowledged within {wait:?}",
                        record.topic,
                        self.in_flight()
                    );
                    return Err(Fault::new(RDKafkaErrorCode::OperationTimedOut, what));
                }
                Err(NotTaken::QueueFull) => {}
            }
            self.reports(QUEUE_FULL, &mut report)?;
            empty = self.in_flight() == 0;
        }
    }

    fn topic(&mut self, name: &str) -> Result<NonNull<rd::rd_kafka_topic_t>, Fault> {
        if let Some((_, topic)) = self.topics.iter().find(|(known, _)| **known == *name) {
            return Ok(topic.0);
        }
        let c_name = CString::new(name).unwrap_or_default();
        // SAFETY: the client is live; the name is copied; the reference returned is ours.
        let topic = unsafe { rd::rd_kafka_topic_new(self.client.ptr(), c_name.as_ptr(), std::ptr::null_mut()) };
        let refused = || Fault::new(RDKafkaErrorCode::InvalidTopic, format_args!("cannot produce to {name:?}"));
        let topic = NonNull::new(topic).ok_or_else(refused)?;
        self.topics.push((name.into(), Topic(topic)));
        Ok(topic)
    }

    /// Asks what the topics that were written to look like now: how many partitions they have.
    ///
    /// # Errors
    /// No broker answers.
    pub fn renew(&self, wait: Duration) -> Result<(), Fault> {
        self.client.renew(wait)
    }

    /// Waits up to `wait` for reports, and hands on every one that is there: the record's tag, and whether the brokers
    /// have it. Returns how many there were, and what else the client has to say.
    ///
    /// # Errors
    /// A fatal fault: the producer is of no further use.
    pub fn reports(
        &mut self,
        wait: Duration,
        mut report: impl FnMut(usize, Result<(), Fault>),
    ) -> Result<usize, Fault> {
        let (mut wait, mut count) = (wait, 0);
        while let Some(event) = self.events.poll(wait) {
            wait = Duration::ZERO;
            if event.kind() != rd::RD_KAFKA_EVENT_DR {
                if let Some(fault) = event.fault("the producer") {
                    self.client.watch().trouble(&fault);
                    if fault.kind == Kind::Fatal {
                        return Err(fault);
                    }
                }
                continue;
            }
            let mut messages = [std::ptr::null(); 256];
            loop {
                // SAFETY: a delivery report's messages live as long as the event; the array has room for `len`.
                let got =
                    unsafe { rd::rd_kafka_event_message_array(event.ptr(), messages.as_mut_ptr(), messages.len()) };
                if got == 0 {
                    break;
                }
                for m in &messages[..got] {
                    // SAFETY: live, as above. `_private` is the tag that `produce` gave.
                    let m = unsafe { &**m };
                    let taken = check(m.err, "").map_err(|fault| undelivered(m, &fault));
                    report(m._private as usize, taken);
                }
                count += got;
            }
        }
        if count > 0 {
            self.client.watch().well();
        }
        Ok(count)
    }

    /// Records that are not acknowledged, or whose report nobody has taken yet.
    pub fn in_flight(&self) -> usize {
        // SAFETY: the client is live.
        usize::try_from(unsafe { rd::rd_kafka_outq_len(self.client.ptr()) }).unwrap_or(0)
    }

    /// Sends everything now, and waits until every record is acknowledged or has its report.
    ///
    /// # Errors
    /// Not within `wait` (retriable: call again), or a fatal fault.
    pub fn flush(&mut self, wait: Duration, mut report: impl FnMut(usize, Result<(), Fault>)) -> Result<(), Fault> {
        let begun = Instant::now();
        let awaited = self.in_flight() > 0;
        loop {
            self.reports(Duration::ZERO, &mut report)?;
            if self.in_flight() == 0 {
                if awaited {
                    self.client.watch().well();
                }
                return Ok(());
            }
            if begun.elapsed() >= wait {
                let what = format!("{} records are not acknowledged within {wait:?}", self.in_flight());
                return Err(Fault::new(RDKafkaErrorCode::OperationTimedOut, what));
            }
            // While it runs, lingering is off. It serves no reports in this mode: a few milliseconds at a time.
            // SAFETY: the client is live.
            unsafe { rd::rd_kafka_flush(self.client.ptr(), 2) };
        }
    }

    /// Throws away everything that has no report yet; each record gets one that says so.
    pub fn purge(&mut self) {
        // SAFETY: the client is live.
        unsafe { rd::rd_kafka_purge(self.client.ptr(), rd::RD_KAFKA_PURGE_F_QUEUE | rd::RD_KAFKA_PURGE_F_INFLIGHT) };
    }

    /// Takes the transactional id: fences its predecessor, and waits for the end of what that one left open.
    ///
    /// # Errors
    /// Retriable ones are to be tried again on this producer; others need a new one.
    pub fn init_transactions(&mut self, wait: Duration) -> Result<(), Fault> {
        // SAFETY: the client is live; the error object is ours.
        let result = unsafe {
            fault::take(
                rd::rd_kafka_init_transactions(self.client.ptr(), millis(wait)),
                "cannot begin with transactions",
            )
        };
        self.client.answered(result)
    }

    /// # Errors
    /// Mostly fatal: another producer has taken the transactional id.
    pub fn begin(&mut self) -> Result<(), Fault> {
        // SAFETY: the client is live; the error object is ours.
        unsafe { fault::take(rd::rd_kafka_begin_transaction(self.client.ptr()), "cannot begin a transaction") }
    }

    /// Puts positions into the open transaction.
    ///
    /// # Errors
    /// Retriable ones: again. [`Kind::Fenced`], the group has moved on, and abortable ones: abort.
    pub fn send_offsets(
        &mut self,
        positions: &Positions,
        notes: &BTreeMap<String, Note>,
        group: &GroupMetadata,
        wait: Duration,
    ) -> Result<(), Fault> {
        let list = noted(positions, notes);
        // SAFETY: client, list and metadata are live; the error object is ours.
        let result = unsafe {
            let error =
                rd::rd_kafka_send_offsets_to_transaction(self.client.ptr(), list.ptr(), group.ptr(), millis(wait));
            fault::take(error, "cannot put positions into the transaction")
        };
        self.client.answered(result)
    }

    /// Commits. Everything produced must have its report before.
    ///
    /// # Errors
    /// Retriable ones (a timeout too): call again, only that tells how it ended. Abortable: abort.
    pub fn commit(&mut self, wait: Duration) -> Result<(), Fault> {
        // SAFETY: the client is live; the error object is ours.
        let result = unsafe {
            fault::take(
                rd::rd_kafka_commit_transaction(self.client.ptr(), millis(wait)),
                "cannot commit the transaction",
            )
        };
        self.client.answered(result)
    }

    /// What the open transaction failed by; `None` while nothing has.
    pub fn failed_by(&self) -> Option<Fault> {
        // SAFETY: the client is live; the error object is ours. A transaction is open: this only tells why it cannot go on.
        let told = unsafe { fault::take(rd::rd_kafka_begin_transaction(self.client.ptr()), "the transaction failed") };
        let mut fault = told.err().filter(|fault| !fault.is_consequence())?;
        if let Some(line) = self.client.watch().not_added() {
            fault.message = line;
        }
        Some(fault)
    }

    /// Aborts, throwing away what has no report yet.
    ///
    /// # Errors
    /// Retriable ones: again. Others: a new producer, whose [`Producer::init_transactions`] aborts it.
    pub fn abort(&mut self, wait: Duration, mut report: impl FnMut(usize, Result<(), Fault>)) -> Result<(), Fault> {
        self.purge();
        self.flush(wait, &mut report)?;
        // SAFETY: the client is live; the error object is ours.
        let result = unsafe {
            fault::take(rd::rd_kafka_abort_transaction(self.client.ptr(), millis(wait)), "cannot abort the transaction")
        };
        self.client.answered(result)
    }

    /// Makes it meet a fatal fault, as a broker that lost its records would.
    #[cfg(test)]
    pub fn break_for_good(&self) {
        let code = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        // SAFETY: the client is live; the words are a C string, which is copied.
        unsafe { rd::rd_kafka_test_fatal_error(self.client.ptr(), code, c"a test's".as_ptr()) };
    }

    /// What is wrong with the connection to the cluster at the moment.
    pub fn trouble(&self) -> Option<Trouble> {
        self.client.watch().current()
    }

    /// To ask the cluster with, waiting at most `wait` for an answer.
    pub fn cluster(&self, wait: Duration) -> Cluster<'_> {
        Cluster::new(&self.client, wait)
    }
}

/// What a report says of a record that is not delivered.
fn undelivered(message: &rd::rd_kafka_message_t, fault: &Fault) -> Fault {
    // SAFETY: a report's topic object is live with its message; the name is a C string.
    let topic = unsafe { CStr::from_ptr(rd::rd_kafka_topic_name(message.rkt)) }.to_string_lossy();
    let place = if message.partition < 0 { topic.to_string() } else { format!("{topic}/{}", message.partition) };
    let what = if (message.err as i32) < 0 { "the record is not delivered" } else { "the broker refuses the record" };
    Fault::new(fault.code, format_args!("{place}: {what}"))
}

/// Headers that no message has taken over yet.
struct Headers(NonNull<rd::rd_kafka_headers_t>);

impl Headers {
    fn new(headers: &[Header<'_>]) -> Option<Headers> {
        if headers.is_empty() {
            return None;
        }
        // SAFETY: a constructor, then copies of name and value with their lengths; a null value has length 0.
        unsafe {
            let made = Headers(NonNull::new(rd::rd_kafka_headers_new(headers.len()))?);
            for h in headers {
                let value = memory(h.value);
                let (name, length) = (h.name.as_ptr().cast(), h.name.len().cast_signed());
                rd::rd_kafka_header_add(made.0.as_ptr(), name, length, value.ptr, value.size.cast_signed());
            }
            Some(made)
        }
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        // SAFETY: ours: a record that takes them over forgets this.
        unsafe { rd::rd_kafka_headers_destroy(self.0.as_ptr()) }
    }
}

/// Bytes as librdkafka takes them: null for none. An empty slice's pointer is not null, and so not none.
fn memory(bytes: Option<&[u8]>) -> rd::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    match bytes {
        None => rd::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: std::ptr::null_mut(), size: 0 },
        Some(b) => {
            rd::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: b.as_ptr().cast_mut().cast::<c_void>(), size: b.len() }
        }
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Producer({} records in flight)", self.in_flight())
    }
}
