//! Expressions in routes.toml: checked by `expr`, their problems placed through the escapes of TOML's strings.

use super::{
    context::Context,
    document::{Kind, Value},
    problem::{Place, Problem},
    section::wrong_type,
};
use crate::{
    expr::{self, Env, RawTyped, Type, Typed},
    schema::Schema,
};
use std::sync::Arc;

/// The text of an expression: as it stands, without `${…}`.
pub(super) fn source<'v>(cx: &Context<'_>, value: &'v Value) -> Option<&'v str> {
    match &value.kind {
        Kind::String(s) => Some(s),
        kind => {
            let help = match kind {
                Kind::Array(_) => "join them with `&&`: `\"paid && quantity > 0\"`",
                _ => "",
            };
            wrong_type(cx, value, "an expression in quotes", help);
            None
        }
    }
}

/// An expression of any type. `seen` is what made this environment: an enricher is checked again in each route that uses it.
pub(super) fn any(cx: &Context<'_>, value: &Value, env: &Env, seen: Option<&(Place, String)>) -> Option<Typed> {
    checked(cx, value, env, seen, "")
}

/// `lone` is the help where all of it is a name that is unknown; by itself, that it may have been meant as text.
fn checked(cx: &Context<'_>, value: &Value, env: &Env, seen: Option<&(Place, String)>, lone: &str) -> Option<Typed> {
    let found = expr::check(source(cx, value)?, env);
    let typed = found.map_err(|problems| report(cx, value, problems, seen, lone)).ok()?;
    unfilled(cx, value);
    Some(typed)
}

/// `${…}` in a quoted text: legal, and not what it is elsewhere in this file.
fn unfilled(cx: &Context<'_>, value: &Value) {
    let Kind::String(source) = &value.kind else { return };
    let Some(at) = source.find("${") else { return };
    let Some(length) = source[at..].find('}') else { return };
    let variable = at..at + length + 1;
    let message = format!("`{}` is not filled in: an expression stands as it is written", &source[variable.clone()]);
    let problem = Problem::warning("unfilled-variable", cx.inside(value.place, variable), message);
    cx.report(problem.help("write the value itself; where these characters are meant, `'$' + '{…}'`"));
}

/// Whether an expression's values can be written as `schema`, which they have by themselves; where not, that is reported.
pub(super) fn writable(
    cx: &Context<'_>,
    value: &Value,
    typed: &Typed,
    schema: &Arc<Schema>,
    seen: Option<&(Place, String)>,
) -> bool {
    let Err(why) = typed.fits(schema, schema.root()) else { return true };
    let mut problem = Problem::error("unwritable-value", value.place, format!("this value cannot be written: {why}"))
        .help("take what is needed out of it, as in `record.headers['trace']` or `xs.map(x, string(x))`");
    if let Some((place, label)) = seen {
        problem = problem.also(*place, label.clone());
    }
    cx.report(problem);
    false
}

/// An expression that says yes or no.
pub(super) fn condition(cx: &Context<'_>, value: &Value, env: &Env, seen: Option<&(Place, String)>) -> Option<Typed> {
    let typed = checked(cx, value, env, seen, "write a condition over the record's fields, as in `quantity > 0`")?;
    if *typed.ty() == Type::Bool {
        return Some(typed);
    }
    let mut problem =
        Problem::error("not-a-condition", value.place, format!("expected a condition, found {}", words(typed.ty())))
            .help(format!("compare it with something, as in `{}`", comparison(source(cx, value)?, typed.ty())));
    if let Type::Nullable(inner) = typed.ty()
        && **inner == Type::Bool
    {
        problem = problem.help("say what null means: compare it, as in `paid == true`");
    }
    cx.report(problem);
    None
}

/// A condition that a value of this type might have been meant for.
fn comparison(source: &str, ty: &Type) -> String {
    let it = if source.chars().count() > 40 || source.contains(['\n', '?']) { "…" } else { source };
    match ty {
        Type::Nullable(_) | Type::Null => format!("{it} != null"),
        Type::Int => format!("{it} > 0"),
        Type::Double | Type::Decimal { .. } => format!("{it} > 0.0"),
        Type::String => format!("{it} != ''"),
        Type::Timestamp => format!("{it} < now()"),
        Type::List(_) | Type::Map(_) | Type::Bytes => format!("size({it}) > 0"),
        _ => "quantity > 0".into(),
    }
}

/// A condition over the record before it is decoded.
pub(super) fn raw(cx: &Context<'_>, value: &Value, json: bool) -> Option<RawTyped> {
    let found = expr::check_raw(source(cx, value)?, json);
    let typed = found.map_err(|problems| report(cx, value, problems, None, "")).ok()?;
    unfilled(cx, value);
    Some(typed)
}

fn report(cx: &Context<'_>, value: &Value, problems: Vec<expr::Problem>, seen: Option<&(Place, String)>, lone: &str) {
    for found in problems {
        let place = cx.inside(value.place, found.span.clone());
        let mut problem = Problem::error(found.code, place, found.message).help(found.help);
        // A lone word that is no field was most likely meant as text, where a text can stand.
        if let (Kind::String(source), "unknown-name") = (&value.kind, found.code)
            && found.span == (0..source.len())
            && !problem.help.contains("there is")
        {
            if lone.is_empty() {
                let fields = if problem.help.is_empty() { String::new() } else { format!("; {}", problem.help) };
                problem = problem.help(format!("a literal has quotes of its own: `\"'{source}'\"`{fields}"));
            } else if problem.help.is_empty() {
                problem = problem.help(lone);
            }
        }
        if let Some((place, label)) = seen {
            problem = problem.also(*place, label.clone());
        }
        cx.report(problem);
    }
}

/// A type as messages call it.
pub(super) fn words(ty: &Type) -> String {
    match ty {
        Type::Null => "null".into(),
        Type::Bool => "a boolean".into(),
        Type::Int => "an integer".into(),
        Type::Double => "a double".into(),
        Type::Decimal { precision, scale } => format!("a decimal({precision},{scale})"),
        Type::String => "a string".into(),
        Type::Bytes => "bytes".into(),
        Type::Timestamp => "a timestamp".into(),
        Type::Local => "a local date-time".into(),
        Type::Duration => "a duration".into(),
        Type::List(_) => "a list".into(),
        Type::Map(_) => "a map".into(),
        Type::Message(name) => format!("a record {name}"),
        Type::Dyn => "a value whose type is only known at run time".into(),
        Type::Nullable(inner) => format!("{} or null", words(inner)),
    }
}
