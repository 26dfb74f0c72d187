//! A table as Postgres' catalog has it.

use super::{
    super::{
        live::{LiveColumn, LiveTable, PgType, Rights, Stored, UniqueIndex},
        refusals::Refusal,
        session::{Session, Value},
        statements::{quote, quote_table},
    },
    Postgres,
};
use crate::config::TableName;

/// Views, rules and policies act on INSERT, and not at all, or otherwise, on COPY.
const TABLE: &str = "SELECT oid::bigint, relkind IN ('r', 'p') AND NOT relhasrules AND NOT relrowsecurity,
        current_user::text, concat_ws(' ',
            CASE WHEN has_any_column_privilege(oid, 'SELECT') THEN 'SELECT' END,
            CASE WHEN has_any_column_privilege(oid, 'INSERT') THEN 'INSERT' END,
            CASE WHEN has_any_column_privilege(oid, 'UPDATE') THEN 'UPDATE' END,
            CASE WHEN has_table_privilege(oid, 'DELETE') THEN 'DELETE' END)
    FROM pg_class WHERE oid = to_regclass($1)";

/// A schema of the search path that has the table and that this user may not look into: Postgres passes it over without a
/// word.
const HIDDEN: &str = "SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'f') AND NOT has_schema_privilege(n.oid, 'USAGE')
        AND n.nspname IN (SELECT replace(trim(s, ' \"'), '$user', current_user)
            FROM unnest(string_to_array(current_setting('search_path'), ',')) AS s)";

/// A domain counts as the type below it, with its NOT NULL and its default: its own checks speak when a row is put.
const COLUMNS: &str = "WITH RECURSIVE base(attnum, oid, typmod, not_null, filled) AS (
        SELECT a.attnum, a.atttypid, a.atttypmod, a.attnotnull, a.atthasdef OR a.attidentity <> '' FROM pg_attribute a
        WHERE a.attrelid = CAST($1 AS bigint)::oid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT b.attnum, t.typbasetype, t.typtypmod, b.not_null OR t.typnotnull, b.filled OR t.typdefault IS NOT NULL
        FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd'
    )
    SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), t.typname::text, t.typtype::text, t.typcategory::text,
        b.typmod, n.nspname::text, b.not_null, b.filled, a.attgenerated <> '' OR a.attidentity = 'a',
        t.typname IN ('citext', 'bpchar') OR NOT coalesce(l.collisdeterministic, true)
    FROM base b JOIN pg_type t ON t.oid = b.oid AND t.typtype <> 'd'
    JOIN pg_namespace n ON n.oid = t.typnamespace
    JOIN pg_attribute a ON a.attrelid = CAST($1 AS bigint)::oid AND a.attnum = b.attnum
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
    ORDER BY a.attnum";

/// Unique indexes that ON CONFLICT can infer from column names alone.
const UNIQUE: &str = "SELECT c.relname::text, a.attname::text
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = CAST($1 AS bigint)::oid AND i.indisunique AND i.indimmediate AND i.indisvalid
        AND i.indpred IS NULL AND i.indexprs IS NULL AND k.position <= i.indnkeyatts
    ORDER BY c.relname, k.position";

/// Changes with every change of the columns or their types.
const SHAPE: &str =
    "SELECT coalesce(string_agg(concat_ws(' ', attrelid, attname, atttypid, atttypmod), ',' ORDER BY attnum), '')
    FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";

/// What the catalog has of a table's columns, in one text; empty where there is no table.
pub(super) fn shape(session: &mut Postgres, quoted: &str) -> Result<String, Refusal> {
    let rows = session.fetch(SHAPE, &[Value::Text(quoted.to_owned())])?;
    Ok(rows.first().and_then(|row| row.first()).map(Value::text).unwrap_or_default().to_owned())
}

pub(super) fn table(session: &mut Postgres, name: &TableName) -> Result<Option<LiveTable>, Refusal> {
    let found = session.fetch(TABLE, &[Value::Text(quote_table(name))])?;
    let Some(Ok([oid, copied, user, may])) = found.into_iter().next().map(<[Value; 4]>::try_from) else {
        return Ok(None);
    };
    let columns = session.fetch(COLUMNS, std::slice::from_ref(&oid))?.iter().map(|row| column(row)).collect();
    let mut unique: Vec<UniqueIndex> = Vec::new();
    for row in session.fetch(UNIQUE, &[oid])? {
        let [index, column] = &row[..] else { continue };
        match unique.last_mut().filter(|u| u.name == index.text()) {
            Some(index) => index.columns.push(column.text().to_owned()),
            None => unique.push(UniqueIndex { name: index.text().to_owned(), columns: vec![column.text().to_owned()] }),
        }
    }
    let rights = Rights { user: user.text().to_owned(), has: may.text().split(' ').map(str::to_owned).collect() };
    Ok(Some(LiveTable { columns, unique, copied: copied.int() != 0, rights: Some(rights) }))
}

/// Refuses a table that is there and cannot be seen, as Postgres itself does where it is named with its schema.
pub(super) fn hidden(session: &mut Postgres, name: &TableName) -> Result<(), Refusal> {
    if name.schema.is_some() {
        return Ok(());
    }
    let rows = session.fetch(HIDDEN, &[Value::Text(name.table.clone())])?;
    let Some(schema) = rows.first().and_then(|row| row.first()) else { return Ok(()) };
    Err(Refusal {
        code: "42501".to_owned(),
        ..Refusal::environment(format!("permission denied for schema {}, where table `{name}` is", schema.text()))
    })
}

fn column(row: &[Value]) -> LiveColumn {
    let text = |i: usize| row.get(i).map(Value::text).unwrap_or_default();
    let int = |i: usize| row.get(i).map(Value::int).unwrap_or_default();
    let (typname, kind, category, typmod, schema) = (text(2), text(3), text(4), int(5), text(6));
    // The modifier of times is their digits, -1 for all six; of numerics precision and scale, each in 16 bits, plus 4; of
    // texts their characters, plus 4.
    let digits = if typmod < 0 { 6 } else { typmod as i32 };
    let ty = match typname {
        "bool" => PgType::Bool,
        "int2" => PgType::Int2,
        "int4" => PgType::Int4,
        "int8" => PgType::Int8,
        "float4" => PgType::Float4,
        "float8" => PgType::Float8,
        "numeric" => PgType::Numeric { declared: (typmod >= 4).then(|| precision_and_scale(typmod)) },
        "bytea" => PgType::Bytea,
        "date" => PgType::Date,
        "time" => PgType::Time { digits },
        "timestamp" => PgType::Timestamp { digits },
        "timestamptz" => PgType::Timestamptz { digits },
        "uuid" => PgType::Uuid,
        "json" => PgType::Json,
        "jsonb" => PgType::Jsonb,
        _ if kind == "e" => PgType::Enum(format!("{}.{}", quote(schema), quote(typname))),
        "varchar" | "bpchar" if typmod >= 4 => {
            PgType::Limited { characters: (typmod - 4) as usize, padded: typname == "bpchar" }
        }
        // text, varchar, char, citext, and types like them: their binary form is their text.
        _ if category == "S" => PgType::Text,
        _ => return live(row, Stored::Unknown),
    };
    live(row, Stored::Postgres(ty))
}

/// What is in a numeric's modifier; the scale has eleven bits with a sign (`numeric.c`).
fn precision_and_scale(typmod: i64) -> (i32, i32) {
    let both = typmod - 4;
    (((both >> 16) & 0xffff) as i32, (((both & 0x7ff) ^ 1024) - 1024) as i32)
}

fn live(row: &[Value], stored: Stored) -> LiveColumn {
    let text = |i: usize| row.get(i).map(Value::text).unwrap_or_default().to_owned();
    let yes = |i: usize| row.get(i).is_some_and(|v| v.int() != 0);
    LiveColumn {
        name: text(0),
        type_name: text(1),
        stored,
        not_null: yes(7),
        has_default: yes(8),
        generated: yes(9),
        loose: yes(10),
    }
}
