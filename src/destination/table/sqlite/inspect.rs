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

/// Unique indexes that are whole, and their columns; an expression has no name.
const UNIQUE: &str = "SELECT l.name, i.name FROM pragma_index_list($1) AS l, pragma_index_info(l.name) AS i
    WHERE l.\"unique\" = 1 AND l.partial = 0 ORDER BY l.name, i.seqno";

pub(super) fn table(session: &mut Sqlite, name: &TableName) -> Result<Option<LiveTable>, Refusal> {
    let table = [Value::Text(name.table.clone())];
    let strict = session.fetch("SELECT strict FROM pragma_table_list WHERE name = $1", &table)?;
    let strict = strict.first().and_then(|r| r.first()).is_some_and(|v| v.int() == 1);
    let rows = session.fetch(COLUMNS, &table)?;
    if rows.is_empty() {
        return Ok(None);
    }
    let keys = rows.iter().filter(|r| int(r, 5) > 0).count();
    let columns = rows.iter().map(|row| {
        let declared = text(row, 1);
        // An INTEGER PRIMARY KEY is the row's id: it fills itself.
        let row_id = keys == 1 && int(row, 5) == 1 && declared.eq_ignore_ascii_case("integer");
        LiveColumn {
            name: text(row, 0).to_owned(),
            type_name: declared.to_owned(),
            stored: Stored::Sqlite { affinity: Affinity::of(declared), strict },
            not_null: int(row, 2) == 1,
            has_default: int(row, 3) == 1 || row_id,
            // Hidden 2 and 3 are generated columns.
            generated: int(row, 4) >= 2,
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
    // The primary key of a table with row ids has no index of its own where it is the row id itself.
    let mut primary: Vec<&Vec<Value>> = rows.iter().filter(|r| int(r, 5) > 0).collect();
    primary.sort_by_key(|r| int(r, 5));
    if !primary.is_empty() {
        let columns = primary.iter().map(|r| text(r, 0).to_owned()).collect();
        unique.push(UniqueIndex { name: "PRIMARY KEY".to_owned(), columns });
    }
    Ok(Some(LiveTable { columns, unique }))
}

fn text(row: &[Value], i: usize) -> &str {
    row.get(i).map(Value::text).unwrap_or_default()
}

fn int(row: &[Value], i: usize) -> i64 {
    row.get(i).map(Value::int).unwrap_or_default()
}
