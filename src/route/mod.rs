//! A route compiled: [`Program`] turns a batch into [`Outcomes`], without I/O, without a clock, without a log.

mod outcomes;
mod target;

pub use outcomes::{Op, Outcomes, RowRef, Span, Verdict};
pub use target::{Origin, TableTarget, Target, TargetColumn, TopicTarget};
