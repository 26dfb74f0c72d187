//! Schemas by id: the client of a Confluent schema registry, and a registry of our own.

mod client;
mod refusal;
pub mod server;
mod subjects;

pub use client::{Answer, Client};
pub use refusal::RegisterError;
pub use subjects::{Place, Verdict, Version};
