//! A source of records of one schema: its makers, its clock, and the sessions that are under way.

use super::{
    chance::Chance,
    compile::{Compiler, what},
    hint::{Desk, Hint},
    make::{RecordMaker, World},
    value::{self, Value, bare},
};
use crate::schema::{Catalog, FileProblem, Kind, Logical, RecordType, Schema};
use serde_json::Value as Json;
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// 2024-06-01T00:00:00Z in microseconds: when generated worlds begin, unless somebody says otherwise.
pub const BEGIN: i64 = 1_717_200_000_000_000;

/// The most sessions that are under way at once.
const SESSIONS: usize = 40;
/// Milliseconds between two records.
const STEP: (i64, i64) = (1, 400);

/// When a generated world begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this instant, in microseconds since the epoch; from there its own clock goes on, so that a seed repeats itself.
    At(i64),
    /// Each record has the time at which it is made.
    Now,
}

/// Draws the records of a schema.
#[derive(Debug)]
pub struct Source {
    schema: Arc<Schema>,
    record: RecordMaker,
    world: World,
    chain: Option<Chain>,
    visits: Vec<Visit>,
    /// The visit that the last record came from, while it goes on.
    last: Option<usize>,
    key: Option<usize>,
    live: bool,
}

/// How a session goes from one value to the next. The first state is where it begins.
#[derive(Debug)]
struct Chain {
    states: Vec<Value>,
    /// For each state the sums of the weights, and what follows; nothing ends the session.
    next: Vec<Vec<(u64, Option<usize>)>>,
}

/// A session under way.
#[derive(Debug)]
struct Visit {
    state: usize,
    kept: Vec<Option<Value>>,
}

/// Every hint of these schemas that does not fit, at its place.
pub fn wrong_hints(catalog: &Catalog) -> Vec<FileProblem> {
    let mut desk = Desk { checking: true, ..Desk::new(catalog) };
    for schema in catalog.names().filter_map(|name| catalog.get(name)) {
        Source::compile(&mut desk, schema, 0, BEGIN, &[]);
    }
    desk.found
}

impl Source {
    /// The source of a record in the catalog. The same seed, start and hints give the same records.
    ///
    /// # Errors
    /// Every hint that does not fit, at its place.
    pub fn new(catalog: &Catalog, schema: &Arc<Schema>, seed: u64, start: Start) -> Result<Source, Vec<FileProblem>> {
        let at = match start {
            Start::At(at) => at,
            Start::Now => now(),
        };
        let mut desk = Desk::new(catalog);
        let source = Source::compile(&mut desk, schema.clone(), seed, at, &[]);
        match source {
            Some(source) if desk.found.is_empty() => Ok(Source { live: start == Start::Now, ..source }),
            _ => Err(desk.found),
        }
    }

    /// `above` are the types whose refs led here.
    pub(super) fn compile(
        desk: &mut Desk<'_>,
        schema: Arc<Schema>,
        seed: u64,
        at: i64,
        above: &[String],
    ) -> Option<Source> {
        let record = schema.record()?;
        let name = record.name.0.clone();
        let above = above.iter().cloned().chain([name.clone()]).collect();
        let mut compiler = Compiler::new(desk, schema.clone(), seed, at, above);
        let Some(maker) = compiler.record(schema.root()) else {
            let field = record.fields.first().filter(|_| !compiler.desk.checking)?;
            let hint = compiler.desk.hint(&record.name.0, field);
            let message = format!("no record of `{name}` would ever end: it contains itself");
            compiler.desk.tell(&hint, &[], message, "let a field on the way take null, or make it an array");
            return None;
        };
        let (chain, key) = (compiler.chain(record), compiler.key(record));
        let mut world = World::new(Chance::named(seed, &name), compiler.counters, compiler.pools);
        world.now = at;
        Some(Source { record: maker, world, chain, visits: Vec::new(), last: None, key, live: false, schema })
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The last record's time, in microseconds since the epoch.
    pub fn now(&self) -> i64 {
        self.world.now
    }

    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The next record's fields.
    pub fn draw(&mut self) -> Vec<Value> {
        let world = &mut self.world;
        world.now = if self.live { now() } else { world.now + world.chance.between(STEP.0, STEP.1) * 1_000 };
        let Some(chain) = &self.chain else { return self.record.draw(world, &mut []) };
        let at = if self.visits.is_empty() || (self.visits.len() < SESSIONS && world.chance.share(0.3)) {
            self.visits.push(Visit { state: 0, kept: vec![None; self.record.fields.len()] });
            self.visits.len() - 1
        } else {
            world.chance.index(self.visits.len())
        };
        let visit = &mut self.visits[at];
        world.step = chain.states[visit.state].clone();
        let fields = self.record.draw(world, &mut visit.kept);
        let drawn = chain.next[visit.state].last().map_or(0, |(total, _)| world.chance.next() % (*total).max(1));
        let follows = chain.next[visit.state].iter().find(|(sum, _)| drawn < *sum).and_then(|(_, next)| *next);
        self.last = follows.map(|_| at);
        match follows {
            Some(next) => visit.state = next,
            None => drop(self.visits.swap_remove(at)),
        }
        fields
    }

    /// Ends the session of the last record: what it keeps is of no use.
    pub fn forget(&mut self) {
        if let Some(at) = self.last.take() {
            self.visits.swap_remove(at);
        }
    }

    /// The field whose value is the key of these fields' record.
    pub fn key<'f>(&self, fields: &'f [Value]) -> Option<&'f Value> {
        fields.get(self.key?)
    }

    /// The text of a key.
    pub fn key_text(&self, key: &Value) -> Option<String> {
        match (key, self.schema.kind(bare(&self.schema, self.schema.record()?.fields[self.key?].node))) {
            (Value::Text(text), _) => Some(text.clone()),
            (Value::Integer(n), _) => Some(n.to_string()),
            (Value::Symbol(i), Kind::Enum(e)) => e.symbols.get(*i).cloned(),
            _ => None,
        }
    }
}

impl Compiler<'_, '_> {
    /// The field that is the record's key: at most one.
    fn key(&mut self, record: &RecordType) -> Option<usize> {
        let mut key = None;
        for (i, field) in record.fields.iter().enumerate() {
            let hint = self.desk.hint(&record.name.0, field);
            if !hint.is_set("key") {
                continue;
            }
            let node = self.schema.node(bare(&self.schema, field.node));
            let plain = matches!(node.kind, Kind::String | Kind::Int | Kind::Long | Kind::Enum(_));
            if !plain && node.logical != Some(Logical::Uuid) {
                let message = format!("`{}` is {}, which is no key's text", field.name, what(&self.schema, field.node));
                self.desk.tell_key(&hint, "key", message, "a key is a string, an int, a long or an enum");
            }
            if key.replace(i).is_some() {
                self.desk.tell_key(&hint, "key", "a record has one key", "take this hint away from the other field");
            }
        }
        key
    }

    /// The `session` of a record's fields: at most one.
    fn chain(&mut self, record: &RecordType) -> Option<Chain> {
        let mut chain = None;
        for field in &record.fields {
            let hint = self.desk.hint(&record.name.0, field);
            if hint.get("session").is_none() {
                continue;
            }
            if chain.is_some() {
                self.desk.tell_key(
                    &hint,
                    "session",
                    "a record has one session",
                    "take this hint away from the other field",
                );
            }
            chain = Some(self.read_chain(&hint));
        }
        chain
    }

    fn read_chain(&mut self, hint: &Hint<'_>) -> Chain {
        let mut chain = Chain { states: Vec::new(), next: Vec::new() };
        let Some(Json::Object(given)) = hint.get("session").filter(|s| s.as_object().is_some_and(|o| !o.is_empty()))
        else {
            let help = "write \"session\": {\"view\": {\"view\": 2, \"buy\": 1, \"end\": 1}}";
            self.desk.tell(hint, &["session"], "\"session\" is an object of what follows what", help);
            return chain;
        };
        let mut names: Vec<&str> = given.keys().map(String::as_str).collect();
        for next in given.values().filter_map(Json::as_object) {
            names.extend(next.keys().map(String::as_str).filter(|n| *n != END));
        }
        let mut seen: Vec<&str> = Vec::new();
        for name in names {
            if !seen.contains(&name) {
                seen.push(name);
                let json = Json::String(name.to_owned());
                let value = value::literal(&self.schema, bare(&self.schema, hint.field.node), &json);
                if value.is_none() {
                    let holds = |next: &Json| next.get(name).is_some();
                    let before =
                        given.iter().find(|(state, next)| *state != name && holds(next)).map(|(state, _)| state);
                    let path = match before {
                        Some(state) if !given.contains_key(name) => vec!["session", state],
                        _ => vec!["session"],
                    };
                    let message = format!("\"{name}\" is no value of `{}`", hint.field.name);
                    let help = format!("it is {}; `end` ends a session", self.what(hint.field.node));
                    self.desk.tell_inner_key(hint, &path, name, message, help);
                }
                chain.states.push(value.unwrap_or(Value::Null));
            }
        }
        for name in &seen {
            let mut sums: Vec<(u64, Option<usize>)> = Vec::new();
            for (follower, weight) in given.get(*name).and_then(Json::as_object).into_iter().flatten() {
                let weight = self.weight(hint, &["session", name, follower], weight).unwrap_or_default();
                let total = sums.last().map_or(0, |(sum, _)| *sum) + weight;
                sums.push((total, seen.iter().position(|s| s == follower).filter(|_| follower != END)));
            }
            if given.get(*name).is_some_and(|next| !next.is_object()) {
                let help = "write how often each value follows: {\"buy\": 1, \"end\": 3}";
                self.desk.tell(hint, &["session", name], "this is no object of what follows", help);
            }
            chain.next.push(sums);
        }
        chain
    }
}

/// What stands for a session's end among the values that follow.
const END: &str = "end";

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
}
