//! The embedded registry over a real socket: what clients and curl see.

use crate::harness::{block_on, unique, wait_until};
use pointsman::{
    http,
    registry::server::{Registry, router},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};

/// A registry that serves on a port of its own until it is dropped.
pub struct Served {
    pub url: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    client: reqwest::Client,
}

impl Served {
    pub fn new(registry: Registry) -> Served {
        let listener = block_on(http::bind("127.0.0.1:0", "--listen")).unwrap();
        let url = listener.url();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let app = router(registry);
        let serving = listener.serve(app, async {
            let _ = stopped.await;
        });
        block_on(async { drop(tokio::spawn(serving)) });
        Served { url, stop: Some(stop), client: reqwest::Client::new() }
    }

    pub fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if !body.is_null() {
            request = request.header("content-type", "application/vnd.schemaregistry.v1+json").body(body.to_string());
        }
        block_on(async {
            let response = request.send().await.unwrap();
            assert_eq!(response.headers()["content-type"], "application/vnd.schemaregistry.v1+json", "{path}");
            let status = response.status().as_u16();
            (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
        })
    }

    /// Sends, and expects this answer; of a refusal, its code.
    #[track_caller]
    fn expect(&self, method: &str, path: &str, body: Value, expected: Value) {
        let (status, answer) = self.send(method, path, &body);
        if let Some(code) = expected.as_u64().filter(|c| *c >= 400 && status >= 400) {
            assert_eq!(answer["error_code"], expected, "{method} {path}: {answer}");
            let in_code = if code < 1000 { code } else { code / 100 };
            assert_eq!(u64::from(status), in_code, "{method} {path}: {answer}");
            assert!(!answer["message"].as_str().unwrap().is_empty());
        } else {
            assert_eq!((status, &answer), (200, &expected), "{method} {path}");
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }
}

pub fn record(fields: Value) -> String {
    json!({ "type": "record", "name": "Order", "namespace": "shop", "fields": fields }).to_string()
}

fn v1() -> String {
    record(json!([{ "name": "id", "type": "long" }]))
}
/// Reads v1, and is read by it.
fn v2() -> String {
    record(json!([{ "name": "id", "type": "long" }, { "name": "note", "type": "string", "default": "" }]))
}
/// Does not read v1 nor v2.
fn breaking() -> String {
    record(json!([{ "name": "id", "type": "long" }, { "name": "price", "type": "double" }]))
}

fn schema(text: &str) -> Value {
    json!({ "schema": text })
}

#[test]
fn schemas_have_ids_across_subjects_and_versions_within_them() {
    let r = Served::new(Registry::in_memory());
    r.expect("GET", "/", json!(null), json!({}));
    r.expect("GET", "/schemas/types", json!(null), json!(["AVRO"]));
    r.expect("GET", "/subjects", json!(null), json!([]));
    r.expect("POST", "/subjects/orders-value/versions", schema(&v1()), json!({ "id": 1 }));
    r.expect("POST", "/subjects/orders-value/versions", schema(&format!("  {}\n", v1())), json!({ "id": 1 }));
    r.expect("POST", "/subjects/orders-value/versions?normalize=true", schema(&v2()), json!({ "id": 2 }));
    r.expect("POST", "/subjects/a%2Fb%20c/versions", schema(&v2()), json!({ "id": 2 }));
    r.expect("GET", "/subjects", json!(null), json!(["a/b c", "orders-value"]));
    r.expect("GET", "/subjects?subjectPrefix=ord", json!(null), json!(["orders-value"]));
    r.expect("GET", "/subjects/orders-value/versions", json!(null), json!([1, 2]));
    let whole = json!({ "subject": "orders-value", "version": 2, "id": 2, "schema": v2() });
    for version in ["2", "latest", "-1"] {
        r.expect("GET", &format!("/subjects/orders-value/versions/{version}"), json!(null), whole.clone());
    }
    r.expect("POST", "/subjects/orders-value", schema(&v2()), whole);
    r.expect("GET", "/schemas/ids/1", json!(null), schema(&v1()));
    r.expect("GET", "/schemas/ids/1/schema", json!(null), serde_json::from_str(&v1()).unwrap());
    r.expect("GET", "/subjects/orders-value/versions/1/schema", json!(null), serde_json::from_str(&v1()).unwrap());
    r.expect("GET", "/schemas/ids/2/subjects", json!(null), json!(["a/b c", "orders-value"]));
    r.expect(
        "GET",
        "/schemas/ids/2/versions",
        json!(null),
        json!([{ "subject": "a/b c", "version": 1 }, { "subject": "orders-value", "version": 2 }]),
    );
}

#[test]
fn what_is_not_there_is_told_by_its_code() {
    let r = Served::new(Registry::in_memory());
    r.expect("POST", "/subjects/s/versions", schema(&v1()), json!({ "id": 1 }));
    for (method, path, body, code) in [
        ("GET", "/subjects/none/versions", json!(null), 40401),
        ("GET", "/subjects/none/versions/latest", json!(null), 40401),
        ("DELETE", "/subjects/none", json!(null), 40401),
        ("POST", "/subjects/none", schema(&v1()), 40401),
        ("GET", "/subjects/s/versions/7", json!(null), 40402),
        ("DELETE", "/subjects/s/versions/7", json!(null), 40402),
        ("POST", "/compatibility/subjects/s/versions/7", schema(&v1()), 40402),
        ("GET", "/schemas/ids/7", json!(null), 40403),
        ("GET", "/schemas/ids/7/versions", json!(null), 40403),
        ("GET", "/schemas/guids/0190-ff", json!(null), 40403),
        ("POST", "/subjects/s", schema(&v2()), 40403),
        ("GET", "/config/s", json!(null), 40408),
        ("DELETE", "/config/s", json!(null), 40408),
        ("GET", "/mode/s", json!(null), 40409),
        ("GET", "/subjects/s/versions/0", json!(null), 42202),
        ("GET", "/subjects/s/versions/first", json!(null), 42202),
        ("GET", "/subjects/s/versions/99999999999", json!(null), 42202),
    ] {
        r.expect(method, path, body, json!(code));
    }
}

#[test]
fn bad_requests_get_their_code_and_the_registry_goes_on() {
    let r = Served::new(Registry::in_memory());
    let versions = "/subjects/s/versions";
    for (body, code) in [
        (json!({}), 42201),
        (schema(""), 42201),
        (schema("nonsense"), 42201),
        (schema("{\"type\":\"record\"}"), 42201),
        (schema(&"[".repeat(100_000)), 42201),
        (json!({ "schema": v1(), "schemaType": "PROTOBUF" }), 42201),
        (json!({ "schema": v1(), "metadata": { "tags": {} } }), 42201),
        (json!({ "schema": v1(), "id": 9 }), 42205),
        (
            json!({ "schema": "\"shop.None\"", "references": [{ "name": "shop.None", "subject": "x", "version": 1 }] }),
            42201,
        ),
        (schema(&format!(r#"{{"type":"string","doc":"{}"}}"#, "x".repeat(1 << 20))), 42201),
        (json!({ "schema": 7 }), 400),
        (json!([1, 2]), 400),
        (json!({ "schema": v1(), "doc": "x".repeat(10 << 20) }), 413),
    ] {
        r.expect("POST", versions, body, json!(code));
    }
    r.expect("POST", "/subjects/a%00b/versions", schema(&v1()), json!(42208));
    r.expect("PUT", "/config", json!({ "compatibility": "SOMETIMES" }), json!(42203));
    r.expect("PUT", "/mode/s", json!({ "mode": "IMPORT" }), json!(42204));
    for (method, path, code) in [
        ("GET", "/nowhere", 404),
        ("GET", "/schemas/ids/seven", 400),
        ("GET", "/subjects/%FF/versions", 400),
        ("PATCH", "/subjects", 405),
        ("DELETE", "/subjects", 405),
        ("GET", "/subjects?subjectPrefix=%FF&subjectPrefix=a", 400),
    ] {
        r.expect(method, path, json!(null), json!(code));
    }
    let garbage = r.client.post(format!("{}{versions}", r.url)).header("content-type", "application/json");
    assert_eq!(block_on(garbage.body("{\"schema\": ").send()).unwrap().status(), 400);
    let form =
        r.client.post(format!("{}{versions}", r.url)).header("content-type", "application/x-www-form-urlencoded");
    let form = block_on(form.body(schema(&v1()).to_string()).send()).unwrap();
    assert_eq!(form.status(), 415);
    assert!(block_on(form.text()).unwrap().contains("send Content-Type: application/vnd.schemaregistry.v1+json"));
    r.expect("POST", versions, schema(&v1()), json!({ "id": 1 }));
}

#[test]
fn a_level_lets_in_what_it_names() {
    let r = Served::new(Registry::in_memory());
    let versions = "/subjects/s/versions";
    r.expect("GET", "/config", json!(null), json!({ "compatibilityLevel": "BACKWARD" }));
    r.expect("POST", "/compatibility/subjects/s/versions", schema(&v1()), json!({ "is_compatible": true }));
    r.expect("POST", "/compatibility/subjects/s/versions/latest", schema(&v1()), json!(40401));
    r.expect("POST", versions, schema(&v1()), json!({ "id": 1 }));
    r.expect("POST", versions, schema(&v2()), json!({ "id": 2 }));
    r.expect("POST", versions, schema(&breaking()), json!(409));
    r.expect("POST", "/compatibility/subjects/s/versions", schema(&breaking()), json!({ "is_compatible": false }));
    let (_, verdict) = r.send("POST", "/compatibility/subjects/s/versions/1?verbose=true", &schema(&breaking()));
    assert_eq!(verdict["is_compatible"], false);
    assert!(verdict["messages"][0].as_str().unwrap().contains("against version 1: price"), "{verdict}");

    // Only readers that know v1 alone: the new schema may add what they skip, not take away what they need.
    r.expect("PUT", "/config/s", json!({ "compatibility": "forward" }), json!({ "compatibility": "FORWARD" }));
    r.expect("GET", "/config/s", json!(null), json!({ "compatibilityLevel": "FORWARD" }));
    let no_id = record(json!([{ "name": "other", "type": "long" }]));
    r.expect("POST", "/compatibility/subjects/s/versions", schema(&no_id), json!({ "is_compatible": false }));
    r.expect("POST", versions, schema(&breaking()), json!({ "id": 3 }));
    r.expect("PUT", "/config/s", json!({ "compatibility": "NONE" }), json!({ "compatibility": "NONE" }));
    r.expect("POST", versions, schema(&no_id), json!({ "id": 4 }));

    // v1 again: the latest version reads nothing of it under the transitive level, which asks all of them.
    r.expect(
        "PUT",
        "/config/s",
        json!({ "compatibility": "FULL_TRANSITIVE" }),
        json!({ "compatibility": "FULL_TRANSITIVE" }),
    );
    let widened = record(json!([{ "name": "id", "type": "long" }, { "name": "x", "type": "int", "default": 0 }]));
    r.expect("POST", versions, schema(&widened), json!(409));
    r.expect("DELETE", "/config/s", json!(null), json!({ "compatibilityLevel": "FULL_TRANSITIVE" }));
    r.expect("GET", "/config/s", json!(null), json!(40408));
    r.expect("GET", "/config/s?defaultToGlobal=true", json!(null), json!({ "compatibilityLevel": "BACKWARD" }));
}

#[test]
fn references_resolve_and_hold_what_they_refer_to() {
    let r = Served::new(Registry::in_memory());
    let address = json!({ "type": "record", "name": "Address", "namespace": "shop", "fields": [{ "name": "city", "type": "string" }] });
    let customer = json!({ "type": "record", "name": "Customer", "namespace": "shop", "fields": [{ "name": "home", "type": "shop.Address" }] });
    r.expect("POST", "/subjects/address/versions", schema(&address.to_string()), json!({ "id": 1 }));
    let with = |version: i64| {
        let reference = json!({ "name": "shop.Address", "subject": "address", "version": version });
        json!({ "schema": customer.to_string(), "schemaType": "AVRO", "references": [reference] })
    };
    r.expect("POST", "/subjects/customer/versions", schema(&customer.to_string()), json!(42201));
    r.expect("POST", "/subjects/customer/versions", with(2), json!(42201));
    r.expect("POST", "/subjects/customer/versions", with(1), json!({ "id": 2 }));
    r.expect("POST", "/subjects/customer/versions", with(-1), json!({ "id": 2 }));
    let mut stored = with(1);
    stored.as_object_mut().unwrap().remove("schemaType");
    let (_, answer) = r.send("GET", "/schemas/ids/2", &json!(null));
    assert_eq!(answer, stored);
    r.expect("GET", "/subjects/address/versions/1/referencedby", json!(null), json!([2]));
    r.expect("DELETE", "/subjects/address", json!(null), json!(42206));
    r.expect("DELETE", "/subjects/address/versions/1", json!(null), json!(42206));
    r.expect("DELETE", "/subjects/customer", json!(null), json!([1]));
    r.expect("DELETE", "/subjects/address", json!(null), json!([1]));
    r.expect("GET", "/schemas/ids/2", json!(null), stored);
}

#[test]
fn deleting_is_soft_first_and_ids_are_never_given_again() {
    let r = Served::new(Registry::in_memory());
    let versions = "/subjects/s/versions";
    r.expect("POST", versions, schema(&v1()), json!({ "id": 1 }));
    r.expect("POST", versions, schema(&v2()), json!({ "id": 2 }));
    r.expect("DELETE", "/subjects/s?permanent=true", json!(null), json!(40405));
    r.expect("DELETE", "/subjects/s/versions/2?permanent=true", json!(null), json!(40407));
    r.expect("DELETE", "/subjects/s/versions/2", json!(null), json!(2));
    r.expect("DELETE", "/subjects/s/versions/2", json!(null), json!(40406));
    r.expect("GET", versions, json!(null), json!([1]));
    r.expect("GET", "/subjects/s/versions?deleted=true", json!(null), json!([1, 2]));
    r.expect("GET", "/subjects/s/versions?deletedOnly=true", json!(null), json!([2]));
    r.expect("GET", "/subjects/s/versions/2", json!(null), json!(40402));
    r.expect("GET", "/schemas/ids/2", json!(null), schema(&v2()));
    r.expect("POST", versions, schema(&v2()), json!({ "id": 2 }));
    r.expect("GET", versions, json!(null), json!([1, 3]));
    r.expect("DELETE", "/subjects/s", json!(null), json!([1, 3]));
    r.expect("DELETE", "/subjects/s", json!(null), json!(40404));
    r.expect("GET", "/subjects", json!(null), json!([]));
    r.expect("GET", "/subjects?deleted=True", json!(null), json!(["s"]));
    r.expect("GET", "/subjects?deleted=False", json!(null), json!([]));
    r.expect("DELETE", "/subjects/s?permanent=true", json!(null), json!([1, 2, 3]));
    r.expect("GET", "/subjects?deleted=true", json!(null), json!([]));
    r.expect("GET", "/schemas/ids/2", json!(null), json!(40403));
    r.expect("POST", versions, schema(&v2()), json!({ "id": 3 }));
    r.expect("GET", versions, json!(null), json!([1]));
}

#[test]
fn a_read_only_registry_changes_nothing() {
    let r = Served::new(Registry::in_memory());
    r.expect("POST", "/subjects/s/versions", schema(&v1()), json!({ "id": 1 }));
    r.expect("GET", "/mode", json!(null), json!({ "mode": "READWRITE" }));
    r.expect("PUT", "/mode", json!({ "mode": "READONLY" }), json!({ "mode": "READONLY" }));
    r.expect("POST", "/subjects/s/versions", schema(&v1()), json!({ "id": 1 }));
    r.expect("POST", "/subjects/s/versions", schema(&v2()), json!(42205));
    r.expect("DELETE", "/subjects/s", json!(null), json!(42205));
    r.expect("PUT", "/mode/s", json!({ "mode": "READWRITE" }), json!({ "mode": "READWRITE" }));
    r.expect("POST", "/subjects/s/versions", schema(&v2()), json!({ "id": 2 }));
}

/// A file of a test's own, in a folder that is not there yet.
fn file() -> PathBuf {
    std::env::temp_dir().join(unique("pointsman_registry")).join("schemas.log")
}

#[test]
fn a_registry_in_a_file_comes_back_as_it_was() {
    let path = file();
    let r = Served::new(Registry::open(&path).unwrap());
    r.expect("POST", "/subjects/s/versions", schema(&v1()), json!({ "id": 1 }));
    r.expect("POST", "/subjects/gone/versions", schema(&v2()), json!({ "id": 2 }));
    r.expect("DELETE", "/subjects/gone", json!(null), json!([1]));
    r.expect("DELETE", "/subjects/gone?permanent=true", json!(null), json!([1]));
    r.expect("PUT", "/config/s", json!({ "compatibility": "FULL" }), json!({ "compatibility": "FULL" }));
    let busy = Registry::open(&path).unwrap_err().to_string();
    assert!(busy.contains("in use by another process") && busy.contains("--store"), "{busy}");

    let r = reopened(r, &path);
    r.expect(
        "GET",
        "/subjects/s/versions/1",
        json!(null),
        json!({ "subject": "s", "version": 1, "id": 1, "schema": v1() }),
    );
    r.expect("GET", "/config/s", json!(null), json!({ "compatibilityLevel": "FULL" }));
    r.expect("POST", "/subjects/s/versions", schema(&v2()), json!({ "id": 3 }));
}

/// Ends the registry, and opens its file again once the last connection has let go of it.
fn reopened(served: Served, path: &std::path::Path) -> Served {
    drop(served);
    let mut opened = None;
    wait_until("the file is free", Duration::from_secs(10), || {
        opened = Registry::open(path).ok();
        opened.is_some()
    });
    Served::new(opened.unwrap())
}

#[test]
fn a_torn_last_line_is_cut_off_and_any_other_damage_is_refused() {
    let path = file();
    let r = Served::new(Registry::open(&path).unwrap());
    r.expect("POST", "/subjects/s/versions", schema(&v1()), json!({ "id": 1 }));
    drop(r);
    let mut whole = Vec::new();
    wait_until("the file is free", Duration::from_secs(10), || {
        whole = std::fs::read(&path).unwrap();
        Registry::open(&path).is_ok()
    });
    for torn in [&b"{\"event\":\"regis"[..], b"{", b"\xff\xfe"] {
        std::fs::write(&path, [&whole, torn].concat()).unwrap();
        let r = Registry::open(&path).unwrap();
        drop(r);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
    for cut in [0, 1, 20] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        Registry::open(&path).unwrap();
    }
    std::fs::write(&path, [&whole, &b"nonsense\n"[..], &whole].concat()).unwrap();
    let e = Registry::open(&path).unwrap_err().to_string();
    assert!(e.contains("line 3") && e.contains("schemas.log"), "{e}");
    std::fs::write(&path, "version = 1\n").unwrap();
    assert!(Registry::open(&path).unwrap_err().to_string().contains("line 1"));
    assert_eq!(std::fs::read(&path).unwrap(), b"version = 1\n", "a file of something else is left alone");
}
