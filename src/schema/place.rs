//! Where something stands in the text of an .avsc, for problems that only show once the schema is used.

use super::{
    json::{Json, Value},
    names::qualify,
};
use std::ops::Range;

/// The place of what `path` leads to, from a field of a record on: keys of objects, and indexes of arrays as numbers. Where the
/// text does not have it, the last thing on the way that it has; `None` where it has no such field.
///
/// `record` is the full name of a record that this text defines.
pub fn place_in_field(text: &str, record: &str, field: &str, path: &[&str]) -> Option<Range<usize>> {
    let json = Json::parse(text).ok()?;
    let field = find(&json, "", record, field)?;
    let mut at = field;
    let mut span = field.get("name")?.span.clone();
    for step in path {
        let next = match &at.value {
            Value::Array(items) => step.parse().ok().and_then(|i: usize| items.get(i)),
            _ => at.get(step),
        };
        let Some(next) = next else { break };
        (at, span) = (next, next.span.clone());
    }
    Some(span)
}

/// The place of a key of an object in a field; `path` leads to the object.
pub fn key_in_field(text: &str, record: &str, field: &str, path: &[&str], key: &str) -> Option<Range<usize>> {
    let json = Json::parse(text).ok()?;
    let mut at = find(&json, "", record, field)?;
    for step in path {
        at = at.get(step)?;
    }
    match &at.value {
        Value::Object(members) => members.iter().find(|m| m.key == key).map(|m| m.key_span.clone()),
        _ => None,
    }
}

fn find<'j>(json: &'j Json, namespace: &str, record: &str, field: &str) -> Option<&'j Json> {
    match &json.value {
        Value::Array(items) => items.iter().find_map(|item| find(item, namespace, record, field)),
        Value::Object(members) => {
            let name = json.get("name").and_then(Json::as_str);
            let named =
                json.get("type").and_then(Json::as_str).is_some_and(|t| matches!(t, "record" | "enum" | "fixed"));
            let space = json.get("namespace").and_then(Json::as_str).unwrap_or(namespace);
            let full = name.filter(|_| named).map(|name| qualify(name, space));
            if full.as_deref() == Some(record) {
                let Value::Array(fields) = &json.get("fields")?.value else { return None };
                return fields.iter().find(|f| f.get("name").and_then(Json::as_str) == Some(field));
            }
            // What stands inside a named type has that type's namespace.
            let inner = full.as_deref().and_then(|f| f.rfind('.').map(|dot| &f[..dot])).unwrap_or(namespace);
            members.iter().find_map(|m| find(&m.value, inner, record, field))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_found_in_a_record_inside_a_record() {
        let text = r#"[{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"items","type":{"type":"array",
            "items":{"type":"record","name":"Item","fields":[{"name":"sku","type":"string","pointsman":{"values":["a", 1]}}]}}}]}]"#;
        let place = |path: &[&str]| place_in_field(text, "shop.Item", "sku", path).map(|span| &text[span]);
        assert_eq!(place(&["pointsman", "values", "1"]), Some("1"));
        assert_eq!(place(&["pointsman", "range"]), Some(r#"{"values":["a", 1]}"#));
        assert_eq!(place(&[]), Some(r#""sku""#));
        let key = key_in_field(text, "shop.Item", "sku", &["pointsman"], "values").unwrap();
        assert_eq!(&text[key], r#""values""#);
        assert_eq!(place_in_field(text, "shop.Item", "price", &[]), None);
    }
}
