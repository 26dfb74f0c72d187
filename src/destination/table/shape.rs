//! What kind of value an Avro type gives a column: the rows of the type table that databases share.

use crate::schema::{Kind, Logical, NodeId, Schema};

/// A column's Avro type, as far as a database cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Bool,
    Int,
    Long,
    Float,
    Double,
    Decimal {
        precision: u32,
        scale: u32,
    },
    Text,
    Bytes,
    Date,
    /// `digits` of a second: 3 or 6.
    Time {
        digits: i32,
    },
    Instant {
        digits: i32,
    },
    Local {
        digits: i32,
    },
    Uuid,
    /// A record, array, map or union of several types: JSON text.
    Json,
}

impl Shape {
    /// The shape of `node`, which may be a nullable union.
    pub fn of(schema: &Schema, node: NodeId) -> Shape {
        let node = schema.nullable(node).map_or(node, |(_, _, inner)| inner);
        let node = schema.node(node);
        match (&node.logical, &node.kind) {
            (Some(Logical::Decimal { precision, scale }), _) => Shape::Decimal { precision: *precision, scale: *scale },
            (Some(Logical::Date), _) => Shape::Date,
            (Some(Logical::TimeMillis), _) => Shape::Time { digits: 3 },
            (Some(Logical::TimeMicros), _) => Shape::Time { digits: 6 },
            (Some(Logical::TimestampMillis), _) => Shape::Instant { digits: 3 },
            (Some(Logical::TimestampMicros), _) => Shape::Instant { digits: 6 },
            (Some(Logical::LocalTimestampMillis), _) => Shape::Local { digits: 3 },
            (Some(Logical::LocalTimestampMicros), _) => Shape::Local { digits: 6 },
            (Some(Logical::Uuid), _) => Shape::Uuid,
            (None, Kind::Boolean) => Shape::Bool,
            (None, Kind::Int) => Shape::Int,
            (None, Kind::Long) => Shape::Long,
            (None, Kind::Float) => Shape::Float,
            (None, Kind::Double) => Shape::Double,
            (None, Kind::Bytes | Kind::Fixed(_)) => Shape::Bytes,
            (None, Kind::String | Kind::Enum(_)) => Shape::Text,
            (None, Kind::Null | Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Record(_)) => Shape::Json,
        }
    }
}
