//! A JSON record in the making, and the flaws that it may be given.

use super::{Chance, Expect, Generated};
use crate::failure::Stage;
use serde_json::{Map, Value};

/// 2024-06-01T00:00:00Z in milliseconds: when every generated world begins.
pub const BEGIN: i64 = 1_717_200_000_000;

/// A way to be bad, and what the record fails with.
pub struct Flaw {
    pub stage: Stage,
    pub code: &'static str,
    pub spoil: Spoil,
}

/// Where a flaw is put in.
pub enum Spoil {
    Field(fn(&mut Map<String, Value>)),
    /// The JSON text.
    Text(fn(&str) -> Vec<u8>),
}

/// A flaw of a field that its type refuses.
pub const fn decode(code: &'static str, spoil: fn(&mut Map<String, Value>)) -> Flaw {
    Flaw { stage: Stage::Decode, code, spoil: Spoil::Field(spoil) }
}

/// A flaw that the rule of this name refuses.
pub const fn rule(name: &'static str, spoil: fn(&mut Map<String, Value>)) -> Flaw {
    Flaw { stage: Stage::Validate, code: name, spoil: Spoil::Field(spoil) }
}

/// A flaw of the text.
pub const fn text(stage: Stage, code: &'static str, spoil: fn(&str) -> Vec<u8>) -> Flaw {
    Flaw { stage, code, spoil: Spoil::Text(spoil) }
}

/// A record whose value is a JSON object.
pub struct Draft {
    pub topic: &'static str,
    pub key: String,
    pub fields: Map<String, Value>,
    pub headers: Vec<(&'static str, String)>,
}

impl Draft {
    /// `value` is an object.
    pub fn new(topic: &'static str, key: String, value: Value) -> Draft {
        let Value::Object(fields) = value else { unreachable!("json!({{…}}) makes an object") };
        Draft { topic, key, fields, headers: Vec::new() }
    }

    /// The record as it is.
    pub fn good(self, expect: Expect) -> Generated {
        let value = Value::Object(self.fields).to_string().into_bytes();
        let Draft { topic, key, headers, .. } = Draft { fields: Map::new(), ..self };
        Generated { topic, key: key.into_bytes(), value: Some(value), headers, expect }
    }

    /// The record with one of these flaws.
    pub fn bad(mut self, chance: &mut Chance, flaws: &[Flaw]) -> Generated {
        let flaw = &flaws[(chance.next() % flaws.len() as u64) as usize];
        let expect = Expect::Dead { stage: flaw.stage, code: flaw.code };
        match flaw.spoil {
            Spoil::Field(spoil) => {
                spoil(&mut self.fields);
                self.good(expect)
            }
            Spoil::Text(spoil) => {
                let mut record = self.good(expect);
                let spoiled = record.value.as_deref().map(|v| spoil(&String::from_utf8_lossy(v)));
                record.value = spoiled;
                record
            }
        }
    }
}

/// An instant as RFC 3339.
pub fn instant(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).unwrap_or_default().to_string()
}

/// A day as RFC 3339, so many days after the world's first.
pub fn day(days: i64) -> String {
    instant(BEGIN + days * 86_400_000)[..10].to_owned()
}

/// Hundredths as text: 1999 is 19.99.
pub fn cents(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}

/// Hundredths as a JSON number.
pub fn cents_number(cents: i64) -> Value {
    Value::from(cents as f64 / 100.0)
}
