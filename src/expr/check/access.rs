//! Names, fields and elements: everything that is a place.

use super::{Checker, Want, World};
use crate::{
    expr::{
        parse::{Ast, Node},
        problems,
        tree::{Const, Envelope, Expr, Fact, FactRoot, FactStep, Kind, Path, Root},
        types::{Shape, Ty},
    },
    schema,
};
use std::ops::Range;

/// What `record.` has.
const ENVELOPE: [(&str, Envelope); 6] = [
    ("key", Envelope::Key),
    ("topic", Envelope::Topic),
    ("partition", Envelope::Partition),
    ("offset", Envelope::Offset),
    ("timestamp", Envelope::Timestamp),
    ("headers", Envelope::Headers),
];

impl Checker<'_> {
    /// A name by itself: a loop's variable before a field, so that inner names win.
    pub(super) fn name(&mut self, name: &str, span: Range<usize>) -> Option<Expr> {
        if let Some(i) = self.vars.iter().rposition(|v| v.name == name) {
            return Some(self.var(i, span));
        }
        let bare = |what: &str| {
            problems::mismatch(
                span.clone(),
                format!("`{what}` has no value of its own"),
                format!("name a field of it: `{what}.…`"),
            )
        };
        match (name, self.world) {
            ("record", _) => self.fail(bare("record")),
            ("this", World::Decoded(_)) => self.fail(bare("this")),
            ("item", World::Decoded(env)) if env.item.is_some() => {
                let (schema, node) = env.item.as_ref()?;
                Some(self.path(Root::Item, vec![], Shape::new(schema, *node), span))
            }
            ("value", World::Raw { json: true }) => Some(Expr::new(Ty::Dyn(None), span, Kind::Json)),
            ("schema", World::Raw { json: false }) => Some(Expr::new(Ty::String, span, Kind::WriterSchema)),
            (_, World::Raw { json }) => self.unknown_raw(name, json, span),
            (_, World::Decoded(_)) => self.field(name, span),
        }
    }

    /// Fields are not known before decoding; what there is instead is the help.
    fn unknown_raw<T>(&mut self, name: &str, json: bool, span: Range<usize>) -> Option<T> {
        let known = if json { "value" } else { "schema" };
        let mut problem =
            problems::unknown_name(span, "before decoding there is no", name, [known, "record"].into_iter());
        if name == "value" {
            problem.help =
                "only JSON can be looked into before it is decoded; here there are `schema` and `record`".into();
        } else if name == "schema" {
            problem.help = "JSON has no schema; here there are `value` and `record`".into();
        } else if json && !problem.help.starts_with("there is `") {
            problem.help = format!("a field of the JSON value is `value.{name}`");
        }
        self.fail(problem)
    }

    /// A top-level field of the record.
    fn field(&mut self, name: &str, span: Range<usize>) -> Option<Expr> {
        let World::Decoded(env) = self.world else { return None };
        let found = env.view.fields.iter().enumerate().find(|(_, f)| f.name == name);
        if let Some((i, f)) = found {
            let root = Root::Field { view: i as u16, place: f.place };
            return Some(self.path(root, vec![], Shape::new(&f.schema, f.node), span));
        }
        let vars = self.vars.iter().map(|v| v.name.as_str());
        let fields = env.view.fields.iter().map(|f| f.name.as_str());
        let names: Vec<&str> = vars.chain(fields).chain(env.item.as_ref().map(|_| "item")).collect();
        let mut problem = problems::unknown_name(span, "no field", name, names.into_iter());
        let of_item =
            env.item.as_ref().is_some_and(|(schema, node)| match Shape::new(schema, *node).solid().0.kind() {
                schema::Kind::Record(record) => record.position(name).is_some(),
                _ => false,
            });
        match name {
            _ if of_item => problem.help = format!("there is `item.{name}`"),
            "value" => problem.help = "after decoding, fields stand by name".into(),
            "item" => problem.help = "`item` is there where `for_each` is".into(),
            "schema" => problem.help = "`schema` is for `where_raw` and `when_raw`".into(),
            "NULL" | "Null" | "None" | "nil" | "undefined" => problem.help = "write `null`".into(),
            "TRUE" | "True" => problem.help = "write `true`".into(),
            "FALSE" | "False" => problem.help = "write `false`".into(),
            "now" | "NOW" | "current_timestamp" | "CURRENT_TIMESTAMP" => problem.help = "write `now()`".into(),
            _ => {}
        }
        self.fail(problem)
    }

    pub(super) fn is_var(&self, name: &str) -> bool {
        self.vars.iter().any(|v| v.name == name)
    }

    /// A loop's variable: a place where its elements are encoded, a value otherwise.
    pub(super) fn var(&self, i: usize, span: Range<usize>) -> Expr {
        let var = &self.vars[i];
        match &var.shape {
            Some(shape) => self.path(Root::Var(i as u16), vec![], shape.clone(), span),
            None => self.guarded(Expr::new(var.ty.clone(), span, Kind::Var(i as u16))),
        }
    }

    /// A place from its root down. Its type is nullable where a step on the way is, unless a guard proves that step.
    fn path(&self, root: Root, steps: Vec<u16>, top: Shape, span: Range<usize>) -> Expr {
        let mut nullable = false;
        let mut shape = top.clone();
        for depth in 0..=steps.len() {
            let (solid, null) = shape.solid();
            let facts: Vec<FactStep> = steps.iter().take(depth).map(|s| FactStep::Field(*s)).collect();
            nullable |= null && !self.known(FactRoot::Path(root), &facts);
            shape = match (steps.get(depth), solid.kind()) {
                (Some(step), schema::Kind::Record(r)) => match r.fields.get(usize::from(*step)) {
                    Some(field) => solid.at(field.node),
                    None => solid,
                },
                _ => solid,
            };
        }
        let ty = Ty::of(&shape);
        let ty = if nullable { ty.nullable() } else { ty };
        Expr::new(ty, span, Kind::Path(Path { root, steps, top, leaf: shape }))
    }

    /// Of a path that may be null only because a record around it may, that record as written.
    pub(super) fn missing_record(&self, e: &Expr) -> Option<String> {
        let Kind::Path(path) = &e.kind else { return None };
        let text = self.text(&e.span);
        (0..path.steps.len()).find_map(|depth| {
            let (root, steps) = (path.root, path.steps[..depth].to_vec());
            let above = self.path(root, steps, path.top.clone(), e.span.clone());
            // As many dots from the end as there are steps left; places written with brackets are not named.
            let name = text.rsplitn(path.steps.len() - depth + 1, '.').last()?;
            (matches!(above.ty, Ty::Nullable(_)) && name.len() < text.len()).then(|| name.to_owned())
        })
    }

    /// `a.b`: a field of a record, an entry of a map, a member of JSON.
    pub(super) fn select(&mut self, of: &Ast, field: &str, at: &Range<usize>, span: Range<usize>) -> Option<Expr> {
        if let Node::Name(name) = &of.node
            && !self.is_var(name)
        {
            match (name.as_str(), self.world) {
                ("this", World::Decoded(_)) => return self.field(field, span),
                ("record", _) => return self.envelope(field, at, span),
                _ => {}
            }
        }
        let world = self.world;
        let is_field =
            |name: &str| matches!(world, World::Decoded(env) if env.view.fields.iter().any(|f| f.name == name));
        if let Node::Name(name) = &of.node
            && is_field(field)
            && !(is_field(name) || self.is_var(name) || name == "item")
        {
            let help = format!("fields stand by name: `{field}`");
            return self.fail(problems::problem(of.span.clone(), "unknown-name", format!("no field `{name}`"), help));
        }
        let e = self.expr(of, Want::Nothing)?;
        match e.ty.solid().clone() {
            Ty::Message(shape) => self.member(e, &shape, field, at, span),
            Ty::Map(..) => {
                let key = Expr::new(Ty::String, at.clone(), Kind::Const(Const::Str(field.into())));
                self.entry(e, key, span)
            }
            Ty::Dyn(None) => Some(Expr::new(Ty::Dyn(None), span, Kind::Member(Box::new(e), field.into()))),
            Ty::Dyn(Some(_)) => self.fail(problems::mismatch(
                at.clone(),
                format!("`{}` is one of several types, so it has no field `{field}`", self.text(&e.span)),
                "a union of several types is tested with `type(x) == string` and converted: `string(x)`",
            )),
            ty => {
                let message = format!("{ty} has no field `{field}`");
                let help = match (&ty, field) {
                    (Ty::String | Ty::Bytes | Ty::List(..), "length" | "len" | "size" | "count") => {
                        format!("write `size({})`", self.text(&e.span))
                    }
                    (Ty::List(item, _), _) if matches!(item.solid(), Ty::Message(_)) => format!(
                        "write `{}[0].{field}`, or look into all: `{}.exists(x, x.{field} …)`",
                        self.text(&e.span),
                        self.text(&e.span)
                    ),
                    _ => String::new(),
                };
                self.fail(problems::mismatch(at.clone(), message, help))
            }
        }
    }

    /// A field of a record.
    fn member(&mut self, e: Expr, shape: &Shape, field: &str, at: &Range<usize>, span: Range<usize>) -> Option<Expr> {
        let schema::Kind::Record(record) = shape.kind() else { return None };
        let Some(index) = record.position(field) else {
            let known = record.fields.iter().map(|f| f.name.as_str());
            let what = format!("record {} has no field", record.name);
            return self.fail(problems::unknown_name(at.clone(), &what, field, known));
        };
        let step = index as u16;
        if let Kind::Path(Path { root, steps, top, .. }) = e.kind {
            let steps = [steps, vec![step]].concat();
            return Some(self.path(root, steps, top, span));
        }
        let (leaf, null) = shape.at(record.fields[index].node).solid();
        let nullable = null || matches!(e.ty, Ty::Nullable(_));
        let ty = if nullable { Ty::of(&leaf).nullable() } else { Ty::of(&leaf) };
        let kind = match e.kind {
            Kind::Select(inner, mut steps) => {
                steps.push(step);
                Kind::Select(inner, steps)
            }
            _ => Kind::Select(Box::new(e), vec![step]),
        };
        Some(self.guarded(Expr::new(ty, span, kind)))
    }

    /// `record.…`. Key, timestamp and headers may be absent, so they are nullable.
    fn envelope(&mut self, field: &str, at: &Range<usize>, span: Range<usize>) -> Option<Expr> {
        let Some((_, what)) = ENVELOPE.iter().find(|(name, _)| *name == field) else {
            let known = ENVELOPE.iter().map(|(name, _)| *name);
            return self.fail(problems::unknown_name(at.clone(), "`record` has no", field, known));
        };
        let ty = match what {
            Envelope::Key => Ty::Bytes.nullable(),
            Envelope::Topic => Ty::String,
            Envelope::Partition | Envelope::Offset => Ty::Int,
            Envelope::Timestamp => Ty::Timestamp.nullable(),
            Envelope::Headers => Ty::Map(Box::new(Ty::String.nullable()), None),
        };
        Some(self.guarded(Expr::new(ty, span, Kind::Envelope(*what))))
    }

    /// `a[b]`; `this['x']` is the field `x`, whatever CEL reserves.
    pub(super) fn index(&mut self, of: &Ast, key: &Ast, span: Range<usize>) -> Option<Expr> {
        if let (Node::Name(name), Node::Str(field), World::Decoded(_)) = (&of.node, &key.node, self.world)
            && name == "this"
            && !self.is_var(name)
        {
            return self.field(field, span);
        }
        if let (Node::Name(name), Node::Str(field)) = (&of.node, &key.node)
            && name == "record"
            && !self.is_var(name)
        {
            return self.envelope(field, &key.span, span);
        }
        let of = self.expr(of, Want::Nothing);
        let key = self.solid(key, Want::Nothing);
        let (of, key) = (of?, key?);
        if let (Ty::Message(shape), Some(Const::Str(field))) = (of.ty.solid().clone(), key.constant()) {
            let field = field.clone();
            return self.member(of, &shape, &field, &key.span, span);
        }
        self.entry(of, key, span)
    }

    /// An element of a list or map.
    fn entry(&mut self, of: Expr, key: Expr, span: Range<usize>) -> Option<Expr> {
        let dynamic = matches!(of.ty, Ty::Dyn(None));
        let of = if dynamic { of } else { self.demand(of) };
        let (element, wanted) = match &of.ty {
            Ty::List(item, _) => ((**item).clone(), Ty::Int),
            Ty::Map(value, _) => ((**value).clone(), Ty::String),
            Ty::Dyn(None) if matches!(key.ty, Ty::Int | Ty::String) => (Ty::Dyn(None), key.ty.clone()),
            ty => {
                let message = format!("{ty} has no elements");
                let help = match ty {
                    Ty::String => format!("write `{}.substring(0, 1)`", self.text(&of.span)),
                    _ => String::new(),
                };
                return self.fail(problems::mismatch(of.span.clone(), message, help));
            }
        };
        if !key.ty.same(&wanted) {
            let message = format!("the index of {} is {wanted}, not {}", of.ty, key.ty);
            return self.fail(problems::mismatch(key.span, message, ""));
        }
        Some(self.guarded(Expr::new(element, span, Kind::Index(Box::new(of), Box::new(key)))))
    }

    /// `has(x)`: whether a place is there and not null.
    pub(super) fn has(&mut self, args: &[Ast], span: Range<usize>) -> Option<Expr> {
        let [of] = args else {
            return self.fail(problems::arguments(span, "`has` takes one field", "write `has(x)`"));
        };
        let e = self.expr(of, Want::Nothing)?;
        if Fact::of(&e).is_none() {
            return self.fail(problems::arguments(e.span, "`has` takes a field", "write `has(x)` or `has(a.b)`"));
        }
        let absent = Expr::new(Ty::Bool, span.clone(), Kind::IsNull(Box::new(e)));
        Some(Expr::new(Ty::Bool, span, Kind::Not(Box::new(absent))))
    }
}
