//! Avro bodies: proven well formed and read in place, resolved to a reader's schema, and to and from JSON.
//!
//! Everything is compiled once from schemas into enums of operations; nothing here builds a tree of values.

mod cell;
mod decimal;
mod items;
mod layout;
pub mod read;
mod scan;
pub mod write;

pub use cell::{Cell, CellReader};
pub use decimal::Decimal;
pub use items::{Entries, Items};
pub use layout::{Layout, Slot};
pub use scan::{NULL, Scanner};

/// How deep arrays, maps and recursive records may be nested.
pub const MAX_DEPTH: usize = 128;
