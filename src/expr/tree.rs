//! The typed tree: what the checker makes and the lowering compiles.

use super::{
    Place,
    parse::Binary,
    types::{Shape, Ty},
};
use crate::codec::Decimal;
use std::ops::Range;

#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub ty: Ty,
    pub span: Range<usize>,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Const(Const),
    /// A field of the record, of `item`, or of a loop's variable, by its place.
    Path(Path),
    /// A loop's variable over elements that are not encoded.
    Var(u16),
    /// Fields below a record that only evaluation gives (an element by index).
    Select(Box<Expr>, Vec<u16>),
    Envelope(Envelope),
    /// `schema`: the writer's full name.
    WriterSchema,
    /// `value` of a raw predicate.
    Json,
    /// A member of a dynamic value.
    Member(Box<Expr>, String),
    Now,
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Choose(Box<[Expr; 3]>),
    /// Whether a value is null (or, of JSON, absent).
    IsNull(Box<Expr>),
    Negate(Box<Expr>),
    /// Operands have been brought to one type.
    Compare(Binary, Box<Expr>, Box<Expr>),
    Arithmetic(Binary, Box<Expr>, Box<Expr>),
    /// A decimal or double rounded to so many digits; a quotient is rounded as it is made.
    Round(Box<Expr>, u32),
    /// The same value as another type: int or literal as decimal, dyn as a static type, encoded list as a made one.
    As(Box<Expr>),
    In(Box<Expr>, Box<Expr>),
    /// `type(x) == string`, of a value whose type only the record shows.
    TypeIs(Box<Expr>, TypeTest),
    Index(Box<Expr>, Box<Expr>),
    List(Vec<Expr>),
    Call(Function, Vec<Expr>),
    /// `matches` with its pattern, compiled when the expression was checked.
    Matches(Box<Expr>, regex::Regex),
    Loop(Box<Loop>),
}

#[derive(Clone, Debug)]
pub(super) enum TypeTest {
    /// For each branch of a union whether it is the type.
    Branches(Vec<bool>),
    /// What JSON values are called.
    Json(&'static str),
}

/// A built-in function, as the table in `functions` lists it.
pub(super) type Function = &'static super::functions::Signature;

#[derive(Clone, Debug)]
pub(super) enum Const {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Decimal(Decimal),
    Str(String),
    Bytes(Vec<u8>),
    Timestamp(i64),
    Duration(i64),
}

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// The field of this index in the view.
    Field {
        view: u16,
        place: Place,
    },
    Item,
    /// A loop's variable, counted from the outermost loop.
    Var(u16),
}

/// A place whose bytes a schema describes.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub root: Root,
    /// Field indexes from the root's record down.
    pub steps: Vec<u16>,
    /// The root's own node.
    pub top: Shape,
    /// The value's node, without `or null`.
    pub leaf: Shape,
}

/// What the record's envelope has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Envelope {
    Key,
    Topic,
    Partition,
    Offset,
    Timestamp,
    Headers,
}

/// A place that a guard has proven not to be null, and with it every place above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    pub root: FactRoot,
    pub steps: Vec<FactStep>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FactRoot {
    Path(Root),
    Envelope(Envelope),
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FactStep {
    Field(u16),
    Key(String),
    At(i64),
}

impl Fact {
    /// The place that an expression names, if it names one.
    pub fn of(e: &Expr) -> Option<Fact> {
        let under = |inner: &Expr, step: FactStep| {
            let mut fact = Fact::of(inner)?;
            fact.steps.push(step);
            Some(fact)
        };
        match &e.kind {
            Kind::Path(p) => Some(Fact {
                root: FactRoot::Path(p.root),
                steps: p.steps.iter().map(|s| FactStep::Field(*s)).collect(),
            }),
            Kind::Var(id) => Some(Fact { root: FactRoot::Path(Root::Var(*id)), steps: vec![] }),
            Kind::Envelope(what) => Some(Fact { root: FactRoot::Envelope(*what), steps: vec![] }),
            Kind::Json => Some(Fact { root: FactRoot::Json, steps: vec![] }),
            Kind::Member(inner, name) => under(inner, FactStep::Key(name.clone())),
            Kind::Select(inner, fields) => {
                let mut fact = Fact::of(inner)?;
                fact.steps.extend(fields.iter().map(|f| FactStep::Field(*f)));
                Some(fact)
            }
            Kind::Index(inner, key) => match key.constant()? {
                Const::Str(key) => under(inner, FactStep::Key(key.clone())),
                Const::Int(at) => under(inner, FactStep::At(*at)),
                _ => None,
            },
            _ => None,
        }
    }
    /// Whether knowing this means that `place` is not null.
    pub fn covers(&self, root: FactRoot, steps: &[FactStep]) -> bool {
        self.root == root && self.steps.starts_with(steps)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// `range.all(var, body)` and its like. Over a map the variable is the key.
#[derive(Clone, Debug)]
pub(super) struct Loop {
    pub kind: Macro,
    pub range: Expr,
    /// `map` with three arguments: elements that count.
    pub filter: Option<Expr>,
    pub body: Expr,
}

impl Expr {
    pub fn new(ty: Ty, span: Range<usize>, kind: Kind) -> Expr {
        Expr { ty, span, kind }
    }

    pub fn constant(&self) -> Option<&Const> {
        match &self.kind {
            Kind::Const(c) => Some(c),
            _ => None,
        }
    }

    /// Whether its value is read where it stands encoded, so that a union still says there which branch it is.
    pub fn is_place(&self) -> bool {
        match &self.kind {
            Kind::Path(_) | Kind::Select(..) => true,
            Kind::Index(of, _) => matches!(&of.ty, Ty::List(_, Some(_)) | Ty::Map(_, Some(_))),
            _ => false,
        }
    }

    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            Kind::Const(_)
            | Kind::Path(_)
            | Kind::Envelope(_)
            | Kind::WriterSchema
            | Kind::Json
            | Kind::Var(_)
            | Kind::Now => vec![],
            Kind::Select(a, _)
            | Kind::Member(a, _)
            | Kind::Not(a)
            | Kind::IsNull(a)
            | Kind::Negate(a)
            | Kind::Round(a, _)
            | Kind::As(a)
            | Kind::TypeIs(a, _)
            | Kind::Matches(a, _) => vec![a],
            Kind::And(a, b)
            | Kind::Or(a, b)
            | Kind::Compare(_, a, b)
            | Kind::Arithmetic(_, a, b)
            | Kind::In(a, b)
            | Kind::Index(a, b) => vec![a, b],
            Kind::Choose(parts) => parts.iter().collect(),
            Kind::List(items) | Kind::Call(_, items) => items.iter().collect(),
            Kind::Loop(l) => [Some(&l.range), l.filter.as_ref(), Some(&l.body)].into_iter().flatten().collect(),
        }
    }

    /// Whether `test` holds somewhere in the tree.
    pub fn any(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        test(self) || self.children().iter().any(|c| c.any(test))
    }
}
