//! A TOML text as values with their places.

use super::problem::{Place, Problem};
use std::ops::Range;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

#[derive(Clone, Debug)]
pub(super) struct Value {
    /// A string's place includes its quotes.
    pub place: Place,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Value>),
    Table(Table),
}

impl Kind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Kind::String(_) => "a string",
            Kind::Integer(_) => "an integer",
            Kind::Float(_) => "a float",
            Kind::Boolean(_) => "a boolean",
            Kind::Datetime(_) => "a date-time",
            Kind::Array(_) => "a list",
            Kind::Table(_) => "a table",
        }
    }
}

/// Entries in the order of the text, which is the order of rules and of fields that an enricher sets.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub key_place: Place,
    pub value: Value,
    /// Stands in `[defaults]`, not in the route itself.
    pub inherited: bool,
}

impl Table {
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.entry(key).map(|e| &e.value)
    }
}

/// Errors of syntax that are told of one file.
const MOST_TOLD: usize = 10;

/// Reads a text. What can be read of a broken one is given too, but names and keys may be missing from it.
pub(super) fn parse(text: &str, file: u32) -> (Table, Vec<Problem>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { file, problems: Vec::new() };
    let brace = text.len() - text.trim_start().len();
    if !errors.is_empty() && text[brace..].starts_with('{') {
        let problem = Problem::error("toml-syntax", reader.place(brace..brace + 1), "this is JSON, not TOML");
        return (
            Table::default(),
            vec![problem.help("`-f` names a routes.toml; schemas stand in the folder schemas beside it")],
        );
    }
    // Where there are more, something else than TOML stands here.
    for error in errors.into_iter().take(MOST_TOLD) {
        let span = error.span().unwrap_or_default();
        let key = text.get(span.clone()).unwrap_or_default();
        let problem = match error.message() {
            "duplicate key" => {
                Problem::error("toml-syntax", reader.place(span), format!("the key `{key}` stands twice"))
                    .help("a table has each key once; take one of the two out")
            }
            message => Problem::error("toml-syntax", reader.place(span), format!("not TOML: {message}"))
                .help(syntax_help(message)),
        };
        reader.problems.push(problem);
    }
    let table = reader.table(document.get_ref());
    (table, reader.problems)
}

/// What to write instead, by the parser's own words.
fn syntax_help(message: &str) -> &'static str {
    let helps = [
        ("string values must be quoted", "write it in straight quotes: `\"…\"`"),
        (
            "invalid basic string, expected `\"`",
            "the string is closed on the line on which it begins; `\"\"\"` spans lines",
        ),
        ("invalid basic string", "in double quotes `\\` begins an escape; control characters are written as `\\u0000`"),
        ("invalid literal string", "the string is closed by `'` on the line on which it begins"),
        ("unclosed table", "a header ends in `]`, that of a list's element in `]]`"),
        ("key with no value", "write `key = value`"),
        ("invalid unquoted key", "write `key = value`; a key of other characters stands in quotes"),
        ("expected key", "write `key = value`, or a header: `[routes.NAME]`"),
        ("invalid date", "a time is written as 2024-06-30T20:40:35Z"),
        ("recurse", "lists and tables nest at most 80 deep"),
    ];
    let found = helps.iter().find(|(words, _)| message.contains(words));
    found.map_or("TOML's forms are told at https://toml.io/en/v1.0.0", |(_, help)| help)
}

struct Reader {
    file: u32,
    problems: Vec<Problem>,
}

impl Reader {
    fn place(&self, span: Range<usize>) -> Place {
        Place { file: self.file, start: span.start as u32, end: span.end as u32 }
    }

    fn table(&mut self, table: &DeTable<'_>) -> Table {
        let mut entries: Vec<Entry> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                key_place: self.place(key.span()),
                value: self.value(value),
                inherited: false,
            })
            .collect();
        entries.sort_by_key(|e| e.key_place);
        Table { entries }
    }

    // toml's parser bounds the depth of nesting, and so the depth of this recursion.
    fn value(&mut self, value: &Spanned<DeValue<'_>>) -> Value {
        let place = self.place(value.span());
        let kind = match value.get_ref() {
            DeValue::String(s) => Kind::String(s.to_string()),
            DeValue::Boolean(b) => Kind::Boolean(*b),
            DeValue::Datetime(d) => Kind::Datetime(d.to_string()),
            DeValue::Array(items) => Kind::Array(items.iter().map(|v| self.value(v)).collect()),
            DeValue::Table(t) => Kind::Table(self.table(t)),
            DeValue::Integer(i) => match i64::from_str_radix(i.as_str(), i.radix()) {
                Ok(n) => Kind::Integer(n),
                Err(_) => self.out_of_range(place, Kind::Integer(0), "an integer"),
            },
            DeValue::Float(f) => match f.as_str().parse::<f64>() {
                Ok(n) => Kind::Float(n),
                Err(_) => self.out_of_range(place, Kind::Float(0.0), "a float"),
            },
        };
        Value { place, kind }
    }

    fn out_of_range(&mut self, place: Place, instead: Kind, what: &str) -> Kind {
        self.problems.push(Problem::error("toml-syntax", place, format!("{what} that does not fit into 64 bits")));
        instead
    }
}

/// The place, in the file, of a byte range of a string's content. `literal` is the string as it is written, quotes included:
/// escapes and a multi-line string's first line break are longer in the file than in the content.
pub(super) fn inside(literal: &str, place: Place, content: Range<usize>) -> Place {
    let (open, escapes) = match literal {
        l if l.starts_with("\"\"\"") => (3, true),
        l if l.starts_with("'''") => (3, false),
        l if l.starts_with('"') => (1, true),
        l if l.starts_with('\'') => (1, false),
        _ => return place,
    };
    let close = literal.len().saturating_sub(open).max(open);
    let body = literal.get(open..close).unwrap_or("");
    let skipped = if open == 3 { line_break(body) } else { 0 };
    let start = source_offset(body, skipped, escapes, content.start);
    let end = source_offset(body, skipped, escapes, content.end.max(content.start + 1)).max(start);
    let base = place.start as usize + open;
    Place { file: place.file, start: (base + start) as u32, end: (base + end).min(place.end as usize) as u32 }
}

/// Length of the line break that `text` begins with.
fn line_break(text: &str) -> usize {
    match text {
        t if t.starts_with("\r\n") => 2,
        t if t.starts_with('\n') => 1,
        _ => 0,
    }
}

/// Where in `body` the byte of number `target` of its content comes from, reading from `at` on.
fn source_offset(body: &str, mut at: usize, escapes: bool, target: usize) -> usize {
    let mut decoded = 0;
    while decoded < target && at < body.len() {
        let rest = &body[at..];
        let (read, made) = if escapes && rest.starts_with('\\') { escape(rest) } else { character(rest) };
        at += read;
        decoded += made;
    }
    // A line that ends in a backslash gives nothing: the next byte of content comes after it.
    while escapes && body[at..].starts_with('\\') && escape(&body[at..]).1 == 0 {
        at += escape(&body[at..]).0;
    }
    at
}

/// Bytes read and bytes made by the character that `rest` begins with.
fn character(rest: &str) -> (usize, usize) {
    let length = rest.chars().next().map_or(1, char::len_utf8);
    (length, length)
}

/// Bytes read and bytes made by the escape that `rest` begins with.
fn escape(rest: &str) -> (usize, usize) {
    let digits = match rest.as_bytes().get(1) {
        Some(b'x') => 2,
        Some(b'u') => 4,
        Some(b'U') => 8,
        Some(b' ' | b'\t' | b'\r' | b'\n') => {
            let blank = rest[1..].find(|c: char| !c.is_ascii_whitespace()).unwrap_or(rest.len() - 1);
            return (1 + blank, 0);
        }
        Some(_) => return (1 + character(&rest[1..]).0, 1),
        None => return (rest.len(), 1),
    };
    let code = rest.get(2..2 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
    ((2 + digits).min(rest.len()), code.map_or(1, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_inside_a_string_is_found_through_its_escapes() {
        // the literal, what to look for in its content, where that begins in the literal
        let table = [
            (r#""a > b""#, "b", 5),
            (r#"'a > b'"#, "b", 5),
            (r#""s == \"x\" && b""#, "b", 15),
            (r#""\u00fc == b""#, "b", 11),
            ("'''\na >\nb'''", "b", 8),
            ("\"\"\"\r\na > \\\n   b\"\"\"", "b", 14),
            ("\"\"\"a > b\"\"\"", "b", 7),
        ];
        for (literal, wanted, at) in table {
            let text = format!("x = {literal}");
            let (document, problems) = parse(&text, 0);
            assert!(problems.is_empty(), "{literal}: {problems:?}");
            let value = document.get("x").unwrap();
            let Kind::String(content) = &value.kind else { panic!("{literal}") };
            let start = content.rfind(wanted).unwrap();
            let place = inside(literal, value.place, start..start + 1);
            assert_eq!((place.start, place.end), (4 + at, 5 + at), "{literal}");
        }
    }

    #[test]
    fn every_syntax_error_is_told_at_once() {
        let (_, problems) = parse("a = \nb = 'x\n[c\n", 0);
        assert!(problems.len() >= 2, "{problems:?}");
    }

    #[test]
    fn entries_keep_the_order_of_the_text() {
        let (table, _) = parse("z = 1\na = { y = 1, b = 2 }\n[m]\n", 0);
        assert_eq!(table.entries.iter().map(|e| e.key.as_str()).collect::<Vec<_>>(), ["z", "a", "m"]);
    }
}
