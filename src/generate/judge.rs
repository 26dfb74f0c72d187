//! What a record's own route says to it, before it is sent.

use crate::{
    codec::{JsonOptions, JsonReader, Layout, Scanner},
    config::{Format, Route},
    failure::{Failure, Stage},
    record::{Record, Records},
    route::{Known, Program, Verdict, Writer, destinations},
    schema::{Schema, framing},
};
use std::sync::Arc;

/// What becomes of a record that does not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By this case; without cases, or without a route, the name is empty.
    Delivered(Arc<str>),
    Filtered,
    /// No case takes it: it goes to `otherwise`.
    Apart,
}

/// Says what would become of a value.
pub(super) enum Judge {
    Route(Box<Journey>),
    Json(Box<JsonReader>, Vec<u8>),
    /// A body behind so many bytes of framing.
    Avro(Scanner, usize),
}

/// A route's program.
pub(super) struct Journey {
    program: Program,
    known: Known,
    cases: Vec<Arc<str>>,
    topic: String,
}

impl Judge {
    /// The route as it would run. `id` is the schema id in the framing of its Avro records.
    ///
    /// # Errors
    /// In words, what keeps the route from being compiled.
    pub fn route(route: &Route, id: u32) -> Result<Judge, String> {
        let program = Program::compile(route, &vec![0; destinations(route).count()])?;
        let mut known = Known::default();
        if let Some(lane) = route.lanes.first() {
            known.writers.insert(id, Writer::Schema(lane.validator.schema.clone()));
        }
        let cases = program.cases().iter().map(|name| name.as_str().into()).collect();
        let topic = route.topics.first().cloned().unwrap_or_default();
        Ok(Judge::Route(Box::new(Journey { program, known, cases, topic })))
    }

    /// A schema without a route. `header` is how many bytes stand before an Avro body.
    pub fn schema(schema: &Arc<Schema>, format: Format, header: usize) -> Judge {
        match format {
            Format::Json => Judge::Json(Box::new(JsonReader::compile(schema, JsonOptions::default())), Vec::new()),
            Format::Avro => Judge::Avro(Layout::new(schema.clone(), schema.root()).build(), header),
        }
    }

    /// What would become of this value; `now` is in microseconds since the epoch.
    pub fn way(&mut self, key: Option<&[u8]>, value: &[u8], now: i64) -> Result<Way, Failure> {
        match self {
            Judge::Route(journey) => return journey.way(key, value, now),
            Judge::Json(reader, out) => {
                out.clear();
                reader.read(value, out)?;
            }
            Judge::Avro(scanner, 0) => scanner.scan(value, &mut [])?,
            Judge::Avro(scanner, _) => scanner.scan(framing::split(value)?.1, &mut [])?,
        }
        Ok(Way::Delivered("".into()))
    }
}

impl Journey {
    fn way(&mut self, key: Option<&[u8]>, value: &[u8], now: i64) -> Result<Way, Failure> {
        let one = One { topic: &self.topic, timestamp: now / 1_000, key, value };
        let mut outcomes = self.program.process(&one, &self.known, now).map_err(|wants| {
            let what = format!("a schema id that nobody has registered: {:?}", wants.schema_ids);
            Failure::new(Stage::Frame, "unknown-schema-id", what)
        })?;
        match outcomes.verdicts.drain(..).next() {
            Some(Verdict::Delivered { case }) => Ok(Way::Delivered(self.cases[usize::from(case)].clone())),
            Some(Verdict::Dead { failure, .. }) => Err(*failure),
            Some(Verdict::Apart(_)) => Ok(Way::Apart),
            Some(Verdict::Filtered) | None => Ok(Way::Filtered),
        }
    }
}

/// A batch of one record.
struct One<'r> {
    topic: &'r str,
    timestamp: i64,
    key: Option<&'r [u8]>,
    value: &'r [u8],
}

impl Records for One<'_> {
    fn len(&self) -> usize {
        1
    }

    fn get(&self, _: usize) -> Record<'_> {
        let timestamp = Some(self.timestamp);
        Record {
            topic: self.topic,
            partition: 0,
            offset: 0,
            timestamp,
            key: self.key,
            value: Some(self.value),
            headers: &[],
        }
    }
}
