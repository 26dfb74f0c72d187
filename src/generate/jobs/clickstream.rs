//! A multi-category store's clickstream.

use super::{
    Chance, Expect, Generated, Job,
    draft::{BEGIN, Draft, Flaw, cents_number, decode, instant, rule, text},
};
use crate::failure::Stage;
use serde_json::json;

const CATEGORIES: &[(i64, Option<&str>)] = &[
    (2_053_013_555, Some("electronics.smartphone")),
    (2_053_013_556, Some("electronics.audio.headphone")),
    (2_053_013_557, Some("appliances.kitchen.kettle")),
    (2_053_013_558, Some("furniture.living_room.sofa")),
    (2_053_013_559, Some("apparel.shoes")),
    (2_053_013_560, None),
    (2_053_013_561, None),
];
const BRANDS: &[Option<&str>] = &[Some("samsung"), Some("apple"), Some("bosch"), Some("lucente"), Some("müller"), None];
/// Views are what people mostly do.
const KINDS: &[&str] =
    &["view", "view", "view", "view", "view", "view", "cart", "cart", "remove_from_cart", "purchase"];

const FLAWS: &[Flaw] = &[
    text(Stage::Frame, "empty-payload", |_| Vec::new()),
    text(Stage::Decode, "malformed-json", |json| json.replace(':', "=").into_bytes()),
    decode("wrong-type", |e| drop(e.insert("user_id".into(), json!("abc")))),
    decode("missing-field", |e| drop(e.shift_remove("price"))),
    decode("out-of-range", |e| drop(e.insert("product_id".into(), json!(1e30)))),
    decode("unknown-symbol", |e| drop(e.insert("event_type".into(), json!("wishlist")))),
    decode("bad-decimal", |e| drop(e.insert("price".into(), json!("about 20")))),
    rule("positive-price", |e| drop(e.insert("price".into(), json!("0.00")))),
    rule("has-session", |e| drop(e.insert("user_session".into(), json!("")))),
    rule("known-user", |e| drop(e.insert("user_id".into(), json!(-1)))),
];

/// The record number `i`.
pub fn next(chance: &mut Chance, i: usize, bad: impl Fn(&mut Chance) -> bool) -> Generated {
    let (category, code) = chance.pick(CATEGORIES);
    let user = chance.between(500_000_000, 500_000_400);
    let event = json!({
        "event_time": instant(BEGIN + i as i64 * 250 + chance.between(0, 249)),
        "event_type": chance.pick(KINDS),
        "product_id": chance.between(1_000_000, 1_005_000),
        "category_id": category,
        "category_code": code,
        "brand": chance.pick(BRANDS),
        "price": cents_number(chance.between(99, 150_000)),
        "user_id": user,
        "user_session": chance.uuid(),
    });
    let draft = Draft::new(Job::Analytics.topic(), user.to_string(), event);
    if bad(chance) { draft.bad(chance, FLAWS) } else { draft.good(Expect::Delivered { case: "" }) }
}
