//! A few rows of each table that the routes have filled.

use crate::{
    config::Plan,
    failure::{Cause, Setback},
};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::fmt::Write;
use tokio::runtime::Runtime;

struct Sample {
    database: &'static str,
    table: &'static str,
    columns: &'static [&'static str],
    /// What makes a row worth showing.
    that: &'static str,
}

const fn sample(
    database: &'static str,
    table: &'static str,
    columns: &'static [&'static str],
    that: &'static str,
) -> Sample {
    Sample { database, table, columns, that }
}

const LETTER: &[&str] = &["route", "stage", "code", "field", "message"];

const SAMPLES: &[Sample] = &[
    sample(
        "shop",
        "events",
        &["event_type", "user_id", "product_id", "quantity", "unit_price", "amount", "processed_at"],
        "amount IS NOT NULL",
    ),
    sample("shop", "orders", &["order_id", "status", "total", "currency", "ship_to", "ship_city"], "true"),
    sample("shop", "order_items", &["order_id", "line", "sku", "quantity", "unit_price"], "true"),
    sample("shop", "dead_letters", LETTER, "true"),
    sample("crm", "opportunities", &["name", "stage", "amount", "expected_close_date", "tags"], "tags <> '[]'"),
    sample("crm", "projects", &["name", "status", "start_date", "budget", "source"], "true"),
    sample("crm", "unidentified", &["topic", "offset", "value"], "true"),
    sample("crm", "dead_letters", LETTER, "true"),
    sample("jobs", "failed", &["id", "kind", "worker", "attempt", "error"], "true"),
    sample("jobs", "completed", &["id", "kind", "worker", "started_at", "ended_at"], "true"),
    sample("jobs", "in_progress", &["id", "kind", "worker", "progress"], "true"),
    sample("jobs", "dead_letters", LETTER, "true"),
];

/// Rows of each table.
const SHOWN: usize = 2;
/// Characters of a value, and of a line: a terminal's usual width.
const WIDTH: usize = 44;
const LINE: usize = 80;

/// How many rows each table has, and its first ones as text.
pub fn samples(runtime: &Runtime, plan: &Plan) -> Result<String, Setback> {
    let read = async {
        let mut text = "A FEW ROWS\n".to_owned();
        for database in plan.databases.values() {
            let mut connection = SqliteConnection::connect(&database.url).await?;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", database.url.trim_start_matches("sqlite://"));
            for sample in SAMPLES.iter().filter(|s| s.database == database.name) {
                text.push_str(&sample.read(&mut connection).await?);
            }
        }
        Ok(text)
    };
    runtime.block_on(read).map_err(|e: sqlx::Error| {
        Setback::stand(Cause::Database, format!("the demo's tables cannot be read: {e}"), "try again")
    })
}

impl Sample {
    async fn read(&self, connection: &mut SqliteConnection) -> Result<String, sqlx::Error> {
        let Sample { table, that, .. } = self;
        let count = AssertSqlSafe(format!("SELECT count(*) FROM \"{table}\""));
        let count: i64 = sqlx::query_scalar(count).fetch_one(&mut *connection).await?;
        let mut columns = vec![self.columns.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>()];
        let values: Vec<_> = self.columns.iter().map(|c| format!("coalesce(CAST(\"{c}\" AS TEXT), 'NULL')")).collect();
        // One text for each row: its values with a character between them that no value has.
        let row = values.join(" || char(31) || ");
        let sql = AssertSqlSafe(format!("SELECT {row} FROM \"{table}\" WHERE {that} LIMIT {SHOWN}"));
        let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(connection).await?;
        columns.extend(rows.iter().map(|row| row.split('\u{1f}').map(|value| shortened(value, WIDTH)).collect()));
        Ok(format!("  {table}, {count} rows\n{}", aligned(&columns)))
    }
}

fn shortened(value: &str, width: usize) -> String {
    if value.chars().count() <= width {
        return value.to_owned();
    }
    value.chars().take(width - 1).chain(['…']).collect()
}

/// Rows with their cells below each other.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |i: usize| rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", shortened(format!("    {}", cells.join("  ")).trim_end(), LINE));
    }
    text
}
