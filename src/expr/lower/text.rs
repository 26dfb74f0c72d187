//! Strings and bytes: read in place, made in the scope's arena.

use super::{Get, GetBytes, GetText, Lower, bytes_fn, encoded, text_fn};
use crate::{
    expr::{
        parse::Binary,
        tree::{Const, Expr, Kind},
        value::{Val, bounded, missing, wrong},
    },
    schema,
};
use bumpalo::collections::Vec as List;

impl Lower<'_, '_> {
    pub(super) fn text(&mut self, e: &Expr) -> GetText {
        match &e.kind {
            Kind::Const(Const::Str(s)) => {
                let s = s.clone();
                text_fn(move |f| Ok(f.scope.scratch.alloc_str(&s)))
            }
            Kind::Path(path) => {
                let place = self.place(path);
                match path.leaf.kind() {
                    schema::Kind::Enum(e) => {
                        let symbols = e.symbols.clone();
                        text_fn(move |f| {
                            let index = place.read(f, |bytes, at| encoded::symbol(bytes, at, symbols.len()))?;
                            Ok(f.scope.scratch.alloc_str(symbols.get(index).ok_or_else(missing)?))
                        })
                    }
                    schema::Kind::Fixed(_) => {
                        text_fn(move |f| place.read(f, |bytes, at| encoded::uuid(f.scope.scratch, bytes, at)))
                    }
                    _ => text_fn(move |f| place.read(f, encoded::text)),
                }
            }
            Kind::Choose(parts) => {
                let [cond, yes, no] = &**parts;
                let (cond, yes, no) = (self.boolean(cond), self.text(yes), self.text(no));
                text_fn(move |f| if cond(f)? { yes(f) } else { no(f) })
            }
            Kind::Arithmetic(Binary::Add, a, b) => {
                let (a, b) = (self.text(a), self.text(b));
                text_fn(move |f| {
                    let (a, b) = (a(f)?, b(f)?);
                    bounded(a.len() + b.len())?;
                    let mut made = bumpalo::collections::String::with_capacity_in(a.len() + b.len(), f.scope.scratch);
                    made.push_str(a);
                    made.push_str(b);
                    Ok(made.into_bump_str())
                })
            }
            _ => {
                let get = self.value(e);
                text_fn(move |f| match get(f)? {
                    Val::Str(s) => Ok(s),
                    other => Err(wrong("a string", &other)),
                })
            }
        }
    }

    pub(super) fn bytes(&mut self, e: &Expr) -> GetBytes {
        match &e.kind {
            Kind::Path(path) => {
                let place = self.place(path);
                match path.leaf.kind() {
                    schema::Kind::Fixed(fixed) => {
                        let size = fixed.size;
                        place.bytes_getter(move |bytes, at| encoded::fixed(bytes, at, size))
                    }
                    _ => place.bytes_getter(encoded::sized),
                }
            }
            Kind::Arithmetic(Binary::Add, a, b) => {
                let (a, b) = (self.bytes(a), self.bytes(b));
                bytes_fn(move |f| {
                    let (a, b) = (a(f)?, b(f)?);
                    bounded(a.len() + b.len())?;
                    let mut made = List::with_capacity_in(a.len() + b.len(), f.scope.scratch);
                    made.extend_from_slice(a);
                    made.extend_from_slice(b);
                    Ok(made.into_bump_slice())
                })
            }
            _ => {
                let get = self.value(e);
                bytes_fn(move |f| match get(f)? {
                    Val::Bytes(b) => Ok(b),
                    Val::Null => Err(missing()),
                    other => Err(wrong("bytes", &other)),
                })
            }
        }
    }

    /// A string's bytes, without proving again that they are UTF-8: for tests that do not hand the string on.
    pub(super) fn raw_text(&mut self, e: &Expr) -> GetBytes {
        match &e.kind {
            Kind::Path(path) if matches!(path.leaf.kind(), schema::Kind::String) => {
                let place = self.place(path);
                place.bytes_getter(encoded::sized)
            }
            _ => {
                let get = self.text(e);
                bytes_fn(move |f| get(f).map(str::as_bytes))
            }
        }
    }

    /// `x.startsWith('…')` and its like with a literal: bytes against bytes.
    pub(super) fn text_test(&mut self, name: &str, args: &[Expr]) -> Option<Get<bool>> {
        let [on, Expr { kind: Kind::Const(Const::Str(literal)), .. }] = args else { return None };
        let literal = literal.clone().into_bytes();
        Some(match name {
            "startsWith" => {
                let get = self.raw_text(on);
                Box::new(move |f| Ok(get(f)?.starts_with(&literal)))
            }
            "endsWith" => {
                let get = self.raw_text(on);
                Box::new(move |f| Ok(get(f)?.ends_with(&literal)))
            }
            _ => return None,
        })
    }
}
