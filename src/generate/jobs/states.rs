//! Workers that report the states of their jobs.

use super::{
    Chance, Expect, Generated, Job,
    draft::{BEGIN, Draft, Flaw, decode, instant, rule},
};
use serde_json::json;

const KINDS: &[&str] = &["resize-image", "send-mail", "build-report", "sync-inventory", "charge-card"];
const ERRORS: &[&str] =
    &["timed out after 30s", "connection reset by peer", "no such bucket: thumbnails", "exit status 137"];

const FLAWS: &[Flaw] = &[
    decode("missing-field", |j| drop(j.shift_remove("worker"))),
    decode("wrong-type", |j| drop(j.insert("attempt".into(), json!("two")))),
    decode("out-of-range", |j| drop(j.insert("attempt".into(), json!(3_000_000_000_i64)))),
    decode("bad-date", |j| drop(j.insert("started_at".into(), json!("soon")))),
    rule("known-state", |j| drop(j.insert("state".into(), json!("paused")))),
    rule("failures-say-why", |j| {
        j.insert("state".into(), json!("failed"));
        j.insert("error".into(), json!(null));
    }),
];

/// The record number `i`.
pub fn next(chance: &mut Chance, i: usize, bad: impl Fn(&mut Chance) -> bool) -> Generated {
    let id = format!("job-{i:07}");
    let started = BEGIN + i as i64 * 100;
    let state = chance.pick(&["failed", "completed", "completed", "in-progress"]);
    let mut job = json!({
        "id": id,
        "kind": chance.pick(KINDS),
        "state": state,
        "worker": format!("worker-{}", chance.between(1, 8)),
        "attempt": chance.between(1, 3),
        "started_at": instant(started),
    });
    if state == "in-progress" {
        job["progress"] = json!(chance.between(0, 99) as f64 / 100.0);
    } else {
        job["ended_at"] = json!(instant(started + chance.between(5, 90_000)));
    }
    if state == "failed" {
        job["error"] = json!(chance.pick(ERRORS));
    }
    let draft = Draft::new(Job::States.topic(), id, job);
    if bad(chance) { draft.bad(chance, FLAWS) } else { draft.good(Expect::Delivered { case: state }) }
}
