//! The table of built-in functions: CEL's standard library and its strings and math extensions, as far as types allow.

use super::{
    problems,
    types::Ty,
    value::{Res, Val},
};
use bumpalo::Bump;

mod convert;
mod math;
mod text;
mod time;

pub(super) use convert::{decimal_of, duration_text, timestamp_text};
pub(super) use time::zone;

/// A parameter's or a result's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum P {
    Bool,
    Int,
    Double,
    Decimal,
    Text,
    Bytes,
    Instant,
    Local,
    Duration,
    Texts,
    /// Anything; the function looks at the value.
    Any,
    /// The type of the first parameter.
    Same,
}

impl P {
    /// Whether a value of this type can be given; a dyn is tried when it is there.
    pub fn takes(self, ty: &Ty) -> bool {
        ty.is_dyn() || self.is(ty)
    }
    pub fn is(self, ty: &Ty) -> bool {
        match (self, ty) {
            (P::Any, Ty::Dyn(_)) | (P::Bool, Ty::Bool) | (P::Int, Ty::Int) | (P::Double, Ty::Double) => true,
            (P::Decimal, Ty::Decimal { .. }) | (P::Text, Ty::String) | (P::Bytes, Ty::Bytes) => true,
            (P::Instant, Ty::Timestamp) | (P::Local, Ty::Local) | (P::Duration, Ty::Duration) => true,
            (P::Texts, Ty::List(item, _)) => matches!(**item, Ty::String | Ty::Nothing),
            _ => false,
        }
    }
    pub fn ty(self) -> Option<Ty> {
        Some(match self {
            P::Bool => Ty::Bool,
            P::Int => Ty::Int,
            P::Double => Ty::Double,
            P::Text => Ty::String,
            P::Bytes => Ty::Bytes,
            P::Instant => Ty::Timestamp,
            P::Local => Ty::Local,
            P::Duration => Ty::Duration,
            P::Texts => Ty::List(Box::new(Ty::String), None),
            P::Decimal | P::Any | P::Same => return None,
        })
    }
    fn name(self) -> &'static str {
        match self {
            P::Bool => "bool",
            P::Int => "int",
            P::Double => "double",
            P::Decimal => "decimal",
            P::Text => "string",
            P::Bytes => "bytes",
            P::Instant => "timestamp",
            P::Local => "local time",
            P::Duration => "duration",
            P::Texts => "list of string",
            P::Any => "dyn",
            P::Same => "",
        }
    }
}

pub(super) type Eval = for<'r> fn(&'r Bump, &[Val<'r>]) -> Res<Val<'r>>;

/// One overload of a function.
#[derive(Debug)]
pub(super) struct Signature {
    pub name: &'static str,
    /// Called on its first parameter: `x.trim()`.
    pub member: bool,
    pub params: &'static [P],
    pub result: P,
    pub eval: Eval,
}

impl Signature {
    pub fn usage(&self) -> String {
        let names: Vec<&str> = self.params.iter().map(|p| p.name()).collect();
        match (self.member, names.split_first()) {
            (true, Some((on, rest))) => format!("{on}.{}({})", self.name, rest.join(", ")),
            _ => format!("{}({})", self.name, names.join(", ")),
        }
    }
}

const fn on(name: &'static str, params: &'static [P], result: P, eval: Eval) -> Signature {
    Signature { name, member: true, params, result, eval }
}
const fn of(name: &'static str, params: &'static [P], result: P, eval: Eval) -> Signature {
    Signature { name, member: false, params, result, eval }
}

pub(super) static SIZE: Signature = of("size", &[P::Any], P::Int, text::size);
pub(super) static LEAST: Signature = of("min", &[P::Any], P::Same, math::least);
pub(super) static GREATEST: Signature = of("max", &[P::Any], P::Same, math::greatest);

pub(super) fn named(name: &str) -> impl Iterator<Item = &'static Signature> {
    all().filter(move |s| s.name == name)
}

fn all() -> impl Iterator<Item = &'static Signature> {
    text::TABLE.iter().chain(convert::TABLE).chain(math::TABLE).chain(time::TABLE)
}

/// The function whose name is nearest.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    const OTHERS: [&str; 13] = [
        "has",
        "now",
        "size",
        "round",
        "decimal",
        "min",
        "max",
        "matches",
        "all",
        "exists",
        "exists_one",
        "filter",
        "map",
    ];
    problems::nearest(name, OTHERS.into_iter().chain(all().map(|s| s.name)))
}
