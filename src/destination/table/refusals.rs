//! What a database's "no" means: for one record, for the transaction, or for everything.
//!
//! Postgres: by SQLSTATE (its documentation, appendix A). SQLite: by extended result code.

use super::live::Dialect;
use crate::failure::{Cause, Failure, Remedy, Setback, Stage};
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use std::{fmt, io};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A row is at fault; the failure's code.
    Record(&'static str),
    /// A row refers to one that may still come.
    ForeignKey,
    /// A row that fails alone while others pass is at fault; when every row fails, the database is.
    Other,
    /// What a statement names is not there, or may not be used, whichever rows it has: those of other tables may pass.
    Statement,
    /// The transaction collided with another one: the whole of it again.
    Again,
    /// A statement took too long: the transaction again, in smaller rounds.
    Slow,
    /// The connection, the server, the disk, the permissions.
    Environment,
    /// Nobody answers where routes.toml says that the server is.
    Unreachable,
    /// What routes.toml names is not what it should be, or may not be used: only a person mends that.
    Configuration,
}

/// One "no" of a database.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub class: Class,
    /// SQLSTATE, or SQLite's extended result code; empty where the database itself said nothing.
    pub code: String,
    pub message: String,
    /// The column at fault, where the database names one.
    pub column: String,
    /// The constraint that refused, where the database names one; SQLite names columns instead.
    pub constraint: String,
}

impl Refusal {
    pub fn environment(message: impl Into<String>) -> Self {
        Refusal {
            class: Class::Environment,
            code: String::new(),
            message: message.into(),
            column: String::new(),
            constraint: String::new(),
        }
    }

    /// A file or folder that the database's URL leads to: what was tried with it, and what came back.
    pub fn file(trying: impl fmt::Display, error: &io::Error) -> Self {
        use io::ErrorKind::{
            AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem,
        };
        let mut refusal = Refusal::environment(format!("{trying}: {error}"));
        if let AlreadyExists | IsADirectory | NotADirectory | NotFound | PermissionDenied | ReadOnlyFilesystem =
            error.kind()
        {
            refusal.class = Class::Configuration;
        }
        refusal
    }

    /// No connection stands to what is at this place.
    pub fn unreachable(self, place: impl fmt::Display) -> Self {
        if self.class != Class::Environment || !self.code.is_empty() {
            return self;
        }
        Refusal { class: Class::Unreachable, message: format!("{place}: {}", self.message), ..self }
    }

    /// The record's failure with this code.
    pub fn failure(&self, code: &'static str) -> Failure {
        Failure::new(Stage::Deliver, code, self.text()).at(self.column.clone())
    }

    /// Whether a trigger of the user's own said no (RAISE): it judges rows, whatever it says.
    pub fn is_raised(&self) -> bool {
        matches!(&*self.code, "P0001" | "1811")
    }

    /// The message with the database's code.
    pub fn text(&self) -> String {
        if self.code.is_empty() { self.message.clone() } else { format!("{} ({})", self.message, self.code) }
    }

    /// This refusal as the environment's.
    pub fn setback(&self, doing: &str) -> Setback {
        let help = match (self.class, self.code.get(..2)) {
            (Class::Unreachable, _) => "start it, or correct `url` of the database in routes.toml",
            (Class::Configuration, _) => {
                "correct `url` of the database in routes.toml, or the rights to its file and folder"
            }
            (Class::Statement, _) if self.code != "42501" => {
                "routes write to it: make it as it was, or correct routes.toml and restart"
            }
            (Class::Slow, _) => "the next try writes fewer rows at a time",
            (_, Some("28")) => {
                "check user and password of the database in routes.toml; where it names no user, that of PGUSER or of this \
                 process is taken"
            }
            (_, Some("3D")) => "create the database",
            (_, Some("42")) if self.code == "42501" => "grant the rights to this user",
            (_, Some("25")) if self.code == "25006" => {
                "the server or this user is read only: name the primary in `url`"
            }
            // SQLite's codes are shorter: READONLY, IOERR, CANTOPEN.
            _ if matches!(self.code.parse::<i32>().map(|c| c & 0xff), Ok(8 | 10 | 14)) && self.code.len() < 5 => {
                "this user has to be able to write to the file that `url` names, and to its folder"
            }
            _ => "",
        };
        Setback {
            cause: Cause::Database,
            remedy: if self.class == Class::Configuration { Remedy::Stand } else { Remedy::Retry },
            message: format!("{doing}: {}", self.text()),
            help: help.to_owned(),
        }
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        let sqlx::Error::Database(said) = &error else { return Refusal::environment(error.to_string()) };
        let Some(pg) = said.try_downcast_ref::<PgDatabaseError>() else {
            let code = said.code().unwrap_or_default().into_owned();
            let class = code.parse().map_or(Class::Other, |code| of_sqlite(code, said.message()));
            let (constraint, column) = sqlite_place(said.message());
            return Refusal { class, code, message: said.message().to_owned(), column, constraint };
        };
        let fatal = matches!(pg.severity(), PgSeverity::Fatal | PgSeverity::Panic);
        let mut message = match pg.table() {
            Some(table) if !pg.message().contains(table) => format!("{table}: {}", pg.message()),
            _ => pg.message().to_owned(),
        };
        if let Some(detail) = pg.detail() {
            message.push_str(": ");
            message.push_str(detail);
        }
        // A trigger's or a function's own statement has a context, and which rows it fails at is its own affair; so it is
        // with a policy, whose rows have no code of their own.
        let is_own = pg.r#where().is_none() && pg.routine() != Some("ExecWithCheckOptions");
        let class = match of_postgres(pg.code()) {
            _ if fatal => Class::Environment,
            Class::Statement if !is_own => Class::Other,
            class => class,
        };
        Refusal {
            class,
            code: pg.code().to_owned(),
            message,
            column: pg.column().or_else(|| copied_column(pg.r#where()?)).unwrap_or_default().to_owned(),
            constraint: pg.constraint().unwrap_or_default().to_owned(),
        }
    }
}

/// The class of an SQLSTATE.
pub(super) fn of_postgres(state: &str) -> Class {
    match state {
        "23502" => Class::Record("not-null-violation"),
        "23503" | "23001" => Class::ForeignKey,
        "23505" => Class::Record("unique-violation"),
        "23514" => Class::Record("check-violation"),
        // A row that is too large for an index.
        "54000" => Class::Record("row-refused"),
        "57014" => Class::Slow,
        // A schema, table or column that is not there; a right that is not granted.
        "3F000" | "42P01" | "42703" | "42501" => Class::Statement,
        // A file of the database is damaged.
        "XX001" | "XX002" => Class::Environment,
        _ => match state.get(..2).unwrap_or_default() {
            "22" => Class::Record("value-refused"),
            "23" => Class::Record("row-refused"),
            "40" => Class::Again,
            // 25: read only, or timed out in a transaction. 55: a lock was not to be had. 28, 3D: who, and where to.
            "08" | "53" | "57" | "58" | "25" | "28" | "3D" | "55" | "F0" => Class::Environment,
            _ => Class::Other,
        },
    }
}

/// The class of an extended result code of SQLite (its documentation, "Result and Error Codes").
pub(super) fn of_sqlite(code: i32, message: &str) -> Class {
    match code {
        // A plain error; its message says of what.
        1 if message.starts_with("no such table: ") || message.contains(" has no column named ") => Class::Statement,
        // `ON DELETE RESTRICT` has the code of a trigger's RAISE.
        1811 if message == "FOREIGN KEY constraint failed" => Class::ForeignKey,
        1299 => Class::Record("not-null-violation"),
        787 => Class::ForeignKey,
        2067 | 1555 | 2579 => Class::Record("unique-violation"),
        275 => Class::Record("check-violation"),
        // A value of the wrong type in a STRICT table or as a row id; a value that is too big.
        3091 | 20 | 18 => Class::Record("value-refused"),
        _ => match code & 0xff {
            // BUSY_SNAPSHOT: another connection wrote between our reading and writing.
            5 | 6 if code == 517 => Class::Again,
            // NOTADB
            26 => Class::Configuration,
            // PERM BUSY LOCKED NOMEM READONLY INTERRUPT IOERR CORRUPT FULL CANTOPEN PROTOCOL AUTH
            3 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 13 | 14 | 15 | 23 => Class::Environment,
            _ => Class::Other,
        },
    }
}

/// The column whose value a binary COPY could not read, out of `COPY t, line 1, column a`: the error itself names a type.
fn copied_column(context: &str) -> Option<&str> {
    let copy = context.lines().find(|line| line.starts_with("COPY "))?;
    copy.split_once(", column ").map(|(_, column)| column)
}

/// Constraint, in small letters as names of any case are one, and column out of `UNIQUE constraint failed: t.a, t.b`.
fn sqlite_place(message: &str) -> (String, String) {
    let Some((_, place)) = message.split_once("constraint failed: ") else { return Default::default() };
    let column = if place.contains(", ") { "" } else { place.rsplit_once('.').map_or("", |(_, column)| column) };
    (place.to_ascii_lowercase(), column.to_owned())
}

/// What to call the database when something is refused.
pub(super) fn place(dialect: Dialect, name: &str) -> String {
    format!("database `{name}` ({})", dialect.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_sqlstate_has_its_meaning() {
        let table = [
            ("08006", Class::Environment),
            ("53100", Class::Environment),
            ("57P01", Class::Environment),
            ("58030", Class::Environment),
            ("28P01", Class::Environment),
            ("3D000", Class::Environment),
            ("25006", Class::Environment),
            ("55P03", Class::Environment),
            ("40001", Class::Again),
            ("40P01", Class::Again),
            ("57014", Class::Slow),
            ("23503", Class::ForeignKey),
            ("23502", Class::Record("not-null-violation")),
            ("23505", Class::Record("unique-violation")),
            ("23514", Class::Record("check-violation")),
            ("23P01", Class::Record("row-refused")),
            ("22001", Class::Record("value-refused")),
            ("22P05", Class::Record("value-refused")),
            ("42P01", Class::Statement),
            ("42501", Class::Statement),
            ("42804", Class::Other),
            ("XX001", Class::Environment),
            ("P0001", Class::Other),
            ("54000", Class::Record("row-refused")),
            ("XX000", Class::Other),
            ("", Class::Other),
        ];
        for (state, class) in table {
            assert_eq!(of_postgres(state), class, "{state}");
        }
    }

    #[test]
    fn every_result_code_of_sqlite_has_its_meaning() {
        let table = [
            (1299, Class::Record("not-null-violation")),
            (2067, Class::Record("unique-violation")),
            (1555, Class::Record("unique-violation")),
            (275, Class::Record("check-violation")),
            (787, Class::ForeignKey),
            (3091, Class::Record("value-refused")),
            (13, Class::Environment),
            (8, Class::Environment),
            (1032, Class::Environment),
            (5, Class::Environment),
            (26, Class::Configuration),
            (517, Class::Again),
            (1, Class::Other),
            (1811, Class::Other),
        ];
        for (code, class) in table {
            assert_eq!(of_sqlite(code, "said no"), class, "{code}");
        }
        assert_eq!(of_sqlite(1, "no such table: orders"), Class::Statement);
        assert_eq!(of_sqlite(1, "table orders has no column named total"), Class::Statement);
        assert_eq!(of_sqlite(1811, "FOREIGN KEY constraint failed"), Class::ForeignKey);
    }

    #[test]
    fn sqlite_names_the_column_in_its_message() {
        assert_eq!(sqlite_place("NOT NULL constraint failed: t.a"), ("t.a".into(), "a".into()));
        assert_eq!(sqlite_place("UNIQUE constraint failed: t.a, t.b"), ("t.a, t.b".into(), String::new()));
        assert_eq!(sqlite_place("no such table: t"), Default::default());
    }
}
