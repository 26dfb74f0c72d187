//! JSON → Avro bytes and back, without a tree of values in between.
//!
//! README.md's table of types says which JSON each type takes; `union` says how a value finds its branch.

mod compile;
mod elements;
mod fields;
mod numbers;
mod problems;
mod read;
mod tokens;
mod union;
mod write;
#[cfg(test)]
mod tests;

pub use compile::JsonOptions;
pub use elements::{elements, member};
pub use read::{JsonReader, JsonStats};
pub use union::ambiguous_union;
pub use write::JsonWriter;

use crate::failure::{Failure, Stage};

/// A failure on its way up; each level adds its piece of the path.
type Refusal = Box<Failure>;

#[cold]
fn fail(code: &'static str, message: impl Into<String>) -> Refusal {
    Box::new(Failure::new(Stage::Decode, code, message))
}

/// The failure of a value inside `outer` (a field's name, or `[2]`).
#[cold]
fn under(outer: &str, mut failure: Refusal) -> Refusal {
    failure.field = super::scan::join(outer, &failure.field);
    failure
}
