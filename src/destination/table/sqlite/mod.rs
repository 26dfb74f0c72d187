//! SQLite: prepared statements of many rows, one transaction at a time.

mod inspect;
mod rights;
mod text;
mod values;
mod writer;

use super::{
    bridge::{Bridge, CONNECT, STATEMENT},
    live::{Dialect, LiveTable},
    refusals::{Class, Refusal},
    round::Round,
    session::{Appended, Sending, Session, Trouble, Value},
    statements::{list, quote_table},
};
use crate::{
    codec::Cell,
    config::{Database, TableName},
    route::TableTarget,
};
pub(super) use rights::barred;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection, TypeInfo, ValueRef,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};
use std::{ops::Range, str::FromStr, sync::Arc, time::Duration};
use values::Statements;
pub(super) use writer::Turn;
use writer::Writer;

pub(super) struct Sqlite {
    bridge: Bridge,
    connection: SqliteConnection,
    /// `None` where it only looks.
    writer: Option<Arc<Writer>>,
    turn: Option<Turn>,
    statements: Statements,
    /// A commit was refused by a deferred foreign key: from now on each round is asked whether it was the one.
    ask_foreign_keys: bool,
    /// Rows that had no parent before this transaction.
    orphans: i64,
}

/// The options to look at a database without a change; `None` where its file does not exist.
pub(super) fn to_look(database: &Database) -> Result<Option<SqliteConnectOptions>, sqlx::Error> {
    let options = SqliteConnectOptions::from_str(&database.url)?.create_if_missing(false).read_only(true);
    let exists = options.get_filename().exists();
    Ok(exists.then(|| options.busy_timeout(Duration::from_secs(10)).disable_statement_logging()))
}

/// The options that a database of routes.toml comes to.
pub(super) fn options(database: &Database) -> Result<SqliteConnectOptions, sqlx::Error> {
    Ok(SqliteConnectOptions::from_str(&database.url)?
        .create_if_missing(true)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        .journal_mode(SqliteJournalMode::Wal)
        // A power cut may take back the last commits, rows and positions together: their records come again.
        .synchronous(SqliteSynchronous::Normal)
        // SQLite's own 2 MB of pages are too few for an index that is written all over, and a checkpoint each 4 MB writes
        // the same pages again and again: KiB (negative), and pages.
        .pragma("cache_size", "-32768")
        .pragma("wal_autocheckpoint", "8192")
        .disable_statement_logging())
}

impl Sqlite {
    pub fn connect(bridge: Bridge, database: &Database) -> Result<Self, Refusal> {
        let options = options(database)?;
        let writer = Writer::of(options.get_filename())?;
        let connection = {
            // Switching to WAL needs the file alone.
            let _turn = writer.turn()?;
            bridge.wait(CONNECT, SqliteConnection::connect_with(&options))?
        };
        Ok(Sqlite::new(bridge, connection, Some(writer)))
    }

    /// A connection that changes nothing, also beside a process that writes; `None` where there is no such file.
    pub fn look(bridge: Bridge, database: &Database) -> Result<Option<Self>, Refusal> {
        let Some(options) = to_look(database)? else { return Ok(None) };
        let connection = bridge.wait(CONNECT, SqliteConnection::connect_with(&options))?;
        Ok(Some(Sqlite::new(bridge, connection, None)))
    }

    fn new(bridge: Bridge, connection: SqliteConnection, writer: Option<Arc<Writer>>) -> Sqlite {
        let statements = Statements::default();
        Sqlite { bridge, connection, writer, turn: None, statements, ask_foreign_keys: false, orphans: 0 }
    }

    fn with(&mut self, sql: &str, arguments: SqliteArguments) -> Result<u64, Refusal> {
        let work = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments).execute(&mut self.connection);
        Ok(self.bridge.wait(STATEMENT, work)?.rows_affected())
    }

    fn count_orphans(&mut self) -> Result<i64, Refusal> {
        let rows = self.fetch("SELECT count(*) FROM pragma_foreign_key_check", &[])?;
        Ok(rows.first().and_then(|r| r.first()).map(Value::int).unwrap_or_default())
    }
}

fn bind(values: &[Value]) -> Result<SqliteArguments, Refusal> {
    use sqlx::Arguments;
    let mut arguments = SqliteArguments::default();
    for value in values {
        let added = match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Int(i) => arguments.add(*i),
            Value::Text(t) => arguments.add(t.as_str()),
            Value::Bytes(b) => arguments.add(b.as_slice()),
        };
        added.map_err(|e| Refusal::environment(e.to_string()))?;
    }
    Ok(arguments)
}

fn read(row: &SqliteRow) -> sqlx::Result<Vec<Value>> {
    let values = (0..row.len()).map(|i| {
        let raw = row.try_get_raw(i)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        Ok(match raw.type_info().name() {
            "INTEGER" => Value::Int(row.try_get_unchecked(i)?),
            "BLOB" => Value::Bytes(row.try_get_unchecked(i)?),
            _ => Value::Text(row.try_get_unchecked(i)?),
        })
    });
    values.collect()
}

impl Session for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn run(&mut self, sql: &str) -> Result<(), Refusal> {
        let work = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.connection);
        self.bridge.wait(STATEMENT, work).map(|_| ())
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, Refusal> {
        self.with(sql, bind(values)?)
    }

    fn fetch(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>, Refusal> {
        let query = sqlx::query_with(AssertSqlSafe(sql.to_owned()), bind(values)?);
        let rows = self.bridge.wait(STATEMENT, query.fetch_all(&mut self.connection))?;
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }

    fn inspect(&mut self, table: &TableName) -> Result<Option<LiveTable>, Refusal> {
        inspect::table(self, table)
    }

    fn prepare(&mut self, targets: &[(u16, &TableTarget, &LiveTable)]) -> Result<(), Refusal> {
        self.statements = Statements::new(targets);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Refusal> {
        let writer = self.writer.as_ref().ok_or_else(|| Refusal::environment("opened to be looked at only"))?;
        let turn = writer.turn()?;
        self.run("BEGIN IMMEDIATE")?;
        self.turn = Some(turn);
        if self.ask_foreign_keys {
            self.orphans = self.count_orphans()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Refusal> {
        let committed = self.run("COMMIT");
        match &committed {
            Ok(()) => self.turn = None,
            Err(refusal) => self.ask_foreign_keys |= refusal.class == Class::ForeignKey,
        }
        committed
    }

    fn rollback(&mut self) -> Result<(), Refusal> {
        let rolled_back = self.run("ROLLBACK");
        self.turn = None;
        // A full disk or an I/O error has rolled back by itself.
        match rolled_back {
            Err(refusal) if refusal.message.contains("no transaction is active") => Ok(()),
            other => other,
        }
    }

    fn append(&mut self, table: &Appended, rows: &[Vec<Cell<'_>>]) -> Result<(), Refusal> {
        let names = list(table.columns.iter().map(|c| c.name.as_str()));
        let marks = vec!["?"; table.columns.len()].join(", ");
        let sql = format!("INSERT INTO {} ({names}) VALUES ({marks})", quote_table(&table.name));
        for row in rows {
            let mut arguments = SqliteArguments::default();
            for (cell, column) in row.iter().zip(&table.columns) {
                values::put(&mut arguments, cell)
                    .map_err(|why| Refusal::environment(format!("{}, column `{}`: {why}", table.name, column.name)))?;
            }
            self.with(&sql, arguments)?;
        }
        Ok(())
    }

    fn reload(&self) -> bool {
        false
    }

    fn resolvable(&mut self) -> bool {
        false
    }

    fn load(&mut self, round: &Round<'_>, _sending: Sending) -> Result<(), Trouble> {
        let bad = self.statements.unfit(round);
        if bad.is_empty() { Ok(()) } else { Err(Trouble::Units(bad)) }
    }

    fn put(&mut self, round: &Round<'_>, units: Range<usize>) -> Result<(), Refusal> {
        let statements = std::mem::take(&mut self.statements);
        let put = statements.put(round, units, &mut |sql, arguments| self.with(sql, arguments).map(|_| ()));
        self.statements = statements;
        put
    }

    fn check_deferred(&mut self, _round: &Round<'_>) -> Result<(), Refusal> {
        if !self.ask_foreign_keys || self.count_orphans()? <= self.orphans {
            return Ok(());
        }
        Err(Refusal {
            class: Class::ForeignKey,
            code: "787".to_owned(),
            message: "FOREIGN KEY constraint failed".to_owned(),
            column: String::new(),
            constraint: String::new(),
        })
    }
}

/// The right to write to the database, from outside of a session.
pub(super) fn turn(database: &Database) -> Result<Turn, Refusal> {
    Writer::of(options(database)?.get_filename())?.turn()
}
