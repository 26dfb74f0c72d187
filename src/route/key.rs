//! A new key for the destination topic, from fields of the record.

use crate::{
    codec::{Cell, CellReader, Layout, NULL, Slot},
    expr::{Place, View},
    route::program::value_node,
};
use base64::{display::Base64Display, prelude::BASE64_STANDARD};
use serde_json::Value;
use std::io::Write;

/// Writes `record_key`: one field as its plain text, several as a JSON object of their names.
pub(super) struct KeyWriter {
    fields: Vec<KeyField>,
    object: bool,
}

struct KeyField {
    /// As a JSON object has it: `"name":`.
    name: String,
    at: KeyPlace,
    reader: CellReader,
}

enum KeyPlace {
    Body(Slot),
    Added(u16),
}

impl KeyWriter {
    pub(super) fn compile(fields: &[usize], view: &View, layout: &mut Layout) -> KeyWriter {
        // An object has a name once.
        let first = fields.iter().enumerate().filter(|(at, i)| !fields[..*at].contains(*i));
        let own = first.map(|(_, i)| {
            let field = &view.fields[*i];
            KeyField {
                name: format!("{}:", Value::from(&*field.name)),
                at: match field.place {
                    Place::Body(f) => KeyPlace::Body(layout.value(&[f])),
                    Place::Added(a) => KeyPlace::Added(a),
                },
                reader: CellReader::new(field.schema.clone(), value_node(&field.schema, field.node)),
            }
        });
        KeyWriter { fields: own.collect(), object: fields.len() > 1 }
    }

    pub(super) fn write(&self, body: &[u8], slots: &[u32], added: &[u8], added_at: &[u32], out: &mut Vec<u8>) {
        let mut before = b'{';
        for field in &self.fields {
            let (bytes, at) = match field.at {
                KeyPlace::Body(slot) => (body, slots[slot.0 as usize]),
                KeyPlace::Added(a) => (added, added_at[a as usize]),
            };
            let cell = if at == NULL { Cell::Null } else { field.reader.read(bytes, at) };
            if !self.object {
                return text(&cell, out);
            }
            out.push(before);
            before = b',';
            out.extend_from_slice(field.name.as_bytes());
            json(&cell, out);
        }
        out.push(b'}');
    }
}

/// A cell as a key of its own: strings without quotes. Times stand as integers, dates as days and the others as
/// microseconds, so that equal values give equal bytes.
fn text(cell: &Cell<'_>, out: &mut Vec<u8>) {
    let written = match cell {
        Cell::Null => out.write_all(b"null"),
        Cell::Bool(b) => write!(out, "{b}"),
        Cell::Int(i) | Cell::Time(i) | Cell::Instant(i) | Cell::Local(i) => write!(out, "{i}"),
        Cell::Date(d) => write!(out, "{d}"),
        Cell::Double(d) => serde_json::to_writer(out, d).map_err(Into::into),
        Cell::Decimal(d) => write!(out, "{d}"),
        Cell::Text(t) | Cell::NotUuid(t) => out.write_all(t.as_bytes()),
        Cell::Interval(i) => write!(out, "{i}"),
        Cell::Bytes(b) => write!(out, "{}", Base64Display::new(b, &BASE64_STANDARD)),
        Cell::Uuid(u) => write!(out, "{}", uuid::Uuid::from_bytes(*u)),
        Cell::Json(j) => match value(j) {
            Value::String(text) => out.write_all(text.as_bytes()),
            value => write!(out, "{value}"),
        },
    };
    written.expect("a Vec takes everything");
}

/// A cell in an object.
fn json(cell: &Cell<'_>, out: &mut Vec<u8>) {
    match cell {
        Cell::Text(t) | Cell::NotUuid(t) => serde_json::to_writer(out, t).expect("a Vec takes every string"),
        // Nothing in them has to be escaped.
        Cell::Decimal(_) | Cell::Interval(_) | Cell::Bytes(_) | Cell::Uuid(_) => {
            out.push(b'"');
            text(cell, out);
            out.push(b'"');
        }
        Cell::Json(j) => write!(out, "{}", value(j)).expect("a Vec takes everything"),
        Cell::Null
        | Cell::Bool(_)
        | Cell::Int(_)
        | Cell::Time(_)
        | Cell::Instant(_)
        | Cell::Local(_)
        | Cell::Date(_)
        | Cell::Double(_) => text(cell, out),
    }
}

/// A record, array, map or union: its JSON as serde_json writes it, which is what keys have always held.
fn value(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Decimal, Interval};

    #[test]
    fn a_cell_is_the_same_bytes_whether_it_is_the_key_or_a_part_of_it() {
        let amount = Decimal { unscaled: -150, scale: 2 };
        let interval = Interval::from_avro(&[14, 0, 0, 0, 3, 0, 0, 0, 244, 1, 0, 0]);
        let quoted = "a\"\\\n\u{1}\u{7f}é\u{2028}😀/";
        let cases = [
            (Cell::Null, "null", "null"),
            (Cell::Bool(true), "true", "true"),
            (Cell::Int(i64::MIN), "-9223372036854775808", "-9223372036854775808"),
            (Cell::Date(-1), "-1", "-1"),
            (Cell::Time(1), "1", "1"),
            (Cell::Instant(1_719_780_035_000_000), "1719780035000000", "1719780035000000"),
            (Cell::Local(0), "0", "0"),
            (Cell::Double(1.0), "1.0", "1.0"),
            (Cell::Double(-0.0), "-0.0", "-0.0"),
            (Cell::Double(0.1), "0.1", "0.1"),
            (Cell::Double(f64::NAN), "null", "null"),
            (Cell::Decimal(amount), "-1.50", "\"-1.50\""),
            (Cell::Text(""), "", "\"\""),
            (Cell::Text(quoted), quoted, "\"a\\\"\\\\\\n\\u0001\u{7f}é\u{2028}😀/\""),
            (Cell::NotUuid("x"), "x", "\"x\""),
            (Cell::Interval(interval), "P14M3DT0.500S", "\"P14M3DT0.500S\""),
            (Cell::Bytes(b"\xff\xfe?>"), "//4/Pg==", "\"//4/Pg==\""),
            (
                Cell::Uuid([0xab; 16]),
                "abababab-abab-abab-abab-abababababab",
                "\"abababab-abab-abab-abab-abababababab\"",
            ),
            (
                Cell::Json(br#"{"b": 1, "a": [1.50, null]}"#.to_vec()),
                r#"{"b":1,"a":[1.5,null]}"#,
                r#"{"b":1,"a":[1.5,null]}"#,
            ),
            (Cell::Json(b"\"s\"".to_vec()), "s", "\"s\""),
        ];
        for (cell, alone, within) in cases {
            let (mut text, mut json) = (Vec::new(), Vec::new());
            super::text(&cell, &mut text);
            super::json(&cell, &mut json);
            assert_eq!((str(&text), str(&json)), (alone, within), "{cell:?}");
            // As keys were made before they were written straight to their place.
            let old = before(&cell);
            assert_eq!(str(&json), old.to_string(), "{cell:?}");
            assert_eq!(str(&text), old.as_str().map_or_else(|| old.to_string(), str::to_owned), "{cell:?}");
        }
    }

    fn str(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    fn before(cell: &Cell<'_>) -> Value {
        use base64::Engine as _;
        match cell {
            Cell::Null => Value::Null,
            Cell::Bool(b) => (*b).into(),
            Cell::Int(i) | Cell::Time(i) | Cell::Instant(i) | Cell::Local(i) => (*i).into(),
            Cell::Date(d) => (*d).into(),
            Cell::Double(d) => (*d).into(),
            Cell::Decimal(d) => d.to_string().into(),
            Cell::Text(t) | Cell::NotUuid(t) => (*t).into(),
            Cell::Interval(i) => i.to_string().into(),
            Cell::Bytes(b) => BASE64_STANDARD.encode(b).into(),
            Cell::Uuid(u) => uuid::Uuid::from_bytes(*u).to_string().into(),
            Cell::Json(j) => serde_json::from_slice(j).unwrap_or_default(),
        }
    }
}
