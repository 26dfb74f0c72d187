//! A database's migrations: sqlx's, read from their folder when they are needed.

use super::{
    bridge::{Bridge, CONNECT},
    postgres,
    refusals::{self, Refusal},
    sqlite,
};
use crate::{
    config::Database,
    failure::{Cause, Setback},
};
use sqlx::{
    Connection, PgConnection, SqliteConnection,
    migrate::{Migrate, MigrateError, Migrator},
};
use std::{collections::HashSet, fmt, path::Path, time::Duration};
use tokio::runtime::Handle;

/// The time that all migrations of a database may take together.
const MIGRATING: Duration = Duration::from_secs(3600);

/// sqlx's own name for the table of applied migrations.
const TABLE: &str = "_sqlx_migrations";

/// One migration of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    pub version: i64,
    pub description: String,
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.version, self.description.replace(' ', "_"))
    }
}

/// Migrations of the folder that the database does not have.
///
/// # Errors
/// Stand: the folder cannot be read, or an applied migration has changed or is gone. Retry: the database does not answer.
pub fn pending(handle: &Handle, database: &Database) -> Result<Vec<Migration>, Setback> {
    let Some(folder) = &database.migrations else { return Ok(Vec::new()) };
    let bridge = Bridge { handle: handle.clone() };
    let migrator = read(&bridge, database, folder)?;
    if database.is_sqlite() {
        let mut connection = open_sqlite(&bridge, database)?;
        with(&bridge, database, of(&migrator, &mut connection))
    } else {
        let mut connection = open_postgres(&bridge, database)?;
        with(&bridge, database, of(&migrator, &mut connection))
    }
}

/// Applies what is pending, one process at a time, and gives it.
///
/// # Errors
/// As [`pending`]; and stand: a migration failed.
pub fn apply(handle: &Handle, database: &Database) -> Result<Vec<Migration>, Setback> {
    let Some(folder) = &database.migrations else { return Ok(Vec::new()) };
    let bridge = Bridge { handle: handle.clone() };
    let migrator = read(&bridge, database, folder)?;
    if database.is_sqlite() {
        let turn = sqlite::turn(database).map_err(|r| setback(database, &r))?;
        let mut connection = open_sqlite(&bridge, database)?;
        let applied = with(&bridge, database, async {
            let pending = of(&migrator, &mut connection).await?;
            migrator.run(&mut connection).await?;
            Ok(pending)
        });
        drop(turn);
        applied
    } else {
        let mut connection = open_postgres(&bridge, database)?;
        with(&bridge, database, async {
            let pending = of(&migrator, &mut connection).await?;
            migrator.run(&mut connection).await?;
            Ok(pending)
        })
    }
}

fn read(bridge: &Bridge, database: &Database, folder: &Path) -> Result<Migrator, Setback> {
    bridge.handle.block_on(Migrator::new(folder)).map_err(|e| {
        let message = format!("migrations of database `{}` in {}: {e}", database.name, folder.display());
        Setback::stand(Cause::Database, message, "correct `migrations` of the database in routes.toml")
    })
}

/// Compares the folder with the database's table of applied migrations.
async fn of<C: Migrate>(migrator: &Migrator, connection: &mut C) -> Result<Vec<Migration>, MigrateError> {
    connection.ensure_migrations_table(TABLE).await?;
    if let Some(version) = connection.dirty_version(TABLE).await? {
        return Err(MigrateError::Dirty(version));
    }
    let applied = connection.list_applied_migrations(TABLE).await?;
    let known: Vec<_> = migrator.iter().filter(|m| !m.migration_type.is_down_migration()).collect();
    for a in &applied {
        let migration = known.iter().find(|m| m.version == a.version).ok_or(MigrateError::VersionMissing(a.version))?;
        if migration.checksum != a.checksum {
            return Err(MigrateError::VersionMismatch(a.version));
        }
    }
    let done: HashSet<i64> = applied.iter().map(|a| a.version).collect();
    let new = known.iter().filter(|m| !done.contains(&m.version));
    Ok(new.map(|m| Migration { version: m.version, description: m.description.to_string() }).collect())
}

fn with<T>(
    bridge: &Bridge,
    database: &Database,
    work: impl Future<Output = Result<T, MigrateError>>,
) -> Result<T, Setback> {
    let done = bridge.handle.block_on(async { tokio::time::timeout(MIGRATING, work).await });
    let Ok(done) = done else {
        let seconds = MIGRATING.as_secs();
        return Err(setback(database, &Refusal::environment(format!("migrations took longer than {seconds} s"))));
    };
    done.map_err(|e| {
        let stand = |help: &str| {
            Setback::stand(Cause::Database, format!("migrations of database `{}`: {e}", database.name), help)
        };
        match &e {
            MigrateError::VersionMissing(_) => {
                stand("put the migration's file back: what is applied must stay in the folder")
            }
            MigrateError::VersionMismatch(_) => {
                stand("put the migration's file back as it was, and make the change in a new migration")
            }
            MigrateError::Dirty(_) => stand("the migration failed half-way: repair by hand, then remove its row"),
            MigrateError::ExecuteMigration(..) => stand("correct the migration's SQL; nothing of it was kept"),
            MigrateError::Execute(_) => setback(database, &Refusal::environment(e.to_string())),
            _ => stand(""),
        }
    })
}

fn open_postgres(bridge: &Bridge, database: &Database) -> Result<PgConnection, Setback> {
    let options = postgres::options(database, "pointsman migrations").map_err(Refusal::from);
    let connected = options.and_then(|o| bridge.wait(CONNECT, PgConnection::connect_with(&o)));
    connected.map_err(|r| setback(database, &r))
}

fn open_sqlite(bridge: &Bridge, database: &Database) -> Result<SqliteConnection, Setback> {
    let options = sqlite::options(database).map_err(Refusal::from);
    let connected = options.and_then(|o| bridge.wait(CONNECT, SqliteConnection::connect_with(&o)));
    connected.map_err(|r| setback(database, &r))
}

fn setback(database: &Database, refusal: &Refusal) -> Setback {
    let dialect = if database.is_sqlite() { super::Dialect::Sqlite } else { super::Dialect::Postgres };
    refusal.setback(&refusals::place(dialect, &database.name))
}
