//! What is to be known of a topic before anything is written to it.

use crate::{
    config,
    failure::{Cause, Remedy, Setback},
    kafka::{Cluster, Fault, Kind},
};
use std::collections::BTreeMap;

/// The facts of topics, by name: of a handful, which a tree finds without a hash.
pub type Facts = BTreeMap<String, TopicFacts>;

/// librdkafka's default `batch.size`, in bytes.
const LIBRDKAFKA_BATCH: usize = 1_000_000;

/// What is to be known of a topic that is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicFacts {
    pub partitions: i32,
    /// The largest record batch that it takes, in bytes.
    pub max_message_bytes: usize,
    /// Records without a key are refused.
    pub compacted: bool,
}

impl TopicFacts {
    /// The facts of these topics.
    ///
    /// # Errors
    /// No broker answers, or a topic does not exist: then the setback stands.
    pub fn read(cluster: &Cluster<'_>, topics: &[&str]) -> Result<Facts, Setback> {
        let found = cluster.topics(topics)?;
        let facts = topics.iter().map(|topic| {
            let info = found.get(*topic).ok_or_else(|| missing(topic))?;
            let facts = TopicFacts {
                partitions: info.partitions,
                max_message_bytes: setting(cluster, topic, "max.message.bytes")?
                    .and_then(|v| v.parse().ok())
                    .unwrap_or(1_048_588),
                compacted: setting(cluster, topic, "cleanup.policy")?.is_some_and(|v| v.contains("compact")),
            };
            Ok(((*topic).to_owned(), facts))
        });
        facts.collect()
    }

    /// Whether a record of this size, in bytes, is known not to fit. The limit is the compressed batch's, whose size only
    /// the broker tells.
    pub fn too_small(&self, size: usize, compresses: bool) -> bool {
        size > self.max_message_bytes && !compresses
    }
}

/// The settings of a producer with batches that the smallest of these topics takes: a batch over its limit is refused as
/// a whole.
pub fn fitted<'f>(kafka: &config::Kafka, facts: impl Iterator<Item = &'f TopicFacts>) -> config::Kafka {
    let mut kafka = kafka.clone();
    if let Some(smallest) = facts.map(|f| f.max_message_bytes).min().filter(|s| *s < LIBRDKAFKA_BATCH) {
        kafka.producer.entry("batch.size".to_owned()).or_insert(smallest.to_string());
    }
    kafka
}

/// A topic that has to be made by somebody.
pub fn missing(topic: &str) -> Setback {
    let make = format!("make it: `pointsman apply` does, once [topics] in routes.toml lists `{topic}`");
    Setback::stand(Cause::Broker, format!("topic {topic} does not exist"), make)
}

/// One that is not there any more: it may come back, or a broker has not heard of it yet.
pub fn gone(topic: &str) -> Setback {
    Setback { remedy: Remedy::Retry, ..missing(topic) }
}

/// A topic's setting; `None` where the cluster does not tell it to us: Kafka's default is assumed then.
fn setting(cluster: &Cluster<'_>, topic: &str, name: &str) -> Result<Option<String>, Fault> {
    match cluster.topic_setting(topic, name) {
        Ok(value) => Ok(Some(value)),
        Err(fault) if fault.kind == Kind::Refused || fault.is_authorization() => Ok(None),
        Err(fault) => Err(fault),
    }
}
