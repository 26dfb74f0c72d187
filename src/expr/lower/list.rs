//! Lists, maps, elements and members.

use super::{Decode, Get, GetVal, Lower, Walk, val_fn};
use crate::{
    codec::{Entries, Items, Layout, Scanner, read::Reader},
    expr::{
        json::{self, Step},
        tree::{Envelope, Expr, Kind},
        types::{Shape, Ty},
        value::{Frame, Res, Val, bounded_list, fault, flawed, missing, wrong},
    },
    schema,
};
use bumpalo::{Bump, collections::Vec as List};

/// The elements of an encoded list or map, read in place.
pub(super) struct Elements {
    pub scanner: Scanner,
    pub decode: Decode,
    pub map: bool,
}

impl Elements {
    pub fn new(shape: &Shape) -> Option<Elements> {
        let (node, map) = match shape.kind() {
            schema::Kind::Array(item) => (*item, false),
            schema::Kind::Map(value) => (*value, true),
            _ => return None,
        };
        let element = shape.at(node);
        let scanner = Layout::new(element.schema.clone(), element.node).build();
        Some(Elements { scanner, decode: Decode::element(&element), map })
    }

    /// All of them: an array's elements, a map's keys.
    fn all<'r>(&self, arena: &'r Bump, bytes: &'r [u8], at: u32) -> Res<&'r [Val<'r>]> {
        let mut made = List::new_in(arena);
        if self.map {
            let mut entries = Entries::new(&self.scanner, bytes, at);
            while let Some((key, _)) = entries.next(&mut []) {
                made.push(Val::Str(arena.alloc_str(key)));
                bounded_list(made.len())?;
            }
        } else {
            let mut items = Items::new(&self.scanner, bytes, at);
            while let Some(at) = items.next(&mut []) {
                made.push(self.decode.value(arena, bytes, at)?);
                bounded_list(made.len())?;
            }
        }
        Ok(made.into_bump_slice())
    }

    /// How many there are, without a value of any.
    fn count(&self, bytes: &[u8], at: u32) -> i64 {
        let mut count = 0;
        if self.map {
            let mut entries = Entries::new(&self.scanner, bytes, at);
            while entries.next(&mut []).is_some() {
                count += 1;
            }
        } else {
            let mut items = Items::new(&self.scanner, bytes, at);
            while items.next(&mut []).is_some() {
                count += 1;
            }
        }
        count
    }

    /// Whether an array has this element, or a map this key.
    fn has<'r>(&self, arena: &'r Bump, bytes: &'r [u8], at: u32, wanted: Val<'r>) -> Res<bool> {
        if self.map {
            let mut entries = Entries::new(&self.scanner, bytes, at);
            while let Some((key, _)) = entries.next(&mut []) {
                if matches!(wanted, Val::Str(wanted) if wanted == key) {
                    return Ok(true);
                }
            }
        } else {
            let mut items = Items::new(&self.scanner, bytes, at);
            while let Some(at) = items.next(&mut []) {
                if self.decode.value(arena, bytes, at)?.same(wanted) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn nth<'r>(&self, arena: &'r Bump, bytes: &'r [u8], at: u32, n: i64) -> Res<Option<Val<'r>>> {
        let mut items = Items::new(&self.scanner, bytes, at);
        let mut left = n;
        while let Some(at) = items.next(&mut []) {
            if left == 0 {
                return self.decode.value(arena, bytes, at).map(Some);
            }
            left -= 1;
        }
        Ok(None)
    }

    fn keyed<'r>(&self, arena: &'r Bump, bytes: &'r [u8], at: u32, wanted: &str) -> Res<Option<Val<'r>>> {
        let mut entries = Entries::new(&self.scanner, bytes, at);
        while let Some((key, at)) = entries.next(&mut []) {
            if key == wanted {
                return self.decode.value(arena, bytes, at).map(Some);
            }
        }
        Ok(None)
    }
}

/// What a lookup gives: the value, or, of a union, where its index stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Value,
    Place,
}

type Lookup = Box<dyn for<'f, 'r> Fn(&Frame<'f, 'r>) -> Res<Option<Val<'r>>> + Send>;

/// Where a union's index stands; `None` where what is around it is null.
pub(super) type UnionAt = Box<dyn for<'f, 'r> Fn(&Frame<'f, 'r>) -> Res<Option<(&'r [u8], u32)>> + Send>;

fn union_fn(f: impl for<'f, 'r> Fn(&Frame<'f, 'r>) -> Res<Option<(&'r [u8], u32)>> + Send + 'static) -> UnionAt {
    Box::new(f)
}

fn lookup_fn(f: impl for<'f, 'r> Fn(&Frame<'f, 'r>) -> Res<Option<Val<'r>>> + Send + 'static) -> Lookup {
    Box::new(f)
}

impl Lower<'_, '_> {
    /// A list or map as a slice of values.
    pub(super) fn materialized(&mut self, e: &Expr) -> GetVal {
        let get = self.value(e);
        let elements = match e.ty.solid() {
            Ty::List(_, Some(shape)) | Ty::Map(_, Some(shape)) => Elements::new(shape),
            _ => None,
        };
        val_fn(move |f| match (get(f)?, &elements) {
            (Val::At(bytes, at), Some(elements)) => elements.all(f.scope.scratch, bytes, at).map(Val::List),
            (Val::Headers(headers), _) => {
                let mut keys = List::new_in(f.scope.scratch);
                for header in headers {
                    keys.push(Val::Str(
                        std::str::from_utf8(header.name)
                            .map_err(|_| not_utf8(&String::from_utf8_lossy(header.name)))?,
                    ));
                }
                Ok(Val::List(keys.into_bump_slice()))
            }
            (Val::Json(text), _) => json::elements(f.scope.scratch, text).map(Val::List),
            (value, _) => Ok(value),
        })
    }

    /// A list as one whose elements have another type.
    pub(super) fn converted_list(&mut self, e: &Expr, to: Ty) -> GetVal {
        let get = self.materialized(e);
        let Ty::List(item, _) = to else { return get };
        let same = matches!(&e.ty.solid(), Ty::List(from, _) if from.solid().same(item.solid()));
        if same || matches!(*item, Ty::Message(_) | Ty::List(..) | Ty::Map(..)) {
            return get;
        }
        val_fn(move |f| {
            let items = match get(f)? {
                Val::List(items) => items,
                Val::Null => return Ok(Val::Null),
                _ => return Err(missing()),
            };
            let mut made = List::with_capacity_in(items.len(), f.scope.scratch);
            for value in items {
                made.push(match value {
                    Val::Null => Val::Null,
                    value => super::number::cast(*value, item.solid())?,
                });
            }
            Ok(Val::List(made.into_bump_slice()))
        })
    }

    pub(super) fn literal_list(&mut self, items: &[Expr]) -> GetVal {
        let gets: Vec<GetVal> = items.iter().map(|e| self.value(e)).collect();
        val_fn(move |f| {
            let mut made = List::with_capacity_in(gets.len(), f.scope.scratch);
            for get in &gets {
                made.push(get(f)?);
            }
            Ok(Val::List(made.into_bump_slice()))
        })
    }

    pub(super) fn concatenation(&mut self, e: &Expr) -> GetVal {
        let Kind::Arithmetic(_, a, b) = &e.kind else { return val_fn(|_| Err(missing())) };
        let (a, b) = (self.materialized(a), self.materialized(b));
        val_fn(move |f| match (a(f)?, b(f)?) {
            (Val::List(a), Val::List(b)) => {
                bounded_list(a.len() + b.len())?;
                let mut made = List::with_capacity_in(a.len() + b.len(), f.scope.scratch);
                made.extend_from_slice(a);
                made.extend_from_slice(b);
                Ok(Val::List(made.into_bump_slice()))
            }
            (other, _) => Err(wrong("a list", &other)),
        })
    }

    /// A place by index or member; its absence is a fault.
    pub(super) fn element(&mut self, e: &Expr) -> GetVal {
        let (lookup, text) = (self.lookup(e), self.text_of(&e.span));
        let nullable = matches!(e.ty, Ty::Nullable(_));
        val_fn(move |f| match lookup(f)? {
            Some(value) => Ok(value),
            None if nullable => Ok(Val::Null),
            None => Err(absent(&text)),
        })
    }

    /// A place for a test for null: there absence is null too.
    pub(super) fn place_or_null(&mut self, e: &Expr) -> GetVal {
        match e.kind {
            Kind::Json | Kind::Member(..) | Kind::Index(..) | Kind::Select(..) => {
                let lookup = self.lookup(e);
                val_fn(move |f| Ok(lookup(f)?.unwrap_or(Val::Null)))
            }
            _ => self.value(e),
        }
    }

    fn lookup(&mut self, e: &Expr) -> Lookup {
        match &e.kind {
            Kind::Json | Kind::Member(..) => self.member(e),
            Kind::Select(inner, steps) => self.select(inner, steps, e, Read::Value),
            Kind::Index(of, key) => self.index(of, key, Read::Value),
            _ => {
                let get = self.value(e);
                lookup_fn(move |f| get(f).map(Some))
            }
        }
    }

    /// A path of members below `value` is one search of its text.
    fn member(&mut self, e: &Expr) -> Lookup {
        let mut path = Vec::new();
        let mut below = e;
        while let Kind::Member(inner, name) = &below.kind {
            path.push(Step::Key(name.clone()));
            below = inner;
        }
        path.reverse();
        if let Kind::Json = below.kind {
            return lookup_fn(move |f| match f.scope.record.value {
                Some(bytes) => json::at(f.scope.scratch, bytes, &path),
                None => Ok(None),
            });
        }
        let get = self.place_or_null(below);
        lookup_fn(move |f| match get(f)? {
            Val::Json(text) => json::at(f.scope.scratch, text.as_bytes(), &path),
            _ => Ok(None),
        })
    }

    /// The place of a union that the checker has found to be one, [`Expr::is_place`].
    pub(super) fn union(&mut self, e: &Expr) -> UnionAt {
        let lookup = match &e.kind {
            Kind::Select(inner, steps) => self.select(inner, steps, e, Read::Place),
            Kind::Index(of, key) => self.index(of, key, Read::Place),
            Kind::Path(path) => {
                let place = self.place(path);
                return union_fn(move |f| place.find(f));
            }
            _ => return union_fn(|_| Err(missing())),
        };
        let text = self.text_of(&e.span);
        union_fn(move |f| match lookup(f)? {
            Some(Val::At(bytes, at)) => Ok(Some((bytes, at))),
            Some(_) => Ok(None),
            None => Err(absent(&text)),
        })
    }

    fn select(&mut self, inner: &Expr, steps: &[u16], e: &Expr, read: Read) -> Lookup {
        let Ty::Message(shape) = inner.ty.solid().clone() else { return lookup_fn(|_| Err(missing())) };
        let leaf = shape.below(steps);
        let decode = if read == Read::Place { Decode::Place } else { Decode::new(&leaf) };
        let walk = Walk::new(&shape, steps);
        let get = self.place_or_null(inner);
        let dynamic = e.ty.is_dyn();
        lookup_fn(move |f| {
            let Val::At(bytes, at) = get(f)? else { return Ok(None) };
            match walk.find(bytes, at)? {
                Some(at) => decode.value(f.scope.scratch, bytes, at).map(Some),
                None if dynamic => Ok(Some(Val::Null)),
                None => Ok(None),
            }
        })
    }

    fn index(&mut self, of: &Expr, key: &Expr, read: Read) -> Lookup {
        if let Kind::Envelope(Envelope::Headers) = of.kind {
            let key = self.text(key);
            return lookup_fn(move |f| {
                let key = key(f)?;
                match header(f, key.as_bytes()) {
                    Some(value) => std::str::from_utf8(value).map(|s| Some(Val::Str(s))).map_err(|_| not_utf8(key)),
                    None => Ok(None),
                }
            });
        }
        let elements = match &of.ty {
            Ty::List(_, Some(shape)) | Ty::Map(_, Some(shape)) => Elements::new(shape),
            _ => None,
        };
        let elements = elements.map(|e| if read == Read::Place { Elements { decode: Decode::Place, ..e } } else { e });
        let (of, key) = (self.place_or_null(of), self.value(key));
        lookup_fn(move |f| match (of(f)?, key(f)?, &elements) {
            (Val::At(bytes, at), Val::Int(n), Some(e)) => e.nth(f.scope.scratch, bytes, at, n),
            (Val::At(bytes, at), Val::Str(k), Some(e)) => e.keyed(f.scope.scratch, bytes, at, k),
            (Val::List(items), Val::Int(n), _) => Ok(usize::try_from(n).ok().and_then(|n| items.get(n)).copied()),
            (Val::Json(text), Val::Int(n), _) => match usize::try_from(n) {
                Ok(n) => json::at(f.scope.scratch, text.as_bytes(), &[Step::Index(n)]),
                Err(_) => Ok(None),
            },
            (Val::Json(text), Val::Str(k), _) => json::at(f.scope.scratch, text.as_bytes(), &[Step::Key(k.to_owned())]),
            _ => Ok(None),
        })
    }

    /// `x in list`, `key in map`, where the list or map is encoded.
    pub(super) fn has(&mut self, wanted: &Expr, of: &Expr, shape: &Shape) -> Get<bool> {
        let (wanted, of, elements) = (self.value(wanted), self.value(of), Elements::new(shape));
        Box::new(move |f| match (of(f)?, &elements) {
            (Val::At(bytes, at), Some(e)) => e.has(f.scope.scratch, bytes, at, wanted(f)?),
            (other, _) => Err(wrong("a list or a map", &other)),
        })
    }

    /// `size` of an encoded list or map.
    pub(super) fn count(&mut self, e: &Expr) -> Option<GetVal> {
        let (Ty::List(_, Some(shape)) | Ty::Map(_, Some(shape))) = &e.ty else { return None };
        let (get, elements) = (self.value(e), Elements::new(shape)?);
        Some(val_fn(move |f| match get(f)? {
            Val::At(bytes, at) => Ok(Val::Int(elements.count(bytes, at))),
            other => Err(wrong("a list or a map", &other)),
        }))
    }

    /// `size` of a field that is a list or map in some branches of its union; in the others it is what `call` says.
    pub(super) fn count_branch(&mut self, e: &Expr, call: GetVal) -> GetVal {
        let Ty::Dyn(Some(union)) = &e.ty else { return call };
        let branches: Vec<Option<Elements>> = union.branches().iter().map(Elements::new).collect();
        if branches.iter().all(Option::is_none) {
            return call;
        }
        let place = self.union(e);
        val_fn(move |f| {
            let Some((bytes, at)) = place(f)? else { return call(f) };
            let mut reader = Reader::new(bytes, at as usize);
            let branch = reader.branch(branches.len()).map_err(flawed)?;
            match branches.get(branch) {
                Some(Some(elements)) => Ok(Val::Int(elements.count(bytes, reader.at() as u32))),
                _ => call(f),
            }
        })
    }
}

/// A header's value: the last of a name counts, as in Kafka's own clients, and one without a value is absent.
pub(super) fn header<'r>(f: &Frame<'_, 'r>, name: &[u8]) -> Option<&'r [u8]> {
    f.scope.record.headers.iter().rev().find(|h| h.name == name).and_then(|h| h.value)
}

fn absent(text: &str) -> Box<crate::expr::Fault> {
    fault("no-such-element", format!("`{text}` is absent"))
}

fn not_utf8(header: &str) -> Box<crate::expr::Fault> {
    fault("header-not-utf8", format!("header `{header}` is not UTF-8"))
}
