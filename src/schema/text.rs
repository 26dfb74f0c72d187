//! A schema as text: whole, as it is registered, and in Avro's Parsing Canonical Form.

use super::{
    arena::{HINTS, Kind, Logical, Name, Node, NodeId, Schema},
    names::namespace,
};
use serde_json::{Map, Value};
use std::{collections::HashSet, fmt::Write};

impl Schema {
    /// The text to register: self-contained and compact, each named type defined where it is first used, with everything
    /// the arena holds but the generator's hints: another hint is no new version. Equal texts mean equal schemas.
    pub fn to_json(&self) -> String {
        let mut writer = Writer { schema: self, out: String::new(), defined: HashSet::new() };
        writer.write(self.root(), "");
        writer.out
    }

    /// The Parsing Canonical Form of the specification: what decides which bytes are written, and nothing else. Schemas that
    /// differ only in defaults, aliases, documentation or *logical types* have the same one: it does not identify a schema.
    pub fn canonical(&self) -> String {
        let mut writer = Writer { schema: self, out: String::new(), defined: HashSet::new() };
        writer.canonical(self.root());
        writer.out
    }
}

/// What is registered of attributes: all but the generator's hints.
pub(super) fn registered(attributes: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    attributes.iter().filter(|(key, _)| *key != HINTS)
}

struct Writer<'s> {
    schema: &'s Schema,
    out: String,
    defined: HashSet<&'s str>,
}

impl<'s> Writer<'s> {
    fn write(&mut self, id: NodeId, enclosing: &str) {
        let node = self.schema.node(id);
        match &node.kind {
            Kind::Union(branches) => self.list(branches, |w, b| w.write(*b, enclosing)),
            Kind::Array(item) => {
                self.out.push_str(r#"{"type":"array","items":"#);
                self.write(*item, enclosing);
                self.rest(node);
            }
            Kind::Map(item) => {
                self.out.push_str(r#"{"type":"map","values":"#);
                self.write(*item, enclosing);
                self.rest(node);
            }
            Kind::Fixed(_) | Kind::Enum(_) | Kind::Record(_) if !self.defined.insert(node.kind.branch_name()) => {
                self.string(node.kind.branch_name());
            }
            Kind::Fixed(fixed) => {
                self.head("fixed", &fixed.name, &fixed.aliases, enclosing);
                self.put(format_args!(r#","size":{}"#, fixed.size));
                self.rest(node);
            }
            Kind::Enum(e) => {
                self.head("enum", &e.name, &e.aliases, enclosing);
                self.out.push_str(r#","symbols":"#);
                self.list(&e.symbols, |w, s| w.string(s));
                if let Some(default) = &e.default {
                    self.out.push_str(r#","default":"#);
                    self.string(default);
                }
                self.rest(node);
            }
            Kind::Record(record) => {
                self.head("record", &record.name, &record.aliases, enclosing);
                self.doc(record.doc.as_deref());
                self.out.push_str(r#","fields":"#);
                self.list(&record.fields, |w, field| w.field(field, namespace(&record.name.0)));
                self.rest(node);
            }
            primitive if node.logical.is_none() && registered(&node.attributes).next().is_none() => {
                self.string(primitive.branch_name());
            }
            primitive => {
                self.out.push_str(r#"{"type":"#);
                self.string(primitive.branch_name());
                self.rest(node);
            }
        }
    }

    fn field(&mut self, field: &'s super::arena::Field, enclosing: &str) {
        self.out.push_str(r#"{"name":"#);
        self.string(&field.name);
        self.out.push_str(r#","type":"#);
        self.write(field.node, enclosing);
        self.doc(field.doc.as_deref());
        if let Some(default) = &field.default {
            self.put(format_args!(r#","default":{default}"#));
        }
        if !field.aliases.is_empty() {
            self.out.push_str(r#","aliases":"#);
            self.list(&field.aliases, |w, alias| w.string(alias));
        }
        self.attributes(&field.attributes);
        self.out.push('}');
    }

    /// What every type may have, and the end of its object.
    fn rest(&mut self, node: &Node) {
        self.logical(node.logical);
        self.attributes(&node.attributes);
        self.out.push('}');
    }

    fn attributes(&mut self, attributes: &Map<String, Value>) {
        for (key, value) in registered(attributes) {
            self.out.push(',');
            self.string(key);
            self.put(format_args!(":{value}"));
        }
    }

    /// A named type up to its aliases, the object left open.
    fn head(&mut self, ty: &str, name: &Name, aliases: &'s [Name], enclosing: &str) {
        self.put(format_args!(r#"{{"type":"{ty}","name":"#));
        self.string(name.short());
        let space = namespace(&name.0);
        if space != enclosing {
            self.out.push_str(r#","namespace":"#);
            self.string(space);
        }
        if !aliases.is_empty() {
            self.out.push_str(r#","aliases":"#);
            self.list(aliases, |w, alias| w.string(&alias.0));
        }
    }

    fn doc(&mut self, doc: Option<&str>) {
        if let Some(doc) = doc {
            self.out.push_str(r#","doc":"#);
            self.string(doc);
        }
    }

    fn logical(&mut self, logical: Option<Logical>) {
        let Some(logical) = logical else { return };
        self.put(format_args!(r#","logicalType":"{}""#, logical.name()));
        if let Logical::Decimal { precision, scale } = logical {
            self.put(format_args!(r#","precision":{precision},"scale":{scale}"#));
        }
    }

    fn canonical(&mut self, id: NodeId) {
        let kind = self.schema.kind(id);
        match kind {
            Kind::Union(branches) => self.list(branches, |w, b| w.canonical(*b)),
            Kind::Array(item) | Kind::Map(item) => {
                let array = matches!(kind, Kind::Array(_));
                self.out.push_str(if array { r#"{"type":"array","items":"# } else { r#"{"type":"map","values":"# });
                self.canonical(*item);
                self.out.push('}');
            }
            Kind::Fixed(_) | Kind::Enum(_) | Kind::Record(_) => {
                let name = kind.branch_name();
                if !self.defined.insert(name) {
                    return self.string(name);
                }
                self.out.push_str(r#"{"name":"#);
                self.string(name);
                match kind {
                    Kind::Fixed(fixed) => self.put(format_args!(r#","type":"fixed","size":{}"#, fixed.size)),
                    Kind::Enum(e) => {
                        self.out.push_str(r#","type":"enum","symbols":"#);
                        self.list(&e.symbols, |w, s| w.string(s));
                    }
                    Kind::Record(record) => {
                        self.out.push_str(r#","type":"record","fields":"#);
                        self.list(&record.fields, |w, field| {
                            w.out.push_str(r#"{"name":"#);
                            w.string(&field.name);
                            w.out.push_str(r#","type":"#);
                            w.canonical(field.node);
                            w.out.push('}');
                        });
                    }
                    _ => {}
                }
                self.out.push('}');
            }
            primitive => self.string(primitive.branch_name()),
        }
    }

    fn list<T>(&mut self, items: &'s [T], mut one: impl FnMut(&mut Self, &'s T)) {
        self.out.push('[');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            one(self, item);
        }
        self.out.push(']');
    }

    fn string(&mut self, text: &str) {
        self.put(format_args!("{}", Value::from(text)));
    }

    fn put(&mut self, args: std::fmt::Arguments<'_>) {
        self.out.write_fmt(args).expect("a String takes whatever is written to it");
    }
}
