//! Schema texts as they are compared: whatever their layout, the order of their attributes, and the long way to write a
//! primitive.

use serde_json::{Map, Value};

/// The text without layout, as it is kept and given out; `None` for what is not JSON.
pub(super) fn compact(text: &str) -> Option<String> {
    serde_json::from_str::<Value>(text).ok().map(|v| v.to_string())
}

/// Equal for two texts that differ in nothing that Avro sees. What is not JSON is its own identity.
pub(super) fn identity(text: &str) -> String {
    serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |v| sorted(v).to_string())
}

/// The JSON parser has bounded the depth.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        Value::Object(mut object) => {
            if object.len() == 1
                && let Some(Value::String(primitive)) = object.get_mut("type")
            {
                return Value::String(std::mem::take(primitive));
            }
            let mut entries: Vec<(String, Value)> = object.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(Map::from_iter(entries))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_order_of_attributes_and_long_primitives_do_not_make_another_schema() {
        let a = r#"{"type": "record", "name": "R", "fields": [{"name": "f", "type": {"type": "string"}}]}"#;
        let b = r#"{"name":"R","fields":[{"type":"string","name":"f"}],"type":"record"}"#;
        assert_eq!(identity(a), identity(b));
        let other_order_of_fields = [r#"["int","string"]"#, r#"["string","int"]"#].map(identity);
        assert_ne!(other_order_of_fields[0], other_order_of_fields[1]);
        assert_eq!(compact("{ \"type\" : \"string\" }").as_deref(), Some(r#"{"type":"string"}"#));
    }
}
