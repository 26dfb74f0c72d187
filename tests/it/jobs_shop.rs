//! E-commerce: raw JSON events to typed Avro to the table `events`; bad ones to the dead letter queue.

use crate::{
    harness::{Database, read_topic},
    jobs::{Shipped, assert_letters, assert_rows, by_key, delivered, millis, money},
};
use pointsman::generate::jobs::{Expect, Job, Recipe};
use serde_json::{Value, json};

#[test]
fn raw_events_become_typed_records_and_rows() {
    let shop = Database::new("shop");
    let shipped = Shipped::new(&[("raw-events", 4), ("processed-events", 4), ("dead-letter-queue", 2)])
        .variable("SHOP_DATABASE_URL", &shop.url);
    let recipe = Recipe { seed: 1, count: 3_000, invalid_share: 0.05, schema_id: 0 };
    let records = shipped.generate(Job::Shop, &recipe);
    shipped.run("processed-events");
    assert_letters(shipped.letters("dead-letter-queue"), &records);
    let processed = read_topic(shipped.topic("processed-events"));
    let good = records.iter().filter(|r| matches!(r.expect, Expect::Delivered { .. })).count();
    assert_eq!(processed.len(), good);
    for record in &processed {
        assert_eq!(record.value.as_deref().unwrap()[0], 0, "Confluent's framing");
        assert!(record.header("source").is_some(), "headers are carried over");
    }

    shipped.run("stored-events");
    let sql = "SELECT event_id::text, event_type, user_id, session_id, (extract(epoch FROM occurred_at) * 1000)::bigint AS occurred_at,
                      page, referrer, product_id, quantity, unit_price::text, currency, amount::text FROM events";
    let expected = by_key(delivered(&records).map(|(_, event)| row(&event)), "event_id");
    assert!(expected.len() < good, "some events were sent twice");
    assert_rows(&by_key(shop.rows(sql), "event_id"), &expected);
    assert_eq!(
        shop.count("events WHERE processed_at BETWEEN now() - interval '1 hour' AND now()"),
        expected.len() as i64
    );
}

/// The row that an event must have become.
fn row(event: &Value) -> Value {
    let price = money(&event["unit_price"]);
    let cents = price.as_str().map(|text| text.replace('.', "").parse::<i64>().unwrap());
    let amount = cents.map(|cents| cents * event["quantity"].as_i64().unwrap());
    json!({
        "event_id": event["event_id"],
        "event_type": event["event_type"],
        "user_id": event["user_id"],
        "session_id": event["session_id"],
        "occurred_at": millis(&event["occurred_at"]),
        "page": event["page"],
        "referrer": event["referrer"],
        "product_id": event["product_id"],
        "quantity": event["quantity"],
        "unit_price": price,
        "currency": event["currency"],
        "amount": amount.map(|cents| format!("{}.{:02}", cents / 100, cents % 100)),
    })
}
