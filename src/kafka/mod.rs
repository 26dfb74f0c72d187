//! All of librdkafka, and all unsafe code.
#![allow(unsafe_code)] // C pointers stay in this room; each block says why it holds

mod admin;
mod batch;
mod client;
mod cluster;
mod consumer;
mod fault;
mod group;
mod list;
mod mock;
mod note;
mod producer;
mod rebalance;
mod settings;
mod watch;

pub use admin::NewTopic;
pub use batch::{Batch, MessageBatch};
pub use cluster::{At, Cluster, Connection, TopicInfo};
pub use consumer::{Consumer, Event};
pub use fault::{Fault, Kind};
pub use group::GroupMetadata;
pub use mock::MockCluster;
pub use note::{Committed, Note};
pub use producer::{NotTaken, Outgoing, Producer};
pub use rdkafka::types::RDKafkaErrorCode as Code;
pub use settings::{RefusedProperty, Settings};
pub use watch::Trouble;
