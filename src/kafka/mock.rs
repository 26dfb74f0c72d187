//! librdkafka's mock cluster: a broker inside this process, for the demo and the fastest tests.
//!
//! Groups, offsets and records work; transactions are accepted but isolate nothing. It keeps 5 MiB a partition and then
//! forgets the oldest records without a word.

use super::{
    client::Client,
    fault::{Fault, check},
};
use rdkafka::{
    bindings as rd,
    config::ClientConfig,
    types::{RDKafkaErrorCode, RDKafkaType},
};
use std::{
    ffi::{CStr, CString},
    ptr::NonNull,
};

/// What every mock cluster's id begins with. It has no controller: most admin requests would wait for one in vain.
pub(super) const ID: &str = "mockCluster";

/// A mock cluster; it ends with this value.
pub struct MockCluster {
    cluster: NonNull<rd::rd_kafka_mock_cluster_t>,
    /// The client whose threads serve the cluster: it must end after it.
    _client: Client,
}

// SAFETY: the cluster's calls are passed to its own thread by a queue.
unsafe impl Send for MockCluster {}
// SAFETY: as above.
unsafe impl Sync for MockCluster {}

impl MockCluster {
    /// A cluster of one broker on a port of its own. Other processes can use it too.
    ///
    /// # Errors
    /// No socket to listen on.
    pub fn start() -> Result<MockCluster, Fault> {
        let client = Client::new(&ClientConfig::new(), RDKafkaType::RD_KAFKA_PRODUCER, 0)?;
        // SAFETY: the client is live, and outlives the cluster. Without the second call a group waits for three seconds.
        let cluster = unsafe {
            let cluster = NonNull::new(rd::rd_kafka_mock_cluster_new(client.ptr(), 1))
                .ok_or_else(|| Fault::new(RDKafkaErrorCode::Fail, "cannot start the embedded broker"))?;
            rd::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster.as_ptr(), 0);
            cluster
        };
        Ok(MockCluster { cluster, _client: client })
    }

    /// `host:port`.
    pub fn bootstrap_servers(&self) -> String {
        // SAFETY: the cluster is live; the string lives as long as it.
        unsafe { CStr::from_ptr(rd::rd_kafka_mock_cluster_bootstraps(self.cluster.as_ptr())) }
            .to_string_lossy()
            .into_owned()
    }

    /// Makes a topic: those calls of [`super::Cluster`] that change something do not work here.
    ///
    /// # Errors
    /// The topic is there already.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), Fault> {
        let c_name = CString::new(name).unwrap_or_default();
        // SAFETY: the cluster is live; the name is copied.
        let code = unsafe { rd::rd_kafka_mock_topic_create(self.cluster.as_ptr(), c_name.as_ptr(), partitions, 1) };
        check(code, format_args!("cannot make the topic {name}"))
    }
}

impl Drop for MockCluster {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once, while its client lives.
        unsafe { rd::rd_kafka_mock_cluster_destroy(self.cluster.as_ptr()) }
    }
}

impl std::fmt::Debug for MockCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MockCluster({})", self.bootstrap_servers())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Kafka,
        kafka::{Consumer, Event, Kind, Outgoing, Producer, Reports, Settings, TopicInfo},
        record::{Header, Partition, Positions, Records},
    };
    use std::{collections::BTreeMap, sync::Arc, time::Duration};

    const PATIENCE: Duration = Duration::from_secs(10);

    fn settings(cluster: &MockCluster) -> Settings {
        let kafka = Kafka { bootstrap_servers: cluster.bootstrap_servers(), ..Kafka::default() };
        Settings::new(&kafka, "test")
    }

    #[test]
    fn a_record_waits_for_room_so_long_and_one_larger_than_the_queue_is_refused() {
        let cluster = MockCluster::start().unwrap();
        cluster.create_topic("orders", 1).unwrap();
        let property = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let kafka = Kafka {
            bootstrap_servers: cluster.bootstrap_servers(),
            producer: [property("queue.buffering.max.kbytes", "8"), property("linger.ms", "0")].into(),
            ..Kafka::default()
        };
        let mut producer = Producer::idempotent(&Settings::new(&kafka, "test"), Reports::Refusals).unwrap();
        let record = |value| Outgoing {
            topic: "orders",
            partition: None,
            key: None,
            value: Some(value),
            headers: &[],
            timestamp: None,
            tag: 0,
        };
        let value = [7; 6000];
        for _ in 0..3 {
            producer.hand_over(&record(&value), PATIENCE, |_, _| {}).unwrap();
        }
        let fault = producer.hand_over(&record(&[7; 9000]), PATIENCE, |_, _| {}).unwrap_err();
        assert_eq!(fault.code, RDKafkaErrorCode::MessageSizeTooLarge);
        assert!(fault.message.contains("queue.buffering.max.kbytes"), "{fault}");
        drop(cluster);
        producer.hand_over(&record(&value), PATIENCE, |_, _| {}).unwrap();
        let fault = producer.hand_over(&record(&value), Duration::from_millis(50), |_, _| {}).unwrap_err();
        assert_eq!((fault.kind, fault.code), (Kind::Retriable, RDKafkaErrorCode::OperationTimedOut));
    }

    #[test]
    fn records_pass_whole_from_a_producer_to_a_group() {
        let cluster = MockCluster::start().unwrap();
        cluster.create_topic("orders", 1).unwrap();
        let settings = settings(&cluster);
        let mut producer = Producer::transactional(&settings, "t", Reports::All).unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin().unwrap();
        let headers = [Header { name: b"source", value: Some(b"shop") }, Header { name: b"none", value: None }];
        let plain = Outgoing {
            topic: "orders",
            partition: None,
            key: None,
            value: None,
            headers: &[],
            timestamp: None,
            tag: 1,
        };
        producer.produce(&Outgoing { value: Some(b"v"), headers: &headers, timestamp: Some(7), ..plain }).unwrap();
        producer.produce(&Outgoing { key: Some(b""), tag: 2, ..plain }).unwrap();
        let mut tags = Vec::new();
        producer.flush(PATIENCE, |tag, result| tags.push((tag, result))).unwrap();
        assert_eq!(tags, [(1, Ok(())), (2, Ok(()))]);
        producer.commit(PATIENCE).unwrap();

        let consumer = Arc::new(Consumer::new(&settings, "g", "0").unwrap());
        let found = consumer.cluster(PATIENCE).topics(&["orders", "absent"]).unwrap();
        assert_eq!(
            found,
            BTreeMap::from([("orders".to_owned(), TopicInfo { id: None, partitions: 1, replication: 0 })])
        );
        assert_eq!(consumer.cluster(PATIENCE).topic_setting("orders", "x").unwrap_err().kind, Kind::Refused);
        consumer.subscribe(["orders"]).unwrap();
        let partition = Partition::new("orders", 0);
        let mut batch = consumer.batch(0, 0, Duration::ZERO);
        for _ in 0..1000 {
            for event in consumer.serve() {
                assert_eq!(event, Event::Assigned(vec![partition.clone()]));
                consumer.seek(&Positions::from([(partition.clone(), 0)]), PATIENCE).unwrap();
                consumer.resume([&partition]).unwrap();
            }
            batch = consumer.batch(10, usize::MAX, Duration::from_millis(20));
            if !batch.records.is_empty() {
                break;
            }
        }
        let (first, second) = (batch.records.get(0), batch.records.get(1));
        assert_eq!((first.key, first.value, first.timestamp), (None, Some(&b"v"[..]), Some(7)));
        assert_eq!(first.headers, headers);
        assert_eq!((second.key, second.value, second.offset, second.headers.len()), (Some(&b""[..]), None, 1, 0));

        assert_eq!(consumer.committed(std::slice::from_ref(&partition), PATIENCE).unwrap(), BTreeMap::new());
        consumer.commit(&Positions::from([(partition.clone(), 2)]), &BTreeMap::new()).unwrap();
        let stored = consumer.committed(std::slice::from_ref(&partition), PATIENCE).unwrap();
        assert_eq!((stored[&partition].offset, stored[&partition].note.is_some()), (2, true));
        assert!(consumer.group_metadata().is_ok());
        consumer.close();
        assert_eq!(batch.records.get(0).value, Some(&b"v"[..]), "a batch outlives its membership");
    }
}
