//! Avro schemas as JSON Schema (draft 2020-12, as OpenAPI 3.1 has it): what the codec takes, in the words of clients.

use crate::schema::{Field, Kind, Logical, NodeId, Schema};
use serde_json::{Map, Value, json};

/// Writes the types of a schema; those with a name go into `named`, and are referred to.
pub(super) struct Writer<'s> {
    pub schema: &'s Schema,
    /// Bytes are base64, not Avro's string of code points.
    pub base64: bool,
    /// Fields that the schema lacks are refused.
    pub closed: bool,
    /// By component name.
    pub named: &'s mut Map<String, Value>,
    /// Before component names: validators may read one type differently.
    pub prefix: &'s str,
}

impl Writer<'_> {
    /// The JSON Schema of a type.
    pub fn write(&mut self, node: NodeId) -> Value {
        let schema = self.schema;
        if let Some(logical) = schema.node(node).logical
            && let Some(value) = logical_type(logical)
        {
            return value;
        }
        match schema.kind(node) {
            Kind::Null => json!({ "type": "null" }),
            Kind::Boolean => json!({ "type": "boolean" }),
            Kind::Int => json!({ "type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX }),
            Kind::Long => json!({ "type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX }),
            Kind::Float => json!({ "type": "number", "format": "float", "minimum": f32::MIN, "maximum": f32::MAX }),
            Kind::Double => json!({ "type": "number", "format": "double" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => self.bytes(None),
            Kind::Fixed(fixed) => self.bytes(Some(fixed.size)),
            Kind::Enum(e) => self.named(&e.name.0, |_| json!({ "type": "string", "enum": e.symbols })),
            Kind::Array(item) => json!({ "type": "array", "items": self.write(*item) }),
            Kind::Map(value) => json!({ "type": "object", "additionalProperties": self.write(*value) }),
            Kind::Union(branches) => self.union(node, branches),
            Kind::Record(record) => self.named(&record.name.0, |writer| writer.record(record)),
        }
    }

    /// Refers to a component, and writes it where it is not there yet: a type may contain itself.
    fn named(&mut self, name: &str, write: impl FnOnce(&mut Self) -> Value) -> Value {
        let key = format!("{}{name}", self.prefix);
        if !self.named.contains_key(&key) {
            self.named.insert(key.clone(), Value::Null);
            let value = write(self);
            self.named.insert(key.clone(), value);
        }
        json!({ "$ref": format!("#/components/schemas/{key}") })
    }

    fn record(&mut self, record: &crate::schema::RecordType) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in &record.fields {
            properties.insert(field.name.clone(), self.field(field));
            if field.default.is_none() && !self.takes_null(field.node) {
                required.push(field.name.as_str());
            }
        }
        let mut value = json!({ "type": "object", "title": record.name.short(), "properties": properties });
        if !required.is_empty() {
            value["required"] = required.into();
        }
        if self.closed {
            value["additionalProperties"] = false.into();
        }
        describe(&mut value, record.doc.as_deref());
        value
    }

    fn field(&mut self, field: &Field) -> Value {
        let mut value = self.write(field.node);
        describe(&mut value, field.doc.as_deref());
        // Avro's form of a default is JSON's for these alone.
        if let Some(default) = field.default.as_ref().filter(|d| d.is_boolean() || d.is_number() || d.is_null()) {
            value["default"] = default.clone();
        }
        value
    }

    fn takes_null(&self, node: NodeId) -> bool {
        match self.schema.kind(node) {
            Kind::Null => true,
            Kind::Union(branches) => branches.iter().any(|b| *self.schema.kind(*b) == Kind::Null),
            _ => false,
        }
    }

    /// A value stands for itself, or under its branch's name.
    fn union(&mut self, node: NodeId, branches: &[NodeId]) -> Value {
        let mut any: Vec<Value> = branches.iter().map(|b| self.write(*b)).collect();
        if self.schema.nullable(node).is_none() {
            for (i, branch) in branches.iter().enumerate() {
                let name = self.schema.kind(*branch).branch_name();
                if name != "null" {
                    any.push(json!({
                        "type": "object",
                        "properties": { name: any[i] },
                        "required": [name],
                        "additionalProperties": false,
                    }));
                }
            }
        }
        json!({ "anyOf": any })
    }

    fn bytes(&self, size: Option<usize>) -> Value {
        let mut value = if self.base64 {
            json!({ "type": "string", "contentEncoding": "base64" })
        } else {
            json!({ "type": "string", "pattern": "^[\\u0000-\\u00ff]*$", "description": "A byte is a code point." })
        };
        if let Some(size) = size {
            let length = if self.base64 { size.div_ceil(3) * 4 } else { size };
            (value["minLength"], value["maxLength"]) = (length.into(), length.into());
        }
        value
    }
}

fn describe(value: &mut Value, doc: Option<&str>) {
    if let Some(doc) = doc {
        value["description"] = doc.into();
    }
}

/// `None` where the type below says enough.
fn logical_type(logical: Logical) -> Option<Value> {
    let either = |string: Value, what: &str| json!({ "anyOf": [string, { "type": "integer", "format": "int64", "description": what }] });
    Some(match logical {
        Logical::Decimal { precision, scale } => decimal(precision, scale),
        Logical::Date => either(json!({ "type": "string", "format": "date" }), "Days since 1970-01-01."),
        Logical::TimeMillis => either(time(), "Milliseconds since midnight."),
        Logical::TimeMicros => either(time(), "Microseconds since midnight."),
        Logical::TimestampMillis => either(instant(), "Milliseconds since 1970-01-01T00:00:00Z."),
        Logical::TimestampMicros => either(instant(), "Microseconds since 1970-01-01T00:00:00Z."),
        Logical::TimestampNanos => either(instant(), "Nanoseconds since 1970-01-01T00:00:00Z."),
        Logical::LocalTimestampNanos => either(local(), "Nanoseconds since 1970-01-01T00:00:00."),
        Logical::Duration => json!({ "type": "string", "format": "duration" }),
        Logical::LocalTimestampMillis => either(local(), "Milliseconds since 1970-01-01T00:00:00."),
        Logical::LocalTimestampMicros => either(local(), "Microseconds since 1970-01-01T00:00:00."),
        Logical::Uuid => json!({ "type": "string", "format": "uuid" }),
    })
}

fn instant() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn time() -> Value {
    json!({ "type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?$" })
}

fn local() -> Value {
    let pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?$";
    json!({ "type": "string", "pattern": pattern })
}

/// A string keeps every digit; numbers are read from their text too, but few clients write them exactly.
fn decimal(precision: u32, scale: u32) -> Value {
    let whole = precision.saturating_sub(scale).max(1);
    let fraction = if scale == 0 { String::new() } else { format!("(\\.[0-9]{{1,{scale}}})?") };
    json!({
        "anyOf": [
            { "type": "string", "pattern": format!("^-?[0-9]{{1,{whole}}}{fraction}$") },
            { "type": "number" },
        ],
        "description": format!("A decimal of at most {precision} digits, {scale} of them behind the point."),
    })
}
