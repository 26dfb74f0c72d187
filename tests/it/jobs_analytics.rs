//! E-commerce analytics: a clickstream from JSON to enriched Avro, keyed by user, over topics of several partitions.

use crate::{
    harness::read_topic,
    jobs::{Shipped, assert_letters, delivered, millis, money},
};
use apache_avro::{Schema, reader::datum::GenericDatumReader, types::Value as Avro};
use pointsman::generate::jobs::{Job, Recipe};
use serde_json::{Value, json};
use std::collections::HashMap;

#[test]
fn a_clickstream_is_enriched_and_keyed_by_user() {
    let shipped =
        Shipped::new(&[("ecommerce_events_raw", 6), ("ecommerce_events_enriched", 6), ("dead_letter_queue", 3)]);
    let recipe = Recipe { seed: 2, count: 3_000, invalid_share: 0.05, schema_id: 0 };
    let records = shipped.generate(Job::Analytics, &recipe);
    shipped.run("enriched-events");
    assert_letters(shipped.letters("dead_letter_queue"), &records);

    let (id, text) = shipped.registered("ecommerce_events_enriched");
    let schema = Schema::parse_str(&text).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    let (mut found, mut partitions) = (Vec::new(), HashMap::new());
    for record in read_topic(shipped.topic("ecommerce_events_enriched")) {
        let value = record.value.unwrap();
        assert_eq!(value[1..5], id.to_be_bytes());
        let mut body = &value[5..];
        let Avro::Record(fields) = reader.read_value(&mut body).unwrap() else { panic!("not a record") };
        let fields: HashMap<String, Avro> = fields.into_iter().collect();
        let partition = *partitions.entry(record.key.clone()).or_insert(record.partition);
        assert_eq!(partition, record.partition, "a user's events share a partition");
        found.push(plain(&fields));
    }
    assert!(partitions.values().collect::<std::collections::HashSet<_>>().len() > 1, "several partitions are used");
    let mut expected: Vec<Value> = delivered(&records).map(|(_, event)| enriched(&event)).collect();
    let by_session = |v: &Value| v["user_session"].as_str().unwrap().to_owned();
    found.sort_by_key(by_session);
    expected.sort_by_key(by_session);
    assert_eq!(found, expected);
}

/// The fields of an enriched event, but the moment of its enrichment.
fn plain(fields: &HashMap<String, Avro>) -> Value {
    let text = |name: &str| match &fields[name] {
        Avro::String(s) | Avro::Enum(_, s) => json!(s),
        Avro::Union(_, inner) => match &**inner {
            Avro::String(s) => json!(s),
            _ => Value::Null,
        },
        other => panic!("{name}: {other:?}"),
    };
    let long = |name: &str| match &fields[name] {
        Avro::Long(n) | Avro::TimestampMillis(n) => json!(n),
        other => panic!("{name}: {other:?}"),
    };
    let decimal = |name: &str| match &fields[name] {
        Avro::Decimal(d) => {
            let cents: i64 = <Vec<u8>>::try_from(d).unwrap().iter().fold(0, |n, b| n << 8 | i64::from(*b));
            json!(format!("{}.{:02}", cents / 100, cents % 100))
        }
        other => panic!("{name}: {other:?}"),
    };
    assert!(matches!(fields["enriched_at"], Avro::TimestampMillis(at) if at > 1_700_000_000_000));
    json!({
        "occurred_at": long("occurred_at"), "event_type": text("event_type"), "product_id": long("product_id"),
        "category_id": long("category_id"), "category_code": text("category_code"), "brand": text("brand"),
        "price": decimal("price"), "user_id": long("user_id"), "user_session": text("user_session"),
        "revenue": decimal("revenue"), "price_band": text("price_band"),
    })
}

/// What an event must have become.
fn enriched(event: &Value) -> Value {
    let price = money(&event["price"]);
    let cents: i64 = price.as_str().unwrap().replace('.', "").parse().unwrap();
    let band = if cents < 2_000 {
        "low"
    } else if cents < 20_000 {
        "middle"
    } else {
        "high"
    };
    let revenue = if event["event_type"] == "purchase" { price.clone() } else { json!("0.00") };
    let mut enriched = event.as_object().unwrap().clone();
    let time = enriched.remove("event_time").unwrap();
    enriched.insert("occurred_at".into(), millis(&time));
    enriched.insert("price".into(), price);
    enriched.insert("revenue".into(), revenue);
    enriched.insert("price_band".into(), json!(band));
    Value::Object(enriched)
}
