//! The registry client against the embedded registry, and against what is none.

use crate::{
    harness::block_on,
    registry_api::{Served, record},
};
use axum::{Router, http::StatusCode, response::Html};
use pointsman::{
    config,
    failure::{Remedy, Setback},
    http,
    registry::{Answer, Client, Place, RegisterError, server::Registry},
    schema::{Kind, compatibility::Level},
};
use serde_json::json;

fn client(url: &str) -> Client {
    Client::new(&settings(url)).unwrap()
}

fn settings(url: &str) -> config::Registry {
    config::Registry {
        url: url.into(),
        user: None,
        password: None,
        ca: None,
        unknown_id_grace: std::time::Duration::from_secs(30),
    }
}

/// Something that listens and answers each request so.
pub fn answering(app: Router) -> String {
    let listener = block_on(http::bind("127.0.0.1:0", "test")).unwrap();
    let url = listener.url();
    block_on(async { drop(tokio::spawn(listener.serve(app, std::future::pending()))) });
    url
}

#[test]
fn a_schema_is_registered_found_and_read_by_its_id() {
    let served = Served::new(Registry::in_memory());
    let client = client(&served.url);
    let text = record(json!([{ "name": "id", "type": "long" }]));
    block_on(async {
        let subject = "with/slash and space-value";
        assert_eq!(client.place_of(subject, &text).await.unwrap(), None);
        assert!(client.version(subject, None).await.unwrap().is_none());
        assert!(client.versions(subject).await.unwrap().is_empty());
        assert!(client.verdict(subject, &text).await.unwrap().compatible);
        let id = client.register(subject, &text).await.unwrap();
        assert_eq!(client.register(subject, &text).await.unwrap(), id);
        assert_eq!(client.place_of(subject, &text).await.unwrap(), Some(Place { id, version: 1 }));
        assert_eq!(client.versions(subject).await.unwrap(), [1]);
        let latest = client.version(subject, None).await.unwrap().unwrap();
        assert_eq!((latest.id, latest.version, latest.text), (id, 1, text));
        let Answer::Schema(schema) = client.schema(id).await.unwrap() else { panic!("no schema") };
        assert_eq!(schema.record().unwrap().name.0, "shop.Order");
        assert!(matches!(client.schema(id + 1).await.unwrap(), Answer::Unknown(_)));
    });
}

#[test]
fn a_known_id_is_not_asked_for_again() {
    let served = Served::new(Registry::in_memory());
    let client = client(&served.url);
    block_on(async {
        let id = client.register("s", "\"string\"").await.unwrap();
        client.schema(id).await.unwrap();
        drop(served);
        let Answer::Schema(schema) = client.schema(id).await.unwrap() else { panic!("no schema") };
        assert_eq!(schema.kind(schema.root()), &Kind::String);
    });
}

#[test]
fn references_are_resolved_into_the_schema() {
    let served = Served::new(Registry::in_memory());
    let client = client(&served.url);
    let inner = r#"{"type":"record","name":"Address","namespace":"shop","fields":[{"name":"city","type":"string"}]}"#;
    let outer = record(json!([{ "name": "to", "type": "shop.Address" }]));
    // Pointsman registers schemas whole; others do not.
    served.send("POST", "/subjects/address/versions", &json!({ "schema": inner }));
    let references = json!([{ "name": "shop.Address", "subject": "address", "version": 1 }]);
    let order = json!({ "schema": outer, "references": references });
    let (_, answer) = served.send("POST", "/subjects/order/versions", &order);
    let id = answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}")) as u32;
    block_on(async {
        let Answer::Schema(schema) = client.schema(id).await.unwrap() else { panic!("no schema") };
        assert!(schema.to_json().contains("city"), "{}", schema.to_json());
    });
}

#[test]
fn an_incompatible_schema_and_no_schema_at_all_are_refused_with_the_registry_s_reasons() {
    let served = Served::new(Registry::in_memory());
    let client = client(&served.url);
    let breaking = record(json!([{ "name": "id", "type": "long" }, { "name": "price", "type": "double" }]));
    block_on(async {
        client.register("s", &record(json!([{ "name": "id", "type": "long" }]))).await.unwrap();
        let verdict = client.verdict("s", &breaking).await.unwrap();
        assert!(!verdict.compatible && verdict.reasons.iter().any(|r| r.contains("price")), "{verdict:?}");
        assert_eq!(
            (client.level("s").await.unwrap(), &*client.mode("s").await.unwrap()),
            (Level::Backward, "READWRITE")
        );
        let e = client.register("s", &breaking).await.unwrap_err();
        assert!(matches!(&e, RegisterError::Incompatible(why) if why.contains("price")), "{e}");
        let e = client.register("s", "{}").await.unwrap_err();
        assert!(matches!(&e, RegisterError::Refused(why) if why.contains("Invalid schema")), "{e}");
    });
}

/// Asks for a schema where the registry does not do its part.
fn setback(client: &Client) -> Setback {
    let setback = block_on(client.schema(1)).unwrap_err();
    assert_eq!(setback.remedy, Remedy::Retry);
    setback
}

#[test]
fn what_is_no_registry_s_answer_is_a_setback_that_says_what_to_do() {
    let html = answering(Router::new().fallback(async || Html("<h1>Welcome</h1>")));
    let e = setback(&client(&html));
    assert!(
        e.message.contains("does not answer as a schema registry") && e.help.contains("[schema_registry] url"),
        "{e}"
    );

    let not_found = answering(Router::new());
    let e = setback(&client(&not_found));
    assert!(e.message.contains("HTTP 404") && e.help.contains("something other"), "{e}");

    let down = answering(Router::new().fallback(async || (StatusCode::SERVICE_UNAVAILABLE, "wait")));
    let e = setback(&client(&down));
    assert!(e.message.contains("HTTP 503"), "{e}");

    let denied = answering(Router::new().fallback(async || {
        (StatusCode::UNAUTHORIZED, r#"{"error_code":40101,"message":"User cannot be authenticated"}"#)
    }));
    let with_password = denied.replace("http://", "http://me:secret@");
    let e = setback(&client(&with_password));
    assert!(e.message.contains("User cannot be authenticated") && e.help.contains("user and password"), "{e}");
    assert!(!e.to_string().contains("secret"), "{e}");
}

#[test]
fn a_registry_that_does_not_listen_is_named() {
    let listener = block_on(http::bind("127.0.0.1:0", "test")).unwrap();
    let url = listener.url();
    drop(listener);
    let e = setback(&client(&url));
    assert!(e.message.contains(&url) && e.message.contains("cannot be reached: Connection refused"), "{e}");
    block_on(async {
        let e = client(&url).register("s", "\"int\"").await.unwrap_err();
        assert!(matches!(e, RegisterError::Setback(_)), "{e}");
    });
}

#[test]
fn user_and_password_are_sent_and_a_password_alone_is_a_token() {
    let echo = answering(Router::new().fallback(async |headers: axum::http::HeaderMap| {
        let sent = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or("none").to_owned();
        (StatusCode::FORBIDDEN, json!({ "error_code": 40301, "message": sent }).to_string())
    }));
    let as_user = config::Registry { user: Some("me".into()), password: Some("pw".into()), ..settings(&echo) };
    let as_token = config::Registry { password: Some("abc".into()), ..settings(&echo) };
    for (settings, sent) in [(as_user, "Basic bWU6cHc="), (as_token, "Bearer abc"), (settings(&echo), "none")] {
        let e = setback(&Client::new(&settings).unwrap());
        assert!(e.message.contains(sent), "{e}");
    }
}
