//! Positions: the next offset of each partition.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// A partition of a topic. Ordered by topic, then number: the order in which positions are locked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    pub topic: Arc<str>,
    pub id: i32,
}

impl Partition {
    pub fn new(topic: &str, id: i32) -> Self {
        Partition { topic: topic.into(), id }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.id)
    }
}

/// The next offset to read of each partition.
pub type Positions = BTreeMap<Partition, i64>;
