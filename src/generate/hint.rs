//! Hints: the attribute "pointsman" of a field in an .avsc, and what is wrong with one, at its place.

use crate::schema::{self, Catalog, Field, FileProblem, Problem, key_in_field, place_in_field};
use serde_json::{Map, Value as Json};
use std::path::PathBuf;

/// One hint, for the reference.
#[derive(Debug)]
pub struct HintDoc {
    pub key: &'static str,
    /// The types it goes on.
    pub on: &'static str,
    pub meaning: &'static str,
}

const fn doc(key: &'static str, on: &'static str, meaning: &'static str) -> HintDoc {
    HintDoc { key, on, meaning }
}

const NUMBERS: &str = "int, long, float, double, decimal";

/// Every key of a hint. README's reference is held against this table by a test.
pub const HINTS: &[HintDoc] = &[
    doc("like", "string, numbers", "a likeness, below; a string without hints gets the one that its name ends with"),
    doc(
        "pattern",
        "string",
        "a text with `{n}` (1, 2, 3 …; `{n:7}` with leading zeros), `{1..8}` (a number of these), `{hex:12}`, `{digits:4}`",
    ),
    doc(
        "values",
        "string, enum, boolean, numbers",
        "a list to choose from; null may be one of a field that takes null",
    ),
    doc("weights", "string, enum", "an object to choose from: how often each value, among all"),
    doc(
        "range",
        "numbers, date, timestamps",
        "`[least, most]`; of dates and timestamps days or instants, or how far from the record's own time: `[\"-30d\", \"0s\"]`",
    ),
    doc("sequence", "int, long", "counts up from this number"),
    doc(
        "ref",
        "the type of the field that is named",
        "`\"shop.Customer.id\"`: a value that `generate shop.Customer` gives with the same seed; several refs to one type in a record are of one record of it",
    ),
    doc(
        "sum",
        "int, long, decimal",
        "a list of fields to add up, or of products of fields: `[\"shipping\", \"items.quantity * items.unit_price\"]`",
    ),
    doc(
        "session",
        "string, enum",
        "an object with, for each value, how often each value is the next: a session goes from the first key on, until `end` or a value without a key",
    ),
    doc("keep", "fields of the record itself", "true: the same all through a session"),
    doc(
        "skew",
        "with range, values, ref",
        "how unequal the choice is: Zipf's exponent, such as 1.1; the first are the most frequent",
    ),
    doc("pool", "with ref", "how many records there are to refer to; 1000"),
    doc("after", "date, timestamps", "a field of the record from which `range` counts"),
    doc("length", "array, map, bytes", "`[least, most]` elements; hints beside it are those of the elements"),
    doc(
        "when",
        "fields that take null",
        "an object of other fields and the value, or list of values, that each must have: null otherwise",
    ),
    doc("null", "fields that take null", "the share of nulls; 0.2, and 0 where there is a `when` or a `ref`"),
    doc("key", "fields of the record itself", "true: the record's key, as text"),
];

/// What says which value a field gets: a field has one of these.
const CONTENT: [&str; 9] = ["like", "pattern", "values", "weights", "range", "sequence", "ref", "sum", "session"];

/// A field's hints.
#[derive(Clone, Copy)]
pub(super) struct Hint<'h> {
    /// The full name of the record.
    pub record: &'h str,
    pub field: &'h Field,
    object: Option<&'h Map<String, Json>>,
}

impl<'h> Hint<'h> {
    pub fn get(&self, key: &str) -> Option<&'h Json> {
        self.object?.get(key)
    }

    /// The key that says which value the field gets.
    pub fn content(&self) -> Option<&'static str> {
        CONTENT.into_iter().find(|key| self.get(key).is_some())
    }

    /// The same field without its hints.
    pub fn bare(self) -> Hint<'h> {
        Hint { object: None, ..self }
    }

    pub fn is_set(&self, key: &str) -> bool {
        matches!(self.get(key), Some(Json::Bool(true)))
    }
}

/// Takes complaints about hints.
pub(super) struct Desk<'c> {
    pub catalog: &'c Catalog,
    pub found: Vec<FileProblem>,
    /// Nothing will be drawn: only hints are looked at.
    pub checking: bool,
}

impl<'c> Desk<'c> {
    pub fn new(catalog: &'c Catalog) -> Desk<'c> {
        Desk { catalog, found: Vec::new(), checking: false }
    }

    /// A field's hints, once their keys are known to be some.
    pub fn hint<'h>(&mut self, record: &'h str, field: &'h Field) -> Hint<'h> {
        let none = Hint { record, field, object: None };
        let object = match field.attributes.get(schema::HINTS) {
            None => return none,
            Some(Json::Object(object)) => object,
            Some(_) => {
                self.tell(&none, &[], "hints are an object", "write \"pointsman\": {\"like\": \"name\"}");
                return none;
            }
        };
        let hint = Hint { record, field, object: Some(object) };
        for key in object.keys() {
            if !HINTS.iter().any(|h| h.key == key) {
                let near = |h: &&HintDoc| (strsim::damerau_levenshtein(h.key, key) <= 2).then_some(h.key);
                let help = HINTS.iter().find_map(|h| near(&h)).map_or_else(
                    || format!("hints are {}", HINTS.iter().map(|h| h.key).collect::<Vec<_>>().join(", ")),
                    |near| format!("did you mean \"{near}\"?"),
                );
                self.tell_key(&hint, key, format!("there is no hint \"{key}\""), help);
            }
        }
        let content: Vec<&str> = CONTENT.into_iter().filter(|key| object.contains_key(*key)).collect();
        if let [one, other, ..] = content[..] {
            let message = format!("\"{one}\" and \"{other}\" both say which value the field gets");
            self.tell_key(&hint, other, message, "keep one of them");
        }
        for (key, with) in [("skew", &["range", "values", "ref"][..]), ("pool", &["ref"])] {
            if object.contains_key(key) && !with.iter().any(|w| object.contains_key(*w)) {
                let with = with.join(", ");
                self.tell_key(&hint, key, format!("\"{key}\" says nothing by itself"), format!("it goes with {with}"));
            }
        }
        hint
    }

    /// A complaint about a hint's value: `path` is the hint's key, and what leads on from there.
    pub fn tell(&mut self, hint: &Hint<'_>, path: &[&str], message: impl Into<String>, help: impl Into<String>) {
        let path: Vec<&str> = [schema::HINTS].iter().chain(path).copied().collect();
        self.complain(
            hint,
            |text| place_in_field(text, hint.record, &hint.field.name, &path),
            message.into(),
            help.into(),
        );
    }

    /// A complaint about a hint itself.
    pub fn tell_key(&mut self, hint: &Hint<'_>, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.tell_inner_key(hint, &[], key, message, help);
    }

    /// A complaint about a key of an object inside the hints, to which `path` leads.
    pub fn tell_inner_key(
        &mut self,
        hint: &Hint<'_>,
        path: &[&str],
        key: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let path: Vec<&str> = [schema::HINTS].iter().chain(path).copied().collect();
        let place = |text: &str| key_in_field(text, hint.record, &hint.field.name, &path, key);
        self.complain(hint, place, message.into(), help.into());
    }

    /// A hint that does not go on the field's type.
    pub fn misfit(&mut self, hint: &Hint<'_>, key: &'static str, ty: &str) {
        let on = HINTS.iter().find(|h| h.key == key).map_or("", |h| h.on);
        let message = format!("\"{key}\" does not go on `{}`, which is {ty}", hint.field.name);
        self.tell_key(hint, key, message, format!("\"{key}\" goes on: {}", on.replace("numbers", NUMBERS)));
    }

    fn complain(
        &mut self,
        hint: &Hint<'_>,
        place: impl Fn(&str) -> Option<std::ops::Range<usize>>,
        message: String,
        help: String,
    ) {
        let (path, text) = self.catalog.source(hint.record).map_or_else(
            || (PathBuf::from(hint.record), None),
            |(path, text)| (path.to_owned(), Some(text.to_owned())),
        );
        let span = text.as_deref().and_then(place).unwrap_or(0..0);
        let problem = Problem::error(span, "bad-hint", message).help(help);
        if !self.found.iter().any(|f| f.path == path && f.problem == problem) {
            self.found.push(FileProblem { path, text, problem });
        }
    }
}

/// A span of time with its sign: `"-30d"`, `"90s"`, `"250ms"`; in microseconds.
pub(super) fn span(text: &str) -> Option<i64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let unit = match &text[at..] {
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    text[..at].parse::<i64>().ok()?.checked_mul(unit)
}
