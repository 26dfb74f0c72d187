//! Table destinations: columns, key, conflicts, tombstones.

use super::{
    columns::{self, Row},
    destinations::Around,
    enrichers::Fields,
    expressions, keys,
    paths::{self, Element, in_nanos, takes_null, type_name},
    plan::{Column, Database, ForEach, KeyFormat, OnConflict, OnTombstone, TableDestination, TableName},
    problem::Problem,
    section::{Name, Section, unknown_name},
};
use crate::schema::{Kind, Logical, Node, NodeId, Schema};
use std::collections::BTreeMap;

/// The database that a table destination or a dead letter table names.
pub(super) fn database(section: &Section<'_>, databases: &BTreeMap<String, Database>) -> Option<Name> {
    section.require("database", "write `database = \"NAME\"`, one of `[databases]`");
    let name = section.name("database")?;
    section.cx.mark_used("databases", &name.text);
    if !databases.contains_key(&name.text) && name.text.contains("://") {
        section.cx.report(
            Problem::error("unknown-database", name.place, "a database is named here, by its name in `[databases]`")
                .help("write `[databases.NAME]` with this `url`, and NAME here"),
        );
        return None;
    }
    if !databases.contains_key(&name.text) {
        unknown_name(section.cx, "unknown-database", "database", &name, databases.keys().map(String::as_str));
        return None;
    }
    Some(name)
}

pub(super) fn table_name(section: &Section<'_>) -> Option<TableName> {
    section.require("table", "write `table = \"NAME\"`");
    let name = section.name("table")?;
    let (schema, table) = match name.text.split_once('.') {
        Some((schema, table)) => (Some(schema), table),
        None => (None, name.text.as_str()),
    };
    if table.is_empty() || table.contains('.') || schema == Some("") {
        section.cx.report(
            Problem::error("bad-table-name", name.place, format!("`{}` is no name of a table", name.text))
                .help("write `table = \"orders\"` or `table = \"schema.orders\"`"),
        );
        return None;
    }
    Some(TableName { schema: schema.map(str::to_owned), table: table.to_owned() })
}

pub(super) fn read(section: &Section<'_>, around: &Around<'_>, fields: Option<&Fields>) -> Option<TableDestination> {
    section.only(&keys::TABLE);
    let database = database(section, around.databases);
    let table = table_name(section);
    let element = fields.and_then(|fields| element(section, fields));
    let row =
        fields.zip(element.as_ref()).map(|(fields, e)| Row { fields, element: e.as_ref().map(|(_, e)| e.clone()) });
    let columns = row.as_ref().and_then(|row| columns::columns(section, row));
    let key_columns = key_columns(section, columns.as_deref());
    let on_conflict = on_conflict(section, &key_columns);
    let newer_by = newer_by(
        section,
        columns.as_deref(),
        on_conflict,
        database.as_ref().and_then(|d| around.databases.get(&d.text)),
    );
    let on_tombstone = on_tombstone(section, around, &key_columns, columns.as_deref());
    Some(TableDestination {
        database: database?.text,
        table: table?,
        key_columns: key_columns.into_iter().map(|n| n.text).collect(),
        on_conflict,
        newer_by,
        on_tombstone: on_tombstone?,
        for_each: element?.map(|(for_each, _)| for_each),
        columns: columns?,
    })
}

/// `for_each`: the array, and its element. The outer `None` means that it has problems.
#[allow(clippy::option_option)]
fn element(section: &Section<'_>, fields: &Fields) -> Option<Option<(ForEach, Element)>> {
    let Some(value) = section.value("for_each") else { return Some(None) };
    let cx = section.cx;
    let source = expressions::source(cx, value)?;
    let Some(target) = paths::resolve(source, fields, None) else {
        let name = Name { text: source.to_owned(), place: value.place };
        unknown_name(cx, "unknown-field", "field", &name, fields.view.fields.iter().map(|f| f.name.as_str()));
        return None;
    };
    let array = paths::present(&target.schema, target.node);
    let Kind::Array(item) = *target.schema.kind(array) else {
        let message = format!("`{source}` is {}, not an array", type_name(&target.schema, target.node));
        cx.report(
            Problem::error("not-an-array", value.place, message)
                .help("`for_each` writes one row per element of an array"),
        );
        return None;
    };
    if target.view.is_some_and(|view| fields.is_added(view)) {
        cx.report(
            Problem::error("computed-array", value.place, format!("`{source}` is set by an enricher"))
                .help("`for_each` takes an array that the record brings with it"),
        );
        return None;
    }
    let element = Element { schema: target.schema.clone(), node: item };
    Some(Some((ForEach { view: target.view?, path: target.path, schema: target.schema, item }, element)))
}

fn key_columns(section: &Section<'_>, columns: Option<&[Column]>) -> Vec<Name> {
    let names = section.listed("key_columns", "leave it out: then no two rows are the same row");
    let Some(columns) = columns else { return names };
    for name in &names {
        match columns.iter().find(|c| c.name == name.text) {
            None => unknown_name(section.cx, "unknown-column", "column", name, columns.iter().map(|c| c.name.as_str())),
            Some(column) if takes_null(&column.schema, column.node) => section.cx.report(
                Problem::error("nullable-key", name.place, format!("the key column `{}` may be null", name.text))
                    .label(type_name(&column.schema, column.node))
                    .help("two rows without a key are never the same row: take a field that is always there, or write an expression for the column"),
            ),
            Some(column) if in_nanos(column.schema.node(column.node).logical) => section.cx.report(
                Problem::error("cut-key", name.place, format!("the key column `{}` loses digits", name.text))
                    .label(type_name(&column.schema, column.node))
                    .help("columns hold microseconds: keys that differ within one would be the same row. Take another field"),
            ),
            Some(_) => {}
        }
    }
    names
}

fn on_conflict(section: &Section<'_>, key: &[Name]) -> OnConflict {
    let choices = [("ignore", OnConflict::Ignore), ("update", OnConflict::Update), ("reject", OnConflict::Reject)];
    let chosen = section.choice("on_conflict", &choices);
    if section.value("on_conflict").is_some() && section.value("key_columns").is_none() {
        section.cx.report(
            Problem::error(
                "needs-key-columns",
                section.key_place("on_conflict"),
                "`on_conflict` without `key_columns`",
            )
            .help("write `key_columns = [\"id\"]`: the columns by which two rows are the same"),
        );
    }
    chosen.unwrap_or(if key.is_empty() { OnConflict::Reject } else { OnConflict::Update })
}

fn newer_by(
    section: &Section<'_>,
    columns: Option<&[Column]>,
    on_conflict: OnConflict,
    database: Option<&Database>,
) -> Option<String> {
    let cx = section.cx;
    let name = section.name("newer_by")?;
    let place = section.key_place("newer_by");
    if section.value("key_columns").is_none() {
        cx.report(
            Problem::error("needs-key-columns", place, "`newer_by` without `key_columns`")
                .help("write `key_columns = [\"id\"]`: the columns by which two rows are the same"),
        );
    } else if on_conflict != OnConflict::Update {
        cx.report(
            Problem::error("needs-update", place, "`newer_by` decides about updates, and `on_conflict` makes none")
                .help("write `on_conflict = \"update\"`, or leave `newer_by` out"),
        );
    }
    let columns = columns?;
    let Some(column) = columns.iter().find(|c| c.name == name.text) else {
        unknown_name(cx, "unknown-column", "column", &name, columns.iter().map(|c| c.name.as_str()));
        return None;
    };
    let sqlite = database.is_some_and(Database::is_sqlite);
    if let Err(reason) = ordered(&column.schema, column.node, sqlite) {
        let message = format!("`{}` is {}: {reason}", name.text, type_name(&column.schema, column.node));
        cx.report(
            Problem::error("not-ordered", name.place, message)
                .help("`newer_by` takes a column of numbers, dates or timestamps that is never null"),
        );
    }
    Some(name.text)
}

/// Whether the larger of two values is the newer one, in the database as in the schema.
fn ordered(schema: &Schema, node: NodeId, sqlite: bool) -> Result<(), &'static str> {
    if takes_null(schema, node) {
        return Err("of a value and null neither is newer");
    }
    match (schema.kind(node), schema.node(node).logical) {
        (_, Some(Logical::Decimal { .. })) if sqlite => Err("SQLite keeps decimals as text, which has another order"),
        (_, Some(Logical::Decimal { .. })) => Ok(()),
        (_, Some(Logical::Uuid)) => Err("it has no order that means newer"),
        (_, logical) if in_nanos(logical) => Err("columns hold microseconds, and within one neither is newer"),
        (Kind::Int | Kind::Long | Kind::Float | Kind::Double, _) => Ok(()),
        _ => Err("it has no order that means newer"),
    }
}

fn on_tombstone(
    section: &Section<'_>,
    around: &Around<'_>,
    key: &[Name],
    columns: Option<&[Column]>,
) -> Option<OnTombstone> {
    let choices = [
        ("dead-letter", OnTombstone::DeadLetter),
        ("filter", OnTombstone::Filter),
        ("delete", OnTombstone::Delete),
        ("forward", OnTombstone::Forward),
    ];
    let Some(value) = section.value("on_tombstone") else {
        return Some(if around.tombstones_decided { OnTombstone::Filter } else { OnTombstone::DeadLetter });
    };
    let chosen = section.choice("on_tombstone", &choices)?;
    let refuse = |message: String, help: &str| {
        section.cx.report(Problem::error("unsuitable-tombstone", value.place, message).help(help));
        None
    };
    match chosen {
        OnTombstone::Forward => refuse(
            "a table cannot take a record without a value".into(),
            "`on_tombstone` of a table is `delete`, `filter` or `dead-letter`",
        ),
        OnTombstone::Delete if key.is_empty() => refuse(
            "nothing says which row a tombstone deletes".into(),
            "write `key_columns`: a tombstone is a key alone, and deletes the row of that key",
        ),
        OnTombstone::Delete if columns.is_some_and(|c| !versioned(section, c)) => refuse(
            "a tombstone has no fields, so nothing says whether it is newer than the row".into(),
            "let `newer_by` name a timestamp, with which the tombstone's own is compared, or leave one of the two out",
        ),
        OnTombstone::Delete => match columns.map_or(Ok(()), |c| readable(around.key, key, c)) {
            Ok(()) => Some(chosen),
            Err((message, help)) => refuse(message, help),
        },
        _ => Some(chosen),
    }
}

/// Whether `newer_by`, where there is one, is a column that a tombstone's timestamp is compared with.
fn versioned(section: &Section<'_>, columns: &[Column]) -> bool {
    let Some(newer) = section.name("newer_by") else { return true };
    let column = columns.iter().find(|c| c.name == newer.text);
    column.is_none_or(|c| {
        let logical = c.schema.node(paths::present(&c.schema, c.node)).logical;
        matches!(logical, Some(Logical::TimestampMillis | Logical::TimestampMicros))
    })
}

/// Whether a record's key gives the key columns of the row to delete.
fn readable(format: KeyFormat, key: &[Name], columns: &[Column]) -> Result<(), (String, &'static str)> {
    let [only] = key else {
        return match format {
            KeyFormat::Json | KeyFormat::Avro => Ok(()),
            _ => Err((
                format!("a tombstone's key is one value, and the table's key has {} columns", key.len()),
                "write `key = \"json\"` or `key = \"avro\"` in the route where the key is a record of these fields",
            )),
        };
    };
    let Some(column) = columns.iter().find(|c| c.name == only.text) else { return Ok(()) };
    let Node { kind, logical, .. } = column.schema.node(paths::present(&column.schema, column.node));
    let fits = match format {
        KeyFormat::Json | KeyFormat::Avro => true,
        // What the bytes of a decimal or a duration mean is not in the key.
        KeyFormat::Bytes => matches!(kind, Kind::Bytes | Kind::Fixed(_)) && logical.is_none(),
        KeyFormat::String => !matches!(kind, Kind::Record(_) | Kind::Array(_) | Kind::Map(_) | Kind::Union(_)),
        KeyFormat::Long => matches!(kind, Kind::Int | Kind::Long),
    };
    if fits {
        return Ok(());
    }
    Err((
        format!(
            "`{}` is {}, and the route reads the record's key as {}",
            only.text,
            type_name(&column.schema, column.node),
            match format {
                KeyFormat::Long => "a long",
                KeyFormat::String => "a string",
                _ => "bytes",
            }
        ),
        "say in the route how the key reads: `key = \"string\"`, \"long\", \"json\" or \"avro\"",
    ))
}
