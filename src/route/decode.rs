//! From a record's value to an Avro body of the lane's schema, borrowed where it stands or written to the outcomes.

use super::{Known, Span, Wants};
use crate::{
    codec::{JsonOptions, JsonReader, Resolution, Resolver},
    config::{Format, UnknownFields, Validator},
    failure::{Failure, Stage},
    schema::{Schema, compatibility::Incompatibility, framing},
};
use std::sync::Arc;

pub(super) enum Decoder {
    Avro(AvroDecoder),
    Json(Box<JsonReader>),
}

/// Reads any writer's schema as the validator's; each writer's way is compiled once.
pub(super) struct AvroDecoder {
    reader: Arc<Schema>,
    /// By schema id.
    writers: Vec<(u32, Reading)>,
    /// Index of the last record's writer: the next one's is mostly the same.
    last: usize,
}

enum Reading {
    Same,
    Rewrite(Box<Resolver>),
    /// In words, why the writer's schema cannot be read as the validator's.
    Unusable(String),
}

/// Why a record has no body yet.
pub(super) enum Undecoded {
    Failed(Failure),
    /// The writer's schema has to be fetched first; it has been noted in the wants.
    Wanted,
}

impl From<Failure> for Undecoded {
    fn from(f: Failure) -> Self {
        Undecoded::Failed(f)
    }
}

impl Decoder {
    pub(super) fn compile(format: Format, validator: &Validator) -> Decoder {
        match format {
            Format::Avro => {
                Decoder::Avro(AvroDecoder { reader: validator.schema.clone(), writers: Vec::new(), last: 0 })
            }
            Format::Json => {
                let reject_unknown = validator.unknown_fields == UnknownFields::Reject;
                Decoder::Json(Box::new(JsonReader::compile(
                    &validator.schema,
                    JsonOptions { base64: validator.base64, reject_unknown },
                )))
            }
        }
    }

    /// Where the body lies, and how many unknown fields the JSON had.
    pub(super) fn decode(
        &mut self,
        value: &[u8],
        known: &Known,
        wants: &mut Wants,
        out: &mut Vec<u8>,
    ) -> Result<(Span, u32), Undecoded> {
        let start = out.len();
        let mut unknown_fields = 0;
        match self {
            Decoder::Json(reader) => {
                if value.is_empty() {
                    return Err(Failure::new(Stage::Frame, "empty-payload", "the value has no bytes").into());
                }
                unknown_fields = reader.read(value, out)?.unknown_fields;
            }
            Decoder::Avro(avro) => {
                let (id, body) = framing::split(value)?;
                match avro.writer(id, known, wants)? {
                    Reading::Same => {
                        return Ok((
                            Span::Value { start: (value.len() - body.len()) as u32, end: value.len() as u32 },
                            0,
                        ));
                    }
                    Reading::Rewrite(resolver) => {
                        resolver.resolve(body, out).map_err(|f| Failure { schema_id: Some(id), ..f })?;
                    }
                    Reading::Unusable(why) => {
                        let mut failure = Failure::new(Stage::Frame, "unusable-schema", why.clone());
                        failure.schema_id = Some(id);
                        return Err(failure.into());
                    }
                }
            }
        }
        Ok((Span::Out { start: start as u32, end: out.len() as u32 }, unknown_fields))
    }
}

impl AvroDecoder {
    fn writer(&mut self, id: u32, known: &Known, wants: &mut Wants) -> Result<&Reading, Undecoded> {
        if self.writers.get(self.last).is_none_or(|(last, _)| *last != id) {
            self.last = match self.writers.iter().position(|(known, _)| *known == id) {
                Some(found) => found,
                None => {
                    let Some(schema) = writer_schema(id, known, wants)? else { return Err(Undecoded::Wanted) };
                    let reading = match Resolution::compile(schema, &self.reader) {
                        Ok(Resolution::Same) => Reading::Same,
                        Ok(Resolution::Rewrite(resolver)) => Reading::Rewrite(Box::new(resolver)),
                        Err(why) => Reading::Unusable(in_words(&why)),
                    };
                    self.writers.push((id, reading));
                    self.writers.len() - 1
                }
            };
        }
        Ok(&self.writers[self.last].1)
    }
}

/// The writer's schema of an id: `None` where it has first to be fetched.
///
/// # Errors
/// The registry has been asked, and does not know the id or has no Avro schema for it.
pub(super) fn writer_schema<'k>(
    id: u32,
    known: &'k Known,
    wants: &mut Wants,
) -> Result<Option<&'k Arc<Schema>>, Failure> {
    let (code, why) = match known.writers.get(&id) {
        Some(super::Writer::Schema(schema)) => return Ok(Some(schema)),
        None => {
            wants.schema(id);
            return Ok(None);
        }
        Some(super::Writer::Unknown(why)) => ("unknown-schema-id", why.to_string()),
        Some(super::Writer::Unusable(why)) => ("unusable-schema", why.to_string()),
    };
    let mut failure = Failure::new(Stage::Frame, code, why);
    failure.schema_id = Some(id);
    Err(failure)
}

/// Why one schema cannot be read as another.
pub(super) fn in_words(why: &[Incompatibility]) -> String {
    why.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
