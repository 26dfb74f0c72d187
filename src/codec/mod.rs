//! Avro bodies: proven well formed and read in place, resolved to a reader's schema, and to and from JSON.
//!
//! Everything is compiled once from schemas into enums of operations; nothing here builds a tree of values.

mod cell;
mod decimal;
mod scan;

pub use cell::{Cell, CellReader};
pub use decimal::Decimal;
pub use scan::{Layout, NULL, Scanner, Slot};
