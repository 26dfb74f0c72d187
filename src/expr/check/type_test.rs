//! `type(x) == string`: for unions of several types, and for JSON before it is decoded.

use super::{Checker, Want};
use crate::{
    expr::{
        parse::{Ast, Binary, Node},
        problems,
        tree::{Const, Expr, Kind, TypeTest},
        types::{Shape, Ty},
    },
    schema,
};
use std::ops::Range;

/// The types that JSON values have.
const JSON: [&str; 7] = ["bool", "int", "double", "string", "list", "map", "null_type"];

impl Checker<'_> {
    /// The test, where one side is `type(…)`.
    pub(super) fn type_test(&mut self, op: Binary, a: &Ast, b: &Ast, span: &Range<usize>) -> Option<Option<Expr>> {
        let (of, named) = match (argument(a), argument(b)) {
            (Some(of), None) => (of, b),
            (None, Some(of)) => (of, a),
            _ => return None,
        };
        Some(self.tested(op, of, named, span.clone()))
    }

    fn tested(&mut self, op: Binary, of: &Ast, named: &Ast, span: Range<usize>) -> Option<Expr> {
        let Some(name) = dotted(named) else {
            let message = "a type is compared with the name of a type";
            return self.fail(problems::mismatch(named.span.clone(), message, "write `type(x) == string`"));
        };
        let e = self.expr(of, Want::Nothing)?;
        let test = match (&e.ty, &e.kind) {
            (Ty::Dyn(Some(union)), _) if e.is_place() => {
                let branches = branches(union, &name);
                if !branches.contains(&true) {
                    return self.never(&e, union, named);
                }
                Kind::TypeIs(Box::new(e), TypeTest::Branches(branches))
            }
            (Ty::Dyn(None), _) => match JSON.iter().find(|known| **known == name) {
                Some(known) => Kind::TypeIs(Box::new(e), TypeTest::Json(known)),
                None => {
                    let problem = problems::unknown_name(named.span.clone(), "JSON has no", &name, JSON.into_iter());
                    return self.fail(problem);
                }
            },
            (Ty::Dyn(Some(_)), _) => {
                let text = self.text(&of.span);
                let message = format!("`{text}` is one of several types, and only a place in the record shows which");
                let help =
                    "test a field, an element, or a loop's variable over a field: `xs.exists(x, type(x) == string)`";
                return self.fail(problems::mismatch(of.span.clone(), message, help));
            }
            (Ty::Nullable(_), _) if name == "null_type" => Kind::IsNull(Box::new(e)),
            (Ty::Nullable(inner), _) if type_name(inner) == name => {
                let null = Kind::IsNull(Box::new(e));
                Kind::Not(Box::new(Expr::new(Ty::Bool, span.clone(), null)))
            }
            (ty, _) => Kind::Const(Const::Bool(type_name(ty) == name)),
        };
        let test = Expr::new(Ty::Bool, span.clone(), test);
        match op {
            Binary::Eq => Some(test),
            Binary::Ne => Some(Expr::new(Ty::Bool, span, Kind::Not(Box::new(test)))),
            _ => self.fail(problems::mismatch(span, "types have no order", "compare them with `==` or `!=`")),
        }
    }

    /// A test that no value passes.
    fn never<T>(&mut self, e: &Expr, union: &Shape, named: &Ast) -> Option<T> {
        let names: Vec<String> = union.branches().iter().map(|b| type_name(&Ty::of(b))).collect();
        let message = format!("`{}` is never {}", self.text(&e.span), self.text(&named.span));
        self.fail(problems::mismatch(named.span.clone(), message, format!("it is one of {}", names.join(", "))))
    }
}

/// The `x` of `type(x)`.
fn argument(ast: &Ast) -> Option<&Ast> {
    match &ast.node {
        Node::Call { name, target: None, args, .. } if name == "type" && args.len() == 1 => args.first(),
        _ => None,
    }
}

/// `string`, `shop.Click`.
fn dotted(ast: &Ast) -> Option<String> {
    match &ast.node {
        Node::Name(name) => Some(name.clone()),
        Node::Null => Some("null_type".into()),
        Node::Select { of, field, .. } => Some(format!("{}.{field}", dotted(of)?)),
        _ => None,
    }
}

/// Which branches of a union a name means; a record by its full or its short name.
fn branches(union: &Shape, name: &str) -> Vec<bool> {
    let is = |branch: &Shape| match branch.kind() {
        schema::Kind::Record(r) => r.name.0 == name || r.name.short() == name,
        _ => type_name(&Ty::of(branch)) == name,
    };
    union.branches().iter().map(is).collect()
}

/// What `type(x)` is compared with.
fn type_name(ty: &Ty) -> String {
    match ty {
        Ty::Nothing | Ty::Null => "null_type".into(),
        Ty::List(..) => "list".into(),
        Ty::Map(..) => "map".into(),
        Ty::Decimal { .. } => "decimal".into(),
        Ty::Message(shape) => match shape.kind() {
            schema::Kind::Record(r) => r.name.0.clone(),
            _ => "map".into(),
        },
        other => other.solid().to_string(),
    }
}
