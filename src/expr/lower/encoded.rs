//! Encoded values read at their offset, by their node. A scan has proven them; a flaw here is a caller's wrong offset.

use crate::{
    codec::{self, Decimal, read::Reader},
    expr::{
        types::Shape,
        value::{Res, Val, fault, flawed, missing},
    },
    schema::{Clock, Kind, Logical, Unit},
};
use bumpalo::Bump;

#[inline]
pub(super) fn boolean(bytes: &[u8], at: u32) -> Res<bool> {
    Reader::new(bytes, at as usize).boolean().map_err(flawed)
}

#[inline]
pub(super) fn long(bytes: &[u8], at: u32) -> Res<i64> {
    Reader::new(bytes, at as usize).long().map_err(flawed)
}

#[inline]
pub(super) fn float(bytes: &[u8], at: u32) -> Res<f64> {
    Reader::new(bytes, at as usize).float().map(f64::from).map_err(flawed)
}

#[inline]
pub(super) fn double(bytes: &[u8], at: u32) -> Res<f64> {
    Reader::new(bytes, at as usize).double().map_err(flawed)
}

#[inline]
pub(super) fn text(bytes: &[u8], at: u32) -> Res<&str> {
    Reader::new(bytes, at as usize).text().map_err(flawed)
}

#[inline]
pub(super) fn sized(bytes: &[u8], at: u32) -> Res<&[u8]> {
    Reader::new(bytes, at as usize).bytes().map_err(flawed)
}

#[inline]
pub(super) fn fixed(bytes: &[u8], at: u32, size: usize) -> Res<&[u8]> {
    Reader::new(bytes, at as usize).fixed(size).map_err(flawed)
}

/// The text of a UUID on a fixed.
pub(super) fn uuid<'r>(arena: &'r Bump, bytes: &[u8], at: u32) -> Res<&'r str> {
    Ok(arena.alloc_str(codec::uuid::text(fixed(bytes, at, 16)?, &mut [0; 36])))
}

#[inline]
pub(super) fn symbol(bytes: &[u8], at: u32, symbols: usize) -> Res<usize> {
    Reader::new(bytes, at as usize).symbol(symbols).map_err(flawed)
}

/// What a node of time counts; days are none of the units.
#[derive(Clone, Copy)]
pub(super) enum Count {
    Days,
    Of(Unit),
}

/// How a node counts time; `None` where it does not.
pub(super) fn count(logical: Option<Logical>) -> Option<Count> {
    match logical? {
        Logical::Date => Some(Count::Days),
        other => other.clock().map(|(_, unit)| Count::Of(unit)),
    }
}

/// Microseconds, which is what expressions count: nanoseconds are cut off.
#[inline]
pub(super) fn micros(value: i64, count: Count) -> Res<i64> {
    let micros = match count {
        Count::Of(unit) => unit.to_micros(value),
        Count::Days => value.checked_mul(86_400_000_000),
    };
    micros.ok_or_else(|| fault("overflow", format!("{value} is past every timestamp")))
}

#[inline]
pub(super) fn decimal(bytes: &[u8], scale: u32) -> Res<Decimal> {
    Decimal::from_avro(bytes, scale).ok_or_else(|| fault("overflow", "the decimal needs more than 128 bits"))
}

/// How a node's bytes become a value.
#[derive(Clone)]
pub(super) enum Decode {
    Null,
    Boolean,
    Int,
    Timestamp(Count),
    Local(Unit),
    Duration(Unit),
    Float,
    Double,
    Text,
    Bytes,
    Fixed(usize),
    /// A fixed, as its text.
    Uuid,
    Decimal {
        fixed: Option<usize>,
        scale: u32,
    },
    Enum(Vec<String>),
    Union(Vec<Decode>),
    /// A nullable value, its index first: null's index, how many branches, the value.
    Nullable(usize, Box<Decode>),
    /// Arrays, maps and records stay as they are.
    Place,
}

impl Decode {
    /// For values of a node that is not a nullable union.
    pub fn new(shape: &Shape) -> Decode {
        let logical = shape.logical();
        if let Some((clock, unit)) = logical.and_then(Logical::clock) {
            return match clock {
                Clock::Utc => Decode::Timestamp(Count::Of(unit)),
                Clock::Local => Decode::Local(unit),
                Clock::Day => Decode::Duration(unit),
            };
        }
        match (shape.kind(), logical) {
            (Kind::Fixed(f), Some(Logical::Decimal { scale, .. })) => Decode::Decimal { fixed: Some(f.size), scale },
            (_, Some(Logical::Decimal { scale, .. })) => Decode::Decimal { fixed: None, scale },
            (_, Some(Logical::Date)) => Decode::Timestamp(Count::Days),
            (Kind::Null, _) => Decode::Null,
            (Kind::Boolean, _) => Decode::Boolean,
            (Kind::Int | Kind::Long, _) => Decode::Int,
            (Kind::Float, _) => Decode::Float,
            (Kind::Double, _) => Decode::Double,
            (Kind::Bytes, _) => Decode::Bytes,
            (Kind::Fixed(_), Some(Logical::Uuid)) => Decode::Uuid,
            (Kind::Fixed(f), _) => Decode::Fixed(f.size),
            (Kind::String, _) => Decode::Text,
            (Kind::Enum(e), _) => Decode::Enum(e.symbols.clone()),
            (Kind::Union(branches), _) => Decode::Union(branches.iter().map(|b| Decode::new(&shape.at(*b))).collect()),
            (Kind::Array(_) | Kind::Map(_) | Kind::Record(_), _) => Decode::Place,
        }
    }

    /// For elements, whose union's index comes first where they are nullable.
    pub fn element(shape: &Shape) -> Decode {
        match shape.schema.nullable(shape.node) {
            Some((null, _, inner)) => Decode::Nullable(null, Box::new(Decode::new(&shape.at(inner)))),
            None => Decode::new(shape),
        }
    }

    pub fn value<'r>(&self, arena: &'r Bump, bytes: &'r [u8], at: u32) -> Res<Val<'r>> {
        Ok(match self {
            Decode::Null => Val::Null,
            Decode::Boolean => Val::Bool(boolean(bytes, at)?),
            Decode::Int => Val::Int(long(bytes, at)?),
            Decode::Timestamp(count) => Val::Timestamp(micros(long(bytes, at)?, *count)?),
            Decode::Local(unit) => Val::Local(micros(long(bytes, at)?, Count::Of(*unit))?),
            Decode::Duration(unit) => Val::Duration(micros(long(bytes, at)?, Count::Of(*unit))?),
            Decode::Float => Val::Double(float(bytes, at)?),
            Decode::Double => Val::Double(double(bytes, at)?),
            Decode::Text => Val::Str(text(bytes, at)?),
            Decode::Bytes => Val::Bytes(sized(bytes, at)?),
            Decode::Fixed(size) => Val::Bytes(fixed(bytes, at, *size)?),
            Decode::Uuid => Val::Str(uuid(arena, bytes, at)?),
            Decode::Decimal { fixed: None, scale } => Val::Decimal(decimal(sized(bytes, at)?, *scale)?),
            Decode::Decimal { fixed: Some(size), scale } => Val::Decimal(decimal(fixed(bytes, at, *size)?, *scale)?),
            Decode::Enum(symbols) => {
                let index = symbol(bytes, at, symbols.len())?;
                Val::Str(arena.alloc_str(symbols.get(index).ok_or_else(missing)?))
            }
            Decode::Union(branches) => {
                let mut reader = Reader::new(bytes, at as usize);
                let index = reader.branch(branches.len()).map_err(flawed)?;
                let branch = branches.get(index).ok_or_else(missing)?;
                branch.value(arena, bytes, reader.at() as u32)?
            }
            Decode::Nullable(null, inner) => {
                let mut reader = Reader::new(bytes, at as usize);
                match reader.branch(2).map_err(flawed)? {
                    index if index == *null => Val::Null,
                    _ => inner.value(arena, bytes, reader.at() as u32)?,
                }
            }
            Decode::Place => Val::At(bytes, at),
        })
    }
}
