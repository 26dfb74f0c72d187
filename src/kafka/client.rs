//! One librdkafka client: its making, its end, and the queries that every kind of client answers.

use super::{
    fault::{Fault, Kind, check},
    list::List,
    settings::native,
    watch::Watch,
};
use crate::record::{Partition, Positions};
use rdkafka::{
    bindings as rd,
    config::ClientConfig,
    types::{RDKafkaErrorCode, RDKafkaType},
};
use std::{
    collections::BTreeMap,
    ffi::{CStr, c_char, c_int, c_void},
    mem::ManuallyDrop,
    ptr::NonNull,
    sync::Arc,
    time::Duration,
};

/// A librdkafka handle.
pub(super) struct Client {
    rk: NonNull<rd::rd_kafka_t>,
    /// Its address is the client's opaque: it must outlive `rk`, and does, since `drop` ends the client first.
    watch: Arc<Watch>,
}

// SAFETY: a librdkafka handle may be used from any thread, and from several at once.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// `events` are the kinds that its queues hand out, beside errors.
    pub fn new(config: &ClientConfig, kind: RDKafkaType, events: i32) -> Result<Client, Fault> {
        let mut native = ManuallyDrop::new(native(config)?);
        let watch = Arc::new(Watch::default());
        let mut words = [0 as c_char; 512];
        // SAFETY: the configuration is live; the callback is a plain function, and the opaque it reads outlives the
        // client. rd_kafka_new takes the configuration over, but only when it succeeds.
        let rk = unsafe {
            rd::rd_kafka_conf_set_log_cb(native.ptr(), Some(log));
            rd::rd_kafka_conf_set_opaque(native.ptr(), Arc::as_ptr(&watch).cast_mut().cast::<c_void>());
            rd::rd_kafka_conf_set_events(native.ptr(), events | rd::RD_KAFKA_EVENT_ERROR);
            rd::rd_kafka_new(kind, native.ptr(), words.as_mut_ptr(), words.len())
        };
        let Some(rk) = NonNull::new(rk) else {
            // SAFETY: not taken over, so still ours to free.
            unsafe { ManuallyDrop::drop(&mut native) };
            // SAFETY: librdkafka ends its words with a NUL.
            let words = unsafe { CStr::from_ptr(words.as_ptr()) }.to_string_lossy().into_owned();
            let message = format!("the Kafka client cannot be made: {words}");
            return Err(Fault { kind: Kind::Refused, code: RDKafkaErrorCode::InvalidConfig, message });
        };
        Ok(Client { rk, watch })
    }

    pub fn ptr(&self) -> *mut rd::rd_kafka_t {
        self.rk.as_ptr()
    }

    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The cluster's id; `None` for clusters older than 0.10.1.
    pub fn cluster_id(&self, wait: Duration) -> Result<Option<String>, Fault> {
        // SAFETY: the client is live; the string returned is ours, freed by the allocator librdkafka names.
        let known = || unsafe {
            let id = NonNull::new(rd::rd_kafka_clusterid(self.ptr(), 0))?;
            let copy = CStr::from_ptr(id.as_ptr()).to_string_lossy().into_owned();
            rd::rd_kafka_mem_free(self.ptr(), id.as_ptr().cast::<c_void>());
            Some(copy)
        };
        if let Some(id) = known() {
            return Ok(Some(id));
        }
        // Given time, it would wait for some broker's state to change, up to a second too long: metadata bring the id. Null
        // says "not yet known" and "has none" alike; a broker that answers settles which.
        self.renew(wait)?;
        Ok(known())
    }

    /// Every topic of the cluster, with its number of partitions.
    pub fn partition_counts(&self, wait: Duration) -> Result<BTreeMap<String, i32>, Fault> {
        let mut metadata = std::ptr::null();
        // SAFETY: the client is live; on success the metadata is ours to free, and lives until then.
        unsafe {
            let code = rd::rd_kafka_metadata(self.ptr(), 1, std::ptr::null_mut(), &mut metadata, millis(wait));
            self.answered(check(code, "cannot reach the cluster"))?;
            let all = &*metadata;
            let topics = match usize::try_from(all.topic_cnt) {
                Ok(count) if !all.topics.is_null() => std::slice::from_raw_parts(all.topics, count),
                _ => &[],
            };
            let name = |t: &rd::rd_kafka_metadata_topic| CStr::from_ptr(t.topic).to_string_lossy().into_owned();
            let counts = topics.iter().map(|t| (name(t), t.partition_cnt)).collect();
            rd::rd_kafka_metadata_destroy(metadata);
            Ok(counts)
        }
    }

    /// Has any broker say which brokers there are, and what the topics that the client knows look like now.
    pub fn renew(&self, wait: Duration) -> Result<(), Fault> {
        let mut metadata = std::ptr::null();
        // SAFETY: the client is live; on success the metadata is ours to free. No topic at all stands for those it knows.
        let code = unsafe { rd::rd_kafka_metadata(self.ptr(), 0, std::ptr::null_mut(), &mut metadata, millis(wait)) };
        self.answered(check(code, "cannot reach the cluster"))?;
        // SAFETY: as above.
        unsafe { rd::rd_kafka_metadata_destroy(metadata) };
        Ok(())
    }

    /// Looks offsets up: `at` is a timestamp in milliseconds, or one of Kafka's names for the ends of a log.
    pub fn offsets(&self, partitions: &[Partition], at: i64, wait: Duration) -> Result<Positions, Fault> {
        if partitions.is_empty() {
            return Ok(Positions::new());
        }
        let list = List::at(partitions, at);
        // SAFETY: client and list are live.
        let code = unsafe { rd::rd_kafka_offsets_for_times(self.ptr(), list.ptr(), millis(wait)) };
        self.answered(check(code, "cannot look offsets up"))?;
        list.check("cannot look up the offset of")?;
        Ok(list.elements().map(|e| (e.partition, e.offset)).collect())
    }

    /// Notes that the cluster answered, or that it did not.
    pub fn answered<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        match result {
            Ok(answer) => {
                self.watch.well();
                Ok(answer)
            }
            Err(fault) => {
                let fault = self.watch.explained(fault);
                self.watch.trouble(&fault);
                Err(fault)
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once. Blocks until librdkafka's threads have ended: no callback runs after it.
        unsafe { rd::rd_kafka_destroy(self.ptr()) }
    }
}

/// A queue of a client. Every struct that holds one declares it before the client: it must be freed first.
pub(super) struct Queue(NonNull<rd::rd_kafka_queue_t>);

// SAFETY: librdkafka locks its queues.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    pub fn new(client: &Client) -> Queue {
        // SAFETY: the client is live.
        Queue::owned(unsafe { rd::rd_kafka_queue_new(client.ptr()) })
    }

    /// Events of a producer or a plain client.
    pub fn main(client: &Client) -> Queue {
        // SAFETY: the client is live; the reference returned is ours.
        Queue::owned(unsafe { rd::rd_kafka_queue_get_main(client.ptr()) })
    }

    /// Events of a consumer.
    pub fn consumer(client: &Client) -> Queue {
        // SAFETY: the client is live and a consumer with a group; the reference returned is ours.
        unsafe {
            rd::rd_kafka_poll_set_consumer(client.ptr());
            Queue::owned(rd::rd_kafka_queue_get_consumer(client.ptr()))
        }
    }

    fn owned(queue: *mut rd::rd_kafka_queue_t) -> Queue {
        Queue(NonNull::new(queue).expect("the client is of the kind that has this queue"))
    }

    pub fn ptr(&self) -> *mut rd::rd_kafka_queue_t {
        self.0.as_ptr()
    }

    /// The next event; waits for one.
    pub fn poll(&self, wait: Duration) -> Option<Event> {
        // SAFETY: the queue is live; the event returned is ours.
        NonNull::new(unsafe { rd::rd_kafka_queue_poll(self.ptr(), millis(wait)) }).map(Event)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: ours, freed once, while its client lives.
        unsafe { rd::rd_kafka_queue_destroy(self.ptr()) }
    }
}

/// An event of a queue.
pub(super) struct Event(NonNull<rd::rd_kafka_event_t>);

impl Event {
    pub fn ptr(&self) -> *mut rd::rd_kafka_event_t {
        self.0.as_ptr()
    }

    pub fn kind(&self) -> i32 {
        // SAFETY: the event is live.
        unsafe { rd::rd_kafka_event_type(self.ptr()) }
    }

    pub fn code(&self) -> rd::rd_kafka_resp_err_t {
        // SAFETY: the event is live.
        unsafe { rd::rd_kafka_event_error(self.ptr()) }
    }

    /// The event's error; `None` when it has none.
    pub fn fault(&self, what: &str) -> Option<Fault> {
        let code = self.code();
        check(code, what).err()?;
        // SAFETY: the event is live, and so are its words while it is.
        let (words, fatal) = unsafe {
            let words = CStr::from_ptr(rd::rd_kafka_event_error_string(self.ptr()));
            (words.to_string_lossy(), rd::rd_kafka_event_error_is_fatal(self.ptr()) != 0)
        };
        let mut fault = Fault::worded(code.into(), what, &words);
        if fatal {
            fault.kind = Kind::Fatal;
        }
        Some(fault)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { rd::rd_kafka_event_destroy(self.ptr()) }
    }
}

/// librdkafka's milliseconds: never negative, which would mean for ever.
pub(super) fn millis(wait: Duration) -> c_int {
    c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX)
}

/// librdkafka's log lines; called from its own threads.
unsafe extern "C" fn log(rk: *const rd::rd_kafka_t, level: c_int, facility: *const c_char, line: *const c_char) {
    if rk.is_null() || facility.is_null() || line.is_null() {
        return;
    }
    // SAFETY: librdkafka lends a live client and two C strings for the length of this call. The opaque is the client's
    // Watch (set before the client is made), which outlives the client.
    unsafe {
        let watch = rd::rd_kafka_opaque(rk).cast::<Watch>();
        if let Some(watch) = watch.as_ref() {
            let facility = CStr::from_ptr(facility).to_string_lossy();
            watch.line(level, &facility, &CStr::from_ptr(line).to_string_lossy());
        }
    }
}
