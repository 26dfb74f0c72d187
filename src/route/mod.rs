//! A route compiled: [`Program`] turns a batch into [`Outcomes`], without I/O, without a clock, without a log.
//!
//! `process.rs` is the journey; `decode` and `emit` are its two ends.

mod decode;
mod emit;
mod key;
mod known;
mod outcomes;
mod process;
mod program;
mod target;
#[cfg(test)]
mod tests;
mod tombstone;

pub use known::{Known, Wants, Writer};
pub use outcomes::{Op, Outcomes, RowRef, Span, Verdict};
pub use program::{Program, destinations};
pub use target::{Origin, TableTarget, Target, TargetColumn, TopicTarget};
