//! A record's headers as JSON: in their order, doubles included, and byte for byte the same when read again.
//!
//! `[{"name":"trace","value":"abc"},{"name":"raw","value_base64":"AAE="}]`: what is not plain UTF-8 text stands as base64.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// A header that owns its bytes.
pub type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

pub(super) fn encode<'a>(headers: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> String {
    let object = |(name, value): (&[u8], Option<&[u8]>)| {
        let mut object = Map::new();
        put(&mut object, "name", name);
        match value {
            Some(value) => put(&mut object, "value", value),
            None => drop(object.insert("value".to_owned(), Value::Null)),
        }
        Value::Object(object)
    };
    Value::Array(headers.into_iter().map(object).collect()).to_string()
}

/// What [`encode`] has written; `None` for anything else.
pub(super) fn decode(text: &str) -> Option<Vec<OwnedHeader>> {
    let all: Vec<Map<String, Value>> = serde_json::from_str(text).ok()?;
    all.iter()
        .map(|header| {
            let name = get(header, "name")?;
            let value = if header.get("value") == Some(&json!(null)) { None } else { Some(get(header, "value")?) };
            Some((name, value))
        })
        .collect()
}

fn put(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    // Postgres' JSONB takes no zero character, not even escaped.
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&0) => object.insert(name.to_owned(), text.into()),
        _ => object.insert(format!("{name}_base64"), STANDARD.encode(bytes).into()),
    };
}

fn get(object: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    match object.get(name) {
        Some(text) => Some(text.as_str()?.as_bytes().to_vec()),
        None => STANDARD.decode(object.get(&format!("{name}_base64"))?.as_str()?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_headers_come_back_byte_for_byte(headers: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
            let text = encode(headers.iter().map(|(n, v)| (n.as_slice(), v.as_deref())));
            prop_assert_eq!(decode(&text), Some(headers));
        }
    }
}
