//! E-commerce database: Avro orders fill `orders` and `order_items` in one transaction, newest state first.

use crate::{
    harness::{Database, block_on},
    jobs::{Shipped, assert_letters, assert_rows, by_key, expected_letters, stored_letters},
};
use apache_avro::{Schema, reader::datum::GenericDatumReader, types::Value as Avro};
use pointsman::generate::jobs::{Expect, Generated, Job, Recipe};
use serde_json::{Value, json};
use sqlx::SqlitePool;
use std::collections::BTreeMap;

const CURRENCY: &str = include_str!("../../schemas/shop/Currency.avsc");
const ORDER: &str = include_str!("../../schemas/shop/Order.avsc");

#[test]
fn an_order_and_its_items_are_rows_of_one_transaction() {
    let shop = Database::new("shop");
    let shipped = Shipped::new(&[("orders", 4)]).variable("SHOP_DATABASE_URL", &shop.url);
    let records = produced(&shipped);
    shipped.run("stored-orders");
    assert_letters(stored_letters(&shop, "dead_letters"), &records);

    let (orders, items) = last_states(&records);
    let sql = "SELECT order_id, customer_id, status, (extract(epoch FROM placed_at) * 1000)::bigint AS placed_at,
                      (extract(epoch FROM updated_at) * 1000)::bigint AS updated_at, currency, shipping::text, total::text,
                      ship_to, ship_street, ship_postal_code, ship_city, ship_country, note FROM orders";
    assert_rows(&by_key(shop.rows(sql), "order_id"), &orders);
    let sql = "SELECT order_id || '/' || line AS id, product_id, sku, quantity, unit_price::text FROM order_items";
    assert_rows(&by_key(shop.rows(sql), "id"), &items);
    let paid = "orders o WHERE total <> shipping + (SELECT sum(quantity * unit_price) FROM order_items i WHERE i.order_id = o.order_id)";
    assert_eq!(shop.count(paid), 0, "each order's items add up to its total");
}

#[test]
fn sqlite_takes_the_same_orders() {
    let shipped = Shipped::new(&[("orders", 4)]);
    let records = produced(&shipped);
    shipped.run("stored-orders");
    let path = format!("sqlite://{}", shipped.project.folder.join("data/shop.db").display());
    let (orders, items) = last_states(&records);
    block_on(async {
        let shop = SqlitePool::connect(&path).await.unwrap();
        let sql = "SELECT order_id, status, total, shipping FROM orders ORDER BY order_id";
        let found: Vec<(String, String, String, String)> = sqlx::query_as(sql).fetch_all(&shop).await.unwrap();
        let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
        let row = |(id, o): (&String, &Value)| (id.clone(), text(o, "status"), text(o, "total"), text(o, "shipping"));
        assert_eq!(found, orders.iter().map(row).collect::<Vec<_>>());
        let count = |table| sqlx::query_scalar::<_, i64>(table).fetch_one(&shop);
        assert_eq!(count("SELECT count(*) FROM order_items").await.unwrap(), items.len() as i64);
        let letters = count("SELECT count(*) FROM dead_letters").await.unwrap();
        assert_eq!(letters, expected_letters(&records).len() as i64);
    });
}

/// Orders in the topic, under a schema that the registry knows.
fn produced(shipped: &Shipped) -> Vec<Generated> {
    // The registry takes whole schemas: the shared enum stands where it is first used.
    let whole = ORDER.replace("\"type\": \"Currency\"", &format!("\"type\": {CURRENCY}"));
    let schema_id = shipped.register("orders", &serde_json::from_str(&whole).unwrap());
    shipped.generate(Job::Orders, &Recipe { seed: 3, count: 3_000, invalid_share: 0.05, schema_id })
}

type Rows = BTreeMap<String, Value>;

/// The rows of orders and of items that the records leave behind, by another decoder than ours.
fn last_states(records: &[Generated]) -> (Rows, Rows) {
    let schemas = Schema::parse_list([CURRENCY, ORDER]).unwrap();
    let reader = GenericDatumReader::builder(&schemas[1]).writer_schemata(schemas.iter().collect()).unwrap();
    let reader = reader.build().unwrap();
    let (mut orders, mut items): (Rows, BTreeMap<String, Rows>) = Default::default();
    let (mut changed, mut erased) = (0, 0);
    for record in records.iter().filter(|r| matches!(r.expect, Expect::Delivered { .. })) {
        let id = String::from_utf8(record.key.clone()).unwrap();
        let Some(value) = &record.value else {
            erased += 1;
            orders.remove(&id);
            items.remove(&id);
            continue;
        };
        let mut order = plain(reader.read_value(&mut &value[5..]).unwrap());
        let lines = order.as_object_mut().unwrap().remove("items").unwrap();
        let rows = lines.as_array().unwrap().iter().map(|item| {
            let mut item = item.clone();
            item["id"] = json!(format!("{id}/{}", item.as_object_mut().unwrap().remove("line").unwrap()));
            item
        });
        let address = order.as_object_mut().unwrap().remove("address").unwrap();
        for (field, column) in [("name", "ship_to"), ("street", "ship_street"), ("postal_code", "ship_postal_code")] {
            order[column] = address[field].clone();
        }
        order["ship_city"] = address["city"].clone();
        order["ship_country"] = address["country"].clone();
        items.insert(id.clone(), by_key(rows, "id"));
        changed += i32::from(orders.insert(id, order).is_some());
    }
    assert!(changed > 100 && erased > 5, "{changed} changes and {erased} erasures are there to test");
    (orders, items.into_values().flatten().collect())
}

/// An Avro value as the rows have it: decimals as text, times as milliseconds.
fn plain(value: Avro) -> Value {
    match value {
        Avro::Record(fields) => fields.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        Avro::Array(items) => items.into_iter().map(plain).collect(),
        Avro::Union(_, inner) => plain(*inner),
        Avro::String(text) | Avro::Enum(_, text) => json!(text),
        Avro::Int(n) => json!(n),
        Avro::Long(n) | Avro::TimestampMillis(n) => json!(n),
        Avro::Decimal(d) => {
            let cents = <Vec<u8>>::try_from(&d).unwrap().iter().fold(0, |n: i64, b| n << 8 | i64::from(*b));
            json!(format!("{}.{:02}", cents / 100, cents % 100))
        }
        Avro::Null => Value::Null,
        other => panic!("{other:?}"),
    }
}
