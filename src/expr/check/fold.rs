//! Constants are worked out once, by the closures that would work them out for every record; one that fails always fails.

use super::Checker;
use crate::{
    expr::{
        Scope,
        lower::Lower,
        problems,
        tree::{Const, Expr, Kind},
        value::{Frame, Val},
    },
    record::Record,
};

impl Checker<'_> {
    /// An expression whose operands are all constants, as a constant.
    pub(super) fn fold(&mut self, e: Expr) -> Option<Expr> {
        let operands = e.children();
        if operands.is_empty() || operands.iter().any(|o| o.constant().is_none()) {
            return Some(e);
        }
        let arena = bumpalo::Bump::new();
        let record =
            Record { topic: "", partition: 0, offset: 0, timestamp: None, key: None, value: None, headers: &[] };
        let scope = Scope {
            body: &[],
            slots: &[],
            added: &[],
            added_at: &[],
            item: &[],
            record: &record,
            now: 0,
            scratch: &arena,
        };
        let get = Lower::new(None, self.source).anything(&e);
        let value = get(&Frame { scope: &scope, schema: None, vars: None });
        let constant = match value {
            Ok(Val::Null) => Const::Null,
            Ok(Val::Bool(b)) => Const::Bool(b),
            Ok(Val::Int(i)) => Const::Int(i),
            Ok(Val::Double(d)) => Const::Double(d),
            Ok(Val::Decimal(d)) => Const::Decimal(d),
            Ok(Val::Str(s)) => Const::Str(s.to_owned()),
            Ok(Val::Bytes(b)) => Const::Bytes(b.to_vec()),
            Ok(Val::Timestamp(t)) => Const::Timestamp(t),
            Ok(Val::Duration(d)) => Const::Duration(d),
            Ok(_) => return Some(e),
            Err(fault) => {
                let help = match &e.kind {
                    Kind::Call(f, _) if f.name == "timestamp" => "write `timestamp('2024-06-30T12:00:00Z')`",
                    Kind::Call(f, _) if f.name == "duration" => "write `duration('1h30m')`",
                    _ => "",
                };
                return self.fail(problems::problem(e.span, "always-fails", fault.message, help));
            }
        };
        Some(Expr::new(e.ty, e.span, Kind::Const(constant)))
    }
}
