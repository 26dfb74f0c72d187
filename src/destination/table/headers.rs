//! A record's headers as JSON: in their order, doubles included, and byte for byte the same when read again.
//!
//! `[{"name":"trace","value":"abc"},{"name":"raw","value_base64":"AAE="}]`: what is not plain UTF-8 text stands as base64.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

/// A header that owns its bytes.
pub type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

pub(super) fn encode<'a>(headers: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> String {
    let headers: Vec<_> = headers.into_iter().map(|(name, value)| Written { name, value }).collect();
    serde_json::to_string(&headers).expect("its keys are text, and a string takes everything")
}

/// What [`encode`] has written; `None` for anything else.
pub(super) fn decode(text: &str) -> Option<Vec<OwnedHeader>> {
    let all: Vec<Read> = serde_json::from_str(text).ok()?;
    all.into_iter()
        .map(|header| {
            let name = bytes(header.name, header.name_base64).ok()?;
            Some((name?, bytes(header.value, header.value_base64).ok()?))
        })
        .collect()
}

struct Written<'a> {
    name: &'a [u8],
    value: Option<&'a [u8]>,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put(&mut map, ["name", "name_base64"], self.name)?;
        match self.value {
            Some(value) => put(&mut map, ["value", "value_base64"], value)?,
            None => map.serialize_entry("value", &())?,
        }
        map.end()
    }
}

fn put<M: SerializeMap>(map: &mut M, [plain, base64]: [&str; 2], bytes: &[u8]) -> Result<(), M::Error> {
    // Postgres' JSONB takes no zero character, not even escaped.
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&0) => map.serialize_entry(plain, text),
        _ => map.serialize_entry(base64, &STANDARD.encode(bytes)),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Read {
    name: Option<String>,
    name_base64: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
}

/// Of the two forms the one that is there; `None` for null.
fn bytes(plain: Option<String>, base64: Option<String>) -> Result<Option<Vec<u8>>, base64::DecodeError> {
    match plain {
        Some(text) => Ok(Some(text.into_bytes())),
        None => base64.map(|text| STANDARD.decode(text)).transpose(),
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
