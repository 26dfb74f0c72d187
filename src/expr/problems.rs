//! The problems of an expression, each in one place, so that their words agree.

use super::{Problem, types::Ty};
use std::ops::Range;

type Span = Range<usize>;

pub(super) fn problem(span: Span, code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Problem {
    Problem { span, code, message: message.into(), help: help.into() }
}

pub(super) fn syntax(span: Span, message: String, help: &str) -> Problem {
    problem(span, "syntax", message, help)
}

pub(super) fn too_deep(span: Span, most: usize) -> Problem {
    problem(
        span,
        "too-deep",
        format!("the expression nests deeper than {most} levels"),
        "split it into several rules, or set a field first and use that",
    )
}

pub(super) fn too_long(span: Span, most: usize) -> Problem {
    let help = "compare with a table or a set of short rules instead";
    problem(span, "too-long", format!("the expression is longer than {} KiB", most / 1024), help)
}

/// A name that is none of `known`; the nearest of them is offered.
pub(super) fn unknown_name<'k>(span: Span, what: &str, name: &str, known: impl Iterator<Item = &'k str>) -> Problem {
    let known: Vec<&str> = known.collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("there is `{near}`"),
        None if known.is_empty() => String::new(),
        None if known.len() <= 12 => format!("there are {}", quoted(&known)),
        None => String::new(),
    };
    problem(span, "unknown-name", format!("{what} `{name}`"), help)
}

pub(super) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|k| (strsim::damerau_levenshtein(&name.to_lowercase(), &k.to_lowercase()), k))
        .filter(|(distance, _)| *distance <= (name.len() / 3).max(1) && *distance < name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

pub(super) fn quoted(names: &[&str]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

pub(super) fn mismatch(span: Span, message: impl Into<String>, help: impl Into<String>) -> Problem {
    problem(span, "type-mismatch", message, help)
}

/// A value that may be null where none may be. `text` is the value as written, `place` whether it can be guarded by name,
/// `around` the record around it that may be missing.
pub(super) fn unguarded(span: Span, text: &str, ty: &Ty, place: bool, around: Option<&str>) -> Problem {
    let help = if place {
        format!("guard it: `{text} != null && …`, or give it a value: `{text} != null ? {text} : …`")
    } else {
        "guard the fields in it with `… != null && …`".into()
    };
    let why = match around {
        Some(around) => format!("`{around}` may be"),
        None => format!("it is {ty}"),
    };
    problem(span, "unguarded-null", format!("`{text}` may be null ({why})"), help)
}

pub(super) fn not_bool(span: Span, ty: &Ty, help: &str) -> Problem {
    problem(span, "not-bool", format!("expected a condition (bool), found {ty}"), help)
}

pub(super) fn lossy(span: Span, message: impl Into<String>, help: impl Into<String>) -> Problem {
    problem(span, "lossy-scale", message, help)
}

pub(super) fn mixed_time(span: Span) -> Problem {
    problem(
        span,
        "mixed-time",
        "an instant and a local time cannot be compared or subtracted: a local time has no zone",
        "compare timestamps with timestamps and local times with local times",
    )
}

pub(super) fn arguments(span: Span, message: impl Into<String>, help: impl Into<String>) -> Problem {
    problem(span, "wrong-arguments", message, help)
}
