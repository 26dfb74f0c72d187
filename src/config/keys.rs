//! Which keys stand where: unknown ones are refused with the nearest known one, or with the table they belong to.

/// A kind of table in routes.toml.
#[derive(Debug)]
pub(super) struct Level {
    /// As messages call it.
    pub what: &'static str,
    /// Where a key of it is written.
    pub header: &'static str,
    /// How deep it lies: a key of an outer table that stands in an inner one was most likely caught by a header above it.
    pub depth: u8,
    pub keys: &'static [&'static str],
}

pub(super) const FILE: Level = Level {
    what: "the file",
    header: "top of the file",
    depth: 0,
    keys: &[
        "version",
        "app",
        "include",
        "kafka",
        "schema_registry",
        "databases",
        "http",
        "topics",
        "defaults",
        "validators",
        "enrichers",
        "routes",
        "collectors",
    ],
};

/// A file that is included; the rest stands in the main file.
pub(super) const INCLUDED: Level = Level {
    what: "an included file",
    header: "top of the file",
    depth: 0,
    keys: &["version", "databases", "topics", "validators", "enrichers", "routes", "collectors"],
};

pub(super) const KAFKA: Level = Level {
    what: "`[kafka]`",
    header: "`[kafka]`",
    depth: 1,
    keys: &["bootstrap_servers", "properties", "consumer", "producer"],
};

pub(super) const REGISTRY: Level = Level {
    what: "`[schema_registry]`",
    header: "`[schema_registry]`",
    depth: 1,
    keys: &["url", "user", "password", "ca", "unknown_id_grace"],
};

pub(super) const DATABASE: Level = Level {
    what: "a database",
    header: "`[databases.NAME]`",
    depth: 1,
    keys: &["url", "user", "password", "migrations"],
};

pub(super) const HTTP: Level = Level { what: "`[http]`", header: "`[http]`", depth: 1, keys: &["listen"] };

pub(super) const TOPIC_SPEC: Level = Level {
    what: "a topic of `[topics]`",
    header: "`[topics.NAME]`",
    depth: 1,
    keys: &["partitions", "replication", "config"],
};

pub(super) const VALIDATOR: Level = Level {
    what: "a validator",
    header: "`[validators.NAME]`",
    depth: 1,
    keys: &["schema", "unknown_fields", "bytes", "unions", "rules"],
};

pub(super) const RULE: Level =
    Level {
        what: "a rule", header: "a rule, `{ check = …, … }`", depth: 2, keys: &["check", "message", "on_fail"]
    };

pub(super) const ENRICHER: Level =
    Level { what: "an enricher", header: "`[enrichers.NAME]`", depth: 1, keys: &["drop", "rename", "set", "lookup"] };

pub(super) const ROUTE: Level = Level { what: "the route", header: "`[routes.NAME]`", depth: 1, keys: ROUTE_KEYS };

/// `[defaults]` has the keys of a route.
pub(super) const DEFAULTS: Level = Level { what: "`[defaults]`", header: "`[defaults]`", depth: 1, keys: ROUTE_KEYS };

const ROUTE_KEYS: &[&str] = &[
    "topic",
    "format",
    "key",
    "group",
    "start",
    "on_position_lost",
    "where_raw",
    "validator",
    "schema",
    "where",
    "enricher",
    "dlq",
    "delivery",
    "workers",
    "retry",
    "breaker",
    "commit_interval",
    "fk_wait",
    "cases",
    "otherwise",
    "destination",
    "destinations",
];

pub(super) const CASE: Level = Level {
    what: "a case",
    header: "`[[routes.NAME.cases]]`",
    depth: 2,
    keys: &["name", "when_raw", "when", "validator", "schema", "enricher", "destination", "destinations"],
};

pub(super) const TOPIC: Level = Level {
    what: "a topic destination",
    header: "`[routes.NAME.destination]`",
    depth: 3,
    keys: &["topic", "format", "schema", "record_key", "partition", "headers", "on_tombstone"],
};

pub(super) const TABLE: Level = Level {
    what: "a table destination",
    header: "`[routes.NAME.destination]`",
    depth: 3,
    keys: &["database", "table", "for_each", "key_columns", "on_conflict", "newer_by", "on_tombstone", "columns"],
};

pub(super) const HEADERS: Level = Level { what: "`headers`", header: "`headers`", depth: 4, keys: &["drop", "set"] };
pub(super) const RETRY: Level =
    Level { what: "`retry`", header: "`retry`", depth: 2, keys: &["initial", "max", "give_up_after"] };
pub(super) const BREAKER: Level =
    Level { what: "`breaker`", header: "`breaker`", depth: 2, keys: &["share", "min", "window"] };
pub(super) const START: Level = Level { what: "`start`", header: "`start`", depth: 2, keys: &["group"] };

/// A place for records that are kept apart: dead letters, and those that no case took.
pub(super) const APART: Level =
    Level { what: "a place for dead letters", header: "`dlq`", depth: 2, keys: &["topic", "database", "table"] };

pub(super) const COLLECTOR: Level = Level {
    what: "a collector",
    header: "`[collectors.NAME]`",
    depth: 1,
    keys: &["listen", "path", "topic", "validator", "schema", "format", "record_key", "auth", "cors", "limits"],
};
pub(super) const AUTH: Level = Level { what: "`auth`", header: "`auth`", depth: 2, keys: &["tokens"] };
pub(super) const LIMITS: Level =
    Level { what: "`limits`", header: "`limits`", depth: 2, keys: &["body", "events", "rate"] };

/// Where to look for the home of a key that stands in the wrong table; routes' own tables first.
const HOMES: [&Level; 9] = [&ROUTE, &CASE, &TABLE, &TOPIC, &VALIDATOR, &RULE, &ENRICHER, &FILE, &KAFKA];

/// The table that this key belongs to, when it is not `here`.
pub(super) fn home(key: &str, here: &Level) -> Option<&'static Level> {
    HOMES.into_iter().find(|l| l.what != here.what && l.keys.contains(&key))
}

/// What a key that is known nowhere was most likely meant as: other tools call it so.
pub(super) fn meant(key: &str, here: &Level) -> Option<&'static str> {
    let meant = match key {
        "source" | "input" | "from" | "source_topic" | "input_topic" => "topic",
        "sink" | "output" | "target" | "to" | "dest" => "destination",
        "filter" => "where",
        "group_id" | "consumer_group" => "group",
        "dead_letter" | "dead_letters" | "dead_letter_queue" | "dead_letter_topic" | "errors" => "dlq",
        "threads" | "parallelism" | "concurrency" => "workers",
        "auto_offset_reset" | "offset" => "start",
        "key" | "message_key" | "partition_key" => "record_key",
        "replication_factor" | "replicas" => "replication",
        "primary_key" | "pk" | "keys" | "unique" => "key_columns",
        "mode" | "upsert" | "conflict" => "on_conflict",
        "brokers" | "servers" | "bootstrap" => "bootstrap_servers",
        "dsn" | "uri" | "connection" => "url",
        "bind" | "address" => "listen",
        "condition" | "if" if here.keys.contains(&"when") => "when",
        "condition" | "expr" | "expression" => "check",
        "remove" | "exclude" => "drop",
        "add" | "fields" => "set",
        _ => return None,
    };
    here.keys.iter().find(|k| **k == meant).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_every_key() {
        const README: &str = include_str!("../../README.md");
        let levels =
            [&FILE, &KAFKA, &REGISTRY, &DATABASE, &HTTP, &TOPIC_SPEC, &VALIDATOR, &RULE, &ENRICHER, &ROUTE, &CASE];
        let more = [&TOPIC, &TABLE, &HEADERS, &RETRY, &BREAKER, &START, &APART, &COLLECTOR, &AUTH, &LIMITS];
        let (_, reference) = README.split_once("## Reference: routes.toml").unwrap();
        let (reference, _) = reference.split_once("\n## ").unwrap();
        for level in levels.into_iter().chain(more) {
            for key in level.keys.iter().filter(|k| **k != "lookup") {
                // `key`, or within an inline table: `{ key, key }`, `{ key = … }`.
                let named = ["`", " "].iter().any(|before| {
                    ["`", ",", " }", " ="].iter().any(|after| reference.contains(&format!("{before}{key}{after}")))
                });
                assert!(named, "README.md does not tell of `{key}` of {}", level.what);
            }
        }
    }
}
