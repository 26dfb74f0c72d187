//! CEL's macros. An encoded array is walked in place: its body asks for offsets of the element as a rule asks for the record's.

use super::{Get, GetVal, Lower, list::Elements, val_fn};
use crate::{
    codec::{Items, Layout, NULL, Scanner},
    expr::{
        tree::{Expr, Loop, Macro},
        types::Ty,
        value::{Frame, MOST_MADE, Res, Val, Var, too_much, wrong},
    },
    schema,
};
use bumpalo::collections::Vec as List;

/// What a loop goes over, and how its variable is seen.
enum Range {
    /// The element's layout, and what hands the element on as a value.
    Encoded(GetVal, Box<(Scanner, Elements)>),
    Made(GetVal),
}

impl Range {
    /// Calls `each` for every element until it says stop.
    fn run<'r>(
        &self,
        f: &Frame<'_, 'r>,
        depth: u16,
        mut each: impl FnMut(&Frame<'_, 'r>, Val<'r>) -> Res<bool>,
    ) -> Res<()> {
        // Of what an earlier record needed the arena keeps some: only what is new counts.
        let before = f.scope.scratch.allocated_bytes();
        let bounded = || match f.scope.scratch.allocated_bytes() - before {
            0..=MOST_MADE => Ok(()),
            _ => Err(too_much()),
        };
        match self {
            Range::Encoded(get, parts) => {
                let scanner = &parts.0;
                let Val::At(bytes, at) = get(f)? else { return Ok(()) };
                let mut items = Items::new(scanner, bytes, at);
                let slots = f.scope.scratch.alloc_slice_fill_copy(scanner.slots(), NULL);
                while let Some(at) = items.next(slots) {
                    bounded()?;
                    let value = Val::At(bytes, at);
                    let var = Var { value, slots, up: f.vars, depth };
                    if !each(&Frame { vars: Some(&var), ..*f }, value)? {
                        return Ok(());
                    }
                }
                Ok(())
            }
            Range::Made(get) => {
                let items = match get(f)? {
                    Val::List(items) => items,
                    other => return Err(wrong("a list or a map", &other)),
                };
                for value in items {
                    bounded()?;
                    let var = Var { value: *value, slots: &[], up: f.vars, depth };
                    if !each(&Frame { vars: Some(&var), ..*f }, *value)? {
                        return Ok(());
                    }
                }
                Ok(())
            }
        }
    }

    /// An element handed on as a value.
    fn value<'r>(&self, f: &Frame<'_, 'r>, value: Val<'r>) -> Res<Val<'r>> {
        match (self, value) {
            (Range::Encoded(_, parts), Val::At(bytes, at)) => parts.1.decode.value(f.scope.scratch, bytes, at),
            (_, value) => Ok(value),
        }
    }
}

impl Lower<'_, '_> {
    /// Lowers the loop's parts with its variable in scope.
    fn looped<T>(&mut self, l: &Loop, parts: impl FnOnce(&mut Self) -> T) -> (Range, u16, T) {
        let depth = self.vars.len() as u16;
        let encoded = match &l.range.ty {
            Ty::List(_, Some(shape)) => match shape.kind() {
                schema::Kind::Array(item) => Some((shape.clone(), shape.at(*item))),
                _ => None,
            },
            _ => None,
        };
        let range = match encoded {
            Some(_) => self.value(&l.range),
            None => self.materialized(&l.range),
        };
        self.vars.push(encoded.as_ref().map(|(_, item)| Layout::new(item.schema.clone(), item.node)));
        let parts = parts(self);
        let layout = self.vars.pop().flatten();
        let elements = encoded.and_then(|(array, _)| Elements::new(&array));
        let range = match (layout, elements) {
            (Some(layout), Some(elements)) => Range::Encoded(range, Box::new((layout.build(), elements))),
            _ => Range::Made(range),
        };
        (range, depth, parts)
    }

    /// `all`, `exists`, `exists_one`: an answer wins over failures of other elements, as with `&&` and `||`.
    pub(super) fn quantifier(&mut self, l: &Loop) -> Get<bool> {
        let (range, depth, body) = self.looped(l, |lower| lower.boolean(&l.body));
        if l.kind == Macro::ExistsOne {
            return Box::new(move |f| {
                let mut found = 0u64;
                range.run(f, depth, |f, _| {
                    found += u64::from(body(f)?);
                    Ok(true)
                })?;
                Ok(found == 1)
            });
        }
        let decisive = l.kind == Macro::Exists;
        Box::new(move |f| {
            let mut answer = Ok(!decisive);
            range.run(f, depth, |f, _| match body(f) {
                Ok(b) if b == decisive => {
                    answer = Ok(decisive);
                    Ok(false)
                }
                Ok(_) => Ok(true),
                Err(fault) => {
                    if answer.is_ok() {
                        answer = Err(fault);
                    }
                    Ok(true)
                }
            })?;
            answer
        })
    }

    /// `filter` and `map`.
    pub(super) fn made_list(&mut self, l: &Loop) -> GetVal {
        if l.kind == Macro::Filter {
            let (range, depth, body) = self.looped(l, |lower| lower.boolean(&l.body));
            return val_fn(move |f| {
                let mut made = List::new_in(f.scope.scratch);
                range.run(f, depth, |f, value| {
                    if body(f)? {
                        made.push(range.value(f, value)?);
                    }
                    Ok(true)
                })?;
                Ok(Val::List(made.into_bump_slice()))
            });
        }
        let lower_both = |lower: &mut Self, filter: &Option<Expr>, body: &Expr| {
            let filter = filter.as_ref().map(|e| lower.boolean(e));
            (filter, lower.value(body))
        };
        let (range, depth, (filter, body)) = self.looped(l, |lower| lower_both(lower, &l.filter, &l.body));
        val_fn(move |f| {
            let mut made = List::new_in(f.scope.scratch);
            range.run(f, depth, |f, _| {
                let keep = match &filter {
                    Some(filter) => filter(f)?,
                    None => true,
                };
                if keep {
                    made.push(body(f)?);
                }
                Ok(true)
            })?;
            Ok(Val::List(made.into_bump_slice()))
        })
    }
}
