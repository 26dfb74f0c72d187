//! Validators: a schema and the rules that its records keep.

use super::{
    context::Context,
    document::{Entry, Kind, Value},
    expressions, keys,
    plan::{Rule, UnknownFields, Validator},
    problem::{Place, Problem},
    schemas::Schemas,
    section::{Name, Section, text, unknown_name, wrong_type},
};
use crate::{
    expr::{Env, View},
    failure,
};
use std::collections::BTreeMap;

/// Every validator by name; `None` for one with problems, so that its routes do not report them again.
pub(super) struct Validators {
    named: BTreeMap<String, Option<Validator>>,
}

pub(super) fn read(cx: &Context<'_>, entries: &[&Entry], schemas: &Schemas) -> Validators {
    Validators { named: entries.iter().map(|e| (e.key.clone(), validator(cx, e, schemas))).collect() }
}

impl Validators {
    fn find(&self, cx: &Context<'_>, name: &Name, schemas: &Schemas) -> Option<Validator> {
        cx.mark_used("validators", &name.text);
        let found = self.named.get(&name.text);
        if found.is_none() && schemas.catalog.source(&name.text).is_some() {
            let message = format!("`{0}` is a schema, and there is no validator `{0}`", name.text);
            let help = format!("without rules write `schema = \"{}\"`", name.text);
            cx.report(Problem::error("unknown-validator", name.place, message).help(help));
        } else if found.is_none() {
            unknown_name(cx, "unknown-validator", "validator", name, self.named.keys().map(String::as_str));
        }
        found.cloned().flatten()
    }
}

/// A route's bare `schema`: a validator without rules.
fn bare(cx: &Context<'_>, name: &Name, schemas: &Schemas) -> Option<Validator> {
    Some(Validator {
        name: name.text.clone(),
        schema: schemas.find_record(cx, name)?,
        unknown_fields: UnknownFields::Count,
        base64: false,
        named_unions: false,
        rules: Vec::new(),
    })
}

/// The validator that a route, case or collector names; `what` is told if `holder` names none.
pub(super) fn of(
    holder: &Section<'_>,
    what: &Section<'_>,
    validators: &Validators,
    schemas: &Schemas,
) -> Option<Validator> {
    // What a route says itself counts before the other key of [defaults].
    let other = |key: &str, other: &str| holder.value(key).is_some() && (holder.own(key) || !holder.own(other));
    if let Some(value) = holder.value("validator").filter(|v| matches!(v.kind, Kind::Table(_))) {
        wrong_type(
            holder.cx,
            value,
            "a validator's name",
            "write `[validators.NAME]` with these keys, and name it here",
        );
        return None;
    }
    match (holder.name("validator"), holder.name("schema")) {
        (Some(v), Some(s)) if holder.own("validator") == holder.own("schema") => {
            both(holder, v.place.max(s.place), v.place.min(s.place));
            None
        }
        (Some(name), _) if other("validator", "schema") => validators.find(holder.cx, &name, schemas),
        (_, Some(name)) => bare(holder.cx, &name, schemas),
        _ => {
            let said = holder.value("validator").or(holder.value("schema")).is_some();
            if !said && !["validator", "schema"].iter().any(|key| holder.cx.is_misplaced(what.place, key)) {
                holder.cx.report(
                    Problem::error("missing-key", what.place, format!("{} has no `validator`", what.what))
                        .help("write `validator = \"NAME\"`, or, without rules, `schema = \"namespace.Name\"`"),
                );
            }
            None
        }
    }
}

fn both(holder: &Section<'_>, later: Place, earlier: Place) {
    holder.cx.report(
        Problem::error("two-validators", later, "`validator` and `schema`")
            .also(earlier, "the other one")
            .help("a validator has a schema already: leave `schema` out"),
    );
}

fn validator(cx: &Context<'_>, entry: &Entry, schemas: &Schemas) -> Option<Validator> {
    let section = Section::of(cx, &entry.value, format!("validator `{}`", entry.key), entry.key_place)?;
    section.only(&keys::VALIDATOR);
    let unknown_fields =
        section.choice("unknown_fields", &[("count", UnknownFields::Count), ("reject", UnknownFields::Reject)]);
    let base64 = section.choice("bytes", &[("avro", false), ("base64", true)]).unwrap_or(false);
    let named_unions = section.choice("unions", &[("natural", false), ("named", true)]).unwrap_or(false);
    section.require("schema", "write `schema = \"namespace.Name\"`, the full name of a record in schemas/");
    let schema = schemas.find_record(cx, &section.name("schema")?)?;
    let env = Env { view: View::of(&schema), item: None };
    let rules = section.section("rules", "`rules`");
    let rules = rules.iter().flat_map(|r| &r.table.entries).filter_map(|e| rule(cx, e, &env)).collect();
    Some(Validator {
        name: entry.key.clone(),
        schema,
        unknown_fields: unknown_fields.unwrap_or(UnknownFields::Count),
        base64,
        named_unions,
        rules,
    })
}

fn rule(cx: &Context<'_>, entry: &Entry, env: &Env) -> Option<Rule> {
    check_rule_name(cx, entry);
    let (check, message, warn) = match &entry.value.kind {
        Kind::Table(_) => long_form(cx, entry)?,
        _ => (&entry.value, None, false),
    };
    let typed = expressions::condition(cx, check, env, None)?;
    let source = expressions::source(cx, check)?.to_owned();
    Some(Rule { name: entry.key.clone(), check: typed, source, message, warn })
}

/// `{ check, message, on_fail }`.
fn long_form<'a>(cx: &'a Context<'_>, entry: &'a Entry) -> Option<(&'a Value, Option<String>, bool)> {
    let section = Section::of(cx, &entry.value, format!("rule `{}`", entry.key), entry.key_place)?;
    section.only(&keys::RULE);
    let warn = section.choice("on_fail", &[("dead-letter", false), ("warn", true)]).unwrap_or(false);
    let message = section.value("message").and_then(|v| text(cx, v));
    let check = section.require("check", "write `check = \"quantity > 0\"`: an expression that must be true")?;
    Some((check, message, warn))
}

/// A rule's name is a failure's code: a label of metrics, and never one of the built-in codes.
fn check_rule_name(cx: &Context<'_>, entry: &Entry) {
    let name = entry.key.as_str();
    if failure::CODES.iter().any(|c| c.code == name) {
        cx.report(
            Problem::error("reserved-name", entry.key_place, format!("`{name}` is a failure code of Pointsman's own"))
                .help("a rule's name becomes the code of its failures: choose another"),
        );
    } else if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
        cx.report(
            Problem::error("bad-rule-name", entry.key_place, format!("`{name}` cannot be a failure's code"))
                .help("a rule's name becomes the code of its failures: use letters, digits, `-` and `_`"),
        );
    }
}
