//! `schemas check|diff|register`, and `plan` of subjects: judged by the registry, and again by its versions.

use crate::{
    harness::{Project, Registry, bootstrap_servers, unique},
    registry_client::answering,
};
use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    response::Html,
};
use serde_json::{Value, json};

fn schema(fields: Value) -> String {
    json!({ "type": "record", "name": "Event", "namespace": "plan", "fields": fields }).to_string()
}

fn first() -> String {
    schema(json!([{ "name": "id", "type": "int" }, { "name": "kind", "type": "string" }]))
}

fn project(app: &str, registry: &str, schema: &str) -> Project {
    let routes = format!(
        "version = 1\napp = \"{app}\"\n[kafka]\nbootstrap_servers = \"{}\"\n[schema_registry]\nurl = \"{registry}\"\n\
         [routes.r]\ntopic = \"{app}_in\"\nformat = \"json\"\nschema = \"plan.Event\"\ndlq = \"discard\"\n\
         destination = {{ topic = \"{app}_out\" }}\n",
        bootstrap_servers()
    );
    Project::new(&routes).file("schemas/event.avsc", schema)
}

/// What a `schemas` command says, after the subject's name.
fn said(project: &Project, app: &str, action: &str) -> (Option<i32>, String) {
    let finished = project.run(&["schemas", action]);
    assert_eq!(finished.stderr, "");
    (finished.code, finished.stdout.replace(&format!("{app}_out-value"), "S"))
}

#[test]
fn a_subject_s_life_checked_shown_and_registered() {
    let (app, registry) = (unique("plan_life"), Registry::start());
    let project = project(&app, &registry.url, &first());
    assert_eq!(said(&project, &app, "check"), (Some(0), "S  new: nothing to be compatible with\n".into()));
    assert_eq!(said(&project, &app, "diff"), (Some(0), "S: not registered\n".into()));
    let (code, registered) = said(&project, &app, "register");
    assert!(code == Some(0) && registered.contains("done S: register plan.Event as the first version"), "{registered}");
    assert_eq!(said(&project, &app, "check"), (Some(0), "S  registered, version 1\n".into()));
    assert_eq!(said(&project, &app, "diff"), (Some(0), "S: the same as version 1\n".into()));
    let (code, again) = said(&project, &app, "register");
    assert!(code == Some(0) && again.contains("nothing to do"), "{again}");

    let second = json!([
        { "name": "id", "type": "long" },
        { "name": "kind", "type": "string" },
        { "name": "note", "type": ["null", "string"], "default": null },
    ]);
    let project = project.file("schemas/event.avsc", &schema(second));
    assert_eq!(said(&project, &app, "check"), (Some(0), "S  compatible with version 1\n".into()));
    let differences = "S: differs from version 1\n  ~ id: int → long\n  + note: null or string, default null\n";
    assert_eq!(said(&project, &app, "diff"), (Some(0), differences.into()));
    let planned = project.run(&["plan", "--only", "schemas", "--exit-code"]);
    assert_eq!(planned.code, Some(1));
    assert!(
        planned.stdout.contains("register plan.Event as the version after 1, which BACKWARD allows"),
        "{planned:?}"
    );
    assert_eq!(said(&project, &app, "register").0, Some(0));
    project.run(&["plan", "--only", "schemas", "--exit-code"]).ok();

    // The older version is written again: no new one is made, and the newer is named.
    let project = project.file("schemas/event.avsc", &first());
    let (code, back) = said(&project, &app, "diff");
    assert_eq!(code, Some(0));
    assert!(back.contains("the same as version 1") && back.contains("version 2 is newer"), "{back}");
}

#[test]
fn hints_are_no_difference() {
    let (app, registry) = (unique("plan_hints"), Registry::start());
    let inner = |fields: Value| {
        let inner = json!({ "type": "record", "name": "Place", "fields": [
            { "name": "street", "type": "string", "pointsman": { "like": "street" } },
        ] });
        schema(json!([{ "name": "at", "type": inner }, fields]))
    };
    let project = project(&app, &registry.url, &inner(json!({ "name": "id", "type": "int" })));
    assert_eq!(said(&project, &app, "register").0, Some(0));
    let project = project.file("schemas/event.avsc", &inner(json!({ "name": "id", "type": "long" })));
    assert_eq!(said(&project, &app, "diff"), (Some(0), "S: differs from version 1\n  ~ id: int → long\n".into()));
}

#[test]
fn a_change_that_the_level_forbids_is_not_registered() {
    let (app, registry) = (unique("plan_forbidden"), Registry::start());
    let subject = format!("{app}_out-value");
    registry.register(&subject, &first());
    let breaking = schema(json!([{ "name": "id", "type": "int" }, { "name": "price", "type": "double" }]));
    let project = project(&app, &registry.url, &breaking);
    let (code, said_so) = said(&project, &app, "check");
    assert_eq!(code, Some(1));
    assert_eq!(
        said_so,
        "S  refused\n  error: BACKWARD: incompatible against version 1: price: the writer lacks this field, and it has no \
         default\n    help: make the change one that the level allows (a default for a new field), or write to a new \
         topic\n"
    );
    assert_eq!(said(&project, &app, "diff").0, Some(0), "to differ is no fault");
    assert_eq!(project.run(&["plan", "--only", "schemas"]).code, Some(1), "also without --exit-code");
    for command in [&["schemas", "register"][..], &["apply", "--only", "schemas", "--yes"]] {
        let refused = project.run(command);
        assert!(refused.code == Some(1) && refused.stdout.contains("nothing was applied"), "{refused:?}");
    }
    assert_eq!(registry.latest(&subject), first(), "nothing was registered");

    // A level that allows it is respected, by the registry and by the check here.
    registry.set(&format!("/config/{subject}"), json!({ "compatibility": "FORWARD" }));
    let (code, said_so) = said(&project, &app, "check");
    assert!(code == Some(1) && said_so.contains("FORWARD: incompatible against version 1: kind"), "{said_so}");
    registry.set(&format!("/config/{subject}"), json!({ "compatibility": "NONE" }));
    assert_eq!(said(&project, &app, "register").0, Some(0));
}

#[test]
fn a_transitive_level_is_judged_against_every_version() {
    let (app, registry) = (unique("plan_transitive"), Registry::start());
    let subject = format!("{app}_out-value");
    let id = json!({ "name": "id", "type": "int" });
    registry.register(&subject, &schema(json!([id])));
    registry.register(&subject, &schema(json!([id, { "name": "b", "type": "int", "default": 0 }])));
    let project = project(&app, &registry.url, &schema(json!([id, { "name": "b", "type": "int" }])));
    assert_eq!(said(&project, &app, "check"), (Some(0), "S  compatible with version 2\n".into()));
    registry.set("/config", json!({ "compatibility": "BACKWARD_TRANSITIVE" }));
    let (code, said_so) = said(&project, &app, "check");
    assert!(code == Some(1) && said_so.contains("incompatible against version 1: b:"), "{said_so}");
}

#[test]
fn a_registry_that_takes_nothing_says_so_beforehand() {
    let (app, registry) = (unique("plan_read_only"), Registry::start());
    registry.set("/mode", json!({ "mode": "READONLY" }));
    let project = project(&app, &registry.url, &first());
    let (code, said_so) = said(&project, &app, "check");
    assert!(code == Some(1) && said_so.contains("mode for it is READONLY: nothing can be registered"), "{said_so}");
    registry.set("/mode", json!({ "mode": "READWRITE" }));
    assert_eq!(said(&project, &app, "register").0, Some(0));
    registry.set("/mode", json!({ "mode": "READONLY" }));
    assert_eq!(said(&project, &app, "check").0, Some(0), "nothing has to be registered");
}

#[test]
fn both_judges_are_named_where_they_do_not_agree() {
    // A registry that knows no logical types, as Java's Avro does not: milliseconds become microseconds.
    let time = |unit: &str| {
        let ty = json!({ "type": "long", "logicalType": format!("timestamp-{unit}") });
        schema(json!([{ "name": "at", "type": ty }]))
    };
    let old = time("millis");
    let lax = answering(Router::new().fallback(async move |uri: axum::http::Uri| {
        let version = json!({ "subject": "s", "id": 1, "version": 1, "schema": old });
        match uri.path() {
            p if p.starts_with("/compatibility") => (StatusCode::OK, json!({ "is_compatible": true }).to_string()),
            p if p.starts_with("/config") => (StatusCode::OK, json!({ "compatibilityLevel": "FULL" }).to_string()),
            p if p.ends_with("/versions") => (StatusCode::OK, "[1]".to_owned()),
            p if p.contains("/versions/") => (StatusCode::OK, version.to_string()),
            // Neither the schema nor a mode: not every registry has modes.
            _ => (StatusCode::NOT_FOUND, json!({ "error_code": 40403, "message": "not found" }).to_string()),
        }
    }));
    let app = unique("plan_lax");
    let (code, said_so) = said(&project(&app, &lax, &time("micros")), &app, "check");
    assert_eq!(code, Some(1));
    assert!(
        said_so
            .contains("FULL: the registry says compatible, and yet it is not against version 1: at: timestamp-millis"),
        "{said_so}"
    );
}

#[test]
fn what_is_no_registry_s_answer_ends_with_3_and_what_to_do() {
    let html = answering(Router::new().fallback(async || Html("<h1>Welcome</h1>")));
    let down = answering(Router::new().fallback(async || (StatusCode::INTERNAL_SERVER_ERROR, "oops")));
    let denied = answering(Router::new().fallback(async |headers: HeaderMap| {
        let known = headers.get("authorization").is_some();
        let message = if known { "Wrong password" } else { "Unauthorized" };
        (StatusCode::UNAUTHORIZED, json!({ "error_code": 40101, "message": message }).to_string())
    }));
    let with_password = denied.replace("http://", "http://me:secret@");
    for (url, message, help) in [
        (&html, "does not answer as a schema registry does", "check [schema_registry] url"),
        (&down, "answers with HTTP 500", ""),
        (&denied, "Unauthorized", "check user and password of [schema_registry]"),
        (&with_password, "Wrong password", "check user and password of [schema_registry]"),
    ] {
        let app = unique("plan_no_registry");
        let project = project(&app, url, &first());
        for command in [&["schemas", "check"][..], &["schemas", "register"], &["plan", "--only", "schemas"]] {
            let finished = project.run(command);
            assert_eq!(finished.code, Some(3), "{command:?} {url}: {finished:?}");
            assert!(finished.stdout.contains(message) && finished.stdout.contains(help), "{finished:?}");
            assert!(!finished.stdout.contains("secret"), "{finished:?}");
            let verdict = format!("{}  not seen\n", url.replace("me:secret@", ""));
            assert!(command[1] != "check" || finished.stdout.starts_with(&verdict), "{finished:?}");
        }
    }
}
