//! A dead letter as a Kafka record: the original, byte for byte, with headers that say what happened.

use crate::record::{HEADER_PREFIX, Header, Letter};
use std::borrow::Cow;

/// The headers that a letter adds, with their texts.
pub(super) type Added<'a> = Vec<(&'static str, Cow<'a, str>)>;

/// The letter's headers: the record's own, in their order, without those of an earlier letter, then ours.
pub(super) fn headers<'a>(letter: &Letter<'a>, added: &'a Added<'a>) -> Vec<Header<'a>> {
    let own = letter.record.headers.iter().filter(|h| !h.name.starts_with(HEADER_PREFIX.as_bytes())).copied();
    let added = added.iter().map(|(name, value)| Header { name: name.as_bytes(), value: Some(value.as_bytes()) });
    own.chain(added).collect()
}
