//! One integration binary: real Kafka, real Postgres, the real command.
