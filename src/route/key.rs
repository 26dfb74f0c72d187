//! A new key for the destination topic, from fields of the record.

use crate::{
    codec::{Cell, CellReader, Layout, NULL, Slot},
    expr::{Place, View},
    route::program::value_node,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

/// Writes `record_key`: one field as its plain text, several as a JSON object of their names.
pub(super) struct KeyWriter {
    fields: Vec<KeyField>,
}

struct KeyField {
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
        let fields = fields.iter().map(|i| {
            let field = &view.fields[*i];
            KeyField {
                name: field.name.clone(),
                at: match field.place {
                    Place::Body(f) => KeyPlace::Body(layout.value(&[f])),
                    Place::Added(a) => KeyPlace::Added(a),
                },
                reader: CellReader::new(field.schema.clone(), value_node(&field.schema, field.node)),
            }
        });
        KeyWriter { fields: fields.collect() }
    }

    pub(super) fn write(&self, body: &[u8], slots: &[u32], added: &[u8], added_at: &[u32], out: &mut Vec<u8>) {
        let cell = |field: &KeyField| -> serde_json::Value {
            let (bytes, at) = match field.at {
                KeyPlace::Body(slot) => (body, slots[slot.0 as usize]),
                KeyPlace::Added(a) => (added, added_at[a as usize]),
            };
            if at == NULL { serde_json::Value::Null } else { json(&field.reader.read(bytes, at)) }
        };
        match &self.fields[..] {
            [field] => match cell(field) {
                serde_json::Value::String(text) => out.extend_from_slice(text.as_bytes()),
                other => out.extend_from_slice(other.to_string().as_bytes()),
            },
            fields => {
                let object: serde_json::Map<_, _> = fields.iter().map(|f| (f.name.clone(), cell(f))).collect();
                out.extend_from_slice(serde_json::Value::Object(object).to_string().as_bytes());
            }
        }
    }
}

/// A cell in a key. Times stand as integers, dates as days and the others as microseconds, so that equal values give
/// equal bytes.
fn json(cell: &Cell<'_>) -> serde_json::Value {
    match cell {
        Cell::Null => serde_json::Value::Null,
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
