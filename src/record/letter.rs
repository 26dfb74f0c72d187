//! A dead letter as fields, before any encoding: a topic writes them as headers, a table as columns.

use super::Record;
use crate::failure::Failure;
use std::borrow::Cow;

/// A record that could not be delivered, whole, with what is to be known about its failure.
#[derive(Clone, Debug)]
pub struct Letter<'a> {
    pub route: &'a str,
    /// The case that had been chosen when the record failed; empty before that.
    pub case: &'a str,
    /// The record, byte for byte.
    pub record: Record<'a>,
    pub failure: &'a Failure,
    /// Milliseconds since the epoch.
    pub failed_at: i64,
    /// How often the record has been tried: one more than its own `pointsman.attempts` header says.
    pub attempts: u32,
}

/// The longest message a letter carries, in bytes.
pub const MESSAGE_CAP: usize = 1024;

/// Prefix of every header that a dead letter adds.
pub const HEADER_PREFIX: &str = "pointsman.";

impl Letter<'_> {
    /// The added fields as (header, text), in the order in which they are written. A table's column has the header's
    /// name without [`HEADER_PREFIX`].
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let r = &self.record;
        let number = |n: Option<i64>| n.map_or(Cow::Borrowed(""), |n| Cow::Owned(n.to_string()));
        let fields = [
            ("pointsman.route", Cow::Borrowed(self.route)),
            ("pointsman.case", Cow::Borrowed(self.case)),
            ("pointsman.topic", Cow::Borrowed(r.topic)),
            ("pointsman.partition", number(Some(r.partition.into()))),
            ("pointsman.offset", number(Some(r.offset))),
            ("pointsman.timestamp", number(r.timestamp)),
            ("pointsman.stage", Cow::Borrowed(self.failure.stage.name())),
            ("pointsman.code", Cow::Borrowed(&*self.failure.code)),
            ("pointsman.message", Cow::Borrowed(capped(&self.failure.message, MESSAGE_CAP))),
            ("pointsman.field", Cow::Borrowed(capped(&self.failure.field, MESSAGE_CAP))),
            ("pointsman.schema-id", number(self.failure.schema_id.map(i64::from))),
            ("pointsman.failed-at", number(Some(self.failed_at))),
            ("pointsman.version", Cow::Borrowed(env!("CARGO_PKG_VERSION"))),
            ("pointsman.attempts", number(Some(self.attempts.into()))),
        ];
        fields.into_iter().filter(|(_, value)| !value.is_empty())
    }
}

/// How often this record has been tried, this time included: its `pointsman.attempts` header plus one.
pub fn attempts(record: &Record<'_>) -> u32 {
    let earlier = record.headers.iter().find(|h| h.name == b"pointsman.attempts").and_then(|h| h.value);
    earlier.and_then(|v| std::str::from_utf8(v).ok()?.parse::<u32>().ok()).unwrap_or(0).saturating_add(1)
}

/// The longest prefix of `text` of at most `cap` bytes that ends between characters.
pub fn capped(text: &str, cap: usize) -> &str {
    &text[..text.floor_char_boundary(cap)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_between_characters() {
        assert_eq!(capped("grün", 3), "gr");
        assert_eq!(capped("grün", 4), "grü");
        assert_eq!(capped("x", 1024), "x");
    }
}
