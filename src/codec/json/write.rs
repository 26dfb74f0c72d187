//! Avro bytes → JSON.

use super::{
    super::{
        Decimal, Interval, MAX_DEPTH, civil,
        layout::least,
        read::{Flaw, Reader},
        shape::Shape,
        uuid,
    },
    union::Union,
};
use crate::{
    failure::Failure,
    schema::{Kind, NodeId, Schema},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{io::Write, sync::Arc};

/// Writes values as natural JSON that [`super::JsonReader`] reads back: decimals are numbers with every digit, timestamps
/// RFC 3339. A union's branch gets its name only where the value alone would not say which it is.
///
/// A double that JSON has no number for is written as `"NaN"`, `"Infinity"` or `"-Infinity"`, and does not read back.
#[derive(Clone, Debug)]
pub struct JsonWriter {
    schema: Arc<Schema>,
    shapes: Vec<Shape>,
    /// For each node, its rules where it is a union.
    unions: Vec<Option<Union>>,
    /// For each node the fewest bytes of its values.
    least: Vec<usize>,
    node: NodeId,
    base64: bool,
}

impl JsonWriter {
    /// A writer of a schema's root.
    pub fn new(schema: Arc<Schema>) -> JsonWriter {
        let root = schema.root();
        JsonWriter::of(schema, root)
    }

    /// A writer of values of one node.
    pub fn of(schema: Arc<Schema>, node: NodeId) -> JsonWriter {
        let nodes = || (0..schema.len()).map(|i| NodeId(i as u32));
        let shapes = nodes().map(|n| Shape::of(&schema, n)).collect();
        let union = |n| match schema.kind(n) {
            Kind::Union(branches) => Some(Union::of(&schema, n, branches)),
            _ => None,
        };
        let unions = nodes().map(union).collect();
        JsonWriter { shapes, unions, least: least(&schema), node, schema, base64: false }
    }

    /// Writes bytes as base64, not as Avro's string of code points.
    pub fn base64(self, base64: bool) -> JsonWriter {
        JsonWriter { base64, ..self }
    }

    /// Appends the JSON of the value at `at` of a body, its union's index included; gives the offset of its end.
    ///
    /// # Errors
    /// None for a body that a scan has proven; else the body's flaw, and `out` holds what came before it.
    pub fn write(&self, body: &[u8], at: u32, out: &mut Vec<u8>) -> Result<usize, Failure> {
        let mut reader = Reader::new(body, at as usize);
        match self.value(self.node, &mut reader, out, 0) {
            Ok(()) => Ok(reader.at()),
            Err(flaw) => Err(flaw.failure(reader.at())),
        }
    }

    fn value(&self, node: NodeId, r: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Flaw> {
        match self.shapes[node.0 as usize] {
            Shape::Null => out.extend_from_slice(b"null"),
            Shape::Boolean => out.extend_from_slice(if r.boolean()? { b"true" } else { b"false" }),
            Shape::Int => plain(out, r.int()?),
            Shape::Long => plain(out, r.long()?),
            Shape::Float => float(out, r.float()?),
            Shape::Double => float(out, r.double()?),
            Shape::Bytes => self.bytes(out, r.bytes()?),
            Shape::Fixed(size) => self.bytes(out, r.fixed(size)?),
            Shape::Text | Shape::Uuid { fixed: false } => text(out, r.text()?),
            Shape::Uuid { fixed: true } => text(out, uuid::text(r.fixed(16)?, &mut [0; 36])),
            Shape::Decimal { scale, fixed, .. } => {
                let bytes = match fixed {
                    Some(size) => r.fixed(size)?,
                    None => r.bytes()?,
                };
                plain(out, Decimal::from_avro(bytes, scale).ok_or(Flaw::WideDecimal(bytes.len()))?);
            }
            Shape::Enum => self.symbol(node, r, out)?,
            Shape::Date => moment(out, i64::from(r.int()?), |out, n| civil::write_date(out, n as i32)),
            Shape::Time(unit) => {
                moment(out, r.long()?, |out, n| unit.to_micros(n).is_some_and(|n| civil::write_time(out, n)));
            }
            Shape::Instant(unit) => moment(out, r.long()?, |out, n| civil::write_instant(out, n, unit)),
            Shape::Local(unit) => moment(out, r.long()?, |out, n| civil::write_local(out, n, unit)),
            // Its text needs no escapes.
            Shape::Interval => {
                plain(out, format_args!("\"{}\"", Interval::from_avro(r.fixed(Interval::SIZE)?)));
            }
            // Past what a scan takes: two for each of its levels (an array, and the record that an item is), and the
            // innermost records, as deep as a schema nests them.
            Shape::Array(_) | Shape::Map(_) | Shape::Record if depth > 3 * MAX_DEPTH => return Err(Flaw::TooDeep),
            Shape::Array(item) => self.items(r, out, (b'[', b']'), self.least[item.0 as usize], |r, out| {
                self.value(item, r, out, depth + 1)
            })?,
            Shape::Map(value) => self.items(r, out, (b'{', b'}'), 1, |r, out| {
                text(out, r.text()?);
                out.push(b':');
                self.value(value, r, out, depth + 1)
            })?,
            Shape::Union => self.union(node, r, out, depth)?,
            Shape::Record => self.record(node, r, out, depth)?,
        }
        Ok(())
    }

    fn record(&self, node: NodeId, r: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Flaw> {
        let Kind::Record(record) = self.schema.kind(node) else { return Ok(()) };
        out.push(b'{');
        for (i, field) in record.fields.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            // Avro's names need no escapes.
            out.push(b'"');
            out.extend_from_slice(field.name.as_bytes());
            out.extend_from_slice(b"\":");
            self.value(field.node, r, out, depth + 1)?;
        }
        out.push(b'}');
        Ok(())
    }

    fn union(&self, node: NodeId, r: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Flaw> {
        let Some(union) = &self.unions[node.0 as usize] else { return Ok(()) };
        let branch = r.branch(union.branches.len())?;
        let wrapper = union.wrapper(branch);
        if let Some(name) = wrapper {
            out.push(b'{');
            text(out, name);
            out.push(b':');
        }
        self.value(union.branches[branch], r, out, depth)?;
        if wrapper.is_some() {
            out.push(b'}');
        }
        Ok(())
    }

    fn items<'a>(
        &self,
        r: &mut Reader<'a>,
        out: &mut Vec<u8>,
        (open, close): (u8, u8),
        least: usize,
        mut item: impl FnMut(&mut Reader<'a>, &mut Vec<u8>) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
        out.push(open);
        let mut first = true;
        loop {
            let block = r.block(least)?;
            if block.count == 0 {
                break;
            }
            for _ in 0..block.count {
                if !first {
                    out.push(b',');
                }
                first = false;
                item(r, out)?;
            }
        }
        out.push(close);
        Ok(())
    }

    fn symbol(&self, node: NodeId, r: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Flaw> {
        let Kind::Enum(e) = self.schema.kind(node) else { return Ok(()) };
        let index = r.symbol(e.symbols.len())?;
        text(out, &e.symbols[index]);
        Ok(())
    }

    fn bytes(&self, out: &mut Vec<u8>, bytes: &[u8]) {
        if self.base64 {
            text(out, &STANDARD.encode(bytes));
        } else {
            text(out, &bytes.iter().map(|b| char::from(*b)).collect::<String>());
        }
    }
}

const INTO_MEMORY: &str = "writing into memory does not fail";

fn plain(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    write!(out, "{value}").expect(INTO_MEMORY);
}

fn text(out: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(out, value).expect(INTO_MEMORY);
}

/// The shortest number that reads back as the same.
fn float(out: &mut Vec<u8>, value: impl serde::Serialize + Into<f64> + Copy) {
    let wide: f64 = value.into();
    if wide.is_finite() {
        serde_json::to_writer(out, &value).expect(INTO_MEMORY);
    } else if wide.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else {
        out.extend_from_slice(if wide > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    }
}

/// A date or time as text; as the number itself where text does not reach.
fn moment(out: &mut Vec<u8>, n: i64, write: impl Fn(&mut Vec<u8>, i64) -> bool) {
    let quote = out.len();
    out.push(b'"');
    if write(out, n) {
        out.push(b'"');
    } else {
        out.truncate(quote);
        plain(out, n);
    }
}
