//! From a schema and its hints to makers, with every complaint about a hint.

use super::{
    draw::Source,
    hint::{Desk, Hint},
    make::{FieldMaker, Maker, RecordMaker, Reference},
    value::{self, Value, bare},
};
use crate::schema::{Kind, Logical, NodeId, RecordType, Schema};
use serde_json::Value as Json;
use std::sync::Arc;

/// Nulls among the values of a field that takes them, and has no hint about them.
const NULLS: f64 = 0.2;
/// Elements of an array, a map, or bytes without a hint.
const LENGTH: (usize, usize) = (0, 4);
/// Records that a `ref` without a `pool` chooses from.
const POOL: usize = 1000;
const MAX_POOL: u64 = 100_000;

/// A schema under way to its makers.
pub(super) struct Compiler<'d, 'c> {
    pub desk: &'d mut Desk<'c>,
    pub schema: Arc<Schema>,
    pub seed: u64,
    /// Microseconds since the epoch.
    pub start: i64,
    /// The full names of the types whose refs led here, this schema's included.
    pub above: Vec<String>,
    /// Where each counter begins.
    pub counters: Vec<i64>,
    pub pools: Vec<Vec<Vec<Value>>>,
    /// The type and the size of each pool.
    pub pool_names: Vec<(String, usize)>,
    /// Records that are being compiled: one inside itself has to end somewhere.
    open: Vec<NodeId>,
}

impl<'d, 'c> Compiler<'d, 'c> {
    pub fn new(desk: &'d mut Desk<'c>, schema: Arc<Schema>, seed: u64, start: i64, above: Vec<String>) -> Self {
        Compiler {
            desk,
            schema,
            seed,
            start,
            above,
            counters: Vec::new(),
            pools: Vec::new(),
            pool_names: Vec::new(),
            open: Vec::new(),
        }
    }

    /// The makers of a record; `None` where it cannot end: it contains itself, and nothing else is allowed in its place.
    pub fn record(&mut self, node: NodeId) -> Option<RecordMaker> {
        if self.open.contains(&node) {
            return None;
        }
        let schema = self.schema.clone();
        let Kind::Record(record) = schema.kind(node) else { return None };
        self.open.push(node);
        let fields: Vec<_> = (0..record.fields.len()).map(|i| self.field(record, i)).collect();
        self.open.pop();
        let (fields, needs): (Vec<FieldMaker>, Vec<Vec<usize>>) =
            fields.into_iter().collect::<Option<Vec<_>>>()?.into_iter().unzip();
        let order = self.order(record, &needs);
        Some(RecordMaker { fields, order })
    }

    /// A field's maker, and the fields that have to be made before it.
    fn field(&mut self, record: &RecordType, i: usize) -> Option<(FieldMaker, Vec<usize>)> {
        let field = &record.fields[i];
        let hint = self.desk.hint(&record.name.0, field);
        let node = bare(&self.schema, field.node);
        let nullable = node != field.node;
        let mut needs = Vec::new();
        let maker = match self.maker(node, &hint, record, &mut needs) {
            None if nullable => Maker::Constant(Value::Null),
            maker => maker?,
        };
        for key in ["keep", "key"] {
            if hint.get(key).is_some() {
                self.own(&hint, key);
            }
        }
        let when = self.when(&hint, record, nullable, &mut needs);
        let usual = if nullable && when.is_empty() && hint.get("ref").is_none() { NULLS } else { 0.0 };
        let null = match hint.get("null") {
            None => usual,
            Some(_) if !nullable => {
                self.desk.misfit(&hint, "null", "never null");
                0.0
            }
            Some(share) => share.as_f64().filter(|s| (0.0..=1.0).contains(s)).unwrap_or_else(|| {
                self.desk.tell(&hint, &["null"], "a share is a number from 0 to 1", "");
                0.0
            }),
        };
        // A value that an explicit list has to offer is not taken from it.
        let null =
            if hint.get("null").is_none() && matches!(hint.content(), Some("values" | "weights")) { 0.0 } else { null };
        Some((FieldMaker { maker, null, when, keep: hint.is_set("keep") }, needs))
    }

    /// `keep` and `key`: of the fields of the record itself, and true or false.
    fn own(&mut self, hint: &Hint<'_>, key: &'static str) {
        if self.open.len() > 1 {
            // Right where its record stands alone, which a check cannot know.
            if self.desk.checking {
                return;
            }
            self.desk.misfit(hint, key, "a field of a record inside the record");
        } else if !hint.get(key).is_some_and(Json::is_boolean) {
            self.desk.tell(hint, &[key], format!("\"{key}\" is true or false"), "");
        }
    }

    fn when(
        &mut self,
        hint: &Hint<'_>,
        record: &RecordType,
        nullable: bool,
        needs: &mut Vec<usize>,
    ) -> Vec<(usize, Vec<Value>)> {
        let Some(when) = hint.get("when") else { return Vec::new() };
        if !nullable {
            self.desk.misfit(hint, "when", "never null");
            return Vec::new();
        }
        let Json::Object(when) = when else {
            self.desk.tell(
                hint,
                &["when"],
                "\"when\" is an object",
                "write \"when\": {\"event_type\": [\"purchase\"]}",
            );
            return Vec::new();
        };
        let mut conditions = Vec::new();
        for (name, wanted) in when {
            let Some(other) = self.sibling(hint, record, name, &["when", name], needs) else { continue };
            let wanted: Vec<&Json> = wanted.as_array().map_or_else(|| vec![wanted], |list| list.iter().collect());
            let mut values = Vec::new();
            for (i, json) in wanted.into_iter().enumerate() {
                match value::literal(&self.schema, record.fields[other].node, json) {
                    Some(value) => values.push(value),
                    None => {
                        let ty = self.what(record.fields[other].node);
                        let message = format!("{json} is no value of `{name}`, which is {ty}");
                        self.desk.tell(hint, &["when", name, &i.to_string()], message, "");
                    }
                }
            }
            conditions.push((other, values));
        }
        conditions
    }

    /// Another field of the record, which has to be made first.
    pub fn sibling(
        &mut self,
        hint: &Hint<'_>,
        record: &RecordType,
        name: &str,
        path: &[&str],
        needs: &mut Vec<usize>,
    ) -> Option<usize> {
        let found = record.position(name).filter(|i| record.fields[*i].name != hint.field.name);
        match found {
            Some(i) => needs.push(i),
            None => {
                let others = record.fields.iter().map(|f| f.name.as_str()).filter(|n| *n != hint.field.name);
                let message = format!("`{}` has no other field `{name}`", record.name);
                self.desk.tell(
                    hint,
                    path,
                    message,
                    format!("its fields are {}", others.collect::<Vec<_>>().join(", ")),
                );
            }
        }
        found
    }

    /// Fields in an order in which each comes after those that it needs.
    fn order(&mut self, record: &RecordType, needs: &[Vec<usize>]) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::new();
        while order.len() < needs.len() {
            let ready = |i: &usize| !order.contains(i) && needs[*i].iter().all(|n| order.contains(n));
            if let Some(next) = (0..needs.len()).find(ready) {
                order.push(next);
                continue;
            }
            let stuck = (0..needs.len()).find(|i| !order.contains(i)).unwrap_or_default();
            let hint = self.desk.hint(&record.name.0, &record.fields[stuck]);
            self.desk.tell(&hint, &[], "this field and another wait for each other", "let one of the two do without");
            order.push(stuck);
        }
        order
    }

    fn maker(&mut self, node: NodeId, hint: &Hint<'_>, record: &RecordType, needs: &mut Vec<usize>) -> Option<Maker> {
        let schema = self.schema.clone();
        Some(match schema.kind(node) {
            Kind::Array(inner) | Kind::Map(inner) => {
                let (low, high) = self.length(hint).unwrap_or(LENGTH);
                let maker = self.maker(*inner, hint, record, needs);
                let (low, high) = if maker.is_some() { (low, high) } else { (0, 0) };
                let inner = Box::new(maker.unwrap_or(Maker::Constant(Value::Null)));
                match schema.kind(node) {
                    Kind::Array(_) => Maker::Array { item: inner, low, high },
                    _ => Maker::Map { value: inner, low, high },
                }
            }
            Kind::Record(_) => {
                if let Some(key) = hint.content() {
                    self.desk.misfit(hint, key, "a record: its own fields have hints");
                }
                Maker::Record(self.record(node)?)
            }
            Kind::Union(branches) => {
                if let Some(key) = hint.content() {
                    self.desk.misfit(hint, key, "a union of several types");
                }
                let bare = hint.bare();
                let made =
                    branches.iter().enumerate().filter_map(|(i, b)| Some((i, self.maker(*b, &bare, record, needs)?)));
                let made: Vec<_> = made.collect();
                if made.is_empty() {
                    return None;
                }
                Maker::Union(made)
            }
            Kind::Null => Maker::Constant(Value::Null),
            _ => self.scalar(node, hint, record, needs),
        })
    }

    /// The `length` of an array, a map or bytes.
    pub fn length(&mut self, hint: &Hint<'_>) -> Option<(usize, usize)> {
        let given = hint.get("length")?;
        let pair = given.as_array().filter(|pair| pair.len() == 2);
        let bounds = pair.and_then(|p| Some((p[0].as_u64()? as usize, p[1].as_u64()? as usize)));
        let message = match bounds {
            Some((low, high)) if low > high => format!("\"length\" ends before it begins: {low} is more than {high}"),
            Some((_, high)) if high <= 10_000 => return bounds,
            _ => "\"length\" is [least, most], from 0 to 10000".to_owned(),
        };
        self.desk.tell(hint, &["length"], message, "write \"length\": [1, 5]");
        None
    }

    /// A value of a record of another type.
    pub fn reference(&mut self, node: NodeId, hint: &Hint<'_>, skew: Option<f64>) -> Maker {
        let nothing = Maker::Constant(Value::Null);
        let Some((name, field)) = hint.get("ref").and_then(Json::as_str).and_then(|r| r.rsplit_once('.')) else {
            self.desk.tell(hint, &["ref"], "\"ref\" names a field of a record", "write \"ref\": \"shop.Customer.id\"");
            return nothing;
        };
        let catalog = self.desk.catalog;
        let target = catalog.get(name);
        let Some((target, record)) = target.as_ref().and_then(|t| Some((t, t.record()?))) else {
            let records = catalog.names().filter(|n| catalog.get(n).is_some_and(|s| s.record().is_some()));
            let help = format!("records are {}", records.collect::<Vec<_>>().join(", "));
            self.desk.tell(hint, &["ref"], format!("there is no record `{name}`"), help);
            return nothing;
        };
        let Some(index) = record.position(field) else {
            let fields: Vec<&str> = record.fields.iter().map(|f| f.name.as_str()).collect();
            let help = format!("its fields are {}", fields.join(", "));
            self.desk.tell(hint, &["ref"], format!("`{name}` has no field `{field}`"), help);
            return nothing;
        };
        let there = bare(target, record.fields[index].node);
        if !same(&self.schema, node, target, there) {
            let (ours, theirs) = (self.what(node), what(target, there));
            let message = format!("`{}` is {ours}, and `{name}.{field}` is {theirs}", hint.field.name);
            self.desk.tell(hint, &["ref"], message, "the two have to be of one type");
            return nothing;
        }
        if self.above.iter().any(|n| n == name) {
            let message = format!("`{name}` leads back to itself by its refs: {} → {name}", self.above.join(" → "));
            self.desk.tell(hint, &["ref"], message, "leave one of these refs out");
            return nothing;
        }
        let size = self.pool_size(hint);
        let size = if self.desk.checking { 0 } else { size };
        Maker::Reference(Reference { pool: self.pool(name, target.clone(), size), field: index, skew })
    }

    fn pool_size(&mut self, hint: &Hint<'_>) -> usize {
        let Some(given) = hint.get("pool") else { return POOL };
        let size = given.as_u64().filter(|n| (1..=MAX_POOL).contains(n));
        if size.is_none() {
            self.desk.tell(hint, &["pool"], format!("\"pool\" is a number of records, 1 to {MAX_POOL}"), "");
        }
        size.map_or(1, |n| n as usize)
    }

    /// The number of a pool of so many records of a type.
    fn pool(&mut self, name: &str, schema: Arc<Schema>, size: usize) -> usize {
        if let Some(known) = self.pool_names.iter().position(|(n, s)| n == name && *s == size) {
            return known;
        }
        let records = Source::compile(self.desk, schema, self.seed, self.start, &self.above);
        let records = records.map_or_else(Vec::new, |mut source| (0..size).map(|_| source.draw()).collect());
        self.pools.push(records);
        self.pool_names.push((name.to_owned(), size));
        self.pools.len() - 1
    }

    /// A type in words.
    pub fn what(&self, node: NodeId) -> String {
        what(&self.schema, node)
    }
}

/// A type in words, without its null.
pub(super) fn what(schema: &Schema, node: NodeId) -> String {
    let node = bare(schema, node);
    let name = match schema.node(node).logical {
        Some(logical) => logical.name().to_owned(),
        None => match schema.kind(node) {
            Kind::Enum(e) => format!("enum of {}", e.symbols.join(", ")),
            Kind::Record(_) => "record".to_owned(),
            kind => kind.branch_name().to_owned(),
        },
    };
    if name.starts_with(['a', 'e', 'i', 'o']) { format!("an {name}") } else { format!("a {name}") }
}

/// Whether a value of one type is one of the other too.
fn same(schema: &Schema, node: NodeId, other: &Schema, there: NodeId) -> bool {
    if schema.node(node).logical != other.node(there).logical {
        return matches!(
            (schema.node(node).logical, other.node(there).logical),
            (Some(Logical::Decimal { precision: a, scale: b }), Some(Logical::Decimal { precision: c, scale: d })) if b == d && a >= c
        );
    }
    match (schema.kind(node), other.kind(there)) {
        (Kind::Enum(a), Kind::Enum(b)) => a.symbols == b.symbols,
        (Kind::Record(_) | Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Fixed(_), _) => false,
        (a, b) => a == b,
    }
}
