//! `pointsman registry` as a process: its first line, a kill, a busy port, a busy file.

use crate::harness::{Project, Running, block_on, wait_until};
use serde_json::{Value, json};
use std::{ffi::OsStr, fs, time::Duration};

/// Starts it, and waits for the address in its first line.
fn started(project: &Project) -> (Running, String) {
    let written = || {
        let files = fs::read_dir(&project.folder).unwrap().map(|e| e.unwrap().path());
        files.filter(|p| p.extension() == Some(OsStr::new("out"))).map(|p| fs::read_to_string(p).unwrap())
    };
    let before: Vec<String> = written().collect();
    let running = project.spawn(&["registry", "--listen", "127.0.0.1:0", "--store", "kept/schemas.log"]);
    let mut url = None;
    wait_until("the registry tells its address", Duration::from_secs(30), || {
        let line = written().find(|w| w.ends_with('\n') && !before.contains(w));
        url = line.and_then(|l| Some(l.split_once("schema registry at ")?.1.split_once(',')?.0.to_owned()));
        url.is_some()
    });
    (running, url.unwrap())
}

fn register(url: &str, subject: &str, schema: &str) -> Value {
    let request = reqwest::Client::new().post(format!("{url}/subjects/{subject}/versions"));
    let request = request.header("content-type", "application/json").body(json!({ "schema": schema }).to_string());
    let answer = block_on(async { request.send().await.unwrap().text().await.unwrap() });
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn ids_survive_a_kill_and_a_second_registry_is_told_what_is_taken() {
    let project = Project::new("");
    let (mut first, url) = started(&project);
    assert_eq!(register(&url, "a", r#""string""#), json!({ "id": 1 }));

    let address = url.strip_prefix("http://").unwrap();
    let busy = project.run(&["registry", "--listen", address]);
    assert_eq!(busy.code, Some(3));
    assert!(busy.stderr.contains(&format!("address {address} is in use")), "{}", busy.stderr);
    let busy = project.run(&["registry", "--listen", "127.0.0.1:0", "--store", "kept/schemas.log"]);
    assert_eq!(busy.code, Some(3));
    assert!(busy.stderr.contains("kept/schemas.log is in use by another process"), "{}", busy.stderr);

    first.kill();
    let (second, url) = started(&project);
    assert_eq!(register(&url, "b", r#""int""#), json!({ "id": 2 }));
    assert_eq!(register(&url, "c", r#""string""#), json!({ "id": 1 }));
    second.signal("TERM");
    second.wait().ok();
}

#[test]
fn an_argument_that_does_not_read_is_told_what_to_write() {
    let project = Project::new("");
    for (arguments, says) in [
        (&["registry", "--listen", "foo"][..], "write host and port, such as 127.0.0.1:8081"),
        (&["registry", "--listen", ":8081"], "write host and port, such as 127.0.0.1:8081"),
        (&["run", "--drain", "abc"], "write a whole number from 0 to 86400"),
        (&["run", "--drain=-1"], "write a whole number from 0 to 86400"),
        (&["generate", "x", "--batch", "0"], "write a whole number from 1"),
        (&["generate", "x", "--count", "1.5"], "write a whole number from 0"),
        (&["generate", "x", "--seed", "x"], "write a whole number from 0"),
        (&["demo", "--records", "0"], "write a whole number from 1 to 100000"),
        (&["demo", "--seed", "x"], "write a whole number from 0"),
    ] {
        let refused = project.run(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(says), "{arguments:?}: {}", refused.stderr);
    }
    let unknown = project.run(&["registry", "--listen", "no-such-host.invalid:8081"]);
    assert_eq!(unknown.code, Some(3));
    assert!(!unknown.stderr.contains("9187"), "{}", unknown.stderr);
}
