//! The checker: an [`Ast`] against schemas, giving the typed tree or every problem.
//!
//! What is known not to be null flows through `&&`, `||`, `!` and `?:` as facts; see [`logic`].

mod access;
mod arithmetic;
mod calls;
mod compare;
mod convert;
mod fold;
mod logic;
mod loops;
mod type_test;

use super::{
    Env, Problem,
    parse::{Ast, Node},
    problems,
    tree::{Const, Expr, Fact, FactRoot, FactStep, Kind},
    types::{Shape, Ty},
};
use crate::codec::Decimal;
use std::ops::Range;

/// What an expression may name.
#[derive(Clone, Copy)]
pub(super) enum World<'e> {
    Decoded(&'e Env),
    /// Before decoding: `value` where the route is JSON, `schema` where it is Avro.
    Raw {
        json: bool,
    },
}

/// What number a literal beside another operand is meant as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Nothing,
    Decimal,
    Double,
}

pub(super) struct Checker<'e> {
    world: World<'e>,
    source: &'e str,
    problems: Vec<Problem>,
    /// Places known not to be null here.
    facts: Vec<Fact>,
    vars: Vec<Var>,
}

/// A loop's variable, and what its elements are.
struct Var {
    name: String,
    ty: Ty,
    /// The element's node, where elements are read in place.
    shape: Option<Shape>,
}

/// Checks a parsed expression.
pub(super) fn run(ast: &Ast, source: &str, world: World<'_>) -> Result<Expr, Vec<Problem>> {
    let mut checker = Checker { world, source, problems: Vec::new(), facts: Vec::new(), vars: Vec::new() };
    let expr = checker.expr(ast, Want::Nothing);
    let mut problems = checker.problems;
    match expr {
        Some(expr) if problems.is_empty() => Ok(expr),
        _ => {
            problems.sort_by_key(|p| (p.span.start, p.span.end));
            problems.dedup();
            Err(problems)
        }
    }
}

impl Checker<'_> {
    /// Notes a problem; `None` stands for an expression whose problem has been noted.
    fn fail<T>(&mut self, problem: Problem) -> Option<T> {
        self.problems.push(problem);
        None
    }

    fn text(&self, span: &Range<usize>) -> &str {
        self.source.get(span.clone()).unwrap_or_default()
    }

    /// Any expression; its type may be nullable.
    fn expr(&mut self, ast: &Ast, want: Want) -> Option<Expr> {
        let e = self.unfolded(ast, want)?;
        self.fold(e)
    }

    fn unfolded(&mut self, ast: &Ast, want: Want) -> Option<Expr> {
        let span = ast.span.clone();
        match &ast.node {
            Node::Null => Some(Expr::new(Ty::Null, span, Kind::Const(Const::Null))),
            Node::Bool(b) => Some(Expr::new(Ty::Bool, span, Kind::Const(Const::Bool(*b)))),
            Node::Int(i) => Some(integer(*i, span, want)),
            Node::Uint => {
                self.fail(problems::problem(span, "unsupported", "Avro has no unsigned integers", "leave the `u` out"))
            }
            Node::Double { text, value } => self.number(text, *value, span, want),
            Node::Str(s) => Some(Expr::new(Ty::String, span, Kind::Const(Const::Str(s.clone())))),
            Node::Bytes(b) => Some(Expr::new(Ty::Bytes, span, Kind::Const(Const::Bytes(b.clone())))),
            Node::Name(name) => self.name(name, span),
            Node::Select { of, field, at } => self.select(of, field, at, span),
            Node::Index(of, key) => self.index(of, key, span),
            Node::Not(inner) => self.not(inner, span),
            Node::Negate(inner) => self.negate(inner, span, want),
            Node::And(a, b) => self.and(a, b, span),
            Node::Or(a, b) => self.or(a, b, span),
            Node::Choose(parts) => self.choose(parts, span, want),
            Node::Binary(op, a, b) => self.binary(*op, a, b, span, want),
            Node::Call { name, at, target, args } => self.call(name, at, target.as_deref(), args, span, want),
            Node::List(items) => self.list(items, span, want),
            Node::Unsupported(what) => self.fail(problems::problem(
                span,
                "unsupported",
                format!("{what} cannot be made in an expression"),
                "set the fields one by one",
            )),
        }
    }

    /// An expression that must not be null; where it may be, that is noted and its type goes on without `or null`.
    fn solid(&mut self, ast: &Ast, want: Want) -> Option<Expr> {
        let e = self.expr(ast, want)?;
        Some(self.demand(e))
    }

    /// As [`Checker::solid`], for an expression that has been checked.
    fn demand(&mut self, mut e: Expr) -> Expr {
        match &e.ty {
            Ty::Nullable(inner) => {
                let place = Fact::of(&e).is_some();
                let around = self.missing_record(&e);
                let problem = problems::unguarded(e.span.clone(), self.text(&e.span), &e.ty, place, around.as_deref());
                self.problems.push(problem);
                e.ty = (**inner).clone();
            }
            Ty::Nothing | Ty::Null => {
                let problem = problems::mismatch(e.span.clone(), "`null` has no value here", "");
                self.problems.push(problem);
            }
            _ => {}
        }
        e
    }

    /// Whether guards around this point prove a place not null.
    fn known(&self, root: FactRoot, steps: &[FactStep]) -> bool {
        self.facts.iter().any(|f| f.covers(root, steps))
    }

    /// The expression's type, without `or null` where a guard proves it.
    fn guarded(&self, mut e: Expr) -> Expr {
        if let Ty::Nullable(inner) = &e.ty
            && let Some(fact) = Fact::of(&e)
            && self.known(fact.root, &fact.steps)
        {
            e.ty = (**inner).clone();
        }
        e
    }

    /// A literal with a point: exact beside a decimal, a double otherwise.
    fn number(&mut self, text: &str, value: f64, span: Range<usize>, want: Want) -> Option<Expr> {
        if want != Want::Decimal {
            return Some(Expr::new(Ty::Double, span, Kind::Const(Const::Double(value))));
        }
        match Decimal::parse(text.as_bytes()).and_then(|d| decimal_const(d, span.clone())) {
            Some(e) => Some(e),
            None => self.fail(problems::mismatch(span, "more digits than a decimal has (38)", "")),
        }
    }

    /// A literal list has the type that all its elements can have.
    fn list(&mut self, items: &[Ast], span: Range<usize>, want: Want) -> Option<Expr> {
        let mut exprs = Vec::with_capacity(items.len());
        for item in items {
            exprs.push(self.expr(item, want));
        }
        let exprs: Vec<Expr> = exprs.into_iter().collect::<Option<_>>()?;
        let mut ty = exprs.first().map_or(Ty::Nothing, |e| e.ty.clone());
        for e in &exprs {
            ty = match self.common(&ty, &e.ty) {
                Some(ty) => ty,
                None => {
                    let message = format!("a list has elements of one type: {} and {} here", ty, e.ty);
                    return self.fail(problems::mismatch(e.span.clone(), message, ""));
                }
            };
        }
        let items = exprs.into_iter().map(|e| self.coerce(e, &ty)).collect();
        Some(Expr::new(Ty::List(Box::new(ty), None), span, Kind::List(items)))
    }
}

/// A whole literal is an int, or a double beside one: CEL compares the two by value.
fn integer(i: i64, span: Range<usize>, want: Want) -> Expr {
    match want {
        // Exact up to 2^53, as CEL compares an int with a double.
        Want::Double if i.unsigned_abs() <= 1 << 53 => {
            Expr::new(Ty::Double, span, Kind::Const(Const::Double(i as f64)))
        }
        _ => Expr::new(Ty::Int, span, Kind::Const(Const::Int(i))),
    }
}

/// `None` where it has more digits than a decimal.
fn decimal_const(d: Decimal, span: Range<usize>) -> Option<Expr> {
    let precision = d.precision().max(d.scale);
    let ty = Ty::Decimal { precision, scale: d.scale };
    (precision <= convert::MAX_PRECISION).then(|| Expr::new(ty, span, Kind::Const(Const::Decimal(d))))
}

/// Whether an expression is made of literals alone, so that it takes its number type from what is beside it.
fn literal(ast: &Ast) -> bool {
    match &ast.node {
        Node::Int(_) | Node::Double { .. } => true,
        Node::Negate(inner) => literal(inner),
        Node::Binary(_, a, b) => literal(a) && literal(b),
        Node::List(items) => items.iter().all(literal),
        _ => false,
    }
}

/// What a literal beside a value of this type is meant as.
fn want_of(ty: &Ty) -> Want {
    match ty.solid() {
        Ty::Decimal { .. } => Want::Decimal,
        Ty::Double => Want::Double,
        Ty::List(item, _) => want_of(item),
        _ => Want::Nothing,
    }
}
