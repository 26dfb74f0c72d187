//! `${VAR}`, `${VAR:-default}` and `${file:PATH}` in strings; `$${` is a literal `${`.

use super::{
    context::Context,
    problem::{Place, Problem},
};
use std::path::Path;

/// The text with its variables filled in; `place` is the string's. One that has no value stays as it is written, with a problem.
pub(super) fn interpolate(cx: &Context<'_>, text: &str, place: Place) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = text[from..].find("${").map(|i| from + i) {
        if text[from..at].ends_with('$') {
            out.push_str(&text[from..at - 1]);
            out.push_str("${");
            from = at + 2;
            continue;
        }
        out.push_str(&text[from..at]);
        let Some(length) = text[at..].find('}') else {
            cx.report(
                Problem::error("unclosed-variable", cx.inside(place, at..text.len()), "a `${` without its `}`")
                    .help("write `${NAME}`, or `$${` for a literal `${`"),
            );
            from = at;
            break;
        };
        let whole = &text[at..=at + length];
        let here = cx.inside(place, at..at + length + 1);
        out.push_str(&variable(cx, &whole[2..length], here).unwrap_or_else(|| whole.to_owned()));
        from = at + length + 1;
    }
    out.push_str(&text[from..]);
    out
}

fn variable(cx: &Context<'_>, inner: &str, place: Place) -> Option<String> {
    if let Some(path) = inner.strip_prefix("file:") {
        return secret(cx, path, place);
    }
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        cx.report(
            Problem::error("bad-variable", place, format!("`{name}` is no name of an environment variable"))
                .help("write `${NAME}`, `${NAME:-default}` or `${file:PATH}`; `$${` is a literal `${`"),
        );
        return None;
    }
    if default.is_some_and(|default| default.contains("${")) {
        cx.report(
            Problem::error("bad-variable", place, format!("the default of `{name}` holds another variable")).help(
                format!("a default is text: write `${{{name}:-localhost}}`, and let {name} be set where it differs"),
            ),
        );
        return None;
    }
    // As in a shell, `:-` also stands in for a variable that is empty.
    let value = (cx.options.env)(name).filter(|v| !(v.is_empty() && default.is_some()));
    let value = value.or_else(|| default.map(str::to_owned));
    if value.is_none() {
        cx.report_unless_lenient(
            Problem::error("unset-variable", place, format!("the environment variable `{name}` is not set"))
                .help(format!("set it, or give it a default: `${{{name}:-…}}`")),
        );
    }
    value
}

fn secret(cx: &Context<'_>, path: &str, place: Place) -> Option<String> {
    let path = cx.relative(place, Path::new(path));
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(e) => {
            cx.report_unless_lenient(
                Problem::error("missing-secret", place, format!("cannot read the file `{}`: {e}", path.display()))
                    .help("relative paths begin at the file that names them"),
            );
            None
        }
    }
}
