//! Arithmetic: everything checked, and a fault that names the operation and its values.

use super::{
    Get, Lower,
    encoded::{self, Count},
    named,
};
use crate::{
    codec::{Decimal, MAX_PRECISION},
    expr::{
        functions::{decimal_of, duration_text, timestamp_text},
        parse::Binary,
        tree::{Const, Expr, Kind},
        types::Ty,
        value::{Res, Val, fault, whole, wrong},
    },
    schema::{self, Unit},
};
use std::fmt::Display;

#[cold]
fn overflows(text: &str, op: Binary, a: impl Display, b: impl Display) -> Box<crate::expr::Fault> {
    if matches!(op, Binary::Div | Binary::Rem) && b.to_string().trim_matches(['0', '.']).is_empty() {
        return fault("division-by-zero", format!("`{text}` divides by zero: {a} {} {b}", op.symbol()));
    }
    fault("overflow", format!("`{text}` overflows: {a} {} {b}", op.symbol()))
}

impl Lower<'_, '_> {
    /// Integers, and instants, local times and durations in microseconds.
    pub(super) fn int(&mut self, e: &Expr) -> Get<i64> {
        match &e.kind {
            Kind::Const(Const::Int(i) | Const::Timestamp(i) | Const::Duration(i)) => {
                let i = *i;
                Box::new(move |_| Ok(i))
            }
            Kind::Path(path) => {
                let place = self.place(path);
                match encoded::count(path.leaf.logical()) {
                    None | Some(Count::Of(Unit::Micros)) => place.getter(encoded::long),
                    Some(count) => place.getter(move |bytes, at| encoded::micros(encoded::long(bytes, at)?, count)),
                }
            }
            Kind::Now => Box::new(|f| Ok(f.scope.now)),
            Kind::Choose(parts) => {
                let [cond, yes, no] = &**parts;
                let (cond, yes, no) = (self.boolean(cond), self.int(yes), self.int(no));
                Box::new(move |f| if cond(f)? { yes(f) } else { no(f) })
            }
            Kind::Negate(inner) => {
                let (get, text) = (self.int(inner), self.text_of(&e.span));
                Box::new(move |f| {
                    let n = get(f)?;
                    n.checked_neg().ok_or_else(|| fault("overflow", format!("`{text}` overflows: -({n})")))
                })
            }
            Kind::Arithmetic(op, a, b) => self.int_arithmetic(e, *op, a, b),
            _ => self.unwrapped(e, |v| match v {
                Val::Int(i) | Val::Timestamp(i) | Val::Local(i) | Val::Duration(i) => Ok(i),
                other => Err(wrong("an int", &other)),
            }),
        }
    }

    fn int_arithmetic(&mut self, e: &Expr, op: Binary, a: &Expr, b: &Expr) -> Get<i64> {
        let shown: [fn(i64) -> String; 2] = [shown(&a.ty), shown(&b.ty)];
        let (a, b, text) = (self.int(a), self.int(b), self.text_of(&e.span));
        let checked: fn(i64, i64) -> Option<i64> = match op {
            Binary::Add => i64::checked_add,
            Binary::Sub => i64::checked_sub,
            Binary::Mul => i64::checked_mul,
            Binary::Div => i64::checked_div,
            _ => i64::checked_rem,
        };
        Box::new(move |f| {
            let (a, b) = (a(f)?, b(f)?);
            checked(a, b).ok_or_else(|| overflows(&text, op, shown[0](a), shown[1](b)))
        })
    }

    pub(super) fn double(&mut self, e: &Expr) -> Get<f64> {
        match &e.kind {
            Kind::Const(Const::Double(d)) => {
                let d = *d;
                Box::new(move |_| Ok(d))
            }
            Kind::Path(path) => {
                let place = self.place(path);
                match path.leaf.kind() {
                    schema::Kind::Float => place.getter(encoded::float),
                    _ => place.getter(encoded::double),
                }
            }
            Kind::Choose(parts) => {
                let [cond, yes, no] = &**parts;
                let (cond, yes, no) = (self.boolean(cond), self.double(yes), self.double(no));
                Box::new(move |f| if cond(f)? { yes(f) } else { no(f) })
            }
            Kind::Negate(inner) => {
                let get = self.double(inner);
                Box::new(move |f| Ok(-get(f)?))
            }
            Kind::Round(inner, digits) => {
                let (get, digits) = (self.double(inner), *digits);
                Box::new(move |f| {
                    let d = get(f)?;
                    // Through decimal text: what people see is what is rounded.
                    Ok(decimal_of(Val::Double(d), digits).map_or(d, Decimal::to_f64))
                })
            }
            Kind::Arithmetic(op, a, b) => {
                let (a, b) = (self.double(a), self.double(b));
                match op {
                    Binary::Add => Box::new(move |f| Ok(a(f)? + b(f)?)),
                    Binary::Sub => Box::new(move |f| Ok(a(f)? - b(f)?)),
                    Binary::Mul => Box::new(move |f| Ok(a(f)? * b(f)?)),
                    // CEL: a double's division is IEEE's, without a fault.
                    _ => Box::new(move |f| Ok(a(f)? / b(f)?)),
                }
            }
            _ => self.unwrapped(e, |v| match v {
                Val::Double(d) => Ok(d),
                other => Err(wrong("a double", &other)),
            }),
        }
    }

    /// A decimal at the scale of its type.
    pub(super) fn decimal(&mut self, e: &Expr) -> Get<Decimal> {
        let Ty::Decimal { scale, .. } = *e.ty.solid() else {
            let get = self.int(e);
            return Box::new(move |f| get(f).map(whole));
        };
        match &e.kind {
            Kind::Const(Const::Decimal(d)) => {
                let d = *d;
                Box::new(move |_| Ok(d))
            }
            Kind::Path(path) => {
                let place = self.place(path);
                match path.leaf.kind() {
                    schema::Kind::Fixed(fixed) => {
                        let size = fixed.size;
                        place.getter(move |bytes, at| encoded::decimal(encoded::fixed(bytes, at, size)?, scale))
                    }
                    _ => place.getter(move |bytes, at| encoded::decimal(encoded::sized(bytes, at)?, scale)),
                }
            }
            Kind::Choose(parts) => {
                let [cond, yes, no] = &**parts;
                let (cond, yes, no) = (self.boolean(cond), self.decimal(yes), self.decimal(no));
                Box::new(move |f| if cond(f)? { yes(f) } else { no(f) })
            }
            Kind::Negate(inner) => {
                let (get, text) = (self.decimal(inner), self.text_of(&e.span));
                Box::new(move |f| {
                    let d = get(f)?;
                    d.checked_neg().ok_or_else(|| fault("overflow", format!("`{text}` overflows: -({d})")))
                })
            }
            Kind::As(inner) if matches!(inner.ty, Ty::Int) => {
                let (get, text) = (self.int(inner), self.text_of(&inner.span));
                match scale {
                    0 => Box::new(move |f| get(f).map(whole)),
                    _ => Box::new(move |f| at_scale(whole(get(f)?), scale, &text)),
                }
            }
            Kind::As(inner) if matches!(inner.ty, Ty::Decimal { .. }) => {
                let (get, text) = (self.decimal(inner), self.text_of(&inner.span));
                Box::new(move |f| at_scale(get(f)?, scale, &text))
            }
            Kind::Round(inner, digits) => self.rounded(e, inner, *digits),
            Kind::Arithmetic(op, a, b) => self.decimal_arithmetic(e, *op, a, b),
            _ => self.unwrapped(e, |v| match v {
                Val::Decimal(d) => Ok(d),
                Val::Int(i) => Ok(whole(i)),
                other => Err(wrong("a decimal", &other)),
            }),
        }
    }

    fn decimal_arithmetic(&mut self, e: &Expr, op: Binary, a: &Expr, b: &Expr) -> Get<Decimal> {
        let (a, b, text) = (self.decimal(a), self.decimal(b), self.text_of(&e.span));
        let scale = if let Ty::Decimal { scale, .. } = e.ty { scale } else { 0 };
        let checked: fn(Decimal, Decimal) -> Option<Decimal> = match op {
            Binary::Mul => Decimal::checked_mul,
            Binary::Sub => Decimal::checked_sub,
            _ => Decimal::checked_add,
        };
        Box::new(move |f| {
            let (a, b) = (a(f)?, b(f)?);
            checked(a, b).ok_or_else(|| {
                let digits = format!("more than {MAX_PRECISION} digits, {scale} of them after the point");
                fault("overflow", format!("`{text}` overflows: {a} {} {b} has {digits}", op.symbol()))
            })
        })
    }

    fn rounded(&mut self, e: &Expr, inner: &Expr, digits: u32) -> Get<Decimal> {
        let text = self.text_of(&e.span);
        if let Kind::Arithmetic(Binary::Div, a, b) = &inner.kind {
            let (a, b) = (self.decimal(a), self.decimal(b));
            return Box::new(move |f| {
                let (a, b) = (a(f)?, b(f)?);
                a.checked_div(b, digits).ok_or_else(|| overflows(&text, Binary::Div, a, b))
            });
        }
        let get = self.decimal(inner);
        Box::new(move |f| {
            let d = get(f)?;
            d.round(digits).ok_or_else(|| fault("overflow", format!("`{text}` overflows: {d}")))
        })
    }

    /// `As`: a value as the type that the checker gave it.
    pub(super) fn convert(&mut self, inner: &Expr, to: &Ty) -> super::GetVal {
        if let Ty::List(..) = to.solid() {
            return self.converted_list(inner, to.solid().clone());
        }
        let text = self.text_of(&inner.span);
        let (get, to) = (self.value(inner), to.clone());
        super::val_fn(move |f| {
            let value = get(f)?;
            if matches!(value, Val::Null) && matches!(to, Ty::Nullable(_)) {
                return Ok(value);
            }
            cast(value, to.solid()).map_err(|fault| named(&text, fault))
        })
    }
}

/// A decimal at its static scale.
fn at_scale(d: Decimal, scale: u32, text: &str) -> Res<Decimal> {
    decimal_of(Val::Decimal(d), scale).map_err(|fault| named(text, fault))
}

/// How a fault shows an operand: an instant as a date, not as microseconds.
fn shown(ty: &Ty) -> fn(i64) -> String {
    match ty {
        Ty::Timestamp | Ty::Local => timestamp_text,
        Ty::Duration => duration_text,
        _ => |n| n.to_string(),
    }
}

/// A value as a static type; a dyn of another type is a fault.
pub(super) fn cast<'r>(value: Val<'r>, to: &Ty) -> Res<Val<'r>> {
    match (value, to) {
        (v, Ty::Decimal { scale, .. }) => decimal_of(v, *scale).map(Val::Decimal),
        (Val::Bool(_), Ty::Bool)
        | (Val::Int(_), Ty::Int)
        | (Val::Double(_), Ty::Double)
        | (Val::Str(_), Ty::String)
        | (Val::Bytes(_), Ty::Bytes)
        | (Val::Timestamp(_), Ty::Timestamp)
        | (Val::Local(_), Ty::Local)
        | (Val::Duration(_), Ty::Duration) => Ok(value),
        (Val::Int(i), Ty::Double) => Ok(Val::Double(i as f64)),
        (v, Ty::Bool) => Err(wrong("a bool", &v)),
        (v, Ty::String) => Err(wrong("a string", &v)),
        (v, to) => Err(wrong(&to.to_string(), &v)),
    }
}
