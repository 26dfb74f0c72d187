//! Drafts → one arena: references become indexes, and what needs the whole is checked: unions and defaults.

use super::{
    arena::{Kind, Logical, Node, NodeId, Schema},
    names::{COMPLEX, PRIMITIVES, nearest, qualify},
    parse::{Draft, Place, Reader, Reference},
    problem::Problem,
};
use std::{collections::HashSet, mem};

/// So many unknown names are told with the known one that is nearest: each takes a look at all known ones.
pub(super) const NEAR_NAMES: usize = 20;

/// All the types of some texts that were read together.
#[derive(Debug)]
pub(super) struct Linked {
    /// Every type, used or not; take a usable one out with [`Schema::subschema`].
    pub arena: Schema,
    /// Of each type whether something is wrong with it or, once that has been spread, with any type below it.
    bad: Vec<bool>,
    /// Of each type those directly around it.
    around: Vec<Vec<NodeId>>,
}

impl Linked {
    fn new(arena: Schema, bad: Vec<bool>) -> Linked {
        let mut around = vec![Vec::new(); arena.len()];
        for id in (0..arena.len()).map(|i| NodeId(i as u32)) {
            arena.kind(id).children().for_each(|child| around[child.0 as usize].push(id));
        }
        Linked { arena, bad, around }
    }

    /// Whether nothing is wrong with the type or any type below it.
    pub fn usable(&self, id: NodeId) -> bool {
        self.bad.get(id.0 as usize).is_some_and(|bad| !bad)
    }

    /// Makes everything around these bad types bad.
    fn spread(&mut self, mut open: Vec<NodeId>) {
        while let Some(id) = open.pop() {
            for outer in &self.around[id.0 as usize] {
                if !mem::replace(&mut self.bad[outer.0 as usize], true) {
                    open.push(*outer);
                }
            }
        }
    }
}

impl Reader<'_> {
    /// Links everything that has been read. Problems are added to [`Reader::problems`]; the drafts are used up but for
    /// their places.
    pub fn link(&mut self) -> Linked {
        self.resolve();
        // Where each branch of a union is written: after the next step it is known only by what it refers to.
        let unions = self.unions();
        let targets: Vec<Option<NodeId>> = self.drafts.iter().map(|d| d.target).collect();
        for child in self.drafts.iter_mut().flat_map(|d| d.node.kind.children_mut()) {
            *child = targets[child.0 as usize].unwrap_or(*child);
        }
        let taken = |d: &mut Draft| mem::replace(&mut d.node, Node::new(Kind::Null, None));
        let mut nodes: Vec<Node> = self.drafts.iter_mut().map(taken).collect();
        if nodes.is_empty() {
            // No text was JSON at all; an arena has a root nevertheless.
            nodes.push(Node::new(Kind::Null, None));
        }
        let bad = self.drafts.iter().map(|d| d.bad).collect();
        let mut linked = Linked::new(Schema::from_nodes(nodes, NodeId(0)), bad);
        for (union, branches) in unions {
            self.check_union(&mut linked, union, &branches);
        }
        let bad = linked.bad.iter().enumerate().filter(|(_, bad)| **bad).map(|(i, _)| NodeId(i as u32)).collect();
        linked.spread(bad);
        self.check_defaults(&mut linked);
        linked
    }

    /// The definition that a draft stands for: itself, unless it is a reference.
    pub fn target(&self, id: NodeId) -> NodeId {
        self.drafts.get(id.0 as usize).and_then(|d| d.target).unwrap_or(id)
    }

    fn resolve(&mut self) {
        let mut known: Vec<String> = self.named.keys().cloned().collect();
        known.sort_unstable();
        let mut unknown = 0;
        for reference in mem::take(&mut self.references) {
            let Reference { node, name, namespace } = &reference;
            // A name without a dot is of the enclosing namespace; Java falls back to no namespace, and so do we.
            let found = self.named.get(&qualify(name, namespace)).or_else(|| self.named.get(name)).copied();
            let index = node.0 as usize;
            self.drafts[index].target = found;
            if found.is_none() {
                self.drafts[index].bad = true;
                unknown += 1;
                let known = known.iter().map(String::as_str).chain(PRIMITIVES).chain(COMPLEX);
                let near = if unknown > NEAR_NAMES { None } else { nearest(name, known) };
                let place = &self.drafts[index].place;
                let problem = Problem::error(place.span.clone(), "unknown-type", format!("there is no type `{name}`"))
                    .help(match (foreign(name), near) {
                        (Some(avro), _) => format!("write {avro}"),
                        (None, _) if name.ends_with('?') => {
                            format!("a type that may be null is [\"null\", \"{}\"]", name.trim_end_matches('?'))
                        }
                        (None, Some(near)) => format!("did you mean \"{near}\"?"),
                        (None, None) => {
                            "a named type is written with its namespace, and defined in some .avsc".to_owned()
                        }
                    });
                self.problems.push((place.text, problem));
            }
        }
    }

    fn unions(&self) -> Vec<(NodeId, Vec<NodeId>)> {
        let drafts = self.drafts.iter().enumerate();
        let unions = drafts.filter_map(|(i, d)| match &d.node.kind {
            Kind::Union(branches) => Some((NodeId(i as u32), branches.clone())),
            _ => None,
        });
        unions.collect()
    }

    fn check_union(&mut self, linked: &mut Linked, union: NodeId, written: &[NodeId]) {
        let mut seen = HashSet::new();
        for id in written {
            let target = self.target(*id);
            if linked.bad[target.0 as usize] {
                continue;
            }
            let kind = linked.arena.kind(target);
            let (code, message) = match kind {
                Kind::Union(_) => ("nested-union", "a union cannot stand directly inside a union".to_owned()),
                _ if seen.insert(kind.branch_name()) => continue,
                _ => ("duplicate-branch", format!("the union already has a branch of type `{}`", kind.branch_name())),
            };
            let help = match code {
                "nested-union" => "list its branches in the outer union",
                _ => "only records, enums and fixed may stand several times in a union, under different names",
            };
            linked.bad[union.0 as usize] = true;
            let Place { text, span } = &self.drafts[id.0 as usize].place;
            self.problems.push((*text, Problem::error(span.clone(), code, message).help(help)));
        }
    }

    fn check_defaults(&mut self, linked: &mut Linked) {
        for default in mem::take(&mut self.defaults) {
            let Kind::Record(record) = linked.arena.kind(default.record) else { continue };
            let Some(field) = record.fields.get(default.field) else { continue };
            let Some(value) = &field.default else { continue };
            if !linked.usable(field.node) {
                continue;
            }
            if let Err(why) = linked.arena.default_bytes(field.node, value) {
                let message = format!("the default of `{}` does not fit its type: {why}", field.name);
                let problem = Problem::error(default.place.span, "bad-default", message);
                let node = linked.arena.node(field.node);
                let help = match (&node.kind, value) {
                    (Kind::Union(_), _) => "",
                    (_, serde_json::Value::Null) => "a field that may be null has the type [\"null\", …]",
                    (Kind::Int | Kind::Long | Kind::Float | Kind::Double, serde_json::Value::String(s))
                        if s.parse::<f64>().is_ok() =>
                    {
                        "a number has no quotes"
                    }
                    _ if matches!(node.logical, Some(Logical::Decimal { .. })) => DECIMAL_DEFAULT,
                    _ if node.logical.is_some_and(|l| l.clock().is_some() || l == Logical::Date) => {
                        "Avro has it as the number itself, such as 0"
                    }
                    _ => "",
                };
                self.problems.push((default.place.text, problem.help(help)));
                linked.bad[default.record.0 as usize] = true;
                linked.spread(vec![default.record]);
            } else if let serde_json::Value::String(text) = value
                && text.parse::<f64>().is_ok()
                && is_decimal(&linked.arena, field.node)
            {
                let message =
                    format!("the default of `{}` is not {text}: its characters are the number's bytes", field.name);
                let problem = Problem::warning(default.place.span, "default-as-bytes", message).help(DECIMAL_DEFAULT);
                self.problems.push((default.place.text, problem));
            }
        }
    }
}

const DECIMAL_DEFAULT: &str = "Avro has it as the bytes of the number without its point: \"\\u0000\" is 0";

/// Whether a type is a decimal, or one of a union's branches is.
fn is_decimal(schema: &Schema, node: NodeId) -> bool {
    match schema.kind(node) {
        Kind::Union(branches) => branches.iter().any(|b| is_decimal(schema, *b)),
        _ => matches!(schema.node(node).logical, Some(Logical::Decimal { .. })),
    }
}

/// What Avro has for a type that other languages name so.
fn foreign(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "integer" | "int32" | "i32" | "short" | "smallint" => "\"int\"",
        "int64" | "i64" | "bigint" => "\"long\"",
        "bool" => "\"boolean\"",
        "str" | "text" | "varchar" => "\"string\"",
        "number" | "float64" | "f64" | "real" => "\"double\"",
        "float32" | "f32" => "\"float\"",
        "binary" | "blob" => "\"bytes\"",
        "datetime" | "timestamp" | "instant" | "timestamp-millis" => {
            "{\"type\": \"long\", \"logicalType\": \"timestamp-millis\"}"
        }
        "timestamp-micros" => "{\"type\": \"long\", \"logicalType\": \"timestamp-micros\"}",
        "date" => "{\"type\": \"int\", \"logicalType\": \"date\"}",
        "time" | "time-millis" => "{\"type\": \"int\", \"logicalType\": \"time-millis\"}",
        "uuid" => "{\"type\": \"string\", \"logicalType\": \"uuid\"}",
        "decimal" | "numeric" | "money" => {
            "{\"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": 12, \"scale\": 2}"
        }
        "list" => "{\"type\": \"array\", \"items\": …}",
        "object" | "struct" => "{\"type\": \"record\", …}",
        _ => return None,
    })
}
