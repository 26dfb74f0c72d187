//! The typed tree.

use super::{
    Env, Fault, Scope,
    check::{self, World},
    fits, lower, parse,
    tree::{Envelope, Expr, Kind, Root},
    types::{self, Shape, Ty},
};
use crate::{
    codec::Layout,
    record::Record,
    schema::{NodeId, Schema},
};
use std::{ops::Range, sync::Arc};

/// The type of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Null,
    Bool,
    Int,
    Double,
    /// Exact, with a scale that is known when the expression is checked.
    Decimal {
        precision: u32,
        scale: u32,
    },
    String,
    Bytes,
    /// An instant, in microseconds; dates are midnight UTC.
    Timestamp,
    /// A date and time without zone; never mixed with an instant.
    Local,
    Duration,
    List(Box<Type>),
    Map(Box<Type>),
    /// A record, by its full name.
    Message(String),
    /// Known only when the record is there: JSON before decoding, unions of many branches.
    Dyn,
    /// T or null: an error unless guarded.
    Nullable(Box<Type>),
}

/// A problem of an expression, at a byte range of its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub span: Range<usize>,
    /// Kebab-case and stable.
    pub code: &'static str,
    pub message: String,
    /// What to write instead; empty where nothing better is known.
    pub help: String,
}

/// A checked expression.
#[derive(Clone, Debug)]
pub struct Typed {
    expr: Expr,
    ty: Type,
    source: String,
}

/// A checked expression over the record before it is decoded.
#[derive(Clone, Debug)]
pub struct RawTyped {
    pub(super) expr: Expr,
    pub(super) source: String,
}

/// The layouts in which a compiled expression asks for its offsets.
pub struct Places<'l> {
    pub body: &'l mut Layout,
    pub item: Option<&'l mut Layout>,
}

/// A compiled predicate.
#[allow(clippy::type_complexity)]
pub struct BoolExpr(pub Box<dyn for<'r> Fn(&Scope<'r>) -> Result<bool, Fault> + Send>);

/// A compiled value: appends its Avro bytes, union index included, and says where the value itself begins
/// (relative to the buffer's start), or `None` for null.
#[allow(clippy::type_complexity)]
pub struct WriteExpr(pub Box<dyn for<'r> Fn(&Scope<'r>, &mut Vec<u8>) -> Result<Option<u32>, Fault> + Send>);

/// A compiled predicate over the record before decoding. `schema` is the writer's full name, for Avro.
#[allow(clippy::type_complexity)]
pub struct RawExpr(pub Box<dyn Fn(&Record<'_>, Option<&str>) -> Result<bool, Fault> + Send>);

/// Parses and type-checks an expression over a decoded record.
///
/// # Errors
/// Every problem found, in the order of the source.
pub fn check(source: &str, env: &Env) -> Result<Typed, Vec<Problem>> {
    let ast = parse::parse(source).map_err(|problem| vec![problem])?;
    let expr = check::run(&ast, source, World::Decoded(env))?;
    Ok(Typed { ty: expr.ty.public(), expr, source: source.to_owned() })
}

impl Typed {
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// The Avro type that a field set to this expression has.
    pub fn avro(&self) -> Schema {
        match &self.expr.kind {
            Kind::Path(path) => {
                let own = path.leaf.schema.subschema(path.leaf.node);
                if matches!(self.expr.ty, Ty::Nullable(_)) { own.optional() } else { own }
            }
            _ => types::avro(&self.expr.ty, self.expr.any(&fits::fine)),
        }
    }

    /// For a plain path (`address.city`, `item.sku`): whether it begins at the element, the field's index in the view
    /// (for an element: in its record), and the field indexes below it.
    pub fn path(&self) -> Option<(bool, Vec<u16>)> {
        let Kind::Path(path) = &self.expr.kind else { return None };
        match path.root {
            Root::Field { view, .. } => Some((false, [&[view], &path.steps[..]].concat())),
            Root::Item => Some((true, path.steps.clone())),
            Root::Var(_) => None,
        }
    }

    /// The first `record.…` that it reads, as it is written, besides the topic: what a record has once it is in its topic.
    pub fn reads_record(&self) -> Option<&str> {
        let mut rest = vec![&self.expr];
        while let Some(e) = rest.pop() {
            if matches!(e.kind, Kind::Envelope(what) if what != Envelope::Topic) {
                return self.source.get(e.span.clone());
            }
            rest.extend(e.children());
        }
        None
    }

    /// Whether a value of this type can be written as `node` of `schema` without loss.
    ///
    /// # Errors
    /// In words, why not.
    pub fn fits(&self, schema: &Arc<Schema>, node: NodeId) -> Result<(), String> {
        fits::fits(&self.expr, &Shape::new(schema, node))
    }

    /// Compiles a condition; any other type never holds.
    pub fn lower_bool(&self, places: &mut Places<'_>) -> BoolExpr {
        lower::Lower::new(Some(places), &self.source).predicate(&self.expr)
    }

    /// Compiles a value to be written as `node`, for which [`Typed::fits`] has said yes.
    pub fn lower_write(&self, places: &mut Places<'_>, schema: &Arc<Schema>, node: NodeId) -> WriteExpr {
        lower::Lower::new(Some(places), &self.source).writer(&self.expr, schema, node)
    }
}
