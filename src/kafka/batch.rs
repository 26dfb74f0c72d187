//! A batch of records, owned by librdkafka and lent to the route without a copy.

use super::{Consumer, fault::Fault};
use crate::record::{Header, Partition, Record, Records};
use rdkafka::{bindings as rd, types::RDKafkaErrorCode};
use std::{
    ffi::{CStr, c_void},
    ptr::NonNull,
    sync::Arc,
};

/// What one call of [`Consumer::batch`] brought.
#[derive(Debug)]
pub struct Batch {
    pub records: MessageBatch,
    /// Partitions whose end was reached, with the position there: past control records and aborted ones.
    pub ends: Vec<(Partition, i64)>,
    /// Partitions that stopped because the log does not hold their position any more.
    pub gone: Vec<Gone>,
    /// Everything else that a partition had to say.
    pub faults: Vec<Fault>,
}

/// A partition that stopped. It may do so at a position that a seek has left in the meantime: a stop in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub partition: Partition,
    pub position: i64,
    pub why: Fault,
}

/// Records as librdkafka holds them. They move between threads, and one reads them at a time.
pub struct MessageBatch {
    messages: Vec<Lent>,
    /// Of all messages, in order. Their lifetime is really that of `messages`: they are only lent shortened.
    headers: Vec<Header<'static>>,
    /// Names by librdkafka's topic object: a batch has few.
    topics: Vec<(*mut rd::rd_kafka_topic_t, Box<str>)>,
    /// Where each run begins.
    runs: Vec<usize>,
    /// Sum of keys and values.
    bytes: usize,
    /// Messages must be destroyed before the client they came from.
    keep: Arc<Consumer>,
}

/// A message, and what is read of it, which librdkafka has in places far apart. The lifetimes are the message's.
struct Lent {
    message: NonNull<rd::rd_kafka_message_t>,
    /// Which of the batch's.
    topic: usize,
    partition: i32,
    /// Where its headers begin; they end where the next message's do.
    headers: u32,
    offset: i64,
    /// Milliseconds since the epoch.
    timestamp: Option<i64>,
    key: Option<&'static [u8]>,
    value: Option<&'static [u8]>,
}

// SAFETY: messages are owned by this batch alone and may be read and destroyed on any thread; the topic pointers are
// only compared, and alive through their messages.
unsafe impl Send for MessageBatch {}

impl MessageBatch {
    pub(super) fn new(keep: Arc<Consumer>) -> MessageBatch {
        MessageBatch { messages: vec![], headers: vec![], topics: vec![], runs: vec![], bytes: 0, keep }
    }

    /// The consumer that the records came from.
    pub fn consumer(&self) -> &Arc<Consumer> {
        &self.keep
    }

    /// Takes a message that is a record over.
    ///
    /// # Safety
    /// `message` is live, ours, without an error, and came from the consumer that the batch keeps.
    pub(super) unsafe fn push(&mut self, message: NonNull<rd::rd_kafka_message_t>) {
        // SAFETY: live, and nobody changes it.
        let m = unsafe { message.as_ref() };
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: live; key and payload are their lengths in bytes, or null, and stay until the message is destroyed.
        let (timestamp, key, value) =
            unsafe { (rd::rd_kafka_message_timestamp(m, &mut kind), bytes(m.key, m.key_len), bytes(m.payload, m.len)) };
        let known = kind != rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the topic object is live with its message.
        let topic = unsafe { self.topic(m.rkt) };
        let lent = Lent {
            message,
            topic,
            partition: m.partition,
            headers: u32::try_from(self.headers.len()).unwrap_or(u32::MAX),
            offset: m.offset,
            timestamp: known.then_some(timestamp),
            key,
            value,
        };
        let follows =
            |last: &Lent| last.topic == lent.topic && last.partition == lent.partition && last.offset < lent.offset;
        if !self.messages.last().is_some_and(follows) {
            self.runs.push(self.messages.len());
        }
        self.bytes += m.len + m.key_len;
        self.messages.push(lent);
        // SAFETY: live, and owned by the batch from now on.
        unsafe { self.read_headers(message) };
    }

    /// Which of the batch's topics this is.
    ///
    /// # Safety
    /// `rkt` is live.
    unsafe fn topic(&mut self, rkt: *mut rd::rd_kafka_topic_t) -> usize {
        self.topics.iter().position(|(known, _)| *known == rkt).unwrap_or_else(|| {
            // SAFETY: live, as the caller promises; the name is a C string.
            let name = unsafe { CStr::from_ptr(rd::rd_kafka_topic_name(rkt)) };
            self.topics.push((rkt, name.to_string_lossy().into()));
            self.topics.len() - 1
        })
    }

    /// # Safety
    /// `message` is live and stays so until this batch is dropped.
    unsafe fn read_headers(&mut self, message: NonNull<rd::rd_kafka_message_t>) {
        let mut headers = std::ptr::null_mut();
        // SAFETY: this call parses the headers into the message; nobody else looks at it yet. Each name is a C string,
        // each value `size` bytes or null, all owned by the message, which the batch destroys only when it is dropped.
        unsafe {
            let parsed = rd::rd_kafka_message_headers(message.as_ptr(), &mut headers);
            if parsed != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return; // none, or bytes that are no headers
            }
            for i in 0.. {
                let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null::<c_void>(), 0);
                let read = rd::rd_kafka_header_get_all(headers, i, &mut name, &mut value, &mut size);
                if read != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    break;
                }
                let name: &'static [u8] = CStr::from_ptr(name).to_bytes();
                self.headers.push(Header { name, value: bytes(value, size) });
            }
        }
    }

    /// Throws away the records of which `keep` says no.
    pub fn retain(&mut self, keep: impl Fn(Record<'_>) -> bool) {
        let kept: Vec<bool> = (0..self.len()).map(|i| keep(self.get(i))).collect();
        let consumer = Arc::clone(&self.keep);
        let mut old = std::mem::replace(self, MessageBatch::new(consumer));
        // A message that `old` no longer has is not destroyed by it.
        for (lent, kept) in std::mem::take(&mut old.messages).into_iter().zip(kept) {
            if kept {
                // SAFETY: live, and now ours alone. Parsing headers a second time gives the same.
                unsafe { self.push(lent.message) };
            } else {
                old.messages.push(lent);
            }
        }
    }
}

impl Records for MessageBatch {
    fn len(&self) -> usize {
        self.messages.len()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn run_end(&self, from: usize) -> usize {
        self.runs.iter().find(|begin| **begin > from).copied().unwrap_or(self.len())
    }

    fn get(&self, i: usize) -> Record<'_> {
        let lent = &self.messages[i];
        let headers_end = self.messages.get(i + 1).map_or(self.headers.len(), |next| next.headers as usize);
        Record {
            topic: &self.topics[lent.topic].1,
            partition: lent.partition,
            offset: lent.offset,
            timestamp: lent.timestamp,
            key: lent.key,
            value: lent.value,
            headers: &self.headers[lent.headers as usize..headers_end],
        }
    }
}

/// # Safety
/// `data` is null, or `len` bytes that live for `'a`.
unsafe fn bytes<'a>(data: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) })
}

impl Drop for MessageBatch {
    fn drop(&mut self) {
        for lent in self.messages.drain(..) {
            // SAFETY: ours, destroyed once, before `keep` lets the client go.
            unsafe { rd::rd_kafka_message_destroy(lent.message.as_ptr()) }
        }
    }
}

impl std::fmt::Debug for MessageBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MessageBatch({} records, {} bytes)", self.messages.len(), self.bytes)
    }
}

impl Batch {
    pub(super) fn new(keep: Arc<Consumer>) -> Batch {
        Batch { records: MessageBatch::new(keep), ends: vec![], gone: vec![], faults: vec![] }
    }

    /// Sorts a message into what it is.
    ///
    /// # Safety
    /// `message` is live, ours, and came from the consumer that the batch keeps.
    pub(super) unsafe fn sort(&mut self, message: NonNull<rd::rd_kafka_message_t>) {
        // SAFETY: live, as the caller promises.
        let m = unsafe { message.as_ref() };
        if m.err == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            // SAFETY: as the caller promises; it has no error.
            return unsafe { self.records.push(message) };
        }
        // SAFETY: an error's topic may be null; its words are a C string or null. All are copied before the message is
        // destroyed, once.
        unsafe {
            let topic = match m.rkt.is_null() {
                true => String::new(),
                false => CStr::from_ptr(rd::rd_kafka_topic_name(m.rkt)).to_string_lossy().into_owned(),
            };
            let (partition, position) = (Partition::new(&topic, m.partition), m.offset);
            let words = rd::rd_kafka_message_errstr(m);
            let words = if words.is_null() { "".into() } else { CStr::from_ptr(words).to_string_lossy() };
            let fault = |code| Fault::worded(code, format_args!("reading {partition} at {position}"), &words);
            match RDKafkaErrorCode::from(m.err) {
                RDKafkaErrorCode::PartitionEOF => self.ends.push((partition, position)),
                code @ (RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                    let why = fault(code);
                    self.gone.push(Gone { partition, position, why });
                }
                code => self.faults.push(fault(code)),
            }
            rd::rd_kafka_message_destroy(message.as_ptr());
        }
    }

    /// Whether the call brought nothing at all.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.ends.is_empty() && self.gone.is_empty() && self.faults.is_empty()
    }
}
