//! Values written as Avro: a copy where the bytes follow the target's schema already, else encoded by the target's node.

use super::{
    Get, Lower, Shape, Ty,
    encode::{Encode, put_decimal, put_int, put_moment},
    named,
};
use crate::{
    codec::{Layout, Scanner, write},
    expr::{
        fits::alike,
        tree::{Expr, Kind},
        value::{Frame, Res, Val, fault, missing, wrong},
    },
};

pub(super) type Write = Box<dyn for<'f, 'r> Fn(&Frame<'f, 'r>, &mut Vec<u8>) -> Res<Option<u32>> + Send>;

impl Lower<'_, '_> {
    /// Appends the value, union index included, and says where it begins, or `None` for null.
    pub(super) fn write(&mut self, e: &Expr, target: &Shape) -> Write {
        if let Kind::Choose(parts) = &e.kind {
            let [cond, yes, no] = &**parts;
            let (cond, yes, no) = (self.boolean(cond), self.write(yes, target), self.write(no, target));
            return Box::new(move |f, out| if cond(f)? { yes(f, out) } else { no(f, out) });
        }
        let copied = source(&e.ty).or(match &e.kind {
            Kind::Path(path) => Some(&path.leaf),
            _ => None,
        });
        let solid = target.solid().0;
        let index = target.schema.nullable(target.node).map(|(null, some, _)| (null, some));
        if let Some(from) = copied.filter(|from| alike(from, &solid)) {
            return self.copy(e, from.clone(), index);
        }
        let floor = e.any(&|e| matches!(e.kind, Kind::Now));
        let encode = Encode::new(&e.ty, &solid, floor);
        let (text, some) = (self.text_of(&e.span), index.map(|(_, some)| some));
        // The commonest values go without a `Val` in between.
        match (&e.ty, encode) {
            (Ty::Decimal { .. }, Encode::Decimal { fixed, precision, scale }) => {
                solid_value(self.decimal(e), some, text, move |d, out| put_decimal(d, fixed, precision, scale, out))
            }
            (Ty::Timestamp | Ty::Local, Encode::Moment { unit, floor, name }) => {
                solid_value(self.int(e), some, text, move |t, out| put_moment(t, unit, floor, name, out))
            }
            (Ty::Int, Encode::Int) => solid_value(self.int(e), some, text, put_int),
            (Ty::Int, Encode::Long) => solid_value(self.int(e), some, text, |n, out| {
                write::long(out, n);
                Ok(())
            }),
            (_, encode) => {
                let get = self.argument(e);
                Box::new(move |f, out| {
                    let value = get(f)?;
                    let Some(at) = begin(out, index, matches!(value, Val::Null), &encode)? else { return Ok(None) };
                    encode.put(value, out).map_err(|fault| named(&text, fault))?;
                    Ok(Some(at))
                })
            }
        }
    }

    fn copy(&mut self, e: &Expr, from: Shape, index: Option<(usize, usize)>) -> Write {
        let scanner = Layout::new(from.schema.clone(), from.node).build();
        let encode = Encode::Copy;
        if let Kind::Path(path) = &e.kind {
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

/// Writes values that are never null; `some` is their branch where the target is a union.
fn solid_value<T: 'static>(
    get: Get<T>,
    some: Option<usize>,
    text: String,
    put: impl Fn(T, &mut Vec<u8>) -> Res<()> + Send + 'static,
) -> Write {
    Box::new(move |f, out| {
        let value = get(f)?;
        if let Some(some) = some {
            write::index(out, some);
        }
        let at = begins(out)?;
        put(value, out).map_err(|fault| named(&text, fault))?;
        Ok(Some(at))
    })
}

/// The node whose bytes a value of this type still has.
fn source(ty: &Ty) -> Option<&Shape> {
    match ty.solid() {
        Ty::List(_, Some(shape)) | Ty::Map(_, Some(shape)) | Ty::Message(shape) => Some(shape),
        _ => None,
    }
}

/// All bytes of the value that begins at an offset.
pub(super) fn whole_value<'r>(scanner: &Scanner, bytes: &'r [u8], at: u32) -> Res<&'r [u8]> {
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
    begins(out).map(Some)
}

/// Where the next value begins.
fn begins(out: &[u8]) -> Res<u32> {
    u32::try_from(out.len()).map_err(|_| fault("overflow", "the record grows past 4 GiB"))
}
