//! Enrichers: what they do to the fields that a route has by then.

use super::{
    context::Context,
    document::Entry,
    expressions, keys,
    plan::{Enricher, Set},
    problem::{Place, Problem, nearest},
    section::{Name, Section, name, unknown_name},
};
use crate::expr::{Env, Place as At, Type, View, ViewField};
use std::{collections::BTreeMap, sync::Arc};

/// Every enricher's table by name. They are checked in each route that uses them, against that route's fields.
pub(super) struct Enrichers<'a> {
    named: BTreeMap<&'a str, Section<'a>>,
}

pub(super) fn read<'a>(cx: &'a Context<'a>, entries: &[&'a Entry]) -> Enrichers<'a> {
    let mut named = BTreeMap::new();
    for entry in entries {
        let what = format!("enricher `{}`", entry.key);
        let Some(section) = Section::of(cx, &entry.value, what, entry.key_place) else { continue };
        section.only(&keys::ENRICHER);
        if section.value("lookup").is_some() {
            cx.report(
                Problem::error("not-in-this-version", section.key_place("lookup"), "`lookup` is not in this version")
                    .help("join before the topic, or read the table in the destination"),
            );
        }
        named.insert(entry.key.as_str(), section);
    }
    Enrichers { named }
}

/// The fields so far, and how many values have been set on the way to them.
#[derive(Clone)]
pub(super) struct Fields {
    pub view: View,
    pub added: u16,
}

impl Fields {
    /// Whether an enricher sets this field of the view.
    pub(super) fn is_added(&self, view: usize) -> bool {
        self.view.fields.get(view).is_some_and(|f| matches!(f.place, At::Added(_)))
    }
}

impl Enrichers<'_> {
    /// Applies the named enrichers in order. `None` when one of them has problems: the fields are not known then.
    pub(super) fn apply(&self, cx: &Context<'_>, names: &[Name], fields: &mut Fields) -> Option<Vec<Enricher>> {
        let mut applied = Some(Vec::new());
        for name in names {
            cx.mark_used("enrichers", &name.text);
            let Some(section) = self.named.get(name.text.as_str()) else {
                unknown_name(cx, "unknown-enricher", "enricher", name, self.named.keys().copied());
                applied = None;
                continue;
            };
            // Once the fields are not known, later enrichers would only report what follows from that.
            if applied.is_some() {
                let enricher = apply(section, name, fields);
                applied = applied.zip(enricher).map(|(mut list, e)| {
                    list.push(e);
                    list
                });
            }
        }
        applied
    }
}

fn apply(section: &Section<'_>, name: &Name, fields: &mut Fields) -> Option<Enricher> {
    if section.value("lookup").is_some() {
        return None;
    }
    let seen = (name.place, format!("`{}` is used here", name.text));
    let dropped = drop(section, fields, &seen);
    let renamed = rename(section, fields, &seen);
    let mut whole = dropped && renamed;
    let mut sets = Vec::new();
    if let Some(table) = section.section("set", "`set`") {
        for entry in &table.table.entries {
            match set(section.cx, entry, fields, &seen) {
                Some(set) => sets.push(set),
                None => whole = false,
            }
        }
    }
    whole.then_some(Enricher { sets })
}

type Seen = (Place, String);

fn drop(section: &Section<'_>, fields: &mut Fields, seen: &Seen) -> bool {
    let mut whole = true;
    for name in section.names("drop") {
        whole &= position(section.cx, fields, &name, seen).map(|at| fields.view.fields.remove(at)).is_some();
    }
    if fields.view.fields.is_empty() {
        let message = "no field is left";
        section
            .cx
            .report(Problem::error("nothing-left", section.key_place("drop"), message).also(seen.0, seen.1.clone()));
        whole = false;
    }
    whole
}

/// All at once, so that two fields may swap their names.
fn rename(section: &Section<'_>, fields: &mut Fields, seen: &Seen) -> bool {
    let cx = section.cx;
    let Some(table) = section.section("rename", "`rename`") else { return true };
    let mut whole = true;
    let mut changes = Vec::new();
    for entry in &table.table.entries {
        let old = Name { text: entry.key.clone(), place: entry.key_place };
        let new = name(cx, &entry.value).filter(|new| check_field_name(cx, new));
        let has = |name: &str| fields.view.fields.iter().any(|f| f.name == name);
        if let Some(new) = new.as_ref().filter(|new| !has(&old.text) && has(&new.text)) {
            whole = false;
            cx.report(
                Problem::error("unknown-field", old.place, format!("there is no field `{}`", old.text))
                    .also(seen.0, seen.1.clone())
                    .help(format!("the old name stands first: `{} = \"{}\"`", new.text, old.text)),
            );
            continue;
        }
        let at = position(cx, fields, &old, seen);
        whole &= at.is_some() && new.is_some();
        changes.extend(at.zip(new));
    }
    for (at, new) in &changes {
        fields.view.fields[*at].name.clone_from(&new.text);
    }
    for (at, new) in &changes {
        if fields.view.fields.iter().enumerate().any(|(i, f)| i != *at && f.name == new.text) {
            whole = false;
            cx.report(
                Problem::error("duplicate-field", new.place, format!("there is a field `{}` already", new.text))
                    .also(seen.0, seen.1.clone())
                    .help("drop that one, or choose another name"),
            );
        }
    }
    whole
}

fn set(cx: &Context<'_>, entry: &Entry, fields: &mut Fields, seen: &Seen) -> Option<Set> {
    let field = Name { text: entry.key.clone(), place: entry.key_place };
    let env = Env { view: fields.view.clone(), item: None };
    let typed = expressions::any(cx, &entry.value, &env, Some(seen));
    if !check_field_name(cx, &field) {
        return None;
    }
    let typed = typed?;
    if matches!(typed.ty(), Type::Null | Type::Dyn) {
        let message = format!("the type of `{}` is not known: this is {}", field.text, expressions::words(typed.ty()));
        cx.report(
            Problem::error("untyped-value", entry.value.place, message)
                .help("give it a type, as in `string(…)`, or `… ? note : null` for a field that may be null")
                .also(seen.0, seen.1.clone()),
        );
        return None;
    }
    let schema = Arc::new(typed.avro());
    if !expressions::writable(cx, &entry.value, &typed, &schema, Some(seen)) {
        return None;
    }
    let new = ViewField {
        name: field.text.clone(),
        schema: schema.clone(),
        node: schema.root(),
        place: At::Added(fields.added),
    };
    match fields.view.fields.iter_mut().find(|f| f.name == field.text) {
        Some(old) => *old = new,
        None => fields.view.fields.push(new),
    }
    let added = fields.added;
    fields.added = fields.added.checked_add(1)?;
    Some(Set { field: field.text, added, value: typed, schema })
}

/// Avro's rule for names.
fn check_field_name(cx: &Context<'_>, name: &Name) -> bool {
    let text = name.text.as_str();
    let good = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !good {
        cx.report(
            Problem::error("bad-field-name", name.place, format!("`{text}` cannot be a field of an Avro record"))
                .help("a field's name is letters, digits and `_`, and does not begin with a digit"),
        );
    }
    good
}

fn position(cx: &Context<'_>, fields: &Fields, name: &Name, seen: &Seen) -> Option<usize> {
    let found = fields.view.fields.iter().position(|f| f.name == name.text);
    if found.is_none() {
        let known = fields.view.fields.iter().map(|f| f.name.as_str());
        let mut problem = Problem::error("unknown-field", name.place, format!("there is no field `{}`", name.text))
            .also(seen.0, seen.1.clone());
        if let Some(near) = nearest(&name.text, known) {
            problem = problem.help(format!("did you mean `{near}`?"));
        }
        cx.report(problem);
    }
    found
}
