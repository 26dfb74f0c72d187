//! What dashboards and alerts say of a route, read from its plan.

use crate::config::{Branch, Destination, Dlq, Format, Route};

pub(super) struct About {
    pub name: String,
    group: String,
    topics: Vec<String>,
    destinations: Vec<String>,
    /// Where its dead letters are, for people; with an article or a preposition of its own.
    pub dead_letters: String,
    /// It has cases.
    pub cases: bool,
    /// A rule of it only warns.
    pub warns: bool,
    pub json: bool,
    /// Dead letters of its tables go to a topic.
    pub outbox: bool,
    /// The share of dead letters that its breaker takes for a fault of the configuration.
    pub breaker: Option<f64>,
}

impl About {
    pub(super) fn new(route: &Route) -> About {
        let branches: Vec<&Branch> = route.lanes.iter().flat_map(|l| &l.branches).collect();
        let mut destinations: Vec<String> = branches.iter().flat_map(|b| &b.destinations).map(destination).collect();
        let apart = route.otherwise.place();
        destinations.extend(apart.map(|place| format!("{} (what no case takes)", dead_letters(place))));
        let tables = branches.iter().flat_map(|b| &b.destinations).any(|d| matches!(d, Destination::Table(_)));
        let to_topic = [Some(&route.dlq), apart].into_iter().flatten().any(|d| matches!(d, Dlq::Topic(_)));
        About {
            name: route.name.clone(),
            group: route.group.clone(),
            topics: route.topics.clone(),
            destinations,
            dead_letters: dead_letters(&route.dlq),
            cases: branches.iter().any(|b| !b.name.is_empty()),
            warns: route.lanes.iter().flat_map(|l| &l.validator.rules).any(|r| r.warn),
            json: route.format == Format::Json,
            outbox: tables && to_topic,
            breaker: route.breaker.map(|b| b.share),
        }
    }

    /// The matcher of the route's series.
    pub(super) fn matcher(&self) -> String {
        label("route", &self.name)
    }

    pub(super) fn markdown(&self) -> String {
        let list = |names: &[String]| names.join(", ");
        let topics: Vec<String> = self.topics.iter().map(|t| format!("topic `{t}`")).collect();
        format!(
            "**{}** reads {} as consumer group `{}` and writes to {}.\n\nDead letters: {}.",
            self.name,
            list(&topics),
            self.group,
            list(&self.destinations),
            self.dead_letters
        )
    }
}

/// A matcher of PromQL, which escapes as JSON does.
pub(super) fn label(name: &str, value: &str) -> String {
    format!("{name}={}", serde_json::Value::from(value))
}

fn destination(d: &Destination) -> String {
    match d {
        Destination::Topic(t) => format!("topic `{}`", t.topic),
        Destination::Table(t) => format!("table `{}` of database `{}`", t.table, t.database),
    }
}

fn dead_letters(dlq: &Dlq) -> String {
    match dlq {
        Dlq::Topic(topic) => format!("topic `{topic}`"),
        Dlq::Table { database, table } => format!("table `{table}` of database `{database}`"),
        Dlq::Stop => "none is kept, the first one stops the route".into(),
        Dlq::Discard => "they are counted and dropped".into(),
    }
}
