//! Text → drafts of types: one pass over each text that declares its named types and notes what is to be linked later.
//!
//! References are linked only when every text has been read, so types may stand in any order and in any file;
//! `to_json` writes each at its first use, as the specification asks.

use super::{
    arena::{EnumType, Field, Fixed, Kind, Logical, Name, Node, NodeId, RecordType},
    json::{Json, Value},
    logical,
    names::{COMPLEX, PRIMITIVES, is_full_name, is_name, namespace, nearest, primitive, qualify},
    problem::{Problem, line},
};
use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

/// A byte range of one of the texts.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub text: usize,
    pub span: Range<usize>,
}

/// A type as it has been read.
#[derive(Debug)]
pub(super) struct Draft {
    pub node: Node,
    pub place: Place,
    /// The definition this one only refers to, once it is linked.
    pub target: Option<NodeId>,
    /// Something is wrong with it, and has been told.
    pub bad: bool,
}

/// A name that stands for a type defined elsewhere: as it is written, and the namespace it is written in.
#[derive(Debug)]
pub(super) struct Reference {
    pub node: NodeId,
    pub name: String,
    pub namespace: String,
}

/// A default to be held against its field's type.
#[derive(Debug)]
pub(super) struct DefaultOf {
    pub record: NodeId,
    pub field: usize,
    pub place: Place,
}

/// A text that is read, with the words that tell it apart from the others.
#[derive(Debug)]
pub(super) struct Source<'t> {
    pub text: &'t str,
    pub label: String,
    /// A type that an earlier text has defined may be defined again: the first one stands.
    pub reference: bool,
}

#[derive(Debug, Default)]
pub(super) struct Reader<'t> {
    pub sources: Vec<Source<'t>>,
    pub drafts: Vec<Draft>,
    pub named: HashMap<String, NodeId>,
    pub references: Vec<Reference>,
    pub defaults: Vec<DefaultOf>,
    /// Each with the number of its text.
    pub problems: Vec<(usize, Problem)>,
}

impl<'t> Reader<'t> {
    /// Reads one text; `None` when it is not JSON at all.
    pub fn read(&mut self, source: Source<'t>) -> Option<NodeId> {
        let json = Json::parse(source.text);
        self.sources.push(source);
        match json {
            Ok(json) => Some(self.ty(&json, "")),
            Err(problem) => {
                self.tell(problem);
                None
            }
        }
    }

    fn tell(&mut self, problem: Problem) {
        self.problems.push((self.sources.len() - 1, problem));
    }

    fn error(&mut self, span: &Range<usize>, code: &'static str, message: impl Into<String>, help: impl Into<String>) {
        self.tell(Problem::error(span.clone(), code, message).help(help));
    }

    fn draft(&mut self, kind: Kind, span: &Range<usize>) -> NodeId {
        let id = NodeId(self.drafts.len() as u32);
        let place = Place { text: self.sources.len() - 1, span: span.clone() };
        self.drafts.push(Draft { node: Node::new(kind, None), place, target: None, bad: false });
        id
    }

    /// A stand-in for a type that cannot be read, so that the rest is still looked at.
    fn bad(&mut self, span: &Range<usize>) -> NodeId {
        let id = self.draft(Kind::Null, span);
        self.drafts[id.0 as usize].bad = true;
        id
    }

    fn spoil(&mut self, id: NodeId) {
        self.drafts[id.0 as usize].bad = true;
    }

    fn ty(&mut self, json: &Json, namespace: &str) -> NodeId {
        match &json.value {
            Value::String(name) => self.name(name, &json.span, namespace),
            Value::Array(branches) => self.union(json, branches, namespace),
            Value::Object(_) => self.object(json, namespace),
            _ => {
                let message = format!("a type is a name, an object or an array (a union), not {}", json.what());
                self.error(&json.span, "not-a-type", message, "");
                self.bad(&json.span)
            }
        }
    }

    fn name(&mut self, name: &str, span: &Range<usize>, namespace: &str) -> NodeId {
        if let Some(kind) = primitive(name) {
            return self.draft(kind, span);
        }
        let node = self.draft(Kind::Null, span);
        if COMPLEX.contains(&name) {
            let help = format!("write it as an object: {{\"type\": \"{name}\", …}}");
            self.error(span, "not-a-type", format!("\"{name}\" alone is not a type"), help);
            self.spoil(node);
        } else {
            let (name, namespace) = (name.to_owned(), namespace.to_owned());
            self.references.push(Reference { node, name, namespace });
        }
        node
    }

    fn union(&mut self, json: &Json, branches: &[Json], namespace: &str) -> NodeId {
        let branches: Vec<NodeId> = branches.iter().map(|b| self.ty(b, namespace)).collect();
        if branches.is_empty() {
            self.error(&json.span, "empty-union", "a union needs at least one branch", "");
            return self.bad(&json.span);
        }
        self.draft(Kind::Union(branches), &json.span)
    }

    fn object(&mut self, json: &Json, namespace: &str) -> NodeId {
        let Some(ty) = json.get("type") else {
            self.error(&json.span, "missing-attribute", "a type written as an object needs a \"type\"", "");
            return self.bad(&json.span);
        };
        let Some(word) = ty.as_str() else {
            let help = "write the inner type in place of the object around it";
            self.error(&ty.span, "not-a-type", format!("\"type\" of a type is a name here, not {}", ty.what()), help);
            return self.bad(&json.span);
        };
        let id = match word {
            "record" => self.record(json, namespace),
            "enum" => self.enumeration(json, namespace),
            "fixed" => self.fixed(json, namespace),
            "array" => self.container(json, namespace, "items", Kind::Array),
            "map" => self.container(json, namespace, "values", Kind::Map),
            name => match primitive(name) {
                Some(kind) => self.draft(kind, &json.span),
                None => self.name(name, &ty.span, namespace),
            },
        };
        let mut problems = Vec::new();
        let node = &mut self.drafts[id.0 as usize].node;
        if !matches!(word, "record" | "enum") {
            node.logical = logical::read(json, &node.kind, &mut problems);
        }
        node.attributes = attributes(json, node);
        problems.into_iter().for_each(|p| self.tell(p));
        id
    }

    fn container(&mut self, json: &Json, namespace: &str, key: &str, kind: fn(NodeId) -> Kind) -> NodeId {
        match json.get(key) {
            Some(inner) => {
                let inner = self.ty(inner, namespace);
                self.draft(kind(inner), &json.span)
            }
            None => {
                let message = format!("this type needs \"{key}\": the type of what it holds");
                let help = format!("write \"{key}\": \"string\", or another type");
                self.error(&json.span, "missing-attribute", message, help);
                self.bad(&json.span)
            }
        }
    }

    fn fixed(&mut self, json: &Json, enclosing: &str) -> NodeId {
        let (id, name, _) = self.define(json, enclosing, "fixed");
        let size = match json.get("size").map(|s| (s, &s.value)) {
            Some((_, Value::Number(n))) if n.as_u64().is_some_and(|n| n <= i32::MAX as u64) => n.as_u64().unwrap_or(0),
            Some((found, _)) => {
                self.error(&found.span, "bad-attribute", "\"size\" is a number of bytes, 0 to 2147483647", "");
                self.spoil(id);
                0
            }
            None => {
                self.error(&json.span, "missing-attribute", "a fixed needs a \"size\" in bytes", "");
                self.spoil(id);
                0
            }
        };
        let aliases = self.aliases(json, namespace(&name.0));
        self.drafts[id.0 as usize].node.kind = Kind::Fixed(Fixed { name, aliases, size: size as usize });
        id
    }

    fn enumeration(&mut self, json: &Json, enclosing: &str) -> NodeId {
        let (id, name, _) = self.define(json, enclosing, "enum");
        let (mut symbols, mut seen) = (Vec::new(), HashSet::new());
        let listed = match json.get("symbols").map(|s| &s.value) {
            Some(Value::Array(listed)) => listed.as_slice(),
            _ => {
                let span = json.get("symbols").map_or(&json.span, |s| &s.span);
                self.error(
                    span,
                    "missing-attribute",
                    "an enum needs \"symbols\": an array of names",
                    "write \"symbols\": [\"open\", \"done\"]",
                );
                self.spoil(id);
                &[]
            }
        };
        for item in listed {
            let (problem, help) = match item.as_str() {
                Some(s) if !is_name(s) => (format!("the symbol \"{s}\" is not a name"), NAME_HELP),
                Some(s) if !seen.insert(s) => (format!("the symbol \"{s}\" stands twice"), "take one of the two out"),
                Some(s) => {
                    symbols.push(s.to_owned());
                    continue;
                }
                None => (format!("a symbol is a string, not {}", item.what()), NAME_HELP),
            };
            self.error(&item.span, "bad-symbol", problem, help);
            self.spoil(id);
        }
        let default = json.get("default").and_then(|d| {
            let known = d.as_str().filter(|s| seen.contains(s));
            if known.is_none() {
                let near = d.as_str().and_then(|s| nearest(s, symbols.iter().map(String::as_str)));
                let help = near.map_or(String::new(), |n| format!("did you mean \"{n}\"?"));
                self.error(&d.span, "bad-default", "an enum's default is one of its symbols", help);
                self.spoil(id);
            }
            known.map(str::to_owned)
        });
        let aliases = self.aliases(json, namespace(&name.0));
        self.drafts[id.0 as usize].node.kind = Kind::Enum(EnumType { name, aliases, symbols, default });
        id
    }

    fn record(&mut self, json: &Json, enclosing: &str) -> NodeId {
        let (id, name, space) = self.define(json, enclosing, "record");
        let listed = match json.get("fields").map(|f| &f.value) {
            Some(Value::Array(listed)) => listed.as_slice(),
            _ => {
                let span = json.get("fields").map_or(&json.span, |f| &f.span);
                self.error(
                    span,
                    "missing-attribute",
                    "a record needs \"fields\": an array of objects",
                    "write \"fields\": [{\"name\": …, \"type\": …}]",
                );
                self.spoil(id);
                &[]
            }
        };
        let (mut fields, mut seen) = (Vec::new(), HashSet::new());
        for item in listed {
            let Some((field, at, default)) = self.field(item, &space) else {
                self.spoil(id);
                continue;
            };
            if !seen.insert(field.name.clone()) {
                self.error(&at, "duplicate-field", format!("the field \"{}\" stands twice", field.name), "");
                self.spoil(id);
                continue;
            }
            if let Some(span) = default {
                let place = Place { text: self.sources.len() - 1, span };
                self.defaults.push(DefaultOf { record: id, field: fields.len(), place });
            }
            fields.push(field);
        }
        let aliases = self.aliases(json, namespace(&name.0));
        let doc = self.doc(json);
        self.drafts[id.0 as usize].node.kind = Kind::Record(RecordType { name, aliases, doc, fields });
        id
    }

    /// A field, the place of its name, and that of its default.
    fn field(&mut self, json: &Json, namespace: &str) -> Option<(Field, Range<usize>, Option<Range<usize>>)> {
        let Value::Object(members) = &json.value else {
            self.error(&json.span, "bad-field", format!("a field is an object, not {}", json.what()), "");
            return None;
        };
        let (name, at) = match json.get("name").map(|n| (n, n.as_str())) {
            Some((at, Some(name))) if is_name(name) => (name.to_owned(), at.span.clone()),
            Some((at, _)) => {
                self.error(&at.span, "bad-name", "this is not a field's name", NAME_HELP);
                return None;
            }
            None => {
                self.error(&json.span, "missing-attribute", "a field needs a \"name\"", "");
                return None;
            }
        };
        let Some(ty) = json.get("type") else {
            self.error(&json.span, "missing-attribute", format!("the field \"{name}\" needs a \"type\""), "");
            return None;
        };
        let node = self.ty(ty, namespace);
        if let Some(misplaced) = members.iter().find(|m| m.key == "logicalType") {
            let found = Problem::warning(
                misplaced.key_span.clone(),
                "misplaced-logical-type",
                "a logical type belongs to the type, not to the field: it is ignored here",
            );
            let meant = misplaced.value.as_str().zip(ty.as_str());
            let digits = ["precision", "scale"].map(|key| match json.get(key).map(|j| &j.value) {
                Some(Value::Number(n)) => format!(", \"{key}\": {n}"),
                _ => String::new(),
            });
            self.tell(found.help(meant.map_or(String::new(), |(logical, ty)| {
                format!("write \"type\": {{\"type\": \"{ty}\", \"logicalType\": \"{logical}\"{}}}", digits.concat())
            })));
        }
        // Whether a field may be null is its type's to say; other formats have an attribute for it.
        let says_null = |m: &&super::json::Member| match (&*m.key, &m.value.value) {
            ("nullable" | "optional", Value::Bool(yes)) => *yes,
            ("required", Value::Bool(yes)) => !yes,
            _ => false,
        };
        if let Some(found) = members.iter().find(says_null).filter(|_| !matches!(ty.value, Value::Array(_))) {
            let message = format!("Avro has no \"{}\": it is ignored", found.key);
            let help = format!(
                "a field that may be null has \"type\": [\"null\", {}], \"default\": null",
                ty.as_str().map_or("…".to_owned(), |name| format!("\"{name}\""))
            );
            self.tell(Problem::warning(found.key_span.clone(), "ignored-attribute", message).help(help));
        }
        let own = members.iter().filter(|m| !matches!(&*m.key, "name" | "type" | "doc" | "default" | "aliases"));
        let field = Field {
            aliases: self.alias_names(json),
            doc: self.doc(json),
            default: json.get("default").map(Json::plain),
            node,
            attributes: own.map(|m| (m.key.clone(), m.value.plain())).collect(),
            name,
        };
        Some((field, at, json.get("default").map(|d| d.span.clone())))
    }

    /// Declares a named type: its draft, its full name, and the namespace of what stands inside it.
    fn define(&mut self, json: &Json, enclosing: &str, what: &str) -> (NodeId, Name, String) {
        let id = self.draft(Kind::Null, &json.span);
        let Some(attribute) = json.get("name") else {
            self.error(&json.span, "missing-attribute", format!("the {what} needs a \"name\""), "");
            self.spoil(id);
            return (id, Name(String::new()), enclosing.to_owned());
        };
        let full = self.full_name(json, attribute, enclosing);
        let Some(full) = full else {
            self.spoil(id);
            return (id, Name(String::new()), enclosing.to_owned());
        };
        // The caret of everything that is wrong with a named type as a whole stands under its name.
        self.drafts[id.0 as usize].place.span = attribute.span.clone();
        let text = self.sources.len() - 1;
        match self.named.get(&full) {
            None => {
                self.named.insert(full.clone(), id);
            }
            Some(_) if self.sources[text].reference => {}
            Some(first) => {
                let place = &self.drafts[first.0 as usize].place;
                let other = &self.sources[place.text];
                let within = if place.text == text { String::new() } else { format!(" of {}", other.label) };
                let line = line(other.text, place.span.start);
                let message = format!("the type `{full}` is already defined on line {line}{within}");
                let help = format!("to use that definition, write its name: \"{full}\"");
                self.error(&attribute.span, "duplicate-type", message, help);
                self.spoil(id);
            }
        }
        let space = namespace(&full).to_owned();
        (id, Name(full), space)
    }

    fn full_name(&mut self, json: &Json, attribute: &Json, enclosing: &str) -> Option<String> {
        let name = match attribute.as_str() {
            Some(name) if is_full_name(name) => name,
            _ => {
                self.error(&attribute.span, "bad-name", "this is not the name of a type", NAME_HELP);
                return None;
            }
        };
        let space = match json.get("namespace").map(|n| (n, n.as_str())) {
            None => enclosing,
            Some((_, Some(space))) if space.is_empty() || is_full_name(space) => space,
            Some((at, _)) => {
                self.error(&at.span, "bad-name", "a namespace is names with dots between them", NAME_HELP);
                return None;
            }
        };
        let full = qualify(name, space);
        let short = full.rsplit('.').next().unwrap_or(&full);
        if PRIMITIVES.contains(&short) {
            let message = format!("\"{short}\" is a type of Avro's own and cannot be defined");
            self.error(&attribute.span, "bad-name", message, "choose another name");
            return None;
        }
        Some(full)
    }

    fn aliases(&mut self, json: &Json, namespace: &str) -> Vec<Name> {
        self.alias_names(json).into_iter().map(|alias| Name(qualify(&alias, namespace))).collect()
    }

    fn alias_names(&mut self, json: &Json) -> Vec<String> {
        let Some(attribute) = json.get("aliases") else { return Vec::new() };
        let Value::Array(listed) = &attribute.value else {
            self.error(
                &attribute.span,
                "bad-attribute",
                "\"aliases\" is an array of names",
                "write \"aliases\": [\"name\"]",
            );
            return Vec::new();
        };
        let mut aliases = Vec::new();
        for item in listed {
            match item.as_str() {
                Some(alias) if is_full_name(alias) => aliases.push(alias.to_owned()),
                _ => self.error(&item.span, "bad-name", "this alias is not a name", NAME_HELP),
            }
        }
        aliases
    }

    fn doc(&mut self, json: &Json) -> Option<String> {
        let doc = json.get("doc")?;
        if doc.as_str().is_none() {
            self.error(&doc.span, "bad-attribute", format!("\"doc\" is a string, not {}", doc.what()), "");
        }
        doc.as_str().map(str::to_owned)
    }
}

/// The members of a type's object that its kind and its logical type leave over.
fn attributes(json: &Json, node: &Node) -> serde_json::Map<String, serde_json::Value> {
    let Value::Object(members) = &json.value else { return serde_json::Map::new() };
    let own = |key: &str| match key {
        "type" | "name" | "namespace" | "aliases" | "fields" | "symbols" | "default" | "size" | "items" | "values" => {
            true
        }
        "doc" => matches!(node.kind, Kind::Record(_)),
        "logicalType" => node.logical.is_some(),
        "precision" | "scale" => matches!(node.logical, Some(Logical::Decimal { .. })),
        _ => false,
    };
    members.iter().filter(|m| !own(&m.key)).map(|m| (m.key.clone(), m.value.plain())).collect()
}

const NAME_HELP: &str = "a name has letters, digits and underscores, and begins with no digit";
