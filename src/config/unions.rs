//! Unions whose branches a JSON value does not tell apart.

use super::{
    paths::type_name,
    problem::{Place, Problem},
};
use crate::schema::{Kind, Logical, NodeId, Schema};

/// What a JSON value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Boolean,
    Integer,
    Fraction,
    Text,
    Array,
    Object,
}

/// A warning for the first union of the schema in which one JSON value may mean two branches.
pub(super) fn ambiguous(schema: &Schema, place: Place) -> Option<Problem> {
    let mut nodes = (0..schema.len()).map(|i| NodeId(i as u32));
    let (union, a, b) = nodes.find_map(|node| {
        let Kind::Union(branches) = schema.kind(node) else { return None };
        let same = |a: NodeId, b: NodeId| looks(schema, a).iter().any(|l| looks(schema, b).contains(l));
        let clash = |(i, a): (usize, &NodeId)| branches[..i].iter().find(|b| same(*a, **b)).map(|b| (node, *b, *a));
        branches.iter().enumerate().find_map(clash)
    })?;
    let (union, a, b) = (type_name(schema, union), type_name(schema, a), type_name(schema, b));
    Some(
        Problem::warning("ambiguous-union", place, format!("a JSON value does not say which branch of `{union}` it is"))
            .label(format!("{a} and {b} look the same in JSON"))
            .help(format!("records have to name the branch, as in `{{ \"{a}\": … }}`, or become dead letters; or take one of the two out")),
    )
}

fn looks(schema: &Schema, node: NodeId) -> &'static [Look] {
    match (schema.kind(node), schema.node(node).logical) {
        (_, Some(Logical::Uuid)) => &[Look::Text],
        (_, Some(Logical::Decimal { .. })) => &[Look::Integer, Look::Fraction, Look::Text],
        (_, Some(_)) => &[Look::Integer, Look::Text],
        (Kind::Boolean, _) => &[Look::Boolean],
        (Kind::Int | Kind::Long, _) => &[Look::Integer],
        // Beside an integer's branch, a number without a fraction is that one.
        (Kind::Float | Kind::Double, _) => &[Look::Fraction],
        (Kind::Bytes | Kind::String | Kind::Fixed(_) | Kind::Enum(_), _) => &[Look::Text],
        (Kind::Array(_), _) => &[Look::Array],
        (Kind::Map(_) | Kind::Record(_), _) => &[Look::Object],
        (Kind::Null | Kind::Union(_), _) => &[],
    }
}
