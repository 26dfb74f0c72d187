//! The five jobs that Pointsman ships, from generated records to the last row.

use crate::harness::{Database, block_on};
use sqlx::{SqlitePool, migrate::Migrator};
use std::path::Path;

#[test]
fn shipped_migrations_give_both_databases_the_same_tables() {
    for name in ["shop", "crm", "jobs"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(name);
        let postgres = Database::new(name);
        let columns =
            |rows: Vec<(String, String)>| rows.into_iter().filter(|(t, _)| !t.starts_with('_')).collect::<Vec<_>>();
        let (ours, theirs) = block_on(async {
            let migrator = Migrator::new(folder.join("postgres")).await.unwrap();
            migrator.run(&postgres.pool).await.unwrap();
            let sql = "SELECT table_name::text, column_name::text FROM information_schema.columns
                       WHERE table_schema = 'public' ORDER BY table_name, ordinal_position";
            let ours = sqlx::query_as(sql).fetch_all(&postgres.pool).await.unwrap();
            let sqlite = SqlitePool::connect("sqlite::memory:").await.unwrap();
            Migrator::new(folder.join("sqlite")).await.unwrap().run(&sqlite).await.unwrap();
            let sql = "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c
                       WHERE t.type = 'table' ORDER BY t.name, c.cid";
            (ours, sqlx::query_as(sql).fetch_all(&sqlite).await.unwrap())
        });
        assert_eq!(columns(ours), columns(theirs), "{name}");
    }
}
