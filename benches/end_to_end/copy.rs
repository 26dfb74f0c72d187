//! The bare copy: librdkafka alone, consuming in batches and producing key and value unchanged. No decode, no group
//! position. What a route costs is told as a multiple of it.
#![allow(unsafe_code)] // librdkafka's own batch calls, which rdkafka does not wrap

use rdkafka::{
    bindings as rd,
    config::ClientConfig,
    consumer::{BaseConsumer, Consumer},
    topic_partition_list::{Offset, TopicPartitionList},
};
use std::{
    ffi::{CStr, CString},
    ptr, slice,
    time::{Duration, Instant},
};

/// Settings that a fast consumer needs; the route has the same.
const FETCH: [(&str, &str); 2] = [("fetch.queue.backoff.ms", "5"), ("queued.min.messages", "300000")];

/// Copies all that `from` holds; with `commit_every` in Kafka transactions of that length.
pub fn copy(servers: &str, from: &str, to: &str, commit_every: Option<Duration>) {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", servers).set("group.id", "bare-copy").set("enable.auto.commit", "false");
    for (name, value) in FETCH {
        settings.set(name, value);
    }
    let consumer: BaseConsumer = settings.create().expect("settings of a consumer");
    let total = assign_all(&consumer, from);
    let mut producer = RawProducer::new(servers, to, commit_every.is_some());
    // SAFETY: the queue is destroyed before its consumer; each message once, after its bytes were copied by produce.
    unsafe {
        let queue = rd::rd_kafka_queue_get_consumer(consumer.client().native_ptr());
        let mut messages = vec![ptr::null_mut(); 1000];
        let (mut copied, mut began) = (0, None);
        while copied < total {
            let read = rd::rd_kafka_consume_batch_queue(queue, 20, messages.as_mut_ptr(), messages.len());
            if read > 0 && began.is_none() && commit_every.is_some() {
                producer.begin();
                began = Some(Instant::now());
            }
            for &message in &messages[..read.max(0) as usize] {
                let m = &*message;
                if m.err == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    let key = if m.key.is_null() { &[] } else { slice::from_raw_parts(m.key.cast::<u8>(), m.key_len) };
                    producer.produce(slice::from_raw_parts(m.payload.cast::<u8>(), m.len), key);
                    copied += 1;
                }
                rd::rd_kafka_message_destroy(message);
            }
            producer.acknowledged(0);
            let due = began.zip(commit_every).is_some_and(|(began, every): (Instant, _)| began.elapsed() >= every);
            if began.is_some() && (due || copied == total) {
                producer.commit();
                began = None;
            }
        }
        producer.flush();
        rd::rd_kafka_queue_destroy(queue);
    }
}

fn assign_all(consumer: &BaseConsumer, topic: &str) -> u64 {
    let patience = Duration::from_secs(10);
    let metadata = consumer.fetch_metadata(Some(topic), patience).expect("the broker answers");
    let (mut assignment, mut total) = (TopicPartitionList::new(), 0);
    for partition in metadata.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), patience).expect("the broker answers");
        total += (high - low) as u64;
        assignment.add_partition_offset(topic, partition.id(), Offset::Offset(low)).expect("a valid offset");
    }
    consumer.assign(&assignment).expect("an assignment");
    total
}

struct RawProducer {
    client: *mut rd::rd_kafka_t,
    topic: *mut rd::rd_kafka_topic_t,
    queue: *mut rd::rd_kafka_queue_t,
}

impl RawProducer {
    fn new(servers: &str, topic: &str, transactional: bool) -> RawProducer {
        let mut settings = vec![
            ("bootstrap.servers", servers),
            ("compression.type", "lz4"),
            ("linger.ms", "5"),
            ("partitioner", "murmur2_random"),
            ("queue.buffering.max.messages", "500000"),
        ];
        if transactional {
            settings.push(("transactional.id", "bare-copy"));
        }
        let mut said = [0; 512];
        // SAFETY: the strings outlive the calls; librdkafka owns the configuration once the client is made.
        unsafe {
            let conf = rd::rd_kafka_conf_new();
            for (name, value) in settings {
                let (name, value) = (CString::new(name).expect("no NUL"), CString::new(value).expect("no NUL"));
                let set = rd::rd_kafka_conf_set(conf, name.as_ptr(), value.as_ptr(), said.as_mut_ptr(), said.len());
                assert_eq!(set, rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK, "{name:?}");
            }
            rd::rd_kafka_conf_set_events(conf, rd::RD_KAFKA_EVENT_DR);
            let kind = rd::rd_kafka_type_t::RD_KAFKA_PRODUCER;
            let client = rd::rd_kafka_new(kind, conf, said.as_mut_ptr(), said.len());
            assert!(!client.is_null(), "{:?}", CStr::from_ptr(said.as_ptr()));
            if transactional {
                checked(rd::rd_kafka_init_transactions(client, 30_000));
            }
            let name = CString::new(topic).expect("no NUL");
            let topic = rd::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut());
            RawProducer { client, topic, queue: rd::rd_kafka_queue_get_main(client) }
        }
    }

    fn produce(&mut self, value: &[u8], key: &[u8]) {
        let copy = rd::RD_KAFKA_MSG_F_COPY;
        // SAFETY: F_COPY: both slices are copied before the call returns.
        let again = || unsafe {
            let (v, k) = (value.as_ptr().cast_mut().cast(), key.as_ptr().cast());
            rd::rd_kafka_produce(self.topic, -1, copy, v, value.len(), k, key.len(), ptr::null_mut()) != 0
        };
        while again() {
            self.acknowledged(10);
        }
    }

    /// Takes delivery reports off the queue, waiting for the first at most so many milliseconds.
    fn acknowledged(&self, mut wait: i32) {
        // SAFETY: each event is destroyed once, after its messages were looked at.
        unsafe {
            loop {
                let event = rd::rd_kafka_queue_poll(self.queue, wait);
                if event.is_null() {
                    return;
                }
                wait = 0;
                let mut messages = [ptr::null(); 256];
                loop {
                    let n = rd::rd_kafka_event_message_array(event, messages.as_mut_ptr(), messages.len());
                    if n == 0 {
                        break;
                    }
                    for message in &messages[..n] {
                        assert_eq!((**message).err, rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
                    }
                }
                rd::rd_kafka_event_destroy(event);
            }
        }
    }

    fn begin(&self) {
        // SAFETY: the client lives as long as self.
        checked(unsafe { rd::rd_kafka_begin_transaction(self.client) });
    }

    fn commit(&self) {
        self.flush();
        // SAFETY: the client lives as long as self.
        checked(unsafe { rd::rd_kafka_commit_transaction(self.client, 10_000) });
    }

    fn flush(&self) {
        // SAFETY: the client lives as long as self.
        while unsafe { rd::rd_kafka_outq_len(self.client) } > 0 {
            self.acknowledged(10);
            unsafe { rd::rd_kafka_flush(self.client, 5) };
        }
    }
}

fn checked(error: *mut rd::rd_kafka_error_t) {
    if !error.is_null() {
        // SAFETY: an error that librdkafka gave is a valid one.
        panic!("{:?}", unsafe { CStr::from_ptr(rd::rd_kafka_error_string(error)) });
    }
}
