//! Tables under test: one suite for both dialects, rows made by hand.

use crate::harness;
use pointsman::{
    codec::CellReader,
    config::{
        Column, ColumnValue, Database, Dlq, OnConflict, OnPositionLost, OnTombstone, TableDestination, TableName,
    },
    destination::{
        Destination, Tally, Ticket, TopicInfos, Work,
        table::{RouteContext, Tables},
    },
    failure::{Failure, Setback, Stage},
    kafka::TopicInfo,
    record::{OwnedRecord, Partition, Positions},
    route::{Op, Origin, Outcomes, RowRef, Span, TableTarget, Target, TargetColumn, Verdict},
    schema::Schema,
};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

/// Makes each `fn name(db: Db)` a test for Postgres and one for SQLite.
macro_rules! on_both {
    ($($name:ident)*) => {$(
        mod $name {
            #[test]
            fn on_postgres() {
                super::$name(crate::table_support::Db::postgres(stringify!($name)));
            }
            #[test]
            fn on_sqlite() {
                super::$name(crate::table_support::Db::sqlite(stringify!($name)));
            }
        }
    )*};
}
pub(crate) use on_both;

/// An empty database of either dialect.
pub struct Db {
    pub config: Database,
    postgres: Option<harness::Database>,
    folder: Option<PathBuf>,
}

impl Db {
    pub fn postgres(name: &str) -> Db {
        // Postgres cuts names at 63 bytes.
        let database = harness::Database::new(&name[..name.len().min(30)]);
        Db { config: config(&database.url), postgres: Some(database), folder: None }
    }

    pub fn sqlite(name: &str) -> Db {
        let folder = std::env::temp_dir().join(harness::unique(name));
        let url = format!("sqlite://{}/data/test.db", folder.display());
        std::fs::create_dir_all(folder.join("data")).unwrap();
        Db { config: config(&url), postgres: None, folder: Some(folder) }
    }

    pub fn is_sqlite(&self) -> bool {
        self.config.is_sqlite()
    }

    /// Runs statements that return nothing.
    #[track_caller]
    pub fn execute(&self, sql: &str) {
        match &self.postgres {
            Some(database) => database.execute(sql),
            None => harness::block_on(async {
                let mut c = self.sqlite_connection().await;
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut c).await.unwrap();
            }),
        }
    }

    /// A query with one column of text.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        match &self.postgres {
            Some(database) => {
                // Not kept prepared: tests change tables between one query and the next.
                let query = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false);
                harness::block_on(query.fetch_all(&database.pool)).unwrap()
            }
            None => harness::block_on(async {
                let mut c = self.sqlite_connection().await;
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut c).await.unwrap()
            }),
        }
    }

    async fn sqlite_connection(&self) -> SqliteConnection {
        SqliteConnection::connect(&format!("{}?mode=rwc", self.config.url)).await.unwrap()
    }

    pub fn count(&self, from: &str) -> i64 {
        self.texts(&format!("SELECT CAST(count(*) AS TEXT) FROM {from}"))[0].parse().unwrap()
    }

    /// `one` on Postgres, `other` on SQLite.
    pub fn pick<'a>(&self, one: &'a str, other: &'a str) -> &'a str {
        if self.is_sqlite() { other } else { one }
    }

    pub fn open(&self, targets: &Arc<[Target]>) -> Tables {
        self.try_open(route(), targets).unwrap()
    }

    pub fn try_open(&self, route: RouteContext, targets: &Arc<[Target]>) -> Result<Tables, Setback> {
        open(&self.config, route, targets)
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

pub fn open(database: &Database, route: RouteContext, targets: &Arc<[Target]>) -> Result<Tables, Setback> {
    Tables::open(handle(), database, route, targets.clone())
}

pub fn handle() -> tokio::runtime::Handle {
    harness::block_on(async { tokio::runtime::Handle::current() })
}

fn config(url: &str) -> Database {
    Database { name: "shop".into(), url: url.into(), user: None, password: None, migrations: None }
}

/// Dead letters go to the table `letters`.
pub fn route() -> RouteContext {
    RouteContext {
        cluster_id: "cluster".into(),
        group: "shop.orders".into(),
        route: "orders".into(),
        cases: vec!["case".into()],
        dlq: Dlq::Table { database: "shop".into(), table: name("letters") },
        otherwise: None,
        on_position_lost: OnPositionLost::Stop,
        fk_wait: Duration::from_millis(300),
        mark: "mark".into(),
    }
}

pub fn name(table: &str) -> TableName {
    TableName { schema: None, table: table.into() }
}

/// A destination whose columns are given as (name, Avro type).
pub fn destination(table: &str, keys: &[&str], columns: &[(&str, &str)]) -> TableDestination {
    let column = |(name, schema): &(&str, &str)| {
        let schema = Arc::new(Schema::parse(schema).unwrap());
        let node = schema.root();
        let value = ColumnValue::Field { view: 0, path: Vec::new() };
        Column { name: (*name).into(), value, schema, node }
    };
    TableDestination {
        database: "shop".into(),
        table: name(table),
        key_columns: keys.iter().map(|k| (*k).into()).collect(),
        on_conflict: OnConflict::Update,
        newer_by: None,
        on_tombstone: OnTombstone::Delete,
        for_each: None,
        columns: columns.iter().map(column).collect(),
    }
}

pub fn target(destination: TableDestination) -> Target {
    let column = |c: &Column| TargetColumn {
        name: c.name.clone(),
        reader: CellReader::new(c.schema.clone(), c.node),
        origin: Origin::Out,
    };
    Target::Table(TableTarget { columns: destination.columns.iter().map(column).collect(), destination })
}

pub fn targets(destinations: impl IntoIterator<Item = TableDestination>) -> Arc<[Target]> {
    destinations.into_iter().map(target).collect()
}

/// A value as Avro writes it.
#[derive(Clone, Debug)]
pub enum V {
    Null,
    Bool(bool),
    /// int, long, dates and times.
    Int(i64),
    Double(f64),
    /// string, uuid, bytes; decimals as two's complement.
    Text(String),
    Bytes(Vec<u8>),
    /// As it stands.
    Raw(Vec<u8>),
}

pub fn text(text: &str) -> V {
    V::Text(text.to_owned())
}

/// A batch of records with their outcomes, under the hand.
#[derive(Default)]
pub struct Batch {
    records: Vec<OwnedRecord>,
    outcomes: Outcomes,
    next: Positions,
}

impl Batch {
    /// A record of `t/0`, at the next offset, that is delivered with the rows that follow.
    pub fn record(&mut self) -> &mut Self {
        let offset = self.next.get(&t(0)).copied().unwrap_or_default();
        self.at(offset)
    }

    pub fn at(&mut self, offset: i64) -> &mut Self {
        let record = OwnedRecord::new("t", 0, offset).key("k").value(format!("value {offset}")).header(b"h", b"\xff");
        self.push(record, Verdict::Delivered { case: 0 }, t(0), offset)
    }

    pub fn verdict(&mut self, verdict: Verdict) -> &mut Self {
        self.record();
        *self.outcomes.verdicts.last_mut().unwrap() = verdict;
        self
    }

    pub fn dead(&mut self) -> &mut Self {
        let failure = Failure::new(Stage::Decode, "truncated", "cut\0short").at("a.b");
        self.verdict(Verdict::Dead { case: None, failure: Box::new(failure) })
    }

    pub fn push(&mut self, record: OwnedRecord, verdict: Verdict, partition: Partition, offset: i64) -> &mut Self {
        self.records.push(record);
        self.outcomes.verdicts.push(verdict);
        self.next.insert(partition, offset + 1);
        self
    }

    pub fn row(&mut self, target: u16, values: &[V]) -> &mut Self {
        self.add(target, Op::Write, values)
    }

    pub fn delete(&mut self, target: u16, values: &[V]) -> &mut Self {
        self.add(target, Op::Delete, values)
    }

    fn add(&mut self, target: u16, op: Op, values: &[V]) -> &mut Self {
        let out = &mut self.outcomes;
        let slots = out.slots.len() as u32;
        for value in values {
            let slot = out.out.len() as u32;
            out.slots.push(if matches!(value, V::Null) { pointsman::codec::NULL } else { slot });
            match value {
                V::Null => {}
                V::Bool(b) => out.out.push(u8::from(*b)),
                V::Int(i) => long(&mut out.out, *i),
                V::Double(d) => out.out.extend(d.to_le_bytes()),
                V::Text(t) => bytes(&mut out.out, t.as_bytes()),
                V::Bytes(b) => bytes(&mut out.out, b),
                V::Raw(r) => out.out.extend(r),
            }
        }
        let record = self.records.len() as u32 - 1;
        out.rows.push(RowRef { record, target, op, body: Span::None, key: Span::None, slots });
        self
    }

    pub fn work(&mut self, targets: &Arc<[Target]>) -> Work {
        let Batch { records, outcomes, .. } = std::mem::take(self);
        Work { batch: Box::new(records), outcomes, targets: targets.clone() }
    }

    /// Writes, settles and commits it all.
    pub fn deliver(&mut self, tables: &mut Tables, targets: &Arc<[Target]>) -> Result<Tally, Setback> {
        let positions = self.next.clone();
        tables.write(self.work(targets))?;
        let tally = tables.settle()?;
        tables.commit(Ticket { positions, group: None })?;
        Ok(tally)
    }
}

fn long(out: &mut Vec<u8>, value: i64) {
    let mut n = (value << 1) as u64 ^ (value >> 63) as u64;
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    long(out, bytes.len() as i64);
    out.extend(bytes);
}

pub fn t(partition: i32) -> Partition {
    Partition::new("t", partition)
}

/// Claims `t/0`, from 0 where it has no position.
pub fn claim(tables: &mut Tables) -> Result<Positions, Setback> {
    claim_all(tables, &[t(0)])
}

pub fn claim_all(tables: &mut Tables, partitions: &[Partition]) -> Result<Positions, Setback> {
    tables.claim(partitions, &topics("topic-id"), &mut |new, _| Ok(new.iter().map(|p| (p.clone(), 0)).collect()))
}

/// The topic `t` as the brokers would describe it, with this id.
pub fn topics(id: &str) -> TopicInfos {
    BTreeMap::from([("t".to_owned(), TopicInfo { id: Some(id.to_owned()), partitions: 1, replication: 1 })])
}
