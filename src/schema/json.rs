//! JSON with the place of every value, which serde_json does not tell: a problem inside an .avsc gets its line and caret.

use super::problem::Problem;
use std::{collections::HashSet, ops::Range};

/// Deepest nesting of arrays and objects; a schema that `to_json` writes stays below it.
const MAX_DEPTH: usize = 400;

#[derive(Debug)]
pub(super) struct Json {
    pub span: Range<usize>,
    pub value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    Array(Vec<Json>),
    Object(Vec<Member>),
}

#[derive(Debug)]
pub(super) struct Member {
    pub key: String,
    pub key_span: Range<usize>,
    pub value: Json,
}

impl Json {
    /// Reads a whole text; a byte order mark before it is passed over.
    pub fn parse(text: &str) -> Result<Json, Problem> {
        let mut reader = Reader { text, at: if text.starts_with('\u{feff}') { 3 } else { 0 }, depth: 0 };
        let json = reader.value()?;
        reader.space();
        if reader.at < text.len() {
            return Err(reader.unexpected("the end of the file"));
        }
        Ok(json)
    }

    /// An object's member of this key.
    pub fn get(&self, key: &str) -> Option<&Json> {
        match &self.value {
            Value::Object(members) => members.iter().find(|m| m.key == key).map(|m| &m.value),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    /// What stands here, for messages.
    pub fn what(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }

    /// The same without places.
    pub fn plain(&self) -> serde_json::Value {
        use serde_json::Value as Plain;
        match &self.value {
            Value::Null => Plain::Null,
            Value::Bool(b) => Plain::Bool(*b),
            Value::Number(n) => Plain::Number(n.clone()),
            Value::String(s) => Plain::String(s.clone()),
            Value::Array(items) => Plain::Array(items.iter().map(Json::plain).collect()),
            Value::Object(members) => Plain::Object(members.iter().map(|m| (m.key.clone(), m.value.plain())).collect()),
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn unexpected(&self, expected: &str) -> Problem {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            None => {
                // The caret stands under the last character: nothing is shown past the end of a file.
                let end = self.text.trim_end().len();
                let start = self.text[..end].char_indices().next_back().map_or(0, |(i, _)| i);
                Problem::error(start..end, "malformed-json", format!("the file ends where {expected} should stand"))
            }
            Some(c) => {
                let span = self.at..self.at + c.len_utf8();
                let found = Problem::error(span, "malformed-json", format!("expected {expected}, found `{c}`"));
                match c {
                    '/' => found.help("JSON has no comments: put words into a \"doc\" attribute"),
                    '}' | ']' => found.help("JSON takes no comma after the last element"),
                    '\'' => found.help("JSON strings stand in double quotes"),
                    _ if self.text[..self.at].trim().is_empty() => {
                        found.help("an .avsc is JSON, as in {\"type\": \"record\", …}")
                    }
                    _ => found,
                }
            }
        }
    }

    fn value(&mut self) -> Result<Json, Problem> {
        self.space();
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Json { span: start..self.at, value })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, Problem>) -> Result<Value, Problem> {
        if self.depth == MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(Problem::error(self.at..self.at + 1, "nested-too-deep", message));
        }
        self.at += 1;
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn word(&mut self) -> Result<Value, Problem> {
        let rest = &self.text[self.at..];
        for (word, value) in [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.unexpected("a value"))
    }

    fn array(&mut self) -> Result<Value, Problem> {
        let mut items = Vec::new();
        self.space();
        if self.eat(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.space();
            if self.eat(b']') {
                return Ok(Value::Array(items));
            }
            if !self.eat(b',') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    fn object(&mut self) -> Result<Value, Problem> {
        let mut members: Vec<Member> = Vec::new();
        self.space();
        if self.eat(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            members.push(self.member()?);
            self.space();
            if self.eat(b'}') {
                unique(&members)?;
                return Ok(Value::Object(members));
            }
            if !self.eat(b',') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    fn member(&mut self) -> Result<Member, Problem> {
        self.space();
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in double quotes"));
        }
        let key = self.string()?;
        let key_span = start..self.at;
        self.space();
        if !self.eat(b':') {
            return Err(self.unexpected("`:`"));
        }
        Ok(Member { key, key_span, value: self.value()? })
    }

    fn number(&mut self) -> Result<Value, Problem> {
        let start = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        let number = serde_json::from_str(text)
            .map_err(|_| Problem::error(start..self.at, "malformed-json", format!("`{text}` is not a JSON number")))?;
        Ok(Value::Number(number))
    }

    /// serde_json reads the escapes; here only the closing quote is looked for.
    fn string(&mut self) -> Result<String, Problem> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break self.at += 1,
                Some(b'\\') => self.at += 2,
                Some(0x20..) => self.at += 1,
                Some(_) => {
                    let message = "a control character inside a string".to_owned();
                    return Err(Problem::error(self.at..self.at + 1, "malformed-json", message)
                        .help("close the string on its line, or write \\n, \\t or \\u00XX"));
                }
                None => {
                    let message = "this string is never closed".to_owned();
                    return Err(Problem::error(start..start + 1, "malformed-json", message));
                }
            }
        }
        let quoted = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(quoted).map_err(|_| {
            Problem::error(start..self.at, "malformed-json", "a string with an escape that JSON does not have")
        })
    }
}

fn unique(members: &[Member]) -> Result<(), Problem> {
    let mut seen = HashSet::with_capacity(members.len());
    match members.iter().find(|m| !seen.insert(&m.key)) {
        Some(Member { key, key_span, .. }) => {
            Err(Problem::error(key_span.clone(), "duplicate-key", format!("the key \"{key}\" stands twice")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_serde_json_and_spans_hold_their_text() {
        let text = " {\"a\": [1, -2.5e3, \"x\\u00e9\\\"\", true, null], \"ü\": {}} ";
        let json = Json::parse(text).unwrap();
        assert_eq!(json.plain(), serde_json::from_str::<serde_json::Value>(text).unwrap());
        let Value::Object(members) = &json.value else { panic!() };
        assert_eq!(&text[members[0].value.span.clone()], "[1, -2.5e3, \"x\\u00e9\\\"\", true, null]");
        assert_eq!(&text[members[1].key_span.clone()], "\"ü\"");
    }

    #[test]
    fn malformed_json_is_refused_at_its_place() {
        for (text, at, message) in [
            ("", "", "the file ends where a value should stand"),
            ("{\"a\": 1,}", "}", "expected a key in double quotes, found `}`"),
            ("[1 2]", "2", "expected `,` or `]`, found `2`"),
            ("{\"a\" 1}", "1", "expected `:`, found `1`"),
            ("// no", "/", "expected a value, found `/`"),
            ("{\"a\":1,\"a\":2}", "\"a\"", "the key \"a\" stands twice"),
            ("[\"abc", "\"", "this string is never closed"),
            ("[\"abc\\", "\"", "this string is never closed"),
            ("\"a\nb\"", "\n", "a control character inside a string"),
            ("\"\\x\"", "\"\\x\"", "a string with an escape that JSON does not have"),
            ("-", "-", "`-` is not a JSON number"),
            ("1e999", "1e999", "`1e999` is not a JSON number"),
            ("[1]]", "]", "expected the end of the file, found `]`"),
            ("{\"a\": [1,\n", ",", "the file ends where a value should stand"),
        ] {
            let problem = Json::parse(text).unwrap_err();
            assert_eq!((&text[problem.span], &*problem.message), (at, message), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_without_exhausting_the_stack() {
        let problem = Json::parse(&"[".repeat(100_000)).unwrap_err();
        assert_eq!(problem.code, "nested-too-deep");
    }
}
