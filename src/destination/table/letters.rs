//! Dead letters inside the transaction: rows of a table, or of the outbox for a topic.

use super::{
    headers,
    link::under_lock,
    live::{Dialect, LiveTable},
    outbox,
    positions::Owner,
    refusals::{Class, Refusal},
    session::{Appended, Session},
    shape::Shape,
    statements::quote_table,
};
use crate::{
    codec::Cell,
    config::{Dlq, TableName},
    failure::{Cause, Failure, Setback},
    record::{Letter, MESSAGE_CAP, Record, attempts, capped},
};
use std::time::{SystemTime, UNIX_EPOCH};

/// A letter's columns in a table, in the order in which [`row`] fills them, and what each holds.
const COLUMNS: [(&str, Shape); 17] = [
    ("route", Shape::Text),
    ("case", Shape::Text),
    ("topic", Shape::Text),
    ("partition", Shape::Int),
    ("offset", Shape::Long),
    ("timestamp", Shape::Instant { digits: 3 }),
    ("stage", Shape::Text),
    ("code", Shape::Text),
    ("message", Shape::Text),
    ("field", Shape::Text),
    ("schema_id", Shape::Long),
    ("failed_at", Shape::Instant { digits: 3 }),
    ("version", Shape::Text),
    ("attempts", Shape::Long),
    ("key", Shape::Bytes),
    ("value", Shape::Bytes),
    ("headers", Shape::Json),
];

/// The rights that letters need in their table.
pub(super) const RIGHTS: [&str; 1] = ["INSERT"];

/// The years 0 to 9999, in milliseconds, which every database keeps: a producer may write anything as a record's timestamp.
const TIMES: std::ops::Range<i64> = -62_167_219_200_000..253_402_300_800_000;

/// Where letters go.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Table(Appended),
    /// A topic, by way of the outbox.
    Topic(String),
    /// The first letter stops the route.
    Stop,
    Discard,
}

impl Place {
    /// Opens a place: a dead-letter table that is missing is made.
    ///
    /// # Errors
    /// Its table is in another database, or has other columns.
    pub fn open(session: &mut dyn Session, database: &str, dlq: &Dlq, at: &str) -> Result<Place, Setback> {
        match dlq {
            Dlq::Topic(topic) => Ok(Place::Topic(topic.clone())),
            Dlq::Stop => Ok(Place::Stop),
            Dlq::Discard => Ok(Place::Discard),
            Dlq::Table { database: other, table } if other != database => Err(Setback::stand(
                Cause::Database,
                format!("dead letters go to table `{table}` of database `{other}`, and rows to `{database}`"),
                "one transaction holds both: name a table of the same database, or a topic",
            )),
            Dlq::Table { table, .. } => Ok(Place::Table(self::table(session, table, at)?)),
        }
    }
}

fn table(session: &mut dyn Session, name: &TableName, at: &str) -> Result<Appended, Setback> {
    let inspect = |session: &mut dyn Session| session.inspect(name).map_err(|r| r.setback(at));
    let live = match inspect(session)? {
        Some(live) => live,
        None => {
            let create = create(session.dialect(), name);
            under_lock(session, &[create]).map_err(|r| r.setback(at))?;
            tracing::info!(table = %name, "made the dead-letter table, which was not there");
            inspect(session)?.unwrap_or_default()
        }
    };
    super::check::permitted(at, name, &live, &RIGHTS)?;
    columns(session.dialect(), name, at, &live)
}

/// A live table as one of dead letters.
///
/// # Errors
/// It lacks a column, or has one that does not take what letters hold, or one that nothing fills.
pub(super) fn columns(dialect: Dialect, name: &TableName, at: &str, live: &LiveTable) -> Result<Appended, Setback> {
    let wrong = |column: &str, why: &str| {
        let message = format!("table `{name}` of {at} cannot take dead letters: column `{column}` {why}");
        let help = format!("name another table, or let Pointsman make it:\n{}", create(dialect, name));
        Setback::stand(Cause::Database, message, help)
    };
    let columns = COLUMNS.iter().map(|(column, shape)| {
        let found =
            live.columns.iter().find(|c| dialect.same(&c.name, column)).ok_or_else(|| wrong(column, "is missing"))?;
        super::check::fits(*shape, found).map_err(|why| wrong(column, &format!("is {}: {why}", found.type_name)))?;
        Ok(found.clone())
    });
    let columns = columns.collect::<Result<_, Setback>>()?;
    if let Some(column) =
        super::check::unfilled(live, |name| COLUMNS.iter().any(|(column, _)| dialect.same(column, name)))
    {
        let why = "is NOT NULL, and no letter fills it: give it a default";
        return Err(wrong(column, why));
    }
    Ok(Appended { name: name.clone(), columns })
}

/// A letter must fit its table: nothing can be done about one that does not but by a person. The environment's refusals are
/// waited for; so is a right to be granted, which needs no restart.
fn refused(dialect: Dialect, name: &TableName, at: &str, refusal: &Refusal) -> Setback {
    match refusal.class {
        Class::Record(_) | Class::ForeignKey | Class::Other | Class::Statement if refusal.code != "42501" => {
            let message = format!("{at}: the dead-letter table `{name}` refuses a letter: {}", refusal.text());
            let help = format!("let it take what letters hold; as Pointsman would make it:\n{}", create(dialect, name));
            Setback::stand(Cause::Database, message, help)
        }
        _ => refusal.setback(at),
    }
}

/// The table of dead letters.
pub fn create(dialect: Dialect, name: &TableName) -> String {
    let (id, time, bytes, json) = match dialect {
        Dialect::Postgres => ("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "TIMESTAMPTZ", "BYTEA", "JSONB"),
        Dialect::Sqlite => ("INTEGER PRIMARY KEY", "TEXT", "BLOB", "TEXT"),
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {} (
    \"id\" {id},
    \"route\" TEXT NOT NULL, \"case\" TEXT NOT NULL,
    \"topic\" TEXT NOT NULL, \"partition\" INTEGER NOT NULL, \"offset\" BIGINT NOT NULL, \"timestamp\" {time},
    \"stage\" TEXT NOT NULL, \"code\" TEXT NOT NULL, \"message\" TEXT NOT NULL, \"field\" TEXT NOT NULL,
    \"schema_id\" BIGINT, \"failed_at\" {time} NOT NULL, \"version\" TEXT NOT NULL, \"attempts\" BIGINT NOT NULL,
    \"key\" {bytes}, \"value\" {bytes}, \"headers\" {json} NOT NULL
);",
        quote_table(name)
    )
}

/// Letters of one write, borrowed from its records.
pub(super) struct Letters<'a> {
    owner: &'a Owner,
    route: &'a str,
    failed_at: i64,
    rows: Vec<(&'a Place, Vec<Cell<'a>>)>,
}

impl<'a> Letters<'a> {
    pub fn new(owner: &'a Owner, route: &'a str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Letters { owner, route, failed_at: i64::try_from(now.as_millis()).unwrap_or(i64::MAX), rows: Vec::new() }
    }

    /// Takes a record up.
    ///
    /// # Errors
    /// The place is [`Place::Stop`].
    pub fn add(
        &mut self,
        place: &'a Place,
        case: &'a str,
        record: Record<'a>,
        failure: &'a Failure,
    ) -> Result<(), Setback> {
        let (route, failed_at) = (self.route, self.failed_at);
        let letter = Letter { route, case, record, failure, failed_at, attempts: attempts(&record) };
        let row = match place {
            Place::Discard => return Ok(()),
            Place::Stop => return Err(stop(&letter)),
            Place::Table(_) => row(&letter),
            Place::Topic(topic) => outbox::row(self.owner, topic, &letter),
        };
        self.rows.push((place, row));
        Ok(())
    }

    /// Writes what has been taken up.
    pub fn write(self, session: &mut dyn Session, at: &str) -> Result<(), Setback> {
        let mut rows = self.rows;
        while let Some((place, _)) = rows.first() {
            let place: &Place = place;
            let (now, later): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(p, _)| std::ptr::eq(*p, place));
            rows = later;
            let cells: Vec<Vec<Cell<'_>>> = now.into_iter().map(|(_, row)| row).collect();
            match place {
                Place::Table(table) => {
                    let written = session.append(table, &cells);
                    written.map_err(|r| refused(session.dialect(), &table.name, at, &r))?;
                }
                _ => session.append(&outbox::table(), &cells).map_err(|r| r.setback(at))?,
            }
        }
        Ok(())
    }
}

fn stop(letter: &Letter<'_>) -> Setback {
    let r = &letter.record;
    Setback::dead_letter(letter.route, format!("{}/{} offset {}", r.topic, r.partition, r.offset), letter.failure)
}

fn row<'a>(letter: &Letter<'a>) -> Vec<Cell<'a>> {
    let (r, failure) = (&letter.record, letter.failure);
    let instant = |millis: i64| if TIMES.contains(&millis) { Cell::Instant(millis * 1000) } else { Cell::Null };
    let headers = headers::encode(r.headers.iter().map(|h| (h.name, h.value)));
    vec![
        text(letter.route),
        text(letter.case),
        text(r.topic),
        Cell::Int(r.partition.into()),
        Cell::Int(r.offset),
        r.timestamp.map_or(Cell::Null, instant),
        text(failure.stage.name()),
        text(&failure.code),
        text(capped(&failure.message, MESSAGE_CAP)),
        text(capped(&failure.field, MESSAGE_CAP)),
        failure.schema_id.map_or(Cell::Null, |id| Cell::Int(id.into())),
        instant(letter.failed_at),
        text(env!("CARGO_PKG_VERSION")),
        Cell::Int(letter.attempts.into()),
        r.key.map_or(Cell::Null, Cell::Bytes),
        r.value.map_or(Cell::Null, Cell::Bytes),
        Cell::Json(headers.into_bytes()),
    ]
}

/// Text without zero characters, which Postgres does not take.
pub(super) fn text(text: &str) -> Cell<'_> {
    if text.contains('\0') { Cell::Json(text.replace('\0', "\u{fffd}").into_bytes()) } else { Cell::Text(text) }
}
