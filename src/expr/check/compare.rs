//! Comparison and membership.

use super::{Checker, Want};
use crate::{
    codec::civil,
    expr::{
        parse::{Ast, Binary, Node},
        problems,
        tree::{Const, Envelope, Expr, Kind},
        types::Ty,
    },
    schema,
};
use jiff::civil::DateTime;
use std::ops::Range;

impl Checker<'_> {
    pub(super) fn binary(&mut self, op: Binary, a: &Ast, b: &Ast, span: Range<usize>, want: Want) -> Option<Expr> {
        match op {
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Rem => {
                self.arithmetic(op, a, b, span, want)
            }
            Binary::In => self.membership(a, b, span),
            _ => self.comparison(op, a, b, span),
        }
    }

    /// Both sides are not null and of one type; an int beside a decimal is exact, a dyn is compared when it is there.
    fn comparison(&mut self, op: Binary, a: &Ast, b: &Ast, span: Range<usize>) -> Option<Expr> {
        if let Some(test) = self.type_test(op, a, b, &span) {
            return test;
        }
        match (&a.node, &b.node) {
            (Node::Null, _) => return self.is_null(b, op, span),
            (_, Node::Null) => return self.is_null(a, op, span),
            _ => {}
        }
        let (left, right) = (a, b);
        let (a, b) = self.beside(a, b, Want::Nothing, Checker::solid, Checker::solid);
        self.without_quotes(&a, right);
        self.without_quotes(&b, left);
        let (a, b) = (a?, b?);
        let (of_a, of_b, lists) = match (&a.ty, &b.ty) {
            (Ty::List(of_a, _), Ty::List(of_b, _)) => (&**of_a, &**of_b, true),
            (a, b) => (a, b, false),
        };
        let dynamic = |ty: &Ty| ty.is_dyn() || matches!(ty, Ty::List(item, None) if item.is_dyn());
        let dynamic = dynamic(&a.ty) || dynamic(&b.ty);
        if (lists || dynamic) && encoded(of_a) && encoded(of_b) {
            return self.not_compared(op, &a.ty, span);
        }
        if dynamic {
            return Some(Expr::new(Ty::Bool, span, Kind::Compare(op, Box::new(a), Box::new(b))));
        }
        let Some(common) = self.common(&a.ty, &b.ty) else {
            return self.apart(op, &a, &b, span);
        };
        let equality = matches!(op, Binary::Eq | Binary::Ne);
        match &common {
            Ty::Message(_) | Ty::Map(..) => return self.not_compared(op, &common, span),
            Ty::List(item, _) if encoded(item) => return self.not_compared(op, &common, span),
            Ty::List(..) if !equality => {
                let message = format!("`{}` does not order values of type {common}", op.symbol());
                return self.fail(problems::mismatch(span, message, ""));
            }
            _ => {}
        }
        if equality {
            self.symbol(&a, &b)?;
            self.symbol(&b, &a)?;
        }
        // Decimals compare across scales as they stand; an int becomes one.
        let (a, b) = match common {
            Ty::Decimal { .. } => (self.decimal(a), self.decimal(b)),
            Ty::List(item, _) => {
                let made = Ty::List(item, None);
                (self.coerce(a, &made), self.coerce(b, &made))
            }
            _ => (a, b),
        };
        Some(Expr::new(Ty::Bool, span, Kind::Compare(op, Box::new(a), Box::new(b))))
    }

    /// Records, maps and what holds them have no equality.
    fn not_compared<T>(&mut self, op: Binary, ty: &Ty, span: Range<usize>) -> Option<T> {
        let message = format!("`{}` does not compare values of type {ty}", op.symbol());
        let help = match ty {
            Ty::List(..) => "compare their elements",
            Ty::Dyn(_) => "convert one of them, as in `string(x)`",
            _ => "compare their fields",
        };
        self.fail(problems::mismatch(span, message, help))
    }

    /// An int as a decimal without a fraction; a decimal as it is.
    pub(super) fn decimal(&self, e: Expr) -> Expr {
        match e.ty {
            Ty::Int => self.coerce(e, &super::convert::int_as_decimal()),
            _ => e,
        }
    }

    /// An enum beside a literal that is none of its symbols.
    fn symbol(&mut self, place: &Expr, literal: &Expr) -> Option<()> {
        let (Kind::Path(path), Some(Const::Str(text))) = (&place.kind, literal.constant()) else { return Some(()) };
        let schema::Kind::Enum(e) = path.leaf.kind() else { return Some(()) };
        if e.symbols.contains(text) {
            return Some(());
        }
        let message = format!("enum {} has no symbol '{text}'", e.name);
        let near = problems::nearest(text, e.symbols.iter().map(String::as_str));
        let help = match near {
            Some(near) => format!("there is '{near}'"),
            None => {
                let all: Vec<String> = e.symbols.iter().take(12).map(|s| format!("'{s}'")).collect();
                format!("its symbols are {}", all.join(", "))
            }
        };
        self.fail(problems::problem(literal.span.clone(), "unknown-symbol", message, help))
    }

    /// `x in list`, `key in map`.
    fn membership(&mut self, a: &Ast, b: &Ast, span: Range<usize>) -> Option<Expr> {
        let right = b;
        let (a, b) = self.beside(a, b, Want::Nothing, Checker::solid, Checker::solid);
        self.without_quotes(&a, right);
        let (a, mut b) = (a?, b?);
        if let Kind::List(items) = &b.kind {
            for item in items {
                self.symbol(&a, item)?;
            }
        }
        let element = match &b.ty {
            Ty::List(item, _) => (**item).clone(),
            Ty::Map(..) => Ty::String,
            Ty::Dyn(None) => a.ty.clone(),
            other => {
                let help = match other {
                    Ty::String => format!("write `{}.contains({})`", self.text(&b.span), self.text(&a.span)),
                    _ => "the right side of `in` is a list, as in `[1, 2]`, or a map".into(),
                };
                return self.fail(problems::mismatch(b.span, format!("`in` does not look into {other}"), help));
            }
        };
        if !a.ty.is_dyn() && !element.is_dyn() {
            let Some(common) = self.common(&a.ty, &element) else {
                return self.apart(Binary::In, &a, &Expr::new(element, b.span.clone(), b.kind.clone()), span);
            };
            if encoded(&common) {
                return self.not_compared(Binary::In, &common, span);
            }
            if let Ty::Decimal { .. } = common
                && let Kind::List(items) = b.kind
            {
                let items = items.into_iter().map(|e| self.decimal(e)).collect();
                b = Expr::new(Ty::List(Box::new(common.clone()), None), b.span, Kind::List(items));
            }
        } else if encoded(&a.ty) && encoded(&element) {
            return self.not_compared(Binary::In, &a.ty, span);
        }
        let a = if matches!(element.solid(), Ty::Decimal { .. }) { self.decimal(a) } else { a };
        Some(Expr::new(Ty::Bool, span, Kind::In(Box::new(a), Box::new(b))))
    }

    /// Beside a string, a name that is no field was most likely meant as text.
    fn without_quotes(&mut self, string: &Option<Expr>, other: &Ast) {
        let Some(Ty::String) = string.as_ref().map(|e| e.ty.solid()) else { return };
        let names = if let Node::List(items) = &other.node { items.iter().collect() } else { vec![other] };
        for ast in names {
            let Node::Name(name) = &ast.node else { continue };
            let unknown = |p: &&mut super::Problem| p.span == ast.span && p.code == "unknown-name";
            let found = self.problems.iter_mut().find(unknown);
            if let Some(problem) = found.filter(|p| p.help.is_empty() || p.help.starts_with("there are ")) {
                problem.help = format!("a text has quotes: `'{name}'`");
            }
        }
    }

    /// Two operands whose types never go together.
    pub(super) fn apart<T>(&mut self, op: Binary, a: &Expr, b: &Expr, span: Range<usize>) -> Option<T> {
        use Ty::{Bytes, Decimal, Double, Duration, Int, Local, String, Timestamp};
        let (ta, tb) = (self.text(&a.span).to_owned(), self.text(&b.span).to_owned());
        let constant = |e: &Expr| e.constant().is_some();
        let number = |e: &Expr| matches!(e.constant(), Some(Const::Str(s)) if s.parse::<f64>().is_ok());
        let help = match (&a.ty, &b.ty) {
            (Timestamp, Local) | (Local, Timestamp) => return self.fail(problems::mixed_time(span)),
            (Int, Double) => format!("convert: `double({ta})`"),
            (Double, Int) => format!("convert: `double({tb})`"),
            (Decimal { .. }, Double) => format!("a double is not exact; convert: `double({ta})`"),
            (Double, Decimal { .. }) => format!("a double is not exact; convert: `double({tb})`"),
            (Timestamp | Local, String)
                if constant(b) && matches!(op, Binary::Add | Binary::Sub) && span_of_time(b) =>
            {
                format!("a span of time is a duration: `duration({tb})`")
            }
            (Timestamp, String) if constant(b) => instant(b),
            (String, Timestamp) if constant(a) => instant(a),
            (Duration, String) if constant(b) => format!("convert: `duration({tb})`"),
            (String, Int | Double | Decimal { .. }) if number(a) && op != Binary::Add => {
                "a number has no quotes".into()
            }
            (Int | Double | Decimal { .. }, String) if number(b) && op != Binary::Add => {
                "a number has no quotes".into()
            }
            (Bytes, String) if matches!(a.kind, Kind::Envelope(Envelope::Key)) => {
                "the record's key is bytes: `string(record.key)`".into()
            }
            (Bytes, String) => format!("convert: `string({ta})`"),
            (String, Bytes) => format!("convert: `string({tb})`"),
            (String, Int | Double | Decimal { .. } | Ty::Bool | Timestamp) if op == Binary::Add => {
                format!("convert: `string({tb})`")
            }
            (Int | Double | Decimal { .. } | Ty::Bool | Timestamp, String) if op == Binary::Add => {
                format!("convert: `string({ta})`")
            }
            (Ty::Bool, String | Int) | (String | Int, Ty::Bool) => "a boolean is `true` or `false`".into(),
            (Timestamp | Local, Int) => "a span of time is a duration: `duration('1h')`".into(),
            _ => std::string::String::new(),
        };
        let ignored = [(a, &ta), (b, &tb)].into_iter().find_map(|(e, text)| Some((ignored(e)?, text)));
        let help = match ignored {
            Some((logical, text)) => {
                format!("`{text}` is to be a {logical}, which its schema does not say rightly: see the warning there")
            }
            None => help,
        };
        let message = format!("`{}` does not go between {} and {}", op.symbol(), a.ty, b.ty);
        self.fail(problems::mismatch(span, message, help))
    }
}

/// The logical type that a place's own type names, and that is ignored, since it does not fit or is not whole.
fn ignored(e: &Expr) -> Option<&str> {
    let Kind::Path(path) = &e.kind else { return None };
    let solid = path.leaf.solid().0;
    let node = path.leaf.schema.node(solid.node);
    node.attributes.get("logicalType")?.as_str()
}

/// Whether values may be records, maps or lists, which nothing compares where they stay as they are encoded.
fn encoded(ty: &Ty) -> bool {
    match ty.solid() {
        Ty::Message(_) | Ty::Map(..) | Ty::List(..) => true,
        Ty::Dyn(Some(union)) => union.branches().iter().any(|branch| encoded(&Ty::of(branch))),
        _ => false,
    }
}

/// Whether a constant text is a number with a unit, as durations are written.
fn span_of_time(text: &Expr) -> bool {
    let Some(Const::Str(text)) = text.constant() else { return false };
    text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(['s', 'm', 'h', 'd'])
}

/// How a constant text becomes a timestamp: what it lacks is added, where that can be.
fn instant(text: &Expr) -> String {
    let Some(Const::Str(text)) = text.constant() else { return String::new() };
    if civil::parse_instant(text).is_some() {
        return format!("convert: `timestamp('{text}')`");
    }
    match text.parse::<DateTime>() {
        Ok(local) => format!("convert: `timestamp('{local}Z')`; a time without a zone is no timestamp"),
        Err(_) => "write `timestamp('2024-06-30T12:00:00Z')`".to_owned(),
    }
}
