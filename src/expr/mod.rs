//! CEL: parsed by the `cel` crate, type-checked against schemas here, compiled once to closures.
//!
//! [`check`] gives a [`Typed`] tree or every problem with its place; [`Typed::lower_bool`] and
//! [`Typed::lower_write`] compile it to closures over the offsets that a scan notes.

mod scope;
mod typed;
mod view;

pub use scope::{Fault, Scope};
pub use typed::{BoolExpr, Places, Problem, RawExpr, RawTyped, Type, Typed, WriteExpr, check, check_raw};
pub use view::{Env, Place, View, ViewField};
