//! How values become the bytes of a schema's node. What `fits` could not rule out is a fault here: a number out of range, a
//! finer instant than the node holds, a string that is none of an enum's symbols.

use super::{Shape, Ty, write::whole_value};
use crate::{
    codec::{Decimal, Layout, Scanner, uuid, write},
    expr::{
        fits,
        functions::{duration_text, timestamp_text},
        value::{MOST_MADE, Res, Val, fault, too_much, whole, wrong},
    },
    schema::{Clock, Kind, Logical, Unit},
};

/// How a value becomes a node's bytes.
pub(super) enum Encode {
    Null,
    /// The bytes are there already.
    Copy,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    /// On a fixed its bytes, else its text.
    Uuid {
        fixed: bool,
    },
    Bytes,
    Fixed(usize),
    Enum {
        name: String,
        symbols: Vec<String>,
    },
    Decimal {
        fixed: Option<usize>,
        precision: u32,
        scale: u32,
    },
    /// A moment in one unit. `floor` cuts what is finer, which only `now()` may lose.
    Moment {
        unit: Unit,
        floor: bool,
        name: &'static str,
    },
    TimeOfDay {
        unit: Unit,
        name: &'static str,
    },
    /// The elements' way; `encoded` for an array whose bytes are alike.
    Array {
        inner: Box<Encode>,
        encoded: Option<Scanner>,
    },
    /// An element whose bytes are alike.
    Element(Scanner),
    Nullable {
        null: usize,
        some: usize,
        inner: Box<Encode>,
    },
    /// What `fits` refuses.
    Unfit,
    /// A branch of a union of many.
    Branch {
        null: Option<usize>,
        some: usize,
        inner: Box<Encode>,
    },
}

const DAY: i64 = 86_400_000_000;

impl Encode {
    /// The way for values of a type that `fits` has found to fit the node.
    pub fn new(ty: &Ty, target: &Shape, floor: bool) -> Encode {
        if let Some((null, some, inner)) = target.schema.nullable(target.node) {
            let inner = Box::new(Encode::new(ty.solid(), &target.at(inner), floor));
            return Encode::Nullable { null, some, inner };
        }
        if let Some((logical, (clock, unit))) = target.logical().and_then(|l| Some((l, l.clock()?))) {
            let name = logical.name();
            return match clock {
                Clock::Day => Encode::TimeOfDay { unit, name },
                Clock::Utc | Clock::Local => Encode::Moment { unit, floor, name },
            };
        }
        match (target.kind(), target.logical()) {
            (kind, Some(Logical::Decimal { precision, scale })) => {
                let fixed = if let Kind::Fixed(f) = kind { Some(f.size) } else { None };
                Encode::Decimal { fixed, precision, scale }
            }
            // `fits` lets these through only where they are copied.
            (_, Some(Logical::Date | Logical::Duration)) => Encode::Unfit,
            (kind, Some(Logical::Uuid)) => Encode::Uuid { fixed: *kind != Kind::String },
            (Kind::Null, _) => Encode::Null,
            (Kind::Boolean, _) => Encode::Boolean,
            (Kind::Int, _) => Encode::Int,
            (Kind::Long, _) => Encode::Long,
            (Kind::Float, _) => Encode::Float,
            (Kind::Double, _) => Encode::Double,
            (Kind::String, _) => Encode::Text,
            (Kind::Bytes, _) => Encode::Bytes,
            (Kind::Fixed(f), _) => Encode::Fixed(f.size),
            (Kind::Enum(e), _) => Encode::Enum { name: e.name.0.clone(), symbols: e.symbols.clone() },
            (Kind::Array(item), _) => match ty.solid() {
                Ty::List(of, from) => Encode::Array {
                    inner: Box::new(Encode::new(of, &target.at(*item), floor)),
                    encoded: from.as_ref().filter(|from| fits::alike(from, target)).map(|_| scanner(target)),
                },
                _ => Encode::Unfit,
            },
            (Kind::Union(branches), _) => {
                let ty = ty.solid();
                let null = branches.iter().position(|b| matches!(target.schema.kind(*b), Kind::Null));
                match branches.iter().enumerate().find(|(_, b)| fits::type_fits(ty, &target.at(**b)).is_ok()) {
                    Some((some, b)) => {
                        Encode::Branch { null, some, inner: Box::new(Encode::new(ty, &target.at(*b), floor)) }
                    }
                    None => Encode::Unfit,
                }
            }
            // `fits` lets these through only where the bytes are alike.
            (Kind::Map(_) | Kind::Record(_), _) => Encode::Element(scanner(target)),
        }
    }

    /// Appends the value's bytes, a union's index inside it included.
    pub fn put(&self, value: Val<'_>, out: &mut Vec<u8>) -> Res<()> {
        match (self, value) {
            (Encode::Nullable { null, .. }, Val::Null) | (Encode::Branch { null: Some(null), .. }, Val::Null) => {
                write::index(out, *null);
            }
            (Encode::Nullable { some, inner, .. }, value) | (Encode::Branch { some, inner, .. }, value) => {
                write::index(out, *some);
                inner.put(value, out)?;
            }
            (Encode::Array { inner, .. }, Val::List(items)) => {
                if !items.is_empty() {
                    write::index(out, items.len());
                    for item in items {
                        inner.put(*item, out)?;
                        if out.len() > MOST_MADE {
                            return Err(too_much());
                        }
                    }
                }
                write::index(out, 0);
            }
            (_, value) => self.put_scalar(value, out)?,
        }
        Ok(())
    }

    fn put_scalar(&self, value: Val<'_>, out: &mut Vec<u8>) -> Res<()> {
        match (self, value) {
            (Encode::Null, _) => {}
            (Encode::Boolean, Val::Bool(b)) => write::boolean(out, b),
            (Encode::Int, Val::Int(n)) => put_int(n, out)?,
            (Encode::Long, Val::Int(n)) => write::long(out, n),
            (Encode::Float, Val::Double(d)) if d.is_nan() || f64::from(d as f32) == d => write::float(out, d as f32),
            (Encode::Double, Val::Double(d)) => write::double(out, d),
            (Encode::Double, Val::Int(n)) => {
                if n.unsigned_abs() > 1 << 53 {
                    return Err(fault("bad-conversion", format!("{n} is not exact as a double")));
                }
                write::double(out, n as f64);
            }
            (Encode::Decimal { .. }, Val::Int(n)) => self.put(Val::Decimal(whole(n)), out)?,
            (Encode::Decimal { fixed, precision, scale }, Val::Decimal(d)) => {
                put_decimal(d, *fixed, *precision, *scale, out)?;
            }
            (Encode::Text, Val::Str(s)) => write::text(out, s),
            (Encode::Uuid { fixed }, Val::Str(s)) => match uuid::parse(s) {
                Some(bytes) if *fixed => out.extend_from_slice(&bytes),
                Some(_) => write::text(out, s),
                None => return Err(fault("bad-conversion", format!("'{s}' is not a UUID"))),
            },
            (Encode::Bytes, Val::Bytes(b)) => write::bytes(out, b),
            (Encode::Fixed(size), Val::Bytes(b)) if b.len() == *size => out.extend_from_slice(b),
            (Encode::Fixed(size), Val::Bytes(b)) => {
                return Err(fault("bad-conversion", format!("{} bytes, where the field has {size}", b.len())));
            }
            (Encode::Enum { name, symbols }, Val::Str(s)) => match symbols.iter().position(|symbol| symbol == s) {
                Some(index) => write::index(out, index),
                None => return Err(fault("bad-conversion", format!("enum {name} has no symbol '{s}'"))),
            },
            (Encode::Moment { unit, floor, name }, Val::Timestamp(t) | Val::Local(t)) => {
                put_moment(t, *unit, *floor, name, out)?;
            }
            (Encode::TimeOfDay { unit, name }, Val::Duration(d)) => {
                let whole = unit.of_micros(d).filter(|n| (0..DAY).contains(&d) && unit.to_micros(*n) == Some(d));
                let no = || fault("overflow", format!("a duration of {} is no {name}", duration_text(d)));
                write::long(out, whole.ok_or_else(no)?);
            }
            (Encode::Element(scanner) | Encode::Array { encoded: Some(scanner), .. }, Val::At(bytes, at)) => {
                out.extend_from_slice(whole_value(scanner, bytes, at)?);
            }
            (_, Val::Null) => return Err(fault("null-value", "null, where the field takes none")),
            (_, other) => return Err(wrong("a value of the field's type", &other)),
        }
        Ok(())
    }
}

fn scanner(node: &Shape) -> Scanner {
    Layout::new(node.schema.clone(), node.node).build()
}

pub(super) fn put_int(n: i64, out: &mut Vec<u8>) -> Res<()> {
    let n = i32::try_from(n).map_err(|_| fault("overflow", format!("{n} does not fit an int of 32 bits")))?;
    write::long(out, i64::from(n));
    Ok(())
}

pub(super) fn put_moment(t: i64, unit: Unit, floor: bool, name: &str, out: &mut Vec<u8>) -> Res<()> {
    let past = || fault("overflow", format!("{} is past what {name} holds", timestamp_text(t)));
    let n = unit.of_micros(t).ok_or_else(past)?;
    if unit.to_micros(n) != Some(t) && !floor {
        return Err(fault("bad-conversion", format!("{} is finer than {name} holds", timestamp_text(t))));
    }
    write::long(out, n);
    Ok(())
}

pub(super) fn put_decimal(d: Decimal, fixed: Option<usize>, precision: u32, scale: u32, out: &mut Vec<u8>) -> Res<()> {
    let Some(scaled) = d.rescale(scale).filter(|d| d.fits(precision)) else {
        return Err(fault("overflow", format!("{d} does not fit decimal({precision},{scale})")));
    };
    match fixed {
        None => write::decimal(out, scaled.unscaled),
        Some(size) if write::decimal_fixed(out, scaled.unscaled, size) => {}
        Some(size) => return Err(fault("overflow", format!("{d} does not fit {size} bytes"))),
    }
    Ok(())
}
