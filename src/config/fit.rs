//! Whether every value of one type can be written as another: what Avro's resolution allows, and exact decimals.

use super::paths::{present, type_name};
use crate::schema::{Kind, Logical, NodeId, Schema, matching::same_name};
use std::collections::HashSet;

/// In words why a value of `from` cannot always become one of `to`; the path leads to the types at fault.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Dotted, from the value down; empty for the value itself.
    pub path: String,
    pub found: String,
    pub wanted: String,
    /// The names of the two types, where all else about them fits.
    pub named: Option<(String, String)>,
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
                each.map_err(
                    |m| if m.path == path { Misfit { named: m.named, ..self.misfit(from, to, path) } } else { m },
                )
            }
            // Beside null there is one choice, and what is wrong with it is what is to be told.
            (kind, Kind::Union(_)) if *kind != Kind::Null && target.nullable(to).is_some() => {
                let each = self.fits(from, present(target, to), path);
                each.map_err(
                    |m| if m.path == path { Misfit { named: m.named, ..self.misfit(from, to, path) } } else { m },
                )
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
            (Kind::Record(_), Kind::Record(_)) => {
                self.records(from, to, path)?;
                self.names(from, to, path)
            }
            (Kind::Enum(a), Kind::Enum(b)) => {
                let known = b.default.is_some() || a.symbols.iter().all(|s| b.symbols.contains(s));
                if known { self.names(from, to, path) } else { Err(self.misfit(from, to, path)) }
            }
            _ if self.plain(from, to) => self.names(from, to, path),
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
                    let wanted = type_name(target, field.node);
                    return Err(Misfit { path: inner, found: "nothing".into(), wanted, named: None });
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
            (Some(x), None) => x == Logical::Uuid && promotes(&a.kind, &b.kind),
            (None, Some(_)) => false,
            (None, None) => promotes(&a.kind, &b.kind),
        }
    }

    /// Whether two types that are alike go by the same name, where they have one. A decimal is its number.
    fn names(&self, from: NodeId, to: NodeId, path: &str) -> Result<(), Misfit> {
        let (a, b) = (self.from.node(from), self.to.node(to));
        let same = match (&a.kind, &b.kind) {
            (Kind::Record(a), Kind::Record(b)) => same_name(&a.name, &b.name, &b.aliases).is_some(),
            (Kind::Enum(a), Kind::Enum(b)) => same_name(&a.name, &b.name, &b.aliases).is_some(),
            (Kind::Fixed(x), Kind::Fixed(y)) => {
                matches!(a.logical, Some(Logical::Decimal { .. })) || same_name(&x.name, &y.name, &y.aliases).is_some()
            }
            _ => true,
        };
        if same {
            return Ok(());
        }
        let named = Some((a.kind.branch_name().to_owned(), b.kind.branch_name().to_owned()));
        Err(Misfit { named, ..self.misfit(from, to, path) })
    }

    fn misfit(&self, from: NodeId, to: NodeId, path: &str) -> Misfit {
        let (found, wanted) = (type_name(self.from, from), type_name(self.to, to));
        Misfit { path: path.to_owned(), found, wanted, named: None }
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
        (Kind::Fixed(a), Kind::Fixed(b)) => a.size == b.size,
        _ => std::mem::discriminant(from) == std::mem::discriminant(to) && !matches!(from, Kind::Fixed(_)),
    }
}
