//! CEL's math extension, and `abs` by itself.

use super::{P, Signature, of};
use crate::expr::value::{Res, Val, fault, wrong};
use bumpalo::Bump;
use std::cmp::Ordering;

use P::{Bool, Decimal, Double, Int, Same};

pub(super) static TABLE: &[Signature] = &[
    of("abs", &[Int], Same, abs),
    of("abs", &[Double], Same, abs),
    of("abs", &[Decimal], Same, abs),
    of("math.abs", &[Int], Same, abs),
    of("math.abs", &[Double], Same, abs),
    of("math.abs", &[Decimal], Same, abs),
    of("math.sign", &[Int], Int, sign),
    of("math.sign", &[Double], Double, sign),
    of("math.sign", &[Decimal], Int, sign),
    of("math.ceil", &[Double], Double, |_, a| Ok(Val::Double(double(a)?.ceil()))),
    of("math.floor", &[Double], Double, |_, a| Ok(Val::Double(double(a)?.floor()))),
    of("math.round", &[Double], Double, |_, a| Ok(Val::Double(double(a)?.round()))),
    of("math.trunc", &[Double], Double, |_, a| Ok(Val::Double(double(a)?.trunc()))),
    of("math.sqrt", &[Double], Double, |_, a| Ok(Val::Double(double(a)?.sqrt()))),
    of("math.isNaN", &[Double], Bool, |_, a| Ok(Val::Bool(double(a)?.is_nan()))),
    of("math.isInf", &[Double], Bool, |_, a| Ok(Val::Bool(double(a)?.is_infinite()))),
    of("math.isFinite", &[Double], Bool, |_, a| Ok(Val::Bool(double(a)?.is_finite()))),
];

fn double(args: &[Val<'_>]) -> Res<f64> {
    match args[0] {
        Val::Double(d) => Ok(d),
        ref other => Err(wrong("a double", other)),
    }
}

fn abs<'r>(_: &'r Bump, args: &[Val<'r>]) -> Res<Val<'r>> {
    let overflow = || fault("overflow", "the smallest number has no positive counterpart");
    match args[0] {
        Val::Int(n) => Ok(Val::Int(n.checked_abs().ok_or_else(overflow)?)),
        Val::Double(d) => Ok(Val::Double(d.abs())),
        Val::Decimal(d) if d.unscaled < 0 => Ok(Val::Decimal(d.checked_neg().ok_or_else(overflow)?)),
        Val::Decimal(d) => Ok(Val::Decimal(d)),
        ref other => Err(wrong("a number", other)),
    }
}

fn sign<'r>(_: &'r Bump, args: &[Val<'r>]) -> Res<Val<'r>> {
    match args[0] {
        Val::Int(n) => Ok(Val::Int(n.signum())),
        Val::Double(d) => Ok(Val::Double(if d == 0.0 || d.is_nan() { d } else { d.signum() })),
        Val::Decimal(d) => Ok(Val::Int(d.unscaled.signum() as i64)),
        ref other => Err(wrong("a number", other)),
    }
}

pub(super) fn least<'r>(_: &'r Bump, args: &[Val<'r>]) -> Res<Val<'r>> {
    extreme(args, Ordering::Less)
}

pub(super) fn greatest<'r>(_: &'r Bump, args: &[Val<'r>]) -> Res<Val<'r>> {
    extreme(args, Ordering::Greater)
}

fn extreme<'r>(args: &[Val<'r>], keep: Ordering) -> Res<Val<'r>> {
    let best = args.iter().copied().reduce(|a, b| if b.order(a) == Some(keep) { b } else { a });
    best.ok_or_else(|| fault("no-such-element", "the extreme of no values"))
}
