//! A connection made ready for a route: Pointsman's own tables are there, the targets have been checked.

use super::{
    ROUND, RouteContext,
    bridge::Bridge,
    check,
    letters::Place,
    live::{Dialect, LiveTable},
    own,
    postgres::Postgres,
    refusals::Refusal,
    session::Session,
    sqlite::Sqlite,
};
use crate::{
    config::{Database, Dlq},
    failure::{Cause, Setback},
    route::{TableTarget, Target},
};
use std::collections::HashSet;

/// The advisory lock under which Pointsman makes its own tables: workers that start at once would collide in the catalog.
const MAKING: i64 = 0x706f_696e_7473_6d6e;

pub(super) struct Link {
    pub session: Box<dyn Session>,
    pub dlq: Place,
    pub otherwise: Place,
    /// Names of constraints that refuse a row because its key is there already.
    pub rejecting: HashSet<String>,
    /// From so many records on a write does not wait for the commit.
    pub eager: usize,
}

impl Link {
    pub fn open(
        bridge: &Bridge,
        database: &Database,
        route: &RouteContext,
        targets: &[Target],
        place: &str,
    ) -> Result<Link, Setback> {
        let mut connected = connect(bridge, database, &route.group).map_err(|r| r.setback(place))?;
        let session = &mut *connected;
        make_own(session, place)?;
        let dialect = session.dialect();
        let mut found: Vec<(u16, &TableTarget, LiveTable)> = Vec::new();
        let mut rejecting = HashSet::new();
        for (index, target) in targets.iter().enumerate() {
            let Target::Table(target) = target else {
                return Err(Setback::stand(
                    Cause::Database,
                    "a route to tables has a topic among its destinations",
                    "",
                ));
            };
            let destination = &target.destination;
            let live = session.expect(&destination.table).map_err(|r| r.setback(place))?;
            check::check(dialect, database, destination, live.as_ref())?;
            let Some(live) = live else { continue };
            rejecting.extend(check::rejecting(dialect, destination, &live));
            found.push((index as u16, target, live));
        }
        let ready: Vec<_> = found.iter().map(|(index, target, live)| (*index, *target, live)).collect();
        session.prepare(&ready).map_err(|r| r.setback(place))?;
        let dlq = Place::open(session, &database.name, &route.dlq, place)?;
        let otherwise = Place::open(session, &database.name, route.otherwise.as_ref().unwrap_or(&Dlq::Discard), place)?;
        // SQLite has one writer: its transaction waits for the commit, so that others can have theirs meanwhile.
        let eager = if dialect == Dialect::Sqlite { 4 * ROUND } else { ROUND };
        Ok(Link { session: connected, dlq, otherwise, rejecting, eager })
    }
}

/// A connection, and nothing else.
pub(super) fn connect(bridge: &Bridge, database: &Database, group: &str) -> Result<Box<dyn Session>, Refusal> {
    let bridge = bridge.clone();
    if database.is_sqlite() {
        return Ok(Box::new(Sqlite::connect(bridge, database)?));
    }
    Ok(Box::new(Postgres::connect(bridge, database, &format!("pointsman {group}"))?))
}

/// Makes Pointsman's own tables where they are missing; a user without the right to make tables finds them made.
fn make_own(session: &mut dyn Session, place: &str) -> Result<(), Setback> {
    let own::Wrong { lacking, forbidden } = own::look_at(session, &[], place).map_err(|r| r.setback(place))?;
    if let Some(setback) = forbidden.into_iter().next() {
        return Err(setback);
    }
    if lacking.is_empty() {
        return Ok(());
    }
    let creates: Vec<String> = lacking.into_iter().map(|(_, create)| create).collect();
    under_lock(session, &creates).map_err(|r| r.setback(place))
}

/// Runs statements that make tables, one process at a time.
pub(super) fn under_lock(session: &mut dyn Session, statements: &[String]) -> Result<(), Refusal> {
    session.begin()?;
    if session.dialect() == Dialect::Postgres {
        session.run(&format!("SELECT pg_advisory_xact_lock({MAKING})"))?;
    }
    statements.iter().try_for_each(|sql| session.run(sql))?;
    session.commit()
}
