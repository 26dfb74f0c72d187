//! Whether an expression's value can be written as a node of a schema.

use super::{
    tree::{Const, Expr, Kind as ExprKind},
    types::{Shape, Ty, describe},
};
use crate::schema::{Clock, Kind, Logical, Unit};

/// In words, why a value of this expression cannot be written as the node; a loss that only a value shows is found when it runs.
pub(super) fn fits(e: &Expr, target: &Shape) -> Result<(), String> {
    let (solid, nullable) = target.solid();
    match &e.kind {
        ExprKind::Path(path) if alike(&path.leaf, &solid) => {
            return if matches!(e.ty, Ty::Nullable(_)) && !nullable {
                Err(takes_no_null(&e.ty, target))
            } else {
                Ok(())
            };
        }
        ExprKind::Choose(parts) => {
            fits(&parts[1], target)?;
            return fits(&parts[2], target);
        }
        ExprKind::Const(Const::Str(s)) => {
            if let Kind::Enum(symbols) = solid.kind()
                && !symbols.symbols.contains(s)
            {
                return Err(format!("enum {} has no symbol '{s}'", symbols.name));
            }
        }
        ExprKind::List(items) if items.is_empty() && matches!(solid.kind(), Kind::Array(_)) => return Ok(()),
        ExprKind::Const(Const::Int(n)) if matches!(solid.kind(), Kind::Int) && i32::try_from(*n).is_err() => {
            return Err(format!("{n} does not fit an int of 32 bits"));
        }
        _ => {}
    }
    type_fits(&e.ty, target)
}

fn takes_no_null(ty: &Ty, target: &Shape) -> String {
    let to = describe(&target.schema, target.node);
    format!("it may be null ({ty}), and {to} takes no null: give it a value, as in `x != null ? x : …`")
}

/// Whether a part of an expression gives microseconds: a place's, or a literal's or a parsed text's.
pub(super) fn fine(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Path(path) => counts_micros(&path.leaf),
        ExprKind::Select(of, steps) => {
            matches!(of.ty.solid(), Ty::Message(record) if counts_micros(&record.below(steps)))
        }
        ExprKind::Const(Const::Timestamp(t) | Const::Duration(t)) => t % 1000 != 0,
        ExprKind::Call(f, _) => matches!(f.name, "timestamp" | "duration"),
        _ => false,
    }
}

/// Whether a node counts time in microseconds or finer, or the elements of a list or map do.
fn counts_micros(shape: &Shape) -> bool {
    match shape.kind() {
        Kind::Array(item) | Kind::Map(item) => counts_micros(&shape.at(*item).solid().0),
        _ => shape.logical().and_then(Logical::clock).is_some_and(|(_, unit)| unit > Unit::Millis),
    }
}

/// As [`fits`], by type alone.
pub(super) fn type_fits(ty: &Ty, target: &Shape) -> Result<(), String> {
    let (solid, nullable) = target.solid();
    if let Ty::Nothing = ty {
        return Ok(());
    }
    if let Kind::Union(branches) = solid.kind() {
        return union_fits(ty, &solid, branches);
    }
    let to = describe(&solid.schema, solid.node);
    let no = |why: &str| Err(format!("{ty} is not {to}{why}"));
    match ty {
        Ty::Nullable(_) | Ty::Null if !nullable && !matches!(solid.kind(), Kind::Null) => {
            return Err(takes_no_null(ty, target));
        }
        Ty::Null => return Ok(()),
        _ => {}
    }
    match (ty.solid(), solid.kind(), solid.logical()) {
        (Ty::Decimal { scale: from, .. }, _, Some(Logical::Decimal { scale, .. })) => match *from <= scale {
            true => Ok(()),
            false => no(&format!(": {from} digits after the point do not fit {scale}; write `round(…, {scale})`")),
        },
        (Ty::Int, _, Some(Logical::Decimal { .. })) => Ok(()),
        (Ty::Double, _, Some(Logical::Decimal { scale, .. })) => {
            no(&format!(": a double is not exact; write `decimal(…, {scale})`"))
        }
        (Ty::Timestamp, _, Some(to)) if on(Clock::Utc, to) => Ok(()),
        (Ty::Local, _, Some(to)) if on(Clock::Local, to) => Ok(()),
        (Ty::Duration, _, Some(to)) if on(Clock::Day, to) => Ok(()),
        (Ty::String, _, None) if matches!(solid.kind(), Kind::String | Kind::Enum(_)) => Ok(()),
        (Ty::String, _, Some(Logical::Uuid)) => Ok(()),
        (Ty::Timestamp, _, Some(Logical::Date)) => no(": a timestamp has a time of day"),
        (_, _, Some(_)) => no(""),
        (Ty::Bool, Kind::Boolean, _)
        | (Ty::Int, Kind::Int | Kind::Long | Kind::Double, _)
        | (Ty::Double, Kind::Double, _)
        | (Ty::Bytes, Kind::Bytes | Kind::Fixed(_), _) => Ok(()),
        (Ty::Double, Kind::Float, _) => no(": a float holds less than a double"),
        (Ty::Decimal { .. }, Kind::Double | Kind::Float, _) => no(": a double is not exact; write `double(…)`"),
        (Ty::Double, Kind::Int | Kind::Long, _) => no("; write `int(…)`"),
        (Ty::Timestamp, Kind::Long, _) => no("; seconds since 1970 are `int(…)`"),
        (Ty::Int | Ty::Double | Ty::Decimal { .. } | Ty::Bool | Ty::Timestamp, Kind::String, _) => {
            no("; write `string(…)`")
        }
        (Ty::List(_, Some(from)) | Ty::Map(_, Some(from)) | Ty::Message(from), _, _) if alike(from, &solid) => Ok(()),
        (Ty::List(item, _), Kind::Array(element), _) => {
            type_fits(item, &solid.at(*element)).map_err(|why| format!("an element does not fit: {why}"))
        }
        (Ty::Message(_), Kind::Record(_), _) => no(": the two records differ"),
        _ => no(""),
    }
}

fn on(clock: Clock, logical: Logical) -> bool {
    logical.clock().is_some_and(|(its, _)| its == clock)
}

fn union_fits(ty: &Ty, target: &Shape, branches: &[crate::schema::NodeId]) -> Result<(), String> {
    let null = branches.iter().any(|b| matches!(target.schema.kind(*b), Kind::Null));
    let ty = if null { ty.solid() } else { ty };
    match branches.iter().any(|b| type_fits(ty, &target.at(*b)).is_ok()) {
        true => Ok(()),
        false => Err(format!("{ty} is none of the types of {}", describe(&target.schema, target.node))),
    }
}

/// Whether values of both nodes have the same bytes and the same meaning.
pub(super) fn alike(a: &Shape, b: &Shape) -> bool {
    let mut assumed = Vec::new();
    same(a, b, &mut assumed)
}

/// Recursive types end where two nodes meet again: they are alike if nothing else speaks against it.
fn same(a: &Shape, b: &Shape, assumed: &mut Vec<(u32, u32)>) -> bool {
    let key = (a.node.0, b.node.0);
    if a.same_place(b) || assumed.contains(&key) {
        return true;
    }
    if a.logical() != b.logical() {
        return false;
    }
    assumed.push(key);
    match (a.kind(), b.kind()) {
        (Kind::Record(x), Kind::Record(y)) => {
            x.name == y.name
                && x.fields.len() == y.fields.len()
                && x.fields
                    .iter()
                    .zip(&y.fields)
                    .all(|(f, g)| f.name == g.name && same(&a.at(f.node), &b.at(g.node), assumed))
        }
        (Kind::Enum(x), Kind::Enum(y)) => x.symbols == y.symbols,
        (Kind::Fixed(x), Kind::Fixed(y)) => x.size == y.size,
        (Kind::Array(x), Kind::Array(y)) | (Kind::Map(x), Kind::Map(y)) => same(&a.at(*x), &b.at(*y), assumed),
        (Kind::Union(x), Kind::Union(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(&a.at(*x), &b.at(*y), assumed))
        }
        (x, y) => std::mem::discriminant(x) == std::mem::discriminant(y),
    }
}
