//! Where a path's bytes are: a slot of the body, of `item`, of a loop's element, or behind a walk.

use super::{Get, GetBytes, Lower, bytes_fn, encoded};
use crate::{
    codec::{Layout, NULL, Scanner, Slot},
    expr::{
        Place,
        tree::{Path, Root},
        types::Shape,
        value::{Frame, Res, missing},
    },
};

/// A compiled path.
pub(super) enum At {
    Body(usize),
    Item(usize),
    Var {
        depth: u16,
        slot: usize,
    },
    Added(usize),
    /// Below a value that an enricher set: found by walking it.
    AddedBelow(usize, Walk),
}

/// Finds one field below a value by a scan of that value.
#[derive(Clone)]
pub(super) struct Walk(Scanner);

impl Walk {
    pub fn new(shape: &Shape, steps: &[u16]) -> Walk {
        let mut layout = Layout::new(shape.schema.clone(), shape.node);
        layout.value(steps);
        Walk(layout.build())
    }
    /// Where the field begins, `None` for null.
    pub fn find(&self, bytes: &[u8], at: u32) -> Res<Option<u32>> {
        let mut slot = [NULL];
        let found = self.0.scan_at(bytes, at as usize, &mut slot);
        found.map_err(|failure| crate::expr::value::fault("null-value", failure.message))?;
        Ok(Some(slot[0]).filter(|at| *at != NULL))
    }
}

impl At {
    /// The bytes around the value and where it begins; `None` for null.
    #[inline]
    pub fn find<'r>(&self, f: &Frame<'_, 'r>) -> Res<Option<(&'r [u8], u32)>> {
        let scope = f.scope;
        let (bytes, at) = match self {
            At::Body(slot) => (scope.body, scope.slots.get(*slot).copied()),
            At::Item(slot) => (scope.body, scope.item.get(*slot).copied()),
            At::Added(i) => (scope.added, scope.added_at.get(*i).copied()),
            At::AddedBelow(i, walk) => {
                let Some(at) = scope.added_at.get(*i).copied().filter(|at| *at != NULL) else { return Ok(None) };
                return Ok(walk.find(scope.added, at)?.map(|at| (scope.added, at)));
            }
            At::Var { depth, slot } => {
                let var = f.var(*depth).ok_or_else(missing)?;
                let crate::expr::value::Val::At(bytes, _) = var.value else { return Ok(None) };
                (bytes, var.slots.get(*slot).copied())
            }
        };
        Ok(at.filter(|at| *at != NULL).map(|at| (bytes, at)))
    }

    /// A closure that reads a value which the checker has proven to be there. The body, which most places are in, has
    /// one of its own.
    pub fn getter<T: 'static>(self, decode: impl for<'a> Fn(&'a [u8], u32) -> Res<T> + Send + 'static) -> Get<T> {
        match self {
            At::Body(slot) => Box::new(move |f| decode(f.scope.body, filled(f.scope.slots, slot)?)),
            other => Box::new(move |f| other.read(f, &decode)),
        }
    }

    /// As [`At::getter`], for bytes in place.
    pub fn bytes_getter(self, decode: impl for<'a> Fn(&'a [u8], u32) -> Res<&'a [u8]> + Send + 'static) -> GetBytes {
        match self {
            At::Body(slot) => bytes_fn(move |f| decode(f.scope.body, filled(f.scope.slots, slot)?)),
            other => bytes_fn(move |f| other.read(f, &decode)),
        }
    }

    /// Reads a value that the checker has proven to be there.
    #[inline]
    pub fn read<'r, T>(&self, f: &Frame<'_, 'r>, decode: impl Fn(&'r [u8], u32) -> Res<T>) -> Res<T> {
        match self.find(f)? {
            Some((bytes, at)) => decode(bytes, at),
            None => Err(missing()),
        }
    }
}

/// The offset in a slot that cannot be null.
#[inline]
fn filled(slots: &[u32], slot: usize) -> Res<u32> {
    match slots.get(slot) {
        Some(at) if *at != NULL => Ok(*at),
        _ => Err(missing()),
    }
}

impl Lower<'_, '_> {
    pub(super) fn place(&mut self, path: &Path) -> At {
        let slot = |Slot(n): Slot| n as usize;
        match path.root {
            Root::Field { place: Place::Body(field), .. } => {
                let steps = [&[field], &path.steps[..]].concat();
                let asked = self.places.as_mut().map_or(0, |p| slot(p.body.value(&steps)));
                At::Body(asked)
            }
            Root::Field { place: Place::Added(i), .. } => {
                let i = usize::from(i);
                match path.steps.is_empty() {
                    true => At::Added(i),
                    false => At::AddedBelow(i, Walk::new(&path.top.solid().0, &path.steps)),
                }
            }
            Root::Item => {
                let item = self.places.as_mut().and_then(|p| p.item.as_mut());
                At::Item(item.map_or(usize::MAX, |layout| slot(layout.value(&path.steps))))
            }
            Root::Var(depth) => {
                let layout = self.vars.get_mut(usize::from(depth)).and_then(Option::as_mut);
                At::Var { depth, slot: layout.map_or(usize::MAX, |layout| slot(layout.value(&path.steps))) }
            }
        }
    }

    pub(super) fn path_value(&mut self, e: &super::Expr, path: &Path) -> super::GetVal {
        let place = self.place(path);
        let decode = encoded::Decode::new(&path.leaf);
        let nullable = matches!(e.ty, super::Ty::Nullable(_) | super::Ty::Dyn(_) | super::Ty::Null);
        super::val_fn(move |f| match place.find(f)? {
            Some((bytes, at)) => decode.value(f.scope.scratch, bytes, at),
            None if nullable => Ok(super::Val::Null),
            None => Err(missing()),
        })
    }
}
