//! Rules broken on purpose: values are tried until the compiled rule says no.

use super::value::{Value, bare, literal};
use crate::{
    config::Rule,
    schema::{Clock, Kind, Logical, NodeId, Schema},
};
use std::collections::HashMap;

/// The most records that are tried for one break.
const TRIES: usize = 5_000;

/// A rule that dead-letters, as far as it can be taken apart without being understood.
#[derive(Debug)]
pub(super) struct Breakable {
    pub name: String,
    /// The fields that its expression names.
    fields: Vec<usize>,
    /// For each of them, values that it may not like.
    candidates: HashMap<usize, Vec<Change>>,
    /// What broke it before: tried first.
    known: Vec<Break>,
}

/// A field, and the number of its change.
type Break = Vec<(usize, usize)>;

/// What becomes of a field's value.
#[derive(Clone, Debug)]
enum Change {
    To(Value),
    /// Of each element of an array: a field of it.
    Inside(usize, Value),
    /// A field of the record.
    Within(usize, Value),
}

impl Breakable {
    pub fn of(rule: &Rule, schema: &Schema) -> Option<Breakable> {
        let record = schema.record().filter(|_| !rule.warn)?;
        let named: Vec<&str> = words(&rule.source).collect();
        let fields: Vec<usize> =
            (0..record.fields.len()).filter(|i| named.contains(&&*record.fields[*i].name)).collect();
        let literals = literals(&rule.source);
        let candidates =
            fields.iter().map(|i| (*i, changes(schema, record.fields[*i].node, &literals, true))).collect();
        Some(Breakable { name: rule.name.clone(), fields, candidates, known: Vec::new() })
    }

    /// The fields of a record that breaks this rule and no rule before it: one or two fields are other than those of the good
    /// one. `breaks` is the compiled rule's own answer.
    pub fn broken(&mut self, good: &[Value], mut breaks: impl FnMut(&[Value]) -> bool) -> Option<Vec<Value>> {
        for known in &self.known {
            let changed = self.changed(good, known);
            if breaks(&changed) {
                return Some(changed);
            }
        }
        let mut tries = 0;
        let mut attempt = |this: &Breakable, change: &Break| {
            tries += 1;
            let changed = this.changed(good, change);
            breaks(&changed).then_some(changed).ok_or(tries < TRIES)
        };
        for change in self.singles().into_iter().chain(self.pairs()) {
            match attempt(self, &change) {
                Ok(changed) => {
                    self.known.push(change);
                    return Some(changed);
                }
                Err(true) => {}
                Err(false) => break,
            }
        }
        None
    }

    fn singles(&self) -> Vec<Break> {
        let of = |field: &usize| (0..self.candidates[field].len()).map(|n| vec![(*field, n)]).collect::<Vec<_>>();
        self.fields.iter().flat_map(of).collect()
    }

    fn pairs(&self) -> Vec<Break> {
        let singles = self.singles();
        let other =
            |a: &Break| singles.iter().filter(|b| b[0].0 > a[0].0).map(|b| vec![a[0], b[0]]).collect::<Vec<_>>();
        singles.iter().flat_map(other).collect()
    }

    fn changed(&self, good: &[Value], change: &Break) -> Vec<Value> {
        let mut fields = good.to_vec();
        for (field, n) in change {
            self.candidates[field][*n].apply(&mut fields[*field]);
        }
        fields
    }
}

impl Change {
    fn apply(&self, value: &mut Value) {
        match (self, value) {
            (Change::To(new), value) => *value = new.clone(),
            (Change::Inside(field, new), Value::Array(items)) => {
                for item in items {
                    Change::Within(*field, new.clone()).apply(item);
                }
            }
            (Change::Within(field, new), Value::Record(fields)) => fields[*field] = new.clone(),
            _ => {}
        }
    }
}

/// Values at the edges of a type, and around what the rule names.
fn changes(schema: &Schema, node: NodeId, literals: &[serde_json::Value], deep: bool) -> Vec<Change> {
    let inner = bare(schema, node);
    let mut changes: Vec<Change> = Vec::new();
    if inner != node {
        changes.push(Change::To(Value::Null));
    }
    match schema.kind(inner) {
        Kind::Array(item) => {
            changes.push(Change::To(Value::Array(Vec::new())));
            if let (Kind::Record(record), true) = (schema.kind(*item), deep) {
                for (i, field) in record.fields.iter().enumerate() {
                    changes.extend(inside(changes_of(schema, field.node, literals), |value| Change::Inside(i, value)));
                }
            }
        }
        Kind::Record(record) if deep => {
            for (i, field) in record.fields.iter().enumerate() {
                changes.extend(inside(changes_of(schema, field.node, literals), |value| Change::Within(i, value)));
            }
        }
        _ => changes.extend(inside(changes_of(schema, inner, literals), Change::To)),
    }
    changes
}

fn inside(values: Vec<Value>, change: impl Fn(Value) -> Change) -> impl Iterator<Item = Change> {
    values.into_iter().map(change)
}

fn changes_of(schema: &Schema, node: NodeId, literals: &[serde_json::Value]) -> Vec<Value> {
    let inner = bare(schema, node);
    let logical = schema.node(inner).logical;
    let mut values = match (schema.kind(inner), logical) {
        (_, Some(Logical::Decimal { precision, .. })) => {
            let most = 10i128.pow(precision.min(38)) - 1;
            [0, -1, -1_000, 1, most, -most].map(|n: i128| Value::Decimal(n.clamp(-most, most))).to_vec()
        }
        (_, Some(Logical::Date)) => [0, -200_000, 200_000].map(Value::Integer).to_vec(),
        (Kind::Int, None) => [0, -1, 1, i64::from(i32::MAX), i64::from(i32::MIN)].map(Value::Integer).to_vec(),
        (Kind::Long, None) => [0, -1, 1, 1_000_000_000_000, -1_000_000_000_000].map(Value::Integer).to_vec(),
        (_, Some(logical)) if logical.clock().is_some_and(|(clock, _)| clock == Clock::Day) => vec![Value::Integer(0)],
        // Instants within the years 1 to 9999, in milliseconds; in microseconds they are near 1970.
        (Kind::Int | Kind::Long, Some(_)) => [0, -60_000_000_000_000, 250_000_000_000_000].map(Value::Integer).to_vec(),
        (Kind::Float | Kind::Double, _) => [0.0, -1.0, 1.5, 1e9, -1e9].map(Value::Float).to_vec(),
        (Kind::Boolean, _) => [true, false].map(Value::Boolean).to_vec(),
        (Kind::String, None) => ["", "no-such-value", "x"].map(|s| Value::Text(s.into())).to_vec(),
        (Kind::Enum(e), _) => (0..e.symbols.len()).map(Value::Symbol).collect(),
        _ => Vec::new(),
    };
    for json in literals {
        match literal(schema, inner, json) {
            Some(Value::Integer(n)) => values.extend([n.saturating_sub(1), n, n.saturating_add(1)].map(Value::Integer)),
            Some(Value::Decimal(n)) => values.extend([n - 1, n, n + 1].map(Value::Decimal)),
            Some(Value::Float(n)) => values.extend([n - 1.0, n, n + 1.0].map(Value::Float)),
            Some(value) => values.push(value),
            None => {}
        }
    }
    if inner != node {
        values.push(Value::Null);
    }
    values
}

/// The names in an expression.
fn words(source: &str) -> impl Iterator<Item = &str> {
    source.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

/// The numbers and texts in an expression.
fn literals(source: &str) -> Vec<serde_json::Value> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(open) = rest.find(['\'', '"']) {
        let quote = rest.as_bytes()[open];
        let Some(length) = rest[open + 1..].find(char::from(quote)) else { break };
        found.push(rest[open + 1..open + 1 + length].into());
        rest = &rest[open + length + 2..];
    }
    let numbers = source.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
    found.extend(numbers.filter_map(|word| serde_json::from_str::<serde_json::Number>(word).ok()).map(Into::into));
    found
}
