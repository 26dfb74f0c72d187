//! Places for records that are kept apart: dead letters, and those that no case took.

use super::{
    document::{Kind, Value},
    keys,
    plan::{Database, Dlq, Otherwise, TopicSpec},
    problem::{Problem, nearest},
    section::{Name, Section, text, wrong_type},
    settings::check_topic_name,
    table,
};
use std::collections::BTreeMap;

const DLQ_HELP: &str = "write `dlq = \"TOPIC\"`, `dlq = { database = \"NAME\", table = \"dead_letters\" }`, \
    `dlq = \"stop\"` or `dlq = \"discard\"`, in the route or in `[defaults]`";

pub(super) fn dlq(
    route: &Section<'_>,
    databases: &BTreeMap<String, Database>,
    topics: &BTreeMap<String, TopicSpec>,
) -> Option<Dlq> {
    let value = route.require("dlq", DLQ_HELP)?;
    match &value.kind {
        Kind::String(_) => match text(route.cx, value)?.as_str() {
            "stop" => Some(Dlq::Stop),
            "discard" => Some(Dlq::Discard),
            word if !topics.contains_key(word) && !is_topic(route, value, word) => None,
            topic => {
                check_topic_name(route.cx, &Name { text: topic.to_owned(), place: value.place });
                Some(Dlq::Topic(topic.to_owned()))
            }
        },
        Kind::Table(_) => place(route, "dlq", value, databases),
        _ => {
            wrong_type(route.cx, value, "a topic or a table", DLQ_HELP);
            None
        }
    }
}

/// Whether a bare word that `[topics]` does not list is a topic: one that was meant as `stop` or `discard` would be made as a
/// topic, and take the dead letters.
fn is_topic(route: &Section<'_>, value: &Value, word: &str) -> bool {
    let meant = match word.to_ascii_lowercase().as_str() {
        "off" | "no" | "none" | "null" | "false" | "ignore" | "drop" | "skip" => {
            "`discard` keeps no dead letters, `stop` stops the route at the first one.".to_owned()
        }
        lower => match nearest(lower, ["stop", "discard"]) {
            Some(near) => format!("did you mean `{near}`?"),
            None => return true,
        },
    };
    let help = format!("{meant} A topic of this name is `dlq = {{ topic = \"{word}\" }}`");
    route.cx.report(Problem::error("unknown-value", value.place, format!("`dlq` cannot be `{word}`")).help(help));
    false
}

pub(super) fn otherwise(route: &Section<'_>, databases: &BTreeMap<String, Database>) -> Option<Otherwise> {
    let Some(value) = route.value("otherwise") else { return Some(Otherwise::DeadLetter) };
    if route.value("cases").is_none() {
        // A default holds for the routes that have cases.
        if route.own("otherwise") {
            route.cx.report(
                Problem::error("needs-cases", route.key_place("otherwise"), "`otherwise` without `cases`")
                    .help("a route without cases takes every record"),
            );
        }
        return Some(Otherwise::DeadLetter);
    }
    match value.kind {
        Kind::Table(_) => place(route, "otherwise", value, databases).map(Otherwise::Apart),
        Kind::String(ref word) if nearest(word, ["dead-letter", "filter"]).is_none() && !word.contains("${") => {
            let message = format!("`otherwise` cannot be `{word}`");
            let help =
                format!("`otherwise` is `dead-letter`, `filter`, or a place: `otherwise = {{ topic = \"{word}\" }}`");
            route.cx.report(Problem::error("unknown-value", value.place, message).help(help));
            None
        }
        _ => route
            .choice("otherwise", &[("dead-letter", false), ("filter", true)])
            .map(|filter| if filter { Otherwise::Filter } else { Otherwise::DeadLetter }),
    }
}

/// `{ topic }` or `{ database, table }`.
fn place(route: &Section<'_>, key: &str, value: &Value, databases: &BTreeMap<String, Database>) -> Option<Dlq> {
    let Kind::Table(table) = &value.kind else { return None };
    let section = Section { cx: route.cx, table, what: format!("`{key}`"), place: route.key_place(key) };
    section.only(&keys::APART);
    if section.value("topic").is_none() {
        let (database, table) = (table::database(&section, databases), table::table_name(&section));
        return Some(Dlq::Table { database: database?.text, table: table? });
    }
    if section.value("database").is_some() || section.value("table").is_some() {
        route.cx.report(
            Problem::error("two-destinations", value.place, format!("`{key}` names a topic and a table"))
                .help("write either `topic`, or `database` and `table`"),
        );
        return None;
    }
    let name = section.name("topic")?;
    check_topic_name(route.cx, &name);
    Some(Dlq::Topic(name.text))
}
