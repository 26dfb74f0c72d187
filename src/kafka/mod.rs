//! All of librdkafka, and all unsafe code.
//!
//! # From a group to records
//! Every assigned partition's queue leads to one data queue, from which [`Consumer::batch`] takes records without a copy;
//! the group's events come through [`Consumer::serve`]. Assignments are answered at once, paused, at a placeholder:
//! a partition flows once it has been sought and resumed.
//!
//! # A revocation may wait
//! [`Event::Revoked`] is an event, not a callback: librdkafka goes no further until [`Consumer::release`] answers it. What
//! holds meanwhile, with each protocol (`tests/it/kafka_groups.rs`):
//! - eager (`range`, `roundrobin`): all partitions are revoked. Heartbeats go on, the generation stays valid, so a commit
//!   (in a transaction too) is accepted. The group waits for us, at most `max.poll.interval.ms`.
//! - `cooperative-sticky`: only the partitions that move are revoked. The rest of the group already works in the new
//!   generation, as do we; nobody else is given these partitions before the rebalance that our answer starts.
//! - KIP-848 (`group.protocol=consumer`): as cooperative; the broker gives a partition to its next owner only after our
//!   answer. The member epoch may move on in between: the group's metadata is to be read for each commit.
//!
//! With all three nothing flows from the moment of the event, also of partitions that stay, and everything has to be
//! sought and resumed after the answer. When the group gives up on us meanwhile, [`Consumer::serve`] may say
//! [`Event::Lost`], and need not: the commit is what decides, by generation or by compare-and-set. During
//! [`Consumer::close`] nothing waits: drain first.
//!
//! # What is not obvious
//! - librdkafka counts a partition's end, which it tells as a message, as a record of its own position. A pause and a
//!   resume without a seek between them would skip a record, so every rebalance pauses everything, and every resume is
//!   preceded by a seek.
//! - A seek is a barrier: once it is answered, no record from before it comes out of the data queue. That is why records
//!   carry no count of assignments.
//! - A partition whose position the log no longer holds is stopped for good (`auto.offset.reset=error`), and refuses to be
//!   sought: [`Consumer::seek`] assigns it anew.
#![allow(unsafe_code)] // C pointers stay in this room; each block says why it holds

mod admin;
mod batch;
mod client;
mod cluster;
mod configs;
mod consumer;
mod fault;
mod group;
mod list;
mod mock;
mod note;
mod producer;
mod properties;
mod rebalance;
mod settings;
mod watch;

pub use admin::NewTopic;
pub use batch::{Batch, Gone, MessageBatch};
pub use cluster::{At, Cluster, Connection, TopicInfo};
pub use consumer::{Consumer, Event};
pub use fault::{Fault, Kind};
pub use group::GroupMetadata;
pub use mock::MockCluster;
pub use note::{Committed, Note};
pub use producer::{NotTaken, Outgoing, Producer, Reports};
pub use properties::properties;
pub use rdkafka::types::RDKafkaErrorCode as Code;
pub use settings::Settings;
pub use watch::Trouble;
