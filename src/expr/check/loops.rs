//! CEL's macros over lists and maps.

use super::{Checker, Var, Want, logic::facts};
use crate::{
    expr::{
        parse::{Ast, Node},
        problems,
        tree::{Expr, Kind, Loop, Macro},
        types::Ty,
    },
    schema,
};
use std::ops::Range;

/// Loops inside loops: more is refused, since the work is the product of their lengths.
const MAX_LOOPS: usize = 4;

/// CEL's macro of this name.
pub(super) fn named(name: &str) -> Option<Macro> {
    Some(match name {
        "all" => Macro::All,
        "exists" => Macro::Exists,
        "exists_one" | "existsOne" => Macro::ExistsOne,
        "filter" => Macro::Filter,
        "map" => Macro::Map,
        _ => return None,
    })
}

impl Checker<'_> {
    /// The variable is known in the body alone.
    pub(super) fn macro_call(
        &mut self,
        kind: Macro,
        name: &str,
        target: &Ast,
        args: &[Ast],
        span: Range<usize>,
    ) -> Option<Expr> {
        let (var, filter, body) = match args {
            [var, body] => (var, None, body),
            [var, filter, body] if kind == Macro::Map => (var, Some(filter), body),
            _ => {
                let help = format!("write `{}.{name}(x, …)`", self.text(&target.span));
                return self.fail(problems::arguments(span, format!("`{name}` takes a name and an expression"), help));
            }
        };
        let Node::Name(variable) = &var.node else {
            let message = format!("`{name}` begins with a name for the element");
            return self.fail(problems::arguments(var.span.clone(), message, format!("write `{name}(x, …)`")));
        };
        if self.vars.len() >= MAX_LOOPS {
            return self.fail(problems::too_deep(span, MAX_LOOPS));
        }
        let range = self.solid(target, Want::Nothing)?;
        let (ty, shape) = self.elements(&range, name)?;
        self.vars.push(Var { name: variable.clone(), ty, shape });
        let (filter, body) = self.loop_body(kind, filter, body);
        self.vars.pop();
        let body = body?;
        let filter = match filter {
            Some(filter) => Some(filter?),
            None => None,
        };
        let ty = match kind {
            Macro::All | Macro::Exists | Macro::ExistsOne => Ty::Bool,
            Macro::Filter => match &range.ty {
                Ty::List(item, _) => Ty::List(item.clone(), None),
                Ty::Map(..) => Ty::List(Box::new(Ty::String), None),
                other => Ty::List(Box::new(other.clone()), None),
            },
            Macro::Map => Ty::List(Box::new(body.ty.clone()), None),
        };
        Some(Expr::new(ty, span, Kind::Loop(Box::new(Loop { kind, range, filter, body }))))
    }

    /// The body counts only where the filter is true, so it is checked with what that proves.
    fn loop_body(&mut self, kind: Macro, filter: Option<&Ast>, body: &Ast) -> (Option<Option<Expr>>, Option<Expr>) {
        let filter = filter.map(|f| self.condition(f));
        let proven = filter.iter().flatten().flat_map(|f| facts(f).yes).collect();
        let body = self.with(proven, |c| match kind {
            Macro::Map => c.expr(body, Want::Nothing),
            _ => c.condition(body),
        });
        (filter, body)
    }

    /// What a loop's variable is, and its node where elements are read in place.
    fn elements(&mut self, range: &Expr, name: &str) -> Option<(Ty, Option<crate::expr::types::Shape>)> {
        match &range.ty {
            Ty::List(item, Some(shape)) => match shape.kind() {
                schema::Kind::Array(node) => Some(((**item).clone(), Some(shape.at(*node)))),
                _ => Some(((**item).clone(), None)),
            },
            Ty::List(item, None) => Some(((**item).clone(), None)),
            Ty::Map(..) => Some((Ty::String, None)),
            Ty::Dyn(None) => Some((Ty::Dyn(None), None)),
            other => {
                let message = format!("`{name}` goes over a list or a map, not {other}");
                self.fail(problems::mismatch(range.span.clone(), message, ""))
            }
        }
    }
}
