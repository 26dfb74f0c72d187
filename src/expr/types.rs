//! Types while checking: as [`Type`], but lists, maps and records know which schema node their bytes follow.

use super::Type;
use crate::schema::{Kind, Logical, Node, NodeId, Schema};
use std::{fmt, sync::Arc};

/// A node of a schema: how encoded bytes are to be read.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub schema: Arc<Schema>,
    pub node: NodeId,
}

impl Shape {
    pub fn new(schema: &Arc<Schema>, node: NodeId) -> Shape {
        Shape { schema: schema.clone(), node }
    }
    pub fn kind(&self) -> &Kind {
        self.schema.kind(self.node)
    }
    pub fn logical(&self) -> Option<Logical> {
        self.schema.node(self.node).logical
    }
    pub fn at(&self, node: NodeId) -> Shape {
        Shape { schema: self.schema.clone(), node }
    }
    /// The branch that is not null, of a nullable union; anything else is itself.
    pub fn solid(&self) -> (Shape, bool) {
        match self.schema.nullable(self.node) {
            Some((_, _, inner)) => (self.at(inner), true),
            None => (self.clone(), false),
        }
    }
    pub fn same_place(&self, other: &Shape) -> bool {
        Arc::ptr_eq(&self.schema, &other.schema) && self.node == other.node
    }
}

#[derive(Clone, Debug)]
pub(super) enum Ty {
    Null,
    Bool,
    Int,
    Double,
    Decimal {
        precision: u32,
        scale: u32,
    },
    String,
    Bytes,
    Timestamp,
    Local,
    Duration,
    /// Encoded where it has a shape (the array's node); a slice of values otherwise.
    List(Box<Ty>, Option<Shape>),
    Map(Box<Ty>, Option<Shape>),
    Message(Shape),
    /// A union of many branches where it has a shape; JSON otherwise.
    Dyn(Option<Shape>),
    Nullable(Box<Ty>),
}

impl Ty {
    /// The type of values encoded as a node.
    pub fn of(shape: &Shape) -> Ty {
        let (inner, nullable) = shape.solid();
        if nullable {
            return Ty::Nullable(Box::new(Ty::of(&inner)));
        }
        match shape.logical() {
            Some(Logical::Decimal { precision, scale }) => return Ty::Decimal { precision, scale },
            Some(Logical::Date | Logical::TimestampMillis | Logical::TimestampMicros) => return Ty::Timestamp,
            Some(Logical::LocalTimestampMillis | Logical::LocalTimestampMicros) => return Ty::Local,
            Some(Logical::TimeMillis | Logical::TimeMicros) => return Ty::Duration,
            Some(Logical::Uuid) | None => {}
        }
        match shape.kind() {
            Kind::Null => Ty::Null,
            Kind::Boolean => Ty::Bool,
            Kind::Int | Kind::Long => Ty::Int,
            Kind::Float | Kind::Double => Ty::Double,
            Kind::Bytes | Kind::Fixed(_) => Ty::Bytes,
            Kind::String | Kind::Enum(_) => Ty::String,
            Kind::Array(item) => Ty::List(Box::new(Ty::of(&shape.at(*item))), Some(shape.clone())),
            Kind::Map(value) => Ty::Map(Box::new(Ty::of(&shape.at(*value))), Some(shape.clone())),
            Kind::Union(_) => Ty::Dyn(Some(shape.clone())),
            Kind::Record(_) => Ty::Message(shape.clone()),
        }
    }

    pub fn nullable(self) -> Ty {
        match self {
            Ty::Null | Ty::Nullable(_) | Ty::Dyn(_) => self,
            other => Ty::Nullable(Box::new(other)),
        }
    }

    /// Without `or null`.
    pub fn solid(&self) -> &Ty {
        match self {
            Ty::Nullable(inner) => inner,
            other => other,
        }
    }

    pub fn is_dyn(&self) -> bool {
        matches!(self, Ty::Dyn(_))
    }
    pub fn is_number(&self) -> bool {
        matches!(self, Ty::Int | Ty::Double | Ty::Decimal { .. })
    }

    /// Whether both are the same type, wherever their bytes are.
    pub fn same(&self, other: &Ty) -> bool {
        self.public() == other.public()
    }

    pub fn public(&self) -> Type {
        match self {
            Ty::Null => Type::Null,
            Ty::Bool => Type::Bool,
            Ty::Int => Type::Int,
            Ty::Double => Type::Double,
            Ty::Decimal { precision, scale } => Type::Decimal { precision: *precision, scale: *scale },
            Ty::String => Type::String,
            Ty::Bytes => Type::Bytes,
            Ty::Timestamp => Type::Timestamp,
            Ty::Local => Type::Local,
            Ty::Duration => Type::Duration,
            Ty::List(item, _) => Type::List(Box::new(item.public())),
            Ty::Map(value, _) => Type::Map(Box::new(value.public())),
            Ty::Message(shape) => match shape.kind() {
                Kind::Record(r) => Type::Message(r.name.0.clone()),
                _ => Type::Dyn,
            },
            Ty::Dyn(_) => Type::Dyn,
            Ty::Nullable(inner) => Type::Nullable(Box::new(inner.public())),
        }
    }
}

impl fmt::Display for Ty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.public().fmt(f)
    }
}

/// As messages name it: `decimal(10,2)`, `list of string`, `int or null`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Double => f.write_str("double"),
            Type::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Type::String => f.write_str("string"),
            Type::Bytes => f.write_str("bytes"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::Local => f.write_str("local time"),
            Type::Duration => f.write_str("duration"),
            Type::List(item) => write!(f, "list of {item}"),
            Type::Map(value) => write!(f, "map of {value}"),
            Type::Message(name) => write!(f, "record {name}"),
            Type::Dyn => f.write_str("dyn"),
            Type::Nullable(inner) => write!(f, "{inner} or null"),
        }
    }
}

/// The Avro schema that a value of a type has by itself; nodes that bytes follow already are taken over.
pub(super) fn avro(ty: &Ty) -> Schema {
    let mut build = Build::default();
    let root = build.node(ty);
    Schema::from_nodes(build.nodes, root)
}

/// The schema below one node, as a schema of its own.
pub(super) fn avro_of(shape: &Shape, nullable: bool) -> Schema {
    let mut build = Build::default();
    let mut root = build.copy(shape);
    if nullable {
        root = build.with_null(root);
    }
    Schema::from_nodes(build.nodes, root)
}

#[derive(Default)]
struct Build {
    nodes: Vec<Node>,
    /// Nodes copied so far, by the address of their schema.
    copied: Vec<(*const Schema, NodeId, NodeId)>,
}

impl Build {
    fn push(&mut self, kind: Kind, logical: Option<Logical>) -> NodeId {
        self.nodes.push(Node { kind, logical });
        NodeId(self.nodes.len() as u32 - 1)
    }

    fn node(&mut self, ty: &Ty) -> NodeId {
        match ty {
            Ty::Null => self.push(Kind::Null, None),
            Ty::Bool => self.push(Kind::Boolean, None),
            Ty::Int => self.push(Kind::Long, None),
            Ty::Double => self.push(Kind::Double, None),
            Ty::Decimal { precision, scale } => {
                let (precision, scale) = (*precision, *scale);
                self.push(Kind::Bytes, Some(Logical::Decimal { precision, scale }))
            }
            Ty::String => self.push(Kind::String, None),
            Ty::Bytes => self.push(Kind::Bytes, None),
            Ty::Timestamp => self.push(Kind::Long, Some(Logical::TimestampMillis)),
            Ty::Local => self.push(Kind::Long, Some(Logical::LocalTimestampMillis)),
            Ty::Duration => self.push(Kind::Long, Some(Logical::TimeMicros)),
            Ty::List(_, Some(shape)) | Ty::Map(_, Some(shape)) | Ty::Message(shape) | Ty::Dyn(Some(shape)) => {
                self.copy(shape)
            }
            Ty::List(item, None) => {
                let item = self.node(item);
                self.push(Kind::Array(item), None)
            }
            Ty::Map(value, None) => {
                let value = self.node(value);
                self.push(Kind::Map(value), None)
            }
            Ty::Dyn(None) => self.push(Kind::String, None),
            Ty::Nullable(inner) => {
                let inner = self.node(inner);
                self.with_null(inner)
            }
        }
    }

    fn with_null(&mut self, inner: NodeId) -> NodeId {
        let branches = match &self.nodes[inner.0 as usize].kind {
            Kind::Null => return inner,
            Kind::Union(branches) => branches.clone(),
            _ => vec![inner],
        };
        if branches.iter().any(|b| matches!(self.nodes[b.0 as usize].kind, Kind::Null)) {
            return inner;
        }
        let null = self.push(Kind::Null, None);
        self.push(Kind::Union([vec![null], branches].concat()), None)
    }

    /// Recursive types come round to a node that is copied already; depth is that of the schema's text.
    fn copy(&mut self, shape: &Shape) -> NodeId {
        let key = (Arc::as_ptr(&shape.schema), shape.node);
        if let Some((_, _, done)) = self.copied.iter().find(|(s, n, _)| (*s, *n) == key) {
            return *done;
        }
        let node = shape.schema.node(shape.node);
        let id = self.push(Kind::Null, node.logical);
        self.copied.push((key.0, key.1, id));
        let mut kind = node.kind.clone();
        match &mut kind {
            Kind::Array(inner) | Kind::Map(inner) => *inner = self.copy(&shape.at(*inner)),
            Kind::Union(branches) => branches.iter_mut().for_each(|b| *b = self.copy(&shape.at(*b))),
            Kind::Record(record) => {
                record.fields.iter_mut().for_each(|field| field.node = self.copy(&shape.at(field.node)));
            }
            _ => {}
        }
        self.nodes[id.0 as usize].kind = kind;
        id
    }
}

/// The name that messages give a node's type.
pub(super) fn describe(schema: &Schema, node: NodeId) -> String {
    let n = schema.node(node);
    match (&n.kind, n.logical) {
        (_, Some(Logical::Decimal { precision, scale })) => format!("decimal({precision},{scale})"),
        (_, Some(Logical::Date)) => "date".into(),
        (_, Some(Logical::TimeMillis)) => "time-millis".into(),
        (_, Some(Logical::TimeMicros)) => "time-micros".into(),
        (_, Some(Logical::TimestampMillis)) => "timestamp-millis".into(),
        (_, Some(Logical::TimestampMicros)) => "timestamp-micros".into(),
        (_, Some(Logical::LocalTimestampMillis)) => "local-timestamp-millis".into(),
        (_, Some(Logical::LocalTimestampMicros)) => "local-timestamp-micros".into(),
        (_, Some(Logical::Uuid)) => "uuid".into(),
        (Kind::Null, _) => "null".into(),
        (Kind::Boolean, _) => "boolean".into(),
        (Kind::Int, _) => "int".into(),
        (Kind::Long, _) => "long".into(),
        (Kind::Float, _) => "float".into(),
        (Kind::Double, _) => "double".into(),
        (Kind::Bytes, _) => "bytes".into(),
        (Kind::String, _) => "string".into(),
        (Kind::Fixed(f), _) => format!("fixed {}", f.name),
        (Kind::Enum(e), _) => format!("enum {}", e.name),
        (Kind::Record(r), _) => format!("record {}", r.name),
        (Kind::Array(item), _) => format!("array of {}", describe_flat(schema, *item)),
        (Kind::Map(value), _) => format!("map of {}", describe_flat(schema, *value)),
        (Kind::Union(branches), _) => {
            let names: Vec<String> = branches.iter().map(|b| describe_flat(schema, *b)).collect();
            format!("union of {}", names.join(", "))
        }
    }
}

/// As [`describe`], one level only: arrays of arrays may be recursive through unions.
fn describe_flat(schema: &Schema, node: NodeId) -> String {
    match schema.kind(node) {
        Kind::Array(_) => "array".into(),
        Kind::Map(_) => "map".into(),
        Kind::Union(_) => "union".into(),
        _ => describe(schema, node),
    }
}
