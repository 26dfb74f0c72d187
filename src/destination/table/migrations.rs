//! A database's migrations: sqlx's, read from their folder when they are needed.

use super::{
    bridge::{Bridge, CONNECT},
    postgres,
    refusals::{self, Class, Refusal},
    sqlite,
};
use crate::{
    config::Database,
    failure::{Cause, Setback},
};
use sqlx::{
    Connection, PgConnection, SqliteConnection,
    migrate::{Migrate, MigrateError, Migrator},
    sqlite::SqliteConnectOptions,
};
use std::{collections::HashSet, fmt, path::Path, time::Duration};
use tokio::runtime::Handle;

/// The time that all migrations of a database may take together.
const MIGRATING: Duration = Duration::from_secs(3600);

/// One process at a time; beside sqlx's own lock, which waits inside of a statement. The number is ours alone.
const TRY_LOCK: &str = "SELECT pg_try_advisory_lock(8097879408231344492)";
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// sqlx's own name for the table of applied migrations.
const TABLE: &str = "_sqlx_migrations";

/// One migration of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    pub version: i64,
    pub description: String,
}

impl Migration {
    fn of(migration: &sqlx::migrate::Migration) -> Migration {
        Migration { version: migration.version, description: migration.description.to_string() }
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.version, self.description.replace(' ', "_"))
    }
}

/// Migrations of the folder that the database does not have. Nothing is written.
///
/// # Errors
/// Stand: the folder cannot be read, or an applied migration has changed or is gone. Retry: the database does not answer.
pub fn pending(handle: &Handle, database: &Database) -> Result<Vec<Migration>, Setback> {
    let Some(folder) = &database.migrations else { return Ok(Vec::new()) };
    let bridge = Bridge { handle: handle.clone() };
    let migrator = read(&bridge, database, folder)?;
    let found = if database.is_sqlite() {
        let options = sqlite::to_look(database).map_err(|e| setback(database, &e.into()))?;
        let Some(options) = options else { return Ok(all(&migrator).map(Migration::of).collect()) };
        let mut connection = open_sqlite(&bridge, database, &options)?;
        with(&bridge, database, &migrator, async {
            let known = "SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'";
            match sqlx::query_scalar::<_, i64>(known).fetch_one(&mut connection).await? {
                0 => Ok(all(&migrator).collect()),
                _ => new(&migrator, &mut connection).await,
            }
        })
    } else {
        let mut connection = open_postgres(&bridge, database)?;
        with(&bridge, database, &migrator, async {
            let known = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
            match sqlx::query_scalar::<_, bool>(known).fetch_one(&mut connection).await? {
                false => Ok(all(&migrator).collect()),
                true => new(&migrator, &mut connection).await,
            }
        })
    };
    Ok(found?.into_iter().map(Migration::of).collect())
}

/// Applies what is pending, one process at a time; each migration is told once it is committed.
///
/// # Errors
/// As [`pending`]; and stand: a migration failed. Those before it are applied.
pub fn apply(handle: &Handle, database: &Database, told: &mut dyn FnMut(Migration)) -> Result<(), Setback> {
    let Some(folder) = &database.migrations else { return Ok(()) };
    let bridge = Bridge { handle: handle.clone() };
    let migrator = read(&bridge, database, folder)?;
    if database.is_sqlite() {
        let _turn = sqlite::turn(database).map_err(|r| setback(database, &r))?;
        let options = sqlite::options(database).map_err(|e| setback(database, &e.into()))?;
        let mut connection = open_sqlite(&bridge, database, &options)?;
        with(&bridge, database, &migrator, carry_out(&migrator, &mut connection, told))
    } else {
        let mut connection = open_postgres(&bridge, database)?;
        with(&bridge, database, &migrator, async {
            // Waited for without a statement under way: CREATE INDEX CONCURRENTLY waits for the end of every one.
            while !sqlx::query_scalar::<_, bool>(TRY_LOCK).fetch_one(&mut connection).await? {
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            carry_out(&migrator, &mut connection, told).await
        })
    }
}

async fn carry_out<C: Migrate>(
    migrator: &Migrator,
    connection: &mut C,
    told: &mut dyn FnMut(Migration),
) -> Result<(), MigrateError> {
    // Given back with the connection where something fails.
    connection.lock().await?;
    connection.ensure_migrations_table(TABLE).await?;
    for migration in new(migrator, connection).await? {
        connection.apply(TABLE, migration).await?;
        told(Migration::of(migration));
    }
    connection.unlock().await
}

fn read(bridge: &Bridge, database: &Database, folder: &Path) -> Result<Migrator, Setback> {
    bridge.handle.block_on(Migrator::new(folder)).map_err(|e| {
        let message = format!("migrations of database `{}` in {}: {e}", database.name, folder.display());
        Setback::stand(Cause::Database, message, "correct `migrations` of the database in routes.toml")
    })
}

/// The folder's migrations, without those that undo one.
fn all(migrator: &Migrator) -> impl Iterator<Item = &sqlx::migrate::Migration> {
    migrator.iter().filter(|m| !m.migration_type.is_down_migration())
}

/// Compares the folder with the database's table of applied migrations.
async fn new<'m, C: Migrate>(
    migrator: &'m Migrator,
    connection: &mut C,
) -> Result<Vec<&'m sqlx::migrate::Migration>, MigrateError> {
    if let Some(version) = connection.dirty_version(TABLE).await? {
        return Err(MigrateError::Dirty(version));
    }
    let applied = connection.list_applied_migrations(TABLE).await?;
    for a in &applied {
        let migration =
            all(migrator).find(|m| m.version == a.version).ok_or(MigrateError::VersionMissing(a.version))?;
        if migration.checksum != a.checksum {
            return Err(MigrateError::VersionMismatch(a.version));
        }
    }
    let done: HashSet<i64> = applied.iter().map(|a| a.version).collect();
    Ok(all(migrator).filter(|m| !done.contains(&m.version)).collect())
}

/// A migration that the database refuses: its SQL is at fault, unless the database itself or another session is. `whole`:
/// it ran in a transaction.
fn failed(database: &Database, version: i64, whole: bool, error: sqlx::Error) -> Setback {
    let refusal = Refusal::from(error);
    let environment = matches!(refusal.class, Class::Environment | Class::Configuration) || refusal.code == "42501";
    let message = format!("migration {version} of database `{}`: {}", database.name, refusal.text());
    let kept = match whole {
        true => "nothing of it was kept",
        false => "it runs without a transaction: undo by hand what it has left, such as an invalid index",
    };
    match refusal.class {
        _ if environment => Setback { message, ..setback(database, &refusal) },
        Class::Again => Setback {
            help: format!("another session was in the way: try again; {kept}"),
            ..Setback::retry(Cause::Database, message)
        },
        Class::Slow => Setback {
            help: format!("it was cancelled: `ALTER ROLE … SET statement_timeout` where it needs longer; {kept}"),
            ..Setback::retry(Cause::Database, message)
        },
        _ => Setback::stand(Cause::Database, message, format!("correct the migration's SQL; {kept}")),
    }
}

fn with<T>(
    bridge: &Bridge,
    database: &Database,
    migrator: &Migrator,
    work: impl Future<Output = Result<T, MigrateError>>,
) -> Result<T, Setback> {
    let done = bridge.handle.block_on(async { tokio::time::timeout(MIGRATING, work).await });
    let Ok(done) = done else {
        let seconds = MIGRATING.as_secs();
        return Err(setback(database, &Refusal::environment(format!("migrations took longer than {seconds} s"))));
    };
    done.map_err(|e| {
        let message = format!("migrations of database `{}`: {e}", database.name);
        let stand = |help: &str| Setback::stand(Cause::Database, message, help);
        match e {
            MigrateError::Execute(error) => setback(database, &error.into()),
            MigrateError::ExecuteMigration(error, version) => {
                let whole = !migrator.iter().any(|m| m.version == version && m.no_tx);
                failed(database, version, whole, error)
            }
            MigrateError::VersionMissing(_) => {
                stand("put the migration's file back: what is applied must stay in the folder")
            }
            MigrateError::VersionMismatch(_) => {
                stand("put the migration's file back as it was, and make the change in a new migration")
            }
            MigrateError::Dirty(_) => stand("the migration failed half-way: repair by hand, then remove its row"),
            _ => stand(""),
        }
    })
}

fn open_postgres(bridge: &Bridge, database: &Database) -> Result<PgConnection, Setback> {
    let options = postgres::options(database, "pointsman migrations").map_err(|e| setback(database, &e.into()))?;
    let mut connection = postgres::open(bridge, &options).map_err(|r| setback(database, &r))?;
    // A process that is killed in a long migration takes it along, and its lock. Servers before 14 do not know how, so
    // that they refuse it is no fault.
    let watched = sqlx::raw_sql("SET client_connection_check_interval = 2000").execute(&mut connection);
    let _ = bridge.wait(CONNECT, watched);
    Ok(connection)
}

fn open_sqlite(
    bridge: &Bridge,
    database: &Database,
    options: &SqliteConnectOptions,
) -> Result<SqliteConnection, Setback> {
    bridge.wait(CONNECT, SqliteConnection::connect_with(options)).map_err(|r| setback(database, &r))
}

fn setback(database: &Database, refusal: &Refusal) -> Setback {
    let dialect = if database.is_sqlite() { super::Dialect::Sqlite } else { super::Dialect::Postgres };
    refusal.setback(&refusals::place(dialect, &database.name))
}
