//! Columns of a table: each gets a field as it stands, or an expression's value.

use super::{
    document::{Entry, Kind, Value},
    enrichers::Fields,
    expressions,
    paths::{self, Element, Target},
    plan::{Column, ColumnValue},
    problem::{Problem, nearest},
    section::{Section, wrong_type},
};
use crate::{
    expr::{Env, Type},
    schema::Kind as Avro,
};
use std::sync::Arc;

/// What a table's columns are read from.
pub(super) struct Row<'a> {
    pub fields: &'a Fields,
    pub element: Option<Element>,
}

/// `columns = { "*" = true, x = false, name = "expr" }`. `None` when a column has problems.
pub(super) fn columns(destination: &Section<'_>, row: &Row<'_>) -> Option<Vec<Column>> {
    let Some(section) = destination.section("columns", "`columns`") else {
        return match (destination.value("columns"), &row.element) {
            (Some(_), _) => None,
            (None, None) => Some(all(row)),
            (None, Some(_)) => {
                destination.require(
                    "columns",
                    "with `for_each`, write each column: `columns = { order_id = \"order_id\", sku = \"item.sku\" }`",
                );
                None
            }
        };
    };
    let mut columns = if star(&section)? { all(row) } else { Vec::new() };
    let mut whole = true;
    for entry in section.table.entries.iter().filter(|e| e.key != "*") {
        whole &= one(&section, entry, row, &mut columns);
    }
    if columns.is_empty() && whole {
        section.cx.report(
            Problem::error("no-columns", section.place, "no column is left to write")
                .help("write `\"*\" = true` for a column of each field, and `name = \"expression\"` for others"),
        );
        whole = false;
    }
    whole.then_some(columns)
}

/// Whether `"*"` asks for a column of each field.
fn star(section: &Section<'_>) -> Option<bool> {
    let Some(value) = section.value("*") else { return Some(false) };
    match value.kind {
        Kind::Boolean(b) => Some(b),
        _ => {
            wrong_type(section.cx, value, "true", "`\"*\" = true` means a column of each field");
            None
        }
    }
}

/// Each field, of the record or of `for_each`'s element, into the column of its name.
fn all(row: &Row<'_>) -> Vec<Column> {
    match &row.element {
        None => {
            let fields = row.fields.view.fields.iter().enumerate();
            let column = |(view, f): (usize, &crate::expr::ViewField)| Column {
                name: f.name.clone(),
                value: ColumnValue::Field { view, path: Vec::new() },
                schema: f.schema.clone(),
                node: f.node,
            };
            fields.map(column).collect()
        }
        Some(element) => match element.schema.kind(paths::present(&element.schema, element.node)) {
            Avro::Record(r) => {
                r.fields.iter().filter_map(|f| plain(&format!("item.{}", f.name), &f.name, row)).collect()
            }
            _ => Vec::new(),
        },
    }
}

/// Adds, replaces or leaves out one column; false when it has problems.
fn one(section: &Section<'_>, entry: &Entry, row: &Row<'_>, columns: &mut Vec<Column>) -> bool {
    let known = columns.iter().position(|c| c.name == entry.key);
    let column = match (&entry.value.kind, known) {
        (Kind::Boolean(false), Some(at)) => {
            columns.remove(at);
            return true;
        }
        (Kind::Boolean(false), None) => {
            section.cx.report(nothing_to_leave_out(section, entry, columns));
            return false;
        }
        (Kind::Boolean(true), Some(_)) => return true,
        (Kind::Boolean(true), None) => {
            let source = if row.element.is_some() { format!("item.{}", entry.key) } else { entry.key.clone() };
            let column = plain(&source, &entry.key, row);
            if column.is_none() {
                section.cx.report(unknown_field(entry, row));
            }
            column
        }
        _ => computed(section, &entry.value, &entry.key, row),
    };
    let Some(column) = column else { return false };
    match known {
        Some(at) => columns[at] = column,
        None => columns.push(column),
    }
    true
}

fn nothing_to_leave_out(section: &Section<'_>, entry: &Entry, columns: &[Column]) -> Problem {
    let problem =
        Problem::error("unknown-field", entry.key_place, format!("there is no column `{}` to leave out", entry.key));
    if section.value("*").is_none() {
        return problem.help("only columns that `\"*\" = true` brings can be left out");
    }
    match nearest(&entry.key, columns.iter().map(|c| c.name.as_str())) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    }
}

fn unknown_field(entry: &Entry, row: &Row<'_>) -> Problem {
    let problem = Problem::error("unknown-field", entry.key_place, format!("there is no field `{}`", entry.key));
    match nearest(&entry.key, row.fields.view.fields.iter().map(|f| f.name.as_str())) {
        Some(near) => {
            problem.help(format!("did you mean `{near}`? Another name is written `{} = \"{near}\"`", entry.key))
        }
        None => problem.help(format!("write an expression: `{} = \"…\"`", entry.key)),
    }
}

fn plain(source: &str, name: &str, row: &Row<'_>) -> Option<Column> {
    let Target { view, path, schema, node } = paths::resolve(source, row.fields, row.element.as_ref())?;
    // What lies inside a value that an enricher sets has no offset of its own: an expression reads it.
    if view.is_some_and(|view| row.fields.is_added(view)) && !path.is_empty() {
        return None;
    }
    let value = match view {
        Some(view) => ColumnValue::Field { view, path },
        None => ColumnValue::Item { path },
    };
    Some(Column { name: name.to_owned(), value, schema, node })
}

fn computed(section: &Section<'_>, value: &Value, name: &str, row: &Row<'_>) -> Option<Column> {
    let cx = section.cx;
    if let Kind::Table(_) | Kind::Array(_) | Kind::Integer(_) | Kind::Float(_) | Kind::Datetime(_) = value.kind {
        wrong_type(cx, value, "an expression in quotes, true or false", "");
        return None;
    }
    if let Some(column) = plain(expressions::source(cx, value)?, name, row) {
        return Some(column);
    }
    let item = row.element.as_ref().map(|e| (e.schema.clone(), e.node));
    let typed = expressions::any(cx, value, &Env { view: row.fields.view.clone(), item }, None)?;
    if matches!(typed.ty(), Type::Null | Type::Dyn) {
        let message = format!("the type of column `{name}` is not known: this is {}", expressions::words(typed.ty()));
        cx.report(
            Problem::error("untyped-value", value.place, message)
                .help("give it a type, as in `string(…)`, or `… ? note : null` for a column that may be null"),
        );
        return None;
    }
    let schema = Arc::new(typed.avro());
    if !expressions::writable(cx, value, &typed, &schema, None) {
        return None;
    }
    Some(Column { name: name.to_owned(), node: schema.root(), schema, value: ColumnValue::Expr(typed) })
}
