//! Which branch of a union a JSON value means, and how a branch is written so that it reads back.
//!
//! A value stands for itself ("natural") where one branch takes its kind of JSON; beside a double, a number without
//! fraction is the long's. Otherwise, and always allowed, Avro's JSON encoding: `{"branch": value}`.

use super::super::shape::Shape;
use crate::schema::{Kind, NodeId, Schema};

/// A kind of JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Null,
    Boolean,
    /// A number without fraction and exponent.
    Integer,
    Number,
    Text,
    Array,
    Object,
}

const CLASSES: [Class; 7] =
    [Class::Null, Class::Boolean, Class::Integer, Class::Number, Class::Text, Class::Array, Class::Object];

/// A union's rules.
#[derive(Clone, Debug)]
pub(super) struct Union {
    pub branches: Vec<NodeId>,
    pub null: Option<usize>,
    /// By class: the branch that a value stands for.
    natural: [Pick; CLASSES.len()],
    /// For each branch the name that may stand before its value.
    names: Vec<Names>,
    /// For each branch whether it is written under its name.
    wrapped: Vec<bool>,
    /// Null and one other.
    nullable: bool,
    objects: Objects,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    None,
    One(usize),
    /// More than one branch takes it.
    Many,
}

#[derive(Clone, Debug)]
struct Names {
    full: Box<str>,
    short: Box<str>,
}

/// What an object may be when it does not begin with a branch's name.
#[derive(Clone, Debug)]
enum Objects {
    /// Nothing: it has to be a branch's name.
    None,
    /// A record: its own fields come before names of branches.
    Record { branch: usize, fields: Vec<Box<str>> },
    /// A map; `of_objects` where its values may be objects themselves.
    Map { of_objects: bool },
}

impl Union {
    pub fn of(schema: &Schema, node: NodeId, branches: &[NodeId]) -> Union {
        let mut natural = [Pick::None; CLASSES.len()];
        for (i, branch) in branches.iter().enumerate() {
            for class in takes(Shape::of(schema, *branch)) {
                let pick = &mut natural[*class as usize];
                *pick = if *pick == Pick::None { Pick::One(i) } else { Pick::Many };
            }
        }
        // Numbers of the other kind go to the branch that is there: 5 to a double, 5.0 to a long.
        let (integer, number) = (Class::Integer as usize, Class::Number as usize);
        if natural[number] == Pick::None {
            natural[number] = natural[integer];
        } else if natural[integer] == Pick::None {
            natural[integer] = natural[number];
        }
        let nullable = schema.nullable(node).is_some();
        let objects = match natural[Class::Object as usize] {
            Pick::One(i) => match schema.kind(branches[i]) {
                Kind::Record(r) => {
                    Objects::Record { branch: i, fields: r.fields.iter().map(|f| f.name.as_str().into()).collect() }
                }
                Kind::Map(value) => Objects::Map { of_objects: takes_objects(schema, *value) },
                _ => Objects::None,
            },
            _ => Objects::None,
        };
        let wrapped = branches.iter().enumerate().map(|(i, b)| {
            let shape = Shape::of(schema, *b);
            let own = takes(shape).iter().all(|class| natural[*class as usize] == Pick::One(i));
            !nullable && (!own || matches!(shape, Shape::Map(_)))
        });
        let names = branches.iter().map(|b| {
            let full = schema.kind(*b).branch_name();
            Names { full: full.into(), short: full.rsplit('.').next().unwrap_or(full).into() }
        });
        Union {
            null: branches.iter().position(|b| *schema.kind(*b) == Kind::Null),
            natural,
            names: names.collect(),
            wrapped: wrapped.collect(),
            branches: branches.to_vec(),
            nullable,
            objects,
        }
    }

    pub fn natural(&self, class: Class) -> Pick {
        self.natural[class as usize]
    }

    /// The name under which a branch has to be written.
    pub fn wrapper(&self, branch: usize) -> Option<&str> {
        self.wrapped[branch].then(|| &*self.names[branch].full)
    }

    /// The branch that an object's first key names. `nested` says whether an object follows the key.
    pub fn named(&self, key: &str, nested: bool) -> Option<usize> {
        let natural = match &self.objects {
            Objects::None => false,
            Objects::Record { fields, .. } => fields.iter().any(|f| **f == *key),
            Objects::Map { of_objects } => self.nullable && (*of_objects || !nested),
        };
        if natural {
            return None;
        }
        let full = self.names.iter().position(|n| *n.full == *key);
        let named = full.or_else(|| self.names.iter().position(|n| *n.short == *key))?;
        // What is no object cannot be the record: it is a field that happens to have the record's own name.
        let unknown = matches!(self.objects, Objects::Record { branch, .. } if branch == named && !nested);
        (!unknown).then_some(named)
    }

    /// The branches' names, for messages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|n| &*n.full)
    }
}

/// The classes of JSON values that a type is at home in.
fn takes(shape: Shape) -> &'static [Class] {
    use Class::{Array, Boolean, Integer, Null, Number, Object, Text};
    match shape {
        Shape::Null => &[Null],
        Shape::Boolean => &[Boolean],
        Shape::Int | Shape::Long => &[Integer],
        Shape::Float | Shape::Double => &[Number],
        Shape::Decimal { .. } => &[Integer, Number, Text],
        Shape::Date | Shape::Time(_) | Shape::Instant(_) | Shape::Local(_) => &[Integer, Text],
        Shape::Bytes | Shape::Text | Shape::Fixed(_) | Shape::Enum | Shape::Uuid { .. } | Shape::Interval => &[Text],
        Shape::Array(_) => &[Array],
        Shape::Map(_) | Shape::Record => &[Object],
        Shape::Union => &[],
    }
}

/// The first union of a schema in which a JSON value may mean two branches: the union, and the two.
pub fn ambiguous_union(schema: &Schema) -> Option<(NodeId, NodeId, NodeId)> {
    (0..schema.len()).map(|i| NodeId(i as u32)).find_map(|node| {
        let Kind::Union(branches) = schema.kind(node) else { return None };
        let same = |a: NodeId, b: NodeId| {
            let (a, b) = (Shape::of(schema, a), Shape::of(schema, b));
            // A number without fraction is a double's too, unless a branch is there for whole numbers and nothing else.
            let whole = matches!(a, Shape::Int | Shape::Long) || matches!(b, Shape::Int | Shape::Long);
            let means = |shape, class| {
                let floating = matches!(shape, Shape::Float | Shape::Double);
                takes(shape).contains(&class) || (floating && class == Class::Integer && !whole)
            };
            CLASSES.iter().any(|class| means(a, *class) && means(b, *class))
        };
        let clash = |(i, b): (usize, &NodeId)| branches[..i].iter().find(|a| same(**a, *b)).map(|a| (node, *a, *b));
        branches.iter().enumerate().find_map(clash)
    })
}

fn takes_objects(schema: &Schema, node: NodeId) -> bool {
    match schema.kind(node) {
        // Any union takes one: Avro's JSON encoding of its branches is an object.
        Kind::Union(_) => true,
        _ => takes(Shape::of(schema, node)).contains(&Class::Object),
    }
}
