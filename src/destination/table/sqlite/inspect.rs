//! A table as SQLite's pragmas have it.

use super::{
    super::{
        live::{Affinity, LiveColumn, LiveTable, Stored, UniqueIndex},
        refusals::Refusal,
        session::{Session, Value},
    },
    Sqlite,
};
use crate::config::TableName;

const COLUMNS: &str = "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, hidden, pk
    FROM pragma_table_xinfo($1) ORDER BY cid";

/// Unique indexes that are whole and compare bytes, and their columns; an expression has no name.
const UNIQUE: &str = "SELECT l.name, i.name FROM pragma_index_list($1) AS l, pragma_index_info(l.name) AS i
    WHERE l.\"unique\" = 1 AND l.partial = 0
        AND NOT EXISTS (SELECT 1 FROM pragma_index_xinfo(l.name) AS x WHERE x.key = 1 AND x.coll <> 'BINARY')
    ORDER BY l.name, i.seqno";

pub(super) fn table(session: &mut Sqlite, name: &TableName) -> Result<Option<LiveTable>, Refusal> {
    let table = [Value::Text(name.table.clone())];
    let strict = session.fetch("SELECT strict FROM pragma_table_list WHERE name = $1 COLLATE NOCASE", &table)?;
    let strict = strict.first().and_then(|r| r.first()).is_some_and(|v| v.int() == 1);
    let rows = session.fetch(COLUMNS, &table)?;
    if rows.is_empty() {
        return Ok(None);
    }
    // An INTEGER PRIMARY KEY is the row's id: it fills itself, and has no index of its own.
    let keys = rows.iter().filter(|r| int(r, 5) > 0).count();
    let is_row_id = |row: &[Value]| keys == 1 && int(row, 5) == 1 && text(row, 1).eq_ignore_ascii_case("integer");
    let columns = rows.iter().map(|row| {
        let declared = text(row, 1);
        let stored = match strict && declared.eq_ignore_ascii_case("any") {
            // Only there it is a type of its own, which keeps every value as it came.
            true => Stored::Sqlite { affinity: Affinity::Blob, strict: false },
            false => Stored::Sqlite { affinity: Affinity::of(declared), strict },
        };
        LiveColumn {
            name: text(row, 0).to_owned(),
            type_name: declared.to_owned(),
            stored,
            not_null: int(row, 2) == 1,
            has_default: int(row, 3) == 1 || is_row_id(row),
            // Hidden 2 and 3 are generated columns.
            generated: int(row, 4) >= 2,
            loose: false,
        }
    });
    let columns = columns.collect();
    let mut unique: Vec<UniqueIndex> = Vec::new();
    for row in session.fetch(UNIQUE, &table)? {
        match unique.last_mut().filter(|u| u.name == text(&row, 0)) {
            Some(index) => index.columns.push(text(&row, 1).to_owned()),
            None => {
                unique.push(UniqueIndex { name: text(&row, 0).to_owned(), columns: vec![text(&row, 1).to_owned()] })
            }
        }
    }
    if let Some(id) = rows.iter().find(|row| is_row_id(row)) {
        unique.push(UniqueIndex { name: "row id".to_owned(), columns: vec![text(id, 0).to_owned()] });
    }
    Ok(Some(LiveTable { columns, unique, copied: false, rights: None }))
}

fn text(row: &[Value], i: usize) -> &str {
    row.get(i).map(Value::text).unwrap_or_default()
}

fn int(row: &[Value], i: usize) -> i64 {
    row.get(i).map(Value::int).unwrap_or_default()
}
