//! What differs between two versions of a schema, field by field, for people.

use super::{
    arena::{EnumType, Field, Kind, NodeId, RecordType, Schema},
    matching::Shown,
    text::registered,
};
use std::{collections::HashSet, fmt};

/// One difference, from the older schema to the newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Dotted path (`items[].sku`); empty for the whole.
    pub path: String,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A field that the older schema lacks: its type, and its default as JSON.
    Added {
        ty: String,
        default: Option<String>,
    },
    /// A field that the newer schema lacks: its type.
    Removed {
        ty: String,
    },
    /// A field under another name, by an alias.
    Renamed {
        from: String,
    },
    Type {
        from: String,
        to: String,
    },
    /// Defaults as JSON; `None` is none.
    Default {
        from: Option<String>,
        to: Option<String>,
    },
    /// An enum's symbols that are new, and those that are gone.
    Symbols {
        added: Vec<String>,
        removed: Vec<String>,
    },
    /// Anything that no reader and no writer minds: documentation, aliases, attributes, an order.
    Words(&'static str),
}

impl Change {
    /// `+`, `-` or `~`.
    pub fn sign(&self) -> char {
        match self {
            Change::Added { .. } => '+',
            Change::Removed { .. } => '-',
            _ => '~',
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the schema" } else { &self.path };
        write!(f, "{} {path}: ", self.change.sign())?;
        let default = |d: &Option<String>| d.clone().unwrap_or_else(|| "none".to_owned());
        match &self.change {
            Change::Added { ty, default: None } => write!(f, "{ty}, without a default"),
            Change::Added { ty, default: Some(default) } => write!(f, "{ty}, default {default}"),
            Change::Removed { ty } => f.write_str(ty),
            Change::Renamed { from } => write!(f, "was {from}"),
            Change::Type { from, to } => write!(f, "{from} → {to}"),
            Change::Default { from, to } => write!(f, "default {} → {}", default(from), default(to)),
            Change::Symbols { added, removed } => {
                let list =
                    |sign: char, symbols: &[String]| symbols.iter().map(|s| format!("{sign}{s}")).collect::<Vec<_>>();
                write!(f, "symbols {}", [list('+', added), list('-', removed)].concat().join(" "))
            }
            Change::Words(what) => write!(f, "{what} differ"),
        }
    }
}

/// Everything that differs, in the order of the newer schema's fields. Nothing means that the two write and read alike,
/// and say the same.
pub fn differences(older: &Schema, newer: &Schema) -> Vec<Difference> {
    let mut walk = Walk { older, newer, seen: HashSet::new(), found: Vec::new() };
    walk.types(older.root(), newer.root(), String::new());
    walk.found
}

struct Walk<'s> {
    older: &'s Schema,
    newer: &'s Schema,
    seen: HashSet<(NodeId, NodeId)>,
    found: Vec<Difference>,
}

impl<'s> Walk<'s> {
    fn note(&mut self, path: &str, change: Change) {
        self.found.push(Difference { path: path.to_owned(), change });
    }

    fn types(&mut self, old: NodeId, new: NodeId, path: String) {
        if !self.seen.insert((old, new)) {
            return;
        }
        let (older, newer) = (self.older, self.newer);
        let (from, to) = (words(older, old), words(newer, new));
        let attributes = |schema: &'s Schema, id| registered(&schema.node(id).attributes);
        if from == to && attributes(older, old).ne(attributes(newer, new)) {
            self.note(&path, Change::Words("attributes of the type"));
        }
        match (older.kind(old), newer.kind(new)) {
            (Kind::Record(a), Kind::Record(b)) => {
                if from != to {
                    self.note(&path, Change::Type { from, to });
                }
                self.records(a, b, &path);
            }
            (Kind::Array(a), Kind::Array(b)) | (Kind::Map(a), Kind::Map(b)) => {
                self.types(*a, *b, format!("{path}[]"));
            }
            (Kind::Enum(a), Kind::Enum(b)) if a.name == b.name => self.enums(a, b, &path),
            (Kind::Union(a), Kind::Union(b)) => {
                if from != to {
                    self.note(&path, Change::Type { from, to });
                }
                for x in b {
                    let name = newer.kind(*x).branch_name();
                    // A difference between branches without an inside has been told with the whole union.
                    if let Some(y) = a.iter().find(|y| older.kind(**y).branch_name() == name)
                        && (inside(newer.kind(*x)) || words(older, *y) == words(newer, *x))
                    {
                        self.types(*y, *x, path.clone());
                    }
                }
            }
            _ if from != to => self.note(&path, Change::Type { from, to }),
            (Kind::Fixed(a), Kind::Fixed(b)) if a.aliases != b.aliases => self.note(&path, Change::Words("aliases")),
            _ => {}
        }
    }

    fn records(&mut self, old: &RecordType, new: &RecordType, path: &str) {
        let mut left: Vec<&Field> = old.fields.iter().collect();
        let dot = if path.is_empty() { "" } else { "." };
        for field in &new.fields {
            let at = format!("{path}{dot}{}", field.name);
            let same = left.iter().position(|f| f.name == field.name);
            let same = same.or_else(|| left.iter().position(|f| field.aliases.contains(&f.name)));
            let Some(same) = same else {
                let default = field.default.as_ref().map(ToString::to_string);
                self.note(&at, Change::Added { ty: words(self.newer, field.node), default });
                continue;
            };
            let was = left.remove(same);
            if was.name != field.name {
                self.note(&at, Change::Renamed { from: was.name.clone() });
            }
            self.types(was.node, field.node, at.clone());
            if was.default != field.default {
                let json = |f: &Field| f.default.as_ref().map(ToString::to_string);
                self.note(&at, Change::Default { from: json(was), to: json(field) });
            }
            for (differs, what) in [
                (was.doc != field.doc, "docs"),
                (was.aliases != field.aliases && was.name == field.name, "aliases"),
                (registered(&was.attributes).ne(registered(&field.attributes)), "attributes"),
            ] {
                if differs {
                    self.note(&at, Change::Words(what));
                }
            }
        }
        for gone in &left {
            self.note(&format!("{path}{dot}{}", gone.name), Change::Removed { ty: words(self.older, gone.node) });
        }
        if old.doc != new.doc {
            self.note(path, Change::Words("docs"));
        }
        if old.aliases != new.aliases {
            self.note(path, Change::Words("aliases"));
        }
        let order = |r: &RecordType, other: &RecordType| {
            r.fields.iter().map(|f| f.name.clone()).filter(|n| other.position(n).is_some()).collect::<Vec<_>>()
        };
        if order(old, new) != order(new, old) {
            self.note(path, Change::Words("orders of the fields"));
        }
    }

    fn enums(&mut self, old: &EnumType, new: &EnumType, path: &str) {
        let beyond = |a: &EnumType, b: &EnumType| -> Vec<String> {
            a.symbols.iter().filter(|s| !b.symbols.contains(s)).cloned().collect()
        };
        let (added, removed) = (beyond(new, old), beyond(old, new));
        if !added.is_empty() || !removed.is_empty() {
            self.note(path, Change::Symbols { added, removed });
        } else if old.symbols != new.symbols {
            self.note(path, Change::Words("orders of the symbols"));
        }
        if old.default != new.default {
            self.note(path, Change::Default { from: old.default.clone(), to: new.default.clone() });
        }
        if old.aliases != new.aliases {
            self.note(path, Change::Words("aliases"));
        }
    }
}

fn inside(kind: &Kind) -> bool {
    matches!(kind, Kind::Record(_) | Kind::Enum(_) | Kind::Array(_) | Kind::Map(_))
}

/// A type as people read it: `array of shop.Item`, `null or string`.
fn words(schema: &Schema, id: NodeId) -> String {
    match schema.kind(id) {
        Kind::Array(item) => format!("array of {}", words(schema, *item)),
        Kind::Map(item) => format!("map of {}", words(schema, *item)),
        Kind::Union(branches) => branches.iter().map(|b| words(schema, *b)).collect::<Vec<_>>().join(" or "),
        Kind::Fixed(fixed) => {
            let of = format!("{} of {} bytes", fixed.name, fixed.size);
            if schema.node(id).logical.is_none() { of } else { format!("{} in {of}", Shown(schema.node(id))) }
        }
        _ => Shown(schema.node(id)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &str) -> Schema {
        let text = format!(r#"{{"type":"record","name":"shop.R","fields":[{fields}]}}"#);
        Schema::parse(&text).unwrap_or_else(|p| panic!("{text}: {p:?}"))
    }

    fn shown(older: &str, newer: &str) -> Vec<String> {
        differences(&record(older), &record(newer)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_difference_is_told_at_its_path() {
        let a = r#"{"name":"a","type":"int"}"#;
        let item = |fields: &str| {
            format!(
                r#"{{"name":"items","type":{{"type":"array","items":{{"type":"record","name":"Item","fields":[{fields}]}}}}}}"#
            )
        };
        let e = |symbols: &str| {
            format!(r#"{{"name":"e","type":["null",{{"type":"enum","name":"E","symbols":[{symbols}]}}]}}"#)
        };
        let decimal = |scale: u32| {
            format!(r#"{{"name":"d","type":{{"type":"bytes","logicalType":"decimal","precision":9,"scale":{scale}}}}}"#)
        };
        let fixed = |name: &str, size: u32, aliases: &str, logical: &str| {
            format!(
                r#"{{"name":"d","type":{{"type":"fixed","name":"{name}","size":{size},"aliases":[{aliases}]{logical}}}}}"#
            )
        };
        let (plain, span) = ("", r#","logicalType":"duration""#);
        let money = r#","logicalType":"decimal","precision":9,"scale":2"#;
        let optional = |field: &str| field.replace("\"type\":{", "\"type\":[\"null\",{").replace("}}", "}]}");
        for (older, newer, expected) in [
            (
                a.to_owned(),
                format!(r#"{a},{{"name":"b","type":"string","default":"x"}}"#),
                "+ b: string, default \"x\"",
            ),
            (
                a.to_owned(),
                format!(r#"{a},{{"name":"b","type":["null","int"]}}"#),
                "+ b: null or int, without a default",
            ),
            (format!(r#"{a},{{"name":"b","type":"long"}}"#), a.to_owned(), "- b: long"),
            (a.to_owned(), r#"{"name":"a","type":"long"}"#.to_owned(), "~ a: int → long"),
            (a.to_owned(), r#"{"name":"b","type":"int","aliases":["a"]}"#.to_owned(), "~ b: was a"),
            (a.to_owned(), r#"{"name":"a","type":"int","default":1}"#.to_owned(), "~ a: default none → 1"),
            (a.to_owned(), r#"{"name":"a","type":"int","doc":"words"}"#.to_owned(), "~ a: docs differ"),
            (item(a), item(r#"{"name":"a","type":"float"}"#), "~ items[].a: int → float"),
            (e(r#""A","B""#), e(r#""B","C""#), "~ e: symbols +C -A"),
            (decimal(2), decimal(4), "~ d: decimal(9, 2) → decimal(9, 4)"),
            (
                fixed("D", 8, "", r#","connect.name":"a""#),
                fixed("D", 8, "", r#","connect.name":"b","pointsman":1"#),
                "~ d: attributes of the type differ",
            ),
            (
                r#"{"name":"a","type":["null","string"]}"#.to_owned(),
                r#"{"name":"a","type":["null",{"type":"string","avro.java.string":"String"}]}"#.to_owned(),
                "~ a: attributes of the type differ",
            ),
            (decimal(2), fixed("D", 8, "", money), "~ d: decimal(9, 2) → decimal(9, 2) in shop.D of 8 bytes"),
            (
                fixed("D", 8, "", money),
                fixed("D", 9, "", money),
                "~ d: decimal(9, 2) in shop.D of 8 bytes → decimal(9, 2) in shop.D of 9 bytes",
            ),
            (
                fixed("D", 12, "", span),
                fixed("E", 12, "", span),
                "~ d: duration in shop.D of 12 bytes → duration in shop.E of 12 bytes",
            ),
            (fixed("D", 8, "", money), fixed("D", 8, "\"C\"", money), "~ d: aliases differ"),
            (fixed("D", 8, "", plain), fixed("D", 8, "\"C\"", plain), "~ d: aliases differ"),
            (optional(&fixed("D", 8, "", plain)), optional(&fixed("D", 8, "\"C\"", plain)), "~ d: aliases differ"),
            (
                optional(&fixed("D", 8, "", plain)),
                optional(&fixed("D", 9, "\"C\"", plain)),
                "~ d: null or shop.D of 8 bytes → null or shop.D of 9 bytes",
            ),
            (e(r#""A""#), e(r#""A""#).replace("\"E\"", "\"E\",\"aliases\":[\"C\"]"), "~ e: aliases differ"),
        ] {
            assert_eq!(shown(&older, &newer), [expected]);
            assert!(shown(&newer, &newer).is_empty());
        }
    }

    #[test]
    fn a_recursive_type_ends_and_an_order_is_told() {
        let tree = |fields: &str| format!(r#"{{"name":"next","type":["null","R"]}},{fields}"#);
        let (a, b) = (r#"{"name":"a","type":"int"}"#, r#"{"name":"b","type":"int"}"#);
        assert_eq!(shown(&tree(a), &tree(b)), ["+ b: int, without a default", "- a: int"]);
        assert_eq!(shown(&format!("{a},{b}"), &format!("{b},{a}")), ["~ the schema: orders of the fields differ"]);
    }
}
