//! Collectors: HTTP front doors of topics.

use super::{
    context::Context,
    document::{Entry, Kind},
    keys,
    plan::{Format, Route, Validator},
    problem::{Place, Problem},
    routes::Named,
    section::{Section, text, wrong_type},
    settings::{check_address, check_topic_name, is_open},
    topic, unions, validators,
};
use crate::expr::View;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

/// Events come in by HTTP, are judged by a validator, and go to a topic.
#[derive(Clone, Debug)]
pub struct Collector {
    pub name: String,
    /// `host:port`; several collectors may share one, each with a path of its own.
    pub listen: String,
    /// Begins with `/`.
    pub path: String,
    pub topic: String,
    pub validator: Validator,
    /// What stands in the topic: JSON as it was sent, or Avro in Confluent's framing.
    pub format: Format,
    /// Indexes of the validator's fields that make the record's key; none for records without a key.
    pub record_key: Option<Vec<usize>>,
    /// A file of bearer tokens, one a line; `None` lets everybody in.
    pub tokens: Option<PathBuf>,
    /// Origins whose pages may send events; `*` is any.
    pub cors: Vec<String>,
    pub limits: CollectorLimits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectorLimits {
    /// Bytes of a request's body, and of what it is unpacked to.
    pub body: usize,
    /// Events of a request.
    pub events: usize,
    /// Requests a second of one client (a token, or without tokens an address); unlimited without.
    pub rate: Option<u32>,
}

const KIB: i64 = 1 << 10;
const DEFAULT_LIMITS: CollectorLimits = CollectorLimits { body: 1 << 20, events: 10_000, rate: None };

/// A collector as it was read, and where its format is said.
struct Read {
    collector: Collector,
    entry: Place,
    format: Option<Place>,
}

/// Reads every collector. `http` is where the pages are served.
pub(super) fn read(
    cx: &Context<'_>,
    entries: &[&Entry],
    named: &Named<'_>,
    routes: &[Route],
    http: Option<&str>,
) -> Vec<Collector> {
    let mut all: Vec<Read> = entries.iter().filter_map(|e| collector(cx, e, named, http)).collect();
    for i in 0..all.len() {
        let (before, now) = all.split_at_mut(i);
        check_place(cx, before, &now[0]);
        settle_format(cx, &mut now[0], named, routes);
    }
    all.into_iter().map(|r| r.collector).collect()
}

fn collector(cx: &Context<'_>, entry: &Entry, named: &Named<'_>, http: Option<&str>) -> Option<Read> {
    let section = Section::of(cx, &entry.value, format!("collector `{}`", entry.key), entry.key_place)?;
    section.only(&keys::COLLECTOR);
    let listen = listen(&section, http);
    let path = path(&section, &entry.key);
    section.require("topic", "write `topic = \"NAME\"`: where the events go");
    let topic = section.name("topic");
    topic.iter().for_each(|name| check_topic_name(cx, name));
    let format = section.choice("format", &[("json", Format::Json), ("avro", Format::Avro)]);
    let tokens = tokens(&section, listen.as_deref());
    let cors = cors(&section);
    let limits = limits(&section);
    let validator = validators::of(&section, &section, named.validators, named.schemas)?;
    let at = section.value("validator").or(section.value("schema")).map_or(section.place, |v| v.place);
    if !validator.named_unions {
        unions::ambiguous(&validator.schema, at).into_iter().for_each(|p| cx.report(p));
    }
    for rule in validator.rules.iter().filter(|r| !r.warn) {
        let Some(read) = rule.check.reads_record() else { continue };
        let message = format!("rule `{}` reads `{read}`, and an event is judged before it is a record", rule.name);
        cx.report(
            Problem::error("rule-of-record", at, message)
                .help("name a validator without this rule here, and keep the rule for the routes that read the topic"),
        );
    }
    let record_key = topic::record_key(&section, &View::of(&validator.schema));
    let collector = Collector {
        name: entry.key.clone(),
        listen: listen?,
        path,
        topic: topic?.text,
        validator,
        format: format.unwrap_or(Format::Json),
        record_key,
        tokens,
        cors,
        limits,
    };
    Some(Read { collector, entry: entry.key_place, format: section.value("format").map(|v| v.place) })
}

fn listen(section: &Section<'_>, http: Option<&str>) -> Option<String> {
    let value = section.require("listen", "write `listen = \"127.0.0.1:8088\"`: where clients send events to")?;
    let listen = text(section.cx, value)?;
    check_address(section.cx, &listen, value, "127.0.0.1:8088");
    if let Some(pages) = http.filter(|pages| clash(pages, &listen)) {
        section.cx.report(
            Problem::error("address-in-use", value.place, format!("`{pages}` is where `[http]` serves its pages"))
                .help("pages are for operators, collectors for clients: give them different ports"),
        );
    }
    Some(listen)
}

fn path(section: &Section<'_>, name: &str) -> String {
    let Some(value) = section.value("path") else {
        let path = format!("/{name}");
        check_path(section.cx, &path, section.place);
        return path;
    };
    let path = text(section.cx, value);
    path.iter().for_each(|path| check_path(section.cx, path, value.place));
    path.unwrap_or_default()
}

fn check_path(cx: &Context<'_>, path: &str, place: Place) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    let help = if path == "/openapi.json" {
        "the description of the interface is served there: choose another path"
    } else if is_open(path) || (path.starts_with('/') && path.chars().all(plain)) {
        return;
    } else {
        "write `path = \"/events\"`: letters, digits, `-`, `_`, `.`, `~` and `/`"
    };
    cx.report(Problem::error("bad-path", place, format!("`{path}` cannot be a collector's path")).help(help));
}

/// The file of tokens; a collector that anybody can reach has to say that anybody may send.
fn tokens(section: &Section<'_>, listen: Option<&str>) -> Option<PathBuf> {
    let cx = section.cx;
    let help = "write `auth = { tokens = \"secrets/tokens\" }`, a file with one token a line, or `auth = \"none\"`";
    let Some(value) = section.value("auth") else {
        let local = |l: &str| is_open(l) || ["127.", "localhost:", "[::1]"].iter().any(|own| l.starts_with(own));
        if listen.is_some_and(|l| !local(l)) {
            let message = format!("{} lets everybody who reaches it write to its topic", section.what);
            cx.report(Problem::warning("open-collector", section.key_place("listen"), message).help(help));
        }
        return None;
    };
    match &value.kind {
        Kind::String(word) if word == "none" => None,
        Kind::Table(_) => {
            let auth = section.section("auth", "`auth`")?;
            auth.only(&keys::AUTH);
            auth.require("tokens", "write `tokens = \"FILE\"`: bearer tokens, one a line");
            let name = auth.name("tokens")?;
            let file = cx.relative(name.place, Path::new(&name.text));
            let shown = file.display();
            let wrong = match std::fs::read(&file) {
                _ if is_open(&name.text) => None,
                Err(e) => Some(format!("cannot read the file `{shown}`: {e}")),
                Ok(text) if bearer_tokens(&text).next().is_none() => Some(format!("the file `{shown}` holds no token")),
                Ok(_) => None,
            };
            if let Some(message) = wrong {
                cx.report_unless_lenient(
                    Problem::error("missing-secret", name.place, message)
                        .help("it holds bearer tokens, one a line; relative paths begin at the file that names them"),
                );
            }
            Some(file)
        }
        _ => {
            cx.report(Problem::error("unknown-value", value.place, "`auth` is neither tokens nor none").help(help));
            None
        }
    }
}

/// One token a line; blank lines and those that begin with `#` are passed over.
pub fn bearer_tokens(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

fn cors(section: &Section<'_>) -> Vec<String> {
    let origins = section.names("cors");
    for origin in &origins {
        let host = origin.text.strip_prefix("https://").or(origin.text.strip_prefix("http://"));
        let good = origin.text == "*" || host.is_some_and(|h| !h.is_empty() && !h.contains(['/', '*', '?', '#', ' ']));
        if !good && !is_open(&origin.text) {
            section.cx.report(
                Problem::error("bad-origin", origin.place, format!("`{}` is no origin", origin.text))
                    .help("an origin is scheme, host and port as a browser sends it: `https://shop.example`; or `*`"),
            );
        }
    }
    origins.into_iter().map(|o| o.text).collect()
}

fn limits(section: &Section<'_>) -> CollectorLimits {
    let Some(limits) = section.section("limits", "`limits`") else { return DEFAULT_LIMITS };
    limits.only(&keys::LIMITS);
    let events = limits.integer("events", 1..=100_000).map_or(DEFAULT_LIMITS.events, |n| n as usize);
    let rate = limits.integer("rate", 1..=1_000_000).map(|n| n as u32);
    CollectorLimits { body: size(&limits, "body").unwrap_or(DEFAULT_LIMITS.body), events, rate }
}

/// "64KiB", "1MiB".
fn size(section: &Section<'_>, key: &str) -> Option<usize> {
    let value = section.value(key)?;
    let help = "sizes are written as \"64KiB\" or \"8MiB\", from 1KiB to 256MiB";
    let Kind::String(_) = value.kind else {
        wrong_type(section.cx, value, "a size in quotes", help);
        return None;
    };
    let typed = text(section.cx, value)?;
    let unit =
        [("KiB", KIB), ("MiB", KIB * KIB)].into_iter().find_map(|(unit, n)| Some((typed.strip_suffix(unit)?, n)));
    let bytes = unit.and_then(|(number, unit)| number.trim_end().parse::<i64>().ok()?.checked_mul(unit));
    let found = bytes.filter(|b| (KIB..=256 * KIB * KIB).contains(b));
    if found.is_none() && !is_open(&typed) {
        section.cx.report(Problem::error("bad-size", value.place, format!("`{typed}` is no size here")).help(help));
    }
    found.map(|b| b as usize)
}

/// Whether both cannot be listened on. What a name other than `localhost` stands for is not known here.
fn clash(one: &str, other: &str) -> bool {
    // Port 0 is a free one, another each time.
    let parts = |listen: &str| {
        let (host, port) = listen.rsplit_once(':').filter(|(_, port)| *port != "0")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        Some((host.parse::<IpAddr>().ok(), host, port.to_owned()))
    };
    let (Some((one, name, port)), Some((other, other_name, other_port))) = (parts(one), parts(other)) else {
        return false;
    };
    // `[::]` takes the port of every address, `0.0.0.0` that of every IPv4 address.
    let takes = |wide: Option<IpAddr>, host: Option<IpAddr>| {
        wide.is_some_and(|wide| wide.is_unspecified() && (wide.is_ipv6() || host.is_none_or(|host| host.is_ipv4())))
    };
    let own = |name: &str, host: Option<IpAddr>| {
        name == "localhost" && host.is_some_and(|host| host == Ipv4Addr::LOCALHOST || host == Ipv6Addr::LOCALHOST)
    };
    port == other_port
        && (name == other_name || takes(one, other) || takes(other, one) || own(&name, other) || own(&other_name, one))
}

/// Two collectors of one address need two paths; two of one port have to write their address alike.
fn check_place(cx: &Context<'_>, before: &[Read], now: &Read) {
    let apart =
        |r: &&Read| r.collector.listen != now.collector.listen && clash(&r.collector.listen, &now.collector.listen);
    if let Some(first) = before.iter().find(apart) {
        let message = format!(
            "collectors `{}` and `{}` take one port as {} and {}",
            first.collector.name, now.collector.name, first.collector.listen, now.collector.listen
        );
        cx.report(
            Problem::error("address-in-use", now.entry, message)
                .also(first.entry, "the other one")
                .help("write `listen` alike in both, so that they share the address, or give them different ports"),
        );
    }
    let same = |r: &&Read| r.collector.listen == now.collector.listen && r.collector.path == now.collector.path;
    if let Some(first) = before.iter().find(same) {
        let message = format!(
            "collectors `{}` and `{}` both take {}{}",
            first.collector.name, now.collector.name, now.collector.listen, now.collector.path
        );
        cx.report(
            Problem::error("shared-path", now.entry, message)
                .also(first.entry, "the other one")
                .help("give one of them another `path`"),
        );
    }
}

/// What the routes read that read this topic; a format that they do not read would dead-letter every event.
fn settle_format(cx: &Context<'_>, read: &mut Read, named: &Named<'_>, routes: &[Route]) {
    let Read { collector, entry, format } = read;
    let reads = |r: &&Route| r.topics.contains(&collector.topic);
    let word = |f: Format| if f == Format::Avro { "avro" } else { "json" };
    let mut readers = routes.iter().filter(reads);
    if let Some(place) = format {
        if let Some(other) = readers.find(|r| r.format != collector.format) {
            let message = format!(
                "collector `{}` writes {}, and route `{}` reads `{}` as {}",
                collector.name,
                word(collector.format),
                other.name,
                collector.topic,
                word(other.format)
            );
            cx.report(Problem::error("format-mismatch", *place, message).help(
                "each event would become a dead letter: leave `format` out to take the route's, or change the route",
            ));
        }
    } else if let Some(first) = readers.next() {
        collector.format = first.format;
        if let Some(other) = readers.find(|r| r.format != first.format) {
            let message =
                format!("routes `{}` and `{}` read `{}` in different formats", first.name, other.name, collector.topic);
            cx.report(
                Problem::error("format-mismatch", *entry, message).help("no event could please both: correct a route"),
            );
        }
    }
    if collector.format == Format::Avro && !named.registry {
        let message = format!("collector `{}` writes Avro, and there is no `[schema_registry]`", collector.name);
        cx.report(
            Problem::error("needs-registry", format.unwrap_or(*entry), message)
                .help("write `[schema_registry]` with `url = \"http://localhost:8081\"`, or `format = \"json\"` here"),
        );
    }
}
