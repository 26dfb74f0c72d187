//! A Postgres database of a test's own.

use super::{block_on, services, unique};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use std::sync::LazyLock;

/// A database that is dropped with its last user.
pub struct Database {
    /// For routes.toml: `postgres://…`.
    pub url: String,
    pub pool: PgPool,
    name: String,
}

impl Database {
    /// An empty database; its name begins with `name`.
    pub fn new(name: &str) -> Database {
        let name = unique(name);
        maintain(format!("CREATE DATABASE {name}"));
        let (server, _) = SERVER.url.rsplit_once('/').expect("the server's URL names a database");
        let url = format!("{server}/{name}");
        let pool = block_on(PgPoolOptions::new().max_connections(4).connect(&url)).unwrap();
        Database { url, pool, name }
    }

    /// Runs statements that return nothing.
    pub fn execute(&self, sql: &str) {
        block_on(sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool)).unwrap();
    }

    /// The rows of a query, each as an object. Cast decimals to text: JSON numbers are doubles here.
    pub fn rows(&self, sql: &str) -> Vec<serde_json::Value> {
        let sql = format!("SELECT to_jsonb(r)::text FROM ({sql}) r");
        let rows: Vec<String> = block_on(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&self.pool)).unwrap();
        rows.iter().map(|r| serde_json::from_str(r).unwrap()).collect()
    }

    /// How many rows a table, or a query's `FROM` clause, has.
    pub fn count(&self, from: &str) -> i64 {
        block_on(sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {from}"))).fetch_one(&self.pool))
            .unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        maintain(format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

struct Server {
    /// Of the database from which others are made.
    url: String,
    _ours: Option<services::Service>,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    if let Ok(url) = std::env::var("POINTSMAN_TEST_POSTGRES") {
        return Server { url, _ours: None };
    }
    let url = |port| format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let ours = services::start_postgres().ready(|port| block_on(PgConnection::connect(&url(port))).is_ok());
    Server { url: url(ours.port), _ours: Some(ours) }
});

/// Runs a statement on the server's own database.
fn maintain(sql: String) {
    let server = &*SERVER;
    block_on(async {
        let mut connection = PgConnection::connect(&server.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    });
}
