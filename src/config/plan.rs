//! The plan: what routes.toml means. Typed trees, no closures, nothing left to resolve.

use super::collectors::Collector;
use crate::{
    expr::{RawTyped, Typed, View},
    schema::{NodeId, Schema},
};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

#[derive(Clone, Debug)]
pub struct Plan {
    /// Prefixes consumer groups and transactional ids.
    pub app: String,
    pub kafka: Kafka,
    pub registry: Option<Registry>,
    pub databases: BTreeMap<String, Database>,
    /// Where /metrics, /health and /ready are served: `host:port`.
    pub http: Option<String>,
    pub topics: BTreeMap<String, TopicSpec>,
    pub routes: Vec<Route>,
    pub collectors: Vec<Collector>,
}

#[derive(Clone, Debug, Default)]
pub struct Kafka {
    pub bootstrap_servers: String,
    /// librdkafka properties: for all clients, for consumers, for producers. Those that Pointsman owns are not among them.
    pub properties: BTreeMap<String, String>,
    pub consumer: BTreeMap<String, String>,
    pub producer: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub struct Registry {
    pub url: String,
    pub user: Option<String>,
    pub password: Option<String>,
    /// PEM file of certificates to trust.
    pub ca: Option<PathBuf>,
    /// How long an id that the registry does not know is asked for again.
    pub unknown_id_grace: Duration,
}

#[derive(Clone, Debug)]
pub struct Database {
    pub name: String,
    /// `sqlite://…` or `postgres://…`.
    pub url: String,
    pub user: Option<String>,
    pub password: Option<String>,
    /// Folder of sqlx migrations for this kind of database.
    pub migrations: Option<PathBuf>,
}

impl Database {
    pub fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }
}

/// What `apply` creates.
#[derive(Clone, Debug)]
pub struct TopicSpec {
    /// `None` takes the brokers' default, and so below.
    pub partitions: Option<i32>,
    pub replication: Option<i32>,
    pub config: BTreeMap<String, String>,
}

/// Half of what a producer's transaction may take (`transaction.timeout.ms`), and far less than Postgres lets one idle: the
/// other half is for the commit.
pub const LONGEST_COMMIT_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct Route {
    pub name: String,
    pub topics: Vec<String>,
    pub format: Format,
    pub key: KeyFormat,
    pub group: String,
    pub start: Start,
    pub on_position_lost: OnPositionLost,
    pub where_raw: Option<RawTyped>,
    /// Ways through the route, tried in order: one for each `when_raw` case, or one alone.
    pub lanes: Vec<Lane>,
    pub otherwise: Otherwise,
    pub dlq: Dlq,
    pub delivery: Delivery,
    pub workers: u16,
    pub retry: Retry,
    pub breaker: Option<Breaker>,
    /// How often a batch commits while records flow.
    pub commit_interval: Duration,
    /// How long a foreign key may refuse a row before the row is at fault.
    pub fk_wait: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Confluent framing before an Avro body.
    Avro,
    Json,
}

/// How a record's key reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFormat {
    Bytes,
    String,
    /// Eight bytes, big endian, as Java's LongSerializer writes them.
    Long,
    Json,
    Avro,
}

/// Where a group that has no position begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
    /// Milliseconds since the epoch.
    Time(i64),
    /// Where another consumer group stands.
    Group(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPositionLost {
    /// The partition stands, with an alarm.
    Stop,
    /// Go on at the earliest record, and count the gap.
    Earliest,
}

/// One way through a route: a validator, and the cases that its decoded records may take.
#[derive(Clone, Debug)]
pub struct Lane {
    pub when_raw: Option<RawTyped>,
    pub validator: Validator,
    /// `where`: a record that does not match is filtered.
    pub filter: Option<Typed>,
    pub enrichers: Vec<Enricher>,
    /// The first whose `when` holds takes the record. Exactly one, without `when`, where the lane was chosen by `when_raw` or the route has no cases.
    pub branches: Vec<Branch>,
}

#[derive(Clone, Debug)]
pub struct Validator {
    /// The validator's name; of a route with a bare `schema`, that schema's.
    pub name: String,
    pub schema: Arc<Schema>,
    pub unknown_fields: UnknownFields,
    /// JSON holds bytes as base64, not as Avro's string of code points.
    pub base64: bool,
    /// JSON names the branch of a union where the value alone would not say which it is.
    pub named_unions: bool,
    pub rules: Vec<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownFields {
    Count,
    Reject,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub name: String,
    pub check: Typed,
    /// The expression as it stands in routes.toml.
    pub source: String,
    pub message: Option<String>,
    /// Counted, not dead-lettered.
    pub warn: bool,
}

/// An enricher in one route: what it sets there. `drop` and `rename` have gone into the views.
#[derive(Clone, Debug)]
pub struct Enricher {
    pub sets: Vec<Set>,
}

#[derive(Clone, Debug)]
pub struct Set {
    pub field: String,
    /// Its number among the values set on this way through the route, in order: lane's enrichers, then the branch's.
    pub added: u16,
    pub value: Typed,
    /// The Avro type of the new field: the schema's root.
    pub schema: Arc<Schema>,
}

/// One case of a route, or the whole route where it has none.
#[derive(Clone, Debug)]
pub struct Branch {
    /// The case's name; empty for a route without cases.
    pub name: String,
    pub when: Option<Typed>,
    pub enrichers: Vec<Enricher>,
    /// The record's fields after every enricher.
    pub view: View,
    /// At least one; all topics, or all tables of one database.
    pub destinations: Vec<Destination>,
}

#[derive(Clone, Debug)]
pub enum Destination {
    Topic(TopicDestination),
    Table(TableDestination),
}

#[derive(Clone, Debug)]
pub struct TopicDestination {
    pub topic: String,
    pub format: Format,
    /// The destination's schema; registered as `<topic>-value`.
    pub schema: Arc<Schema>,
    /// The same as it is registered.
    pub schema_text: String,
    /// Index in the view of each field of the new key; `None` keeps the original bytes.
    pub record_key: Option<Vec<usize>>,
    /// Keep the source's partition number, not the key's hash.
    pub same_partition: bool,
    /// Names of headers that are not carried over.
    pub drop_headers: Vec<String>,
    /// Headers added: name and a string expression.
    pub set_headers: Vec<(String, Typed)>,
    pub on_tombstone: OnTombstone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTombstone {
    Forward,
    Filter,
    DeadLetter,
    /// Tables: delete the row of the record's key.
    Delete,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableName {
    pub schema: Option<String>,
    pub table: String,
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(s) => write!(f, "{s}.{}", self.table),
            None => f.write_str(&self.table),
        }
    }
}

#[derive(Clone, Debug)]
pub struct TableDestination {
    pub database: String,
    pub table: TableName,
    /// Empty: rows are only appended.
    pub key_columns: Vec<String>,
    pub on_conflict: OnConflict,
    /// The column whose larger value wins, for updates and deletes.
    pub newer_by: Option<String>,
    pub on_tombstone: OnTombstone,
    /// One row per element of this array: index of the field in the view, the field indexes below it, and the element's type.
    pub for_each: Option<ForEach>,
    pub columns: Vec<Column>,
}

#[derive(Clone, Debug)]
pub struct ForEach {
    pub view: usize,
    pub path: Vec<u16>,
    pub schema: Arc<Schema>,
    pub item: NodeId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    Ignore,
    Update,
    Reject,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub value: ColumnValue,
    /// The column's Avro type, `node` of `schema`; a nullable union where NULL is possible.
    pub schema: Arc<Schema>,
    pub node: NodeId,
}

#[derive(Clone, Debug)]
pub enum ColumnValue {
    /// A field as it stands: index in the view, and the field indexes below it.
    Field { view: usize, path: Vec<u16> },
    /// A field of `for_each`'s element: field indexes from the element down; empty is the element itself.
    Item { path: Vec<u16> },
    /// Computed for each row.
    Expr(Typed),
}

/// Records that no case took.
#[derive(Clone, Debug)]
pub enum Otherwise {
    DeadLetter,
    Filter,
    /// Kept apart, whole, as dead letters are, and counted as delivered in the case `otherwise`.
    Apart(Dlq),
}

impl Otherwise {
    /// The place of their own that they have.
    pub fn place(&self) -> Option<&Dlq> {
        match self {
            Otherwise::Apart(place) => Some(place),
            Otherwise::DeadLetter | Otherwise::Filter => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dlq {
    Topic(String),
    Table {
        database: String,
        table: TableName,
    },
    /// The first dead letter stops the route.
    Stop,
    /// Dead letters are counted and dropped.
    Discard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    ExactlyOnce,
    AtLeastOnce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    pub initial: Duration,
    pub max: Duration,
    /// Stop the route after this long; `None` tries for ever.
    pub give_up_after: Option<Duration>,
}

/// When too many records fail, the configuration is likelier wrong than the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// Failed records among all, 0 to 1.
    pub share: f64,
    /// Records that a window needs before it is judged.
    pub min: u64,
    pub window: Duration,
}
