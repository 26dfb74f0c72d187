//! What a database has and lacks of what the routes need: migrations, tables, and the tables of Pointsman's own.

use super::{
    bridge::Bridge,
    check, letters,
    link::{connect, under_lock},
    live::Dialect,
    migrations::{self, Migration},
    outbox, positions,
    refusals::{self, Refusal},
    session::Session,
    sqlite::{self, Sqlite},
};
use crate::{
    config::{Database, TableDestination, TableName},
    failure::{Cause, Remedy, Setback},
};
use tokio::runtime::Handle;

/// What the routes need of a database.
#[derive(Debug, Default)]
pub struct Needs<'p> {
    pub destinations: Vec<&'p TableDestination>,
    /// Tables of dead letters, and of records that no case took.
    pub letters: Vec<&'p TableName>,
}

/// A database as it stands.
#[derive(Debug, Default)]
pub struct Survey {
    pub pending: Vec<Migration>,
    /// Pointsman's own tables and those of letters, where they are missing: a route makes them when it starts.
    pub lacking: Vec<TableName>,
    /// Tables that do not take the routes' rows. Looked for where no migration is pending, which may mend it.
    pub unfit: Vec<Setback>,
    /// Why nothing can be made or written, where that is known.
    pub barred: Option<Setback>,
}

/// Looks at a database; changes nothing.
///
/// # Errors
/// As [`migrations::pending`].
pub fn survey(handle: &Handle, database: &Database, needs: &Needs<'_>) -> Result<Survey, Setback> {
    let is_written = !needs.destinations.is_empty() || database.migrations.is_some();
    let barred = if is_written && database.is_sqlite() { barred_from_file(database)? } else { None };
    match seen(handle, database, needs) {
        // Who may not write to a file cannot always look into it.
        Err(setback) if barred.is_some() && setback.remedy == Remedy::Retry => {
            Ok(Survey { barred, ..Survey::default() })
        }
        seen => seen.map(|survey| Survey { barred: barred.or(survey.barred), ..survey }),
    }
}

fn barred_from_file(database: &Database) -> Result<Option<Setback>, Setback> {
    let barred = sqlite::barred(database).map_err(|r| r.setback(&refusals::place(Dialect::Sqlite, &database.name)))?;
    let help = "let this user write to the file that `url` names, to those beside it and to their folder";
    Ok(barred.map(|why| Setback::stand(Cause::Database, why, help)))
}

fn seen(handle: &Handle, database: &Database, needs: &Needs<'_>) -> Result<Survey, Setback> {
    let bridge = Bridge { handle: handle.clone() };
    let dialect = if database.is_sqlite() { Dialect::Sqlite } else { Dialect::Postgres };
    let place = refusals::place(dialect, &database.name);
    let mut survey = Survey { pending: migrations::pending(handle, database)?, ..Survey::default() };
    let session: Option<Box<dyn Session>> = match database.is_sqlite() {
        true => Sqlite::look(bridge, database).map_err(|r| r.setback(&place))?.map(|s| Box::new(s) as Box<dyn Session>),
        false => Some(connect(&bridge, database, "plan").map_err(|r| r.setback(&place))?),
    };
    let Some(mut session) = session else {
        if !needs.destinations.is_empty() {
            survey.lacking = tables(dialect, &needs.letters).into_iter().map(|(name, _)| name).collect();
        }
        if survey.pending.is_empty() {
            let missing = needs.destinations.iter().map(|d| check::check(dialect, database, d, None));
            survey.unfit = missing.filter_map(Result::err).collect();
        }
        return Ok(survey);
    };
    look(&mut *session, database, needs, &mut survey, &place)?;
    Ok(survey)
}

fn look(
    session: &mut dyn Session,
    database: &Database,
    needs: &Needs<'_>,
    survey: &mut Survey,
    place: &str,
) -> Result<(), Setback> {
    let dialect = session.dialect();
    if !needs.destinations.is_empty() {
        let lacking = lacking(session, &needs.letters).map_err(|r| r.setback(place))?;
        survey.lacking = lacking.into_iter().map(|(name, _)| name).collect();
    }
    survey.barred = barred(session, survey).map_err(|r| r.setback(place))?;
    if !survey.pending.is_empty() {
        return Ok(());
    }
    for destination in &needs.destinations {
        let live = session.expect(&destination.table).map_err(|r| r.setback(place))?;
        survey.unfit.extend(check::check(dialect, database, destination, live.as_ref()).err());
    }
    for name in &needs.letters {
        if let Some(live) = session.inspect(name).map_err(|r| r.setback(place))? {
            survey.unfit.extend(letters::columns(dialect, name, place, &live).err());
        }
    }
    Ok(())
}

/// Whether this user may make the tables that are to be made: sqlx's own, and ours.
fn barred(session: &mut dyn Session, survey: &Survey) -> Result<Option<Setback>, Refusal> {
    if session.dialect() == Dialect::Sqlite || (survey.lacking.is_empty() && survey.pending.is_empty()) {
        return Ok(None);
    }
    let applied = TableName { schema: None, table: "_sqlx_migrations".to_owned() };
    if survey.lacking.is_empty() && session.inspect(&applied)?.is_some() {
        return Ok(None);
    }
    let asked = "SELECT current_user::text, current_schema()::text,
        coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";
    let row = session.fetch(asked, &[])?.into_iter().next().unwrap_or_default();
    let [user, schema, may] = &row[..] else { return Ok(None) };
    let why = match (schema.text(), may.int()) {
        (_, 1) => return Ok(None),
        ("", _) => format!("user {} has no schema to make tables in", user.text()),
        (schema, _) => format!("user {} may not make tables in schema {schema}", user.text()),
    };
    Ok(Some(Setback::stand(Cause::Database, why, "grant it, or apply as another user")))
}

/// Makes a table that is Pointsman's own, or one of dead letters, where it is missing.
///
/// # Errors
/// The database does not answer, or does not let this user make tables.
pub fn make(handle: &Handle, database: &Database, table: &TableName) -> Result<(), Setback> {
    let bridge = Bridge { handle: handle.clone() };
    let dialect = if database.is_sqlite() { Dialect::Sqlite } else { Dialect::Postgres };
    let made = connect(&bridge, database, "apply").and_then(|mut session| {
        let creates = tables(dialect, &[table]).into_iter().filter(|(name, _)| name == table).map(|(_, sql)| sql);
        under_lock(&mut *session, &creates.take(1).collect::<Vec<_>>())
    });
    made.map_err(|r| r.setback(&refusals::place(dialect, &database.name)))
}

/// Pointsman's own tables and these of letters, each with the SQL that makes it.
fn tables(dialect: Dialect, letters: &[&TableName]) -> Vec<(TableName, String)> {
    let positions = TableName { schema: None, table: "pointsman_positions".to_owned() };
    let own = [(positions, positions::create(dialect)), (outbox::name(), outbox::create(dialect))];
    let letters = letters.iter().map(|name| ((*name).clone(), letters::create(dialect, name)));
    own.into_iter().chain(letters).collect()
}

/// Those of them that the database does not have.
pub(super) fn lacking(session: &mut dyn Session, letters: &[&TableName]) -> Result<Vec<(TableName, String)>, Refusal> {
    let mut lacking = Vec::new();
    for (name, create) in tables(session.dialect(), letters) {
        if session.inspect(&name)?.is_none() {
            lacking.push((name, create));
        }
    }
    Ok(lacking)
}
