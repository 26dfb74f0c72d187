//! Comparison and membership. Constants are prepared once: enum symbols become indexes, lists become sorted.

use super::{Get, Lower, encoded, list};
use crate::{
    codec::Decimal,
    expr::{
        parse::Binary,
        tree::{Const, Envelope, Expr, Kind, Path, TypeTest},
        types::Ty,
        value::{Val, fault, missing},
    },
    schema,
};
use std::cmp::Ordering;

/// Whether an order satisfies an operator; `None` is NaN, which only `!=` satisfies.
#[inline]
fn holds(op: Binary, order: Option<Ordering>) -> bool {
    match (op, order) {
        (Binary::Ne, None) => true,
        (_, None) => false,
        (Binary::Eq, Some(o)) => o.is_eq(),
        (Binary::Ne, Some(o)) => o.is_ne(),
        (Binary::Lt, Some(o)) => o.is_lt(),
        (Binary::Le, Some(o)) => o.is_le(),
        (Binary::Gt, Some(o)) => o.is_gt(),
        (_, Some(o)) => o.is_ge(),
    }
}

/// One closure for each operator, so that none is chosen while it runs.
fn compared<T: PartialOrd + 'static>(op: Binary, a: Get<T>, b: Get<T>) -> Get<bool> {
    match op {
        Binary::Eq => Box::new(move |f| Ok(a(f)? == b(f)?)),
        Binary::Ne => Box::new(move |f| Ok(a(f)? != b(f)?)),
        Binary::Lt => Box::new(move |f| Ok(a(f)? < b(f)?)),
        Binary::Le => Box::new(move |f| Ok(a(f)? <= b(f)?)),
        Binary::Gt => Box::new(move |f| Ok(a(f)? > b(f)?)),
        _ => Box::new(move |f| Ok(a(f)? >= b(f)?)),
    }
}

fn compared_with<T: PartialOrd + Send + 'static>(op: Binary, a: Get<T>, b: T) -> Get<bool> {
    match op {
        Binary::Eq => Box::new(move |f| Ok(a(f)? == b)),
        Binary::Ne => Box::new(move |f| Ok(a(f)? != b)),
        Binary::Lt => Box::new(move |f| Ok(a(f)? < b)),
        Binary::Le => Box::new(move |f| Ok(a(f)? <= b)),
        Binary::Gt => Box::new(move |f| Ok(a(f)? > b)),
        _ => Box::new(move |f| Ok(a(f)? >= b)),
    }
}

impl Lower<'_, '_> {
    pub(super) fn compare(&mut self, op: Binary, a: &Expr, b: &Expr) -> Get<bool> {
        if a.constant().is_some() && b.constant().is_none() {
            return self.compare(turned(op), b, a);
        }
        match (&a.ty, &b.ty) {
            (Ty::Int, Ty::Int)
            | (Ty::Timestamp, Ty::Timestamp)
            | (Ty::Local, Ty::Local)
            | (Ty::Duration, Ty::Duration) => {
                let get = self.int(a);
                match b.constant() {
                    Some(Const::Int(n) | Const::Timestamp(n) | Const::Duration(n)) => compared_with(op, get, *n),
                    _ => compared(op, get, self.int(b)),
                }
            }
            (Ty::Double, Ty::Double) => {
                let get = self.double(a);
                match b.constant() {
                    Some(Const::Double(d)) => compared_with(op, get, *d),
                    _ => compared(op, get, self.double(b)),
                }
            }
            (Ty::Decimal { .. }, Ty::Decimal { .. }) => {
                let get = self.decimal(a);
                match (b.constant(), &a.ty) {
                    (Some(Const::Decimal(d)), Ty::Decimal { scale, .. }) => {
                        compared_with(op, get, d.rescale(*scale).unwrap_or(*d))
                    }
                    _ => compared(op, get, self.decimal(b)),
                }
            }
            (Ty::Bool, Ty::Bool) => compared(op, self.boolean(a), self.boolean(b)),
            (Ty::String, Ty::String) => self.compare_text(op, a, b),
            (Ty::Bytes, Ty::Bytes) => {
                let (a, b) = (self.bytes(a), self.bytes(b));
                Box::new(move |f| Ok(holds(op, Some(a(f)?.cmp(b(f)?)))))
            }
            _ => self.compare_values(op, a, b),
        }
    }

    fn compare_text(&mut self, op: Binary, a: &Expr, b: &Expr) -> Get<bool> {
        if let (Kind::Path(path), Some(Const::Str(s))) = (&a.kind, b.constant())
            && let schema::Kind::Enum(e) = path.leaf.kind()
        {
            // Which symbols say yes is known here; a record's index only picks the answer.
            let answers = e.symbols.iter().map(|symbol| holds(op, Some(symbol.as_str().cmp(s)))).collect();
            return self.symbol_table(path, answers);
        }
        let get = self.raw_text(a);
        if let Some(Const::Str(s)) = b.constant() {
            let s = s.clone().into_bytes();
            return match op {
                Binary::Eq => Box::new(move |f| Ok(get(f)? == s)),
                Binary::Ne => Box::new(move |f| Ok(get(f)? != s)),
                _ => Box::new(move |f| Ok(holds(op, Some(get(f)?.cmp(&s))))),
            };
        }
        let other = self.raw_text(b);
        Box::new(move |f| Ok(holds(op, Some(get(f)?.cmp(other(f)?)))))
    }

    /// An answer for each index of an enum's symbol or a union's branch.
    fn symbol_table(&mut self, path: &Path, answers: Vec<bool>) -> Get<bool> {
        self.place(path).getter(move |bytes, at| {
            let index = encoded::symbol(bytes, at, answers.len())?;
            Ok(answers.get(index).copied().unwrap_or(false))
        })
    }

    /// Where one side's type is known only when it is there.
    fn compare_values(&mut self, op: Binary, a: &Expr, b: &Expr) -> Get<bool> {
        let text = format!("{} {} {}", self.text_of(&a.span), op.symbol(), self.text_of(&b.span));
        let (a, b) = (self.argument(a), self.argument(b));
        match op {
            Binary::Eq => Box::new(move |f| Ok(a(f)?.same(b(f)?))),
            Binary::Ne => Box::new(move |f| Ok(!a(f)?.same(b(f)?))),
            _ => Box::new(move |f| {
                let (a, b) = (a(f)?, b(f)?);
                let nan = matches!(a, Val::Double(d) if d.is_nan()) || matches!(b, Val::Double(d) if d.is_nan());
                match a.order(b) {
                    None if !nan => {
                        Err(fault("bad-conversion", format!("`{text}`: {} and {} have no order", a.name(), b.name())))
                    }
                    order => Ok(holds(op, order)),
                }
            }),
        }
    }

    pub(super) fn type_is(&mut self, e: &Expr, test: &TypeTest) -> Get<bool> {
        match (test, &e.kind) {
            (TypeTest::Branches(answers), Kind::Path(path)) => self.symbol_table(path, answers.clone()),
            (TypeTest::Json(name), _) => {
                let (get, name) = (self.place_or_null(e), *name);
                Box::new(move |f| {
                    let found = match get(f)? {
                        Val::Null => "null_type",
                        Val::Bool(_) => "bool",
                        Val::Int(_) => "int",
                        Val::Double(_) => "double",
                        Val::Str(_) => "string",
                        Val::Json(text) if text.starts_with('[') => "list",
                        _ => "map",
                    };
                    Ok(found == name)
                })
            }
            (TypeTest::Branches(answers), _) => {
                let (union, answers) = (self.union(e), answers.clone());
                Box::new(move |f| {
                    let (bytes, at) = union(f)?.ok_or_else(missing)?;
                    let index = encoded::symbol(bytes, at, answers.len())?;
                    Ok(answers.get(index).copied().unwrap_or(false))
                })
            }
        }
    }

    pub(super) fn membership(&mut self, a: &Expr, b: &Expr) -> Get<bool> {
        if let Kind::List(items) = &b.kind
            && let Some(constants) = items.iter().map(|e| e.constant().cloned()).collect::<Option<Vec<Const>>>()
            && let Some(test) = self.among(a, constants)
        {
            return test;
        }
        if let Kind::Envelope(Envelope::Headers) = b.kind {
            let key = self.text(a);
            return Box::new(move |f| {
                let key = key(f)?.as_bytes();
                Ok(list::header(f, key).is_some())
            });
        }
        if let Ty::List(_, Some(shape)) | Ty::Map(_, Some(shape)) = &b.ty {
            return self.has(a, b, shape);
        }
        let (a, b) = (self.argument(a), self.argument(b));
        Box::new(move |f| {
            let key = a(f)?;
            match b(f)? {
                Val::List(items) => Ok(items.iter().any(|v| v.same(key))),
                Val::Json(json) => {
                    let items = crate::expr::json::elements(f.scope.scratch, json)?;
                    Ok(items.iter().any(|v| v.same(key)))
                }
                other => Err(crate::expr::value::wrong("a list or a map", &other)),
            }
        })
    }

    /// `x in [literals]`: sorted once.
    fn among(&mut self, a: &Expr, constants: Vec<Const>) -> Option<Get<bool>> {
        match &a.ty {
            Ty::Int => {
                let set = sorted(constants, |c| if let Const::Int(i) = c { Some(i) } else { None })?;
                let get = self.int(a);
                Some(Box::new(move |f| Ok(set.binary_search(&get(f)?).is_ok())))
            }
            Ty::Decimal { .. } => {
                let set: Vec<Decimal> = sorted(constants, |c| if let Const::Decimal(d) = c { Some(d) } else { None })?;
                let get = self.decimal(a);
                Some(Box::new(move |f| Ok(set.binary_search(&get(f)?).is_ok())))
            }
            Ty::String => {
                let set = sorted(constants, |c| if let Const::Str(s) = c { Some(s.into_bytes()) } else { None })?;
                if let Kind::Path(path) = &a.kind
                    && let schema::Kind::Enum(e) = path.leaf.kind()
                {
                    let among = |s: &String| set.binary_search_by(|c| c.as_slice().cmp(s.as_bytes())).is_ok();
                    let answers = e.symbols.iter().map(among).collect();
                    return Some(self.symbol_table(path, answers));
                }
                let get = self.raw_text(a);
                if set.len() > FEW {
                    return Some(Box::new(move |f| {
                        let s = get(f)?;
                        Ok(set.binary_search_by(|c| c.as_slice().cmp(s)).is_ok())
                    }));
                }
                Some(Box::new(move |f| {
                    let s = get(f)?;
                    Ok(set.iter().any(|c| c.len() == s.len() && c.first() == s.first() && c == s))
                }))
            }
            _ => None,
        }
    }
}

/// So many strings are faster compared one by one than searched.
const FEW: usize = 12;

fn sorted<T: Ord>(constants: Vec<Const>, take: fn(Const) -> Option<T>) -> Option<Vec<T>> {
    let mut all = constants.into_iter().map(take).collect::<Option<Vec<T>>>()?;
    all.sort();
    Some(all)
}

/// The operator with its sides exchanged.
fn turned(op: Binary) -> Binary {
    match op {
        Binary::Lt => Binary::Gt,
        Binary::Le => Binary::Ge,
        Binary::Gt => Binary::Lt,
        Binary::Ge => Binary::Le,
        other => other,
    }
}
