//! A dead letter as a Kafka record: the original, byte for byte, with headers that say what happened.

use crate::record::{HEADER_PREFIX, Header, Letter};

/// The letter's headers: the record's own, in their order, without those of an earlier letter, then ours.
pub(super) struct LetterHeaders {
    added: Vec<(String, String)>,
}

impl LetterHeaders {
    pub(super) fn new(letter: &Letter<'_>) -> LetterHeaders {
        let fields = letter.fields().into_iter();
        LetterHeaders { added: fields.map(|(name, text)| (format!("{HEADER_PREFIX}{name}"), text)).collect() }
    }

    pub(super) fn headers<'a>(&'a self, letter: &Letter<'a>) -> Vec<Header<'a>> {
        let own = letter.record.headers.iter().filter(|h| !h.name.starts_with(HEADER_PREFIX.as_bytes())).copied();
        let added = self.added.iter().map(|(n, v)| Header { name: n.as_bytes(), value: Some(v.as_bytes()) });
        own.chain(added).collect()
    }
}
