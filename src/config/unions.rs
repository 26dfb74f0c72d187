//! Unions whose branches a JSON value does not tell apart.

use super::{
    paths::type_name,
    problem::{Place, Problem},
};
use crate::{codec, schema::Schema};

/// The problem of a validator, named at `place`, that reads JSON with such a union.
pub(super) fn ambiguous(schema: &Schema, place: Place) -> Option<Problem> {
    let (union, a, b) = codec::ambiguous_union(schema)?;
    let branch = schema.kind(b).branch_name();
    let (union, a, b) = (type_name(schema, union), type_name(schema, a), type_name(schema, b));
    Some(
        Problem::error("ambiguous-union", place, format!("a JSON value does not say which branch of `{union}` it is"))
            .label(format!("{a} and {b} look the same in JSON"))
            .help(format!("where records name the branch, as in `{{ \"{branch}\": … }}`, say so in the validator: `unions = \"named\"`; or take one of the two out of the schema")),
    )
}
