//! What kind of value an Avro type gives a column: the rows of the type table that databases share.

use crate::schema::{Clock, Kind, Logical, NodeId, Schema, Unit};

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
    /// Avro's duration, as ISO 8601's text: its months and days go twice as far as those of Postgres's INTERVAL.
    Interval,
    Uuid,
    /// A record, array, map or union of several types: JSON text.
    Json,
}

impl Shape {
    /// The shape of `node`, which may be a nullable union.
    pub fn of(schema: &Schema, node: NodeId) -> Shape {
        let node = schema.nullable(node).map_or(node, |(_, _, inner)| inner);
        let node = schema.node(node);
        if let Some((clock, unit)) = node.logical.and_then(Logical::clock) {
            // Microseconds are the finest that databases hold.
            let digits = if unit == Unit::Millis { 3 } else { 6 };
            return match clock {
                Clock::Day => Shape::Time { digits },
                Clock::Utc => Shape::Instant { digits },
                Clock::Local => Shape::Local { digits },
            };
        }
        match (&node.logical, &node.kind) {
            (Some(Logical::Decimal { precision, scale }), _) => Shape::Decimal { precision: *precision, scale: *scale },
            (Some(Logical::Date), _) => Shape::Date,
            (Some(Logical::Duration), _) => Shape::Interval,
            (Some(Logical::Uuid), _) => Shape::Uuid,
            (_, Kind::Boolean) => Shape::Bool,
            (_, Kind::Int) => Shape::Int,
            (_, Kind::Long) => Shape::Long,
            (_, Kind::Float) => Shape::Float,
            (_, Kind::Double) => Shape::Double,
            (_, Kind::Bytes | Kind::Fixed(_)) => Shape::Bytes,
            (_, Kind::String | Kind::Enum(_)) => Shape::Text,
            (_, Kind::Null | Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Record(_)) => Shape::Json,
        }
    }
}
