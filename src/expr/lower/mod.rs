//! The typed tree compiled to closures, one kind for each type of result. Nothing is looked up while they run.

mod compare;
mod encode;
mod encoded;
mod list;
mod loops;
mod number;
mod place;
mod text;
mod write;

use encoded::Decode;
use place::Walk;

use super::{
    BoolExpr, Fault, Places, WriteExpr,
    tree::{Const, Envelope, Expr, Kind},
    types::{Shape, Ty},
    value::{Frame, Res, Val, missing, wrong},
};
use crate::{
    codec::Layout,
    schema::{NodeId, Schema},
};
use std::{ops::Range, sync::Arc};

/// A closure that gives a value without references.
pub(super) type Get<T> = Box<dyn for<'f, 'r> Fn(&Frame<'f, 'r>) -> Res<T> + Send>;
pub(super) type GetText = Box<dyn for<'f, 'r> Fn(&Frame<'f, 'r>) -> Res<&'r str> + Send>;
pub(super) type GetBytes = Box<dyn for<'f, 'r> Fn(&Frame<'f, 'r>) -> Res<&'r [u8]> + Send>;
pub(super) type GetVal = Box<dyn for<'f, 'r> Fn(&Frame<'f, 'r>) -> Res<Val<'r>> + Send>;

/// Fix a closure's signature, which inference alone does not find for results that borrow from the frame.
fn text_fn(f: impl for<'f, 'r> Fn(&Frame<'f, 'r>) -> Res<&'r str> + Send + 'static) -> GetText {
    Box::new(f)
}
fn bytes_fn(f: impl for<'f, 'r> Fn(&Frame<'f, 'r>) -> Res<&'r [u8]> + Send + 'static) -> GetBytes {
    Box::new(f)
}
fn val_fn(f: impl for<'f, 'r> Fn(&Frame<'f, 'r>) -> Res<Val<'r>> + Send + 'static) -> GetVal {
    Box::new(f)
}

pub(super) struct Lower<'l, 'p> {
    places: Option<&'l mut Places<'p>>,
    source: &'l str,
    /// For each loop around, the layout of its element, where that is encoded.
    vars: Vec<Option<Layout>>,
}

impl<'l, 'p> Lower<'l, 'p> {
    pub fn new(places: Option<&'l mut Places<'p>>, source: &'l str) -> Self {
        Lower { places, source, vars: Vec::new() }
    }

    fn text_of(&self, span: &Range<usize>) -> String {
        self.source.get(span.clone()).unwrap_or_default().to_owned()
    }

    pub fn predicate(&mut self, e: &Expr) -> BoolExpr {
        let get = self.boolean(e);
        BoolExpr(Box::new(move |scope| get(&Frame { scope, schema: None, vars: None }).map_err(|fault| *fault)))
    }

    pub fn anything(&mut self, e: &Expr) -> GetVal {
        self.value(e)
    }

    pub fn raw_predicate(&mut self, e: &Expr) -> Get<bool> {
        self.boolean(e)
    }

    pub fn writer(&mut self, e: &Expr, schema: &Arc<Schema>, node: NodeId) -> WriteExpr {
        let write = self.write(e, &Shape::new(schema, node));
        WriteExpr(Box::new(move |scope, out| {
            let start = out.len();
            write(&Frame { scope, schema: None, vars: None }, out).map_err(|fault| {
                out.truncate(start);
                *fault
            })
        }))
    }

    fn boolean(&mut self, e: &Expr) -> Get<bool> {
        match &e.kind {
            Kind::Const(Const::Bool(b)) => {
                let b = *b;
                Box::new(move |_| Ok(b))
            }
            Kind::Not(inner) => {
                let inner = self.boolean(inner);
                Box::new(move |f| inner(f).map(|b| !b))
            }
            Kind::And(..) => {
                let mut terms = Vec::new();
                self.terms(e, &|e| if let Kind::And(a, b) = &e.kind { Some((a, b)) } else { None }, &mut terms);
                deciding::<false>(terms)
            }
            Kind::Or(..) => {
                let mut terms = Vec::new();
                self.terms(e, &|e| if let Kind::Or(a, b) = &e.kind { Some((a, b)) } else { None }, &mut terms);
                deciding::<true>(terms)
            }
            Kind::Choose(parts) => {
                let [cond, yes, no] = &**parts;
                let (cond, yes, no) = (self.boolean(cond), self.boolean(yes), self.boolean(no));
                Box::new(move |f| if cond(f)? { yes(f) } else { no(f) })
            }
            Kind::IsNull(inner) => self.is_null(inner),
            Kind::Compare(op, a, b) => self.compare(*op, a, b),
            Kind::In(a, b) => self.membership(a, b),
            Kind::TypeIs(inner, test) => self.type_is(inner, test),
            Kind::Path(path) => self.place(path).getter(encoded::boolean),
            Kind::Matches(inner, regex) => {
                let (inner, regex) = (self.text(inner), regex.clone());
                Box::new(move |f| inner(f).map(|s| regex.is_match(s)))
            }
            Kind::Loop(l) if l.kind != super::tree::Macro::Filter && l.kind != super::tree::Macro::Map => {
                self.quantifier(l)
            }
            Kind::Call(signature, args) => match self.text_test(signature.name, args) {
                Some(test) => test,
                None => self.unwrapped(e, |v| match v {
                    Val::Bool(b) => Ok(b),
                    other => Err(wrong("a bool", &other)),
                }),
            },
            _ => self.unwrapped(e, |v| match v {
                Val::Bool(b) => Ok(b),
                other => Err(wrong("a bool", &other)),
            }),
        }
    }

    /// The terms of a chain of one operator, which `split` takes apart.
    fn terms<'e>(
        &mut self,
        e: &'e Expr,
        split: &impl Fn(&'e Expr) -> Option<(&'e Box<Expr>, &'e Box<Expr>)>,
        into: &mut Vec<Get<bool>>,
    ) {
        match split(e) {
            Some((a, b)) => {
                self.terms(a, split, into);
                self.terms(b, split, into);
            }
            None => into.push(self.boolean(e)),
        }
    }

    /// A value of any type, taken as one type.
    fn unwrapped<T: 'static>(&mut self, e: &Expr, take: fn(Val<'_>) -> Res<T>) -> Get<T> {
        let get = self.value(e);
        Box::new(move |f| take(get(f)?))
    }

    fn is_null(&mut self, e: &Expr) -> Get<bool> {
        if let Kind::Path(path) = &e.kind {
            if !matches!(e.ty, Ty::Nullable(_) | Ty::Dyn(_) | Ty::Null) {
                return Box::new(|_| Ok(false));
            }
            if !e.ty.is_dyn() {
                let place = self.place(path);
                return Box::new(move |f| Ok(place.find(f)?.is_none()));
            }
        }
        let get = self.place_or_null(e);
        Box::new(move |f| Ok(matches!(get(f)?, Val::Null)))
    }

    /// Any expression as a value.
    fn value(&mut self, e: &Expr) -> GetVal {
        match &e.kind {
            Kind::Const(c) => constant(c),
            Kind::Path(path) => self.path_value(e, path),
            Kind::Var(depth) => {
                let depth = *depth;
                val_fn(move |f| f.var(depth).map(|v| v.value).ok_or_else(missing))
            }
            Kind::Envelope(what) => envelope(*what),
            Kind::WriterSchema => val_fn(|f| f.schema.map(Val::Str).ok_or_else(missing)),
            Kind::Json | Kind::Member(..) | Kind::Index(..) | Kind::Select(..) => self.element(e),
            Kind::Choose(parts) => {
                let [cond, yes, no] = &**parts;
                let (cond, yes, no) = (self.boolean(cond), self.value(yes), self.value(no));
                val_fn(move |f| if cond(f)? { yes(f) } else { no(f) })
            }
            Kind::As(inner) => self.convert(inner, &e.ty),
            Kind::List(items) => self.literal_list(items),
            Kind::Call(signature, args) => self.call(e, signature, args),
            Kind::Loop(l) if matches!(e.ty, Ty::List(..)) => self.made_list(l),
            _ => self.typed_value(e),
        }
    }

    /// Expressions whose closures are those of their type.
    fn typed_value(&mut self, e: &Expr) -> GetVal {
        match e.ty.solid() {
            Ty::Bool => {
                let get = self.boolean(e);
                val_fn(move |f| get(f).map(Val::Bool))
            }
            Ty::Int => {
                let get = self.int(e);
                val_fn(move |f| get(f).map(Val::Int))
            }
            Ty::Timestamp => {
                let get = self.int(e);
                val_fn(move |f| get(f).map(Val::Timestamp))
            }
            Ty::Local => {
                let get = self.int(e);
                val_fn(move |f| get(f).map(Val::Local))
            }
            Ty::Duration => {
                let get = self.int(e);
                val_fn(move |f| get(f).map(Val::Duration))
            }
            Ty::Double => {
                let get = self.double(e);
                val_fn(move |f| get(f).map(Val::Double))
            }
            Ty::Decimal { .. } => {
                let get = self.decimal(e);
                val_fn(move |f| get(f).map(Val::Decimal))
            }
            Ty::String => {
                let get = self.text(e);
                val_fn(move |f| get(f).map(Val::Str))
            }
            Ty::Bytes => {
                let get = self.bytes(e);
                val_fn(move |f| get(f).map(Val::Bytes))
            }
            Ty::List(..) => self.concatenation(e),
            Ty::Nothing | Ty::Null | Ty::Map(..) | Ty::Message(_) | Ty::Dyn(_) | Ty::Nullable(_) => {
                val_fn(|_| Ok(Val::Null))
            }
        }
    }

    fn call(&mut self, e: &Expr, signature: super::tree::Function, args: &[Expr]) -> GetVal {
        if let ("size", [of]) = (signature.name, args)
            && let Some(count) = self.count(of)
        {
            return count;
        }
        let gets: Vec<GetVal> = args.iter().map(|a| self.argument(a)).collect();
        let eval = signature.eval;
        let text = self.text_of(&e.span);
        let named = move |fault| named(&text, fault);
        match <[GetVal; 1]>::try_from(gets) {
            Ok([one]) => {
                let call = val_fn(move |f| eval(f.scope.scratch, &[one(f)?]).map_err(&named));
                if signature.name == "size" { self.count_branch(&args[0], call) } else { call }
            }
            Err(gets) => val_fn(move |f| {
                let mut values = bumpalo::collections::Vec::with_capacity_in(gets.len(), f.scope.scratch);
                for get in &gets {
                    values.push(get(f)?);
                }
                eval(f.scope.scratch, &values).map_err(&named)
            }),
        }
    }

    /// An argument: functions know lists only as slices.
    fn argument(&mut self, e: &Expr) -> GetVal {
        match e.ty.solid() {
            Ty::List(_, Some(_)) | Ty::Map(_, Some(_)) => self.materialized(e),
            _ => self.value(e),
        }
    }
}

/// A chain of `&&` (`false` decides) or `||` (`true` does): by CEL's rule a deciding answer anywhere wins over a failure
/// before it, so that conditions commute.
fn deciding<const DECIDES: bool>(terms: Vec<Get<bool>>) -> Get<bool> {
    Box::new(move |f| {
        let mut failed = None;
        for term in &terms {
            match term(f) {
                Ok(answer) if answer == DECIDES => return Ok(DECIDES),
                Ok(_) => {}
                Err(fault) => failed = failed.or(Some(fault)),
            }
        }
        failed.map_or(Ok(!DECIDES), Err)
    })
}

fn constant(c: &Const) -> GetVal {
    match c.clone() {
        Const::Null => val_fn(|_| Ok(Val::Null)),
        Const::Bool(b) => val_fn(move |_| Ok(Val::Bool(b))),
        Const::Int(i) => val_fn(move |_| Ok(Val::Int(i))),
        Const::Double(d) => val_fn(move |_| Ok(Val::Double(d))),
        Const::Decimal(d) => val_fn(move |_| Ok(Val::Decimal(d))),
        Const::Timestamp(t) => val_fn(move |_| Ok(Val::Timestamp(t))),
        Const::Duration(d) => val_fn(move |_| Ok(Val::Duration(d))),
        Const::Str(s) => val_fn(move |f| Ok(Val::Str(f.scope.scratch.alloc_str(&s)))),
        Const::Bytes(b) => val_fn(move |f| Ok(Val::Bytes(f.scope.scratch.alloc_slice_copy(&b)))),
    }
}

fn envelope(what: Envelope) -> GetVal {
    match what {
        Envelope::Key => val_fn(|f| Ok(f.scope.record.key.map_or(Val::Null, Val::Bytes))),
        Envelope::Topic => val_fn(|f| Ok(Val::Str(f.scope.record.topic))),
        Envelope::Partition => val_fn(|f| Ok(Val::Int(i64::from(f.scope.record.partition)))),
        Envelope::Offset => val_fn(|f| Ok(Val::Int(f.scope.record.offset))),
        Envelope::Timestamp => val_fn(|f| {
            Ok(f.scope.record.timestamp.and_then(|ms| ms.checked_mul(1000)).map_or(Val::Null, Val::Timestamp))
        }),
        Envelope::Headers => val_fn(|f| Ok(Val::Headers(f.scope.record.headers))),
    }
}

/// A fault, after the expression that it is about.
#[cold]
fn named(text: &str, mut fault: Box<Fault>) -> Box<Fault> {
    fault.message = format!("`{text}`: {}", fault.message);
    fault
}
