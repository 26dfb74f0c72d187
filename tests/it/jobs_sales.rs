//! Sales: opportunities and projects of one topic go to two tables; what is neither is kept apart.

use crate::{
    harness::Database,
    jobs::{Shipped, assert_letters, assert_rows, by_key, delivered, double, millis, stored_letters},
};
use pointsman::generate::jobs::{Expect, Job, Recipe};
use serde_json::Value;

#[test]
fn opportunities_and_projects_are_told_apart() {
    let crm = Database::new("crm");
    let shipped = Shipped::new(&[("sales_events", 3)]).variable("CRM_DATABASE_URL", &crm.url);
    let recipe = Recipe { seed: 4, count: 2_000, invalid_share: 0.05, schema_id: 0 };
    let records = shipped.generate(Job::Sales, &recipe);
    shipped.run("sales");
    assert_letters(stored_letters(&crm, "dead_letters"), &records);

    let shared = "account_id, owner_id, source, (extract(epoch FROM last_modified) * 1000)::bigint AS last_modified, tags, notes";
    let opportunities = crm.rows(&format!(
        "SELECT event_id, name, stage, amount::text, probability::text, expected_close_date, {shared} FROM opportunities"
    ));
    let projects =
        crm.rows(&format!("SELECT event_id, name, status, start_date, end_date, budget::text, {shared} FROM projects"));
    for (case, rows) in [("opportunity", opportunities), ("project", projects)] {
        let expected = delivered(&records).filter(|(c, _)| *c == case).map(|(_, value)| row(value));
        assert_rows(&by_key(rows, "event_id"), &by_key(expected, "event_id"));
    }

    let mut apart: Vec<_> = stored_letters(&crm, "unidentified").into_iter().map(|l| (l.key, l.value)).collect();
    let strays = records.iter().filter(|r| r.expect == Expect::Apart);
    let mut expected: Vec<_> = strays.map(|r| (Some(r.key.clone()), r.value.clone())).collect();
    apart.sort();
    expected.sort();
    assert!(expected.len() > 50);
    assert_eq!(apart, expected, "unidentified records are kept whole");
}

/// The row that a record must have become: its meta_data lies flat in it.
fn row(mut value: Value) -> Value {
    let fields = value.as_object_mut().unwrap();
    let Some(Value::Object(mut meta)) = fields.remove("meta_data") else { panic!("no meta_data") };
    meta["last_modified"] = millis(&meta["last_modified"]);
    fields.append(&mut meta);
    if let Some(probability) = fields.get_mut("probability") {
        *probability = double(probability);
    }
    value
}
