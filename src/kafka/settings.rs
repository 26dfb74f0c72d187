//! From `[kafka]` to librdkafka's configuration: our defaults, then the user's properties, then what Pointsman owns.

use super::fault::{Fault, Kind};
use crate::config::Kafka;
use rdkafka::{
    config::{ClientConfig, NativeClientConfig},
    error::KafkaError,
    types::RDKafkaErrorCode,
};

/// How this process's clients are configured.
#[derive(Clone, Debug)]
pub struct Settings {
    kafka: Kafka,
    client_id: String,
}

/// Defaults for every client. Statistics are off: nobody reads them.
const COMMON: &[(&str, &str)] = &[
    ("statistics.interval.ms", "0"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.max.ms", "5000"),
    ("allow.auto.create.topics", "false"),
];

/// OpenSSL's variables for the authorities to trust: a file, a folder.
const AUTHORITIES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Defaults for consumers. With librdkafka's own fetch settings a consumer sits idle half of the time.
const CONSUMER: &[(&str, &str)] = &[
    ("fetch.queue.backoff.ms", "5"),
    ("queued.min.messages", "100000"),
    ("queued.max.messages.kbytes", "65536"),
    ("fetch.wait.max.ms", "100"),
    // A topic that has come back, and partitions that a topic has gained, are the group's after so long.
    ("topic.metadata.refresh.interval.ms", "30000"),
];

/// Defaults of the classic group protocol alone: KIP-848 leaves these to the broker and refuses them.
const CLASSIC: &[(&str, &str)] = &[
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("session.timeout.ms", "10000"),
    // A member hears of a rebalance with its next heartbeat: until then the others wait.
    ("heartbeat.interval.ms", "1000"),
];

/// What delivery rests on. Routes.toml may not set these (config refuses them); here they win in any case.
const OWNED_CONSUMER: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("isolation.level", "read_committed"),
    ("enable.partition.eof", "true"),
];

/// Defaults for producers. `murmur2_random` is Java's partitioner: keys land where other clients put them.
const PRODUCER: &[(&str, &str)] = &[
    ("partitioner", "murmur2_random"),
    ("compression.type", "lz4"),
    // A commit sends what lingers at once, so this delays nothing that is read in transactions.
    ("linger.ms", "20"),
    ("queue.buffering.max.messages", "100000"),
    ("queue.buffering.max.kbytes", "65536"),
    // librdkafka's most: a topic's own `max.message.bytes` decides, of what is left after compression.
    ("message.max.bytes", "1000000000"),
];

impl Settings {
    /// `client_id` names this process in the brokers' logs and quotas, unless the properties have a `client.id`.
    pub fn new(kafka: &Kafka, client_id: &str) -> Settings {
        Settings { kafka: kafka.clone(), client_id: client_id.to_owned() }
    }

    /// The brokers' addresses, for messages.
    pub fn bootstrap_servers(&self) -> &str {
        &self.kafka.bootstrap_servers
    }

    /// A client without group or transactions: admin calls and look-ups.
    pub(super) fn plain(&self) -> ClientConfig {
        let mut config = self.base(&[]);
        self.apply(&mut config, &self.kafka.properties);
        // Offsets that a look-up returns are those a consumer may read.
        config.set("isolation.level", "read_committed");
        config
    }

    /// A member of `group`. `worker` tells this process's members apart.
    pub(super) fn consumer(&self, group: &str, worker: &str) -> ClientConfig {
        let mut config = self.base(CONSUMER);
        let property = |name: &str| self.kafka.consumer.get(name).or_else(|| self.kafka.properties.get(name));
        if property("group.protocol").is_none_or(|p| p != "consumer") {
            set(&mut config, CLASSIC);
        }
        self.apply(&mut config, &self.kafka.properties);
        self.apply(&mut config, &self.kafka.consumer);
        if let Some(instance) = property("group.instance.id") {
            // Static members: two workers of one id would fence each other for ever.
            config.set("group.instance.id", format!("{instance}-{worker}"));
        }
        set(&mut config, OWNED_CONSUMER);
        config.set("group.id", group);
        config
    }

    /// An idempotent producer, a transactional one where `transactional_id` is given.
    pub(super) fn producer(&self, transactional_id: Option<&str>) -> ClientConfig {
        let mut config = self.base(PRODUCER);
        if transactional_id.is_some() {
            config.set("transaction.timeout.ms", "10000");
        }
        self.apply(&mut config, &self.kafka.properties);
        self.apply(&mut config, &self.kafka.producer);
        config.set("enable.idempotence", "true");
        if let Some(id) = transactional_id {
            config.set("transactional.id", id);
        }
        config
    }

    fn base(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", &self.client_id);
        set(&mut config, COMMON);
        // The OpenSSL that is built in looks for authorities where no system keeps them, or where these variables say.
        // librdkafka looks where systems do; at all only for TLS.
        if !AUTHORITIES.iter().any(|name| std::env::var_os(name).is_some()) {
            config.set("ssl.ca.location", "probe");
        }
        set(&mut config, defaults);
        config
    }

    fn apply(&self, config: &mut ClientConfig, properties: &std::collections::BTreeMap<String, String>) {
        for (name, value) in properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.kafka.bootstrap_servers);
    }
}

fn set(config: &mut ClientConfig, properties: &[(&str, &str)]) {
    for (name, value) in properties {
        config.set(*name, *value);
    }
}

/// librdkafka's own configuration object.
pub(super) fn native(config: &ClientConfig) -> Result<NativeClientConfig, Fault> {
    config.create_native_config().map_err(|error| {
        let property = match &error {
            KafkaError::ClientConfig(_, _, property, _) => property.clone(),
            _ => String::new(),
        };
        Fault {
            kind: Kind::Refused,
            code: RDKafkaErrorCode::InvalidConfig,
            message: format!("librdkafka does not take the property {property:?}: {}", reason(error)),
        }
    })
}

/// Never the value: it may be a password.
fn reason(error: KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, reason, ..) => reason,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(properties: &[(&str, &str)], consumer: &[(&str, &str)]) -> Settings {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let kafka = Kafka {
            bootstrap_servers: "broker:9092".into(),
            properties: map(properties),
            consumer: map(consumer),
            ..Kafka::default()
        };
        Settings::new(&kafka, "pointsman")
    }

    #[test]
    fn users_win_over_defaults_and_delivery_wins_over_users() {
        let s = settings(&[("linger.ms", "50"), ("isolation.level", "read_uncommitted")], &[("client.id", "mine")]);
        let consumer = s.consumer("g", "0");
        assert_eq!(consumer.get("client.id"), Some("mine"));
        assert_eq!(consumer.get("isolation.level"), Some("read_committed"));
        assert_eq!(consumer.get("session.timeout.ms"), Some("10000"));
        let producer = s.producer(Some("g.0"));
        assert_eq!((producer.get("linger.ms"), producer.get("transactional.id")), (Some("50"), Some("g.0")));
    }

    #[test]
    fn the_systems_authorities_are_trusted_unless_others_are_named() {
        let clients = |s: Settings| [s.plain(), s.consumer("g", "0"), s.producer(None)];
        for config in clients(settings(&[("security.protocol", "SSL")], &[])) {
            let named = AUTHORITIES.iter().any(|name| std::env::var_os(name).is_some());
            assert_eq!(config.get("ssl.ca.location"), (!named).then_some("probe"));
            native(&config).unwrap();
        }
        for config in clients(settings(&[("ssl.ca.location", "ca.pem")], &[])) {
            assert_eq!(config.get("ssl.ca.location"), Some("ca.pem"));
        }
    }

    #[test]
    fn the_new_group_protocol_gets_none_of_the_settings_it_refuses() {
        let s = settings(&[], &[("group.protocol", "consumer"), ("group.instance.id", "pod-1")]);
        let config = s.consumer("g", "3");
        assert_eq!(config.get("session.timeout.ms"), None);
        assert_eq!(config.get("partition.assignment.strategy"), None);
        assert_eq!(config.get("group.instance.id"), Some("pod-1-3"));
    }
}
