//! UUIDs and their text: 8-4-4-4-12 hexadecimal digits, as RFC 4122 writes them and Java reads them. In Avro they are this
//! text, or a fixed of 16 bytes.

use uuid::Uuid;

/// A UUID's 16 bytes; `None` for other texts, also those in braces, without hyphens or with `urn:uuid:` before them.
#[inline]
pub fn parse(text: &str) -> Option<[u8; 16]> {
    let uuid = if text.len() == 36 { Uuid::try_parse(text).ok() } else { None };
    uuid.map(Uuid::into_bytes)
}

/// The text of a UUID's 16 bytes, in small letters.
pub fn text<'b>(bytes: &[u8], buffer: &'b mut [u8; 36]) -> &'b str {
    Uuid::from_slice(bytes).unwrap_or_default().hyphenated().encode_lower(buffer)
}
