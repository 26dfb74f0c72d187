//! Topic destinations: their schema, that each of its fields comes from somewhere, key and headers.

use super::{
    context::Context,
    enrichers::Fields,
    expressions, fit, keys,
    paths::{in_nanos, present, type_name},
    plan::{Format, OnTombstone, TopicDestination},
    problem::{Place, Problem, nearest},
    schemas::Schemas,
    section::{Name, Section, unknown_name},
    settings::check_topic_name,
};
use crate::{
    codec::Resolution,
    expr::{Env, Place as At, Type, Typed, View},
    schema::{NewField, Schema},
};
use std::sync::Arc;

/// What a destination is written from.
pub(super) struct Input<'a> {
    pub fields: &'a Fields,
    /// The validator's schema.
    pub schema: &'a Arc<Schema>,
}

/// The topic's name, which is known also where the record's fields are not.
pub(super) fn topic_name(section: &Section<'_>) -> Option<Name> {
    let name = section.name("topic")?;
    check_topic_name(section.cx, &name);
    Some(name)
}

/// `input` is `None` where the record's fields are not known, because something before has problems.
pub(super) fn read(section: &Section<'_>, schemas: &Schemas, input: Option<&Input<'_>>) -> Option<TopicDestination> {
    let cx = section.cx;
    section.only(&keys::TOPIC);
    let name = topic_name(section);
    let format = section.choice("format", &[("avro", Format::Avro), ("json", Format::Json)]).unwrap_or(Format::Avro);
    let on_tombstone = on_tombstone(section);
    let partition = section.choice("partition", &[("key", false), ("same", true)]);
    let explicit = match section.name("schema") {
        Some(name) => Some((schemas.find_record(cx, &name)?, name.place)),
        None => None,
    };
    let input = input?;
    let schema = match explicit {
        Some((schema, place)) => {
            check_sources(cx, input.fields, &schema, place)?;
            check_resolution(cx, input.fields, &schema, place)?;
            schema
        }
        None => derived(section, input)?,
    };
    let record_key = record_key(section, &input.fields.view);
    if record_key.as_ref().is_some_and(|key| !key.is_empty()) && section.value("on_tombstone").is_none() {
        let message = "tombstones keep the source's key here, and other records get one of their fields";
        cx.report(Problem::warning("tombstone-key", section.key_place("record_key"), message).help(
            "to a compacted topic they would delete nothing, or another key's record: write `on_tombstone = \"filter\"` or `\"dead-letter\"`, or `\"forward\"` where that is meant",
        ));
    }
    let (drop_headers, set_headers) = headers(section, input.fields);
    Some(TopicDestination {
        topic: name?.text,
        format,
        schema_text: schema.to_json(),
        schema,
        record_key,
        same_partition: partition.unwrap_or(false),
        drop_headers,
        set_headers,
        on_tombstone: on_tombstone?,
    })
}

fn on_tombstone(section: &Section<'_>) -> Option<OnTombstone> {
    let Some(value) = section.value("on_tombstone") else { return Some(OnTombstone::Forward) };
    let choices = [
        ("forward", OnTombstone::Forward),
        ("filter", OnTombstone::Filter),
        ("dead-letter", OnTombstone::DeadLetter),
        ("delete", OnTombstone::Delete),
    ];
    let chosen = section.choice("on_tombstone", &choices)?;
    if chosen != OnTombstone::Delete {
        return Some(chosen);
    }
    section.cx.report(
        Problem::error("unsuitable-tombstone", value.place, "a topic has no rows to delete")
            .help("`on_tombstone = \"forward\"` passes the tombstone on: readers take it as a deletion"),
    );
    None
}

/// Each field of a schema that is written out comes from a field of the record, or from its default.
fn check_sources(cx: &Context<'_>, fields: &Fields, schema: &Schema, place: Place) -> Option<()> {
    let record = schema.record()?;
    let mut whole = true;
    for field in &record.fields {
        let view = &fields.view.fields;
        let at = view.iter().position(|f| f.name == field.name);
        let at = at.or_else(|| view.iter().position(|f| field.aliases.contains(&f.name)));
        let problem = match at {
            Some(at) => match fit::fits((&view[at].schema, view[at].node), (schema, field.node)) {
                Ok(()) => continue,
                Err(misfit) => type_mismatch(place, &record.name.0, &field.name, &misfit),
            },
            None if field.default.is_some() => continue,
            None => no_source(place, &record.name.0, &field.name, schema, field.node, fields),
        };
        cx.report(problem);
        whole = false;
    }
    whole.then_some(())
}

/// What the route compiles at its start has to compile here.
fn check_resolution(cx: &Context<'_>, fields: &Fields, schema: &Arc<Schema>, place: Place) -> Option<()> {
    let name = &schema.record()?.name;
    let report = |message: String, help: String| {
        cx.report(Problem::error("type-mismatch", place, message).help(help));
    };
    match fields.view.schema(&name.0) {
        Err(reason) => report(
            reason,
            "change the field in an enricher, or write a record of another name in schemas/ and name it here".into(),
        ),
        Ok(view) => match Resolution::compile(&view, schema) {
            Ok(_) => return Some(()),
            Err(reasons) => reasons.iter().for_each(|r| {
                report(
                    format!("no {name} can be made of this: {r}"),
                    format!("change the field in an enricher, or its type in {name}"),
                );
            }),
        },
    }
    None
}

fn type_mismatch(place: Place, record: &str, field: &str, misfit: &fit::Misfit) -> Problem {
    let path = if misfit.path.is_empty() { field.to_owned() } else { format!("{field}.{}", misfit.path) };
    let message = match misfit.found.as_str() {
        "nothing" => format!("{record} wants `{path}` ({}), and nothing gives it", misfit.wanted),
        found => format!("`{path}` is {found} here, but {} in {record}", misfit.wanted),
    };
    let problem = Problem::error("type-mismatch", place, message);
    if let Some((found, wanted)) = &misfit.named {
        return problem.help(format!(
            "types of another name are other types: if it is meant to be the same, give {wanted} the \"aliases\": [\"{found}\"]"
        ));
    }
    if misfit.found.ends_with(" or null") && !misfit.wanted.ends_with(" or null") {
        return problem
            .help(format!("let {record} take null, or set `{field}` in an enricher: `has({field}) ? {field} : …`"));
    }
    if let (Some(_), Some(scale)) = (decimal_scale(&misfit.found), decimal_scale(&misfit.wanted)) {
        return problem
            .help(format!("losing digits has to be said, in an enricher: `{field} = \"round({field}, {scale})\"`"));
    }
    // A logical type is a note beside the number: whoever does not know it reads the number.
    if misfit.found.starts_with("timestamp-") && misfit.wanted == "long" {
        return problem.help(format!(
            "say in {record} what the long is: {{ \"type\": \"long\", \"logicalType\": \"{}\" }}, the same bytes; or set `{field}` to `int({field})`, which is seconds",
            misfit.found
        ));
    }
    problem.help(format!("convert `{field}` in an enricher, or change its type in {record}"))
}

/// The scale in a name as `decimal(12,2)`.
fn decimal_scale(name: &str) -> Option<&str> {
    name.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',').map(|(_, scale)| scale)
}

fn no_source(
    place: Place,
    record: &str,
    field: &str,
    schema: &Schema,
    node: crate::schema::NodeId,
    fields: &Fields,
) -> Problem {
    let message = format!("{record} wants `{field}` ({}), and nothing gives it", type_name(schema, node));
    let problem = Problem::error("missing-field", place, message);
    match nearest(field, fields.view.fields.iter().map(|f| f.name.as_str())) {
        Some(near) => problem.help(format!("rename `{near}` in an enricher, or set `{field}`")),
        None => problem.help(format!("set `{field}` in an enricher, or give it a default in {record}")),
    }
}

/// The validator's own schema where nothing has changed, otherwise a record of its name with the fields of now.
fn derived(section: &Section<'_>, input: &Input<'_>) -> Option<Arc<Schema>> {
    let record = input.schema.record()?;
    if input.fields.view.is(input.schema) {
        return Some(input.schema.clone());
    }
    let fields: Vec<NewField<'_>> = input
        .fields
        .view
        .fields
        .iter()
        .map(|f| {
            let original = match f.place {
                At::Body(at) => record.fields.get(usize::from(at)),
                At::Added(_) => None,
            };
            NewField {
                name: f.name.clone(),
                schema: &f.schema,
                node: f.node,
                default: original.and_then(|o| o.default.clone()),
                doc: original.and_then(|o| o.doc.clone()),
            }
        })
        .collect();
    match Schema::record_of(&record.name.0, &fields) {
        Ok(schema) => Some(Arc::new(schema)),
        Err(reason) => {
            let message = format!("no schema can be derived for this topic: {reason}");
            section.cx.report(
                Problem::error("not-derivable", section.key_place("topic"), message)
                    .help("write the record in schemas/, under a name that no type in it has, and name it here: `schema = \"namespace.Name\"`"),
            );
            None
        }
    }
}

pub(super) fn record_key(section: &Section<'_>, view: &View) -> Option<Vec<usize>> {
    section.value("record_key")?;
    let names = section.listed("record_key", "leave it out where no key is made of fields");
    let found = names.iter().filter_map(|name| {
        let at = view.fields.iter().position(|f| f.name == name.text);
        let Some(at) = at else {
            unknown_name(section.cx, "unknown-field", "field", name, view.fields.iter().map(|f| f.name.as_str()));
            return None;
        };
        let field = &view.fields[at];
        if in_nanos(field.schema.node(present(&field.schema, field.node)).logical) {
            section.cx.report(
                Problem::error("cut-key", name.place, format!("the key field `{}` loses digits", name.text))
                    .label(type_name(&field.schema, field.node))
                    .help("keys hold microseconds: those that differ within one would be the same key. Take another field"),
            );
        }
        Some(at)
    });
    Some(found.collect())
}

fn headers(section: &Section<'_>, fields: &Fields) -> (Vec<String>, Vec<(String, Typed)>) {
    let cx = section.cx;
    let Some(headers) = section.section("headers", "`headers`") else { return Default::default() };
    headers.only(&keys::HEADERS);
    let dropped = headers.names("drop").into_iter().map(|n| n.text).collect();
    let env = Env { view: fields.view.clone(), item: None };
    let mut set = Vec::new();
    if let Some(values) = headers.section("set", "`headers.set`") {
        for entry in &values.table.entries {
            let Some(typed) = expressions::any(cx, &entry.value, &env, None) else { continue };
            if *typed.ty() == Type::String {
                set.push((entry.key.clone(), typed));
                continue;
            }
            let message = format!("a header is a string, and this is {}", expressions::words(typed.ty()));
            cx.report(
                Problem::error("not-a-string", entry.value.place, message)
                    .help("convert it, as in `string(user_id)`; a literal has quotes of its own: `\"'shop'\"`"),
            );
        }
    }
    (dropped, set)
}
