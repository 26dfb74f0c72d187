//! All of librdkafka, and all unsafe code.

/// A consumer group's metadata as librdkafka gives it: proof of membership for an offset commit inside a transaction.
#[derive(Debug)]
pub struct GroupMetadata {}
