//! A report as JSON. README tells the shape: keys are added, never renamed.

use super::{Acl, Change, Finding, Item, Report, Status, Step};
use crate::failure::Setback;
use serde_json::{Map, Value, json};

/// One object: `status`, counts, `items` and `acls`.
pub fn json(report: &Report) -> Value {
    let status = match () {
        () if report.count(Status::Problem) > 0 => "problems",
        () if report.count(Status::Unreachable) > 0 => "unreachable",
        () if report.changes() > 0 => "changes",
        () => "nothing-to-do",
    };
    json!({
        "status": status,
        "changes": report.changes(),
        "problems": report.items.iter().map(|i| i.problems.len()).sum::<usize>(),
        "unreachable": report.count(Status::Unreachable),
        "items": report.items.iter().map(item).collect::<Vec<_>>(),
        "acls": report.acls.iter().map(acl).collect::<Vec<_>>(),
    })
}

fn item(item: &Item) -> Value {
    let mut value = json!({
        "part": item.part.name(),
        "name": item.name,
        "status": item.status().name(),
        "state": item.state,
        "steps": item.steps.iter().map(step).collect::<Vec<_>>(),
        "problems": item.problems.iter().map(finding).collect::<Vec<_>>(),
        "notes": item.notes.iter().map(finding).collect::<Vec<_>>(),
    });
    if let Some(why) = &item.unreachable {
        value["unreachable"] = setback(why);
    }
    value
}

fn step(step: &Step) -> Value {
    let mut value = Map::new();
    value.insert("action".into(), step.change.name().into());
    value.insert("words".into(), step.words.as_str().into());
    value.insert("details".into(), json!(step.details));
    let mut put = |key: &str, v: Value| drop(value.insert(key.to_owned(), v));
    match &step.change {
        Change::CreateTopic { partitions, replication, config } => {
            put("partitions", json!(partitions));
            put("replication", json!(replication));
            put("settings", json!(config));
        }
        Change::WidenTopic { partitions } => put("partitions", json!(partitions)),
        Change::SetTopic { settings } => put("settings", json!(settings)),
        Change::Register { text } => put("schema", json!(text)),
        Change::Migrate { version } => put("version", json!(version)),
        Change::MakeTable { table } => put("table", json!(table.to_string())),
    }
    match &step.outcome {
        None => {}
        Some(Ok(())) => put("done", json!(true)),
        Some(Err(why)) => {
            put("done", json!(false));
            put("error", setback(why));
        }
    }
    Value::Object(value)
}

fn finding(finding: &Finding) -> Value {
    json!({ "code": finding.code, "message": finding.message, "help": finding.help })
}

fn setback(setback: &Setback) -> Value {
    json!({ "cause": setback.cause.name(), "message": setback.message, "help": setback.help })
}

fn acl(acl: &Acl) -> Value {
    json!({
        "for": if acl.routes.is_empty() { "apply" } else { "routes" },
        "resource": acl.resource.name(),
        "name": acl.name,
        "pattern": acl.pattern(),
        "operations": acl.operations,
        "routes": acl.routes,
    })
}
