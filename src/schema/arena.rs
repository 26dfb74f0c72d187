//! A parsed schema: nodes in an arena, so that a recursive type is a plain index.

use std::fmt;

/// The attribute of a field that holds hints for the generator.
pub const HINTS: &str = "pointsman";

/// Index of a node in its [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A full name: `namespace.Name`, or `Name` where there is no namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(pub String);

impl Name {
    /// The part after the last dot.
    pub fn short(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A whole, self-contained schema.
#[derive(Clone, Debug)]
pub struct Schema {
    nodes: Vec<Node>,
    root: NodeId,
}

/// One type of a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub kind: Kind,
    /// A logical type that fits its kind; one that does not is ignored, as Avro's specification says.
    pub logical: Option<Logical>,
    /// What else the type says, for other readers of its text: attributes that Avro does not define, logical types that
    /// are ignored, an enum's or a fixed's documentation.
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

impl Node {
    pub fn new(kind: Kind, logical: Option<Logical>) -> Node {
        Node { kind, logical, attributes: serde_json::Map::new() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(Fixed),
    Enum(EnumType),
    Array(NodeId),
    Map(NodeId),
    /// Branches in order; never nested, never empty.
    Union(Vec<NodeId>),
    Record(RecordType),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Fixed {
    pub name: Name,
    pub aliases: Vec<Name>,
    /// Bytes.
    pub size: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct EnumType {
    pub name: Name,
    pub aliases: Vec<Name>,
    pub symbols: Vec<String>,
    /// The symbol that a reader takes for one it does not know.
    pub default: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RecordType {
    pub name: Name,
    pub aliases: Vec<Name>,
    pub doc: Option<String>,
    pub fields: Vec<Field>,
}

impl RecordType {
    /// Index of the field of this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: String,
    pub aliases: Vec<String>,
    pub doc: Option<String>,
    /// Avro's JSON form of the default.
    pub default: Option<serde_json::Value>,
    pub node: NodeId,
    /// Attributes that Avro does not define, in their order: hints for the generator.
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

/// Logical types that Pointsman gives a meaning; others are their underlying type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logical {
    /// On bytes or fixed: unscaled two's complement, big endian.
    Decimal {
        precision: u32,
        scale: u32,
    },
    /// Days since 1970-01-01.
    Date,
    TimeMillis,
    TimeMicros,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
    LocalTimestampMillis,
    LocalTimestampMicros,
    LocalTimestampNanos,
    /// On fixed(12): months, days and milliseconds, each four bytes, little endian, unsigned.
    Duration,
    /// On string.
    Uuid,
}

/// What a number of time counts; the coarser first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    Millis,
    Micros,
    Nanos,
}

/// What a number of time counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Midnight.
    Day,
    /// 1970-01-01T00:00:00Z.
    Utc,
    /// 1970-01-01T00:00:00 of a local clock.
    Local,
}

impl Schema {
    /// Puts an arena together. `root` and every index in `nodes` must be inside it.
    pub fn from_nodes(nodes: Vec<Node>, root: NodeId) -> Schema {
        debug_assert!((root.0 as usize) < nodes.len());
        Schema { nodes, root }
    }
    pub fn root(&self) -> NodeId {
        self.root
    }
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }
    pub fn kind(&self, id: NodeId) -> &Kind {
        &self.node(id).kind
    }
    pub fn len(&self) -> usize {
        self.nodes.len()
    }
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
    /// The root as a record, which every validator's schema is.
    pub fn record(&self) -> Option<&RecordType> {
        match self.kind(self.root) {
            Kind::Record(r) => Some(r),
            _ => None,
        }
    }
    /// For `["null", T]` or `[T, "null"]`: the index of null's branch, the index of T's, and T.
    pub fn nullable(&self, id: NodeId) -> Option<(usize, usize, NodeId)> {
        let Kind::Union(branches) = self.kind(id) else { return None };
        let [a, b] = branches[..] else { return None };
        match (self.kind(a), self.kind(b)) {
            (Kind::Null, Kind::Null) => None,
            (Kind::Null, _) => Some((0, 1, b)),
            (_, Kind::Null) => Some((1, 0, a)),
            _ => None,
        }
    }
}

impl Kind {
    /// The types directly inside this one, in order.
    pub(super) fn children(&self) -> impl Iterator<Item = NodeId> + '_ {
        let (one, many, fields) = match self {
            Kind::Array(item) | Kind::Map(item) => (Some(*item), &[][..], &[][..]),
            Kind::Union(branches) => (None, branches.as_slice(), &[][..]),
            Kind::Record(record) => (None, &[][..], record.fields.as_slice()),
            _ => (None, &[][..], &[][..]),
        };
        one.into_iter().chain(many.iter().copied()).chain(fields.iter().map(|f| f.node))
    }

    pub(super) fn children_mut(&mut self) -> impl Iterator<Item = &mut NodeId> {
        let (one, many, fields) = match self {
            Kind::Array(item) | Kind::Map(item) => (Some(item), &mut [][..], &mut [][..]),
            Kind::Union(branches) => (None, branches.as_mut_slice(), &mut [][..]),
            Kind::Record(record) => (None, &mut [][..], record.fields.as_mut_slice()),
            _ => (None, &mut [][..], &mut [][..]),
        };
        one.into_iter().chain(many).chain(fields.iter_mut().map(|f| &mut f.node))
    }

    /// What tells a branch of a union from the others: its full name, or its kind where it has none.
    /// Avro's JSON encoding names branches so.
    pub fn branch_name(&self) -> &str {
        match self {
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Int => "int",
            Kind::Long => "long",
            Kind::Float => "float",
            Kind::Double => "double",
            Kind::Bytes => "bytes",
            Kind::String => "string",
            Kind::Array(_) => "array",
            Kind::Map(_) => "map",
            Kind::Union(_) => "union",
            Kind::Fixed(Fixed { name, .. })
            | Kind::Enum(EnumType { name, .. })
            | Kind::Record(RecordType { name, .. }) => &name.0,
        }
    }
}
