//! An order desk: orders are placed, paid, shipped or cancelled, and some erased; each change is an Avro record.

use super::{Chance, Expect, Generated, Job, draft::BEGIN, shop::price};
use crate::{codec::write, failure::Stage};

const PLACES: &[(&str, &str, &str)] =
    &[("10115", "Berlin", "DE"), ("75011", "Paris", "FR"), ("8011 PK", "Zwolle", "NL"), ("LS1 4AP", "Leeds", "GB")];
const STREETS: &[&str] = &["Lindenstraße", "Rue Oberkampf", "Kerkstraat", "Mill Lane"];
const NAMES: &[&str] = &["Ana Marín", "Ben Ólafsson", "Chiara Rossi", "Dörte Krüger"];
const NOTES: &[Option<&str>] = &[None, None, None, Some("leave with the neighbour"), Some("Geschenk 🎁")];

const FLAWS: [(Stage, &str); 8] = [
    (Stage::Frame, "bad-magic"),
    (Stage::Frame, "frame-truncated"),
    (Stage::Decode, "truncated"),
    (Stage::Decode, "trailing-bytes"),
    (Stage::Decode, "bad-enum-index"),
    (Stage::Decode, "bad-utf8"),
    (Stage::Validate, "has-items"),
    (Stage::Validate, "positive-quantities"),
];

/// Orders that are not settled yet.
pub struct Desk {
    schema_id: u32,
    open: Vec<Order>,
    placed: u64,
    /// Milliseconds since the epoch.
    now: i64,
}

struct Order {
    id: String,
    customer: i64,
    /// Index in OrderStatus: placed, paid, shipped, cancelled.
    status: usize,
    placed_at: i64,
    updated_at: i64,
    /// Cents, as are the prices.
    shipping: i64,
    name: &'static str,
    street: String,
    place: (&'static str, &'static str, &'static str),
    /// Product and quantity.
    items: Vec<(i64, i64)>,
    note: Option<&'static str>,
}

impl Desk {
    pub fn new(schema_id: u32) -> Desk {
        Desk { schema_id, open: Vec::new(), placed: 0, now: BEGIN }
    }

    pub fn next(&mut self, chance: &mut Chance, bad: impl Fn(&mut Chance) -> bool) -> Generated {
        self.now += chance.between(1, 5_000);
        if bad(chance) {
            return self.spoiled(chance);
        }
        if self.open.is_empty() || (self.open.len() < 50 && chance.share(0.4)) {
            let order = self.order(chance);
            let record = self.record(&order);
            self.open.push(order);
            return record;
        }
        let at = (chance.next() % self.open.len() as u64) as usize;
        let mut order = self.open.swap_remove(at);
        if order.status > 1 {
            // Settled, and now erased at the customer's wish.
            return Generated { value: None, ..self.record(&order) };
        }
        order.status = if chance.share(0.1) { 3 } else { order.status + 1 };
        order.updated_at = self.now;
        let record = self.record(&order);
        if order.status < 2 || chance.share(0.03) {
            self.open.push(order);
        }
        record
    }

    fn order(&mut self, chance: &mut Chance) -> Order {
        self.placed += 1;
        Order {
            id: format!("O-{:07}", self.placed),
            customer: chance.between(1, 200),
            status: 0,
            placed_at: self.now,
            updated_at: self.now,
            shipping: chance.pick(&[0, 390, 490, 1290]),
            name: chance.pick(NAMES),
            street: format!("{} {}", chance.pick(STREETS), chance.between(1, 120)),
            place: chance.pick(PLACES),
            items: (0..chance.between(1, 5)).map(|_| (chance.between(1, 100), chance.between(1, 9))).collect(),
            note: chance.pick(NOTES),
        }
    }

    fn record(&self, order: &Order) -> Generated {
        self.framed(order, order.body(), Expect::Delivered { case: "" })
    }

    /// Confluent's framing: a zero byte and the schema's id before the body.
    fn framed(&self, order: &Order, body: Vec<u8>, expect: Expect) -> Generated {
        let value = [&[0][..], &self.schema_id.to_be_bytes(), &body].concat();
        let key = order.id.clone().into_bytes();
        Generated { topic: Job::Orders.topic(), key, value: Some(value), headers: Vec::new(), expect }
    }

    /// An order of its own that never gets in.
    fn spoiled(&mut self, chance: &mut Chance) -> Generated {
        let mut order = self.order(chance);
        let (stage, code) = chance.pick(&FLAWS);
        match code {
            "has-items" => order.items.clear(),
            "positive-quantities" => order.items = vec![(1, -1)],
            "bad-enum-index" => order.status = 9,
            _ => {}
        }
        let mut record = self.framed(&order, order.body(), Expect::Dead { stage, code });
        if let Some(value) = &mut record.value {
            // Where order_id ends: framing, its length in one byte, its text.
            let id_ends = 6 + order.id.len();
            match code {
                "bad-magic" => value[0] = b'{',
                "frame-truncated" => value.truncate(3),
                "truncated" => value.truncate(id_ends),
                "trailing-bytes" => value.push(0),
                "bad-utf8" => value[id_ends - 1] = 0xff,
                _ => {}
            }
        }
        record
    }
}

impl Order {
    /// The order as shop.Order's Avro bytes.
    fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write::text(&mut out, &self.id);
        write::long(&mut out, self.customer);
        write::index(&mut out, self.status);
        write::long(&mut out, self.placed_at);
        write::long(&mut out, self.updated_at);
        write::index(&mut out, 0); // EUR
        write::decimal(&mut out, self.shipping.into());
        let items: i64 = self.items.iter().map(|(product, quantity)| price(*product) * quantity).sum();
        write::decimal(&mut out, (items + self.shipping).into());
        let (postal_code, city, country) = self.place;
        for text in [self.name, &self.street, postal_code, city, country] {
            write::text(&mut out, text);
        }
        if !self.items.is_empty() {
            write::index(&mut out, self.items.len());
        }
        for (line, (product, quantity)) in self.items.iter().enumerate() {
            write::index(&mut out, line + 1);
            write::long(&mut out, *product);
            write::text(&mut out, &format!("SKU-{product:04}"));
            write::long(&mut out, *quantity);
            write::decimal(&mut out, price(*product).into());
        }
        write::index(&mut out, 0); // the array's end
        write::index(&mut out, usize::from(self.note.is_some()));
        if let Some(note) = self.note {
            write::text(&mut out, note);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apache_avro::{Schema, reader::datum::GenericDatumReader, types::Value};

    #[test]
    fn good_orders_are_shop_orders() {
        let texts =
            [include_str!("../../../schemas/shop/Currency.avsc"), include_str!("../../../schemas/shop/Order.avsc")];
        let schemas = Schema::parse_list(texts).unwrap();
        let reader = GenericDatumReader::builder(&schemas[1]).writer_schemata(schemas.iter().collect()).unwrap();
        let reader = reader.build().unwrap();
        let (mut desk, mut chance) = (Desk::new(3), Chance::new(1));
        for _ in 0..200 {
            let record = desk.next(&mut chance, |_| false);
            let Some(value) = record.value else { continue };
            assert_eq!(value[..5], [0, 0, 0, 0, 3]);
            let mut body = &value[5..];
            let decoded = reader.read_value(&mut body).unwrap();
            assert!(body.is_empty());
            let Value::Record(fields) = decoded else { panic!("{decoded:?}") };
            assert_eq!(fields[0].1, Value::String(String::from_utf8(record.key).unwrap()));
        }
    }
}
