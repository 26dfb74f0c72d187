//! A table being read: typed access to its keys, with a problem for each that does not fit.

use super::{
    context::Context,
    document::{Kind, Table, Value},
    keys::{self, Level},
    problem::{Place, Problem, nearest, one_of},
};
use std::{ops::RangeInclusive, time::Duration};

#[derive(Clone)]
pub(super) struct Section<'a> {
    pub cx: &'a Context<'a>,
    pub table: &'a Table,
    /// As messages call it: "route `orders`".
    pub what: String,
    /// Its name or header, where a missing key is reported.
    pub place: Place,
}

/// A name as it stands in the text.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub text: String,
    pub place: Place,
}

impl<'a> Section<'a> {
    /// A value that has to be a table.
    pub(super) fn of(cx: &'a Context<'a>, value: &'a Value, what: impl Into<String>, place: Place) -> Option<Self> {
        match &value.kind {
            Kind::Table(table) => Some(Section { cx, table, what: what.into(), place }),
            kind => {
                let brackets = "a header in single brackets makes a table, one in double brackets a list";
                let keys = "write `{ key = value, … }`, or a header with the keys below it";
                wrong_type(cx, value, "a table", if matches!(kind, Kind::Array(_)) { brackets } else { keys });
                None
            }
        }
    }

    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.table.get(key)
    }

    /// Whether a key stands in the table itself, not in `[defaults]`.
    pub(super) fn own(&self, key: &str) -> bool {
        self.table.entry(key).is_some_and(|e| !e.inherited)
    }

    pub(super) fn key_place(&self, key: &str) -> Place {
        self.table.entry(key).map_or(self.place, |e| e.key_place)
    }

    /// A whole file has no header, and so no place of its own.
    fn is_file(&self) -> bool {
        self.place.end == 0
    }

    pub(super) fn require(&self, key: &str, help: &str) -> Option<&'a Value> {
        let value = self.value(key);
        if value.is_none() && !self.cx.is_misplaced(self.place, key) {
            let message = format!("{} has no `{key}`", self.what);
            self.cx.report(match self.is_file() {
                true => self.cx.missing_on_top(self.place, self.table, message).help(help),
                false => Problem::error("missing-key", self.place, message).help(help),
            });
        }
        value
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.value(key).and_then(|v| text(self.cx, v))
    }

    pub(super) fn name(&self, key: &str) -> Option<Name> {
        self.value(key).and_then(|v| name(self.cx, v))
    }

    /// One string, or a list of them.
    pub(super) fn names(&self, key: &str) -> Vec<Name> {
        let Some(value) = self.value(key) else { return Vec::new() };
        match &value.kind {
            Kind::String(_) => name(self.cx, value).into_iter().collect(),
            Kind::Array(items) => items.iter().filter_map(|v| name(self.cx, v)).collect(),
            kind => {
                let help = if let Kind::Boolean(_) = kind { "" } else { quotes(kind) };
                wrong_type(self.cx, value, "a string or a list of strings", help);
                Vec::new()
            }
        }
    }

    /// As [`Section::names`], where a list of none is no answer; `help` says what is.
    pub(super) fn listed(&self, key: &str, help: &str) -> Vec<Name> {
        if let Some(value) = self.value(key)
            && matches!(&value.kind, Kind::Array(items) if items.is_empty())
        {
            self.cx.report(Problem::error("nothing-to-do", value.place, format!("`{key}` lists nothing")).help(help));
        }
        self.names(key)
    }

    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.value(key)?;
        let words = || choices.iter().map(|(word, _)| *word);
        let Kind::String(_) = value.kind else {
            wrong_type(self.cx, value, "a string", &format!("`{key}` is {}", one_of(words())));
            return None;
        };
        let typed = text(self.cx, value)?;
        let found = choices.iter().find(|(word, _)| *word == typed).map(|(_, t)| *t);
        if found.is_none() {
            let message = format!("`{key}` cannot be `{typed}`");
            let help = match nearest(&typed, words()) {
                Some(word) => format!("did you mean `{word}`? `{key}` is {}", one_of(words())),
                None => format!("`{key}` is {}", one_of(words())),
            };
            self.cx.report(Problem::error("unknown-value", value.place, message).help(help));
        }
        found
    }

    pub(super) fn integer(&self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.value(key)?;
        let found = match &value.kind {
            Kind::Integer(n) => Some(*n),
            // One variable alone may stand for a number.
            Kind::String(s) if s.starts_with("${") && s.find('}') == Some(s.len() - 1) => {
                let filled = text(self.cx, value)?;
                if filled == *s {
                    return None;
                }
                filled.trim().parse().ok()
            }
            _ => None,
        };
        match found {
            Some(n) if range.contains(&n) => Some(n),
            Some(n) => {
                let message = match *range.end() {
                    i64::MAX => format!("`{key}` is {n}, and has to be at least {}", range.start()),
                    end => format!("`{key}` is {n}, outside {} to {end}", range.start()),
                };
                self.cx.report(Problem::error("out-of-range", value.place, message));
                None
            }
            None => {
                let help = match &value.kind {
                    Kind::String(s) if s.contains("${") => {
                        "one variable alone, as in `\"${WORKERS:-2}\"`, stands for a whole number that it holds"
                    }
                    Kind::String(s) if s.parse::<i64>().is_ok() => "write it without quotes",
                    Kind::String(_) => "write a whole number, without a unit and without quotes",
                    _ => "",
                };
                wrong_type(self.cx, value, "an integer", help);
                None
            }
        }
    }

    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        let value = self.value(key)?;
        let help = "durations are written as \"100ms\", \"30s\", \"5m\", \"2h\" or \"1d\"";
        let Kind::String(_) = value.kind else {
            wrong_type(self.cx, value, "a duration in quotes", help);
            return None;
        };
        let typed = text(self.cx, value)?;
        let found = parse_duration(&typed);
        if found.is_none() {
            let message = format!("`{typed}` is no duration");
            self.cx.report(Problem::error("bad-duration", value.place, message).help(help));
        }
        found
    }

    pub(super) fn section(&self, key: &str, what: impl Into<String>) -> Option<Section<'a>> {
        let entry = self.table.entry(key)?;
        if !matches!(entry.value.kind, Kind::Table(_)) {
            let help = match key {
                "rules" => {
                    "write `[validators.NAME.rules]`, and below it a line for each: `name = \"expression\"`".to_owned()
                }
                "columns" => {
                    "write a line for each, `name = \"expression\"`; left out, each field is a column".to_owned()
                }
                "schema_registry" => "write `[schema_registry]` with `url = \"http://localhost:8081\"`".to_owned(),
                "set" => "write a line for each field: `name = \"expression\"`".to_owned(),
                "retry" => "write `retry = { initial = \"100ms\", max = \"30s\" }`".to_owned(),
                "breaker" => {
                    "write `breaker = { share = 0.5, min = 100, window = \"60s\" }`, or `{}` for these".to_owned()
                }
                "limits" => "write `limits = { body = \"1MiB\", events = 10000 }`".to_owned(),
                "rename" => "write `rename = { old = \"new\" }`".to_owned(),
                "headers" => "write `headers = { drop = [\"name\"], set = { name = \"expression\" } }`".to_owned(),
                "config" => "write `config = { \"retention.ms\" = \"60000\" }`".to_owned(),
                _ => format!("write `{key} = {{ key = value }}`, or a header with the keys below it"),
            };
            wrong_type(self.cx, &entry.value, "a table", &help);
            return None;
        }
        Section::of(self.cx, &entry.value, what, entry.key_place)
    }

    /// Refuses every key that this kind of table does not have.
    pub(super) fn only(&self, level: &Level) {
        for entry in &self.table.entries {
            if !level.keys.contains(&entry.key.as_str()) {
                self.unknown_key(&entry.key, entry.key_place, level);
            }
        }
    }

    fn unknown_key(&self, key: &str, place: Place, level: &Level) {
        let near = nearest(key, level.keys.iter().copied());
        let home = keys::home(key, level);
        let problem = Problem::error("unknown-key", place, format!("{} has no key `{key}`", level.what));
        self.cx.report(match (home, near) {
            _ if let Some(meant) = keys::meant(key, level) => {
                self.cx.mark_misplaced(place, meant);
                problem.help(format!("here it is called `{meant}`"))
            }
            // A name of the file that is near to a key of this table was meant to be that key.
            (Some(home), near) if home.depth < level.depth && (near.is_none() || home.depth > 0) => {
                self.cx.mark_misplaced(place, key);
                problem.label(format!("a key of {}", home.what)).help(format!(
                    "in TOML a key belongs to the header above it: write `{key}` above {}",
                    self.header(level)
                ))
            }
            (_, Some(near)) => {
                self.cx.mark_misplaced(place, near);
                problem.help(format!("did you mean `{near}`?"))
            }
            (Some(home), None) if home.header == level.header => problem
                .label(format!("a key of {}", home.what))
                .help("a destination with `database` and `table` is a table, one with `topic` a topic"),
            (Some(home), None) => {
                problem.label(format!("a key of {}", home.what)).help(format!("move `{key}` into {}", home.header))
            }
            (None, None) if level.what == keys::ENRICHER.what => {
                problem.help(format!("a field is set below `set`: `set = {{ {key} = \"…\" }}`"))
            }
            (None, None) if level.what == keys::HEADERS.what => {
                problem.help(format!("a header is set below `set`: `set = {{ {key} = \"…\" }}`"))
            }
            (None, None) if level.what == keys::TOPIC_SPEC.what => problem.help(
                "the brokers' own settings of a topic stand in `config`: `config = { \"retention.ms\" = \"60000\" }`",
            ),
            (None, None) if level.what == keys::KAFKA.what => {
                problem.help("librdkafka's own properties stand in `[kafka.properties]`, each name in quotes")
            }
            (None, None) => problem.help(format!("known keys: {}", level.keys.join(", "))),
        });
    }

    /// The header of this table as it is written, or, of an inline table, what it is.
    fn header(&self, level: &Level) -> String {
        let sources = self.cx.sources();
        match sources.line(self.place).trim() {
            line if line.starts_with('[') => format!("`{}`", line.split('#').next().unwrap_or(line).trim()),
            _ => level.what.to_owned(),
        }
    }
}

/// A string with its variables filled in.
pub(super) fn text(cx: &Context<'_>, value: &Value) -> Option<String> {
    match &value.kind {
        Kind::String(s) => Some(cx.interpolated(s, value.place)),
        kind => {
            wrong_type(cx, value, "a string", quotes(kind));
            None
        }
    }
}

/// What may help where a string is expected.
fn quotes(found: &Kind) -> &'static str {
    match found {
        Kind::Integer(_) | Kind::Float(_) | Kind::Boolean(_) | Kind::Datetime(_) => "write it in quotes",
        Kind::Array(items) if items.len() == 1 => "write the one value without brackets",
        _ => "",
    }
}

pub(super) fn name(cx: &Context<'_>, value: &Value) -> Option<Name> {
    text(cx, value).map(|text| Name { text, place: value.place })
}

pub(super) fn wrong_type(cx: &Context<'_>, value: &Value, expected: &str, help: &str) {
    let message = format!("expected {expected}, found {}", value.kind.name());
    cx.report(Problem::error("wrong-type", value.place, message).help(help));
}

/// A name that nothing has.
pub(super) fn unknown_name<'n>(
    cx: &Context<'_>,
    code: &'static str,
    kind: &str,
    name: &Name,
    known: impl IntoIterator<Item = &'n str>,
) {
    let known: Vec<&str> = known.into_iter().collect();
    let help = match nearest(&name.text, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("no {kind} is defined"),
        None if known.len() <= 12 => format!("known: {}", known.join(", ")),
        None => String::new(),
    };
    cx.report(Problem::error(code, name.place, format!("there is no {kind} `{}`", name.text)).help(help));
}

/// "100ms", "30s", "5m", "2h", "1d".
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let millis = match text[digits..].trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    // A year is longer than anything that waits here, and keeps later arithmetic far from its limits.
    let total = number.checked_mul(millis).filter(|t| *t <= 366 * 86_400_000)?;
    Some(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_end_at_a_year() {
        for (text, millis) in [("100ms", Some(100)), ("30s", Some(30_000)), ("5m", Some(300_000)), ("0s", Some(0))] {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text}");
        }
        for text in ["", "30", "s", "1.5s", "-1s", "1y", "99999999999999999999s", "367d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
