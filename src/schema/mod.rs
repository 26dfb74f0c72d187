//! Avro schemas as an arena of nodes, the catalog of `schemas/`, compatibility, and Confluent's wire framing.
//!
//! Pure: reads text, never a socket. Rules are those of the Avro specification 1.12.

mod problem;
mod json;
mod names;
mod arena;
mod logical;
mod parse;
mod link;
mod defaults;
mod compose;
mod read;
mod text;
mod catalog;
mod place;
pub mod matching;
mod explain;
pub mod compatibility;
pub mod framing;

pub use arena::{Clock, EnumType, Field, Fixed, HINTS, Kind, Logical, Name, Node, NodeId, RecordType, Schema, Unit};
pub use catalog::{Catalog, FileProblem};
pub use compose::NewField;
pub use place::{key_in_field, place_in_field};
pub use problem::{Problem, Severity};
