//! CEL: parsed by the `cel` crate, type-checked against schemas here, compiled once to closures.
//!
//! [`check`] gives a [`Typed`] tree or every problem with its place; [`Typed::lower_bool`] and
//! [`Typed::lower_write`] compile it to closures over the offsets that a scan notes.
//!
//! ```text
//! source ─ tokens, parse ─▶ Ast ─ check (types, functions) ─▶ typed tree ─ lower ─▶ closures over a Scope
//! ```

mod tokens;
mod parse;
mod problems;
mod view;
mod scope;
mod typed;
mod types;
mod tree;
mod value;
mod json;
mod functions;
mod check;
mod fits;
mod lower;
mod raw;
#[cfg(test)]
mod tests;

pub use raw::check_raw;
pub use scope::{Fault, Scope};
pub use typed::{BoolExpr, Places, Problem, RawExpr, RawTyped, Type, Typed, WriteExpr, check};
pub use view::{Env, Place, View, ViewField};
