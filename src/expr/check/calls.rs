//! Calls: those whose types need more than a table, then the table.

use super::{Checker, Want, World, convert::MAX_PRECISION, loops};
use crate::{
    codec::Decimal,
    expr::{
        functions::{self, P, Signature},
        parse::{Ast, Binary, Node},
        problems,
        tree::{Const, Expr, Kind},
        types::{Shape, Ty},
    },
};
use std::ops::Range;

type Span = Range<usize>;

impl Checker<'_> {
    pub(super) fn call(
        &mut self,
        name: &str,
        at: &Span,
        target: Option<&Ast>,
        args: &[Ast],
        span: Span,
        want: Want,
    ) -> Option<Expr> {
        if let Some(target) = target {
            if let Node::Name(space) = &target.node
                && space == "math"
                && self.is_math(name)
            {
                return self.math(name, at, args, span, want);
            }
            if let Some(kind) = loops::named(name) {
                return self.macro_call(kind, name, target, args, span);
            }
        }
        match (name, target) {
            ("has", None) => self.has(args, span),
            ("now", None) => self.now(args, span),
            ("size", _) => self.size(target, args, span),
            ("round", None) => self.round(args, span),
            ("decimal", None) => self.make_decimal(args, span),
            ("min", None) => self.extreme("min", "math.least", args, span, want),
            ("max", None) => self.extreme("max", "math.greatest", args, span, want),
            ("matches", _) => self.matches(target, args, span),
            _ => self.table(name, at, target, args, span),
        }
    }

    /// Whether `math.…` is a function of CEL's extension; what is none may be one of a field or variable of that name.
    fn is_math(&self, name: &str) -> bool {
        let field = matches!(self.world, World::Decoded(env) if env.view.fields.iter().any(|f| f.name == "math"));
        matches!(name, "greatest" | "least")
            || functions::named(&format!("math.{name}")).next().is_some()
            || !(field || self.is_var("math"))
    }

    /// `math.…`: a namespace of CEL's extension, not a field.
    fn math(&mut self, name: &str, at: &Span, args: &[Ast], span: Span, want: Want) -> Option<Expr> {
        let full = format!("math.{name}");
        match name {
            "greatest" | "least" => self.extreme(&full, &full, args, span, want),
            _ => self.table(&full, at, None, args, span),
        }
    }

    fn now(&mut self, args: &[Ast], span: Span) -> Option<Expr> {
        if !args.is_empty() {
            return self.fail(problems::arguments(span, "`now` takes no arguments", "write `now()`"));
        }
        if let World::Raw { .. } = self.world {
            let help = "use it in `where`, `when` or a rule";
            return self.fail(problems::problem(span, "unknown-function", "before decoding there is no `now()`", help));
        }
        Some(Expr::new(Ty::Timestamp, span, Kind::Now))
    }

    fn size(&mut self, target: Option<&Ast>, args: &[Ast], span: Span) -> Option<Expr> {
        let of = match (target, args) {
            (Some(of), []) | (None, [of]) => of,
            _ => return self.fail(problems::arguments(span, "`size` takes one value", "write `size(x)`")),
        };
        let e = self.solid(of, Want::Nothing)?;
        let encoded = |branch: &Shape| matches!(Ty::of(branch), Ty::List(..) | Ty::Map(..));
        let sized = |branch: &Shape| encoded(branch) || matches!(Ty::of(branch), Ty::String | Ty::Bytes);
        match &e.ty {
            Ty::Dyn(Some(union)) if !union.branches().iter().any(sized) => {
                let message = format!(
                    "`{}` has no size: none of its types is a string, bytes, a list or a map",
                    self.text(&e.span)
                );
                self.fail(problems::arguments(e.span, message, ""))
            }
            // Lists and maps stay encoded, so it has to be known which branch they are.
            Ty::Dyn(Some(union)) if union.branches().iter().any(encoded) && !e.is_place() => {
                let message = format!(
                    "`{}` is one of several types, and only a place in the record shows which",
                    self.text(&e.span)
                );
                let help =
                    "take the size of a field, an element, or a loop's variable over a field: `xs.map(x, size(x))`";
                self.fail(problems::arguments(e.span, message, help))
            }
            Ty::String | Ty::Bytes | Ty::List(..) | Ty::Map(..) | Ty::Dyn(_) => {
                Some(Expr::new(Ty::Int, span, Kind::Call(&functions::SIZE, vec![e])))
            }
            _ => {
                let message = format!("{} has no size", e.ty);
                self.fail(problems::arguments(e.span, message, "strings, bytes, lists and maps have one"))
            }
        }
    }

    /// `round(x, 2)`: where a decimal loses scale, on purpose. A quotient is rounded as it is made.
    fn round(&mut self, args: &[Ast], span: Span) -> Option<Expr> {
        let usage = "write `round(x, 2)`";
        let [of, digits] = args else {
            return self.fail(problems::arguments(span, "`round` takes a decimal and how many digits to keep", usage));
        };
        let Node::Int(scale @ 0..=38) = digits.node else {
            let message = "how many digits to keep is a literal from 0 to 38";
            return self.fail(problems::arguments(digits.span.clone(), message, usage));
        };
        let scale = scale as u32;
        let of = match &of.node {
            Node::Binary(Binary::Div, a, b) => self.quotient(a, b, of.span.clone())?,
            _ => self.solid(of, Want::Nothing)?,
        };
        let ty = match &of.ty {
            Ty::Decimal { precision, scale: from } => {
                let precision = precision.saturating_sub(*from) + scale + 1;
                Ty::Decimal { precision: precision.min(MAX_PRECISION), scale }
            }
            Ty::Double => Ty::Double,
            Ty::Int => return Some(of),
            other => {
                let message = format!("`round` does not round {other}");
                return self.fail(problems::arguments(of.span, message, "it rounds decimals and doubles"));
            }
        };
        Some(Expr::new(ty, span, Kind::Round(Box::new(of), scale)))
    }

    /// The division inside `round`, the one place where decimals divide.
    fn quotient(&mut self, a: &Ast, b: &Ast, span: Span) -> Option<Expr> {
        let (a, b) = self.beside(a, b, Want::Nothing, Checker::solid, Checker::solid);
        let (a, b) = (a?, b?);
        match self.result(Binary::Div, &a.ty, &b.ty) {
            Some(ty) => Some(self.operate(Binary::Div, a, b, ty, span)),
            None => self.apart(Binary::Div, &a, &b, span),
        }
    }

    /// `decimal('1.20')`, `decimal(int)`, and `decimal(x, scale)` for text and doubles that only the record has.
    fn make_decimal(&mut self, args: &[Ast], span: Span) -> Option<Expr> {
        let usage = "write `decimal('1.20')`, or `decimal(x, 2)` for a value of the record";
        let (of, scale) = match args {
            [of] => (of, None),
            [of, Ast { node: Node::Int(scale @ 0..=38), .. }] => (of, Some(*scale as u32)),
            _ => return self.fail(problems::arguments(span, "`decimal` takes a value and a literal scale", usage)),
        };
        let e = self.solid(of, Want::Decimal)?;
        if let (Some(Const::Str(text)), None) = (e.constant(), scale) {
            let parsed = Decimal::parse(text.as_bytes());
            if let Some(made) = parsed.and_then(|d| super::decimal_const(d, span)) {
                return Some(made);
            }
            let message = match parsed {
                Some(_) => format!("'{text}' needs more digits than a decimal has ({MAX_PRECISION})"),
                None => format!("'{text}' is not a decimal"),
            };
            return self.fail(problems::problem(e.span, "bad-literal", message, ""));
        }
        match (&e.ty, scale) {
            (Ty::Int, None) => Some(self.decimal(e)),
            (Ty::Decimal { .. }, None) => Some(e),
            (Ty::Int | Ty::Decimal { .. } | Ty::Double | Ty::String | Ty::Dyn(_), Some(scale)) => {
                Some(self.cast_at(e, Ty::Decimal { precision: MAX_PRECISION, scale }, span))
            }
            (Ty::Double | Ty::String | Ty::Dyn(_), None) => {
                let help = format!("write `decimal({}, 2)`", self.text(&e.span));
                self.fail(problems::arguments(span, "the decimal's scale must be known when this is checked", help))
            }
            (other, _) => {
                let message = format!("{other} is no number");
                self.fail(problems::arguments(e.span, message, usage))
            }
        }
    }

    fn cast_at(&self, e: Expr, ty: Ty, span: Span) -> Expr {
        Expr::new(ty, span, Kind::As(Box::new(e)))
    }

    fn extreme(&mut self, name: &str, full: &str, args: &[Ast], span: Span, want: Want) -> Option<Expr> {
        // Literals take the type of the first argument that is none.
        let first = args.iter().position(|a| want == Want::Nothing && !super::literal(a));
        let mut typed = first.and_then(|i| self.solid(&args[i], want));
        let want = typed.as_ref().map_or(want, |e| super::want_of(&e.ty));
        let checked = |(i, a)| if first == Some(i) { typed.take() } else { self.solid(a, want) };
        let exprs: Vec<Option<Expr>> = args.iter().enumerate().map(checked).collect();
        let exprs: Vec<Expr> = exprs.into_iter().collect::<Option<_>>()?;
        let Some(first) = exprs.first() else {
            return self.fail(problems::arguments(span, format!("`{name}` takes at least one value"), ""));
        };
        let mut ty = first.ty.clone();
        for e in &exprs {
            ty = match self.common(&ty, &e.ty) {
                Some(ty) if is_ordered(&ty) => ty,
                _ => {
                    return self.fail(problems::mismatch(
                        span,
                        format!("`{name}` does not compare {} with {}", ty, e.ty),
                        "",
                    ));
                }
            };
        }
        let exprs = exprs.into_iter().map(|e| self.coerce(e, &ty)).collect();
        let function = if full == "math.least" { &functions::LEAST } else { &functions::GREATEST };
        Some(Expr::new(ty, span, Kind::Call(function, exprs)))
    }

    /// A pattern is compiled here: a wrong one is a problem, and no record compiles it again.
    fn matches(&mut self, target: Option<&Ast>, args: &[Ast], span: Span) -> Option<Expr> {
        let usage = "write `x.matches('^[a-z]+$')`";
        let (of, pattern) = match (target, args) {
            (Some(of), [pattern]) | (None, [of, pattern]) => (of, pattern),
            _ => return self.fail(problems::arguments(span, "`matches` takes one pattern", usage)),
        };
        let of = self.solid(of, Want::Nothing)?;
        let of = match of.ty {
            Ty::String => of,
            Ty::Dyn(_) => self.cast(of, Ty::String),
            _ => {
                let message = format!("`matches` looks into a string, not {}", of.ty);
                return self.fail(problems::arguments(of.span, message, ""));
            }
        };
        let Node::Str(text) = &pattern.node else {
            let message = "a pattern is a literal: it is compiled once, when the route starts";
            return self.fail(problems::arguments(pattern.span.clone(), message, usage));
        };
        match regex::Regex::new(text) {
            Ok(regex) => Some(Expr::new(Ty::Bool, span, Kind::Matches(Box::new(of), regex))),
            Err(error) => {
                let reason = error.to_string();
                let last = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                let message = format!("this pattern is not a regular expression: {last}");
                self.fail(problems::problem(pattern.span.clone(), "bad-literal", message, "the syntax is RE2's"))
            }
        }
    }

    /// Functions whose types are in the table; a dyn argument is cast to the one signature that fits.
    fn table(&mut self, name: &str, at: &Span, target: Option<&Ast>, args: &[Ast], span: Span) -> Option<Expr> {
        let named: Vec<&'static Signature> = functions::named(name).collect();
        if named.is_empty() {
            return self.unknown_function(name, at, target, args);
        }
        let operands: Vec<Option<Expr>> =
            target.into_iter().chain(args).map(|a| self.solid(a, Want::Nothing)).collect();
        let operands: Vec<Expr> = operands.into_iter().collect::<Option<_>>()?;
        let fits = |s: &&&'static Signature| {
            s.member == target.is_some()
                && s.params.len() == operands.len()
                && s.params.iter().zip(&operands).all(|(p, e)| p.takes(&e.ty))
        };
        // A dyn takes any parameter's type, where there is no choice of signatures.
        let exact = named.iter().find(|s| fits(s) && s.params.iter().zip(&operands).all(|(p, e)| p.is(&e.ty)));
        let Some(signature) = exact.or_else(|| named.iter().find(fits)).copied() else {
            return self.no_signature(name, &named, &operands, target.is_some(), span);
        };
        // Only parts of an instant take an instant and a text, which is their zone.
        if let ([P::Instant, P::Text], Some(Const::Str(zone))) =
            (signature.params, operands.get(1).and_then(Expr::constant))
            && let Err(fault) = functions::zone(zone)
        {
            let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            let near = problems::nearest(zone, known.iter().map(String::as_str));
            let help = near.map_or("write 'Europe/Berlin' or '+02:00'".into(), |near| format!("there is '{near}'"));
            return self.fail(problems::problem(operands[1].span.clone(), "bad-literal", fault.message, help));
        }
        let operands: Vec<Expr> = signature
            .params
            .iter()
            .zip(operands)
            .map(|(p, e)| match p.ty() {
                Some(ty) if e.ty.is_dyn() => self.cast(e, ty),
                Some(ty @ Ty::List(..)) => self.coerce(e, &ty),
                _ => e,
            })
            .collect();
        let ty = match signature.result {
            P::Same => operands.first().map_or(Ty::Null, |e| e.ty.clone()),
            other => other.ty().unwrap_or(Ty::Dyn(None)),
        };
        Some(Expr::new(ty, span, Kind::Call(signature, operands)))
    }

    fn no_signature<T>(
        &mut self,
        name: &str,
        named: &[&'static Signature],
        operands: &[Expr],
        member: bool,
        span: Span,
    ) -> Option<T> {
        let mut usages: Vec<String> = named.iter().map(|s| format!("`{}`", s.usage())).collect();
        usages.dedup();
        usages.truncate(6);
        let types: Vec<String> = operands.iter().map(|e| e.ty.to_string()).collect();
        let found = match (member, types.split_first()) {
            (true, Some((on, rest))) => format!("{on}.{name}({})", rest.join(", ")),
            _ => format!("{name}({})", types.join(", ")),
        };
        // The same function, called the other way round: `int(x)`, `x.trim()`.
        let other = |s: &&&Signature| {
            s.member != member
                && s.params.len() == operands.len()
                && s.params.iter().zip(operands).all(|(p, e)| p.takes(&e.ty))
        };
        let texts: Vec<&str> = operands.iter().map(|e| self.text(&e.span)).collect();
        let help = match (named.iter().find(other), texts.split_first()) {
            (Some(_), Some((on, rest))) if !member => format!("write `{on}.{name}({})`", rest.join(", ")),
            (Some(_), _) => format!("write `{name}({})`", texts.join(", ")),
            (None, _) => format!("there is {}", usages.join(", ")),
        };
        self.fail(problems::arguments(span, format!("there is no `{found}`"), help))
    }

    fn unknown_function<T>(&mut self, name: &str, at: &Span, target: Option<&Ast>, args: &[Ast]) -> Option<T> {
        if target.is_none() && loops::named(name).is_some() {
            let field = if name == "exists" { "; whether a field is there is `has(x)`" } else { "" };
            let (message, help) = (format!("`{name}` is called on a list"), format!("write `xs.{name}(x, …)`{field}"));
            return self.fail(problems::problem(at.clone(), "unknown-function", message, help));
        }
        // Macros by another name: what stands in them is no operand.
        let macro_name = match name {
            "any" | "some" => Some("exists"),
            "every" => Some("all"),
            _ => None,
        };
        if let Some((of, meant)) = target.zip(macro_name) {
            let var = args.first().filter(|a| matches!(a.node, Node::Name(_))).map_or("x", |a| self.text(&a.span));
            let help = format!("write `{}.{meant}({var}, …)`", self.text(&of.span));
            let message = format!("no function `{name}`");
            return self.fail(problems::problem(at.clone(), "unknown-function", message, help));
        }
        // Their own problems are worth knowing too.
        for operand in target.into_iter().chain(args) {
            self.expr(operand, Want::Nothing);
        }
        let help = match name {
            "len" | "length" | "count" => "there is `size(x)`".into(),
            "lower" | "toLower" | "toLowerCase" | "lowercase" => "there is `x.lowerAscii()`".into(),
            "upper" | "toUpper" | "toUpperCase" | "uppercase" => "there is `x.upperAscii()`".into(),
            "type" => "a type is compared: `type(x) == string`".into(),
            "coalesce" | "ifnull" | "nvl" | "default" | "orValue" => "write `x != null ? x : …`".into(),
            "float" => "there is `double(x)`".into(),
            "str" | "toString" => "there is `string(x)`".into(),
            "uint" => "Avro has no unsigned integers: there is `int(x)`".into(),
            "isNull" | "is_null" => "write `x == null`".into(),
            "isset" | "isSet" | "defined" | "present" | "isNotNull" => "write `has(x)`".into(),
            "sum" | "avg" => "lists have `all`, `exists`, `exists_one`, `filter`, `map` and `size`".into(),
            "today" | "TODAY" | "NOW" | "current_timestamp" => "there is `now()`".into(),
            "not" | "NOT" | "Not" => {
                let condition = args.first().map_or("x", |a| self.text(&a.span));
                format!("write `!({condition})`")
            }
            "uuid" | "UUID" | "uuid4" | "newid" | "gen_random_uuid" => {
                "values come from the record alone; what no other has is `record.topic`, `record.partition` and `record.offset` together".into()
            }
            "format" | "concat" | "sprintf" | "printf" => "texts are joined: `'no. ' + string(x)`".into(),
            "regex" | "regexp_like" | "match" => "write `x.matches('^[a-z]+$')`".into(),
            _ if functions::nearest(name) == Some(name) => {
                let texts: Vec<&str> = target.into_iter().chain(args).map(|a| self.text(&a.span)).collect();
                format!("write `{name}({})`", texts.join(", "))
            }
            _ => functions::nearest(name).map(|near| format!("there is `{near}`")).unwrap_or_default(),
        };
        self.fail(problems::problem(at.clone(), "unknown-function", format!("no function `{name}`"), help))
    }
}

fn is_ordered(ty: &Ty) -> bool {
    matches!(ty, Ty::Int | Ty::Double | Ty::Decimal { .. } | Ty::String | Ty::Timestamp | Ty::Local | Ty::Duration)
}
