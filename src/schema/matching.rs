//! Which writer's type meets which reader's, and what is to be done with each such pair.
//!
//! The rules are those of the Avro specification 1.12, "Schema Resolution" and "Aliases", and the conversions that only
//! Pointsman makes: decimals of another scale, times of another unit. Resolution compiles the pairs, compatibility judges
//! them: neither has rules of its own.

use super::{
    arena::{Field, Kind, Logical, Name, Node, NodeId, RecordType, Schema, Unit},
    explain::{Incompatibility, IncompatibilityKind, explain},
};
use std::{collections::HashMap, fmt};

/// Index of a pair in its [`Matching`]; the roots are pair 0.
pub type PairId = usize;

/// Every pair of types that can meet when values of one schema are read as another's.
#[derive(Debug)]
pub struct Matching<'s> {
    pub writer: &'s Schema,
    pub reader: &'s Schema,
    pairs: Vec<Pair>,
    readable: Vec<bool>,
}

#[derive(Debug)]
pub struct Pair {
    pub writer: NodeId,
    pub reader: NodeId,
    pub rule: Rule,
}

/// How a value of the pair's writer becomes one of its reader.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// The bytes mean the same.
    Same,
    /// The reader's kind is wider, and the bytes are the same: int to long, string to bytes.
    Widen,
    /// Bytes that have to be UTF-8.
    BytesToString,
    /// An int, long or float as a float or double.
    ToFloating,
    /// Beyond Avro: the same moment or time of day in another unit.
    Unit {
        from: Unit,
        to: Unit,
    },
    /// Beyond Avro: the same number with another scale, precision or in another type.
    Decimal,
    /// For each symbol of the writer the reader's index, its default's where it has none of that name.
    Enum(Vec<Option<usize>>),
    Array(PairId),
    Map(PairId),
    /// For each field of the reader.
    Record(Vec<FieldRule>),
    /// For each branch of the writer's union: that branch against the whole reader.
    FromUnion(Vec<PairId>),
    /// The reader's branches that may take the value, the best first: the first readable one does.
    IntoUnion(Vec<(usize, PairId)>),
    Mismatch(IncompatibilityKind, String),
}

#[derive(Clone, Debug, PartialEq)]
pub enum FieldRule {
    /// Field `field` of the writer.
    From { field: usize, pair: PairId },
    /// The default's Avro bytes.
    Default(Vec<u8>),
    /// The writer lacks it, and it has no default.
    Missing,
}

impl<'s> Matching<'s> {
    pub fn new(writer: &'s Schema, reader: &'s Schema) -> Matching<'s> {
        let mut builder = Builder { writer, reader, open: Vec::new(), known: HashMap::new() };
        builder.pair(writer.root(), reader.root());
        let mut pairs = Vec::new();
        while let Some(&(w, r)) = builder.open.get(pairs.len()) {
            pairs.push(Pair { writer: w, reader: r, rule: builder.rule(w, r) });
        }
        let mut matching = Matching { writer, reader, pairs, readable: Vec::new() };
        matching.readable = matching.holds(readable);
        matching
    }

    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Whether some value of the pair's writer can be read. A branch of a union or a symbol that cannot is the concern of
    /// the values that have it.
    pub fn readable(&self, pair: PairId) -> bool {
        self.readable[pair]
    }

    /// The branch of a reader's union that takes the values of a writer's type: its number, and the pair.
    pub fn branch(&self, candidates: &[(usize, PairId)]) -> Option<(usize, PairId)> {
        candidates.iter().copied().find(|(_, pair)| self.readable[*pair])
    }

    /// For each pair whether a property holds that depends on the pairs inside it: the greatest solution, so that a
    /// recursive type does not stand in its own way.
    pub fn holds(&self, property: impl Fn(&Pair, &dyn Fn(PairId) -> bool) -> bool) -> Vec<bool> {
        let mut holds = vec![true; self.pairs.len()];
        loop {
            let mut changed = false;
            // Inner pairs have higher numbers, mostly: from the back, one round is nearly always enough.
            for i in (0..self.pairs.len()).rev() {
                if holds[i] && !property(&self.pairs[i], &|pair| holds[pair]) {
                    holds[i] = false;
                    changed = true;
                }
            }
            if !changed {
                return holds;
            }
        }
    }

    /// Why a pair is not readable, each reason with the path of its field from there.
    pub fn mismatches(&self, pair: PairId) -> Vec<Incompatibility> {
        explain(self, &self.readable, pair)
    }
}

fn readable(pair: &Pair, holds: &dyn Fn(PairId) -> bool) -> bool {
    match &pair.rule {
        Rule::Mismatch(..) => false,
        Rule::Enum(symbols) => symbols.is_empty() || symbols.iter().any(Option::is_some),
        Rule::Array(inner) | Rule::Map(inner) => holds(*inner),
        Rule::Record(fields) => fields.iter().all(|f| match f {
            FieldRule::From { pair, .. } => holds(*pair),
            FieldRule::Default(_) => true,
            FieldRule::Missing => false,
        }),
        Rule::FromUnion(branches) => branches.iter().any(|b| holds(*b)),
        Rule::IntoUnion(candidates) => candidates.iter().any(|(_, pair)| holds(*pair)),
        _ => true,
    }
}

struct Builder<'s> {
    writer: &'s Schema,
    reader: &'s Schema,
    /// The pairs met so far, by number.
    open: Vec<(NodeId, NodeId)>,
    known: HashMap<(NodeId, NodeId), PairId>,
}

impl Builder<'_> {
    fn pair(&mut self, writer: NodeId, reader: NodeId) -> PairId {
        *self.known.entry((writer, reader)).or_insert_with(|| {
            self.open.push((writer, reader));
            self.open.len() - 1
        })
    }

    fn rule(&mut self, w: NodeId, r: NodeId) -> Rule {
        let (writer, reader) = (self.writer.node(w), self.reader.node(r));
        match (&writer.kind, &reader.kind) {
            (Kind::Union(branches), _) => Rule::FromUnion(branches.iter().map(|b| self.pair(*b, r)).collect()),
            (_, Kind::Union(branches)) => self.union(w, branches),
            (Kind::Array(w), Kind::Array(r)) => Rule::Array(self.pair(*w, *r)),
            (Kind::Map(w), Kind::Map(r)) => Rule::Map(self.pair(*w, *r)),
            (Kind::Record(w), Kind::Record(r)) => match same_name(&w.name, &r.name, &r.aliases) {
                Some(_) => self.record(w, r),
                None => other_name("record", &w.name, &r.name),
            },
            (Kind::Enum(w), Kind::Enum(r)) => match same_name(&w.name, &r.name, &r.aliases) {
                Some(_) => {
                    let index = |symbol: &String| r.symbols.iter().position(|s| s == symbol);
                    let default = r.default.as_ref().and_then(index);
                    Rule::Enum(w.symbols.iter().map(|s| index(s).or(default)).collect())
                }
                None => other_name("enum", &w.name, &r.name),
            },
            _ => leaf(writer, reader),
        }
    }

    fn union(&mut self, w: NodeId, branches: &[NodeId]) -> Rule {
        let (writer, reader) = (self.writer, self.reader);
        let ranked = branches.iter().enumerate();
        let ranked = ranked.filter_map(|(i, b)| Some((affinity(writer.node(w), reader.node(*b))?, i, *b)));
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_by_key(|(rank, i, _)| (*rank, *i));
        if ranked.is_empty() {
            let names: Vec<&str> = branches.iter().map(|b| reader.kind(*b).branch_name()).collect();
            let message = format!("no branch of the union [{}] takes {}", names.join(", "), Shown(writer.node(w)));
            return Rule::Mismatch(IncompatibilityKind::MissingUnionBranch, message);
        }
        Rule::IntoUnion(ranked.into_iter().map(|(_, i, b)| (i, self.pair(w, b))).collect())
    }

    fn record(&mut self, w: &RecordType, r: &RecordType) -> Rule {
        let reader = self.reader;
        let rules = r.fields.iter().map(|field| match written(w, r, field) {
            Some(index) => FieldRule::From { field: index, pair: self.pair(w.fields[index].node, field.node) },
            None => {
                let default = field.default.as_ref().and_then(|d| reader.default_bytes(field.node, d).ok());
                default.map_or(FieldRule::Missing, FieldRule::Default)
            }
        });
        Rule::Record(rules.collect())
    }
}

/// The writer's field that a reader's field reads: the one of its name, else of one of its aliases, unless that name is
/// another field's own.
fn written(w: &RecordType, r: &RecordType, field: &Field) -> Option<usize> {
    let aliases = field.aliases.iter().filter(|a| r.position(a).is_none());
    w.position(&field.name).or_else(|| aliases.filter_map(|a| w.position(a)).next())
}

/// How well two named types match: 0 by full name or alias, 1 by the part after the last dot alone.
pub fn same_name(writer: &Name, reader: &Name, aliases: &[Name]) -> Option<u8> {
    let names = || std::iter::once(reader).chain(aliases);
    if names().any(|n| n == writer) {
        return Some(0);
    }
    names().any(|n| n.short() == writer.short()).then_some(1)
}

fn other_name(what: &str, writer: &Name, reader: &Name) -> Rule {
    let message = format!(
        "the {what} `{writer}` is not `{reader}`: if it is meant to be, give `{reader}` the \"aliases\": [\"{writer}\"]"
    );
    Rule::Mismatch(IncompatibilityKind::NameMismatch, message)
}

/// How well a branch of a reader's union suits a writer's type, the lower the better; `None` where it never does.
fn affinity(writer: &Node, reader: &Node) -> Option<u8> {
    match (&writer.kind, &reader.kind) {
        (Kind::Record(w), Kind::Record(r)) => same_name(&w.name, &r.name, &r.aliases),
        (Kind::Enum(w), Kind::Enum(r)) => same_name(&w.name, &r.name, &r.aliases),
        (Kind::Fixed(w), Kind::Fixed(r)) => {
            let decimals = matches!(leaf(writer, reader), Rule::Decimal).then_some(2);
            same_name(&w.name, &r.name, &r.aliases).or(decimals)
        }
        (Kind::Array(_), Kind::Array(_)) | (Kind::Map(_), Kind::Map(_)) => Some(0),
        (w, r) if w == r => Some(0),
        _ => (!matches!(leaf(writer, reader), Rule::Mismatch(..))).then_some(2),
    }
}

/// The rule for two types without types inside.
fn leaf(writer: &Node, reader: &Node) -> Rule {
    use Logical::Decimal;
    match (writer.logical, reader.logical) {
        (Some(Decimal { precision: p, scale: s }), Some(Decimal { precision: q, scale: t })) => {
            let alike = p <= q && s == t && structural(writer, reader) == Rule::Same;
            return if alike { Rule::Same } else { Rule::Decimal };
        }
        (Some(w), Some(r)) if w == r => {}
        (Some(w), Some(r)) => {
            return match (w.clock(), r.clock()) {
                (Some((clock, from)), Some((same, to))) if clock == same => Rule::Unit { from, to },
                _ => differ(writer, reader),
            };
        }
        // Avro would take the letters for a number's bytes.
        (None, Some(Decimal { .. })) if writer.kind == Kind::String => return differ(writer, reader),
        (Some(Decimal { .. }), None) if reader.kind == Kind::String => return differ(writer, reader),
        _ => {}
    }
    structural(writer, reader)
}

fn structural(writer: &Node, reader: &Node) -> Rule {
    match (&writer.kind, &reader.kind) {
        (Kind::Fixed(w), Kind::Fixed(r)) => {
            if same_name(&w.name, &r.name, &r.aliases).is_none() {
                other_name("fixed", &w.name, &r.name)
            } else if w.size != r.size {
                let message = format!("`{}` has {} bytes, expected {}", w.name, w.size, r.size);
                Rule::Mismatch(IncompatibilityKind::FixedSizeMismatch, message)
            } else {
                Rule::Same
            }
        }
        (Kind::Int, Kind::Long) | (Kind::String, Kind::Bytes) => Rule::Widen,
        (Kind::Bytes, Kind::String) => Rule::BytesToString,
        (Kind::Int | Kind::Long, Kind::Float | Kind::Double) | (Kind::Float, Kind::Double) => Rule::ToFloating,
        (w, r) if w == r => Rule::Same,
        _ => differ(writer, reader),
    }
}

fn differ(writer: &Node, reader: &Node) -> Rule {
    let message = format!("expected {}, the writer has {}", Shown(reader), Shown(writer));
    Rule::Mismatch(IncompatibilityKind::TypeMismatch, message)
}

/// A type in a message: `decimal(10, 2)`, `date`, `shop.Order`, `array`.
pub(super) struct Shown<'n>(pub &'n Node);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.logical {
            Some(Logical::Decimal { precision, scale }) => write!(f, "decimal({precision}, {scale})"),
            Some(logical) => f.write_str(logical.name()),
            None => f.write_str(self.0.kind.branch_name()),
        }
    }
}
