//! SQL text. Names are always quoted, values never stand in it.

use crate::config::{OnConflict, TableDestination, TableName};

/// A name as an identifier, whatever is in it.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn quote_table(name: &TableName) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{}", quote(schema), quote(&name.table)),
        None => quote(&name.table),
    }
}

pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

/// The columns that rows are written to, in the target's order.
pub(super) fn columns(destination: &TableDestination) -> impl Iterator<Item = &str> {
    destination.columns.iter().map(|c| c.name.as_str())
}

/// What stands before a row's values: `INSERT INTO "t" AS t ("a", "b")`.
pub(super) fn insert_head(destination: &TableDestination) -> String {
    format!("INSERT INTO {} AS t ({})", quote_table(&destination.table), list(columns(destination)))
}

/// What stands behind them: nothing, or the `ON CONFLICT` clause.
pub(super) fn insert_tail(destination: &TableDestination) -> String {
    let keys = &destination.key_columns;
    let clause = match destination.on_conflict {
        _ if keys.is_empty() => return String::new(),
        OnConflict::Reject => return String::new(),
        OnConflict::Ignore => "DO NOTHING".to_owned(),
        OnConflict::Update => {
            let sets: Vec<String> = columns(destination)
                .filter(|c| !keys.iter().any(|k| k == c))
                .map(|c| format!("{0} = excluded.{0}", quote(c)))
                .collect();
            match &destination.newer_by {
                _ if sets.is_empty() => "DO NOTHING".to_owned(),
                None => format!("DO UPDATE SET {}", sets.join(", ")),
                Some(newer) => format!(
                    "DO UPDATE SET {} WHERE {}",
                    sets.join(", "),
                    newer_than(newer, &format!("excluded.{}", quote(newer)))
                ),
            }
        }
    };
    format!(" ON CONFLICT ({}) {clause}", list(keys.iter().map(String::as_str)))
}

/// The condition under which a value is newer than the row `t`'s: a row without a version gives way to any.
pub(super) fn newer_than(newer: &str, value: &str) -> String {
    let stands = format!("t.{}", quote(newer));
    format!("({stands} IS NULL OR {value} > {stands})")
}

/// Index of a column in the target.
pub(super) fn position(destination: &TableDestination, name: &str) -> Option<usize> {
    destination.columns.iter().position(|c| c.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_can_be_an_identifier() {
        assert_eq!(quote("Order \"x\""), "\"Order \"\"x\"\"\"");
        let name = TableName { schema: Some("my schema".into()), table: "a.b".into() };
        assert_eq!(quote_table(&name), "\"my schema\".\"a.b\"");
    }
}
