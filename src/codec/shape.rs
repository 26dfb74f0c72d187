//! What a type's values look like outside Avro: kind and logical type as one, resolved once.

use crate::schema::{Clock, Kind, Logical, NodeId, Schema, Unit};

/// A type, as JSON and databases see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    /// So many bytes.
    Fixed(usize),
    /// `fixed` is the size where the decimal is not on bytes.
    Decimal {
        precision: u32,
        scale: u32,
        fixed: Option<usize>,
    },
    Enum,
    /// Its 16 bytes where it is a fixed, else its text.
    Uuid {
        fixed: bool,
    },
    Date,
    Time(Unit),
    Instant(Unit),
    Local(Unit),
    /// Months, days and milliseconds.
    Interval,
    Array(NodeId),
    Map(NodeId),
    Union,
    Record,
}

impl Shape {
    pub fn of(schema: &Schema, node: NodeId) -> Shape {
        let logical = schema.node(node).logical;
        if let Some((clock, unit)) = logical.and_then(Logical::clock) {
            return match clock {
                Clock::Day => Shape::Time(unit),
                Clock::Utc => Shape::Instant(unit),
                Clock::Local => Shape::Local(unit),
            };
        }
        match (schema.kind(node), logical) {
            (Kind::Bytes, Some(Logical::Decimal { precision, scale })) => {
                Shape::Decimal { precision, scale, fixed: None }
            }
            (Kind::Fixed(f), Some(Logical::Decimal { precision, scale })) => {
                Shape::Decimal { precision, scale, fixed: Some(f.size) }
            }
            (Kind::Int, Some(Logical::Date)) => Shape::Date,
            (Kind::Fixed(_), Some(Logical::Duration)) => Shape::Interval,
            (kind, Some(Logical::Uuid)) => Shape::Uuid { fixed: *kind != Kind::String },
            (Kind::Null, _) => Shape::Null,
            (Kind::Boolean, _) => Shape::Boolean,
            (Kind::Int, _) => Shape::Int,
            (Kind::Long, _) => Shape::Long,
            (Kind::Float, _) => Shape::Float,
            (Kind::Double, _) => Shape::Double,
            (Kind::Bytes, _) => Shape::Bytes,
            (Kind::String, _) => Shape::Text,
            (Kind::Fixed(f), _) => Shape::Fixed(f.size),
            (Kind::Enum(_), _) => Shape::Enum,
            (Kind::Array(item), _) => Shape::Array(*item),
            (Kind::Map(value), _) => Shape::Map(*value),
            (Kind::Union(_), _) => Shape::Union,
            (Kind::Record(_), _) => Shape::Record,
        }
    }
}
