//! Predicates over the record before it is decoded: the same language, over `value` or `schema`, and `record`.

use super::{
    Problem, RawExpr, RawTyped, Scope, check, check::World, lower::Lower, parse, problems, types::Ty, value::Frame,
};
use crate::record::Record;

/// Parses and checks a predicate over the record before it is decoded: `value` (JSON routes), `schema` (Avro routes), `record`.
///
/// # Errors
/// Every problem found, in the order of the source.
pub fn check_raw(source: &str, json: bool) -> Result<RawTyped, Vec<Problem>> {
    let ast = parse::parse(source).map_err(|problem| vec![problem])?;
    let mut expr = check::run(&ast, source, World::Raw { json })?;
    match &expr.ty {
        Ty::Bool => {}
        Ty::Dyn(_) => {
            let span = expr.span.clone();
            expr = super::tree::Expr::new(Ty::Bool, span, super::tree::Kind::As(Box::new(expr)));
        }
        other => return Err(vec![problems::not_bool(expr.span.clone(), other, "a filter says yes or no")]),
    }
    Ok(RawTyped { expr, source: source.to_owned() })
}

impl RawTyped {
    pub fn lower(&self) -> RawExpr {
        let get = Lower::new(None, &self.source).raw_predicate(&self.expr);
        RawExpr(Box::new(move |record: &Record<'_>, schema: Option<&str>| {
            // Allocates only when the predicate makes a string or looks into an array.
            let arena = bumpalo::Bump::new();
            let scope =
                Scope { body: &[], slots: &[], added: &[], added_at: &[], item: &[], record, now: 0, scratch: &arena };
            get(&Frame { scope: &scope, schema, vars: None }).map_err(|fault| *fault)
        }))
    }
}
