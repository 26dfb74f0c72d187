//! Visitors of a shop: sessions of page views, carts and purchases, and the heartbeats between them.

use super::{
    Chance, Expect, Generated, Job,
    draft::{BEGIN, Draft, Flaw, cents_number, decode, instant, rule, text},
};
use crate::failure::Stage;
use serde_json::{Value, json};

const PAGES: &[&str] = &["/", "/sale", "/category/garden", "/category/kitchen", "/search?q=lamp", "/about"];
const REFERRERS: &[Option<&str>] =
    &[None, None, None, Some("https://www.google.com/"), Some("https://news.example.com/deals"), Some("android-app")];

const FLAWS: &[Flaw] = &[
    text(Stage::Decode, "malformed-json", |json| json.as_bytes()[..json.len() / 2].to_vec()),
    decode("missing-field", |e| drop(e.shift_remove("user_id"))),
    decode("unknown-symbol", |e| set(e, "event_type", json!("refund"))),
    decode("wrong-type", |e| set(e, "user_id", json!("guest"))),
    decode("bad-uuid", |e| set(e, "event_id", json!("evt-17"))),
    decode("bad-date", |e| set(e, "occurred_at", json!("yesterday"))),
    decode("bad-decimal", |e| set(e, "unit_price", json!("12.345"))),
    rule("known-user", |e| set(e, "user_id", json!(0))),
    rule("positive-quantity", |e| set(e, "quantity", json!(-1))),
    rule("complete-purchase", |e| {
        set(e, "event_type", json!("purchase"));
        set(e, "product_id", Value::Null);
    }),
];

fn set(event: &mut serde_json::Map<String, Value>, field: &str, value: Value) {
    event.insert(field.to_owned(), value);
}

/// Everybody who is in the shop.
#[derive(Default)]
pub struct Visitors {
    sessions: Vec<Session>,
    /// Milliseconds since the world began.
    now: i64,
    last: Option<Generated>,
}

struct Session {
    user: i64,
    id: String,
    /// What the visitor does, last first.
    plan: Vec<Step>,
}

#[derive(Clone, Copy)]
struct Step {
    kind: &'static str,
    /// Product, quantity, price in cents.
    product: Option<(i64, i64, i64)>,
}

impl Visitors {
    /// The next record. One in a hundred is sent twice, as front ends do when an answer is lost.
    pub fn next(&mut self, chance: &mut Chance, bad: impl Fn(&mut Chance) -> bool) -> Generated {
        let bad = bad(chance);
        if !bad
            && chance.share(0.01)
            && let Some(again) = self.last.take()
        {
            return again;
        }
        self.now += chance.between(1, 400);
        let event = self.event(chance);
        if bad {
            return event.bad(chance, FLAWS);
        }
        if chance.share(0.03) {
            let beat = json!({ "event_type": "heartbeat", "session_id": event.fields.get("session_id") });
            return Draft::new(Job::Shop.topic(), event.key, beat).good(Expect::Filtered);
        }
        let good = event.good(Expect::Delivered { case: "" });
        self.last = Some(good.clone());
        good
    }

    fn event(&mut self, chance: &mut Chance) -> Draft {
        if self.sessions.is_empty() || (self.sessions.len() < 40 && chance.share(0.3)) {
            self.sessions.push(Session::new(chance));
        }
        let at = (chance.next() % self.sessions.len() as u64) as usize;
        let session = &mut self.sessions[at];
        let step = session.plan.pop().unwrap_or(Step { kind: "page_view", product: None });
        let page = step.product.map_or_else(|| chance.pick(PAGES).to_owned(), |(id, ..)| format!("/products/{id}"));
        let mut event = json!({
            "event_id": chance.uuid(),
            "event_type": step.kind,
            "user_id": session.user,
            "session_id": session.id,
            "occurred_at": instant(BEGIN + self.now),
            "page": page,
            "referrer": chance.pick(REFERRERS),
        });
        if let (Some((product, quantity, price)), true) = (step.product, step.kind != "page_view") {
            event["product_id"] = json!(product);
            event["quantity"] = json!(quantity);
            event["unit_price"] = cents_number(price);
            event["currency"] = json!("EUR");
        }
        let mut draft = Draft::new(Job::Shop.topic(), session.user.to_string(), event);
        draft.headers.push(("source", chance.pick(&["web", "app"]).to_owned()));
        if session.plan.is_empty() {
            self.sessions.swap_remove(at);
        }
        draft
    }
}

impl Session {
    fn new(chance: &mut Chance) -> Session {
        let product = chance.between(1, 100);
        let chosen = Some((product, chance.between(1, 4), price(product)));
        let step = |kind, product| Step { kind, product };
        let mut plan = vec![step("page_view", None); chance.between(1, 4) as usize];
        if chance.share(0.5) {
            plan.extend([step("page_view", chosen), step("add_to_cart", chosen)]);
            if chance.share(0.6) {
                plan.push(step("purchase", chosen));
            }
        }
        plan.reverse();
        Session { user: chance.between(1, 5_000), id: format!("s-{:012x}", chance.next() >> 16), plan }
    }
}

/// What a product costs, in cents: as migrations/shop sets it.
pub fn price(product: i64) -> i64 {
    product * 37 % 490 * 100 + 199
}
