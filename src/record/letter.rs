//! A dead letter as fields, before any encoding: a topic writes them as headers, a table as columns.

use super::Record;
use crate::failure::Failure;

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
    /// The added fields as (name, text), in the order in which they are written.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let r = &self.record;
        let mut fields = vec![
            ("route", self.route.to_owned()),
            ("case", self.case.to_owned()),
            ("topic", r.topic.to_owned()),
            ("partition", r.partition.to_string()),
            ("offset", r.offset.to_string()),
            ("timestamp", r.timestamp.map(|t| t.to_string()).unwrap_or_default()),
            ("stage", self.failure.stage.name().to_owned()),
            ("code", self.failure.code.to_string()),
            ("message", capped(&self.failure.message, MESSAGE_CAP).to_owned()),
            ("field", capped(&self.failure.field, MESSAGE_CAP).to_owned()),
            ("schema-id", self.failure.schema_id.map(|i| i.to_string()).unwrap_or_default()),
            ("failed-at", self.failed_at.to_string()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("attempts", self.attempts.to_string()),
        ];
        fields.retain(|(_, v)| !v.is_empty());
        fields
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
