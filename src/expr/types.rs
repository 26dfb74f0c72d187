//! Types while checking: as [`Type`], but lists, maps and records know which schema node their bytes follow.

use super::Type;
use crate::schema::{Clock, Kind, Logical, Node, NodeId, Schema};
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
    /// A union's branches; of anything else there are none.
    pub fn branches(&self) -> Vec<Shape> {
        match self.kind() {
            Kind::Union(all) => all.iter().map(|b| self.at(*b)).collect(),
            _ => vec![],
        }
    }
    /// The node so many fields below a record, without `or null`.
    pub fn below(&self, steps: &[u16]) -> Shape {
        let mut at = self.solid().0;
        for step in steps {
            let Kind::Record(record) = at.kind() else { return at };
            let Some(field) = record.fields.get(usize::from(*step)) else { return at };
            let node = field.node;
            at = at.at(node).solid().0;
        }
        at
    }
    pub fn same_place(&self, other: &Shape) -> bool {
        Arc::ptr_eq(&self.schema, &other.schema) && self.node == other.node
    }
}

#[derive(Clone, Debug)]
pub(super) enum Ty {
    /// The elements of `[]`: of any type, since there are none.
    Nothing,
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
            Some(Logical::Date) => return Ty::Timestamp,
            // Avro's duration has months, which no number of microseconds is: here it is its bytes.
            logical => match logical.and_then(Logical::clock) {
                Some((Clock::Utc, _)) => return Ty::Timestamp,
                Some((Clock::Local, _)) => return Ty::Local,
                Some((Clock::Day, _)) => return Ty::Duration,
                None => {}
            },
        }
        match shape.kind() {
            Kind::Null => Ty::Null,
            Kind::Boolean => Ty::Bool,
            Kind::Int | Kind::Long => Ty::Int,
            Kind::Float | Kind::Double => Ty::Double,
            Kind::Fixed(_) if shape.logical() == Some(Logical::Uuid) => Ty::String,
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
            Ty::Nothing | Ty::Null | Ty::Nullable(_) | Ty::Dyn(_) => self,
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

    /// Whether both are the same type, wherever their bytes are.
    pub fn same(&self, other: &Ty) -> bool {
        self.public() == other.public()
    }

    pub fn public(&self) -> Type {
        match self {
            Ty::Nothing | Ty::Null => Type::Null,
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
///
/// Instants are milliseconds, which tools of every age read; `fine` where some are read as microseconds.
pub(super) fn avro(ty: &Ty, fine: bool) -> Schema {
    let of = Schema::of;
    match ty {
        Ty::Nothing | Ty::Null => of(Kind::Null, None),
        Ty::Bool => of(Kind::Boolean, None),
        Ty::Int => of(Kind::Long, None),
        Ty::Double => of(Kind::Double, None),
        Ty::Decimal { precision, scale } => {
            of(Kind::Bytes, Some(Logical::Decimal { precision: *precision, scale: *scale }))
        }
        // JSON that nothing has been said about is its text.
        Ty::String | Ty::Dyn(None) => of(Kind::String, None),
        Ty::Bytes => of(Kind::Bytes, None),
        Ty::Timestamp if fine => of(Kind::Long, Some(Logical::TimestampMicros)),
        Ty::Timestamp => of(Kind::Long, Some(Logical::TimestampMillis)),
        Ty::Local if fine => of(Kind::Long, Some(Logical::LocalTimestampMicros)),
        Ty::Local => of(Kind::Long, Some(Logical::LocalTimestampMillis)),
        Ty::Duration => of(Kind::Long, Some(Logical::TimeMicros)),
        Ty::List(_, Some(shape)) | Ty::Map(_, Some(shape)) | Ty::Message(shape) | Ty::Dyn(Some(shape)) => {
            shape.schema.subschema(shape.node)
        }
        Ty::List(item, None) => around(&avro(item, fine), Kind::Array),
        Ty::Map(value, None) => around(&avro(value, fine), Kind::Map),
        Ty::Nullable(inner) => avro(inner, fine).optional(),
    }
}

/// An array or map of a schema.
fn around(inner: &Schema, kind: fn(NodeId) -> Kind) -> Schema {
    let mut nodes: Vec<Node> = (0..inner.len()).map(|i| inner.node(NodeId(i as u32)).clone()).collect();
    nodes.push(Node::new(kind(inner.root()), None));
    let root = NodeId(nodes.len() as u32 - 1);
    Schema::from_nodes(nodes, root)
}

/// The name that messages give a node's type.
pub(super) fn describe(schema: &Schema, node: NodeId) -> String {
    let n = schema.node(node);
    match (&n.kind, n.logical) {
        (_, Some(Logical::Decimal { precision, scale })) => format!("decimal({precision},{scale})"),
        (_, Some(logical)) => logical.name().into(),
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
