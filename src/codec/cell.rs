//! One value of a body, read at its offset: what a table's column takes.

use super::{
    Decimal, Interval, JsonWriter, NULL,
    read::{Flaw, Reader},
    shape::Shape,
    uuid,
};
use crate::schema::{Kind, NodeId, Schema, Unit};
use std::sync::Arc;

/// A value in the form that databases bind. Borrowed from the body wherever Avro's form allows.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Decimal(Decimal),
    Text(&'a str),
    /// What a string that should be a UUID says instead: no column takes it.
    NotUuid(&'a str),
    Bytes(&'a [u8]),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Instant(i64),
    /// Microseconds since 1970-01-01T00:00:00 of a local clock.
    Local(i64),
    Interval(Interval),
    Uuid([u8; 16]),
    /// A record, array, map or many-branched union as JSON text.
    Json(Vec<u8>),
}

/// Reads one type at an offset of a body that a scan has proven well formed.
#[derive(Clone, Debug)]
pub struct CellReader {
    schema: Arc<Schema>,
    node: NodeId,
    shape: Shape,
    /// For the shapes that become JSON.
    json: Option<Arc<JsonWriter>>,
    /// Index of null's branch in a union that becomes JSON.
    null: Option<usize>,
}

impl CellReader {
    /// A reader of values of `node`. Of a nullable union it reads the branch that is not null, which is where a slot leads.
    pub fn new(schema: Arc<Schema>, node: NodeId) -> Self {
        let node = schema.nullable(node).map_or(node, |(_, _, inner)| inner);
        let shape = Shape::of(&schema, node);
        let json = matches!(shape, Shape::Array(_) | Shape::Map(_) | Shape::Union | Shape::Record)
            // Base64, because Postgres refuses U+0000 in JSON.
            .then(|| Arc::new(JsonWriter::of(schema.clone(), node).base64(true)));
        let null = match schema.kind(node) {
            Kind::Union(branches) => branches.iter().position(|b| *schema.kind(*b) == Kind::Null),
            _ => None,
        };
        CellReader { schema, node, shape, json, null }
    }

    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The value at `offset` of `body`; an offset of [`NULL`] is null.
    /// Borrows from the body, or from the schema (an enum's symbol).
    pub fn read<'a>(&'a self, body: &'a [u8], offset: u32) -> Cell<'a> {
        if offset == NULL {
            return Cell::Null;
        }
        let cell = self.value(body, offset);
        debug_assert!(cell.is_ok(), "{cell:?} at {offset}: the scan has not proven this body");
        cell.unwrap_or(Cell::Null)
    }

    fn value<'a>(&'a self, body: &'a [u8], offset: u32) -> Result<Cell<'a>, Flaw> {
        let mut r = Reader::new(body, offset as usize);
        Ok(match self.shape {
            Shape::Null => Cell::Null,
            Shape::Boolean => Cell::Bool(r.boolean()?),
            Shape::Int | Shape::Long => Cell::Int(r.long()?),
            Shape::Float => Cell::Double(r.float()?.into()),
            Shape::Double => Cell::Double(r.double()?),
            Shape::Bytes => Cell::Bytes(r.bytes()?),
            Shape::Fixed(size) => Cell::Bytes(r.fixed(size)?),
            Shape::Text => Cell::Text(r.text()?),
            Shape::Uuid { fixed: true } => Cell::Uuid(r.fixed(16)?.try_into().unwrap_or_default()),
            Shape::Uuid { fixed: false } => {
                let text = r.text()?;
                uuid::parse(text).map_or(Cell::NotUuid(text), Cell::Uuid)
            }
            Shape::Decimal { scale, fixed, .. } => {
                let bytes = match fixed {
                    Some(size) => r.fixed(size)?,
                    None => r.bytes()?,
                };
                Cell::Decimal(Decimal::from_avro(bytes, scale).ok_or(Flaw::WideDecimal(bytes.len()))?)
            }
            Shape::Enum => match self.schema.kind(self.node) {
                Kind::Enum(e) => Cell::Text(&e.symbols[r.symbol(e.symbols.len())?]),
                _ => Cell::Null,
            },
            Shape::Date => Cell::Date(r.int()?),
            Shape::Time(unit) => Cell::Time(micros(r.long()?, unit)),
            Shape::Instant(unit) => Cell::Instant(micros(r.long()?, unit)),
            Shape::Local(unit) => Cell::Local(micros(r.long()?, unit)),
            Shape::Interval => Cell::Interval(Interval::from_avro(r.fixed(Interval::SIZE)?)),
            Shape::Array(_) | Shape::Map(_) | Shape::Record | Shape::Union => self.json(body, offset),
        })
    }

    fn json<'a>(&self, body: &'a [u8], offset: u32) -> Cell<'a> {
        let is_null = |null| Reader::new(body, offset as usize).long() == Ok(null as i64);
        let Some(writer) = self.json.as_ref().filter(|_| !self.null.is_some_and(is_null)) else { return Cell::Null };
        let mut out = Vec::new();
        let written = writer.write(body, offset, &mut out);
        debug_assert!(written.is_ok(), "{written:?} at {offset}: the scan has not proven this body");
        written.map_or(Cell::Null, |_| Cell::Json(out))
    }
}

/// Microseconds, which is what databases hold: nanoseconds are cut off. What lies past their range stays at its end, which
/// no database takes for a time.
fn micros(n: i64, unit: Unit) -> i64 {
    unit.to_micros(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(avsc: &str, body: &[u8]) -> String {
        let schema = Arc::new(Schema::parse(avsc).unwrap());
        let node = schema.root();
        match CellReader::new(schema, node).read(body, 0) {
            Cell::Json(text) => String::from_utf8(text).unwrap(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn what_no_column_type_holds_becomes_json() {
        assert_eq!(cell(r#"{"type": "array", "items": "long"}"#, &[4, 2, 4, 0]), "[1,2]");
        assert_eq!(cell(r#"{"type": "map", "values": "bytes"}"#, &[2, 2, b'a', 2, 0, 0]), r#"{"a":"AA=="}"#);
        assert_eq!(cell(r#"["null", "long", "string"]"#, &[4, 2, b'x']), r#""x""#);
    }

    #[test]
    fn null_is_null_however_it_is_written() {
        assert_eq!(cell(r#"["long", "null", "string"]"#, &[2]), "Null");
        assert_eq!(cell(r#""null""#, &[]), "Null");
        let schema = Arc::new(Schema::parse(r#""long""#).unwrap());
        let node = schema.root();
        assert_eq!(CellReader::new(schema, node).read(&[2], NULL), Cell::Null);
    }

    #[test]
    fn symbols_and_uuids_read_as_what_they_say() {
        assert_eq!(cell(r#"{"type": "enum", "name": "e", "symbols": ["A", "B"]}"#, &[2]), r#"Text("B")"#);
        let uuid = r#"{"type": "string", "logicalType": "uuid"}"#;
        assert_eq!(cell(uuid, b"\x08none"), r#"NotUuid("none")"#);
        let body = [&[72][..], b"00000000-0000-0000-0000-000000000007"].concat();
        assert!(cell(uuid, &body).starts_with("Uuid([0, "));
    }

    #[test]
    fn milliseconds_past_the_range_of_microseconds_stay_at_its_end() {
        let mut body = Vec::new();
        crate::codec::write::long(&mut body, i64::MAX);
        let millis = r#"{"type": "long", "logicalType": "timestamp-millis"}"#;
        assert_eq!(cell(millis, &body), format!("Instant({})", i64::MAX));
    }
}
