//! The address of a database, judged before anything connects: sqlx passes over what it does not know in one, also a
//! parameter that was to ask for TLS.

use super::{
    context::Context,
    document::{Kind, Value},
    problem::{Problem, nearest, one_of},
    settings::is_open,
};
use sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};
use std::str::FromStr;

/// What sqlx reads of a Postgres address; a test compares. `options[NAME]` is one, too.
const POSTGRES: [&str; 17] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "options",
    "statement-cache-capacity",
    "ssl-mode",
    "ssl-root-cert",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
];
const SQLITE: [&str; 4] = ["mode", "cache", "immutable", "vfs"];

const FILE: &str = "write `sqlite://` and its path: `sqlite://data/NAME.db`";
const ESCAPE: &str = "in user, password and name write `%23` for `#`, `%2F` for `/`, `%3F` for `?` and `%40` for `@`; \
                      or give the database's `user` and `password` as keys of their own";

/// The address of a Postgres database, of this name in routes.toml.
pub(super) fn postgres(cx: &Context<'_>, value: &Value, name: &str, url: &str) {
    let bad = |message: String, help: &str| {
        cx.report(Problem::error("bad-url", value.place, message).help(help));
    };
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    if let Some(end) = cut(rest) {
        return bad(format!("the address of the database `{name}` is cut off at a `{end}`"), ESCAPE);
    }
    let known = |key: &str| {
        POSTGRES.contains(&key) || key.starts_with("options[") || key.to_ascii_lowercase().starts_with("options%5b")
    };
    if let Some(unknown) = keys(rest).find(|key| !known(key)) {
        return unknown_parameter(cx, value, name, unknown, &POSTGRES);
    }
    if let Err(why) = PgConnectOptions::from_str(url) {
        let why = why.to_string().replace("error with configuration: ", "");
        let help =
            "write `postgres://user:password@host:port/NAME`, with what is special in a password as `%40` and the like";
        bad(format!("the address of the database `{name}` cannot be read: {why}"), help);
    }
}

/// The address of a SQLite database: `//` and a file. One in memory is another one for each connection: no worker would find
/// what another has stored. `whole` is the address with the file's path as it is opened.
pub(super) fn sqlite(cx: &Context<'_>, value: &Value, name: &str, url: &str, whole: &str) {
    let bad = |message: String, help: &str| {
        cx.report(Problem::error("bad-url", value.place, message).help(help));
    };
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let has = |parameter: &str| parameters.split('&').any(|p| p == parameter);
    if path.ends_with(":memory:") || has("mode=memory") {
        return bad("a SQLite database in memory keeps no rows and no positions".to_owned(), FILE);
    }
    if path == "//" || !path.starts_with("//") && !is_open(rest) {
        return bad("a SQLite database is a file".to_owned(), FILE);
    }
    if is_open(rest) {
        return;
    }
    if let Some(unknown) = keys(rest).find(|key| !SQLITE.contains(key)) {
        return unknown_parameter(cx, value, name, unknown, &SQLITE);
    }
    if let Some(only) = ["mode=ro", "immutable=1", "immutable=true"].into_iter().find(|p| has(p)) {
        return bad(format!("rows and positions are written, and `{only}` forbids it"), "leave it out");
    }
    match SqliteConnectOptions::from_str(whole) {
        Err(why) => {
            let why = why.to_string().replace("error with configuration: ", "");
            bad(format!("the address of the database `{name}` cannot be read: {why}"), FILE);
        }
        Ok(options) if options.get_filename().is_dir() => {
            bad(format!("the address of the database `{name}` leads to a folder, not to a file"), FILE);
        }
        Ok(_) => {}
    }
}

/// Where a character that was meant for a password, say, has ended the address's first part.
fn cut(rest: &str) -> Option<char> {
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    if let Some((_, path)) = before.split_once('/')
        && path.contains('@')
    {
        return Some('/');
    }
    if rest.contains('#') {
        return Some('#');
    }
    let odd = |key: &str| key.contains('@') || !POSTGRES.contains(&key) && query.contains('@');
    keys(rest).any(odd).then_some('?')
}

/// The names of its parameters.
fn keys(rest: &str) -> impl Iterator<Item = &str> {
    let (_, query) = rest.split_once('?').unwrap_or_default();
    query.split('&').map(|p| p.split_once('=').map_or(p, |(key, _)| key)).filter(|key| !key.is_empty())
}

fn unknown_parameter(cx: &Context<'_>, value: &Value, name: &str, key: &str, known: &[&str]) {
    let written = matches!(&value.kind, Kind::String(written) if written.contains(key));
    let message = match written {
        true => format!("the address of the database `{name}` has a parameter `{key}` that Pointsman does not know"),
        false => format!("the address of the database `{name}` has a parameter that Pointsman does not know"),
    };
    let help = match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it may have {}", one_of(known.iter().copied())),
    };
    cx.report(Problem::error("unknown-parameter", value.place, message).help(help));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A parameter that sqlx does not know leaves its options as they are.
    #[test]
    fn sqlx_reads_every_known_parameter_and_no_other() {
        let options = |query: &str| PgConnectOptions::from_str(&format!("postgres://me@host:1/name{query}")).unwrap();
        let plain = format!("{:?}", options(""));
        let read = |key: &str, given: &str| format!("{:?}", options(&format!("?{key}={given}"))) != plain;
        for key in POSTGRES {
            let given = match key {
                "sslmode" | "ssl-mode" => "require",
                "hostaddr" => "127.0.0.9",
                _ => "99",
            };
            assert!(read(key, given), "{key}");
        }
        assert!(read("options[search_path]", "x") && read("options%5Bsearch_path%5D", "x"));
        for key in ["sslmod", "connect_timeout", "target_session_attrs"] {
            assert!(!read(key, "99"), "{key} is one by now");
        }
        for (key, given) in SQLITE.into_iter().zip(["rwc", "private", "false", "unix"]) {
            SqliteConnectOptions::from_str(&format!("sqlite://a?{key}={given}")).unwrap();
        }
    }
}
