//! A sales team's opportunities and projects on one topic, and what gets there by mistake.

use super::{
    Chance, Expect, Generated, Job,
    draft::{BEGIN, Draft, Flaw, cents, day, decode, instant, rule},
};
use serde_json::{Value, json};

const ACCOUNTS: &[&str] = &["Aurora Foods", "Brandt & Söhne", "Canal Logistics", "Dunmore Bank", "Étoile Santé"];
const DEALS: &[&str] = &["data platform", "warehouse rollout", "support contract", "pilot", "renewal"];
const STAGES: &[(&str, f64)] = &[
    ("prospecting", 0.1),
    ("qualification", 0.2),
    ("proposal", 0.5),
    ("negotiation", 0.75),
    ("closed_won", 1.0),
    ("closed_lost", 0.0),
];
const NOTES: &[Option<&str>] =
    &[None, None, Some("asked for a reference"), Some("wants \"net 60\""), Some("répond mardi")];

const OPPORTUNITY_FLAWS: &[Flaw] = &[
    decode("unknown-symbol", |e| drop(e.insert("stage".into(), json!("maybe")))),
    decode("bad-date", |e| drop(e.insert("expected_close_date".into(), json!("next week")))),
    decode("missing-field", |e| drop(e.shift_remove("account_id"))),
    rule("probability-in-range", |e| drop(e.insert("probability".into(), json!(1.7)))),
    rule("positive-amount", |e| drop(e.insert("amount".into(), json!("-20.00")))),
];
const PROJECT_FLAWS: &[Flaw] = &[
    decode("bad-decimal", |e| drop(e.insert("budget".into(), json!("12.000,00")))),
    decode("bad-date", |e| drop(e.insert("start_date".into(), json!("2024-02-30")))),
    decode("wrong-type", |e| drop(e.insert("meta_data".into(), json!("none")))),
    rule("ends-after-start", |e| drop(e.insert("end_date".into(), json!("1999-12-31")))),
];

/// The record number `i`.
pub fn next(chance: &mut Chance, i: usize, bad: impl Fn(&mut Chance) -> bool) -> Generated {
    let account = chance.pick(ACCOUNTS);
    let id = format!("sales-{i:07}");
    let (kind, bad) = (chance.between(1, 10), bad(chance));
    let (value, case, flaws) = match kind {
        1..=6 => (opportunity(chance, &id, account, i), "opportunity", OPPORTUNITY_FLAWS),
        7..=9 => (project(chance, &id, account, i), "project", PROJECT_FLAWS),
        _ if bad => (project(chance, &id, account, i), "project", PROJECT_FLAWS),
        _ => {
            let stray = json!({ "event_id": id, "subject": format!("Re: {account}"), "body": "call me back" });
            return Draft::new(Job::Sales.topic(), id, stray).good(Expect::Apart);
        }
    };
    let draft = Draft::new(Job::Sales.topic(), id, value);
    if bad { draft.bad(chance, flaws) } else { draft.good(Expect::Delivered { case }) }
}

fn opportunity(chance: &mut Chance, id: &str, account: &str, i: usize) -> Value {
    let (stage, probability) = chance.pick(STAGES);
    json!({
        "event_id": id,
        "name": format!("{account}: {}", chance.pick(DEALS)),
        "stage": stage,
        "amount": cents(chance.between(50_000, 900_000_000_000)),
        "probability": probability,
        "expected_close_date": day(chance.between(10, 300)),
        "account_id": account_id(account),
        "owner_id": format!("u{}", chance.between(1, 12)),
        "meta_data": meta_data(chance, i),
    })
}

fn project(chance: &mut Chance, id: &str, account: &str, i: usize) -> Value {
    let start = chance.between(0, 200);
    let (status, end) = match chance.between(1, 4) {
        1 => ("planned", None),
        2 => ("active", None),
        3 => ("on_hold", None),
        _ => ("done", Some(day(start + chance.between(5, 150)))),
    };
    json!({
        "event_id": id,
        "name": format!("{account}: {}", chance.pick(DEALS)),
        "status": status,
        "start_date": day(start),
        "end_date": end,
        "budget": cents(chance.between(100_000, 90_000_000)),
        "account_id": account_id(account),
        "owner_id": format!("u{}", chance.between(1, 12)),
        "meta_data": meta_data(chance, i),
    })
}

fn account_id(account: &str) -> String {
    format!("acc-{:03}", ACCOUNTS.iter().position(|a| *a == account).unwrap_or_default() + 1)
}

fn meta_data(chance: &mut Chance, i: usize) -> Value {
    let tags: &[&str] =
        chance.pick(&[&[] as &[&str], &["key-account"], &["emea", "q3"], &["upsell", "größer als 1 Mio."]]);
    json!({
        "source": chance.pick(&["crm", "import", "partner-portal"]),
        "last_modified": instant(BEGIN + i as i64 * 1_000 + chance.between(0, 999)),
        "tags": tags,
        "notes": chance.pick(NOTES),
    })
}
