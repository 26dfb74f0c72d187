//! `/openapi.json`: what the collectors of an address take, described from their schemas.

use super::{json_schema::Writer, problem::PROBLEM_JSON};
use crate::config::{Collector, UnknownFields};
use serde_json::{Map, Value, json};

/// The description, as OpenAPI 3.1.
pub(super) fn document(collectors: &[&Collector]) -> Value {
    let mut schemas = Map::new();
    schemas.insert("Problem".into(), problem());
    schemas.insert("Accepted".into(), accepted());
    let mut paths = Map::new();
    for collector in collectors {
        // Where several collectors share an address, types of one name may be read differently.
        let prefix = if collectors.len() == 1 { String::new() } else { format!("{}.", safe(&collector.name)) };
        let validator = &collector.validator;
        let event = Writer {
            schema: &validator.schema,
            base64: validator.base64,
            closed: validator.unknown_fields == UnknownFields::Reject,
            named: &mut schemas,
            prefix: &prefix,
        }
        .write(validator.schema.root());
        paths.insert(collector.path.clone(), json!({ "post": operation(collector, &event) }));
    }
    let mut components = json!({ "schemas": schemas });
    if collectors.iter().any(|c| c.tokens.is_some()) {
        components["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer" } });
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": collectors.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", "),
            "summary": "Takes events in and writes them to Kafka.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": components,
    })
}

fn operation(collector: &Collector, event: &Value) -> Value {
    let most = format!("At most {} events.", collector.limits.events);
    let array = json!({ "type": "array", "items": event, "minItems": 1, "description": most });
    let parameters = ["traceparent", "tracestate"].map(|name| {
        json!({
            "name": name,
            "in": "header",
            "description": "W3C Trace Context; kept as a header of the records.",
            "schema": { "type": "string" },
        })
    });
    let mut operation = json!({
        "operationId": format!("post-{}", safe(&collector.name)),
        "summary": format!("Events for {}", collector.topic),
        "description": description(collector),
        "parameters": parameters,
        "requestBody": {
            "required": true,
            "description": "May be packed: `content-encoding: gzip`.",
            "content": {
                "application/json": { "schema": { "anyOf": [event, array] } },
                "application/x-ndjson": { "schema": { "type": "string", "description": "An event a line." } },
            },
        },
        "responses": responses(collector),
    });
    if collector.tokens.is_some() {
        operation["security"] = json!([{ "token": [] }]);
    }
    operation
}

fn description(collector: &Collector) -> String {
    let mut text = "202 is answered once the brokers have acknowledged every event. Good events are taken also where \
                    others of the same request are refused: the answer lists both."
        .to_owned();
    let rules = collector.validator.rules.iter().filter(|r| !r.warn);
    for (i, rule) in rules.enumerate() {
        text.push_str(if i == 0 { "\n\nRules:\n" } else { "\n" });
        let message = rule.message.as_ref().map(|m| format!(": {m}")).unwrap_or_default();
        text.push_str(&format!("- {}, `{}`{message}", rule.name, rule.source));
    }
    text
}

fn responses(collector: &Collector) -> Value {
    let wait = json!({ "Retry-After": { "description": "Seconds.", "schema": { "type": "integer" } } });
    let problem = |text: &str, headers: Option<&Value>| {
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        let mut response = json!({ "description": text, "content": { PROBLEM_JSON: { "schema": schema } } });
        if let Some(headers) = headers {
            response["headers"] = headers.clone();
        }
        response
    };
    let accepted = json!({ "$ref": "#/components/schemas/Accepted" });
    let mut all = json!({
        "202": { "description": "Every event is in the topic.", "content": { "application/json": { "schema": accepted } } },
        "400": problem("The body is empty, no JSON, or no gzip: nothing was taken.", None),
        "408": problem("The body did not arrive in time: nothing was taken.", None),
        "413": problem("Too many bytes or events: nothing was taken.", None),
        "415": problem("Neither JSON nor NDJSON, or an unknown encoding: nothing was taken.", None),
        "422": problem("Some events are refused; `accepted` lists those that are in the topic.", None),
        "503": problem("No broker acknowledges: send again what neither `accepted` nor `refused` lists.", Some(&wait)),
    });
    if collector.tokens.is_some() {
        let ask = json!({ "WWW-Authenticate": { "schema": { "type": "string" } } });
        all["401"] = problem("No token, or an unknown one.", Some(&ask));
    }
    if collector.limits.rate.is_some() {
        all["429"] = problem("Too many requests of one client.", Some(&wait));
    }
    all
}

fn accepted() -> Value {
    json!({
        "type": "object",
        "properties": { "accepted": { "type": "integer", "description": "How many events." } },
        "required": ["accepted"],
    })
}

/// RFC 9457, with what became of each event.
fn problem() -> Value {
    let indexes = |text: &str| json!({ "type": "array", "items": { "type": "integer" }, "description": text });
    let error = json!({
        "type": "object",
        "properties": {
            "index": { "type": "integer", "description": "The event's place in the request, from 0." },
            "field": { "type": "string", "description": "As in `items[2].sku`; absent where no single field is at fault." },
            "code": { "type": "string", "description": "A rule's name, or one of the documented codes." },
            "detail": { "type": "string" },
        },
        "required": ["index", "code", "detail"],
    });
    json!({
        "type": "object",
        "properties": {
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "code": { "type": "string", "description": "Stable, for programs." },
            "accepted": indexes("Places of the events that are in the topic."),
            "refused": indexes("Places of the events that are not, and never will be as they stand."),
            "errors": { "type": "array", "items": error, "description": "The first hundred problems." },
        },
        "required": ["title", "status", "detail", "code"],
    })
}

/// A name as component names and operation ids may be written.
fn safe(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}
