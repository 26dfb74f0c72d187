//! Pointsman carries typed records along Kafka routes, exactly once.
//!
//! The rooms stand in the order of the flow; each imports only from those above it (`tests/it/house.rs` holds that).

pub mod failure;
pub mod telemetry;
pub mod record;
pub mod schema;
pub mod codec;
pub mod expr;
pub mod config;
pub mod route;
pub mod kafka;
pub mod http;
pub mod registry;
pub mod source;
pub mod destination;
pub mod runtime;
pub mod ops;
pub mod collect;
pub mod generate;
pub mod tools;
pub mod cli;
