//! `[kafka.properties]`, `[kafka.consumer]` and `[kafka.producer]`: librdkafka's own properties, judged by librdkafka.

use super::{
    document::{Entry, Kind},
    plan::Kafka,
    problem::{Problem, nearest},
    section::Section,
    settings::{collect, is_open, scalar},
};
use std::{collections::BTreeMap, path::Path};

/// What librdkafka says of its properties. It stands in a room below this one, so whoever loads a configuration brings it.
#[derive(Debug)]
pub struct Properties {
    pub known: Vec<Property>,
    /// Judges a name and its value, without contacting anything.
    pub judge: fn(&str, &str) -> Result<(), Refusal>,
    /// Judges all of them together; gives librdkafka's own words.
    pub clients: fn(&Kafka) -> Result<(), String>,
}

/// A property that may be set in routes.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    pub name: String,
    pub clients: Clients,
    /// The values that it takes, as `0 .. 1000` or `none, gzip, lz4`; empty where librdkafka does not say.
    pub range: String,
}

/// Which clients look at a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    All,
    Consumers,
    Producers,
}

/// Why a property cannot be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Unknown,
    /// librdkafka's own words; they may hold the value.
    Value(String),
}

/// librdkafka properties that follow from Pointsman's guarantees, and what stands for them.
const OWNED: &[(&str, &str)] = &[
    ("bootstrap.servers", "write it as `bootstrap_servers` in `[kafka]`"),
    ("metadata.broker.list", "write it as `bootstrap_servers` in `[kafka]`"),
    ("group.id", "a route has its own group: `group` in the route"),
    ("enable.auto.commit", "positions are committed together with what was delivered, never by a timer"),
    ("enable.auto.offset.store", "positions are committed together with what was delivered, never by a timer"),
    ("auto.commit.interval.ms", "write `commit_interval` in the route"),
    ("auto.offset.reset", "write `start` in the route for a new group, `on_position_lost` for a position that is gone"),
    ("isolation.level", "routes read committed records only; anything else would deliver records that never were"),
    ("enable.partition.eof", "the end of a partition is how a route knows that it has caught up"),
    ("transactional.id", "each worker has its own, which fences its predecessor"),
    ("enable.idempotence", "it is always on: without it a retry may write a record twice"),
    ("enable.gapless.guarantee", "transactions make it needless"),
    ("acks", "it is always `all`: anything less loses records when a broker fails"),
    ("request.required.acks", "it is always `all`: anything less loses records when a broker fails"),
    ("delivery.report.only.error", "a record counts as delivered when its report says so"),
];

/// Whether clients can be made of what has been read, every property of which has been taken.
pub(super) fn check_together(section: &Section<'_>, kafka: &Kafka) {
    let tables = ["properties", "consumer", "producer"];
    let Some(written) = tables.into_iter().find(|key| section.value(key).is_some()) else { return };
    let Some(properties) = section.cx.options.properties else { return };
    let unknown = |(name, value): (&String, &String)| {
        absent_file(name, value) || is_open(value) && (properties.judge)(name, value).is_err()
    };
    if [&kafka.properties, &kafka.consumer, &kafka.producer].into_iter().flatten().any(unknown) {
        return;
    }
    if let Err(why) = (properties.clients)(kafka) {
        section.cx.report(
            Problem::error("refused-properties", section.key_place(written), why)
                .help("these settings do not go together, or one of them is missing"),
        );
    }
}

/// A certificate or key that this machine does not have.
fn absent_file(name: &str, value: &str) -> bool {
    let is_file = name.starts_with("ssl.") && name.ends_with(".location") && value != "probe" && !is_open(value);
    is_file && !Path::new(value).exists()
}

pub(super) fn read(kafka: &Section<'_>, key: &str) -> BTreeMap<String, String> {
    let Some(section) = kafka.section(key, format!("`[kafka.{key}]`")) else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    collect(section.table, "", &mut |name, entry| {
        if let Some((_, reason)) = OWNED.iter().find(|(owned, _)| *owned == name) {
            kafka.cx.report(
                Problem::error("owned-property", entry.key_place, format!("Pointsman sets `{name}` itself"))
                    .help(*reason),
            );
        } else if let Some(value) = scalar(kafka.cx, &entry.value) {
            if let Some(problem) = kafka.cx.options.properties.and_then(|p| p.problem(key, name, entry, &value)) {
                kafka.cx.report(problem);
            }
            if absent_file(name, &value) {
                let message = format!("there is no file `{value}`");
                kafka.cx.report_unless_lenient(
                    Problem::error("missing-file", entry.value.place, message)
                        .help("a path in a property begins at the folder that pointsman is started in"),
                );
            }
            found.insert(name.to_owned(), value);
        }
    });
    found
}

const LISTED: &str = "librdkafka lists its properties in its CONFIGURATION.md";

impl Properties {
    fn problem(&self, table: &str, name: &str, entry: &Entry, value: &str) -> Option<Problem> {
        let known = self.known.iter().find(|p| p.name == name);
        match (self.judge)(name, value) {
            Err(Refusal::Unknown) => Some(self.unknown(name, entry)),
            // What the variable will hold is not known.
            Err(Refusal::Value(_)) if is_open(value) => None,
            Err(Refusal::Value(why)) => {
                let as_written = !matches!(&entry.value.kind, Kind::String(s) if s != value);
                // A value that comes from the environment or a file may be a secret.
                let why = if as_written { why } else { why.replace(value, "…") };
                let range = known.filter(|p| !p.range.is_empty()).map(|p| format!("it takes {}", p.range));
                let message = format!("librdkafka refuses this `{name}`: {why}");
                Some(
                    Problem::error("refused-property", entry.value.place, message)
                        .help(range.unwrap_or_else(|| LISTED.to_owned())),
                )
            }
            Ok(()) => {
                let (clients, other) = match (table, known?.clients) {
                    ("consumer", Clients::Producers) => ("consumers", "producer"),
                    ("producer", Clients::Consumers) => ("producers", "consumer"),
                    _ => return None,
                };
                let message = format!("librdkafka's {clients} do not look at `{name}`");
                Some(
                    Problem::warning("idle-property", entry.key_place, message)
                        .help(format!("move it into `[kafka.{other}]`")),
                )
            }
        }
    }

    fn unknown(&self, name: &str, entry: &Entry) -> Problem {
        let names = || self.known.iter().map(|p| p.name.as_str());
        // `linger` for `linger.ms`
        let longer = || names().find(|known| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
        let help = match nearest(name, names()).or_else(longer) {
            Some(near) => format!("did you mean `{near}`?"),
            None => LISTED.to_owned(),
        };
        Problem::error("unknown-property", entry.key_place, format!("librdkafka has no property `{name}`")).help(help)
    }
}
