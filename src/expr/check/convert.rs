//! Types brought together: what two operands have in common, and the conversions that lose nothing.

use super::Checker;
use crate::{
    codec::Decimal,
    expr::{
        fits,
        tree::{Const, Expr, Kind},
        types::Ty,
    },
};

/// The widest decimal: every unscaled number of this many digits fits 128 bits.
pub(super) const MAX_PRECISION: u32 = crate::codec::MAX_PRECISION;
/// The digits of an int.
const INT_DIGITS: u32 = 19;

impl Checker<'_> {
    /// The type that both can be written as without loss.
    pub(super) fn common(&self, a: &Ty, b: &Ty) -> Option<Ty> {
        match (a, b) {
            (Ty::Nothing, other) | (other, Ty::Nothing) => Some(other.clone()),
            (Ty::Null, other) | (other, Ty::Null) => Some(other.clone().nullable()),
            (Ty::Nullable(a), b) | (b, Ty::Nullable(a)) => Some(self.common(a, b.solid())?.nullable()),
            (Ty::Decimal { precision: p, scale: s }, Ty::Decimal { precision: q, scale: t }) => {
                let scale = *s.max(t);
                let whole = (p.saturating_sub(*s)).max(q.saturating_sub(*t));
                Some(Ty::Decimal { precision: (whole + scale).min(MAX_PRECISION), scale })
            }
            (Ty::Int, d @ Ty::Decimal { .. }) | (d @ Ty::Decimal { .. }, Ty::Int) => self.common(&int_as_decimal(), d),
            (Ty::List(a, s), Ty::List(b, t)) => {
                let one = s.as_ref().zip(t.as_ref()).is_some_and(|(s, t)| s.same_place(t));
                let item = self.common(a, b)?;
                // Lists inside stay as they are encoded: no conversion makes values of them.
                let lost =
                    |from: &Ty| matches!((from.solid(), item.solid()), (Ty::List(_, Some(_)), Ty::List(_, None)));
                let kept = !lost(a) && !lost(b);
                kept.then(|| Ty::List(Box::new(item), s.clone().filter(|_| one)))
            }
            // These stay as they are encoded, and nothing makes the bytes of one the other's.
            (Ty::Map(_, s), Ty::Map(_, t)) => match (s, t) {
                (Some(s), Some(t)) => fits::alike(s, t).then(|| a.clone()),
                (None, None) => Some(a.clone()),
                _ => None,
            },
            (Ty::Message(s), Ty::Message(t)) => fits::alike(s, t).then(|| a.clone()),
            (a, b) => a.same(b).then(|| a.clone()),
        }
    }

    /// An expression as a type that [`Checker::common`] gave.
    pub(super) fn coerce(&self, e: Expr, to: &Ty) -> Expr {
        let from = e.ty.solid();
        let as_is = match (from, to.solid()) {
            (Ty::Nothing | Ty::Null, _) => true,
            (Ty::Decimal { scale: s, .. }, Ty::Decimal { scale: t, .. }) => s == t,
            (Ty::List(_, s), Ty::List(_, t)) => s.is_some() == t.is_some(),
            (from, to) => from.same(to),
        };
        if as_is {
            return e;
        }
        let nullable = matches!(e.ty, Ty::Nullable(_));
        let ty = if nullable { to.solid().clone().nullable() } else { to.solid().clone() };
        let constant = match e.constant() {
            Some(Const::Int(i)) => Some(Decimal::new(i128::from(*i), 0)),
            Some(Const::Decimal(d)) => Some(*d),
            _ => None,
        };
        if let (Some(d), Ty::Decimal { scale, .. }) = (constant, &ty)
            && let Some(d) = d.rescale(*scale)
        {
            return Expr::new(ty, e.span, Kind::Const(Const::Decimal(d)));
        }
        self.cast(e, ty)
    }

    pub(super) fn cast(&self, e: Expr, ty: Ty) -> Expr {
        let span = e.span.clone();
        Expr::new(ty, span, Kind::As(Box::new(e)))
    }
}

pub(super) fn int_as_decimal() -> Ty {
    Ty::Decimal { precision: INT_DIGITS, scale: 0 }
}
