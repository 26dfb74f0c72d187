//! A generated value, before it is bytes.

use crate::{
    codec::write,
    schema::{Kind, Logical, NodeId, Schema},
};

/// A value of a schema's node. In a union of null and one other type it stands without a branch.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    /// Int, long, and every date and time in its own unit.
    Integer(i64),
    /// Float and double.
    Float(f64),
    /// Unscaled.
    Decimal(i128),
    Text(String),
    Bytes(Vec<u8>),
    /// An enum's symbol, by its index.
    Symbol(usize),
    Array(Vec<Value>),
    Map(Vec<(String, Value)>),
    Record(Vec<Value>),
    /// Of any other union: the branch, and its value.
    Branch(usize, Box<Value>),
}

impl Value {
    /// The fields of a record; none of anything else.
    pub fn fields(&self) -> &[Value] {
        match self {
            Value::Record(fields) => fields,
            _ => &[],
        }
    }

    /// Appends the value as Avro bytes. It was made for this node.
    pub fn write(&self, schema: &Schema, node: NodeId, out: &mut Vec<u8>) {
        if let Some((null, other, inner)) = schema.nullable(node) {
            if *self == Value::Null {
                return write::index(out, null);
            }
            write::index(out, other);
            return self.write(schema, inner, out);
        }
        match (self, schema.kind(node)) {
            (Value::Boolean(b), _) => write::boolean(out, *b),
            (Value::Integer(n), _) => write::long(out, *n),
            (Value::Float(n), Kind::Float) => write::float(out, *n as f32),
            (Value::Float(n), _) => write::double(out, *n),
            (Value::Decimal(n), Kind::Fixed(fixed)) => {
                // Its bounds come from the schema's precision, which the size has room for.
                let _ = write::decimal_fixed(out, *n, fixed.size);
            }
            (Value::Decimal(n), _) => write::decimal(out, *n),
            (Value::Text(text), Kind::Fixed(_)) => out.extend(crate::codec::uuid::parse(text).unwrap_or_default()),
            (Value::Text(text), _) => write::text(out, text),
            (Value::Bytes(bytes), Kind::Fixed(_)) => out.extend_from_slice(bytes),
            (Value::Bytes(bytes), _) => write::bytes(out, bytes),
            (Value::Symbol(index), _) => write::index(out, *index),
            (Value::Array(items), Kind::Array(item)) => {
                block(items.len(), out);
                items.iter().for_each(|value| value.write(schema, *item, out));
                write::index(out, 0);
            }
            (Value::Map(entries), Kind::Map(inner)) => {
                block(entries.len(), out);
                for (key, value) in entries {
                    write::text(out, key);
                    value.write(schema, *inner, out);
                }
                write::index(out, 0);
            }
            (Value::Record(values), Kind::Record(record)) => {
                values.iter().zip(&record.fields).for_each(|(value, field)| value.write(schema, field.node, out));
            }
            (Value::Branch(index, value), Kind::Union(branches)) => {
                write::index(out, *index);
                value.write(schema, branches[*index], out);
            }
            (Value::Null, _) | (Value::Array(_) | Value::Map(_) | Value::Record(_) | Value::Branch(..), _) => {}
        }
    }
}

/// The count before items; an empty array or map has only its end.
fn block(count: usize, out: &mut Vec<u8>) {
    if count > 0 {
        write::index(out, count);
    }
}

/// The type without its null.
pub fn bare(schema: &Schema, node: NodeId) -> NodeId {
    schema.nullable(node).map_or(node, |(_, _, inner)| inner)
}

/// A JSON literal of a hint as a value of this node; `None` where it does not fit.
pub fn literal(schema: &Schema, node: NodeId, json: &serde_json::Value) -> Option<Value> {
    use serde_json::Value as Json;
    let inner = bare(schema, node);
    Some(match (schema.kind(inner), schema.node(inner).logical, json) {
        (_, _, Json::Null) => return (inner != node || *schema.kind(node) == Kind::Null).then_some(Value::Null),
        (Kind::Boolean, _, Json::Bool(b)) => Value::Boolean(*b),
        (Kind::Bytes | Kind::Fixed(_), Some(Logical::Decimal { precision, scale }), json) => {
            Value::Decimal(decimal(json, precision, scale)?)
        }
        (Kind::Int, None, Json::Number(n)) => Value::Integer(i64::from(i32::try_from(n.as_i64()?).ok()?)),
        (Kind::Long, None, Json::Number(n)) => Value::Integer(n.as_i64()?),
        (Kind::Float | Kind::Double, _, Json::Number(n)) => Value::Float(n.as_f64()?),
        (Kind::String | Kind::Fixed(_), Some(Logical::Uuid), Json::String(s)) => {
            crate::codec::uuid::parse(s)?;
            Value::Text(s.clone())
        }
        (Kind::String, _, Json::String(s)) => Value::Text(s.clone()),
        (Kind::Enum(e), _, Json::String(s)) => Value::Symbol(e.symbols.iter().position(|symbol| symbol == s)?),
        _ => return None,
    })
}

/// An unscaled decimal from a JSON number or text, if it has that many digits.
pub fn decimal(json: &serde_json::Value, precision: u32, scale: u32) -> Option<i128> {
    let text = match json {
        serde_json::Value::Number(n) => n.to_string(),
        serde_json::Value::String(s) => s.clone(),
        _ => return None,
    };
    let scaled = crate::codec::Decimal::parse(text.as_bytes())?.rescale(scale)?;
    scaled.fits(precision).then_some(scaled.unscaled)
}
