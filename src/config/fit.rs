//! Whether every value of one type can be written as another: what Avro's resolution allows, and exact decimals.

use super::paths::{present, type_name};
use crate::schema::{Kind, Logical, NodeId, Schema};
use std::collections::HashSet;

/// In words why a value of `from` cannot always become one of `to`; the path leads to the types at fault.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Dotted, from the value down; empty for the value itself.
    pub path: String,
    pub found: String,
    pub wanted: String,
}

pub(super) fn fits(from: (&Schema, NodeId), to: (&Schema, NodeId)) -> Result<(), Misfit> {
    Fitting { from: from.0, to: to.0, seen: HashSet::new() }.fits(from.1, to.1, "")
}

struct Fitting<'s> {
    from: &'s Schema,
    to: &'s Schema,
    /// Pairs under way or done: recursive types meet themselves again, and every pair is looked at once.
    seen: HashSet<(NodeId, NodeId)>,
}

impl Fitting<'_> {
    fn fits(&mut self, from: NodeId, to: NodeId, path: &str) -> Result<(), Misfit> {
        if !self.seen.insert((from, to)) {
            return Ok(());
        }
        let (source, target) = (self.from, self.to);
        match (source.kind(from), target.kind(to)) {
            (Kind::Union(branches), _) => {
                let each = branches.iter().try_for_each(|b| self.fits(*b, to, path));
                // That one branch does not fit is a fault of the whole type.
                each.map_err(|m| if m.path == path { self.misfit(from, to, path) } else { m })
            }
            // Beside null there is one choice, and what is wrong with it is what is to be told.
            (kind, Kind::Union(_)) if *kind != Kind::Null && target.nullable(to).is_some() => {
                let each = self.fits(from, present(target, to), path);
                each.map_err(|m| if m.path == path { self.misfit(from, to, path) } else { m })
            }
            (_, Kind::Union(branches)) => {
                // Each branch is tried with what was seen before it: a failed attempt must not count as seen.
                let before = self.seen.clone();
                let fitting = branches.iter().any(|b| {
                    let fits = self.fits(from, *b, path).is_ok();
                    if !fits {
                        self.seen.clone_from(&before);
                    }
                    fits
                });
                if fitting { Ok(()) } else { Err(self.misfit(from, to, path)) }
            }
            (Kind::Array(a), Kind::Array(b)) | (Kind::Map(a), Kind::Map(b)) => self.fits(*a, *b, path),
            (Kind::Record(_), Kind::Record(_)) => self.records(from, to, path),
            (Kind::Enum(a), Kind::Enum(b)) => {
                let known = b.default.is_some() || a.symbols.iter().all(|s| b.symbols.contains(s));
                if known { Ok(()) } else { Err(self.misfit(from, to, path)) }
            }
            _ if self.plain(from, to) => Ok(()),
            _ => Err(self.misfit(from, to, path)),
        }
    }

    fn records(&mut self, from: NodeId, to: NodeId, path: &str) -> Result<(), Misfit> {
        let (source, target) = (self.from, self.to);
        let (Kind::Record(a), Kind::Record(b)) = (source.kind(from), target.kind(to)) else { return Ok(()) };
        for field in &b.fields {
            let inner = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            let at = a.fields.iter().find(|f| f.name == field.name || field.aliases.contains(&f.name));
            match at {
                Some(writer) => self.fits(writer.node, field.node, &inner)?,
                None if field.default.is_some() => {}
                None => {
                    return Err(Misfit { path: inner, found: "nothing".into(), wanted: type_name(target, field.node) });
                }
            }
        }
        Ok(())
    }

    /// Types without types inside: equal, promoted by Avro's rules, or converted exactly.
    fn plain(&self, from: NodeId, to: NodeId) -> bool {
        let (a, b) = (self.from.node(from), self.to.node(to));
        match (a.logical, b.logical) {
            // Digits before the point are counted for each value: a product's type has more of them than its values do.
            (Some(Logical::Decimal { scale: s, .. }), Some(Logical::Decimal { scale: t, .. })) => t >= s,
            (Some(Logical::Decimal { .. }), _) | (_, Some(Logical::Decimal { .. })) => false,
            (Some(x), Some(y)) => same_unit_or_finer(x, y),
            // A date or a timestamp is no number, and a number is none of them.
            (Some(x), None) => x == Logical::Uuid && matches!(b.kind, Kind::String | Kind::Bytes),
            (None, Some(_)) => false,
            (None, None) => promotes(&a.kind, &b.kind),
        }
    }

    fn misfit(&self, from: NodeId, to: NodeId, path: &str) -> Misfit {
        Misfit { path: path.to_owned(), found: type_name(self.from, from), wanted: type_name(self.to, to) }
    }
}

fn same_unit_or_finer(from: Logical, to: Logical) -> bool {
    from == to || matches!((from.clock(), to.clock()), (Some((a, coarse)), Some((b, fine))) if a == b && coarse <= fine)
}

/// Avro 1.12, "Schema Resolution".
fn promotes(from: &Kind, to: &Kind) -> bool {
    match (from, to) {
        (Kind::Int, Kind::Long | Kind::Float | Kind::Double)
        | (Kind::Long, Kind::Float | Kind::Double)
        | (Kind::Float, Kind::Double)
        | (Kind::String, Kind::Bytes)
        | (Kind::Bytes, Kind::String) => true,
        (Kind::Fixed(a), Kind::Fixed(b)) => a.size == b.size && a.name.short() == b.name.short(),
        _ => std::mem::discriminant(from) == std::mem::discriminant(to) && !matches!(from, Kind::Fixed(_)),
    }
}
