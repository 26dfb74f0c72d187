//! Topics of a test's own: made, filled, and read to their end.

use super::{block_on, services, wait_until};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{Header, Headers, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
    types::RDKafkaErrorCode,
};
use std::{sync::LazyLock, time::Duration};

const PATIENCE: Duration = Duration::from_secs(30);

/// A record as tests write and read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Left out when producing: the key decides.
    pub partition: Option<i32>,
    /// Given by the broker.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Message {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(n, _)| n == name)?;
        Some(std::str::from_utf8(value).expect("the header is text"))
    }
}

/// A message with a key and a value.
pub fn message(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Message {
    Message { key: Some(key.into()), value: Some(value.into()), ..Default::default() }
}

/// The broker that tests use.
pub fn bootstrap_servers() -> String {
    static KAFKA: LazyLock<Result<String, services::Service>> = LazyLock::new(|| {
        if let Ok(named) = std::env::var("POINTSMAN_TEST_KAFKA") {
            return Ok(named);
        }
        Err(start())
    });
    match &*KAFKA {
        Ok(named) => named.clone(),
        Err(ours) => format!("127.0.0.1:{}", ours.port),
    }
}

fn start() -> services::Service {
    services::start_kafka().ready(answers)
}

fn answers(port: u16) -> bool {
    let client: BaseConsumer = config(&format!("127.0.0.1:{port}")).create().unwrap();
    client.fetch_metadata(None, Duration::from_secs(1)).is_ok()
}

/// A broker of a test's own, which may be stopped; it ends with the tests.
pub struct Broker(services::Service);

impl Broker {
    pub fn start() -> Broker {
        Broker(start())
    }

    /// One with further properties.
    pub fn with(properties: &str) -> Broker {
        Broker(services::start_kafka_with(&[], properties, &[]).ready(answers))
    }

    /// Lets everybody look at a topic, and do nothing else with it.
    pub fn forbid_writing(&self, topic: &str) {
        services::kafka_acls(
            &self.servers(),
            &["--add", "--allow-principal", "User:*", "--operation", "Describe", "--topic", topic],
        );
    }

    pub fn servers(&self) -> String {
        format!("127.0.0.1:{}", self.0.port)
    }

    /// Makes a topic of one partition.
    pub fn create_topic(&self, name: &str) {
        create_at(&config(&self.servers()), name, 1, &[]);
    }

    pub fn produce(&self, topic: &str, records: impl IntoIterator<Item = Message>) {
        produce_at(config(&self.servers()), topic, records);
    }

    /// Ends it as a crash would, and starts it again over what it has kept.
    pub fn restart(self, meanwhile: impl FnOnce()) -> Broker {
        Broker(self.0.restart_kafka(meanwhile).ready(answers))
    }

    /// Sends it a signal by name: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        self.0.signal(name);
    }
}

/// What a client of a test's own begins with.
pub fn client() -> ClientConfig {
    config(&bootstrap_servers())
}

fn config(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    // Silent: a broker that is not up yet is nothing to report.
    config
        .set("bootstrap.servers", servers)
        .set("log_level", "0")
        .set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    config
}

/// Makes a topic, and waits until it has its leaders.
pub fn create_topic(name: &str, partitions: i32, settings: &[(&str, &str)]) {
    create_at(&client(), name, partitions, settings);
}

fn create_at(client: &ClientConfig, name: &str, partitions: i32, settings: &[(&str, &str)]) {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    topic.config = settings.to_vec();
    let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
    let made = block_on(admin.create_topics([&topic], &patiently())).unwrap();
    assert_eq!(made, [Ok(name.to_owned())]);
}

fn admin() -> AdminClient<DefaultClientContext> {
    client().create().unwrap()
}

fn patiently() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE))
}

/// Gives a topic more partitions: so many in all.
pub fn grow_topic(name: &str, partitions: usize) {
    let grown = block_on(admin().create_partitions([&NewPartitions::new(name, partitions)], &patiently())).unwrap();
    assert_eq!(grown, [Ok(name.to_owned())]);
    wait_until("the new partitions have leaders", PATIENCE, || partitions_of(name) == partitions);
}

/// Changes a topic's settings: these, and no others of its own.
pub fn alter_topic(name: &str, settings: &[(&str, &str)]) {
    let mut change = AlterConfig::new(ResourceSpecifier::Topic(name));
    for (setting, value) in settings {
        change = change.set(setting, value);
    }
    assert!(block_on(admin().alter_configs([&change], &patiently())).unwrap()[0].is_ok());
}

/// Deletes a topic, and waits until it is gone.
pub fn delete_topic(name: &str) {
    assert_eq!(block_on(admin().delete_topics(&[name], &patiently())).unwrap(), [Ok(name.to_owned())]);
    wait_until("the topic is gone", PATIENCE, || partitions_of(name) == 0);
}

/// Deletes a consumer group that has no members: its positions are gone.
pub fn delete_group(group: &str) {
    wait_until("the group is empty", PATIENCE, || members_of(group) == 0);
    assert_eq!(block_on(admin().delete_groups(&[group], &patiently())).unwrap(), [Ok(group.to_owned())]);
}

/// Deletes a partition's records before this offset.
pub fn delete_records(topic: &str, partition: i32, before: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
    let gone = block_on(admin().delete_records(&list, &patiently())).unwrap();
    gone.elements().iter().for_each(|of| of.error().unwrap());
}

fn partitions_of(topic: &str) -> usize {
    let consumer: BaseConsumer = client().create().unwrap();
    let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
    let found = metadata.topics().iter().find(|t| t.name() == topic);
    found.map_or(0, |t| t.partitions().iter().filter(|p| p.leader() >= 0).count())
}

/// The sum of a topic's end offsets: how far its writers are, transactions' markers included. Quick, for polling.
pub fn ends_of_topic(topic: &str) -> u64 {
    let consumer: BaseConsumer = client().create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let ends = metadata.topics()[0].partitions().iter();
    ends.map(|p| consumer.fetch_watermarks(topic, p.id(), PATIENCE).unwrap().1 as u64).sum()
}

/// How many members a consumer group has.
pub fn members_of(group: &str) -> usize {
    let consumer: BaseConsumer = client().create().unwrap();
    let groups = consumer.fetch_group_list(Some(group), PATIENCE).unwrap();
    groups.groups().iter().map(|g| g.members().len()).sum()
}

/// Produces records in their order and waits until each is acknowledged.
pub fn produce(topic: &str, records: impl IntoIterator<Item = Message>) {
    produce_at(client(), topic, records);
}

fn produce_at(mut config: ClientConfig, topic: &str, records: impl IntoIterator<Item = Message>) {
    config.set("enable.idempotence", "true").set("linger.ms", "5").set("partitioner", "murmur2_random");
    // What a topic takes is for the broker to say.
    config.set("message.max.bytes", "10000000");
    let producer: BaseProducer = config.create().unwrap();
    for message in records {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &message.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).headers(headers);
        record.partition = message.partition;
        record.timestamp = message.timestamp;
        record.key = message.key.as_deref();
        record.payload = message.value.as_deref();
        while let Err((error, back)) = producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            producer.poll(Duration::from_millis(50));
            record = back;
        }
    }
    producer.flush(PATIENCE).unwrap();
}

/// Everything that is committed in a topic up to its end, partition by partition, in the order of offsets.
pub fn read_topic(topic: &str) -> Vec<Message> {
    let mut config = client();
    config.set("group.id", "reader").set("isolation.level", "read_committed").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.set("enable.auto.commit", "false").create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let partitions = metadata.topics()[0].partitions();
    let mut assignment = TopicPartitionList::new();
    for p in partitions {
        assignment.add_partition_offset(topic, p.id(), rdkafka::Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let (mut messages, mut open) = (Vec::new(), partitions.len());
    while open > 0 {
        match consumer.poll(PATIENCE).expect("the topic is read to its end in time") {
            Err(KafkaError::PartitionEOF(_)) => open -= 1,
            Err(error) => panic!("{topic}: {error}"),
            Ok(m) => messages.push(Message {
                partition: Some(m.partition()),
                offset: m.offset(),
                timestamp: m.timestamp().to_millis(),
                key: m.key().map(<[u8]>::to_vec),
                value: m.payload().map(<[u8]>::to_vec),
                headers: m.headers().into_iter().flat_map(Headers::iter).map(owned).collect(),
            }),
        }
    }
    messages.sort_by_key(|m| (m.partition, m.offset));
    messages
}

fn owned(header: Header<'_, &[u8]>) -> (String, Vec<u8>) {
    (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
}
