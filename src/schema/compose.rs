//! Schemas made from schemas: one node as a schema of its own, a part of a schema, a record of fields from several.

use super::arena::{Field, Kind, Logical, Name, Node, NodeId, RecordType, Schema};
use std::collections::HashMap;

/// Deepest nesting of types, each named one counted where it is first used. Bounds every recursion over a schema.
pub(super) const MAX_NESTING: usize = 128;

/// A field for [`Schema::record_of`].
#[derive(Clone, Debug)]
pub struct NewField<'s> {
    pub name: String,
    /// Where the field's type comes from.
    pub schema: &'s Schema,
    pub node: NodeId,
    pub default: Option<serde_json::Value>,
    pub doc: Option<String>,
}

impl Schema {
    /// A schema of one type that has no types inside.
    pub fn of(kind: Kind, logical: Option<Logical>) -> Schema {
        debug_assert_eq!(kind.children().count(), 0);
        Schema::from_nodes(vec![Node::new(kind, logical)], NodeId(0))
    }

    /// `["null", T]`, or this schema as it is where it takes null already.
    pub fn optional(&self) -> Schema {
        let nullable = match self.kind(self.root()) {
            Kind::Null => true,
            Kind::Union(branches) => branches.iter().any(|b| *self.kind(*b) == Kind::Null),
            _ => false,
        };
        if nullable {
            return self.clone();
        }
        let mut nodes: Vec<Node> = (0..self.len()).map(|i| self.node(NodeId(i as u32)).clone()).collect();
        let (null, union) = (NodeId(nodes.len() as u32), NodeId(nodes.len() as u32 + 1));
        nodes.push(Node::new(Kind::Null, None));
        let branches = match self.kind(self.root()) {
            Kind::Union(branches) => [null].into_iter().chain(branches.iter().copied()).collect(),
            _ => vec![null, self.root()],
        };
        nodes.push(Node::new(Kind::Union(branches), None));
        Schema::from_nodes(nodes, union)
    }

    /// The type of one node as a schema of its own.
    pub fn subschema(&self, node: NodeId) -> Schema {
        self.try_subschema(node).expect("a schema that was read or composed is nested within the bound")
    }

    /// As [`Schema::subschema`], of an arena whose nesting has not been held against the bound yet.
    pub(super) fn try_subschema(&self, node: NodeId) -> Result<Schema, Refusal> {
        let mut copier = Copier::default();
        let root = copier.copy(self, node, 0)?;
        Ok(Schema::from_nodes(copier.nodes, root))
    }

    /// A record of fields whose types come from any schemas; a named type that several of them use is defined once.
    ///
    /// # Errors
    /// In words: two schemas define the same name differently, or the types are nested too deep.
    pub fn record_of(name: &str, fields: &[NewField<'_>]) -> Result<Schema, String> {
        let mut copier = Copier::default();
        copier.nodes.push(Node::new(Kind::Null, None));
        let mut list = Vec::with_capacity(fields.len());
        for field in fields {
            let node = copier.copy(field.schema, field.node, 1).map_err(|refusal| match refusal {
                Refusal::TooDeep => format!("`{}` nests types deeper than {MAX_NESTING} levels", field.name),
                Refusal::Conflict(other) => {
                    format!(
                        "`{}` brings a type `{other}` that is defined differently elsewhere in the record",
                        field.name
                    )
                }
            })?;
            list.push(Field {
                name: field.name.clone(),
                aliases: Vec::new(),
                doc: field.doc.clone(),
                default: field.default.clone(),
                node,
                attributes: serde_json::Map::new(),
            });
        }
        if copier.named.contains_key(name) {
            return Err(format!("a field's type has the name of the record itself, `{name}`"));
        }
        let record = RecordType { name: Name(name.to_owned()), aliases: Vec::new(), doc: None, fields: list };
        copier.nodes[0].kind = Kind::Record(record);
        Ok(Schema::from_nodes(copier.nodes, NodeId(0)))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    TooDeep,
    /// The full name that has two definitions.
    Conflict(String),
}

/// Copies types from any number of schemas into one arena, in the order of their first use.
#[derive(Default)]
struct Copier<'s> {
    nodes: Vec<Node>,
    /// Of each named type its copy, and where it was copied from.
    named: HashMap<String, (NodeId, &'s Schema, NodeId)>,
}

impl<'s> Copier<'s> {
    fn copy(&mut self, from: &'s Schema, id: NodeId, depth: usize) -> Result<NodeId, Refusal> {
        if depth > MAX_NESTING {
            return Err(Refusal::TooDeep);
        }
        let node = from.node(id);
        let copied = NodeId(self.nodes.len() as u32);
        if let Kind::Record(_) | Kind::Enum(_) | Kind::Fixed(_) = node.kind {
            let name = node.kind.branch_name();
            if let Some((there, schema, other)) = self.named.get(name) {
                let same = std::ptr::eq(*schema, from) && *other == id;
                let same = same || schema.try_subschema(*other)?.to_json() == from.try_subschema(id)?.to_json();
                return if same { Ok(*there) } else { Err(Refusal::Conflict(name.to_owned())) };
            }
            self.named.insert(name.to_owned(), (copied, from, id));
        }
        self.nodes.push(Node { kind: Kind::Null, ..node.clone() });
        let mut inner = |id: NodeId| self.copy(from, id, depth + 1);
        let kind = match &node.kind {
            Kind::Array(item) => Kind::Array(inner(*item)?),
            Kind::Map(item) => Kind::Map(inner(*item)?),
            Kind::Union(branches) => Kind::Union(branches.iter().map(|b| inner(*b)).collect::<Result<_, _>>()?),
            Kind::Record(record) => {
                let mut copy = record.clone();
                for field in &mut copy.fields {
                    field.node = inner(field.node)?;
                }
                Kind::Record(copy)
            }
            leaf => leaf.clone(),
        };
        self.nodes[copied.0 as usize].kind = kind;
        Ok(copied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<'s>(name: &str, schema: &'s Schema, node: NodeId) -> NewField<'s> {
        NewField { name: name.to_owned(), schema, node, default: None, doc: None }
    }

    #[test]
    fn a_record_of_fields_from_several_schemas_defines_each_type_once() {
        let state = r#"{"type":"enum","name":"shop.State","symbols":["A"]}"#;
        let a = Schema::parse(&format!(
            r#"{{"type":"record","name":"shop.A","fields":[{{"name":"s","type":{state}}},{{"name":"t","type":["null","State"]}}]}}"#
        ))
        .unwrap();
        let b = Schema::parse(state).unwrap();
        let amount = Schema::of(Kind::Bytes, Some(Logical::Decimal { precision: 12, scale: 4 })).optional();
        let fields = &a.record().unwrap().fields;
        let mut list = vec![
            field("s", &a, fields[0].node),
            field("again", &b, b.root()),
            field("t", &a, fields[1].node),
            field("amount", &amount, amount.root()),
        ];
        list[3].default = Some(serde_json::Value::Null);
        let made = Schema::record_of("shop.Made", &list).unwrap();
        assert_eq!(
            made.to_json(),
            r#"{"type":"record","name":"Made","namespace":"shop","fields":[{"name":"s","type":{"type":"enum","name":"State","symbols":["A"]}},{"name":"again","type":"shop.State"},{"name":"t","type":["null","shop.State"]},{"name":"amount","type":["null",{"type":"bytes","logicalType":"decimal","precision":12,"scale":4}],"default":null}]}"#
        );
        assert_eq!(Schema::parse(&made.to_json()).unwrap().to_json(), made.to_json());

        let other = Schema::parse(&state.replace("\"A\"", "\"B\"")).unwrap();
        let refused = Schema::record_of("R", &[field("b", &b, b.root()), field("o", &other, other.root())]);
        assert_eq!(
            refused.unwrap_err(),
            "`o` brings a type `shop.State` that is defined differently elsewhere in the record"
        );
        assert!(Schema::record_of("shop.State", &[field("b", &b, b.root())]).is_err());
    }

    #[test]
    fn optional_adds_null_only_where_it_is_missing() {
        let text = |s: &str| Schema::parse(s).unwrap().optional().to_json();
        assert_eq!(text(r#""int""#), r#"["null","int"]"#);
        assert_eq!(text(r#"["int","null"]"#), r#"["int","null"]"#);
        assert_eq!(text(r#"["int","string"]"#), r#"["null","int","string"]"#);
    }
}
