//! Conditions, and the facts that guards prove.
//!
//! A fact of `e` holds wherever `e` is not false (true, or failing): so it also holds for the right side of an `&&`
//! whose left side failed, which CEL still evaluates.

use super::{Checker, Want};
use crate::expr::{
    parse::{Ast, Binary},
    problems,
    tree::{Expr, Fact, Kind},
    types::Ty,
};
use std::ops::Range;

/// Places that are not null where an expression is not false, and where it is not true.
#[derive(Default)]
pub(super) struct Facts {
    pub yes: Vec<Fact>,
    no: Vec<Fact>,
}

/// What an expression proves either way. Comparisons with null are total, so their facts hold even where others fail.
pub(super) fn facts(e: &Expr) -> Facts {
    match &e.kind {
        Kind::IsNull(inner) => Facts { yes: vec![], no: Fact::of(inner).into_iter().collect() },
        Kind::Not(inner) => {
            let Facts { yes, no } = facts(inner);
            Facts { yes: no, no: yes }
        }
        Kind::And(a, b) => {
            let (a, b) = (facts(a), facts(b));
            Facts { yes: [a.yes, b.yes].concat(), no: both(a.no, b.no) }
        }
        Kind::Or(a, b) => {
            let (a, b) = (facts(a), facts(b));
            Facts { yes: both(a.yes, b.yes), no: [a.no, b.no].concat() }
        }
        Kind::In(key, map) => Facts { yes: presence(key, map).into_iter().collect(), no: vec![] },
        _ => Facts::default(),
    }
}

/// `'x' in record.headers` proves `record.headers['x']`.
fn presence(key: &Expr, map: &Expr) -> Option<Fact> {
    matches!(map.kind, Kind::Envelope(_)).then_some(())?;
    let index = Kind::Index(Box::new(map.clone()), Box::new(key.clone()));
    Fact::of(&Expr::new(Ty::Null, 0..0, index))
}

/// The facts that hold whichever of two lists does.
fn both(a: Vec<Fact>, b: Vec<Fact>) -> Vec<Fact> {
    // A fact about a place is one about every place above it too: the shorter of two on one line is in both.
    let shorter = |x: &Fact, others: &[Fact]| others.iter().any(|y| y.covers(x.root, &x.steps));
    let mut common: Vec<Fact> = a.iter().filter(|x| shorter(x, &b)).cloned().collect();
    common.extend(b.iter().filter(|x| shorter(x, &a)).cloned());
    common
}

impl Checker<'_> {
    /// The right side is checked with what the left side proves.
    pub(super) fn and(&mut self, a: &Ast, b: &Ast, span: Range<usize>) -> Option<Expr> {
        let a = self.condition(a);
        let proven = a.as_ref().map(|a| facts(a).yes).unwrap_or_default();
        let b = self.with(proven, |c| c.condition(b));
        Some(Expr::new(Ty::Bool, span, Kind::And(Box::new(a?), Box::new(b?))))
    }

    /// The right side counts only where the left side is not true.
    pub(super) fn or(&mut self, a: &Ast, b: &Ast, span: Range<usize>) -> Option<Expr> {
        let a = self.condition(a);
        let proven = a.as_ref().map(|a| facts(a).no).unwrap_or_default();
        let b = self.with(proven, |c| c.condition(b));
        Some(Expr::new(Ty::Bool, span, Kind::Or(Box::new(a?), Box::new(b?))))
    }

    pub(super) fn not(&mut self, inner: &Ast, span: Range<usize>) -> Option<Expr> {
        let inner = self.condition(inner)?;
        Some(Expr::new(Ty::Bool, span, Kind::Not(Box::new(inner))))
    }

    /// Each branch is checked with what the condition proves for it; the result may be null where a branch may.
    pub(super) fn choose(&mut self, parts: &[Ast; 3], span: Range<usize>, want: Want) -> Option<Expr> {
        let [cond, yes, no] = parts;
        let cond = self.condition(cond);
        let Facts { yes: if_yes, no: if_no } = cond.as_ref().map(facts).unwrap_or_default();
        let (yes, no) = self.beside(
            yes,
            no,
            want,
            |c, ast, want| c.with(if_yes.clone(), |c| c.expr(ast, want)),
            |c, ast, want| c.with(if_no.clone(), |c| c.expr(ast, want)),
        );
        let (cond, yes, no) = (cond?, yes?, no?);
        let Some(ty) = self.common(&yes.ty, &no.ty) else {
            let message = format!("the branches of `?:` have different types: {} and {}", yes.ty, no.ty);
            let help = match yes.ty.same(&no.ty) {
                true => "they are encoded differently, and neither is converted",
                false => "convert one of them",
            };
            return self.fail(problems::mismatch(span, message, help));
        };
        let parts = [cond, self.coerce(yes, &ty), self.coerce(no, &ty)];
        Some(Expr::new(ty, span, Kind::Choose(Box::new(parts))))
    }

    /// An expression that must be a condition.
    pub(super) fn condition(&mut self, ast: &Ast) -> Option<Expr> {
        let e = self.solid(ast, Want::Nothing)?;
        match e.ty {
            Ty::Bool => Some(e),
            Ty::Dyn(_) => Some(self.cast(e, Ty::Bool)),
            _ => {
                let text = self.text(&e.span).to_owned();
                let help = match e.ty {
                    Ty::Int | Ty::Double | Ty::Decimal { .. } => format!("compare it: `{text} != 0`"),
                    Ty::String => format!("compare it: `{text} != ''`"),
                    _ => String::new(),
                };
                self.fail(problems::not_bool(e.span, &e.ty, &help))
            }
        }
    }

    /// Checks with more places known not to be null.
    pub(super) fn with<T>(&mut self, proven: Vec<Fact>, check: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.facts.len();
        self.facts.extend(proven);
        let result = check(self);
        self.facts.truncate(before);
        result
    }

    /// Checks two operands; a literal one second, as the number type that the other has.
    pub(super) fn beside(
        &mut self,
        a: &Ast,
        b: &Ast,
        want: Want,
        check_a: impl FnOnce(&mut Self, &Ast, Want) -> Option<Expr>,
        check_b: impl FnOnce(&mut Self, &Ast, Want) -> Option<Expr>,
    ) -> (Option<Expr>, Option<Expr>) {
        let want_beside = |other: &Option<Expr>| match (want, other) {
            (Want::Nothing, Some(other)) => super::want_of(&other.ty),
            (want, _) => want,
        };
        if super::literal(a) && !super::literal(b) {
            let b = check_b(self, b, want);
            let want = want_beside(&b);
            return (check_a(self, a, want), b);
        }
        let first = check_a(self, a, want);
        let want = if super::literal(b) { want_beside(&first) } else { want };
        let second = check_b(self, b, want);
        (first, second)
    }

    /// `x == null` and `x != null`: the guards themselves, so that nothing has to be guarded here.
    pub(super) fn is_null(&mut self, of: &Ast, op: Binary, span: Range<usize>) -> Option<Expr> {
        let of = self.expr(of, Want::Nothing)?;
        let test = Expr::new(Ty::Bool, span.clone(), Kind::IsNull(Box::new(of)));
        match op {
            Binary::Eq => Some(test),
            Binary::Ne => Some(Expr::new(Ty::Bool, span, Kind::Not(Box::new(test)))),
            _ => self.fail(problems::mismatch(
                span,
                format!("`{}` does not order null", op.symbol()),
                "null is compared with `==` and `!=`",
            )),
        }
    }
}
