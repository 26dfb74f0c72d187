//! Routes: what `[defaults]` says where they say nothing, and each of their keys.

use super::{
    apart, between,
    destinations::{Around, Domain},
    document::{Entry, Kind, Table, Value},
    enrichers::Enrichers,
    expressions, keys, lanes,
    loops::Write,
    plan::{
        Breaker, Database, Delivery, Dlq, Format, KeyFormat, LONGEST_COMMIT_INTERVAL, OnPositionLost, Otherwise, Retry,
        Route, Start, TopicSpec,
    },
    problem::Problem,
    schemas::Schemas,
    section::{Section, text, wrong_type},
    settings::check_topic_name,
    validators::Validators,
};
use std::{collections::BTreeMap, time::Duration};

/// Everything that routes name.
pub(super) struct Named<'a> {
    pub app: &'a str,
    /// Whether there is a schema registry.
    pub registry: bool,
    pub databases: &'a BTreeMap<String, Database>,
    pub topics: &'a BTreeMap<String, TopicSpec>,
    pub schemas: &'a Schemas,
    pub validators: &'a Validators,
    pub enrichers: &'a Enrichers<'a>,
}

/// A route's own table with what it inherits; `{route}` in a default is the route's name.
pub(super) fn with_defaults(entry: &Entry, defaults: Option<&Table>) -> Option<Table> {
    let Kind::Table(own) = &entry.value.kind else { return None };
    let mut table = own.clone();
    for default in defaults.iter().flat_map(|d| &d.entries) {
        let one_of_two = |a: &str, b: &str| default.key == a && own.get(b).is_some();
        let replaced = [("validator", "schema"), ("destination", "destinations")]
            .iter()
            .any(|(a, b)| one_of_two(a, b) || one_of_two(b, a));
        if own.get(&default.key).is_none() && !replaced && keys::ROUTE.keys.contains(&default.key.as_str()) {
            let mut inherited = default.clone();
            name_route(&mut inherited.value, &entry.key);
            inherited.inherited = true;
            table.entries.push(inherited);
        }
    }
    Some(table)
}

fn name_route(value: &mut Value, route: &str) {
    match &mut value.kind {
        Kind::String(text) => *text = text.replace("{route}", route),
        Kind::Array(items) => items.iter_mut().for_each(|v| name_route(v, route)),
        Kind::Table(table) => table.entries.iter_mut().for_each(|e| name_route(&mut e.value, route)),
        _ => {}
    }
}

/// Reads a route, and the topics it writes to. What has problems is a placeholder in it: there will be no plan.
pub(super) fn read(route: &Section<'_>, name: &str, named: &Named<'_>) -> (Route, Vec<Write>) {
    let cx = route.cx;
    route.only(&keys::ROUTE);
    let topics = topics(route);
    let format = route.choice("format", &[("avro", Format::Avro), ("json", Format::Json)]).unwrap_or(Format::Avro);
    let key = key_format(route);
    let where_raw = route.value("where_raw").and_then(|v| expressions::raw(cx, v, format == Format::Json));
    let around = Around {
        schemas: named.schemas,
        databases: named.databases,
        key,
        tombstones_decided: lanes::decide_tombstones(route),
    };
    let ways = lanes::Ways {
        route,
        around,
        validators: named.validators,
        enrichers: named.enrichers,
        json: format == Format::Json,
    };
    let (lanes, placed) = lanes::read(&ways);
    let dlq = apart::dlq(route, named.databases, named.topics);
    let otherwise = apart::otherwise(route, named.databases);
    let domain = between::one_domain(route, &placed);
    between::check_apart(route, domain.as_ref(), dlq.as_ref(), otherwise.as_ref());
    let writes = between::check_loops(route, &topics, &placed, dlq.as_ref(), otherwise.as_ref());
    if !named.registry {
        between::check_registry(route, format, key, &placed);
    }
    let route = Route {
        name: name.to_owned(),
        topics,
        format,
        key,
        group: route.text("group").unwrap_or_else(|| format!("{}.{name}", named.app)),
        start: start(route).unwrap_or(Start::Earliest),
        on_position_lost: on_position_lost(route),
        where_raw,
        lanes,
        otherwise: otherwise.unwrap_or(Otherwise::DeadLetter),
        dlq: dlq.unwrap_or(Dlq::Stop),
        delivery: delivery(route, domain.as_ref()),
        workers: route.integer("workers", 1..=64).unwrap_or(1) as u16,
        retry: retry(route),
        breaker: breaker(route),
        commit_interval: commit_interval(route),
        fk_wait: route.duration("fk_wait").unwrap_or(Duration::from_secs(30)),
    };
    (route, writes)
}

fn topics(route: &Section<'_>) -> Vec<String> {
    let Some(value) = route.require("topic", "write `topic = \"NAME\"`, or a list of topics") else {
        return Vec::new();
    };
    let names = route.names("topic");
    if let (Kind::Array(_), true) = (&value.kind, names.is_empty()) {
        route.cx.report(Problem::error("nothing-to-do", value.place, "no topic is listed"));
    }
    for (i, name) in names.iter().enumerate() {
        check_topic_name(route.cx, name);
        if let Some(first) = names[..i].iter().find(|n| n.text == name.text) {
            route.cx.report(
                Problem::error("duplicate-name", name.place, format!("`{}` is listed twice", name.text))
                    .also(first.place, "the first"),
            );
        }
    }
    names.into_iter().map(|n| n.text).collect()
}

fn key_format(route: &Section<'_>) -> KeyFormat {
    let choices = [
        ("bytes", KeyFormat::Bytes),
        ("string", KeyFormat::String),
        ("long", KeyFormat::Long),
        ("json", KeyFormat::Json),
        ("avro", KeyFormat::Avro),
    ];
    route.choice("key", &choices).unwrap_or(KeyFormat::Bytes)
}

fn on_position_lost(route: &Section<'_>) -> OnPositionLost {
    let choices = [("stop", OnPositionLost::Stop), ("earliest", OnPositionLost::Earliest)];
    route.choice("on_position_lost", &choices).unwrap_or(OnPositionLost::Stop)
}

const START_HELP: &str =
    "`start` is \"earliest\", \"latest\", a time as in \"2026-01-31T00:00:00Z\", or { group = \"another-group\" }";

fn start(route: &Section<'_>) -> Option<Start> {
    let value = route.value("start")?;
    let typed = match &value.kind {
        Kind::Table(_) => {
            let section = route.section("start", "`start`")?;
            section.only(&keys::START);
            section.require("group", START_HELP);
            return section.text("group").map(Start::Group);
        }
        Kind::Datetime(time) => time.clone(),
        Kind::String(_) => text(route.cx, value)?,
        _ => {
            wrong_type(route.cx, value, "a string, a time or a table", START_HELP);
            return None;
        }
    };
    match typed.as_str() {
        "earliest" => return Some(Start::Earliest),
        "latest" => return Some(Start::Latest),
        _ => {}
    }
    match typed.parse::<jiff::Timestamp>() {
        Ok(time) => Some(Start::Time(time.as_millisecond())),
        Err(_) => {
            let message = format!("a route cannot start at `{typed}`");
            let help = match typed.parse::<jiff::civil::DateTime>() {
                Ok(local) => format!("a time needs its zone: `{local}Z` for UTC, or an offset as in `{local}+02:00`"),
                Err(_) => START_HELP.to_owned(),
            };
            route.cx.report(Problem::error("bad-start", value.place, message).help(help));
            None
        }
    }
}

fn commit_interval(route: &Section<'_>) -> Duration {
    let interval = route.duration("commit_interval").unwrap_or(Duration::from_millis(100));
    if interval > LONGEST_COMMIT_INTERVAL {
        let place = route.value("commit_interval").map_or(route.place, |v| v.place);
        let message = format!("`commit_interval` is {interval:?}, above {LONGEST_COMMIT_INTERVAL:?}");
        route.cx.report(
            Problem::error("out-of-range", place, message).help(
                "a transaction stays open so long, and the brokers abort one of 10s: the route would never commit",
            ),
        );
    }
    interval
}

fn retry(route: &Section<'_>) -> Retry {
    let mut retry = Retry { initial: Duration::from_millis(100), max: Duration::from_secs(30), give_up_after: None };
    let Some(section) = route.section("retry", "`retry`") else { return retry };
    section.only(&keys::RETRY);
    retry.initial = section.duration("initial").unwrap_or(retry.initial);
    retry.max = section.duration("max").unwrap_or(retry.max.max(retry.initial));
    retry.give_up_after = section.duration("give_up_after");
    if retry.initial.is_zero() {
        let place = section.value("initial").map_or(section.place, |v| v.place);
        route.cx.report(Problem::error("out-of-range", place, "retrying without a pause is no help to what is down"));
    }
    if retry.max < retry.initial {
        route.cx.report(
            Problem::error("out-of-range", section.key_place("max"), "the longest pause is shorter than the first")
                .help("`max` is at least `initial`"),
        );
    }
    retry
}

/// `{ share, min, window }`, or `false` for a route that shall not have the default one.
fn breaker(route: &Section<'_>) -> Option<Breaker> {
    let value = route.value("breaker")?;
    if let Kind::Boolean(false) = value.kind {
        return None;
    }
    let section = route.section("breaker", "`breaker`")?;
    section.only(&keys::BREAKER);
    let share = section.value("share").and_then(|v| match v.kind {
        Kind::Float(f) if f > 0.0 && f <= 1.0 => Some(f),
        Kind::Integer(1) => Some(1.0),
        Kind::Float(_) | Kind::Integer(_) => {
            let message = "a share is above 0 and at most 1";
            route.cx.report(Problem::error("out-of-range", v.place, message).help("half of the records is 0.5"));
            None
        }
        _ => {
            wrong_type(route.cx, v, "a number", "half of the records is 0.5");
            None
        }
    });
    Some(Breaker {
        share: share.unwrap_or(0.5),
        min: section.integer("min", 1..=i64::MAX).unwrap_or(100) as u64,
        window: section.duration("window").unwrap_or(Duration::from_secs(60)),
    })
}

fn delivery(route: &Section<'_>, domain: Option<&Domain>) -> Delivery {
    let choices = [("exactly-once", Delivery::ExactlyOnce), ("at-least-once", Delivery::AtLeastOnce)];
    let chosen = route.choice("delivery", &choices).unwrap_or(Delivery::ExactlyOnce);
    let Some(Domain::Database(_)) = domain else { return chosen };
    // A default holds for the routes that have the choice.
    if route.own("delivery") {
        route.cx.report(
            Problem::error("not-for-tables", route.key_place("delivery"), "`delivery` is for routes to topics")
                .help("tables are always exactly once: rows and positions commit in one transaction. Leave it out"),
        );
    }
    Delivery::ExactlyOnce
}
