//! A million e-commerce records, the same at every run: Confluent-framed Avro of 12 fields, or the same as JSON.

use pointsman::{codec::write, schema::framing};
use std::fmt::Write as _;
use uuid::Uuid;

/// Deterministic numbers (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

pub const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"bench","fields":[
  {"name":"event_id","type":{"type":"string","logicalType":"uuid"}},
  {"name":"event_type","type":{"type":"enum","name":"Kind","symbols":["page_view","add_to_cart","purchase"]}},
  {"name":"user_id","type":"long"},
  {"name":"session_id","type":"string"},
  {"name":"product_id","type":["null","string"],"default":null},
  {"name":"category","type":"string"},
  {"name":"quantity","type":"int"},
  {"name":"unit_price","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
  {"name":"currency","type":"string"},
  {"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-millis"}},
  {"name":"device","type":["null","string"],"default":null},
  {"name":"returning","type":"boolean"}]}"#;

/// What each bench's route does with a record: a rule of three terms, two fields set.
pub const WORK: &str = r#"[validators.event]
schema = "bench.Event"
[validators.event.rules]
plausible = "quantity > 0 && unit_price < 100000.00 && currency in ['EUR', 'USD', 'GBP']"
[enrichers.priced.set]
processed_at = "now()"
amount = "unit_price * quantity"
"#;

const CATEGORIES: [&str; 4] = ["books", "garden", "kitchen", "toys"];
const CURRENCIES: [&str; 3] = ["EUR", "USD", "GBP"];
const KINDS: [&str; 3] = ["page_view", "add_to_cart", "purchase"];

/// Record number `i`: its key, and its value framed with `schema_id`, or as JSON without one. One in twenty breaks the rule.
pub fn record(i: u64, schema_id: Option<u32>) -> (Vec<u8>, Vec<u8>) {
    let mut n = Numbers(i);
    let event = Uuid::from_u64_pair(n.next(), n.next()).to_string();
    let (kind, user, session) = (n.below(3) as usize, n.below(100_000) as i64, format!("s{:012x}", n.next() >> 16));
    let product = format!("p-{:05}", n.below(50_000));
    let (category, currency) = (CATEGORIES[n.below(4) as usize], CURRENCIES[n.below(3) as usize]);
    let quantity = if i.is_multiple_of(20) { 0 } else { 1 + n.below(9) as i64 };
    let (cents, at) = (99 + n.below(100_000) as i64, 1_750_000_000_000 + i as i64);
    let returning = n.below(2) == 1;
    let mut out = Vec::with_capacity(400);
    match schema_id {
        Some(id) => {
            framing::write(id, &mut out);
            write::text(&mut out, &event);
            write::long(&mut out, kind as i64);
            write::long(&mut out, user);
            write::text(&mut out, &session);
            write::index(&mut out, 1);
            write::text(&mut out, &product);
            write::text(&mut out, category);
            write::long(&mut out, quantity);
            write::decimal(&mut out, cents.into());
            write::text(&mut out, currency);
            write::long(&mut out, at);
            write::index(&mut out, 0);
            write::boolean(&mut out, returning);
        }
        None => {
            let mut json = String::with_capacity(400);
            write!(
                json,
                r#"{{"event_id":"{event}","event_type":"{}","user_id":{user},"session_id":"{session}","product_id":"{product}","category":"{category}","quantity":{quantity},"unit_price":{}.{:02},"currency":"{currency}","occurred_at":{at},"device":null,"returning":{returning}}}"#,
                KINDS[kind],
                cents / 100,
                cents % 100,
            )
            .expect("a string takes everything");
            out = json.into_bytes();
        }
    }
    (user.to_string().into_bytes(), out)
}
