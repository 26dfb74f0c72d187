//! What is checked between the parts of a route, and between routes: one transaction, no loops, a group for each.

use super::{
    context::Context,
    destinations::{Domain, Placed},
    loops::Write,
    plan::{Destination, Dlq, Format, KeyFormat, OnTombstone, Otherwise, Route},
    problem::{Place, Problem},
    section::Section,
};

/// One transaction spans topics of the cluster, or tables of one database.
pub(super) fn one_domain(route: &Section<'_>, placed: &[Placed]) -> Option<Domain> {
    let mut known = placed.iter().filter_map(|p| Some((p.domain.clone()?, p.place)));
    let (first, place) = known.next()?;
    if let Some((other, there)) = known.find(|(d, _)| *d != first) {
        let message = format!("{} writes to {} and to {}", route.what, first.words(), other.words());
        route.cx.report(
            Problem::error("two-domains", there, message)
                .also(place, first.words())
                .label(other.words())
                .help("one transaction cannot span both: make two routes on this topic, each with a group of its own"),
        );
        return Some(first);
    }
    refuse_mixed_tombstones(route.cx, placed);
    Some(first)
}

/// Dead letters in a table are part of the transaction of the rows.
pub(super) fn check_apart(
    route: &Section<'_>,
    domain: Option<&Domain>,
    dlq: Option<&Dlq>,
    otherwise: Option<&Otherwise>,
) {
    for (key, place) in [("dlq", dlq), ("otherwise", otherwise.and_then(Otherwise::place))] {
        let (Some(Dlq::Table { database, .. }), Some(domain)) = (place, domain) else { continue };
        if *domain == Domain::Database(database.clone()) {
            continue;
        }
        let at = route.value(key).map_or(route.place, |v| v.place);
        let message = format!("`{key}` is a table of `{database}`, and {} writes to {}", route.what, domain.words());
        let help = match domain {
            Domain::Topics => "one transaction cannot span both: take a topic here".to_owned(),
            Domain::Database(own) => format!("one transaction cannot span both: take a table of `{own}`, or a topic"),
        };
        route.cx.report(Problem::error("two-domains", at, message).help(help));
    }
}

/// Confluent's framing is a schema's id: without a registry it says nothing.
pub(super) fn check_registry(route: &Section<'_>, format: Format, key: KeyFormat, placed: &[Placed]) {
    let writes = |p: &&Placed| matches!(&p.destination, Some(Destination::Topic(t)) if t.format == Format::Avro);
    let (place, what) = if format == Format::Avro {
        (route.value("format").map_or(route.place, |v| v.place), "reads Avro")
    } else if key == KeyFormat::Avro {
        (route.value("key").map_or(route.place, |v| v.place), "reads keys as Avro")
    } else if let Some(written) = placed.iter().find(writes) {
        (written.place, "writes Avro")
    } else {
        return;
    };
    route.cx.report(
        Problem::error("needs-registry", place, format!("{} {what}, and there is no `[schema_registry]`", route.what))
            .help("write `[schema_registry]` with `url = \"http://localhost:8081\"`, or `format = \"json\"` here"),
    );
}

/// A route must not read what it writes. What it writes is returned, for the loops that lead through other routes.
pub(super) fn check_loops(
    route: &Section<'_>,
    topics: &[String],
    placed: &[Placed],
    dlq: Option<&Dlq>,
    otherwise: Option<&Otherwise>,
) -> Vec<Write> {
    let cx = route.cx;
    let at = |key: &str| route.value(key).map_or(route.place, |v| v.place);
    let mut written = Vec::new();
    for p in placed {
        let Some(Destination::Topic(t)) = &p.destination else { continue };
        written.push(Write { topic: t.topic.clone(), place: p.place, what: "records" });
        if topics.contains(&t.topic) {
            let message = format!("{} writes to `{}`, which it reads", route.what, t.topic);
            cx.report(
                Problem::error("loop", p.place, message)
                    .also(at("topic"), "read here")
                    .help("its records would come back for ever: write to another topic"),
            );
        }
    }
    let mut apart = Vec::new();
    let otherwise = otherwise.and_then(Otherwise::place);
    for (key, place, what) in [("dlq", dlq, "dead letters"), ("otherwise", otherwise, "unmatched records")] {
        let Some(Dlq::Topic(topic)) = place else { continue };
        apart.push(Write { topic: topic.clone(), place: at(key), what });
        let message = if topics.contains(topic) {
            format!("`{key}` is `{topic}`, which the route reads")
        } else if written.iter().any(|w| w.topic == *topic) {
            format!("`{key}` is `{topic}`, which the route writes its good records to")
        } else {
            continue;
        };
        cx.report(
            Problem::error("loop", at(key), message).help("records that are kept apart need a topic of their own"),
        );
    }
    written.append(&mut apart);
    written
}

/// Two routes of one group would share the partitions of a topic that both are to read whole; of different topics, they
/// would take each other's members and transactions for older ones of their own.
pub(super) fn check_groups(cx: &Context<'_>, routes: &[(Route, Place, Vec<Write>)]) {
    for (i, (route, place, _)) in routes.iter().enumerate() {
        for (other, first, _) in routes[..i].iter().filter(|(other, ..)| other.group == route.group) {
            let shared = route.topics.iter().find(|t| other.topics.contains(t));
            let (reading, each) = match shared {
                Some(topic) => (format!("read `{topic}` as"), "would see only some of the records"),
                None => ("are".to_owned(), "would fence the other again and again"),
            };
            let message = format!("routes `{}` and `{}` {reading} one group `{}`", other.name, route.name, route.group);
            let help = format!("each {each}: give one of them another `group`, or leave it out");
            cx.report(Problem::error("shared-group", *place, message).also(*first, "the other route").help(help));
        }
    }
}

/// A tombstone has no fields to choose a case by: it goes to every destination of the route, and is dead-lettered whole.
fn refuse_mixed_tombstones(cx: &Context<'_>, all: &[Placed]) {
    let says = |p: &Placed| match &p.destination {
        Some(Destination::Topic(t)) => Some(t.on_tombstone),
        Some(Destination::Table(t)) => Some(t.on_tombstone),
        None => None,
    };
    let letters = all.iter().find(|p| says(p) == Some(OnTombstone::DeadLetter));
    let others = all.iter().find(|p| says(p).is_some_and(|t| t != OnTombstone::DeadLetter));
    let Some((letters, others)) = letters.zip(others) else { return };
    cx.report(
        Problem::error("unsuitable-tombstone", letters.place, "a tombstone is dead-lettered here, but not by its neighbour")
            .also(others.place, "the neighbour")
            .help("a tombstone goes to every destination of the route, and is dead-lettered whole: write `on_tombstone = \"filter\"` where it is nothing to do"),
    );
}
