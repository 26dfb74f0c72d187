//! Postgres: rows go by binary COPY, keyed ones over a temporary table from which they are merged.

mod binary;
mod inspect;
mod staging;

use super::{
    bridge::{Bridge, CONNECT, STATEMENT},
    live::{Dialect, LiveTable, Stored},
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
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, PgConnection, Row, TypeInfo, ValueRef,
    postgres::{PgArguments, PgConnectOptions, PgRow},
    query::Query,
};
use staging::{Stages, Step};
use std::{collections::BTreeMap, ops::Range, str::FromStr};

/// A stopped process must not hold locks, nor a dead one its connection. Durations are in milliseconds and seconds, as Postgres counts them.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout = 30000; SET lock_timeout = 10000; \
    SET statement_timeout = 60000; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; \
    SET tcp_keepalives_count = 3; SET client_min_messages = 'warning'";

pub(super) struct Postgres {
    bridge: Bridge,
    connection: PgConnection,
    stages: Stages,
    /// What the catalog said of each table's columns just before they were looked at.
    shapes: BTreeMap<String, String>,
    /// Whether rows were copied in this transaction, in the binary form of the types that were seen then.
    copied: bool,
}

/// The options that a database of routes.toml comes to.
pub(super) fn options(database: &Database, application: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let mut options = PgConnectOptions::from_str(&database.url)?.application_name(application);
    if let Some(user) = &database.user {
        options = options.username(user);
    }
    if let Some(password) = &database.password {
        options = options.password(password);
    }
    Ok(options.disable_statement_logging())
}

impl Postgres {
    pub fn connect(bridge: Bridge, database: &Database, application: &str) -> Result<Self, Refusal> {
        let options = options(database, application)?;
        let mut connection = open(&bridge, &options)?;
        bridge.wait(CONNECT, sqlx::raw_sql(SETTINGS).execute(&mut connection))?;
        Ok(Postgres { bridge, connection, stages: Stages::default(), shapes: BTreeMap::new(), copied: false })
    }

    /// Sends rows in the binary form, with header and trailer around them.
    fn copy(&mut self, sql: &str, rows: &[u8]) -> Result<(), Refusal> {
        self.copied = true;
        let connection = &mut self.connection;
        self.bridge.wait(STATEMENT, async {
            let mut copy = connection.copy_in_raw(sql).await?;
            copy.send(rows).await?;
            copy.finish().await
        })?;
        Ok(())
    }

    /// COPY takes bytes for what the column is now: of another type they would be another value. Asked inside of a transaction
    /// that holds the table's lock since its COPY, the answer is good until its end.
    fn unaltered(&mut self) -> Result<(), Refusal> {
        let shapes = self.shapes.clone();
        for (table, then) in &shapes {
            let now = inspect::shape(self, table)?;
            // One that is gone may come back.
            if !now.is_empty() && now != *then {
                let message = format!("table {table} was altered meanwhile: its columns are looked at again");
                return Err(Refusal::environment(message));
            }
        }
        Ok(())
    }
}

/// A connection, or why there is none, with where it was looked for.
pub(super) fn open(bridge: &Bridge, options: &PgConnectOptions) -> Result<PgConnection, Refusal> {
    let opened = bridge.wait(CONNECT, PgConnection::connect_with(options));
    opened.map_err(|refusal| match options.get_socket() {
        Some(socket) => refusal.unreachable(socket.display()),
        None => refusal.unreachable(format_args!("{}:{}", options.get_host(), options.get_port())),
    })
}

fn bind<'q>(sql: &str, values: &[Value]) -> Query<'q, sqlx::Postgres, PgArguments> {
    values.iter().fold(sqlx::query(AssertSqlSafe(sql.to_owned())), |query, value| match value {
        Value::Null => query.bind(None::<String>),
        Value::Int(i) => query.bind(*i),
        Value::Text(t) => query.bind(t.clone()),
        Value::Bytes(b) => query.bind(b.clone()),
    })
}

fn read(row: &PgRow) -> sqlx::Result<Vec<Value>> {
    let values = (0..row.columns().len()).map(|i| {
        if row.try_get_raw(i)?.is_null() {
            return Ok(Value::Null);
        }
        Ok(match row.column(i).type_info().name() {
            "INT8" => Value::Int(row.try_get(i)?),
            "INT4" => Value::Int(row.try_get::<i32, _>(i)?.into()),
            "INT2" => Value::Int(row.try_get::<i16, _>(i)?.into()),
            "BOOL" => Value::Int(row.try_get::<bool, _>(i)?.into()),
            "BYTEA" => Value::Bytes(row.try_get(i)?),
            _ => Value::Text(row.try_get(i)?),
        })
    });
    values.collect()
}

impl Session for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn run(&mut self, sql: &str) -> Result<(), Refusal> {
        let work = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.connection);
        self.bridge.wait(STATEMENT, work).map(|_| ())
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, Refusal> {
        let work = bind(sql, values).execute(&mut self.connection);
        Ok(self.bridge.wait(STATEMENT, work)?.rows_affected())
    }

    fn fetch(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>, Refusal> {
        let work = bind(sql, values).fetch_all(&mut self.connection);
        let rows = self.bridge.wait(STATEMENT, work)?;
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }

    fn inspect(&mut self, table: &TableName) -> Result<Option<LiveTable>, Refusal> {
        let name = quote_table(table);
        let shape = inspect::shape(self, &name)?;
        let live = inspect::table(self, table)?;
        if live.is_some() {
            self.shapes.insert(name, shape);
        }
        Ok(live)
    }

    fn hidden(&mut self, table: &TableName) -> Result<(), Refusal> {
        inspect::hidden(self, table)
    }

    fn prepare(&mut self, targets: &[(u16, &TableTarget, &LiveTable)]) -> Result<(), Refusal> {
        self.stages = Stages::new(targets);
        let create = self.stages.create();
        self.run(&create)
    }

    fn begin(&mut self) -> Result<(), Refusal> {
        self.stages.begin();
        self.copied = false;
        // Stricter levels, which a role may have, would see the catalog as it was.
        self.run("BEGIN ISOLATION LEVEL READ COMMITTED")
    }

    fn commit(&mut self) -> Result<(), Refusal> {
        if self.copied {
            self.unaltered()?;
        }
        self.run("COMMIT")
    }

    fn rollback(&mut self) -> Result<(), Refusal> {
        self.run("ROLLBACK")?;
        // That may have been the reason: a connection that knows an older table is of no more use.
        self.unaltered()
    }

    fn append(&mut self, table: &Appended, rows: &[Vec<Cell<'_>>]) -> Result<(), Refusal> {
        let mut bytes = binary::HEADER.to_vec();
        for row in rows {
            binary::row(&mut bytes, row.len());
            for (cell, column) in row.iter().zip(&table.columns) {
                let Stored::Postgres(ty) = &column.stored else { continue };
                binary::put(&mut bytes, cell, ty).map_err(|why| Refusal {
                    class: Class::Record("value-refused"),
                    ..Refusal::environment(format!("{}, column `{}`: {why}", table.name, column.name))
                })?;
            }
        }
        bytes.extend(binary::TRAILER);
        let names = list(table.columns.iter().map(|c| c.name.as_str()));
        self.copy(&format!("COPY {} ({names}) FROM STDIN (FORMAT binary)", quote_table(&table.name)), &bytes)
    }

    fn reload(&self) -> bool {
        self.stages.unstaged()
    }

    fn resolvable(&mut self) -> bool {
        self.stages.resolvable()
    }

    fn load(&mut self, round: &Round<'_>, sending: Sending) -> Result<(), Trouble> {
        let encoded = self.stages.encode(round, sending);
        if encoded.is_err() {
            // What does not fit a column may fit what it has become.
            self.unaltered()?;
        }
        let loads = encoded?;
        for (target, (sql, bytes)) in loads {
            self.copy(&sql, &bytes).map_err(|refusal| self.stages.named(target, refusal))?;
        }
        Ok(())
    }

    fn put(&mut self, round: &Round<'_>, units: Range<usize>) -> Result<(), Refusal> {
        let (low, high) = (round.ordinal(units.start), round.ordinal(units.end) - 1);
        for step in self.stages.steps(round, units) {
            match step {
                Step::Merge(sql) => self.execute(&sql, &[Value::Int(low), Value::Int(high)]).map(|_| ())?,
                Step::Copy((sql, bytes)) => self.copy(&sql, &bytes)?,
            }
        }
        Ok(())
    }

    fn check_deferred(&mut self, _round: &Round<'_>) -> Result<(), Refusal> {
        self.run("SET CONSTRAINTS ALL IMMEDIATE")
    }
}
