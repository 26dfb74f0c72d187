//! What a route's own program says of a request's events: the same decoding, rules and key as behind the topic.
//!
//! A collector is a route from JSON to a topic whose records come from a request. So what it takes, the route that reads
//! the topic with the same validator takes too.

use super::problem::Problem;
use crate::{
    codec::{JsonOptions, JsonReader, elements},
    config::{
        Branch, Collector, Delivery, Destination, Dlq, Format, KeyFormat, Lane, OnPositionLost, OnTombstone, Otherwise,
        Retry, Route, Start, TopicDestination, UnknownFields,
    },
    destination::topic::{TopicFacts, record_size},
    expr::View,
    failure::{Failure, Stage},
    record::{Header, Record, Records},
    route::{Known, Outcomes, Program, RowRef, Span, Verdict},
};
use axum::http::StatusCode;
use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Problems that an answer lists; further ones are counted.
pub(super) const LISTED: usize = 100;

/// What the topic wants of its records, known once it has been found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub facts: TopicFacts,
    /// Whether its producer compresses.
    pub compresses: bool,
    /// The registry's id of the schema; 0 for JSON.
    pub schema_id: u32,
}

/// A request's events after they were judged.
#[derive(Debug)]
pub(super) struct Judged {
    pub body: Vec<u8>,
    pub outcomes: Outcomes,
    /// Records to produce, in the order of the request.
    pub rows: Vec<Row>,
    pub refused: Vec<Refused>,
    /// Events of the request.
    pub count: u32,
}

/// An event that is to be produced.
#[derive(Debug)]
pub(super) struct Row {
    pub index: u32,
    key: Span,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Sent(Range<usize>),
    Made(Range<usize>),
}

/// An event that is refused, with each of its problems; none where enough have been listed.
#[derive(Debug)]
pub(super) struct Refused {
    pub index: u32,
    /// The first problem: what is counted.
    pub failure: Failure,
    pub problems: Vec<Failure>,
}

impl Judged {
    pub fn key<'j>(&'j self, row: &Row) -> Option<&'j [u8]> {
        match row.key {
            Span::Out { start, end } => Some(&self.outcomes.out[start as usize..end as usize]),
            Span::None | Span::Key | Span::Value { .. } => None,
        }
    }

    pub fn value<'j>(&'j self, row: &Row) -> &'j [u8] {
        match &row.value {
            Value::Sent(range) => &self.body[range.clone()],
            Value::Made(range) => &self.outcomes.out[range.clone()],
        }
    }
}

/// How a body holds its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON value, or an array of them.
    Json,
    /// A JSON value a line.
    Lines,
}

/// Judges for as many requests as are judged at a time; each is compiled once.
pub(super) struct Judges {
    collector: Collector,
    idle: Mutex<Vec<Judge>>,
}

struct Judge {
    open: Open,
    program: Program,
    /// For what is refused: each of its fields, and each rule by itself; made when first needed.
    slow: Option<(JsonReader, Vec<Program>)>,
}

impl Judges {
    pub fn new(collector: Collector) -> Judges {
        Judges { collector, idle: Mutex::default() }
    }

    /// Judges the events of a body. `now` is in microseconds since the epoch.
    pub fn judge(
        &self,
        body: Vec<u8>,
        form: Form,
        headers: &[Header<'_>],
        open: &Open,
        now: i64,
    ) -> Result<Judged, Problem> {
        let events = split(&body, form, self.collector.limits.events)?;
        let mut judge = self.take(open)?;
        let judged = judge.run(&self.collector, Events { body: &body, at: &events, topic: &self.collector.topic }, now);
        let (outcomes, mut refused) = judged;
        let mut judged = Judged { body, outcomes, rows: Vec::new(), refused: Vec::new(), count: events.len() as u32 };
        let json = self.collector.format == Format::Json;
        for row in std::mem::take(&mut judged.outcomes.rows) {
            let row = place(&row, json.then(|| &events[row.record as usize]));
            match refusal(&judged, &row, headers, open, &self.collector.topic) {
                Some(failure) => refused.push(Refused { index: row.index, problems: vec![failure.clone()], failure }),
                None => judged.rows.push(row),
            }
        }
        refused.sort_by_key(|r| r.index);
        judged.refused = refused;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(judge);
        Ok(judged)
    }

    fn take(&self, open: &Open) -> Result<Judge, Problem> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of another schema id are of no more use.
        idle.retain(|j| j.open.schema_id == open.schema_id);
        let known = idle.pop();
        drop(idle);
        let compiled = known.map_or_else(|| Judge::compile(&self.collector, open), Ok);
        compiled.map_err(|why| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "not-compiled", why))
    }
}

impl Judge {
    fn compile(collector: &Collector, open: &Open) -> Result<Judge, String> {
        let program = Program::compile(&route(collector), &[open.schema_id])?;
        Ok(Judge { open: open.clone(), program, slow: None })
    }

    fn run(&mut self, collector: &Collector, events: Events<'_>, now: i64) -> (Outcomes, Vec<Refused>) {
        // JSON wants nothing: there are no writer's schemas to fetch.
        let mut outcomes = self
            .program
            .process(&events, &Known::default(), now)
            .expect("only schemas of Avro have to be fetched, and a collector reads JSON");
        let mut refused = Vec::new();
        let mut listed = 0;
        for (index, verdict) in std::mem::take(&mut outcomes.verdicts).into_iter().enumerate() {
            let (Verdict::Dead { failure, .. } | Verdict::Apart(failure)) = verdict else { continue };
            let problems = match LISTED - listed {
                0 => Vec::new(),
                most => self.problems(collector, &events, index, &failure, most, now),
            };
            listed += problems.len();
            refused.push(Refused { index: index as u32, failure: *failure, problems });
        }
        (outcomes, refused)
    }

    /// Everything that is wrong with one event, at most `most`.
    fn problems(
        &mut self,
        collector: &Collector,
        events: &Events<'_>,
        index: usize,
        first: &Failure,
        most: usize,
        now: i64,
    ) -> Vec<Failure> {
        let (reader, rules) = self.slow.get_or_insert_with(|| slow(collector, &self.open));
        let mut found = match first.stage {
            Stage::Decode => reader.problems(events.value(index), most),
            Stage::Validate => {
                let alone = Events { at: &events.at[index..=index], ..*events };
                let failed = rules.iter_mut().filter_map(|rule| {
                    let mut outcomes = rule.process(&alone, &Known::default(), now).ok()?;
                    outcomes.verdicts.drain(..).find_map(|v| match v {
                        Verdict::Dead { failure, .. } => Some(*failure),
                        _ => None,
                    })
                });
                failed.take(most).collect()
            }
            _ => Vec::new(),
        };
        if found.is_empty() {
            found.push(first.clone());
        }
        found
    }
}

/// A reader that finds every wrong field, and a program for each rule by itself.
fn slow(collector: &Collector, open: &Open) -> (JsonReader, Vec<Program>) {
    let validator = &collector.validator;
    let reject_unknown = validator.unknown_fields == UnknownFields::Reject;
    let reader = JsonReader::compile(&validator.schema, JsonOptions { base64: validator.base64, reject_unknown });
    let programs = validator.rules.iter().filter(|r| !r.warn).filter_map(|rule| {
        let mut alone = collector.clone();
        alone.validator.rules = vec![rule.clone()];
        // It compiled together with the others.
        Program::compile(&route(&alone), &[open.schema_id]).ok()
    });
    (reader, programs.collect())
}

fn split(body: &[u8], form: Form, most: usize) -> Result<Vec<Range<usize>>, Problem> {
    let bad = |code, why: String| Problem::new(StatusCode::BAD_REQUEST, code, why);
    let events = match form {
        Form::Json => {
            let text = std::str::from_utf8(body).map_err(|e| {
                bad("malformed-json", format!("the body is not UTF-8 from byte {} on", e.valid_up_to()))
            })?;
            elements(text, most).map_err(|f| {
                let code = if f.code == "too-deep" { "too-deep" } else { "malformed-json" };
                bad(code, format!("the body is no JSON: {}", f.message))
            })?
        }
        Form::Lines => lines(body, most),
    };
    match events.len() {
        0 => Err(bad("no-events", "the body holds no event".to_owned())),
        n if n > most => {
            let why = format!("a request may hold {most} events: send fewer at a time");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-many-events", why))
        }
        _ => Ok(events),
    }
}

/// Lines that are not blank, without the blanks around them; no more than `most` + 1.
fn lines(body: &[u8], most: usize) -> Vec<Range<usize>> {
    let mut start = 0;
    let found = body.split(|b| *b == b'\n').filter_map(|line| {
        let at = start + (line.len() - line.trim_ascii_start().len());
        start += line.len() + 1;
        let length = line.trim_ascii().len();
        (length > 0).then_some(at..at + length)
    });
    found.take(most + 1).collect()
}

fn place(row: &RowRef, sent: Option<&Range<usize>>) -> Row {
    let made = match row.body {
        Span::Out { start, end } => start as usize..end as usize,
        Span::None | Span::Key | Span::Value { .. } => 0..0,
    };
    Row { index: row.record, key: row.key, value: sent.cloned().map_or(Value::Made(made), Value::Sent) }
}

/// What can be known of an event that its topic will not take.
fn refusal(judged: &Judged, row: &Row, headers: &[Header<'_>], open: &Open, topic: &str) -> Option<Failure> {
    let size = record_size(judged.key(row), Some(judged.value(row)), headers);
    open.facts.too_small(size, open.compresses).then(|| {
        let most = open.facts.max_message_bytes;
        let why = format!("{size} bytes; topic {topic} takes at most {most} (max.message.bytes)");
        Failure::new(Stage::Encode, "record-too-large", why)
    })
}

/// Events as the records of a batch.
#[derive(Clone, Copy)]
struct Events<'e> {
    body: &'e [u8],
    at: &'e [Range<usize>],
    topic: &'e str,
}

impl<'e> Events<'e> {
    fn value(&self, i: usize) -> &'e [u8] {
        &self.body[self.at[i].clone()]
    }
}

impl Records for Events<'_> {
    fn len(&self) -> usize {
        self.at.len()
    }

    fn get(&self, i: usize) -> Record<'_> {
        Record {
            topic: self.topic,
            partition: 0,
            offset: i as i64,
            timestamp: None,
            key: None,
            value: Some(self.value(i)),
            headers: &[],
        }
    }
}

/// The collector as a route. It makes Avro in any case, which is the cheaper way to a key; of JSON the event as it was
/// sent is produced.
fn route(collector: &Collector) -> Route {
    let schema = &collector.validator.schema;
    let view = View::of(schema);
    let destination = TopicDestination {
        topic: collector.topic.clone(),
        format: Format::Avro,
        schema: schema.clone(),
        schema_text: String::new(),
        record_key: collector.record_key.clone(),
        same_partition: false,
        drop_headers: Vec::new(),
        set_headers: Vec::new(),
        on_tombstone: OnTombstone::Forward,
    };
    let branch = Branch {
        name: String::new(),
        when: None,
        enrichers: Vec::new(),
        view,
        destinations: vec![Destination::Topic(destination)],
    };
    let lane = Lane {
        when_raw: None,
        validator: collector.validator.clone(),
        filter: None,
        enrichers: Vec::new(),
        branches: vec![branch],
    };
    Route {
        name: collector.name.clone(),
        topics: Vec::new(),
        format: Format::Json,
        key: KeyFormat::Bytes,
        group: String::new(),
        start: Start::Latest,
        on_position_lost: OnPositionLost::Stop,
        where_raw: None,
        lanes: vec![lane],
        otherwise: Otherwise::DeadLetter,
        dlq: Dlq::Discard,
        delivery: Delivery::AtLeastOnce,
        workers: 1,
        retry: Retry { initial: Duration::ZERO, max: Duration::ZERO, give_up_after: None },
        breaker: None,
        commit_interval: Duration::ZERO,
        fk_wait: Duration::ZERO,
    }
}
