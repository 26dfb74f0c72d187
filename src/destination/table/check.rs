//! Start-up: a route's columns against the tables as they stand. What cannot work is refused before the first record,
//! with the SQL that would make it work.

use super::{
    ddl::{add_column, column_type, create_table, create_unique_index},
    live::{Affinity, Dialect, LiveColumn, LiveTable, PgType, Stored},
    shape::Shape,
    statements::{insert_tail, quote, quote_table},
};
use crate::{
    config::{Database, OnConflict, OnTombstone, TableDestination, TableName},
    failure::{Cause, Setback},
};

/// Whether the table takes the destination's rows.
///
/// # Errors
/// A setback that stands: what is missing, and the SQL that makes it.
pub(super) fn check(
    dialect: Dialect,
    database: &Database,
    destination: &TableDestination,
    live: Option<&LiveTable>,
) -> Result<(), Setback> {
    let table = &destination.table;
    let Some(live) = live else {
        let message = format!("table `{table}` does not exist in {}", place(database));
        return Err(stand(database, message, &create_table(dialect, destination)));
    };
    for column in &destination.columns {
        let Some(found) = live.columns.iter().find(|c| dialect.same(&c.name, &column.name)) else {
            let message = format!("table `{table}` in {} has no column `{}`", place(database), column.name);
            return Err(stand(database, message, &add_column(dialect, destination, &column.name).unwrap_or_default()));
        };
        let shape = Shape::of(&column.schema, column.node);
        if let Err(why) = fits(shape, found) {
            let message = format!(
                "column `{}` of table `{table}` in {} is {}: {why}",
                column.name,
                place(database),
                described(found)
            );
            return Err(stand(database, message, &alter(dialect, destination, &column.name, shape)));
        }
    }
    filled(dialect, database, destination, live)?;
    served(database, destination, live)?;
    key_index(dialect, database, destination, live)
}

/// A column that nothing fills and that takes no NULL: it would refuse every row.
pub(super) fn unfilled(live: &LiveTable, written: impl Fn(&str) -> bool) -> Option<&str> {
    let lacking = live.columns.iter().find(|c| c.not_null && !c.has_default && !c.generated && !written(&c.name));
    lacking.map(|c| &*c.name)
}

fn filled(
    dialect: Dialect,
    database: &Database,
    destination: &TableDestination,
    live: &LiveTable,
) -> Result<(), Setback> {
    let written = |name: &str| destination.columns.iter().any(|c| dialect.same(&c.name, name));
    let Some(name) = unfilled(live, written) else { return Ok(()) };
    let table = &destination.table;
    let message = format!(
        "column `{name}` of table `{table}` in {} is NOT NULL without a default, and the route does not fill it",
        place(database)
    );
    let help = format!("add `{name}` to the destination's `columns`, or give the column a default");
    Err(Setback::stand(Cause::Database, message, help))
}

/// Whether the user has the rights that the statements of a destination need.
fn served(database: &Database, destination: &TableDestination, live: &LiveTable) -> Result<(), Setback> {
    let tail = insert_tail(destination);
    let deletes = destination.on_tombstone == OnTombstone::Delete;
    let needs = [
        ("SELECT", !tail.is_empty() || deletes),
        ("INSERT", true),
        ("UPDATE", tail.contains("DO UPDATE")),
        ("DELETE", deletes),
    ];
    let needs: Vec<&str> = needs.iter().filter(|(_, needed)| *needed).map(|(right, _)| *right).collect();
    permitted(&place(database), &destination.table, live, &needs)
}

/// Whether the user has these rights in a table of a database, which is at `at`.
pub(super) fn permitted(at: &str, table: &TableName, live: &LiveTable, needs: &[&str]) -> Result<(), Setback> {
    let Some(rights) = &live.rights else { return Ok(()) };
    let lacking = needs.iter().copied().filter(|right| !rights.has.iter().any(|r| r == right));
    let lacking = lacking.collect::<Vec<_>>().join(", ");
    if lacking.is_empty() {
        return Ok(());
    }
    let user = &rights.user;
    let message = format!("user {user} may not {lacking} in table `{table}` in {at}");
    let help = format!("grant it:\nGRANT {lacking} ON {} TO {};", quote_table(table), quote(user));
    // As where Postgres itself says no: a grant needs no restart.
    Err(Setback { help, ..Setback::retry(Cause::Database, message) })
}

fn key_index(
    dialect: Dialect,
    database: &Database,
    destination: &TableDestination,
    live: &LiveTable,
) -> Result<(), Setback> {
    let is_key = |c: &&LiveColumn| c.loose && destination.key_columns.contains(&c.name);
    if let Some(column) = live.columns.iter().find(is_key) {
        let message = format!(
            "key column `{}` of table `{}` in {} is {}, for which different texts can be equal",
            column.name,
            destination.table,
            place(database),
            described(column)
        );
        let sql = alter(Dialect::Postgres, destination, &column.name, Shape::Text);
        return Err(stand(database, message, &sql));
    }
    if destination.key_columns.is_empty() || arbiters(dialect, destination, live).next().is_some() {
        return Ok(());
    }
    let (table, keys) = (&destination.table, destination.key_columns.join("`, `"));
    let message =
        format!("table `{table}` in {} has no unique index on exactly its key columns (`{keys}`)", place(database));
    Err(stand(database, message, &create_unique_index(destination)))
}

/// The unique indexes on exactly the key columns.
fn arbiters<'a>(
    dialect: Dialect,
    destination: &'a TableDestination,
    live: &'a LiveTable,
) -> impl Iterator<Item = &'a Vec<String>> {
    let keys = &destination.key_columns;
    live.unique
        .iter()
        .filter(move |i| {
            i.columns.len() == keys.len() && keys.iter().all(|k| i.columns.iter().any(|c| dialect.same(c, k)))
        })
        .map(|i| &i.columns)
}

/// The names under which the database refuses a row whose key is there already: index names, or SQLite's list of columns in
/// small letters.
pub(super) fn rejecting(dialect: Dialect, destination: &TableDestination, live: &LiveTable) -> Vec<String> {
    if destination.on_conflict != OnConflict::Reject || destination.key_columns.is_empty() {
        return Vec::new();
    }
    let table = &destination.table.table;
    match dialect {
        Dialect::Postgres => {
            let named = live.unique.iter().filter(|i| arbiters(dialect, destination, live).any(|c| *c == i.columns));
            named.map(|i| i.name.clone()).collect()
        }
        Dialect::Sqlite => arbiters(dialect, destination, live)
            .map(|c| c.iter().map(|c| format!("{table}.{c}")).collect::<Vec<_>>().join(", ").to_ascii_lowercase())
            .collect(),
    }
}

/// Whether a column takes every value of a shape as it is, or refuses it aloud; never one that it would change silently.
pub(super) fn fits(shape: Shape, column: &LiveColumn) -> Result<(), String> {
    if column.generated {
        return Err("the database computes it, so nothing may write it".to_owned());
    }
    match &column.stored {
        Stored::Postgres(ty) => fits_postgres(shape, ty),
        Stored::Sqlite { affinity, strict } => fits_sqlite(shape, *affinity, *strict),
        Stored::Unknown => Err("a type that Pointsman does not write".to_owned()),
    }
}

fn fits_postgres(shape: Shape, ty: &PgType) -> Result<(), String> {
    let lost = |has: i32, needs: i32, what: &str| {
        if has >= needs { Ok(()) } else { Err(format!("it would round to {has} {what}, and the values have {needs}")) }
    };
    match (shape, ty) {
        (Shape::Bool, PgType::Bool)
        | (Shape::Int, PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Float8)
        | (Shape::Long, PgType::Int2 | PgType::Int4 | PgType::Int8)
        | (Shape::Float, PgType::Float4 | PgType::Float8)
        | (Shape::Double, PgType::Float8)
        | (Shape::Text, PgType::Text | PgType::Limited { .. } | PgType::Enum(_))
        | (Shape::Interval, PgType::Text | PgType::Limited { .. })
        | (Shape::Bytes, PgType::Bytea)
        | (Shape::Date, PgType::Date)
        | (Shape::Uuid, PgType::Uuid | PgType::Text | PgType::Limited { .. })
        | (Shape::Json, PgType::Jsonb | PgType::Json | PgType::Text | PgType::Limited { .. }) => Ok(()),
        (Shape::Decimal { .. } | Shape::Int | Shape::Long, PgType::Numeric { declared: None }) => Ok(()),
        (Shape::Decimal { scale, .. }, PgType::Numeric { declared: Some((_, has)) }) => {
            lost(*has, i32::try_from(scale).unwrap_or(i32::MAX), "digits after the point")
        }
        (Shape::Int | Shape::Long, PgType::Numeric { declared: Some((_, has)) }) => {
            lost(*has, 0, "digits after the point")
        }
        (Shape::Time { digits }, PgType::Time { digits: has })
        | (Shape::Instant { digits }, PgType::Timestamptz { digits: has })
        | (Shape::Local { digits }, PgType::Timestamp { digits: has }) => lost(*has, digits, "digits of a second"),
        (Shape::Instant { .. }, PgType::Timestamp { .. }) => {
            Err("it has no time zone, and the values are instants".to_owned())
        }
        (Shape::Local { .. }, PgType::Timestamptz { .. }) => {
            Err("it holds instants, and the values are times of a local clock".to_owned())
        }
        (shape, _) => Err(format!("it does not take {}", named(shape))),
    }
}

fn fits_sqlite(shape: Shape, affinity: Affinity, strict: bool) -> Result<(), String> {
    let yes = match (shape, affinity) {
        (Shape::Bool | Shape::Int | Shape::Long, Affinity::Integer) => true,
        (Shape::Float | Shape::Double, Affinity::Real) => true,
        (Shape::Bytes, Affinity::Blob) => true,
        // Looser than a STRICT table allows, and yet nothing is changed on the way in.
        (Shape::Bool | Shape::Int | Shape::Long, Affinity::Numeric | Affinity::Blob) => !strict,
        (Shape::Float | Shape::Double, Affinity::Numeric | Affinity::Blob) => !strict,
        (Shape::Bytes, _) => !strict,
        // Dates and times never look like numbers, so that DATE, TIMESTAMP and the like keep their text.
        (Shape::Date | Shape::Time { .. } | Shape::Instant { .. } | Shape::Local { .. }, Affinity::Numeric) => !strict,
        (Shape::Bool | Shape::Int | Shape::Long | Shape::Float | Shape::Double, _) => false,
        (_, Affinity::Text) => true,
        (_, Affinity::Blob) => !strict,
        (_, Affinity::Integer | Affinity::Real | Affinity::Numeric) => false,
    };
    let why = || {
        let column = column_type(Dialect::Sqlite, shape);
        format!("SQLite would refuse or convert {}, which is kept as {column}", named(shape))
    };
    if yes { Ok(()) } else { Err(why()) }
}

fn named(shape: Shape) -> &'static str {
    match shape {
        Shape::Bool => "a boolean",
        Shape::Int => "an int",
        Shape::Long => "a long",
        Shape::Float => "a float",
        Shape::Double => "a double",
        Shape::Decimal { .. } => "a decimal",
        Shape::Text => "a string",
        Shape::Bytes => "bytes",
        Shape::Date => "a date",
        Shape::Time { .. } => "a time of day",
        Shape::Instant { .. } => "a timestamp",
        Shape::Local { .. } => "a local timestamp",
        Shape::Interval => "a duration",
        Shape::Uuid => "a UUID",
        Shape::Json => "a record, array, map or union",
    }
}

fn described(column: &LiveColumn) -> &str {
    if column.type_name.is_empty() { "of no declared type" } else { &column.type_name }
}

fn alter(dialect: Dialect, destination: &TableDestination, column: &str, shape: Shape) -> String {
    let ty = column_type(dialect, shape);
    match dialect {
        Dialect::Postgres => {
            format!("ALTER TABLE {} ALTER COLUMN {} TYPE {ty};", quote_table(&destination.table), quote(column))
        }
        Dialect::Sqlite => format!("-- a new table with {} {ty}, and the rows copied over", quote(column)),
    }
}

fn place(database: &Database) -> String {
    format!("database `{}`", database.name)
}

fn stand(database: &Database, message: String, sql: &str) -> Setback {
    let help = match &database.migrations {
        Some(folder) => format!("run the pending migrations, or add one to {}:\n{sql}", folder.display()),
        None => format!("this would make it:\n{sql}"),
    };
    Setback::stand(Cause::Database, message, help)
}
