//! What is not a route: Kafka, the registry, databases, HTTP, topics.

use super::{
    address,
    context::Context,
    document::{Entry, Kind, Table, Value},
    keys,
    plan::{Database, Kafka, Registry, TopicSpec},
    problem::{Place, Problem},
    properties,
    section::{Name, Section, text, wrong_type},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub(super) fn kafka(main: &Section<'_>) -> Kafka {
    let cx = main.cx;
    if main.value("kafka").is_none() && !cx.is_misplaced(main.place, "kafka") {
        cx.report(
            Problem::error("missing-key", cx.end_of(main.place), "the file has no `[kafka]`")
                .help("write `[kafka]` with `bootstrap_servers = \"localhost:9092\"`"),
        );
    }
    let Some(section) = main.section("kafka", "`[kafka]`") else { return Kafka::default() };
    section.only(&keys::KAFKA);
    section.require("bootstrap_servers", "write `bootstrap_servers = \"host:9092\"`");
    check_addresses(&section);
    let before = cx.errors();
    let kafka = Kafka {
        bootstrap_servers: match section.value("bootstrap_servers").map(|v| &v.kind) {
            Some(Kind::String(_)) => section.text("bootstrap_servers").unwrap_or_default(),
            _ => String::new(),
        },
        properties: properties::read(&section, "properties"),
        consumer: properties::read(&section, "consumer"),
        producer: properties::read(&section, "producer"),
    };
    if cx.errors() == before {
        properties::check_together(&section, &kafka);
    }
    kafka
}

/// `host:port`, several with commas. librdkafka also takes a security protocol before each, and passes an address over whose
/// protocol is not the one of its properties.
fn check_addresses(kafka: &Section<'_>) {
    let Some(value) = kafka.value("bootstrap_servers") else { return };
    let Kind::String(_) = value.kind else {
        let help = "several brokers stand in one string: `\"a:9092,b:9092\"`";
        return wrong_type(kafka.cx, value, "a string", help);
    };
    let Some(servers) = text(kafka.cx, value) else { return };
    let bad = |server: &str| {
        let port =
            server.rsplit_once(':').is_none_or(|(name, port)| name.ends_with(':') || port.parse::<u16>().is_ok());
        server.is_empty() || server.contains([' ', '/', '@', '$']) || !port
    };
    if let Some(server) = servers.split(',').map(str::trim).find(|s| !is_open(s) && bad(s)) {
        let help = match server {
            _ if server.contains('$') => VARIABLE,
            _ if server.contains('@') => {
                "user and password stand in [kafka.properties]: `\"sasl.username\"` and `\"sasl.password\"`"
            }
            _ if server.contains("://") => {
                "write host and port alone; `\"security.protocol\"` in [kafka.properties] says how they are reached"
            }
            _ => "write host and port, as in `localhost:9092`; several with commas between them",
        };
        let message = format!("{} is no broker's address", shown(value, server));
        kafka.cx.report(Problem::error("bad-address", value.place, message).help(help));
    }
}

const VARIABLE: &str = "a variable is written `${NAME}`; `$NAME` stands for itself";

/// A value that is an address, or a part of it, as it may be told: without who logs in; of what a variable or a file holds,
/// nothing.
fn shown(value: &Value, address: &str) -> String {
    match &value.kind {
        Kind::String(written) if written.contains(address) => {
            format!("`{}`", address.rsplit('@').next().unwrap_or_default())
        }
        _ => "the value".to_owned(),
    }
}

/// Every leaf under its dotted name: `security.protocol = …` without quotes is a table to TOML, and means the same.
pub(super) fn collect(table: &Table, prefix: &str, found: &mut dyn FnMut(&str, &Entry)) {
    for entry in &table.entries {
        let name = format!("{prefix}{}", entry.key);
        match &entry.value.kind {
            Kind::Table(inner) => collect(inner, &format!("{name}."), found),
            _ => found(&name, entry),
        }
    }
}

pub(super) fn scalar(cx: &Context<'_>, value: &Value) -> Option<String> {
    match &value.kind {
        Kind::Integer(n) => Some(n.to_string()),
        Kind::Float(n) => Some(n.to_string()),
        Kind::Boolean(b) => Some(b.to_string()),
        Kind::String(_) => text(cx, value),
        _ => {
            wrong_type(cx, value, "a string, a number or a boolean", "");
            None
        }
    }
}

pub(super) fn registry(main: &Section<'_>) -> Option<Registry> {
    let section = main.section("schema_registry", "`[schema_registry]`")?;
    section.only(&keys::REGISTRY);
    let value = section.require("url", "write `url = \"http://localhost:8081\"`")?;
    let url = text(main.cx, value)?;
    let hosts = |url: &str| url.split(',').all(|one| !one.rsplit('@').next().unwrap_or_default().contains('$'));
    if !is_open(&url) && (!url.starts_with("http://") && !url.starts_with("https://") || !hosts(&url)) {
        main.cx.report(
            Problem::error("bad-url", value.place, format!("{} is no address of a registry", shown(value, &url)))
                .help(if hosts(&url) { "it begins with `http://` or `https://`" } else { VARIABLE }),
        );
    }
    Some(Registry {
        url,
        user: section.text("user"),
        password: section.text("password"),
        ca: section.name("ca").map(|n| authority(main.cx, &n)),
        unknown_id_grace: section.duration("unknown_id_grace").unwrap_or(Duration::from_secs(30)),
    })
}

/// The certificates of the authority that a registry's was signed by.
fn authority(cx: &Context<'_>, name: &Name) -> PathBuf {
    let path = cx.relative(name.place, Path::new(&name.text));
    if !is_open(&name.text) && !path.exists() {
        cx.report_unless_lenient(
            Problem::error("missing-file", name.place, format!("there is no file `{}`", path.display()))
                .help("paths begin at the folder of the file that names them"),
        );
    }
    path
}

/// Whether a variable without a value is still in the text: then nothing can be said about it.
pub(super) fn is_open(text: &str) -> bool {
    text.contains("${")
}

pub(super) fn databases(cx: &Context<'_>, entries: &[&Entry]) -> BTreeMap<String, Database> {
    let read = entries.iter().filter_map(|e| Some((e.key.clone(), database(cx, e)?)));
    read.collect()
}

fn database(cx: &Context<'_>, entry: &Entry) -> Option<Database> {
    let section = Section::of(cx, &entry.value, format!("database `{}`", entry.key), entry.key_place)?;
    section.only(&keys::DATABASE);
    let value =
        section.require("url", "write `url = \"sqlite://data/NAME.db\"` or `url = \"postgres://host/NAME\"`")?;
    let url = text(cx, value)?;
    let whole = from_file(cx, &section, url.clone());
    if url.starts_with("sqlite:") {
        address::sqlite(cx, value, &entry.key, &url, &whole);
    } else if !is_open(&url) && !["postgres:", "postgresql:"].iter().any(|s| url.starts_with(s)) {
        let scheme = url.split("://").next().unwrap_or_default();
        let message = format!("{} is no database that Pointsman writes to", shown(value, scheme));
        let help = match scheme.strip_prefix('$') {
            Some(name) => format!("a variable is written `${{{name}}}`"),
            None => "the address begins with `sqlite://` or `postgres://`".to_owned(),
        };
        cx.report(Problem::error("unknown-database-kind", value.place, message).help(help));
    } else if !is_open(&url) {
        address::postgres(cx, value, &entry.key, &url);
    }
    let migrations = section.name("migrations").map(|n| migrations(cx, &n, &url));
    Some(Database {
        name: entry.key.clone(),
        url: whole,
        user: section.text("user"),
        password: section.text("password"),
        migrations,
    })
}

/// A SQLite file is relative to the file that names it, as every path is.
fn from_file(cx: &Context<'_>, section: &Section<'_>, url: String) -> String {
    let Some((path, place)) = url.strip_prefix("sqlite://").zip(section.value("url").map(|v| v.place)) else {
        return url;
    };
    if path.starts_with('/') || is_open(path) {
        return url;
    }
    format!("sqlite://{}", cx.relative(place, Path::new(path)).display())
}

/// The named folder, or the one of the database's kind inside it: column types differ between Postgres and SQLite.
fn migrations(cx: &Context<'_>, name: &Name, url: &str) -> PathBuf {
    let path = cx.relative(name.place, Path::new(&name.text));
    if !is_open(&name.text) && !path.is_dir() {
        let (message, help) = match path.exists() {
            true => (format!("`{}` is no folder", path.display()), "name the folder of the migrations"),
            false => {
                let help = "paths begin at the folder of the file that names them";
                (format!("there is no folder `{}`", path.display()), help)
            }
        };
        cx.report(Problem::error("missing-folder", name.place, message).help(help));
    }
    let own = path.join(if url.starts_with("sqlite:") { "sqlite" } else { "postgres" });
    let folder = if own.is_dir() { own } else { path };
    if folder.is_dir() {
        check_migrations(cx, name.place, &folder);
    }
    folder
}

/// sqlx passes over files that are not named NUMBER_WORDS.sql, and takes the second file of a number for a change of the first.
fn check_migrations(cx: &Context<'_>, place: Place, folder: &Path) {
    let names = fs::read_dir(folder).and_then(|entries| {
        entries.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect::<Result<BTreeSet<_>, _>>()
    });
    let names = match names {
        Ok(names) => names,
        Err(e) => {
            let message = format!("cannot read the folder `{}`: {e}", folder.display());
            return cx.report(
                Problem::error("unreadable-folder", place, message)
                    .help("its migrations are compared with what is applied"),
            );
        }
    };
    let mut numbers: BTreeMap<(i64, bool), &str> = BTreeMap::new();
    for name in names.iter().filter(|n| n.to_ascii_lowercase().ends_with(".sql")) {
        let named = name.split_once('_').filter(|_| name.ends_with(".sql"));
        let number = named.map(|(number, _)| number.parse());
        let Some(Ok(number)) = number else {
            let at = folder.join(name);
            let unnumbered = match number {
                None => {
                    let message = format!("`{}` is not named as a migration: it is never applied", at.display());
                    Problem::warning("unnumbered-migration", place, message)
                }
                _ => Problem::error("unnumbered-migration", place, format!("`{}` has no number", at.display())),
            };
            let help = format!("a migration is named NUMBER_WORDS.sql, such as `{}`", migration_name(name));
            cx.report(unnumbered.help(help));
            continue;
        };
        if let Some(first) = numbers.insert((number, name.ends_with(".down.sql")), name) {
            let message = format!("{first} and {name} in `{}` have one number, {number}", folder.display());
            let help = "give the one that has not been applied yet a higher number";
            cx.report(Problem::error("same-number", place, message).help(help));
        }
    }
}

/// The name that was most likely meant: `V2__orders.sql` is `2_orders.sql`.
fn migration_name(name: &str) -> String {
    let stem = &name[..name.len() - ".sql".len()];
    let digit = |c: char| c.is_ascii_digit();
    let (number, words) =
        match stem.find(digit).map(|at| stem[at..].split_at(stem[at..].find(|c| !digit(c)).unwrap_or(stem.len() - at)))
        {
            Some((number, words)) => (number, words),
            None => ("3", stem),
        };
    let words = words.trim_matches(|c: char| !c.is_alphanumeric()).replace(|c: char| !c.is_alphanumeric(), "_");
    format!("{number}_{}.sql", if words.is_empty() { "orders" } else { &words })
}

pub(super) fn http(main: &Section<'_>) -> Option<String> {
    let section = main.section("http", "`[http]`")?;
    section.only(&keys::HTTP);
    let value = section.require("listen", "write `listen = \"127.0.0.1:9187\"`")?;
    let listen = text(main.cx, value)?;
    check_address(main.cx, &listen, value, "127.0.0.1:9187");
    Some(listen)
}

/// Host and port to listen on.
pub(super) fn check_address(cx: &Context<'_>, listen: &str, value: &Value, example: &str) {
    let named = listen.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    let variable = listen.contains('$');
    if !is_open(listen) && (variable || !named && listen.parse::<SocketAddr>().is_err()) {
        let help = if variable { VARIABLE.to_owned() } else { format!("write host and port: `{example}`") };
        cx.report(
            Problem::error("bad-address", value.place, format!("{} is no address to listen on", shown(value, listen)))
                .help(help),
        );
    }
}

pub(super) fn topics(cx: &Context<'_>, entries: &[&Entry]) -> BTreeMap<String, TopicSpec> {
    let read = entries.iter().filter_map(|e| Some((e.key.clone(), topic(cx, e)?)));
    read.collect()
}

fn topic(cx: &Context<'_>, entry: &Entry) -> Option<TopicSpec> {
    let section = Section::of(cx, &entry.value, format!("topic `{}`", entry.key), entry.key_place)?;
    section.only(&keys::TOPIC_SPEC);
    name_of_topic(cx, &Name { text: entry.key.clone(), place: entry.key_place });
    let mut config = BTreeMap::new();
    if let Some(own) = section.section("config", "`config`") {
        collect(own.table, "", &mut |name, entry| {
            config.extend(scalar(cx, &entry.value).map(|v| (name.to_owned(), v)));
        });
    }
    Some(TopicSpec {
        partitions: section.integer("partitions", 1..=100_000).map(|n| n as i32),
        replication: section.integer("replication", 1..=100).map(|n| n as i32),
        config,
    })
}

/// Kafka's rule for topic names.
pub fn is_topic_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && text.len() <= 249 && text != "." && text != ".." && text.chars().all(plain)
}

/// The rule in words.
pub const TOPIC_NAME: &str = "a topic's name is 1 to 249 letters, digits, `.`, `_` and `-`";

/// A topic that a route or collector names.
pub(super) fn check_topic_name(cx: &Context<'_>, name: &Name) {
    cx.mark_used("topics", &name.text);
    name_of_topic(cx, name);
}

fn name_of_topic(cx: &Context<'_>, name: &Name) {
    let text = name.text.as_str();
    if !is_open(text) && !is_topic_name(text) {
        let message = format!("Kafka has no topic named `{text}`");
        cx.report(Problem::error("bad-topic-name", name.place, message).help(TOPIC_NAME));
    }
}
