//! Pointsman carries typed records along Kafka routes, exactly once.
//!
//! The binary is the product; this library is for it and for its own tests and benches, and promises no stability.
//!
//! The rooms stand in the order of dependency: each imports only from those above it (`tests/it/house.rs` holds that).
//! A record's way is kafka → source → route → destination, driven by runtime.

pub mod failure; // failures and setbacks, every documented code
pub mod telemetry; // verbs that write log line, metric and board
pub mod record; // records, batches, positions, dead letters
pub mod schema; // schemas, the catalog of schemas/, Confluent's framing
pub mod codec; // Avro bodies: scan, resolve, JSON, splice, cells
pub mod expr; // CEL: parsed, type-checked, compiled to closures
pub mod config; // routes.toml to `Plan`, with every problem at its place
pub mod route; // `Plan` to `Program`; `process`
pub mod kafka; // librdkafka: clients, batches, faults
pub mod http; // bind, limits, graceful stop
pub mod registry; // the client; the embedded registry
pub mod source; // assignments, seeks, where a partition starts
pub mod destination; // topics; tables in Postgres and SQLite
pub mod runtime; // flow, worker, deliverer; the supervisor
pub mod ops; // /metrics, /health, /ready, the status page
pub mod collect; // HTTP front doors of topics
pub mod generate; // records from schemas and their hints
pub mod tools; // what the commands do
pub mod cli; // arguments in, words out
