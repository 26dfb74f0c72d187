//! JSON → Avro bytes.
//!
//! Values are encoded as they come. A record whose fields came in another order than the schema's, or that left some
//! out, is put in order once it is closed; so is the count of an array, which stands before its items.

use super::{
    super::{MAX_DEPTH, civil, read::MAX_EMPTY_ITEMS, shape::Shape, uuid, write},
    Refusal,
    compile::{JsonOptions, Program, Step, UUID},
    fail,
    fields::Fields,
    numbers::{self, Moment},
    tokens::{Tokens, brief, too_deep},
    under,
    union::{Class, Pick},
};
use crate::{
    failure::Failure,
    schema::{NodeId, Schema},
};
use std::ops::Range;

/// Reads JSON as values of one schema. Holds buffers that are used again, so one serves one worker.
#[derive(Clone, Debug)]
pub struct JsonReader {
    program: Program,
    buffers: Buffers,
}

/// What a read has noticed besides the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonStats {
    /// Fields that the schema does not have.
    pub unknown_fields: u32,
}

/// Stacks, one level a record or map that is open.
#[derive(Clone, Debug, Default)]
struct Buffers {
    /// For each field of the open records where its bytes are in the output; [`ABSENT`] before it was seen.
    spans: Vec<Range<usize>>,
    /// The keys of the open maps, in the output.
    keys: Vec<Range<usize>>,
    /// A record being put in order.
    ordered: Vec<u8>,
    /// A string's content without escapes.
    text: String,
}

const ABSENT: Range<usize> = usize::MAX..usize::MAX;

impl JsonReader {
    /// A reader of a schema's root.
    pub fn compile(schema: &Schema, options: JsonOptions) -> JsonReader {
        JsonReader { program: Program::of(schema, options), buffers: Buffers::default() }
    }

    /// Appends the Avro bytes of a JSON text; nothing is appended where it fails.
    ///
    /// # Errors
    /// Stage `decode`, with the field's path: the text is no JSON, or does not fit the schema.
    pub fn read(&mut self, json: &[u8], out: &mut Vec<u8>) -> Result<JsonStats, Failure> {
        let start = out.len();
        let result = match std::str::from_utf8(json) {
            Ok(text) => self.whole(text, out),
            Err(why) => {
                Err(fail("malformed-json", format!("the value is not UTF-8 from byte {} on", why.valid_up_to())))
            }
        };
        result.map_err(|failure| {
            out.truncate(start);
            self.forget();
            *failure
        })
    }

    /// Leaves nothing of a value that was given up half-way.
    pub(super) fn forget(&mut self) {
        self.buffers.spans.clear();
        self.buffers.keys.clear();
    }

    pub(super) fn root(&self) -> NodeId {
        self.program.root
    }

    pub(super) fn walk<'w, 'j>(&'w mut self, text: &'j str, out: &'w mut Vec<u8>) -> Walk<'w, 'j> {
        let Buffers { spans, keys, ordered, text: buffer } = &mut self.buffers;
        Walk { program: &self.program, tokens: Tokens::new(text), out, spans, keys, ordered, buffer, unknown: 0 }
    }

    fn whole(&mut self, text: &str, out: &mut Vec<u8>) -> Result<JsonStats, Refusal> {
        let root = self.program.root;
        let mut walk = self.walk(text, out);
        walk.value(root, 0)?;
        if walk.tokens.peek().is_some() {
            return Err(walk.tokens.malformed("the end"));
        }
        Ok(JsonStats { unknown_fields: walk.unknown })
    }
}

pub(super) struct Walk<'w, 'j> {
    pub program: &'w Program,
    pub tokens: Tokens<'j>,
    out: &'w mut Vec<u8>,
    spans: &'w mut Vec<Range<usize>>,
    keys: &'w mut Vec<Range<usize>>,
    ordered: &'w mut Vec<u8>,
    pub buffer: &'w mut String,
    unknown: u32,
}

type Done = Result<(), Refusal>;

impl<'w, 'j> Walk<'w, 'j> {
    /// Forgets what was written: only whether a value reads is asked.
    pub(super) fn rewind(&mut self) {
        self.out.clear();
        self.spans.clear();
        self.keys.clear();
    }

    pub(super) fn value(&mut self, node: NodeId, depth: usize) -> Done {
        let first = self.tokens.peek();
        match self.program.step(node) {
            Step::Plain(Shape::Array(item)) => self.array(node, item, depth),
            Step::Plain(Shape::Map(value)) => self.map(node, value, depth),
            Step::Plain(shape) => match first {
                Some(b'-' | b'0'..=b'9') => self.number(node, shape),
                Some(b'"') => self.text(node, shape),
                Some(b't' | b'f') if shape == Shape::Boolean => {
                    let value = first == Some(b't');
                    self.tokens.literal(if value { "true" } else { "false" })?;
                    write::boolean(self.out, value);
                    Ok(())
                }
                Some(b'n') if shape == Shape::Null => self.tokens.literal("null"),
                _ => Err(self.wrong(node)),
            },
            Step::Enum(index) => self.symbol(node, index),
            Step::Union(index) => self.union(node, index, depth),
            Step::Record(index) => self.record(node, index, depth),
        }
    }

    fn number(&mut self, node: NodeId, shape: Shape) -> Done {
        let before = self.tokens;
        let text = self.tokens.number()?;
        match shape {
            Shape::Int => write::long(self.out, numbers::int(text, "an int")?),
            Shape::Long => write::long(self.out, numbers::integer(text, "a long")?),
            Shape::Float => write::float(self.out, numbers::float(text)?),
            Shape::Double => write::double(self.out, numbers::double(text)?),
            Shape::Decimal { precision, scale, fixed } => {
                return numbers::decimal(self.out, text, (precision, scale), fixed);
            }
            Shape::Date => write::long(self.out, numbers::int(text, "a date in days")?),
            Shape::Time(unit) => {
                let n = numbers::integer(text, "a time of day")?;
                if !unit.to_micros(n).is_some_and(civil::is_time) {
                    return Err(fail("out-of-range", format!("{n} is no time of a day")));
                }
                write::long(self.out, n);
            }
            Shape::Instant(_) | Shape::Local(_) => write::long(self.out, numbers::integer(text, "a timestamp")?),
            _ => {
                self.tokens = before;
                return Err(self.wrong(node));
            }
        }
        Ok(())
    }

    fn text(&mut self, node: NodeId, shape: Shape) -> Done {
        let before = self.tokens;
        let content = self.tokens.string(self.buffer)?;
        let text = content.as_str();
        let moment = match shape {
            Shape::Text => {
                write::text(self.out, text);
                return Ok(());
            }
            Shape::Uuid { fixed } => {
                match uuid::parse(text) {
                    None => {
                        return Err(fail("bad-uuid", format!("expected {UUID}, found the string {:?}", brief(text))));
                    }
                    Some(bytes) if fixed => self.out.extend_from_slice(&bytes),
                    Some(_) => write::text(self.out, text),
                }
                return Ok(());
            }
            Shape::Decimal { precision, scale, fixed } => {
                return numbers::decimal(self.out, text, (precision, scale), fixed);
            }
            Shape::Bytes | Shape::Fixed(_) => {
                let bytes =
                    if self.program.options.base64 { numbers::base64(text)? } else { numbers::code_points(text)? };
                return self.bytes(shape, &bytes);
            }
            Shape::Interval => {
                self.out.extend_from_slice(&numbers::interval(text)?.to_avro());
                return Ok(());
            }
            Shape::Date => Moment::Date,
            Shape::Time(unit) => Moment::Time(unit),
            Shape::Instant(unit) => Moment::Instant(unit),
            Shape::Local(unit) => Moment::Local(unit),
            _ => {
                self.tokens = before;
                return Err(self.wrong(node));
            }
        };
        write::long(self.out, numbers::moment(text, moment)?);
        Ok(())
    }

    fn bytes(&mut self, shape: Shape, bytes: &[u8]) -> Done {
        match shape {
            Shape::Fixed(size) if bytes.len() != size => {
                return Err(fail("bad-bytes", format!("expected {size} bytes, found {}", bytes.len())));
            }
            Shape::Fixed(_) => self.out.extend_from_slice(bytes),
            _ => write::bytes(self.out, bytes),
        }
        Ok(())
    }

    fn symbol(&mut self, node: NodeId, index: usize) -> Done {
        if self.tokens.peek() != Some(b'"') {
            return Err(self.wrong(node));
        }
        let content = self.tokens.string(self.buffer)?;
        let text = content.as_str();
        match self.program.enums[index].find(text) {
            Some(symbol) => write::index(self.out, symbol),
            None => return Err(fail("unknown-symbol", format!("{:?} is none of the enum's symbols", brief(text)))),
        }
        Ok(())
    }

    fn union(&mut self, node: NodeId, index: usize, depth: usize) -> Done {
        let program: &'w Program = self.program;
        let union = &program.unions[index];
        let class = match self.tokens.peek() {
            Some(b'n') => Class::Null,
            Some(b't' | b'f') => Class::Boolean,
            Some(b'"') => Class::Text,
            Some(b'[') => Class::Array,
            Some(b'{') => Class::Object,
            Some(b'-' | b'0'..=b'9') if self.tokens.is_whole() => Class::Integer,
            Some(b'-' | b'0'..=b'9') => Class::Number,
            _ => return Err(self.wrong(node)),
        };
        if class == Class::Object
            && let Some((branch, inside)) = self.wrapped(index)
        {
            self.tokens = inside;
            if depth >= MAX_DEPTH {
                return Err(too_deep());
            }
            write::index(self.out, branch);
            self.value(union.branches[branch], depth + 1)?;
            return self.tokens.expect(b'}', "`}`: beside a branch's name there is nothing else");
        }
        match union.natural(class) {
            Pick::One(branch) => {
                write::index(self.out, branch);
                self.value(union.branches[branch], depth)
            }
            Pick::None => Err(self.wrong(node)),
            Pick::Many => {
                let example = union.names().next().unwrap_or_default();
                let message = format!(
                    "{} fits several branches of the union: name the branch, as in {{\"{example}\": …}}",
                    self.tokens.found()
                );
                Err(fail("wrong-type", message))
            }
        }
    }

    /// Where an object stands for `{"branch": value}`: the branch, and the place after the colon.
    pub(super) fn wrapped(&mut self, union: usize) -> Option<(usize, Tokens<'j>)> {
        let mut ahead = self.tokens;
        if !ahead.take(b'{') {
            return None;
        }
        let key = ahead.string(self.buffer).ok()?;
        let nested = ahead.take(b':') && ahead.peek() == Some(b'{');
        Some((self.program.unions[union].named(key.as_str(), nested)?, ahead))
    }

    fn array(&mut self, node: NodeId, item: NodeId, depth: usize) -> Done {
        self.open(node, b'[', depth)?;
        if self.tokens.take(b']') {
            self.out.push(0);
            return Ok(());
        }
        let head = self.out.len();
        self.out.push(0);
        let mut count = 0;
        loop {
            self.value(item, depth + 1).map_err(|f| under(&format!("[{count}]"), f))?;
            count += 1;
            if !self.tokens.more(b']', "`,` or `]`")? {
                break;
            }
        }
        if self.out.len() == head + 1 && count as u64 > MAX_EMPTY_ITEMS {
            return Err(fail("too-many-items", format!("{count} items that hold nothing")));
        }
        self.close(head, count);
        Ok(())
    }

    fn map(&mut self, node: NodeId, value: NodeId, depth: usize) -> Done {
        self.open(node, b'{', depth)?;
        if self.tokens.take(b'}') {
            self.out.push(0);
            return Ok(());
        }
        let head = self.out.len();
        self.out.push(0);
        let first = self.keys.len();
        loop {
            let key = self.tokens.string(self.buffer)?;
            write::text(self.out, key.as_str());
            let key = self.out.len() - key.as_str().len()..self.out.len();
            self.keys.push(key.clone());
            self.tokens.expect(b':', "`:`")?;
            if let Err(f) = self.value(value, depth + 1) {
                return Err(under(&format!("[{:?}]", String::from_utf8_lossy(&self.out[key])), f));
            }
            if !self.tokens.more(b'}', "`,` or `}`")? {
                break;
            }
        }
        let keys = &mut self.keys[first..];
        let count = keys.len();
        let out = &*self.out;
        keys.sort_unstable_by(|a, b| out[a.clone()].cmp(&out[b.clone()]));
        if let Some(twice) = keys.windows(2).find(|k| out[k[0].clone()] == out[k[1].clone()]) {
            return Err(duplicate(&String::from_utf8_lossy(&out[twice[0].clone()])));
        }
        self.keys.truncate(first);
        self.close(head, count);
        Ok(())
    }

    /// Ends a block of items: its count goes where one byte was kept for it.
    fn close(&mut self, head: usize, count: usize) {
        if count < 64 {
            self.out[head] = (count as u8) << 1;
        } else {
            let mut bytes = Vec::with_capacity(4);
            write::index(&mut bytes, count);
            self.out.splice(head..=head, bytes);
        }
        self.out.push(0);
    }

    fn record(&mut self, node: NodeId, index: usize, depth: usize) -> Done {
        self.open(node, b'{', depth)?;
        let program: &'w Program = self.program;
        let fields = &program.records[index];
        let (first, begin) = (self.spans.len(), self.out.len());
        self.spans.resize(first + fields.all.len(), ABSENT);
        // The field that comes next where the JSON keeps the schema's order.
        let mut next = 0;
        let mut in_order = true;
        let mut open = !self.tokens.take(b'}');
        while open {
            // Mostly it is the field that comes next: its key is compared where it stands.
            let expected = fields.all.get(next).is_some_and(|f| self.tokens.take_token(&f.key));
            let found = if expected { Some(next) } else { self.key(fields)? };
            self.tokens.expect(b':', "`:`")?;
            if let Some(i) = found {
                let (field, span) = (&fields.all[i], first + i);
                if self.spans[span] != ABSENT {
                    return Err(duplicate(&field.name));
                }
                let start = self.out.len();
                self.value(field.node, depth + 1).map_err(|f| under(&field.name, f))?;
                self.spans[span] = start..self.out.len();
                in_order &= i == next;
                next = i + 1;
            } else {
                self.tokens.skip(depth + 1, self.buffer)?;
                self.unknown = self.unknown.saturating_add(1);
            }
            open = self.tokens.more(b'}', "`,` or `}`")?;
        }
        if !in_order || next < fields.all.len() {
            self.order(index, first, begin)?;
        }
        self.spans.truncate(first);
        Ok(())
    }

    /// A member's key: the field of this name, or none where unknown ones are only counted.
    fn key(&mut self, fields: &Fields) -> Result<Option<usize>, Refusal> {
        let key = self.tokens.string(self.buffer)?;
        let name = key.as_str();
        match fields.find(name) {
            None if self.program.options.reject_unknown => {
                Err(under(&brief(name), fail("unknown-field", fields.unknown(name))))
            }
            found => Ok(found),
        }
    }

    /// Puts a record's fields into the schema's order, with what stands for the absent ones in between.
    fn order(&mut self, index: usize, first: usize, begin: usize) -> Done {
        self.ordered.clear();
        for (field, span) in self.program.records[index].all.iter().zip(&self.spans[first..]) {
            if *span != ABSENT {
                self.ordered.extend_from_slice(&self.out[span.clone()]);
                continue;
            }
            match &field.absent {
                Some(bytes) => self.ordered.extend_from_slice(bytes),
                None => {
                    let message = format!(
                        "the field is absent and has no default, expected {}",
                        self.program.expected(field.node)
                    );
                    return Err(under(&field.name, fail("missing-field", message)));
                }
            }
        }
        self.out.truncate(begin);
        self.out.extend_from_slice(self.ordered);
        Ok(())
    }

    /// Opens an object or array.
    fn open(&mut self, node: NodeId, byte: u8, depth: usize) -> Done {
        if !self.tokens.take(byte) {
            return Err(self.wrong(node));
        }
        if depth >= MAX_DEPTH { Err(too_deep()) } else { Ok(()) }
    }

    /// The failure of a value of another type, or of what is no value at all.
    #[cold]
    fn wrong(&mut self, node: NodeId) -> Refusal {
        let mut value = self.tokens;
        let is_value = match value.peek() {
            None => {
                return fail(
                    "malformed-json",
                    if value.is_empty() { "the value is empty" } else { "the JSON ends where a value is expected" },
                );
            }
            Some(b'{' | b'[') => true,
            // Deep or broken insides are not this value's fault: only its first token is looked at.
            Some(_) => value.skip(0, &mut String::new()).is_ok(),
        };
        if !is_value {
            return self.tokens.malformed("a value");
        }
        fail("wrong-type", format!("expected {}, found {}", self.program.expected(node), self.tokens.found()))
    }
}

#[cold]
fn duplicate(key: &str) -> Refusal {
    under(&brief(key), fail("duplicate-key", "the object has this key twice"))
}
