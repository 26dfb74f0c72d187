//! A dead letter as fields, before any encoding: a topic writes them as headers, a table as columns.

use super::{Header, Record};
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

/// Where [`Letter::fields`] writes a letter's numbers.
pub type Digits = [itoa::Buffer; 6];

impl Letter<'_> {
    /// The added fields as (header, text), in the order in which they are written. A table's column has the header's
    /// name without [`HEADER_PREFIX`].
    pub fn fields<'b>(&'b self, digits: &'b mut Digits) -> impl Iterator<Item = (&'static str, &'b str)> {
        fn number(digits: &mut itoa::Buffer, n: Option<i64>) -> &str {
            n.map_or("", |n| digits.format(n))
        }
        let (r, failure) = (&self.record, self.failure);
        let [partition, offset, timestamp, schema_id, failed_at, attempts] = digits;
        let fields = [
            ("pointsman.route", self.route),
            ("pointsman.case", self.case),
            ("pointsman.topic", r.topic),
            ("pointsman.partition", number(partition, Some(r.partition.into()))),
            ("pointsman.offset", number(offset, Some(r.offset))),
            ("pointsman.timestamp", number(timestamp, r.timestamp)),
            ("pointsman.stage", failure.stage.name()),
            ("pointsman.code", &*failure.code),
            ("pointsman.message", capped(&failure.message, MESSAGE_CAP)),
            ("pointsman.field", capped(&failure.field, MESSAGE_CAP)),
            ("pointsman.schema-id", number(schema_id, failure.schema_id.map(i64::from))),
            ("pointsman.failed-at", number(failed_at, Some(self.failed_at))),
            ("pointsman.version", env!("CARGO_PKG_VERSION")),
            ("pointsman.attempts", number(attempts, Some(self.attempts.into()))),
        ];
        fields.into_iter().filter(|(_, value)| !value.is_empty())
    }

    /// The headers of a letter that is a record: its record's own, in their order, without those of an earlier letter;
    /// then the added fields.
    pub fn headers<'b>(&'b self, digits: &'b mut Digits) -> impl Iterator<Item = Header<'b>> {
        let own = self.record.headers.iter().filter(|h| !h.name.starts_with(HEADER_PREFIX.as_bytes()));
        let added =
            self.fields(digits).map(|(name, text)| Header { name: name.as_bytes(), value: Some(text.as_bytes()) });
        own.copied().chain(added)
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
    use crate::{
        failure::Stage,
        record::{OwnedRecord, Records},
    };

    #[test]
    fn a_letters_headers_are_the_records_own_and_what_is_new_of_an_earlier_letter() {
        let record = OwnedRecord::new("orders", 3, 42)
            .header(b"trace", b"abc")
            .header(b"pointsman.attempts", b"2")
            .header(b"pointsman.case", b"old");
        let batch = vec![record];
        let record = batch.get(0);
        let failure = Failure::new(Stage::Decode, "truncated", "the body ends here");
        let letter =
            Letter { route: "r", case: "", record, failure: &failure, failed_at: 7, attempts: attempts(&record) };
        let mut digits = Digits::default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers: Vec<_> =
            letter.headers(&mut digits).map(|h| (text(h.name), text(h.value.unwrap_or_default()))).collect();
        let expected = [
            ("trace", "abc"),
            ("pointsman.route", "r"),
            ("pointsman.topic", "orders"),
            ("pointsman.partition", "3"),
            ("pointsman.offset", "42"),
            ("pointsman.stage", "decode"),
            ("pointsman.code", "truncated"),
            ("pointsman.message", "the body ends here"),
            ("pointsman.failed-at", "7"),
            ("pointsman.version", env!("CARGO_PKG_VERSION")),
            ("pointsman.attempts", "3"),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        assert_eq!(capped("grün", 3), "gr");
        assert_eq!(capped("grün", 4), "grü");
        assert_eq!(capped("x", 1024), "x");
    }
}
