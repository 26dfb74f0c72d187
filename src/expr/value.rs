//! Values while an expression runs, and the frame it runs in.

use super::{Fault, Scope, json};
use crate::{
    codec::{Decimal, read::Flaw},
    record::Header,
};

/// A fault is rare and large: boxed, so that results stay in registers.
pub(super) type Res<T> = Result<T, Box<Fault>>;

/// A value of any type. Strings and lists that were made live in the scope's arena.
#[derive(Clone, Copy, Debug)]
pub(super) enum Val<'r> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Decimal(Decimal),
    Str(&'r str),
    Bytes(&'r [u8]),
    Timestamp(i64),
    Local(i64),
    Duration(i64),
    /// A record, array or map as it is encoded: the bytes around it, and where it begins.
    At(&'r [u8], u32),
    List(&'r [Val<'r>]),
    /// JSON text, not yet looked into.
    Json(&'r str),
    Headers(&'r [Header<'r>]),
}

/// What a closure sees: the scope, the writer's schema for raw predicates, and the loops around it.
#[derive(Clone, Copy)]
pub(super) struct Frame<'f, 'r> {
    pub scope: &'f Scope<'r>,
    pub schema: Option<&'r str>,
    pub vars: Option<&'f Var<'f, 'r>>,
}

/// A loop's variable: its value, or for an encoded element the offsets that its layout asked for.
pub(super) struct Var<'f, 'r> {
    pub value: Val<'r>,
    pub slots: &'f [u32],
    pub up: Option<&'f Var<'f, 'r>>,
    /// How many loops there are around it.
    pub depth: u16,
}

impl<'f, 'r> Frame<'f, 'r> {
    pub fn var(&self, depth: u16) -> Option<&'f Var<'f, 'r>> {
        let mut var = self.vars?;
        while var.depth != depth {
            var = var.up?;
        }
        Some(var)
    }
}

#[cold]
pub(super) fn fault(code: &'static str, message: impl Into<String>) -> Box<Fault> {
    Box::new(Fault { code, message: message.into() })
}

/// Bytes that an expression may make of one record: a loop within a loop makes the square of its list, `replace` the
/// product of two texts.
pub(super) const MOST_MADE: usize = 64 << 20;

#[cold]
pub(super) fn too_much() -> Box<Fault> {
    fault("overflow", format!("it makes more than {} MiB of one record", MOST_MADE >> 20))
}

/// Whether an expression may make so many bytes.
pub(super) fn bounded(bytes: usize) -> Res<()> {
    if bytes > MOST_MADE { Err(too_much()) } else { Ok(()) }
}

/// As [`bounded`], for a list of so many values.
pub(super) fn bounded_list(values: usize) -> Res<()> {
    bounded(values.saturating_mul(size_of::<Val<'_>>()))
}

/// A place that holds no value where the checker has proven one: a caller's offsets are not those asked for, or a loop's.
#[cold]
pub(super) fn missing() -> Box<Fault> {
    fault("null-value", "a value that cannot be null is absent")
}

#[cold]
pub(super) fn flawed(flaw: Flaw) -> Box<Fault> {
    fault(flaw.code(), "the value cannot be read")
}

#[cold]
pub(super) fn wrong(expected: &str, found: &Val<'_>) -> Box<Fault> {
    fault("bad-conversion", format!("expected {expected}, found {}", found.name()))
}

impl<'r> Val<'r> {
    pub fn name(&self) -> &'static str {
        match self {
            Val::Null => "null",
            Val::Bool(_) => "a bool",
            Val::Int(_) => "an int",
            Val::Double(_) => "a double",
            Val::Decimal(_) => "a decimal",
            Val::Str(_) => "a string",
            Val::Bytes(_) => "bytes",
            Val::Timestamp(_) => "a timestamp",
            Val::Local(_) => "a local time",
            Val::Duration(_) => "a duration",
            Val::At(..) => "a record, list or map",
            Val::List(_) => "a list",
            Val::Json(_) => "JSON",
            Val::Headers(_) => "headers",
        }
    }

    /// CEL's equality: different types are unequal, numbers compare by value.
    pub fn same(self, other: Val<'r>) -> bool {
        match (self, other) {
            (Val::Null, Val::Null) => true,
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::Bytes(a), Val::Bytes(b)) => a == b,
            (Val::List(a), Val::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(*b)),
            (Val::Json(json), Val::List(list)) | (Val::List(list), Val::Json(json)) => json::is_list(json, list),
            (Val::Json(a), Val::Json(b)) => json::same(a, b),
            (a, b) => a.order(b).is_some_and(|o| o.is_eq()),
        }
    }

    /// The order of two values that have one: of one type, or both numbers.
    pub fn order(self, other: Val<'r>) -> Option<std::cmp::Ordering> {
        use Val::{Bool, Bytes, Double, Duration, Int, Local, Str, Timestamp};
        match (self, other) {
            (Int(a), Int(b)) | (Timestamp(a), Timestamp(b)) | (Local(a), Local(b)) | (Duration(a), Duration(b)) => {
                Some(a.cmp(&b))
            }
            (Double(a), Double(b)) => a.partial_cmp(&b),
            (Int(a), Double(b)) => int_double(a, b),
            (Double(a), Int(b)) => int_double(b, a).map(std::cmp::Ordering::reverse),
            (Val::Decimal(a), Val::Decimal(b)) => Some(a.cmp(&b)),
            (Int(a), Val::Decimal(b)) => Some(whole(a).cmp(&b)),
            (Val::Decimal(a), Int(b)) => Some(a.cmp(&whole(b))),
            (Double(a), Val::Decimal(b)) => a.partial_cmp(&b.to_f64()),
            (Val::Decimal(a), Double(b)) => a.to_f64().partial_cmp(&b),
            (Str(a), Str(b)) => Some(a.cmp(b)),
            (Bytes(a), Bytes(b)) => Some(a.cmp(b)),
            (Bool(a), Bool(b)) => Some(a.cmp(&b)),
            _ => None,
        }
    }
}

pub(super) fn whole(i: i64) -> Decimal {
    Decimal::new(i128::from(i), 0)
}

fn int_double(a: i64, b: f64) -> Option<std::cmp::Ordering> {
    if b.is_nan() {
        return None;
    }
    // Beyond 64 bits the sign decides; inside, whole parts compare exactly, then the fraction.
    if b >= 9_223_372_036_854_775_808.0 {
        return Some(std::cmp::Ordering::Less);
    }
    if b < -9_223_372_036_854_775_808.0 {
        return Some(std::cmp::Ordering::Greater);
    }
    let whole = b.trunc() as i64;
    Some(a.cmp(&whole).then_with(|| 0.0f64.partial_cmp(&b.fract()).unwrap_or(std::cmp::Ordering::Equal)))
}
