//! Why one schema cannot be read as another: Avro's kinds of incompatibility, each at the path of its field.

use super::{
    arena::Kind,
    matching::{FieldRule, Matching, Pair, PairId, Rule, Shown},
};
use std::{collections::HashSet, fmt};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IncompatibilityKind {
    ReaderFieldMissingDefaultValue,
    TypeMismatch,
    NameMismatch,
    MissingEnumSymbols,
    MissingUnionBranch,
    FixedSizeMismatch,
}

impl IncompatibilityKind {
    /// Confluent's name, which is Java Avro's.
    pub const fn name(self) -> &'static str {
        match self {
            IncompatibilityKind::ReaderFieldMissingDefaultValue => "READER_FIELD_MISSING_DEFAULT_VALUE",
            IncompatibilityKind::TypeMismatch => "TYPE_MISMATCH",
            IncompatibilityKind::NameMismatch => "NAME_MISMATCH",
            IncompatibilityKind::MissingEnumSymbols => "MISSING_ENUM_SYMBOLS",
            IncompatibilityKind::MissingUnionBranch => "MISSING_UNION_BRANCH",
            IncompatibilityKind::FixedSizeMismatch => "FIXED_SIZE_MISMATCH",
        }
    }
}

/// One reason why values of one schema cannot be read as another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incompatibility {
    /// Dotted path of the reader's field (`items[].sku`); empty for the whole.
    pub path: String,
    pub kind: IncompatibilityKind,
    pub message: String,
}

impl fmt::Display for Incompatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// The reasons at and below a pair for which `holds` is false, in the order of the reader's fields.
pub(super) fn explain(matching: &Matching<'_>, holds: &[bool], from: PairId) -> Vec<Incompatibility> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut open = vec![(Open::Pair(from), String::new())];
    while let Some((next, path)) = open.pop() {
        match next {
            Open::Pair(id) if !holds[id] && seen.insert(id) => {
                // Taken from the back, so that fields come in their order.
                let mut inner = reasons(matching, &matching.pairs()[id], path);
                open.extend(inner.drain(..).rev());
            }
            Open::Pair(_) => {}
            Open::Reason(kind, message) => found.push(Incompatibility { path, kind, message }),
        }
    }
    found
}

enum Open {
    Pair(PairId),
    Reason(IncompatibilityKind, String),
}

/// What is wrong with a pair, and which pairs inside it may be at fault, each with its path.
fn reasons(matching: &Matching<'_>, pair: &Pair, path: String) -> Vec<(Open, String)> {
    let (writer, reader) = (matching.writer.node(pair.writer), matching.reader.node(pair.reader));
    let mismatch = |message| Open::Reason(IncompatibilityKind::TypeMismatch, message);
    match &pair.rule {
        Rule::Mismatch(kind, message) => vec![(Open::Reason(*kind, message.clone()), path)],
        Rule::Unit { .. } | Rule::Decimal => {
            vec![(mismatch(format!("{} would be taken for {}", Shown(writer), Shown(reader))), path)]
        }
        Rule::Enum(symbols) => {
            let written = if let Kind::Enum(e) = &writer.kind { e.symbols.as_slice() } else { &[] };
            let missing = written.iter().zip(symbols).filter(|(_, to)| to.is_none()).map(|(s, _)| s.as_str());
            let missing = missing.collect::<Vec<_>>().join(", ");
            let message = format!("`{}` lacks {missing} and has no default", reader.kind.branch_name());
            vec![(Open::Reason(IncompatibilityKind::MissingEnumSymbols, message), path)]
        }
        Rule::Array(inner) | Rule::Map(inner) => vec![(Open::Pair(*inner), format!("{path}[]"))],
        Rule::Record(rules) => {
            let fields = if let Kind::Record(r) = &reader.kind { r.fields.as_slice() } else { &[] };
            let dot = if path.is_empty() { "" } else { "." };
            let inner = fields.iter().zip(rules).filter_map(|(field, rule)| {
                let path = format!("{path}{dot}{}", field.name);
                match rule {
                    FieldRule::From { pair, .. } => Some((Open::Pair(*pair), path)),
                    FieldRule::Default(_) => None,
                    FieldRule::Missing => {
                        let message = "the writer lacks this field, and it has no default".to_owned();
                        Some((Open::Reason(IncompatibilityKind::ReaderFieldMissingDefaultValue, message), path))
                    }
                }
            });
            inner.collect()
        }
        Rule::FromUnion(branches) => branches.iter().map(|b| (Open::Pair(*b), path.clone())).collect(),
        // The best candidate is what was meant; what is wrong inside it helps more than that no branch fits.
        Rule::IntoUnion(candidates) => candidates.first().map(|(_, p)| (Open::Pair(*p), path)).into_iter().collect(),
        Rule::Same | Rule::Widen | Rule::BytesToString | Rule::ToFloating => Vec::new(),
    }
}
