//! Schemas by id: the client of a Confluent schema registry, and a registry of our own.

mod client;
mod refusal;
pub mod server;

pub use client::{Answer, Client, Latest, Reference};
pub use refusal::RegisterError;
