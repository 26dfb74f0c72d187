//! What changes a cluster: topics made and widened.

use super::{
    client::{Client, Event, Queue},
    cluster::{Cluster, broker_time},
    fault::{Fault, Kind, check},
};
use rdkafka::{bindings as rd, types::RDKafkaErrorCode};
use std::{
    collections::BTreeMap,
    ffi::{CStr, CString, c_char},
    ptr::NonNull,
    time::Duration,
};

/// A topic to be made.
#[derive(Clone, Debug)]
pub struct NewTopic<'a> {
    pub name: &'a str,
    /// `None` takes the brokers' default, and so below; brokers older than 2.4 refuse that.
    pub partitions: Option<i32>,
    pub replication: Option<i32>,
    pub config: &'a BTreeMap<String, String>,
}

impl Cluster<'_> {
    /// Makes a topic and waits until the controller knows it.
    ///
    /// # Errors
    /// The broker's; a topic that is there already is [`RDKafkaErrorCode::TopicAlreadyExists`].
    pub fn create_topic(&self, topic: &NewTopic<'_>) -> Result<(), Fault> {
        self.new_topic(topic, self.request(rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS))
    }

    /// Whether the controller would make this topic: names, settings, replication and its own policies are judged, and
    /// nothing is made.
    ///
    /// # Errors
    /// As [`Cluster::create_topic`].
    pub fn judge_topic(&self, topic: &NewTopic<'_>) -> Result<(), Fault> {
        let request = self.request(rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS);
        self.new_topic(topic, request.judging()?)
    }

    fn new_topic(&self, topic: &NewTopic<'_>, request: Request) -> Result<(), Fault> {
        let what = format!("cannot make the topic {}", topic.name);
        let name = c_string(topic.name, &what)?;
        let mut words = [0 as c_char; 256];
        // SAFETY: name and settings live through the calls, which copy them. The topic is ours: freed once.
        let answer = unsafe {
            let made = rd::rd_kafka_NewTopic_new(
                name.as_ptr(),
                topic.partitions.unwrap_or(-1),
                topic.replication.unwrap_or(-1),
                words.as_mut_ptr(),
                words.len(),
            );
            let Some(made) = NonNull::new(made) else {
                return Err(invalid(&what, &words));
            };
            let mut made = made.as_ptr();
            for (setting, value) in topic.config {
                let (setting, value) = (CString::new(&**setting), CString::new(&**value));
                let (setting, value) = (setting.unwrap_or_default(), value.unwrap_or_default());
                rd::rd_kafka_NewTopic_set_config(made, setting.as_ptr(), value.as_ptr());
            }
            rd::rd_kafka_CreateTopics(self.client().ptr(), &mut made, 1, request.options(), request.queue());
            rd::rd_kafka_NewTopic_destroy(made);
            request.answer(&what)
        }?;
        // SAFETY: the event is a CreateTopics result; what is read from it lives as long as the event.
        unsafe {
            let mut count = 0;
            let result = rd::rd_kafka_event_CreateTopics_result(answer.ptr());
            topic_results(rd::rd_kafka_CreateTopics_result_topics(result, &mut count), count, &what)
        }
    }

    /// Widens a topic to `partitions` in all.
    ///
    /// # Errors
    /// The broker's.
    pub fn widen_topic(&self, topic: &str, partitions: i32) -> Result<(), Fault> {
        let what = format!("cannot widen the topic {topic} to {partitions} partitions");
        let name = c_string(topic, &what)?;
        let mut words = [0 as c_char; 256];
        let total = usize::try_from(partitions).unwrap_or(0);
        let request = self.request(rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS);
        // SAFETY: as in `create_topic`.
        let answer = unsafe {
            let wider = rd::rd_kafka_NewPartitions_new(name.as_ptr(), total, words.as_mut_ptr(), words.len());
            let Some(wider) = NonNull::new(wider) else {
                return Err(invalid(&what, &words));
            };
            let mut wider = wider.as_ptr();
            rd::rd_kafka_CreatePartitions(self.client().ptr(), &mut wider, 1, request.options(), request.queue());
            rd::rd_kafka_NewPartitions_destroy(wider);
            request.answer(&what)
        }?;
        // SAFETY: as in `create_topic`.
        unsafe {
            let mut count = 0;
            let result = rd::rd_kafka_event_CreatePartitions_result(answer.ptr());
            topic_results(rd::rd_kafka_CreatePartitions_result_topics(result, &mut count), count, &what)
        }
    }

    pub(super) fn request(&self, operation: rd::rd_kafka_admin_op_t) -> Request {
        Request::new(self.client(), operation, self.wait())
    }
}

/// One admin request with a queue of its own for the answer.
pub(super) struct Request {
    queue: Queue,
    options: NonNull<rd::rd_kafka_AdminOptions_t>,
    wait: Duration,
}

impl Request {
    pub fn new(client: &Client, operation: rd::rd_kafka_admin_op_t, wait: Duration) -> Request {
        let mut words = [0 as c_char; 256];
        let time = broker_time(wait);
        // SAFETY: the client is live; the options are ours. Not every operation takes an operation timeout: that it is
        // refused then is no fault.
        let options = unsafe {
            let options = rd::rd_kafka_AdminOptions_new(client.ptr(), operation);
            rd::rd_kafka_AdminOptions_set_request_timeout(options, time, words.as_mut_ptr(), words.len());
            rd::rd_kafka_AdminOptions_set_operation_timeout(options, time, words.as_mut_ptr(), words.len());
            options
        };
        let options = NonNull::new(options).expect("librdkafka knows the operations that its own header lists");
        Request { queue: Queue::new(client), options, wait }
    }

    /// The same request, which changes nothing.
    pub fn judging(self) -> Result<Request, Fault> {
        let mut words = [0 as c_char; 256];
        // SAFETY: the options are live.
        let code = unsafe {
            rd::rd_kafka_AdminOptions_set_validate_only(self.options.as_ptr(), 1, words.as_mut_ptr(), words.len())
        };
        check(code, "the brokers cannot be asked without a change")?;
        Ok(self)
    }

    pub fn options(&self) -> *const rd::rd_kafka_AdminOptions_t {
        self.options.as_ptr()
    }

    pub fn queue(&self) -> *mut rd::rd_kafka_queue_t {
        self.queue.ptr()
    }

    /// Waits for the answer.
    pub fn answer(&self, what: &str) -> Result<Event, Fault> {
        // The request times out by itself; a little more, so that its own words are heard.
        let event = self.queue.poll(self.wait.saturating_add(Duration::from_secs(1)));
        let event = event.ok_or_else(|| Fault::new(RDKafkaErrorCode::OperationTimedOut, what))?;
        match event.fault(what) {
            Some(fault) => Err(fault),
            None => Ok(event),
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { rd::rd_kafka_AdminOptions_destroy(self.options.as_ptr()) }
    }
}

/// Names as C wants them: an array of C strings.
pub(super) struct Strings {
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Strings {
        let owned: Vec<_> = names.map(|n| CString::new(n).unwrap_or_default()).collect();
        Strings { pointers: owned.iter().map(|s| s.as_ptr()).collect(), _owned: owned }
    }

    /// librdkafka's signature says mutable, and only reads.
    pub fn ptr(&self) -> *mut *const c_char {
        self.pointers.as_ptr().cast_mut()
    }

    pub fn len(&self) -> usize {
        self.pointers.len()
    }
}

/// An array that librdkafka lends.
///
/// # Safety
/// `array` is null, or has `count` elements that live for `'a`.
pub(super) unsafe fn slice<'a, T>(array: *mut *const T, count: usize) -> &'a [*const T] {
    if array.is_null() {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(array, count) }
}

/// # Safety
/// `results` is null or has `count` live elements.
unsafe fn topic_results(
    results: *mut *const rd::rd_kafka_topic_result_t,
    count: usize,
    what: &str,
) -> Result<(), Fault> {
    // SAFETY: as the caller promises; an error's words are a C string or null, and live with the result.
    unsafe {
        for result in slice(results, count) {
            let code = rd::rd_kafka_topic_result_error(*result);
            if let Err(fault) = check(code, what) {
                let words = rd::rd_kafka_topic_result_error_string(*result);
                return Err(match words.is_null() {
                    true => fault,
                    false => Fault::worded(fault.code, what, &CStr::from_ptr(words).to_string_lossy()),
                });
            }
        }
    }
    Ok(())
}

pub(super) fn c_string(name: &str, what: &str) -> Result<CString, Fault> {
    CString::new(name).map_err(|_| Fault {
        kind: Kind::Refused,
        code: RDKafkaErrorCode::InvalidTopic,
        message: format!("{what}: the name has a NUL byte"),
    })
}

fn invalid(what: &str, words: &[c_char]) -> Fault {
    // SAFETY: librdkafka ends its words with a NUL, and the buffer was zeroed.
    let words = unsafe { CStr::from_ptr(words.as_ptr()) };
    Fault::worded(RDKafkaErrorCode::InvalidArgument, what, &words.to_string_lossy())
}
