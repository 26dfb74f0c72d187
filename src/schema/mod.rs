//! Avro schemas as an arena of nodes, the catalog of `schemas/`, compatibility, and Confluent's wire framing.
//!
//! Pure: reads text, never a socket. Rules are those of the Avro specification 1.12.

mod arena;

pub use arena::{EnumType, Field, Fixed, Kind, Logical, Name, Node, NodeId, RecordType, Schema};
