//! Avro bodies: proven well formed and read in place, resolved to a reader's schema, and to and from JSON.
//!
//! Everything is compiled once from schemas into enums of operations; nothing here builds a tree of values.

mod cell;
pub mod civil;
mod decimal;
mod interval;
mod items;
mod json;
mod layout;
pub mod read;
mod resolve;
mod scan;
mod splice;
mod shape;
#[cfg(test)]
pub(crate) mod testing;
pub mod uuid;
#[cfg(test)]
mod properties;
pub mod write;

pub use cell::{Cell, CellReader};
pub use decimal::{Decimal, MAX_PRECISION, pow10};
pub use interval::Interval;
pub use items::{Entries, Items};
pub use json::{JsonOptions, JsonReader, JsonStats, JsonWriter, ambiguous_union, elements, member};
pub use layout::{Layout, Slot};
pub use resolve::{Resolution, Resolver};
pub use scan::{NULL, Scanner};
pub use splice::{Part, Piece, Splice};

/// How deep arrays, maps and recursive records may be nested.
pub const MAX_DEPTH: usize = 128;
