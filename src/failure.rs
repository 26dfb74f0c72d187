//! What can go wrong, in two types that are never mixed.
//!
//! A [`Failure`] is the record's: that record alone becomes a dead letter and the next one goes on.
//! A [`Setback`] is the environment's: nothing is dead-lettered, the worker goes back to its last
//! committed positions and tries again, or stands still where only a person can help.

use std::{borrow::Cow, fmt};

/// The step of a record's journey that refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Confluent framing: the magic byte and the schema id.
    Frame,
    /// The body: Avro bytes or JSON that do not fit their schema.
    Decode,
    /// A rule of the validator.
    Validate,
    /// An expression of an enricher.
    Enrich,
    /// The destination's own form of the record.
    Encode,
    /// The destination refused this record, and it alone.
    Deliver,
}

impl Stage {
    /// The stage's name in metrics, headers and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Frame => "frame",
            Stage::Decode => "decode",
            Stage::Validate => "validate",
            Stage::Enrich => "enrich",
            Stage::Encode => "encode",
            Stage::Deliver => "deliver",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why one record cannot be delivered. It becomes a dead letter with these fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub stage: Stage,
    /// Kebab-case and stable: one of [`CODES`], or the name of the rule that said no.
    pub code: Cow<'static, str>,
    /// For people: what was found and what was expected.
    pub message: String,
    /// Dotted path of the field at fault (`items[2].sku`); empty where no single field is.
    pub field: String,
    /// The writer's schema id, once the framing has been read.
    pub schema_id: Option<u32>,
}

impl Failure {
    /// A failure with one of the documented [`CODES`]. An expression's codes are listed at stage `enrich`,
    /// wherever the expression stands.
    pub fn new(stage: Stage, code: &'static str, message: impl Into<String>) -> Self {
        debug_assert!(CODES.iter().any(|c| c.code == code), "{stage}/{code} is not documented in failure::CODES");
        Failure { stage, code: Cow::Borrowed(code), message: message.into(), field: String::new(), schema_id: None }
    }

    /// A failed rule: its name is the code.
    pub fn rule(name: &str, message: impl Into<String>) -> Self {
        Failure {
            stage: Stage::Validate,
            code: Cow::Owned(name.to_owned()),
            message: message.into(),
            field: String::new(),
            schema_id: None,
        }
    }

    /// The same failure, at a field.
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}: {}", self.stage, self.code, self.message)?;
        if !self.field.is_empty() {
            write!(f, " (at {})", self.field)?;
        }
        Ok(())
    }
}

/// What the environment did not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    Broker,
    Registry,
    Database,
    /// Another owner holds the partition now: claim again, without waiting.
    Fenced,
    /// The brokers refuse records: those at fault are looked for, without waiting, and become dead letters.
    Refused,
    /// Too many records failed: the breaker says that the configuration is likelier wrong than the data.
    Tripped,
    /// A record failed, and the route's dead letters are to stop it.
    Record,
    /// Something on this host: an address in use, a folder that cannot be written.
    Host,
}

impl Cause {
    /// The cause's name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Broker => "broker",
            Cause::Registry => "registry",
            Cause::Database => "database",
            Cause::Fenced => "fenced",
            Cause::Refused => "refused",
            Cause::Tripped => "tripped",
            Cause::Record => "record",
            Cause::Host => "host",
        }
    }
}

/// What helps against a setback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Time: back off, then go on from the committed positions.
    Retry,
    /// A person: the route stands and says why; its neighbours go on.
    Stand,
}

/// Why nothing can be delivered at the moment, whatever the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    pub cause: Cause,
    pub remedy: Remedy,
    /// What happened and where: names the host, table, topic or subject.
    pub message: String,
    /// What to do about it; empty where waiting is all there is.
    pub help: String,
}

impl Setback {
    /// A setback that time may heal.
    pub fn retry(cause: Cause, message: impl Into<String>) -> Self {
        Setback { cause, remedy: Remedy::Retry, message: message.into(), help: String::new() }
    }

    /// The first dead letter of a route that stops at it; `place` names the record's partition and offset.
    pub fn dead_letter(route: &str, place: impl fmt::Display, failure: &Failure) -> Self {
        Setback::stand(
            Cause::Record,
            format!("route `{route}` stops at its first dead letter: {place}: {failure}"),
            "correct the route or the record's producer, or let its `dlq`, which is \"stop\", name a place for dead letters; \
             nothing after it was committed",
        )
    }

    /// The same of a route that has begun: it does not go on by itself, so that its help says how it does.
    pub fn until_restart(mut self) -> Self {
        self.help = match &*self.help {
            "" => "start the process again once this is mended".to_owned(),
            // SQL on lines of its own.
            help if help.contains('\n') => format!("{help}\nThen start the process again."),
            help => format!("{help}; then start the process again"),
        };
        self
    }

    /// A setback that stops the route until somebody acts.
    pub fn stand(cause: Cause, message: impl Into<String>, help: impl Into<String>) -> Self {
        Setback { cause, remedy: Remedy::Stand, message: message.into(), help: help.into() }
    }
}

impl fmt::Display for Setback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause.name(), self.message)?;
        if !self.help.is_empty() {
            write!(f, " (help: {})", self.help)?;
        }
        Ok(())
    }
}

impl std::error::Error for Setback {}

/// One documented failure code; README's reference is held against this table by a test.
#[derive(Debug)]
pub struct CodeDoc {
    pub stage: Stage,
    pub code: &'static str,
    pub meaning: &'static str,
}

const fn doc(stage: Stage, code: &'static str, meaning: &'static str) -> CodeDoc {
    CodeDoc { stage, code, meaning }
}

/// Every failure code but the names of rules, in the order of the journey.
pub const CODES: &[CodeDoc] = &[
    doc(Stage::Frame, "frame-truncated", "the value is shorter than Confluent's five bytes of framing"),
    doc(Stage::Frame, "bad-magic", "the value does not begin with Confluent's magic byte 0"),
    doc(
        Stage::Frame,
        "unknown-schema-id",
        "the registry does not know the writer's schema id, or a schema that it refers to",
    ),
    doc(Stage::Frame, "unusable-schema", "the writer's schema cannot be read as the validator's schema"),
    doc(Stage::Frame, "empty-payload", "the value has no bytes, and the route expects a body"),
    doc(Stage::Frame, "unexpected-tombstone", "the record has no value, and its destination dead-letters tombstones"),
    doc(Stage::Decode, "truncated", "the body ends inside a value"),
    doc(Stage::Decode, "trailing-bytes", "bytes are left over after the record"),
    doc(Stage::Decode, "bad-varint", "an integer has more than ten bytes or does not fit its type"),
    doc(Stage::Decode, "bad-length", "a length is negative or larger than what is left of the body"),
    doc(Stage::Decode, "bad-boolean", "a boolean is neither 0 nor 1"),
    doc(Stage::Decode, "bad-utf8", "a string is not UTF-8"),
    doc(Stage::Decode, "bad-enum-index", "an enum's index has no symbol"),
    doc(Stage::Decode, "bad-union-index", "a union's index has no branch"),
    doc(Stage::Decode, "too-deep", "values are nested deeper than 128 levels"),
    doc(Stage::Decode, "too-many-items", "an array or map claims more items than its bytes can hold"),
    doc(Stage::Decode, "unresolvable", "the writer's value has no counterpart in the reader's schema"),
    doc(Stage::Decode, "malformed-json", "the value is not JSON"),
    doc(Stage::Decode, "missing-field", "a field without default is absent"),
    doc(Stage::Decode, "unknown-field", "the schema has no such field, and the validator rejects unknown ones"),
    doc(Stage::Decode, "duplicate-key", "an object has the same key twice"),
    doc(Stage::Decode, "wrong-type", "a value has another type than its field"),
    doc(Stage::Decode, "out-of-range", "a number does not fit its field"),
    doc(Stage::Decode, "unknown-symbol", "a string is none of the enum's symbols"),
    doc(Stage::Decode, "bad-decimal", "a decimal is malformed, has too many digits, or would lose scale"),
    doc(Stage::Decode, "bad-date", "a date, time, timestamp or duration is malformed or out of range"),
    doc(Stage::Decode, "bad-uuid", "a string is not a UUID"),
    doc(Stage::Decode, "bad-bytes", "bytes are neither Avro's JSON string nor base64, as the validator asks"),
    doc(Stage::Decode, "bad-key", "the record's key does not read as the route's key format"),
    doc(Stage::Decode, "filter-failed", "where, where_raw, when or when_raw could not be evaluated"),
    doc(Stage::Validate, "rule-failed-to-evaluate", "a rule could not be evaluated, so it says neither yes nor no"),
    doc(Stage::Validate, "no-case-matched", "none of the route's cases matched"),
    doc(
        Stage::Enrich,
        "overflow",
        "arithmetic left the type's range, or an expression made more than 64 MiB of one record",
    ),
    doc(Stage::Enrich, "division-by-zero", "a division or modulus by zero"),
    doc(Stage::Enrich, "bad-conversion", "a conversion between types failed"),
    doc(Stage::Enrich, "no-such-element", "an index or key that the list or map does not have"),
    doc(Stage::Enrich, "null-value", "a null where the field takes none"),
    doc(Stage::Enrich, "header-not-utf8", "an expression reads a header that is not UTF-8"),
    doc(
        Stage::Encode,
        "not-encodable",
        "the record does not fit the destination's schema or columns, or makes more than 64 MiB for them",
    ),
    doc(Stage::Encode, "record-too-large", "the record is larger than its destination topic takes"),
    doc(Stage::Deliver, "broker-refused", "the destination's broker refuses this record"),
    doc(Stage::Deliver, "duplicate-key-refused", "a row with this key is there already, and on_conflict is reject"),
    doc(Stage::Deliver, "not-null-violation", "the table does not take NULL in a column"),
    doc(Stage::Deliver, "unique-violation", "a unique constraint of the table refuses the row"),
    doc(Stage::Deliver, "check-violation", "a check constraint of the table refuses the row"),
    doc(Stage::Deliver, "foreign-key-violation", "a foreign key refused the row for longer than fk_wait"),
    doc(Stage::Deliver, "value-refused", "the database cannot store a value of the row"),
    doc(Stage::Deliver, "row-refused", "the database refuses this row while its neighbours pass"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_kebab_case_unique_and_in_the_order_of_the_journey() {
        for pair in CODES.windows(2) {
            assert!(pair[0].stage <= pair[1].stage, "{} is out of order", pair[1].code);
        }
        for (i, c) in CODES.iter().enumerate() {
            assert!(c.code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{}", c.code);
            assert!(!CODES[..i].iter().any(|d| d.code == c.code), "{} stands twice", c.code);
        }
    }
}
