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
            survey.lacking = tables(dialect, &needs.letters).into_iter().map(|own| own.name).collect();
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
    let mut own = Wrong::default();
    if !needs.destinations.is_empty() {
        own = look_at(session, &needs.letters, place).map_err(|r| r.setback(place))?;
        survey.lacking = own.lacking.into_iter().map(|(name, _)| name).collect();
    }
    survey.barred = barred(session, survey).map_err(|r| r.setback(place))?;
    if !survey.pending.is_empty() {
        return Ok(());
    }
    survey.unfit = own.forbidden;
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
        let creates = tables(dialect, &[table]).into_iter().filter(|own| own.name == *table).map(|own| own.create);
        under_lock(&mut *session, &creates.take(1).collect::<Vec<_>>())
    });
    made.map_err(|r| r.setback(&refusals::place(dialect, &database.name)))
}

/// A table of Pointsman's own, or one of letters.
struct Own {
    name: TableName,
    /// The SQL that makes it.
    create: String,
    /// The rights that it is used with.
    rights: &'static [&'static str],
}

/// Pointsman's own tables and these of letters.
fn tables(dialect: Dialect, letters: &[&TableName]) -> Vec<Own> {
    let positions = TableName { schema: None, table: "pointsman_positions".to_owned() };
    let own = [
        Own { name: positions, create: positions::create(dialect), rights: &positions::RIGHTS },
        Own { name: outbox::name(), create: outbox::create(dialect), rights: &outbox::RIGHTS },
    ];
    let letters = letters.iter().map(|name| Own {
        name: (*name).clone(),
        create: letters::create(dialect, name),
        rights: &letters::RIGHTS,
    });
    own.into_iter().chain(letters).collect()
}

/// What is wrong with such tables.
#[derive(Default)]
pub(super) struct Wrong {
    /// Those that the database does not have, with the SQL that makes them.
    pub lacking: Vec<(TableName, String)>,
    /// What the user may not do with one that is there.
    pub forbidden: Vec<Setback>,
}

/// Looks at Pointsman's own tables and these of letters, in a database which is at `at`.
pub(super) fn look_at(session: &mut dyn Session, letters: &[&TableName], at: &str) -> Result<Wrong, Refusal> {
    let mut wrong = Wrong::default();
    for Own { name, create, rights } in tables(session.dialect(), letters) {
        match session.inspect(&name)? {
            Some(live) => wrong.forbidden.extend(check::permitted(at, &name, &live, rights).err()),
            None => wrong.lacking.push((name, create)),
        }
    }
    Ok(wrong)
}
