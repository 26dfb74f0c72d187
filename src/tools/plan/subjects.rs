//! Subjects: what the routes write, beside what the registry has, judged by the registry and again here.

use super::{Change, Finding, Item, Part, list};
use crate::{
    config::{Destination, Format, Plan},
    failure::Setback,
    registry::{Client, RegisterError, Verdict, Version},
    route::destinations,
    schema::{
        Schema,
        compatibility::{self, Level},
        difference::differences,
    },
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::runtime::Runtime;

/// A schema that routes or collectors write under a subject.
#[derive(Clone, Debug)]
struct Written<'p> {
    subject: String,
    schema: &'p Arc<Schema>,
    /// As it is registered: whole, so that nothing has to be registered before it.
    text: String,
}

/// What the registry has of it.
#[derive(Debug)]
enum Standing {
    /// The subject has this schema.
    Registered { version: u32, latest: u32 },
    /// There is no such subject.
    New,
    /// The subject has other schemas.
    Differs { latest: Box<Version>, level: Level, verdict: Verdict, offline: Vec<String> },
}

/// Every schema that a plan writes to a topic, in the order of subjects; a subject may have several.
fn written(plan: &Plan) -> Vec<Written<'_>> {
    let routes = plan.routes.iter().flat_map(destinations).filter_map(|d| match d {
        Destination::Topic(to) if to.format == Format::Avro => Some((&to.topic, &to.schema, to.schema_text.clone())),
        _ => None,
    });
    let collectors = plan.collectors.iter().filter(|c| c.format == Format::Avro);
    let collectors = collectors.map(|c| (&c.topic, &c.validator.schema, c.validator.schema.to_json()));
    let mut all: BTreeMap<String, Vec<Written<'_>>> = BTreeMap::new();
    for (topic, schema, text) in routes.chain(collectors) {
        let subject = format!("{topic}-value");
        let of = all.entry(subject.clone()).or_default();
        if !of.iter().any(|w| w.text == text) {
            of.push(Written { subject, schema, text });
        }
    }
    all.into_values().flatten().collect()
}

pub(super) fn look(plan: &Plan, runtime: &Runtime) -> Vec<Item> {
    let written = written(plan);
    let Some(settings) = plan.registry.as_ref().filter(|_| !written.is_empty()) else { return Vec::new() };
    let client = match Client::new(settings) {
        Ok(client) => client,
        Err(setback) => return vec![Item::unreachable(Part::Schemas, "schema registry", setback)],
    };
    let mut items: Vec<Item> = Vec::new();
    for (i, one) in written.iter().enumerate() {
        // Of two schemas of a subject the second follows the first, once that is registered.
        let before: Vec<&Schema> =
            written[..i].iter().filter(|w| w.subject == one.subject).map(|w| &**w.schema).collect();
        match runtime.block_on(item(&client, one, &before)) {
            Ok(item) => items.push(item),
            // The other subjects would wait for the same answer.
            Err(setback) => {
                items.push(Item::unreachable(Part::Schemas, client.url(), setback));
                break;
            }
        }
    }
    items
}

async fn item(client: &Client, written: &Written<'_>, before: &[&Schema]) -> Result<Item, Setback> {
    let mut item = Item::new(Part::Schemas, &written.subject);
    let name = written.schema.record().map_or_else(String::new, |r| r.name.to_string());
    let standing = match stands(client, written, before).await {
        Ok(standing) => standing,
        Err(RegisterError::Setback(setback)) => return Err(setback),
        Err(refused) => {
            item.problems.push(Finding::new("schema-refused", refused.to_string(), ""));
            return Ok(item);
        }
    };
    let register = Change::Register { text: written.text.clone() };
    match standing {
        Standing::Registered { version, latest } => {
            item.state = format!("version {version}");
            if version < latest {
                let message = format!("version {latest} is newer than the one that is written, {version}");
                item.notes.push(Finding::new("newer-version", message, ""));
            }
            return Ok(item);
        }
        Standing::New => {
            item.step(format!("register {name} as the first version"), register);
        }
        Standing::Differs { latest, level, verdict, offline } => {
            item.state = format!("version {}", latest.version);
            let problem = incompatible(level, &verdict, &offline);
            let allowed = if problem.is_none() { format!(", which {level} allows") } else { String::new() };
            let words = format!("register {name} as the version after {}{allowed}", latest.version);
            item.step(words, register).details = changes(&latest, written.schema);
            item.problems.extend(problem);
        }
    }
    let mode = client.mode(&written.subject).await?;
    if mode != "READWRITE" {
        let message = format!("the registry's mode for it is {mode}: nothing can be registered");
        item.problems.push(Finding::new("read-only", message, "set the mode to READWRITE, or register elsewhere"));
    }
    Ok(item)
}

/// Where the registry has a schema, and what it would say to it.
///
/// # Errors
/// The registry takes it for no schema, or does not answer.
async fn stands(client: &Client, written: &Written<'_>, before: &[&Schema]) -> Result<Standing, RegisterError> {
    let subject = &written.subject;
    let wait = RegisterError::Setback;
    let versions = client.versions(subject).await.map_err(wait)?;
    let Some(newest) = versions.iter().max().copied() else { return Ok(Standing::New) };
    if let Some(place) = client.place_of(subject, &written.text).await.map_err(wait)? {
        return Ok(Standing::Registered { version: place.version, latest: newest });
    }
    let level = client.level(subject).await.map_err(wait)?;
    let verdict = client.verdict(subject, &written.text).await?;
    let mut older = Vec::new();
    for version in versions.into_iter().filter(|v| level.is_transitive() || *v == newest) {
        older.extend(client.version(subject, Some(version)).await.map_err(wait)?);
    }
    let offline = offline(written.schema, &older, before, level);
    // Deleted since it was listed: then there is nothing to be compared with.
    let Some(latest) = older.pop() else { return Ok(Standing::New) };
    Ok(Standing::Differs { latest: Box::new(latest), level, verdict, offline })
}

/// The reasons against a schema, by the versions themselves.
fn offline(new: &Schema, older: &[Version], before: &[&Schema], level: Level) -> Vec<String> {
    let read: Vec<_> = older.iter().filter_map(|v| Some((v.version, v.schema.as_ref().ok()?))).collect();
    let schemas: Vec<&Schema> = read.iter().map(|(_, s)| *s).chain(before.iter().copied()).collect();
    let found = compatibility::check_against(new, &schemas, level).into_iter();
    found
        .map(|(i, why)| match read.get(i) {
            Some((version, _)) => format!("against version {version}: {why}"),
            None => format!("against the other schema that is written to its topic: {why}"),
        })
        .collect()
}

/// What differs between a registered version and a schema of the file, a line each.
fn changes(latest: &Version, new: &Schema) -> Vec<String> {
    let old = match &latest.schema {
        Ok(old) => old,
        Err(why) => return vec![format!("version {} {why}", latest.version)],
    };
    match differences(old, new) {
        none if none.is_empty() => vec!["the same fields, written otherwise".to_owned()],
        found => found.iter().map(ToString::to_string).collect(),
    }
}

/// The finding that a level forbids the change; both judges are named where they do not agree.
fn incompatible(level: Level, verdict: &Verdict, offline: &[String]) -> Option<Finding> {
    let message = match (verdict.compatible, offline.is_empty()) {
        (true, true) => return None,
        (false, true) if verdict.reasons.is_empty() => {
            format!("{level}: the registry says incompatible, without a reason")
        }
        (false, true) => format!("{level}: the registry says incompatible: {}", list(&verdict.reasons)),
        (true, false) => format!("{level}: the registry says compatible, and yet it is not {}", list(offline)),
        (false, false) => format!("{level}: incompatible {}", list(offline)),
    };
    let help = "make the change one that the level allows (a default for a new field), or write to a new topic";
    Some(Finding::new("incompatible", message, help))
}
