//! What a cluster can be asked by any client: its id, its topics, the ends of their logs.

use super::{
    admin::{self, Request, Strings},
    client::{Client, millis},
    fault::{Fault, check},
    list::List,
    mock,
    settings::Settings,
};
use crate::record::{Partition, Positions};
use rdkafka::{
    bindings as rd,
    types::{RDKafkaErrorCode, RDKafkaType},
};
use std::{collections::BTreeMap, ffi::CStr, time::Duration};

/// A client that is neither consumer nor producer.
pub struct Connection(Client);

/// The questions; each waits at most as long as its maker said, and may be asked from any thread.
pub struct Cluster<'c> {
    client: &'c Client,
    wait: Duration,
}

/// A topic as the brokers describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Base64, as the brokers' own tools print it; `None` from brokers older than 2.8. A topic that is deleted and made
    /// again has another one.
    pub id: Option<String>,
    pub partitions: i32,
    /// Copies of the partition that has the fewest; 0 where it is not told.
    pub replication: i32,
}

/// A place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The first record that retention has left.
    Earliest,
    /// The end, as a consumer of committed records sees it: the last stable offset.
    Latest,
    /// The first record at or after this time (milliseconds since the epoch); the end where there is none.
    Time(i64),
}

/// An answer of this age says that the cluster is there.
const JUST_NOW: Duration = Duration::from_secs(1);

/// ListOffsets' name for the end, as for one kind of time.
const LATEST: i64 = -1;

impl Connection {
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn new(settings: &Settings) -> Result<Connection, Fault> {
        // A consumer without a group: unlike a producer it asks for offsets with an isolation level.
        Client::new(&settings.plain(), RDKafkaType::RD_KAFKA_CONSUMER, 0).map(Connection)
    }

    /// To ask with, waiting at most `wait` for an answer.
    pub fn cluster(&self, wait: Duration) -> Cluster<'_> {
        Cluster::new(&self.0, wait)
    }
}

impl<'c> Cluster<'c> {
    pub(super) fn new(client: &'c Client, wait: Duration) -> Cluster<'c> {
        Cluster { client, wait }
    }

    pub(super) fn client(&self) -> &'c Client {
        self.client
    }

    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// The cluster's id; `None` for clusters older than 0.10.1.
    ///
    /// # Errors
    /// No broker answers.
    pub fn id(&self) -> Result<Option<String>, Fault> {
        self.client.cluster_id(self.wait)
    }

    pub(super) fn is_mock(&self) -> Result<bool, Fault> {
        Ok(self.id()?.is_some_and(|id| id.starts_with(mock::ID)))
    }

    /// Where these partitions begin, end, or stood at a time.
    ///
    /// # Errors
    /// The broker's; an unknown partition is [`super::Kind::Refused`].
    pub fn offsets(&self, partitions: &[Partition], at: At) -> Result<Positions, Fault> {
        let time = match at {
            At::Earliest => -2,
            At::Latest => LATEST,
            At::Time(millis) => millis.max(0),
        };
        let mut found = self.client.offsets(partitions, time, self.wait)?;
        let none: Vec<_> = found.iter().filter(|(_, offset)| **offset < 0).map(|(p, _)| p.clone()).collect();
        if !none.is_empty() {
            found.extend(self.client.offsets(&none, LATEST, self.wait)?);
        }
        Ok(found)
    }

    /// Where these partitions end for a consumer of all records: behind those of transactions that are still open.
    ///
    /// # Errors
    /// The broker's.
    pub fn high_watermarks(&self, partitions: &[Partition]) -> Result<Positions, Fault> {
        let what = "cannot look offsets up";
        let list = List::at(partitions, LATEST);
        let request = Request::new(self.client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, self.wait);
        // SAFETY: the list lives through the call, which copies it. Admin requests read what is uncommitted too.
        let answer = unsafe {
            rd::rd_kafka_ListOffsets(self.client.ptr(), list.ptr(), request.options(), request.queue());
            request.answer(what)
        };
        let answer = self.client.answered(answer)?;
        let mut found = Positions::new();
        // SAFETY: the event is a ListOffsets result; everything read from it lives as long as the event.
        unsafe {
            let mut count = 0;
            let result = rd::rd_kafka_event_ListOffsets_result(answer.ptr());
            for info in admin::slice(rd::rd_kafka_ListOffsets_result_infos(result, &mut count), count) {
                let at = &*rd::rd_kafka_ListOffsetsResultInfo_topic_partition(*info);
                check(at.err, what)?;
                let topic = CStr::from_ptr(at.topic).to_string_lossy();
                found.insert(Partition::new(&topic, at.partition), at.offset);
            }
        }
        Ok(found)
    }

    /// The topics of these names that exist.
    ///
    /// # Errors
    /// No broker answers, or refuses.
    pub fn topics(&self, names: &[&str]) -> Result<BTreeMap<String, TopicInfo>, Fault> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        if self.is_mock()? {
            let counts = self.client.partition_counts(self.wait)?;
            let named = counts.into_iter().filter(|(name, _)| names.contains(&name.as_str()));
            return Ok(named
                .map(|(name, partitions)| (name, TopicInfo { id: None, partitions, replication: 0 }))
                .collect());
        }
        // It waits for a controller, and librdkafka tries to connect to one that is down without any pause for as long: any
        // broker has to have answered just now, and names the one that is up.
        if !self.client.watch().answered_within(JUST_NOW) {
            self.client.renew(self.wait)?;
        }
        let what = "cannot describe topics";
        let names = Strings::new(names.iter().copied());
        let request = Request::new(self.client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, self.wait);
        // SAFETY: the names live through the call, which copies them; the collection is freed after it has been sent.
        let answer = unsafe {
            let topics = rd::rd_kafka_TopicCollection_of_topic_names(names.ptr(), names.len());
            rd::rd_kafka_DescribeTopics(self.client.ptr(), topics, request.options(), request.queue());
            rd::rd_kafka_TopicCollection_destroy(topics);
            request.answer(what)
        };
        let answer = self.client.answered(answer)?;
        let mut found = BTreeMap::new();
        // SAFETY: the event is a DescribeTopics result; everything read from it lives as long as the event.
        unsafe {
            let mut count = 0;
            let result = rd::rd_kafka_event_DescribeTopics_result(answer.ptr());
            let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &mut count);
            for topic in admin::slice(topics, count) {
                let name = CStr::from_ptr(rd::rd_kafka_TopicDescription_name(*topic)).to_string_lossy().into_owned();
                let code = rd::rd_kafka_error_code(rd::rd_kafka_TopicDescription_error(*topic));
                match check(code, format_args!("cannot describe the topic {name}")) {
                    Ok(()) => found.insert(name, describe(*topic)),
                    Err(f) if f.code == RDKafkaErrorCode::UnknownTopicOrPartition => None,
                    Err(f) => return Err(f),
                };
            }
        }
        Ok(found)
    }
}

/// # Safety
/// `topic` is live and without an error.
unsafe fn describe(topic: *const rd::rd_kafka_TopicDescription_t) -> TopicInfo {
    // SAFETY: as the caller promises; partitions and id are inside the description, the id's text inside the id.
    unsafe {
        let mut partitions = 0;
        let list = admin::slice(rd::rd_kafka_TopicDescription_partitions(topic, &mut partitions), partitions);
        let copies = list.iter().map(|partition| {
            let mut copies = 0;
            rd::rd_kafka_TopicPartitionInfo_replicas(*partition, &mut copies);
            copies
        });
        let replication = i32::try_from(copies.min().unwrap_or(0)).unwrap_or(i32::MAX);
        let id = rd::rd_kafka_TopicDescription_topic_id(topic);
        let zero = id.is_null()
            || (rd::rd_kafka_Uuid_most_significant_bits(id) == 0 && rd::rd_kafka_Uuid_least_significant_bits(id) == 0);
        let text = || CStr::from_ptr(rd::rd_kafka_Uuid_base64str(id)).to_string_lossy().into_owned();
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        TopicInfo { id: (!zero).then(text), partitions, replication }
    }
}

/// How long a broker may take over a request: librdkafka's own milliseconds.
pub(super) fn broker_time(wait: Duration) -> i32 {
    millis(wait).max(1)
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}
