//! Plain paths, such as `address.city`: read as they stand, through records that may be null.

use super::enrichers::Fields;
use crate::schema::{Kind, Logical, NodeId, Schema, Unit};
use std::sync::Arc;

/// The element of `for_each`, which expressions call `item`.
#[derive(Clone)]
pub(super) struct Element {
    pub schema: Arc<Schema>,
    pub node: NodeId,
}

/// Where a path leads, and the type that stands there: nullable if anything on the way may be null.
pub(super) struct Target {
    /// The index of the field in the view; `None` for a path that begins at `item`.
    pub view: Option<usize>,
    pub path: Vec<u16>,
    pub schema: Arc<Schema>,
    pub node: NodeId,
}

/// Words that mean something of their own at the beginning of an expression.
const RESERVED: [&str; 5] = ["this", "record", "true", "false", "null"];

/// Follows a path. `None` for anything that is not one, or that leads nowhere: the checker of expressions says why.
pub(super) fn resolve(source: &str, fields: &Fields, element: Option<&Element>) -> Option<Target> {
    let mut names = source.trim().split('.');
    let first = names.next()?;
    if RESERVED.contains(&first) {
        return None;
    }
    let (view, schema, mut node) = match element {
        Some(element) if first == "item" => (None, &element.schema, element.node),
        _ => {
            let at = fields.view.fields.iter().position(|f| f.name == first)?;
            (Some(at), &fields.view.fields[at].schema, fields.view.fields[at].node)
        }
    };
    let (mut path, mut null) = (Vec::new(), false);
    for name in names {
        if let Some((_, _, inner)) = schema.nullable(node) {
            (null, node) = (true, inner);
        }
        let Kind::Record(record) = schema.kind(node) else { return None };
        let at = record.position(name)?;
        path.push(u16::try_from(at).ok()?);
        node = record.fields[at].node;
    }
    if !null || takes_null(schema, node) {
        return Some(Target { view, path, schema: schema.clone(), node });
    }
    let optional = Arc::new(schema.subschema(node).optional());
    Some(Target { view, path, node: optional.root(), schema: optional })
}

/// Whether a value of this type may be null.
pub(super) fn takes_null(schema: &Schema, node: NodeId) -> bool {
    match schema.kind(node) {
        Kind::Null => true,
        Kind::Union(branches) => branches.iter().any(|b| matches!(schema.kind(*b), Kind::Null)),
        _ => false,
    }
}

/// The type without null, where it is one type or null.
pub(super) fn present(schema: &Schema, node: NodeId) -> NodeId {
    schema.nullable(node).map_or(node, |(_, _, inner)| inner)
}

/// Whether a value has digits past its microseconds, which columns and keys do not hold.
pub(super) fn in_nanos(logical: Option<Logical>) -> bool {
    logical.and_then(Logical::clock).is_some_and(|(_, unit)| unit == Unit::Nanos)
}

/// A type as messages call it: `decimal(10,2)`, `array of shop.Item`, `string or null`.
pub(super) fn type_name(schema: &Schema, node: NodeId) -> String {
    // Three levels tell any two types apart that a person has to; they also bound recursive types.
    describe(schema, node, 3)
}

fn describe(schema: &Schema, node: NodeId, depth: u8) -> String {
    if depth == 0 {
        return "…".into();
    }
    let inner = |node: &NodeId| describe(schema, *node, depth - 1);
    match (&schema.node(node).kind, schema.node(node).logical) {
        (_, Some(Logical::Decimal { precision, scale })) => format!("decimal({precision},{scale})"),
        (_, Some(logical)) => logical.name().into(),
        (Kind::Array(items), _) => format!("array of {}", inner(items)),
        (Kind::Map(values), _) => format!("map of {}", inner(values)),
        (Kind::Record(r), _) => r.name.to_string(),
        (Kind::Enum(e), _) => e.name.to_string(),
        (Kind::Fixed(f), _) => f.name.to_string(),
        (Kind::Union(branches), _) => {
            let (nulls, rest): (Vec<&NodeId>, Vec<_>) =
                branches.iter().partition(|b| matches!(schema.kind(**b), Kind::Null));
            let words: Vec<String> = rest.into_iter().map(inner).chain(nulls.first().map(|_| "null".into())).collect();
            words.join(" or ")
        }
        (kind, _) => kind_name(kind).into(),
    }
}

/// `record`, `enum`, `long`, …
pub(super) fn kind_name(kind: &Kind) -> &str {
    match kind {
        Kind::Record(_) => "record",
        Kind::Enum(_) => "enum",
        Kind::Fixed(_) => "fixed",
        other => other.branch_name(),
    }
}
