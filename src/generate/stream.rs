//! Records of a route or of a schema, each with what has to become of it.

use super::{
    chance::Chance,
    draw::{Source, Start},
    fault::{self, Fault},
    judge::{Judge, Way},
    rules::Breakable,
    value::Value,
};
use crate::{
    codec::JsonWriter,
    config::{Format, KeyFormat, Lane as RouteLane, Route},
    failure::{Failure, Stage},
    schema::{Catalog, FileProblem, Schema, framing},
};
use std::{mem, sync::Arc};

/// Records drawn for one that is to pass, before it is plain that none ever will.
const TRIES: usize = 1_000;

/// What a record's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    /// An Avro body behind Confluent's framing with this schema id.
    Framed(u32),
    /// An Avro body, as container files hold them.
    Bare,
}

/// How to generate.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub seed: u64,
    pub start: Start,
    /// The share of records that are to fail: 0 to 1.
    pub invalid: f64,
    /// The faults that these are given; none: all that there can be.
    pub faults: Vec<Fault>,
    pub form: Form,
}

/// A record to send, and what has to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
    pub expect: Expect,
}

/// What a record's route owes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    Passes(Way),
    /// A dead letter with this code: one of [`crate::failure::CODES`], or a rule's name.
    Dead {
        fault: Fault,
        stage: Stage,
        code: Arc<str>,
    },
}

/// Why nothing can be generated.
#[derive(Debug)]
pub enum Trouble {
    /// Hints that do not fit, each at its place.
    Hints(Vec<FileProblem>),
    /// What was asked for cannot be: what, and what can.
    Asked { message: String, help: String },
}

/// Records without end.
pub struct Stream {
    lanes: Vec<Lane>,
    judge: Judge,
    /// What the judge reads.
    native: Format,
    header: Vec<u8>,
    form: Form,
    key: KeyFormat,
    invalid: f64,
    faults: Vec<Fault>,
    chance: Chance,
}

/// Records of one schema.
struct Lane {
    source: Source,
    json: JsonWriter,
    rules: Vec<Breakable>,
}

/// A good record, before it is sent.
struct Draft {
    lane: usize,
    fields: Vec<Value>,
    body: Vec<u8>,
    value: Vec<u8>,
    key: Option<Vec<u8>>,
    way: Way,
}

impl Stream {
    /// Records of each kind that a route decodes, all of which it takes but those that are given a fault.
    ///
    /// # Errors
    /// Hints that do not fit, or what the recipe asks for and this route cannot have.
    pub fn of_route(route: &Route, catalog: &Catalog, recipe: &Recipe) -> Result<Stream, Trouble> {
        let id = match recipe.form {
            Form::Framed(id) => id,
            Form::Json | Form::Bare => 0,
        };
        let judge = Judge::route(route, id).map_err(|why| asked(why, "pointsman check"))?;
        let mut lanes = Vec::new();
        let mut hints = Vec::new();
        for lane in &route.lanes {
            match Lane::of(lane, catalog, recipe) {
                Ok(lane) => lanes.push(lane),
                Err(found) => hints.extend(found),
            }
        }
        if !hints.is_empty() {
            return Err(Trouble::Hints(hints));
        }
        Stream::new(lanes, judge, route.format, id, route.key, recipe)
    }

    /// Records of a schema.
    ///
    /// # Errors
    /// Hints that do not fit, or what the recipe asks for and a schema alone cannot have.
    pub fn of_schema(schema: &Arc<Schema>, catalog: &Catalog, recipe: &Recipe) -> Result<Stream, Trouble> {
        let source = Source::new(catalog, schema, recipe.seed, recipe.start).map_err(Trouble::Hints)?;
        let (format, header, id) = match recipe.form {
            Form::Json => (Format::Json, 0, 0),
            Form::Framed(id) => (Format::Avro, framing::HEADER, id),
            Form::Bare => (Format::Avro, 0, 0),
        };
        let judge = Judge::schema(schema, format, header);
        let lane = Lane { json: JsonWriter::new(schema.clone()), source, rules: Vec::new() };
        Stream::new(vec![lane], judge, format, id, KeyFormat::String, recipe)
    }

    fn new(
        lanes: Vec<Lane>,
        judge: Judge,
        native: Format,
        id: u32,
        key: KeyFormat,
        recipe: &Recipe,
    ) -> Result<Stream, Trouble> {
        let mut header = Vec::new();
        if native == Format::Avro && !(recipe.form == Form::Bare && matches!(judge, Judge::Avro(..))) {
            framing::write(id, &mut header);
        }
        let mut stream = Stream {
            lanes,
            judge,
            native,
            header,
            form: recipe.form,
            key,
            invalid: recipe.invalid,
            faults: Vec::new(),
            chance: Chance::named(recipe.seed, "faults"),
        };
        stream.faults = stream.possible(recipe)?;
        if key == KeyFormat::Avro && stream.lanes.iter().any(|l| l.source.has_key()) {
            return Err(asked(
                "the route reads keys in Avro, and only texts and numbers are generated",
                "take the hint \"key\" away",
            ));
        }
        Ok(stream)
    }

    /// The faults that the records are given: those asked for, or all that can be.
    fn possible(&self, recipe: &Recipe) -> Result<Vec<Fault>, Trouble> {
        let rules = self.lanes.iter().any(|lane| !lane.rules.is_empty());
        let own = match (self.form, self.native) {
            (Form::Json, Format::Json) | (Form::Framed(_), Format::Avro) => true,
            (Form::Bare | Form::Json | Form::Framed(_), _) => false,
        };
        let can = |fault: &Fault| if *fault == Fault::BrokenRule { rules } else { own };
        if self.invalid == 0.0 {
            return Ok(Vec::new());
        }
        match recipe.faults.iter().find(|fault| !can(fault)) {
            Some(Fault::BrokenRule) => {
                let message = "`broken-rule` needs rules, and there are none here";
                Err(asked(message, "name a route whose validator has rules, or choose other faults"))
            }
            Some(fault) => {
                let message = format!("`{}` cannot be put into these records", fault.name());
                Err(asked(message, "a container file and a route's records in another format take `broken-rule` alone"))
            }
            None if recipe.faults.is_empty() && !Fault::ALL.iter().any(can) => {
                let message = "no fault can be put into these records";
                Err(asked(message, "leave --invalid out: a container file holds only what fits its schema"))
            }
            None if recipe.faults.is_empty() => Ok(Fault::ALL.into_iter().filter(|f| can(f)).collect()),
            None => Ok(recipe.faults.clone()),
        }
    }

    /// The next record.
    ///
    /// # Errors
    /// None came up that the route takes, or that a fault can be put into: which, and what to do.
    pub fn draw(&mut self) -> Result<Generated, Trouble> {
        let bad = self.invalid > 0.0 && self.chance.share(self.invalid);
        if !bad {
            let mut draft = self.draft()?;
            let value = self.formed(&mut draft);
            return Ok(Generated { key: draft.key, value, expect: Expect::Passes(draft.way) });
        }
        for _ in 0..TRIES {
            let draft = self.draft()?;
            if let Some(spoiled) = self.spoiled(draft) {
                return Ok(spoiled);
            }
        }
        let faults: Vec<&str> = self.faults.iter().map(|f| f.name()).collect();
        let message = format!("in {TRIES} records there was no place for a fault: {}", faults.join(", "));
        Err(asked(message, "choose other faults with --faults"))
    }

    /// A record that passes.
    fn draft(&mut self) -> Result<Draft, Trouble> {
        let mut last = None;
        for _ in 0..TRIES {
            let lane = if self.lanes.len() == 1 { 0 } else { self.chance.index(self.lanes.len()) };
            let fields = self.lanes[lane].source.draw();
            let (body, value) = self.encoded(lane, &fields);
            let source = &self.lanes[lane].source;
            let key = source.key(&fields).and_then(|value| keyed(self.key, value, source.key_text(value)));
            match self.judge.way(key.as_deref(), &value, source.now()) {
                Ok(way) => return Ok(Draft { lane, fields, body, value, key, way }),
                Err(failure) => last = Some(failure),
            }
            self.lanes[lane].source.forget();
        }
        let why = last.map(|f: Failure| f.to_string()).unwrap_or_default();
        let message = format!("none of {TRIES} records passes; the last failed with {why}");
        let help =
            "give the fields that it names hints that keep them to what is taken (README: Hints for the generator)";
        Err(asked(message, help))
    }

    /// Fields as an Avro body, and as the judge reads them.
    fn encoded(&self, lane: usize, fields: &[Value]) -> (Vec<u8>, Vec<u8>) {
        let lane = &self.lanes[lane];
        let schema = lane.source.schema();
        let mut body = Vec::with_capacity(256);
        if let Some(record) = schema.record() {
            fields.iter().zip(&record.fields).for_each(|(value, field)| value.write(schema, field.node, &mut body));
        }
        let value = match self.native {
            Format::Json => lane.text(&body),
            Format::Avro => [&self.header[..], &body].concat(),
        };
        (body, value)
    }

    /// A good record in the form that was asked for; what it has already is taken.
    fn formed(&self, draft: &mut Draft) -> Vec<u8> {
        match (self.form, self.native) {
            (Form::Json, Format::Json) | (Form::Framed(_), Format::Avro) => mem::take(&mut draft.value),
            (Form::Json, Format::Avro) => self.lanes[draft.lane].text(&draft.body),
            (Form::Bare, _) => mem::take(&mut draft.body),
            (Form::Framed(id), Format::Json) => {
                let mut value = Vec::new();
                framing::write(id, &mut value);
                value.extend_from_slice(&draft.body);
                value
            }
        }
    }

    /// The record with a fault; `None` where none has a place in it.
    fn spoiled(&mut self, draft: Draft) -> Option<Generated> {
        let mut faults = self.faults.clone();
        while !faults.is_empty() {
            let fault = faults.swap_remove(self.chance.index(faults.len()));
            if fault == Fault::BrokenRule {
                if let Some(broken) = self.broken(&draft) {
                    return Some(broken);
                }
                continue;
            }
            let source = &self.lanes[draft.lane].source;
            let (now, good) = (source.now(), (&draft.value[..], self.header.len()));
            let all = fault::spoil(fault, self.native, source.schema(), &draft.fields, good, &mut self.chance);
            for spoiled in all {
                let Err(failure) = self.judge.way(draft.key.as_deref(), &spoiled.value, now) else { continue };
                if failure.stage == spoiled.stage && spoiled.codes.contains(&&*failure.code) {
                    let expect = Expect::Dead { fault, stage: failure.stage, code: failure.code.into() };
                    return Some(Generated { key: draft.key, value: spoiled.value, expect });
                }
            }
        }
        None
    }

    /// The record with a rule broken.
    fn broken(&mut self, draft: &Draft) -> Option<Generated> {
        let mut rules = mem::take(&mut self.lanes[draft.lane].rules);
        let mut left: Vec<usize> = (0..rules.len()).collect();
        let mut found = None;
        while found.is_none() && !left.is_empty() {
            let rule = &mut rules[left.swap_remove(self.chance.index(left.len()))];
            let name: Arc<str> = rule.name.as_str().into();
            let now = self.lanes[draft.lane].source.now();
            let fields = rule.broken(&draft.fields, |fields| {
                let (_, value) = self.encoded(draft.lane, fields);
                let failure = self.judge.way(draft.key.as_deref(), &value, now).err();
                failure.is_some_and(|f| f.stage == Stage::Validate && *f.code == *name)
            });
            found = fields.map(|fields| {
                let (body, value) = self.encoded(draft.lane, &fields);
                let key = draft.key.clone();
                let mut broken = Draft { lane: draft.lane, fields, body, value, key, way: draft.way.clone() };
                let expect = Expect::Dead { fault: Fault::BrokenRule, stage: Stage::Validate, code: name };
                Generated { value: self.formed(&mut broken), key: broken.key, expect }
            });
        }
        self.lanes[draft.lane].rules = rules;
        found
    }
}

impl Lane {
    fn of(lane: &RouteLane, catalog: &Catalog, recipe: &Recipe) -> Result<Lane, Vec<FileProblem>> {
        let schema = &lane.validator.schema;
        let json = JsonWriter::new(schema.clone()).base64(lane.validator.base64);
        let rules = lane.validator.rules.iter().filter_map(|rule| Breakable::of(rule, schema)).collect();
        Ok(Lane { source: Source::new(catalog, schema, recipe.seed, recipe.start)?, json, rules })
    }

    fn text(&self, body: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(2 * body.len());
        // What was just encoded reads back.
        let _ = self.json.write(body, 0, &mut text);
        text
    }
}

/// A key as the route reads it.
fn keyed(format: KeyFormat, value: &Value, text: Option<String>) -> Option<Vec<u8>> {
    match (format, value) {
        (KeyFormat::Long, Value::Integer(n)) => Some(n.to_be_bytes().to_vec()),
        (KeyFormat::Json, Value::Text(_) | Value::Symbol(_)) => {
            Some(serde_json::Value::from(text?).to_string().into_bytes())
        }
        _ => text.map(String::into_bytes),
    }
}

fn asked(message: impl Into<String>, help: impl Into<String>) -> Trouble {
    Trouble::Asked { message: message.into(), help: help.into() }
}
