//! Tables as SQL: what a route's columns would be created as, and the type each Avro type has.

use super::{
    live::Dialect,
    shape::Shape,
    statements::{list, quote, quote_table},
};
use crate::config::{Column, TableDestination};

/// The type of a new column.
pub fn column_type(dialect: Dialect, shape: Shape) -> String {
    let name = match (dialect, shape) {
        (Dialect::Postgres, Shape::Decimal { precision, scale }) => return format!("NUMERIC({precision},{scale})"),
        (Dialect::Postgres, Shape::Bool) => "BOOLEAN",
        (Dialect::Postgres, Shape::Int) => "INTEGER",
        (Dialect::Postgres, Shape::Long) => "BIGINT",
        (Dialect::Postgres, Shape::Float) => "REAL",
        (Dialect::Postgres, Shape::Double) => "DOUBLE PRECISION",
        (Dialect::Postgres, Shape::Bytes) => "BYTEA",
        (Dialect::Postgres, Shape::Date) => "DATE",
        (Dialect::Postgres, Shape::Time { .. }) => "TIME",
        (Dialect::Postgres, Shape::Instant { .. }) => "TIMESTAMPTZ",
        (Dialect::Postgres, Shape::Local { .. }) => "TIMESTAMP",
        (Dialect::Postgres, Shape::Uuid) => "UUID",
        (Dialect::Postgres, Shape::Json) => "JSONB",
        (Dialect::Sqlite, Shape::Bool | Shape::Int | Shape::Long) => "INTEGER",
        (Dialect::Sqlite, Shape::Float | Shape::Double) => "REAL",
        (Dialect::Sqlite, Shape::Bytes) => "BLOB",
        (Dialect::Postgres | Dialect::Sqlite, _) => "TEXT",
    };
    name.to_owned()
}

fn column(dialect: Dialect, destination: &TableDestination, column: &Column) -> String {
    let key = destination.key_columns.contains(&column.name);
    let not_null = key || column.schema.nullable(column.node).is_none();
    let ty = column_type(dialect, Shape::of(&column.schema, column.node));
    format!("{} {ty}{}", quote(&column.name), if not_null { " NOT NULL" } else { "" })
}

/// The table that would take this destination's rows.
pub fn create_table(dialect: Dialect, destination: &TableDestination) -> String {
    let mut lines: Vec<String> = destination.columns.iter().map(|c| column(dialect, destination, c)).collect();
    if !destination.key_columns.is_empty() {
        lines.push(format!("PRIMARY KEY ({})", list(destination.key_columns.iter().map(String::as_str))));
    }
    format!("CREATE TABLE {} (\n    {}\n);", quote_table(&destination.table), lines.join(",\n    "))
}

/// A column that a table lacks. It takes NULL, since the rows that are there have no value for it.
pub fn add_column(dialect: Dialect, destination: &TableDestination, name: &str) -> Option<String> {
    let column = destination.columns.iter().find(|c| c.name == name)?;
    let ty = column_type(dialect, Shape::of(&column.schema, column.node));
    Some(format!("ALTER TABLE {} ADD COLUMN {} {ty};", quote_table(&destination.table), quote(name)))
}

/// The index that an ON CONFLICT clause needs.
pub fn create_unique_index(destination: &TableDestination) -> String {
    format!(
        "CREATE UNIQUE INDEX {} ON {} ({});",
        quote(&format!("{}_key", destination.table.table)),
        quote_table(&destination.table),
        list(destination.key_columns.iter().map(String::as_str))
    )
}
