//! Defaults: Avro's JSON form of a value → its Avro bytes. A default fits its type when this succeeds.

use super::arena::{Kind, NodeId, RecordType, Schema};
use serde_json::Value;

/// Deepest nesting of a default, its own fields' defaults included.
const MAX_DEPTH: usize = 64;
/// Most values in one default: a few records whose fields default to each other could ask for any number.
const MAX_VALUES: usize = 100_000;

impl Schema {
    /// The Avro bytes of a default of this type. A union takes the first branch that the value fits, as Avro 1.12 has it.
    ///
    /// # Errors
    /// In words, what does not fit.
    pub fn default_bytes(&self, node: NodeId, value: &Value) -> Result<Vec<u8>, String> {
        let mut writer = Writer { schema: self, out: Vec::new(), values: 0 };
        writer.write(node, value, 0)?;
        Ok(writer.out)
    }
}

struct Writer<'s> {
    schema: &'s Schema,
    out: Vec<u8>,
    values: usize,
}

impl Writer<'_> {
    fn write(&mut self, node: NodeId, value: &Value, depth: usize) -> Result<(), String> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return Err("it has no end: the defaults of its fields lead back to itself".to_owned());
        }
        let schema = self.schema;
        match (schema.kind(node), value) {
            (Kind::Null, Value::Null) => {}
            (Kind::Boolean, Value::Bool(b)) => self.out.push(u8::from(*b)),
            (Kind::Int, Value::Number(n)) => {
                let n = n.as_i64().filter(|n| i32::try_from(*n).is_ok());
                self.long(n.ok_or_else(|| format!("{value} is not an int"))?);
            }
            (Kind::Long, Value::Number(n)) => self.long(n.as_i64().ok_or_else(|| format!("{value} is not a long"))?),
            (Kind::Float, Value::Number(n)) => {
                let n = n.as_f64().map(|n| n as f32).filter(|n| n.is_finite());
                self.out.extend(n.ok_or_else(|| format!("{value} is not a float"))?.to_le_bytes());
            }
            (Kind::Double, Value::Number(n)) => {
                self.out.extend(n.as_f64().ok_or_else(|| format!("{value} is not a double"))?.to_le_bytes());
            }
            (Kind::String, Value::String(s)) => self.bytes(s.as_bytes()),
            (Kind::Bytes, Value::String(s)) => {
                let bytes = code_points(s)?;
                self.bytes(&bytes);
            }
            (Kind::Fixed(fixed), Value::String(s)) => {
                let bytes = code_points(s)?;
                if bytes.len() != fixed.size {
                    return Err(format!("it has {} bytes, `{}` has {}", bytes.len(), fixed.name, fixed.size));
                }
                self.out.extend(bytes);
            }
            (Kind::Enum(e), Value::String(s)) => {
                let index = e.symbols.iter().position(|o| o == s);
                self.long(index.ok_or_else(|| format!("`{}` has no symbol \"{s}\"", e.name))? as i64);
            }
            (Kind::Array(item), Value::Array(items)) => {
                self.block(items.len());
                for (i, value) in items.iter().enumerate() {
                    self.write(*item, value, depth + 1).map_err(|why| format!("[{i}]: {why}"))?;
                }
                self.out.push(0);
            }
            (Kind::Map(item), Value::Object(members)) => {
                self.block(members.len());
                for (key, value) in members {
                    self.bytes(key.as_bytes());
                    self.write(*item, value, depth + 1).map_err(|why| format!("{key}: {why}"))?;
                }
                self.out.push(0);
            }
            (Kind::Record(record), Value::Object(members)) => self.record(record, members, depth)?,
            (Kind::Union(branches), _) => self.union(branches, value, depth)?,
            (kind, _) => return Err(format!("expected {}, found {}", expected(kind), brief(value))),
        }
        Ok(())
    }

    fn record(
        &mut self,
        record: &RecordType,
        members: &serde_json::Map<String, Value>,
        depth: usize,
    ) -> Result<(), String> {
        for field in &record.fields {
            let value = members.get(&field.name).or(field.default.as_ref());
            let value = value.ok_or_else(|| format!("the field `{}` of `{}` is missing", field.name, record.name))?;
            self.write(field.node, value, depth + 1).map_err(|why| format!("{}: {why}", field.name))?;
        }
        Ok(())
    }

    fn union(&mut self, branches: &[NodeId], value: &Value, depth: usize) -> Result<(), String> {
        let start = self.out.len();
        for (index, branch) in branches.iter().enumerate() {
            self.long(index as i64);
            if self.write(*branch, value, depth + 1).is_ok() {
                return Ok(());
            }
            self.out.truncate(start);
        }
        let names: Vec<&str> = branches.iter().map(|b| self.schema.kind(*b).branch_name()).collect();
        Err(format!("expected one of {}, found {}", names.join(", "), brief(value)))
    }

    /// The count before a block of items; an empty array or map has only the closing zero.
    fn block(&mut self, len: usize) {
        if len > 0 {
            self.long(len as i64);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.long(bytes.len() as i64);
        self.out.extend(bytes);
    }

    /// Avro's zig-zag varint.
    fn long(&mut self, n: i64) {
        let mut rest = ((n << 1) ^ (n >> 63)) as u64;
        while rest >= 0x80 {
            self.out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.out.push(rest as u8);
    }
}

/// Bytes in Avro's JSON form: the characters U+0000 to U+00FF.
fn code_points(text: &str) -> Result<Vec<u8>, String> {
    let byte =
        |c: char| u8::try_from(u32::from(c)).map_err(|_| format!("`{c}` is not a byte: write \\u0000 to \\u00ff"));
    text.chars().map(byte).collect()
}

fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Enum(e) => format!("a symbol of `{}`", e.name),
        Kind::Record(r) => format!("an object with the fields of `{}`", r.name),
        Kind::Array(_) => "an array".to_owned(),
        Kind::Map(_) => "an object".to_owned(),
        Kind::Bytes | Kind::Fixed(_) => "a string of \\u0000 to \\u00ff".to_owned(),
        other => other.branch_name().to_owned(),
    }
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
