//! From the pairs of a matching to the steps of a resolution.

use super::{
    Resolution, Resolver,
    step::{DecimalType, Number, Part, Step, StepId},
};
use crate::{
    codec::{Layout, Scanner},
    schema::{
        Kind, Logical, Node, NodeId, Schema,
        compatibility::{Incompatibility, IncompatibilityKind},
        matching::{FieldRule, Matching, Pair, PairId, Rule},
    },
};
use std::{collections::HashMap, sync::Arc};

pub(super) fn compile(writer: &Arc<Schema>, reader: &Arc<Schema>) -> Result<Resolution, Vec<Incompatibility>> {
    let matching = Matching::new(writer, reader);
    if !matching.readable(0) {
        return Err(matching.mismatches(0));
    }
    if matching.holds(|pair, holds| alike(&matching, pair, holds, true))[0] {
        return Ok(Resolution::Same);
    }
    let copies = matching.holds(|pair, holds| alike(&matching, pair, holds, false));
    let mut compiler =
        Compiler { writer, matching: &matching, copies: &copies, open: vec![0], ids: HashMap::from([(0, 0)]) };
    let mut steps = Vec::new();
    while let Some(&pair) = compiler.open.get(steps.len()) {
        steps.push(compiler.step(pair)?);
    }
    Ok(Resolution::Rewrite(Resolver { steps }))
}

/// Whether both schemas write the values of a pair alike, so that a proven body can be copied. `strictly`: the
/// reader's scan is proof enough, so that the body need not even be copied.
fn alike(matching: &Matching<'_>, pair: &Pair, holds: &dyn Fn(PairId) -> bool, strictly: bool) -> bool {
    let (writer, reader) = (matching.writer.kind(pair.writer), matching.reader.kind(pair.reader));
    match (&pair.rule, writer, reader) {
        (Rule::Same, ..) => true,
        (Rule::Widen, ..) => !strictly,
        (Rule::Enum(symbols), _, Kind::Enum(e)) => {
            symbols.iter().enumerate().all(|(i, to)| *to == Some(i)) && (!strictly || symbols.len() == e.symbols.len())
        }
        (Rule::Array(inner) | Rule::Map(inner), ..) => holds(*inner),
        (Rule::Record(fields), Kind::Record(w), _) => {
            let mut next = 0;
            let in_order = fields.iter().all(|rule| match rule {
                FieldRule::From { field, pair } => {
                    next += 1;
                    *field + 1 == next && holds(*pair)
                }
                FieldRule::Default(bytes) => bytes.is_empty() && !strictly,
                FieldRule::Missing => false,
            });
            in_order && next == w.fields.len()
        }
        (Rule::FromUnion(branches), _, Kind::Union(r)) => {
            let keeps = |(i, pair): (usize, &PairId)| match &matching.pairs()[*pair].rule {
                Rule::IntoUnion(candidates) => {
                    matching.branch(candidates).is_some_and(|(branch, inner)| branch == i && holds(inner))
                }
                _ => false,
            };
            branches.iter().enumerate().all(keeps) && (!strictly || branches.len() == r.len())
        }
        _ => false,
    }
}

struct Compiler<'m> {
    writer: &'m Arc<Schema>,
    matching: &'m Matching<'m>,
    copies: &'m [bool],
    /// The pair of each step, in the order of their numbers.
    open: Vec<PairId>,
    ids: HashMap<PairId, StepId>,
}

impl Compiler<'_> {
    fn id(&mut self, pair: PairId) -> StepId {
        *self.ids.entry(pair).or_insert_with(|| {
            self.open.push(pair);
            self.open.len() as StepId - 1
        })
    }

    fn scanner(&self, node: NodeId) -> Scanner {
        Layout::new(self.writer.clone(), node).build()
    }

    fn step(&mut self, id: PairId) -> Result<Step, Vec<Incompatibility>> {
        let matching = self.matching;
        let pair = &matching.pairs()[id];
        if !matching.readable(id) {
            let reasons: Vec<String> = matching.mismatches(id).iter().map(ToString::to_string).collect();
            return Ok(Step::Refuse(reasons.join("; ").into()));
        }
        if self.copies[id] {
            return Ok(Step::Copy(self.scanner(pair.writer)));
        }
        let (writer, reader) = (matching.writer.node(pair.writer), matching.reader.node(pair.reader));
        Ok(match (&pair.rule, &writer.kind) {
            (Rule::Enum(symbols), Kind::Enum(e)) => {
                let named = e.symbols.iter().zip(symbols);
                Step::Enum(named.map(|(name, to)| (name.as_str().into(), to.map(|i| i as u32))).collect())
            }
            (Rule::Array(inner), Kind::Array(item)) => {
                Step::Array { item: self.id(*inner), least: self.scanner(*item).least }
            }
            (Rule::Map(inner), Kind::Map(value)) => {
                Step::Map { value: self.id(*inner), least: self.scanner(*value).least.saturating_add(1) }
            }
            (Rule::Record(fields), _) => self.record(pair, fields)?,
            (Rule::FromUnion(branches), _) => Step::FromUnion(branches.iter().map(|b| self.id(*b)).collect()),
            (Rule::IntoUnion(candidates), _) => match matching.branch(candidates) {
                Some((branch, inner)) => Step::IntoUnion { branch: branch as u32, inner: self.id(inner) },
                None => Step::Refuse("no branch of the union takes it".into()),
            },
            (rule, _) => leaf(rule, writer, reader),
        })
    }

    fn record(&mut self, pair: &Pair, rules: &[FieldRule]) -> Result<Step, Vec<Incompatibility>> {
        let Kind::Record(record) = self.matching.reader.kind(pair.reader) else {
            return Ok(Step::Refuse("not a record".into()));
        };
        let mut layout = Layout::new(self.writer.clone(), pair.writer);
        let mut parts: Vec<Part> = Vec::new();
        // Fields of the writer that are to be copied as one run: the first, and the one after the last.
        let mut run: Option<(u16, u16)> = None;
        let flush = |run: &mut Option<(u16, u16)>, layout: &mut Layout, parts: &mut Vec<Part>| {
            let copy = run.take().map(|(from, to)| Part::Copy { from: layout.edge(from), to: layout.edge(to) });
            parts.extend(copy);
        };
        for (field, rule) in record.fields.iter().zip(rules) {
            match rule {
                FieldRule::From { field: index, pair } => {
                    let (Ok(at), Ok(end)) = (u16::try_from(*index), u16::try_from(*index + 1)) else {
                        return Err(too_many_fields(&field.name));
                    };
                    match run {
                        Some((from, to)) if to == at && self.copies[*pair] => run = Some((from, end)),
                        _ => {
                            flush(&mut run, &mut layout, &mut parts);
                            if self.copies[*pair] {
                                run = Some((at, end));
                                continue;
                            }
                            let (at, step) = (layout.edge(at), self.id(*pair));
                            parts.push(Part::Convert { at, step, field: field.name.as_str().into() });
                        }
                    }
                }
                FieldRule::Default(bytes) if bytes.is_empty() => {}
                FieldRule::Default(bytes) => {
                    flush(&mut run, &mut layout, &mut parts);
                    parts.push(Part::Default(bytes.as_slice().into()));
                }
                FieldRule::Missing => return Ok(Step::Refuse(format!("the writer lacks `{}`", field.name).into())),
            }
        }
        flush(&mut run, &mut layout, &mut parts);
        Ok(Step::Record { scanner: layout.build(), parts })
    }
}

fn too_many_fields(name: &str) -> Vec<Incompatibility> {
    let message = format!("a record of more than {} fields", u16::MAX);
    vec![Incompatibility { path: name.to_owned(), kind: IncompatibilityKind::TypeMismatch, message }]
}

fn leaf(rule: &Rule, writer: &Node, reader: &Node) -> Step {
    match rule {
        Rule::BytesToString => Step::BytesToString,
        Rule::ToFloating => {
            let from = match writer.kind {
                Kind::Int => Number::Int,
                Kind::Long => Number::Long,
                _ => Number::Float,
            };
            Step::Floating { from, double: reader.kind == Kind::Double }
        }
        Rule::Unit { from, to } => {
            Step::Unit { from: *from, to: *to, from_int: writer.kind == Kind::Int, to_int: reader.kind == Kind::Int }
        }
        Rule::Decimal => match (decimal(writer), decimal(reader)) {
            (Some(from), Some(to)) => Step::Decimal { from, to },
            _ => Step::Refuse("not a decimal".into()),
        },
        _ => Step::Refuse("the types do not match".into()),
    }
}

fn decimal(node: &Node) -> Option<DecimalType> {
    let Some(Logical::Decimal { precision, scale }) = node.logical else { return None };
    let size = if let Kind::Fixed(f) = &node.kind { Some(f.size) } else { None };
    Some(DecimalType { size, precision, scale })
}
