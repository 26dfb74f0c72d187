//! Whether a new schema may follow older ones: Confluent's levels and kinds, judged over the pairs of [`Matching`].

use super::{
    arena::{Kind, Logical, Schema},
    explain::explain,
    matching::{FieldRule, Matching, Pair, PairId, Rule},
};
use std::{fmt, str::FromStr};

pub use super::explain::{Incompatibility, IncompatibilityKind};

/// What a new schema owes to the older ones of its subject. The transitive levels judge it against all of them, the
/// others against the latest alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Level {
    None,
    /// Readers of the new schema can read what was written with the old one.
    #[default]
    Backward,
    BackwardTransitive,
    /// Readers of the old schema can read what is written with the new one.
    Forward,
    ForwardTransitive,
    Full,
    FullTransitive,
}

/// Level and name, as Confluent's API has them.
const LEVELS: [(Level, &str); 7] = [
    (Level::None, "NONE"),
    (Level::Backward, "BACKWARD"),
    (Level::BackwardTransitive, "BACKWARD_TRANSITIVE"),
    (Level::Forward, "FORWARD"),
    (Level::ForwardTransitive, "FORWARD_TRANSITIVE"),
    (Level::Full, "FULL"),
    (Level::FullTransitive, "FULL_TRANSITIVE"),
];

impl Level {
    pub fn name(self) -> &'static str {
        LEVELS.iter().find(|(level, _)| *level == self).map_or("", |(_, name)| name)
    }

    /// Whether all older schemas count, not the latest alone.
    pub const fn is_transitive(self) -> bool {
        matches!(self, Level::BackwardTransitive | Level::ForwardTransitive | Level::FullTransitive)
    }

    const fn backward(self) -> bool {
        matches!(self, Level::Backward | Level::BackwardTransitive | Level::Full | Level::FullTransitive)
    }

    const fn forward(self) -> bool {
        matches!(self, Level::Forward | Level::ForwardTransitive | Level::Full | Level::FullTransitive)
    }
}

impl FromStr for Level {
    type Err = ();

    fn from_str(name: &str) -> Result<Level, ()> {
        LEVELS.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(level, _)| *level).ok_or(())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Judges a new schema against one older one. Nothing in the answer means that the level holds.
pub fn check(new: &Schema, old: &Schema, level: Level) -> Vec<Incompatibility> {
    let mut found = Vec::new();
    if level.backward() {
        found.extend(read_all(old, new));
    }
    if level.forward() {
        found.extend(read_all(new, old).into_iter().filter(|i| !found.contains(i)).collect::<Vec<_>>());
    }
    found
}

/// Judges a new schema against the older ones of its subject, the latest last, as the level asks.
/// Each answer comes with the index of the older schema.
pub fn check_against(new: &Schema, older: &[&Schema], level: Level) -> Vec<(usize, Incompatibility)> {
    let first = if level.is_transitive() { 0 } else { older.len().saturating_sub(1) };
    let judged = older.iter().enumerate().skip(first);
    judged.flat_map(|(i, old)| check(new, old, level).into_iter().map(move |found| (i, found))).collect()
}

/// Why not every value of the writer's can be read as the reader's, by any implementation of Avro.
fn read_all(writer: &Schema, reader: &Schema) -> Vec<Incompatibility> {
    let matching = Matching::new(writer, reader);
    let holds = matching.holds(|pair, holds| compatible(&matching, pair, holds));
    explain(&matching, &holds, 0)
}

/// Stricter than readable: every branch and every symbol counts, and what only Pointsman converts does not.
fn compatible(matching: &Matching<'_>, pair: &Pair, holds: &dyn Fn(PairId) -> bool) -> bool {
    match &pair.rule {
        Rule::Mismatch(..) | Rule::Unit { .. } => false,
        Rule::Decimal => !scale_changes(matching, pair),
        Rule::Enum(symbols) => symbols.iter().all(Option::is_some),
        Rule::Array(inner) | Rule::Map(inner) => holds(*inner),
        Rule::Record(fields) => fields.iter().all(|f| match f {
            FieldRule::From { pair, .. } => holds(*pair),
            FieldRule::Default(_) => true,
            FieldRule::Missing => false,
        }),
        Rule::FromUnion(branches) => branches.iter().all(|b| holds(*b)),
        Rule::IntoUnion(candidates) => candidates.iter().any(|(_, pair)| holds(*pair)),
        Rule::Same | Rule::Widen | Rule::BytesToString | Rule::ToFloating => true,
    }
}

/// Whether another implementation, which takes a decimal's bytes as they stand, would read another number or none.
fn scale_changes(matching: &Matching<'_>, pair: &Pair) -> bool {
    let (writer, reader) = (matching.writer.node(pair.writer), matching.reader.node(pair.reader));
    let scale = |logical| match logical {
        Some(Logical::Decimal { scale, .. }) => Some(scale),
        _ => None,
    };
    let alike = match (&writer.kind, &reader.kind) {
        (Kind::Fixed(w), Kind::Fixed(r)) => w.size == r.size && w.name.short() == r.name.short(),
        (w, r) => w == r,
    };
    !alike || scale(writer.logical) != scale(reader.logical)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> Schema {
        Schema::parse(text).unwrap_or_else(|p| panic!("{text}: {p:?}"))
    }

    fn record(fields: &str) -> Schema {
        schema(&format!(r#"{{"type":"record","name":"shop.R","fields":[{fields}]}}"#))
    }

    fn shown(found: &[Incompatibility]) -> Vec<String> {
        found.iter().map(|i| format!("{} {i}", i.kind.name())).collect()
    }

    #[test]
    fn each_kind_of_incompatibility_is_told_with_its_path() {
        let int = r#"{"name":"a","type":"int"}"#;
        let decimal = |scale| {
            format!(r#"{{"name":"a","type":{{"type":"bytes","logicalType":"decimal","precision":9,"scale":{scale}}}}}"#)
        };
        let unit = |unit| format!(r#"{{"name":"a","type":{{"type":"long","logicalType":"timestamp-{unit}"}}}}"#);
        let e = |symbols: &str| {
            format!(
                r#"{{"name":"a","type":{{"type":"array","items":{{"type":"enum","name":"E","symbols":[{symbols}]}}}}}}"#
            )
        };
        let fixed =
            |name: &str, size| format!(r#"{{"name":"a","type":{{"type":"fixed","name":"{name}","size":{size}}}}}"#);
        for (old, new, expected) in [
            (
                int.to_owned(),
                format!(r#"{int},{{"name":"b","type":"int"}}"#),
                "READER_FIELD_MISSING_DEFAULT_VALUE b: the writer lacks this field, and it has no default",
            ),
            (
                int.to_owned(),
                r#"{"name":"a","type":"string"}"#.to_owned(),
                "TYPE_MISMATCH a: expected string, the writer has int",
            ),
            (
                int.to_owned(),
                r#"{"name":"a","type":["null","string"]}"#.to_owned(),
                "MISSING_UNION_BRANCH a: no branch of the union [null, string] takes int",
            ),
            (
                r#"{"name":"a","type":["null","int"]}"#.to_owned(),
                int.to_owned(),
                "TYPE_MISMATCH a: expected int, the writer has null",
            ),
            (e(r#""A","B""#), e(r#""A""#), "MISSING_ENUM_SYMBOLS a[]: `shop.E` lacks B and has no default"),
            (fixed("F", 2), fixed("F", 3), "FIXED_SIZE_MISMATCH a: `shop.F` has 2 bytes, expected 3"),
            (
                fixed("F", 2),
                fixed("G", 2),
                r#"NAME_MISMATCH a: the fixed `shop.F` is not `shop.G`: if it is meant to be, give `shop.G` the "aliases": ["shop.F"]"#,
            ),
            (decimal(2), decimal(4), "TYPE_MISMATCH a: decimal(9, 2) would be taken for decimal(9, 4)"),
            (
                r#"{"name":"a","type":"string"}"#.to_owned(),
                decimal(3),
                "TYPE_MISMATCH a: expected decimal(9, 3), the writer has string",
            ),
            (
                decimal(3),
                r#"{"name":"a","type":"string"}"#.to_owned(),
                "TYPE_MISMATCH a: expected string, the writer has decimal(9, 3)",
            ),
            (
                r#"{"name":"a","type":"string"}"#.to_owned(),
                decimal(3).replace(r#""type":{"#, r#""type":["null",{"#).replace("}}", "}]}"),
                "MISSING_UNION_BRANCH a: no branch of the union [null, bytes] takes string",
            ),
            (unit("millis"), unit("micros"), "TYPE_MISMATCH a: timestamp-millis would be taken for timestamp-micros"),
        ] {
            let (old, new) = (record(&old), record(&new));
            assert_eq!(shown(&check(&new, &old, Level::Backward)), [expected]);
            assert_eq!(
                shown(&check(&old, &new, Level::Forward)),
                [expected],
                "forward is backward the other way round"
            );
            assert!(check(&new, &old, Level::None).is_empty());
            assert!(!check(&new, &old, Level::Full).is_empty());
        }
    }

    #[test]
    fn what_avro_allows_is_compatible() {
        for (old, new) in [
            (r#"{"name":"a","type":"int"}"#, r#"{"name":"a","type":"double"},{"name":"b","type":"int","default":1}"#),
            (r#"{"name":"a","type":"int"}"#, r#"{"name":"b","type":["null","long"],"aliases":["a"]}"#),
            (r#"{"name":"a","type":"bytes"},{"name":"b","type":"int"}"#, r#"{"name":"a","type":"string"}"#),
            (
                r#"{"name":"a","type":["null","R"]}"#,
                r#"{"name":"a","type":["int","R","null"]},{"name":"b","type":"int","default":0}"#,
            ),
            (
                r#"{"name":"a","type":{"type":"enum","name":"E","symbols":["A","B"]}}"#,
                r#"{"name":"a","type":{"type":"enum","name":"E","symbols":["C","A"],"default":"C"}}"#,
            ),
        ] {
            assert_eq!(shown(&check(&record(new), &record(old), Level::Backward)), [""; 0], "{old} as {new}");
        }
        assert_eq!(shown(&check(&schema(r#"["null","int"]"#), &schema(r#""int""#), Level::Backward)), [""; 0]);
    }

    #[test]
    fn transitive_levels_judge_all_older_schemas_and_the_others_the_latest() {
        let a = record(r#"{"name":"a","type":"int"}"#);
        let b = record(r#"{"name":"a","type":"int"},{"name":"b","type":"int","default":0}"#);
        let c = record(r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#);
        assert!(check_against(&c, &[&a, &b], Level::Backward).is_empty());
        let found = check_against(&c, &[&a, &b], Level::BackwardTransitive);
        assert_eq!(found.iter().map(|(i, f)| (*i, &*f.path)).collect::<Vec<_>>(), [(0, "b")]);
        assert!(check_against(&c, &[], Level::FullTransitive).is_empty());
    }

    #[test]
    fn levels_read_from_their_names() {
        for (level, name) in LEVELS {
            assert_eq!(name.parse(), Ok(level));
            assert_eq!(level.to_string(), name);
        }
        assert!("SIDEWARD".parse::<Level>().is_err());
    }
}
