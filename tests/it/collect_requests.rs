//! What clients send to a collector, and what they are told.

use crate::{
    collect_support::{Answer, Collecting, SCHEMA, get, request, values},
    harness::{Registry, create_topic, read_topic, unique, wait_until},
};
use flate2::{Compression, write::GzEncoder};
use reqwest::Method;
use serde_json::json;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

const JSON: &str = "application/json";
const GOOD: &str = r#"{"id":1,"kind":"view"}"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn events_of_every_form_are_in_the_topic_as_they_were_sent() {
    let c = Collecting::start("record_key = [\"id\"]", "");
    assert_eq!(c.json(r#" {"id": 1, "kind": "view", "unknown": [1.50]} "#).body, json!({ "accepted": 1 }));
    let array = r#"[{"id":2,"kind":"view"}, {"kind":"purchase","id":3,"price":"1.20"}]"#;
    assert_eq!(c.json(array).body, json!({ "accepted": 2 }));
    let lines = "{\"id\":4,\"kind\":\"view\"}\r\n\n  {\"id\":5,\"kind\":\"view\",\"quantity\":2}";
    let answer = c.post("application/x-ndjson; charset=utf-8", lines);
    assert_eq!((answer.status, &answer.body["accepted"]), (202, &json!(2)));
    let packed = gzip(br#"[{"id":6,"kind":"view"}]"#);
    assert_eq!(c.send(&[("content-type", JSON), ("content-encoding", "gzip")], packed).status, 202);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let traced = [("content-type", JSON), ("traceparent", parent), ("tracestate", "shop=1")];
    assert_eq!(c.send(&traced, r#"{"id":7,"kind":"view"}"#).status, 202);

    let messages = read_topic(&c.topic);
    let wanted = [
        r#"{"id": 1, "kind": "view", "unknown": [1.50]}"#,
        r#"{"id":2,"kind":"view"}"#,
        r#"{"id":4,"kind":"view"}"#,
        r#"{"id":5,"kind":"view","quantity":2}"#,
        r#"{"id":6,"kind":"view"}"#,
        r#"{"id":7,"kind":"view"}"#,
        r#"{"kind":"purchase","id":3,"price":"1.20"}"#,
    ];
    assert_eq!(values(&messages), wanted);
    for message in &messages {
        let value: serde_json::Value = serde_json::from_slice(message.value.as_ref().unwrap()).unwrap();
        assert_eq!(message.key.as_deref(), Some(value["id"].to_string().as_bytes()));
        let traced = value["id"] == 7;
        assert_eq!(message.header("traceparent"), traced.then_some(parent));
        assert_eq!(message.header("tracestate"), traced.then_some("shop=1"));
    }
    let metrics = c.metrics();
    for line in [
        r#"pointsman_collector_events_total{collector="shop",outcome="accepted"} 7"#,
        r#"pointsman_collector_requests_total{collector="shop",status="202"} 5"#,
        r#"pointsman_collector_request_seconds_count{collector="shop"} 5"#,
        r#"pointsman_collector_ready{collector="shop"} 1"#,
        r#"pointsman_collector_buffered_bytes{collector="shop"} 0"#,
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is missing in\n{metrics}");
    }
}

#[test]
fn bad_events_are_refused_with_each_problem_and_their_neighbours_are_taken() {
    let plain = "[kafka.producer]\n\"compression.type\" = \"none\"\n";
    let c = Collecting::start("limits = { body = \"2MiB\" }", plain);
    let mixed = r#"[{"id":1,"kind":"view"},
        {"id":"2","kind":"looked","items":[{"sku":"a","count":1},{"sku":7}]},
        {"id":3,"kind":"purchase","quantity":0},
        {"id":4,"kind":"view"},
        7]"#;
    let answer = c.json(mixed);
    assert_eq!(answer.problem(), (422, "invalid-events"));
    assert_eq!(answer.body["accepted"], json!([0, 3]));
    assert_eq!(answer.body["refused"], json!([1, 2, 4]));
    let errors = answer.body["errors"].as_array().unwrap();
    let brief = |e: &serde_json::Value| format!("{} {} {}", e["index"], e["field"].as_str().unwrap_or("-"), e["code"]);
    let found: Vec<String> = errors.iter().map(|e| brief(e).replace('"', "")).collect();
    let wanted = [
        "1 id wrong-type",
        "1 kind unknown-symbol",
        "1 items[1].sku wrong-type",
        "1 items[1].count missing-field",
        "2 - counted",
        "2 - priced",
        "4 - wrong-type",
    ];
    assert_eq!(found, wanted, "{answer:?}");
    assert_eq!(errors[5]["detail"], "a purchase has a price");

    let lines = c.post("application/x-ndjson", b"{\"id\":5,\"kind\":\"view\"}\n{\"id\":6\n\xff\n".to_vec());
    assert_eq!(lines.problem(), (422, "invalid-events"));
    assert_eq!((&lines.body["accepted"], &lines.body["refused"]), (&json!([0]), &json!([1, 2])));

    // Larger than the topic takes, and nothing compresses it: known before it is sent.
    let large = format!(r#"[{{"id":7,"kind":"view","unknown":"{}"}},{{"id":8,"kind":"view"}}]"#, "x".repeat(1_048_600));
    let answer = c.json(&large);
    assert_eq!((answer.problem(), &answer.body["accepted"]), ((422, "invalid-events"), &json!([1])));
    assert_eq!(answer.body["errors"][0]["code"], "record-too-large");

    let many = format!("[{}]", vec!["{}"; 5_000].join(","));
    let answer = c.json(&many);
    assert_eq!(answer.body["refused"].as_array().unwrap().len(), 5_000);
    assert_eq!(answer.body["errors"].as_array().unwrap().len(), 100, "the list is bounded");

    let ids: Vec<String> = values(&read_topic(&c.topic)).iter().map(|v| v[..7].to_owned()).collect();
    assert_eq!(ids, ["{\"id\":1", "{\"id\":4", "{\"id\":5", "{\"id\":8"]);
    let metrics = c.metrics();
    let line = r#"pointsman_collector_failures_total{collector="shop",stage="validate",code="counted"} 1"#;
    assert!(metrics.lines().any(|l| l == line), "{metrics}");
}

#[test]
fn every_bad_request_gets_its_status_and_leaves_nothing_behind() {
    let c = Collecting::start("limits = { body = \"64KiB\", events = 10 }", "");
    let deep = format!(r#"{{"id":1,"kind":"view","unknown":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let small_bomb = gzip(&vec![b' '; 1 << 20]);
    let eleven = format!("[{}]", [GOOD; 11].join(","));
    let half = &gzip(GOOD.as_bytes())[..20];
    let packed = [("content-type", JSON), ("content-encoding", "gzip")];
    let typed = |t: &'static str| vec![("content-type", t)];
    let json = typed(JSON);
    // Its name, headers, body; the status and a part of the answer.
    type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, Vec<u8>, u16, &'a str);
    let cases: Vec<Case<'_>> = vec![
        ("empty", json.clone(), vec![], 400, "empty-body"),
        ("blank", json.clone(), b"  \n".to_vec(), 400, "malformed-json"),
        ("empty array", json.clone(), b"[]".to_vec(), 400, "no-events"),
        ("blank lines", typed("application/x-ndjson"), b"\n \n".to_vec(), 400, "no-events"),
        ("half an object", json.clone(), GOOD.as_bytes()[..10].to_vec(), 400, "malformed-json"),
        ("half an array", json.clone(), format!("[{GOOD},{{").into_bytes(), 400, "malformed-json"),
        ("two values", json.clone(), format!("{GOOD}{GOOD}").into_bytes(), 400, "malformed-json"),
        ("no UTF-8", json.clone(), b"{\"id\":1,\"kind\":\"\xff\"}".to_vec(), 400, "malformed-json"),
        ("deep", json.clone(), deep.into_bytes(), 400, "too-deep"),
        ("a scalar", json.clone(), b"null".to_vec(), 422, "invalid-events"),
        ("too many", json.clone(), eleven.into_bytes(), 413, "too-many-events"),
        ("too large", json.clone(), vec![b' '; 65_537], 413, "body-too-large"),
        ("no type", vec![], GOOD.into(), 415, "unknown-content-type"),
        ("form", typed("application/x-www-form-urlencoded"), GOOD.into(), 415, "unknown-content-type"),
        ("latin", typed("application/json; charset=iso-8859-1"), GOOD.into(), 415, "unknown-content-type"),
        ("brotli", vec![json[0], ("content-encoding", "br")], GOOD.into(), 415, "unknown-encoding"),
        ("twice packed", vec![json[0], ("content-encoding", "gzip, gzip")], GOOD.into(), 415, "unknown-encoding"),
        ("not packed", packed.to_vec(), GOOD.into(), 400, "bad-gzip"),
        ("half a gzip", packed.to_vec(), half.to_vec(), 400, "bad-gzip"),
        ("a bomb", packed.to_vec(), small_bomb, 413, "body-too-large"),
        ("a large bomb", packed.to_vec(), bomb, 413, "body-too-large"),
    ];
    for (what, headers, body, status, code) in cases {
        let answer = c.send(&headers, body);
        assert_eq!(answer.problem(), (status, code), "{what}: {answer:?}");
    }
    for more in [&b"\n"[..], b"\0\0\0\0\0\0\0\0\0\0\0\0"] {
        let answer = c.send(&packed, [&gzip(GOOD.as_bytes()), more].concat());
        assert_eq!(answer.problem(), (400, "bad-gzip"));
        let said = if more.len() == 1 { "1 byte follows" } else { "12 bytes follow" };
        assert!(answer.body["detail"].as_str().unwrap().contains(said), "{answer:?}");
    }
    for method in [Method::PUT, Method::GET, Method::DELETE, Method::PATCH] {
        let answer = request(method, &c.url, &[], Vec::new());
        assert_eq!((answer.problem(), answer.header("allow")), ((405, "method-not-allowed"), "POST, OPTIONS"));
    }
    assert_eq!(request(Method::HEAD, &c.url, &[], Vec::new()).status, 405);
    assert_eq!(get(&format!("{}/more", c.url)).problem(), (404, "not-found"));
    assert_eq!(c.send(&[], GOOD).header("accept-post"), "application/json, application/x-ndjson");
    assert_eq!(read_topic(&c.topic), [], "nothing of all this was taken");
    assert_eq!(c.json(GOOD).status, 202, "and the collector goes on");
}

/// Writes a request's head, and gives the status line of the answer.
fn raw(address: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while !answer.windows(2).any(|w| w == b"\r\n") {
        let n = stream.read(&mut chunk).unwrap();
        assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&chunk[..n]);
    }
    String::from_utf8_lossy(&answer).lines().next().unwrap().to_owned()
}

#[test]
fn a_gigabyte_is_refused_before_it_is_sent_and_while_it_is() {
    let c = Collecting::start("", "");
    let head = format!("POST /shop HTTP/1.1\r\nhost: {}\r\ncontent-type: {JSON}\r\n", c.address());
    assert!(raw(c.address(), &format!("{head}content-length: 1073741824\r\n\r\n")).contains(" 413 "));
    // Without a length, in chunks: as much as fits is read, then the answer comes while the client still writes.
    let mut stream = TcpStream::connect(c.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).unwrap();
        let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
        // 1 GiB, unless the collector closes before.
        (0..16_384).take_while(|_| stream.write_all(&chunk).is_ok()).count()
    });
    let mut answer = [0; 12];
    reader.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert!(writer.join().unwrap() < 16_384, "the collector does not read all of it");
    assert_eq!(c.json(GOOD).status, 202);
}

#[test]
fn tokens_are_asked_for_and_read_again_when_their_file_changes() {
    let c = Collecting::start_with("auth = { tokens = \"secrets/tokens\" }", "", |p| {
        p.file("secrets/tokens", "# the shop's\nfirst-token\n\nsecond-token\n")
    });
    let send = |authorization: &str| {
        let all = [("content-type", JSON), ("authorization", authorization)];
        c.send(&all[..if authorization.is_empty() { 1 } else { 2 }], GOOD)
    };
    assert_eq!(send("Bearer first-token").status, 202);
    assert_eq!(send("bearer second-token").status, 202);
    for bad in ["", "Bearer", "Bearer ", "Bearer first", "Bearer # the shop's", "Basic Zmlyc3QtdG9rZW46"] {
        let answer = send(bad);
        assert_eq!(answer.problem(), (401, "unauthorized"), "{bad}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{bad}");
    }
    fs::write(c.project.folder.join("secrets/tokens"), "third-token\n").unwrap();
    wait_until("the new token counts", Duration::from_secs(20), || send("Bearer third-token").status == 202);
    assert_eq!(send("Bearer first-token").status, 401);
    // A file that holds no token any more, or is gone, leaves them as they were.
    fs::write(c.project.folder.join("secrets/tokens"), "# none for now\n").unwrap();
    wait_until("the log tells", Duration::from_secs(20), || {
        assert_eq!(send("Bearer third-token").status, 202);
        c.running.stderr().contains("cannot be read any more (it holds no token")
    });
    fs::write(c.project.folder.join("secrets/tokens"), "fourth-token\n").unwrap();
    wait_until("the new token counts", Duration::from_secs(20), || send("Bearer fourth-token").status == 202);
    fs::remove_file(c.project.folder.join("secrets/tokens")).unwrap();
    wait_until("the log tells", Duration::from_secs(20), || {
        assert_eq!(send("Bearer fourth-token").status, 202);
        c.running.stderr().contains("cannot be read any more (No such file")
    });
}

#[test]
fn a_client_that_sends_too_often_is_told_when_to_come_back() {
    let c = Collecting::start("limits = { rate = 1 }", "");
    let answers: Vec<Answer> = (0..20).map(|_| c.json(GOOD)).collect();
    let limited: Vec<&Answer> = answers.iter().filter(|a| a.status == 429).collect();
    assert!(!limited.is_empty() && limited.len() < 20);
    assert_eq!((limited[0].problem(), limited[0].header("retry-after")), ((429, "too-many-requests"), "1"));
    let taken = answers.iter().filter(|a| a.status == 202).count();
    assert_eq!((taken + limited.len(), read_topic(&c.topic).len()), (20, taken));
    wait_until("it is let in again", Duration::from_secs(20), || c.json(GOOD).status == 202);
}

#[test]
fn pages_of_the_origins_that_are_named_may_send() {
    let c = Collecting::start("cors = [\"https://shop.example\"]", "");
    let ask = |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "POST")];
        request(Method::OPTIONS, &c.url, &headers, Vec::new())
    };
    let allowed = ask("https://shop.example");
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (204, "https://shop.example"));
    assert_eq!(allowed.header("access-control-allow-methods"), "POST");
    assert!(allowed.header("access-control-allow-headers").contains("content-type"));
    assert_eq!(ask("https://evil.example").header("access-control-allow-origin"), "");
    for (body, status) in [(GOOD, 202), ("{}", 422)] {
        let answer = c.send(&[("content-type", JSON), ("origin", "https://shop.example")], body);
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, "https://shop.example"));
        assert_eq!(answer.header("vary"), "origin");
    }
    // A page may also read what it can send.
    let describe = |origin: &str| {
        let url = format!("http://{}/openapi.json", c.address());
        request(Method::GET, &url, &[("origin", origin)], Vec::new())
    };
    let described = describe("https://shop.example");
    assert_eq!((described.status, described.header("access-control-allow-origin")), (200, "https://shop.example"));
    assert_eq!(described.header("vary"), "origin");
    assert_eq!(describe("https://evil.example").header("access-control-allow-origin"), "");
}

/// `navigator.sendBeacon` always asks to send with credentials, and sends JSON only where that is allowed.
#[test]
fn beacons_are_let_in_from_origins_that_are_named_and_not_from_any() {
    for (cors, allows) in [("https://shop.example", "true"), ("*", "")] {
        let c = Collecting::start(&format!("cors = [\"{cors}\"]"), "");
        let origin = ("origin", "https://shop.example");
        let asked = request(Method::OPTIONS, &c.url, &[origin, ("access-control-request-method", "POST")], Vec::new());
        let sent = c.send(&[("content-type", JSON), origin], GOOD);
        for answer in [asked, sent] {
            assert_eq!(answer.header("access-control-allow-origin"), cors);
            assert_eq!(answer.header("access-control-allow-credentials"), allows, "{cors}");
        }
        let other = c.send(&[("content-type", JSON), ("origin", "https://evil.example")], GOOD);
        assert_eq!(other.header("access-control-allow-credentials"), "");
    }
}

#[test]
fn avro_is_written_where_the_topics_route_reads_avro() {
    let registry = Registry::start();
    let topic = unique("collect_avro");
    create_topic(&topic, 1, &[]);
    let more = format!(
        "[schema_registry]\nurl = \"{}\"\n[collectors.avro]\nlisten = \"127.0.0.1:0\"\npath = \"/avro\"\ntopic = \"{topic}\"\n\
         schema = \"shop.Event\"\n[routes.r]\ntopic = \"{topic}\"\nschema = \"shop.Event\"\ndlq = \"discard\"\n\
         destination = {{ topic = \"nowhere\" }}\n",
        registry.url
    );
    let c = Collecting::start_with("", &more, |project| {
        let project = project.file("schemas/event.avsc", SCHEMA);
        project.run(&["schemas", "register"]).ok();
        project
    });
    let id = registry.register(&format!("{topic}-value"), SCHEMA);
    let health = get(&format!("{}/health", c.pages)).body;
    let url = health["collectors"][0]["url"].as_str().unwrap();
    assert!(url.ends_with("/avro"), "{health}");
    let answer = request(Method::POST, url, &[("content-type", JSON)], r#"{"kind":"purchase","id":-3}"#);
    assert_eq!(answer.status, 202, "{answer:?}");
    let mut framed = vec![0];
    framed.extend(id.to_be_bytes());
    framed.extend([5, 2, 0, 0, 0]);
    assert_eq!(read_topic(&topic)[0].value.as_ref(), Some(&framed));
}

#[test]
fn the_interface_describes_itself() {
    let c = Collecting::start("path = \"/v1/events\"\nlimits = { events = 50 }", "");
    let url = format!("http://{}/openapi.json", c.address());
    let document = get(&url).body;
    assert_eq!(document["openapi"], "3.1.0");
    let post = &document["paths"]["/v1/events"]["post"];
    let forms = &post["requestBody"]["content"][JSON]["schema"]["anyOf"];
    assert_eq!(forms[0]["$ref"], "#/components/schemas/shop.Event");
    assert_eq!((&forms[1]["minItems"], &forms[1]["description"]), (&json!(1), &json!("At most 50 events.")));
    assert!(post["description"].as_str().unwrap().contains("- priced, `kind != 'purchase' || has(price)`: a purchase"));
    let event = &document["components"]["schemas"]["shop.Event"];
    assert_eq!(event["required"], json!(["id", "kind"]));
    assert_eq!(event["description"], "What a visitor did.");
    assert_eq!(document["components"]["schemas"]["shop.Kind"]["enum"], json!(["view", "purchase"]));
    for status in ["202", "400", "408", "413", "415", "422", "503"] {
        assert!(post["responses"][status].is_object(), "{status}");
    }
    assert!(post["responses"]["401"].is_null(), "without tokens there is no 401");
    let again = "send again what neither `accepted` nor `refused` lists";
    assert!(post["responses"]["503"]["description"].as_str().unwrap().contains(again), "{post}");
    let headers: Vec<&str> =
        post["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(headers, ["traceparent", "tracestate"]);
    assert_eq!(request(Method::POST, &url, &[], Vec::new()).problem(), (405, "method-not-allowed"));
}
