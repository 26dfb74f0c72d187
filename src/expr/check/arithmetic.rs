//! Arithmetic: 64-bit integers, doubles, exact decimals with a static scale, instants and durations, text and lists.

use super::{Checker, Want, convert::MAX_PRECISION};
use crate::expr::{
    parse::{Ast, Binary},
    problems,
    tree::{Const, Expr, Kind},
    types::Ty,
};
use std::ops::Range;

impl Checker<'_> {
    /// Sums, products and quotients. A quotient of decimals stands only inside `round`, which says how exact it is to be.
    pub(super) fn arithmetic(&mut self, op: Binary, a: &Ast, b: &Ast, span: Range<usize>, want: Want) -> Option<Expr> {
        let (a, b) = self.beside(a, b, want, Checker::solid, Checker::solid);
        let (a, b) = (a?, b?);
        let ty = match self.result(op, &a.ty, &b.ty) {
            Some(ty) => ty,
            None => return self.no_result(op, &a, &b, span),
        };
        if let (Binary::Div, Ty::Decimal { .. }) = (op, &ty) {
            let text = self.text(&span).to_owned();
            return self.fail(problems::lossy(
                span,
                "a quotient of decimals has no exact scale",
                format!("say how many digits to keep: `round({text}, 2)`"),
            ));
        }
        if let Ty::Decimal { scale, .. } = ty
            && scale > MAX_PRECISION
        {
            return self.too_fine([&a, &b], scale, span);
        }
        Some(self.operate(op, a, b, ty, span))
    }

    /// A result with more digits after the point than a decimal has at all.
    fn too_fine<T>(&mut self, operands: [&Expr; 2], scale: u32, span: Range<usize>) -> Option<T> {
        // Two factors of so many digits leave twenty before the point.
        const KEPT: u32 = 9;
        let mut shorter = Vec::new();
        for e in operands {
            if !matches!(e.ty, Ty::Decimal { scale, .. } if scale > KEPT) {
                continue;
            }
            let text = self.text(&e.span);
            let help = match e.constant() {
                Some(_) => format!("write `{text}` with fewer digits"),
                None => format!("write `round({text}, {KEPT})` for `{text}`"),
            };
            if !shorter.contains(&help) {
                shorter.push(help);
            }
        }
        let message = format!(
            "`{}` needs {scale} digits after the point, and a decimal has {MAX_PRECISION} in all",
            self.text(&span)
        );
        self.fail(problems::lossy(span, message, format!("say how many digits to keep: {}", shorter.join(", "))))
    }

    /// The node for operands that have been checked, brought to the result's type where that is a decimal.
    pub(super) fn operate(&self, op: Binary, a: Expr, b: Expr, ty: Ty, span: Range<usize>) -> Expr {
        let (a, b) = match ty {
            Ty::Decimal { .. } => (self.decimal(a), self.decimal(b)),
            Ty::List(..) => (self.coerce(a, &ty), self.coerce(b, &ty)),
            _ => (a, b),
        };
        Expr::new(ty, span, Kind::Arithmetic(op, Box::new(a), Box::new(b)))
    }

    /// The type of `a op b`, where there is one.
    pub(super) fn result(&self, op: Binary, a: &Ty, b: &Ty) -> Option<Ty> {
        use Binary::{Add, Div, Mul, Rem, Sub};
        use Ty::{Bytes, Double, Duration, Int, Local, String, Timestamp};
        Some(match (op, a, b) {
            (_, Int, Int) => Int,
            (Add | Sub | Mul | Div, Double, Double) => Double,
            (Add | Sub | Mul | Div, Ty::Decimal { .. }, Ty::Decimal { .. } | Int)
            | (Add | Sub | Mul | Div, Int, Ty::Decimal { .. }) => decimal(op, &widen(a), &widen(b))?,
            (Add | Sub, Timestamp, Duration) => Timestamp,
            (Add | Sub, Local, Duration) => Local,
            (Add, Duration, Timestamp) => Timestamp,
            (Add, Duration, Local) => Local,
            (Add | Sub, Duration, Duration) => Duration,
            (Sub, Timestamp, Timestamp) | (Sub, Local, Local) => Duration,
            (Add, String, String) => String,
            (Add, Bytes, Bytes) => Bytes,
            (Add, Ty::List(..), Ty::List(..)) => match self.common(a, b)? {
                Ty::List(item, _) => Ty::List(item, None),
                other => other,
            },
            (Rem | Mul | Div, _, _) | (Add | Sub, _, _) => return None,
            _ => return None,
        })
    }

    /// Types that no operator joins, told by what would help.
    fn no_result<T>(&mut self, op: Binary, a: &Expr, b: &Expr, span: Range<usize>) -> Option<T> {
        if a.ty.is_dyn() || b.ty.is_dyn() {
            let side = if a.ty.is_dyn() { a } else { b };
            let text = self.text(&side.span).to_owned();
            return self.fail(problems::mismatch(
                side.span.clone(),
                format!("`{text}` has no type yet, so `{}` has no meaning", op.symbol()),
                format!("say what it is: `int({text})`, `double({text})` or `string({text})`"),
            ));
        }
        self.apart(op, a, b, span)
    }

    pub(super) fn negate(&mut self, inner: &Ast, span: Range<usize>, want: Want) -> Option<Expr> {
        let e = self.solid(inner, want)?;
        match (&e.ty, e.constant()) {
            (Ty::Decimal { .. }, Some(Const::Decimal(d))) if d.checked_neg().is_some() => {
                let negated = d.checked_neg()?;
                Some(Expr::new(e.ty.clone(), span, Kind::Const(Const::Decimal(negated))))
            }
            (Ty::Int | Ty::Double | Ty::Decimal { .. } | Ty::Duration, _) => {
                Some(Expr::new(e.ty.clone(), span, Kind::Negate(Box::new(e))))
            }
            _ => self.fail(problems::mismatch(span, format!("`-` does not negate {}", e.ty), "")),
        }
    }
}

fn widen(ty: &Ty) -> Ty {
    match ty {
        Ty::Int => super::convert::int_as_decimal(),
        other => other.clone(),
    }
}

/// Sums keep the larger scale, products have the sum of both. A quotient is the largest where the divisor is one of its
/// last digits.
fn decimal(op: Binary, a: &Ty, b: &Ty) -> Option<Ty> {
    let (Ty::Decimal { precision: p, scale: s }, Ty::Decimal { precision: q, scale: t }) = (a, b) else { return None };
    let (precision, scale) = match op {
        Binary::Mul => (p + q, s + t),
        Binary::Div => {
            let scale = *s.max(t);
            (p.saturating_sub(*s) + t + scale, scale)
        }
        _ => {
            let scale = *s.max(t);
            (p.saturating_sub(*s).max(q.saturating_sub(*t)) + scale + 1, scale)
        }
    };
    Some(Ty::Decimal { precision: precision.min(MAX_PRECISION), scale })
}
