//! Values written as Avro: a copy where the bytes follow the target's schema already, else encoded by the target's node.

use super::{Lower, Shape, Ty};
use crate::{
    codec::{Layout, Scanner, write},
    expr::{
        fits::{self, alike},
        functions::{duration_text, timestamp_text},
        tree::{Expr, Kind as ExprKind},
        value::{Frame, Res, Val, fault, missing, whole, wrong},
    },
    schema::{Kind, Logical},
};

pub(super) type Write = Box<dyn for<'f, 'r> Fn(&Frame<'f, 'r>, &mut Vec<u8>) -> Res<Option<u32>> + Send>;

impl Lower<'_, '_> {
    /// Appends the value, union index included, and says where it begins, or `None` for null.
    pub(super) fn write(&mut self, e: &Expr, target: &Shape) -> Write {
        if let ExprKind::Choose(parts) = &e.kind {
            let [cond, yes, no] = &**parts;
            let (cond, yes, no) = (self.boolean(cond), self.write(yes, target), self.write(no, target));
            return Box::new(move |f, out| if cond(f)? { yes(f, out) } else { no(f, out) });
        }
        let copied = source(&e.ty).or(match &e.kind {
            ExprKind::Path(path) => Some(&path.leaf),
            _ => None,
        });
        let solid = target.solid().0;
        let index = target.schema.nullable(target.node).map(|(null, some, _)| (null, some));
        if let Some(from) = copied.filter(|from| alike(from, &solid)) {
            return self.copy(e, from.clone(), index);
        }
        let floor = e.any(&|e| matches!(e.kind, ExprKind::Now));
        let encode = Encode::new(&e.ty, &solid, floor);
        let text = self.text_of(&e.span);
        let get = self.argument(e);
        Box::new(move |f, out| {
            let value = get(f)?;
            let Some(at) = begin(out, index, matches!(value, Val::Null), &encode)? else { return Ok(None) };
            encode.put(value, out).map_err(|mut fault| {
                fault.message = format!("`{text}`: {}", fault.message);
                fault
            })?;
            Ok(Some(at))
        })
    }

    fn copy(&mut self, e: &Expr, from: Shape, index: Option<(usize, usize)>) -> Write {
        let scanner = Layout::new(from.schema.clone(), from.node).build();
        let encode = Encode::Copy;
        if let ExprKind::Path(path) = &e.kind {
            let place = self.place(path);
            return Box::new(move |f, out| {
                let found = place.find(f)?;
                let Some(begins) = begin(out, index, found.is_none(), &encode)? else { return Ok(None) };
                let (bytes, at) = found.ok_or_else(missing)?;
                out.extend_from_slice(whole_value(&scanner, bytes, at)?);
                Ok(Some(begins))
            });
        }
        let get = self.value(e);
        Box::new(move |f, out| {
            let value = get(f)?;
            let Some(begins) = begin(out, index, matches!(value, Val::Null), &encode)? else { return Ok(None) };
            match value {
                Val::At(bytes, at) => out.extend_from_slice(whole_value(&scanner, bytes, at)?),
                other => return Err(wrong("a record, list or map", &other)),
            }
            Ok(Some(begins))
        })
    }
}

/// The node whose bytes a value of this type still has.
fn source(ty: &Ty) -> Option<&Shape> {
    match ty.solid() {
        Ty::List(_, Some(shape)) | Ty::Map(_, Some(shape)) | Ty::Message(shape) => Some(shape),
        _ => None,
    }
}

fn whole_value<'r>(scanner: &Scanner, bytes: &'r [u8], at: u32) -> Res<&'r [u8]> {
    let end = scanner.scan_at(bytes, at as usize, &mut []).map_err(|failure| fault("null-value", failure.message))?;
    bytes.get(at as usize..end).ok_or_else(missing)
}

/// Writes the union's index, where there is a union; `None` when that was all.
fn begin(out: &mut Vec<u8>, index: Option<(usize, usize)>, null: bool, encode: &Encode) -> Res<Option<u32>> {
    match (index, null) {
        (Some((at, _)), true) => {
            write::index(out, at);
            return Ok(None);
        }
        (Some((_, at)), false) => write::index(out, at),
        (None, true) if matches!(encode, Encode::Null) => return Ok(None),
        (None, true) if matches!(encode, Encode::Branch { null: Some(_), .. }) => {}
        (None, true) => return Err(fault("null-value", "null, where the field takes none")),
        (None, false) => {}
    }
    u32::try_from(out.len()).map(Some).map_err(|_| fault("overflow", "the record grows past 4 GiB"))
}

/// How a value becomes a node's bytes.
enum Encode {
    Null,
    /// The bytes are there already.
    Copy,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    Uuid,
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
    /// Microseconds in one unit; `floor` cuts what is finer, which only `now()` may lose. `most` bounds a time of day.
    Time {
        unit: i64,
        floor: bool,
        most: i64,
        what: &'static str,
    },
    Array(Box<Encode>),
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
    fn new(ty: &Ty, target: &Shape, floor: bool) -> Encode {
        if let Some((null, some, inner)) = target.schema.nullable(target.node) {
            let inner = Box::new(Encode::new(ty.solid(), &target.at(inner), floor));
            return Encode::Nullable { null, some, inner };
        }
        let time = |unit, most, what| Encode::Time { unit, floor, most, what };
        match (target.kind(), target.logical()) {
            (kind, Some(Logical::Decimal { precision, scale })) => {
                let fixed = if let Kind::Fixed(f) = kind { Some(f.size) } else { None };
                Encode::Decimal { fixed, precision, scale }
            }
            (_, Some(Logical::Date)) => time(DAY, i64::MAX, "a date"),
            (_, Some(Logical::TimeMillis)) => time(1000, DAY, "time-millis"),
            (_, Some(Logical::TimeMicros)) => time(1, DAY, "time-micros"),
            (_, Some(Logical::TimestampMillis)) => time(1000, i64::MAX, "timestamp-millis"),
            (_, Some(Logical::LocalTimestampMillis)) => time(1000, i64::MAX, "local-timestamp-millis"),
            (_, Some(Logical::TimestampMicros | Logical::LocalTimestampMicros)) => time(1, i64::MAX, "micros"),
            (_, Some(Logical::Uuid)) => Encode::Uuid,
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
            (Kind::Array(item), _) => match ty {
                Ty::List(from, _) => Encode::Array(Box::new(Encode::new(from, &target.at(*item), floor))),
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
            (Kind::Map(_) | Kind::Record(_), _) => {
                Encode::Element(Layout::new(target.schema.clone(), target.node).build())
            }
        }
    }

    fn put(&self, value: Val<'_>, out: &mut Vec<u8>) -> Res<()> {
        match (self, value) {
            (Encode::Nullable { null, .. }, Val::Null) => write::index(out, *null),
            (Encode::Nullable { some, inner, .. }, value) => {
                write::index(out, *some);
                inner.put(value, out)?;
            }
            (Encode::Branch { null: Some(null), .. }, Val::Null) => write::index(out, *null),
            (Encode::Branch { some, inner, .. }, value) => {
                write::index(out, *some);
                inner.put(value, out)?;
            }
            (Encode::Null, _) => {}
            (Encode::Boolean, Val::Bool(b)) => write::boolean(out, b),
            (Encode::Int, Val::Int(n)) => match i32::try_from(n) {
                Ok(n) => write::long(out, i64::from(n)),
                Err(_) => return Err(fault("overflow", format!("{n} does not fit an int of 32 bits"))),
            },
            (Encode::Long, Val::Int(n)) => write::long(out, n),
            (Encode::Float, Val::Double(d)) => write::float(out, d as f32),
            (Encode::Double, Val::Double(d)) => write::double(out, d),
            (Encode::Double, Val::Int(n)) => {
                if n.unsigned_abs() > 1 << 53 {
                    return Err(fault("bad-conversion", format!("{n} is not exact as a double")));
                }
                write::double(out, n as f64);
            }
            (Encode::Decimal { .. }, Val::Int(n)) => self.put(Val::Decimal(whole(n)), out)?,
            (Encode::Decimal { fixed, precision, scale }, Val::Decimal(d)) => {
                let fitting = d.rescale(*scale).filter(|d| d.precision() <= *precision);
                let Some(scaled) = fitting else {
                    return Err(fault("overflow", format!("{d} does not fit decimal({precision},{scale})")));
                };
                match fixed {
                    None => write::decimal(out, scaled.unscaled),
                    Some(size) if write::decimal_fixed(out, scaled.unscaled, *size) => {}
                    Some(size) => return Err(fault("overflow", format!("{d} does not fit {size} bytes"))),
                }
            }
            (Encode::Text, Val::Str(s)) => write::text(out, s),
            (Encode::Uuid, Val::Str(s)) => match uuid::Uuid::try_parse(s) {
                Ok(_) => write::text(out, s),
                Err(_) => return Err(fault("bad-conversion", format!("'{s}' is not a UUID"))),
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
            (Encode::Time { unit, floor, most, what }, Val::Timestamp(t) | Val::Local(t)) => {
                debug_assert!(*most == i64::MAX);
                if t.rem_euclid(*unit) != 0 && !floor {
                    let text = timestamp_text(t);
                    return Err(fault("bad-conversion", format!("{text} is finer than {what} holds")));
                }
                write::long(out, t.div_euclid(*unit));
            }
            (Encode::Time { unit, most, what, .. }, Val::Duration(d)) => {
                if !(0..*most).contains(&d) || d.rem_euclid(*unit) != 0 {
                    return Err(fault("overflow", format!("a duration of {} is no {what}", duration_text(d))));
                }
                write::long(out, d / unit);
            }
            (Encode::Element(scanner), Val::At(bytes, at)) => out.extend_from_slice(whole_value(scanner, bytes, at)?),
            (Encode::Array(inner), Val::List(items)) => {
                if !items.is_empty() {
                    write::index(out, items.len());
                    for item in items {
                        inner.put(*item, out)?;
                    }
                }
                write::index(out, 0);
            }
            (_, Val::Null) => return Err(fault("null-value", "null, where the field takes none")),
            (_, other) => return Err(wrong("a value of the field's type", &other)),
        }
        Ok(())
    }
}
