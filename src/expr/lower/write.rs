//! Values written as Avro: a copy where the bytes follow the target's schema already, else encoded by the target's node.

use super::{Lower, Shape, Ty, encode::Encode};
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
    u32::try_from(out.len()).map(Some).map_err(|_| fault("overflow", "the record grows past 4 GiB"))
}
