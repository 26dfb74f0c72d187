//! What the shipped schemas and routes get from the generator.

use super::{
    BEGIN, Fault, Start, Way,
    stream::{Expect, Form, Generated, Recipe, Stream, Trouble},
};
use crate::config::{self, Format, Loaded, Route};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

pub(super) fn shipped() -> Loaded {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("routes.toml");
    config::load(&file, config::Options::default()).unwrap()
}

fn recipe(route: &Route, invalid: f64) -> Recipe {
    let form = if route.format == Format::Json { Form::Json } else { Form::Framed(7) };
    Recipe { seed: 7, start: Start::At(BEGIN), invalid, faults: Vec::new(), form }
}

fn records(loaded: &Loaded, route: &str, invalid: f64, count: usize) -> Vec<Generated> {
    let route = loaded.plan.as_ref().unwrap().routes.iter().find(|r| r.name == route).unwrap();
    let mut stream =
        Stream::of_route(route, &loaded.catalog, &recipe(route, invalid)).unwrap_or_else(|t| panic!("{t:?}"));
    (0..count).map(|_| stream.draw().unwrap_or_else(|t| panic!("{}: {t:?}", route.name))).collect()
}

fn names(loaded: &Loaded) -> Vec<String> {
    loaded.plan.as_ref().unwrap().routes.iter().map(|r| r.name.clone()).collect()
}

#[test]
fn every_shipped_route_takes_what_is_generated_for_it() {
    let loaded = shipped();
    for route in names(&loaded) {
        for record in records(&loaded, &route, 0.0, 500) {
            let Expect::Passes(Way::Delivered(_)) = record.expect else { panic!("{route}: {:?}", record.expect) };
            assert!(record.key.is_some(), "{route}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_records_and_another_gives_others() {
    let loaded = shipped();
    for name in names(&loaded) {
        assert_eq!(records(&loaded, &name, 0.1, 200), records(&loaded, &name, 0.1, 200), "{name}");
        let route = loaded.plan.as_ref().unwrap().routes.iter().find(|r| r.name == name).unwrap();
        let other = Recipe { seed: 8, ..recipe(route, 0.1) };
        let mut stream = Stream::of_route(route, &loaded.catalog, &other).unwrap_or_else(|t| panic!("{t:?}"));
        assert_ne!(stream.draw().unwrap().value, records(&loaded, &name, 0.1, 1)[0].value, "{name}");
    }
}

#[test]
fn every_fault_and_every_rule_comes_up_where_it_can() {
    let loaded = shipped();
    for route in &loaded.plan.as_ref().unwrap().routes {
        let mut codes: BTreeMap<Fault, BTreeSet<String>> = BTreeMap::new();
        let mut dead = 0;
        for record in records(&loaded, &route.name, 0.2, 2_000) {
            if let Expect::Dead { fault, code, .. } = record.expect {
                dead += 1;
                codes.entry(fault).or_default().insert(code.to_string());
            }
        }
        assert!((300..500).contains(&dead), "{}: {dead}", route.name);
        let mut rules: Vec<&str> =
            route.lanes.iter().flat_map(|l| &l.validator.rules).filter(|r| !r.warn).map(|r| &*r.name).collect();
        rules.sort_unstable();
        let broken: Vec<String> = codes.remove(&Fault::BrokenRule).into_iter().flatten().collect();
        assert_eq!(broken, rules, "{}", route.name);
        assert_eq!(codes.len(), 4, "{}: {codes:?}", route.name);
    }
}

#[test]
fn a_session_goes_from_a_page_view_to_a_purchase_of_what_is_in_the_cart() {
    let loaded = shipped();
    let mut sessions: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
    for record in records(&loaded, "processed-events", 0.0, 3_000) {
        let event: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
        assert_eq!(record.key.unwrap(), event["user_id"].to_string().into_bytes());
        sessions.entry(event["session_id"].as_str().unwrap().to_owned()).or_default().push(event);
    }
    let mut purchases = 0;
    for events in sessions.values() {
        assert_eq!(events[0]["event_type"], "page_view");
        let at = |e: &serde_json::Value| e["occurred_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(events.windows(2).all(|w| at(&w[0]) <= at(&w[1])));
        for pair in events.windows(2) {
            assert_eq!(pair[0]["user_id"], pair[1]["user_id"]);
            if pair[1]["event_type"] == "purchase" {
                purchases += 1;
                assert_eq!(pair[0]["event_type"], "add_to_cart");
                for field in ["product_id", "quantity", "unit_price", "currency"] {
                    assert!(!pair[1][field].is_null(), "{field}");
                    assert_eq!(pair[0][field], pair[1][field]);
                }
            }
        }
    }
    assert!(purchases > 100, "{purchases}");
}

#[test]
fn an_order_refers_to_products_and_adds_up() {
    let loaded = shipped();
    let schema = loaded.catalog.get("shop.Product").unwrap();
    let recipe = |form| Recipe { seed: 7, start: Start::At(BEGIN), invalid: 0.0, faults: Vec::new(), form };
    let mut products =
        Stream::of_schema(&schema, &loaded.catalog, &recipe(Form::Json)).unwrap_or_else(|t| panic!("{t:?}"));
    let products: Vec<serde_json::Value> =
        (0..100).map(|_| serde_json::from_slice(&products.draw().unwrap().value).unwrap()).collect();
    let schema = loaded.catalog.get("shop.Order").unwrap();
    let mut orders =
        Stream::of_schema(&schema, &loaded.catalog, &recipe(Form::Json)).unwrap_or_else(|t| panic!("{t:?}"));
    let cents = |v: &serde_json::Value| (v.as_f64().unwrap() * 100.0).round() as i64;
    for _ in 0..300 {
        let order: serde_json::Value = serde_json::from_slice(&orders.draw().unwrap().value).unwrap();
        let items = order["items"].as_array().unwrap();
        for (i, item) in items.iter().enumerate() {
            assert_eq!(item["line"], i + 1);
            let product = &products[item["product_id"].as_u64().unwrap() as usize - 1];
            assert_eq!((&item["sku"], &item["unit_price"]), (&product["sku"], &product["unit_price"]));
        }
        let total: i64 = items.iter().map(|i| cents(&i["unit_price"]) * i["quantity"].as_i64().unwrap()).sum();
        assert_eq!(cents(&order["total"]), total + cents(&order["shipping"]), "{order}");
    }
}

#[test]
fn what_cannot_be_is_said_with_what_can() {
    let loaded = shipped();
    let schema = loaded.catalog.get("jobs.Job").unwrap();
    let ask = |faults: &[Fault], form| {
        let recipe = Recipe { seed: 1, start: Start::At(BEGIN), invalid: 0.5, faults: faults.to_vec(), form };
        match Stream::of_schema(&schema, &loaded.catalog, &recipe) {
            Err(Trouble::Asked { message, help }) => format!("{message}; {help}"),
            Err(Trouble::Hints(hints)) => panic!("{hints:?}"),
            Ok(_) => String::new(),
        }
    };
    assert_eq!(ask(&[Fault::Truncated, Fault::MissingField], Form::Json), "");
    assert!(ask(&[Fault::BrokenRule], Form::Json).starts_with("`broken-rule` needs rules"));
    assert!(ask(&[Fault::Truncated], Form::Bare).starts_with("`truncated` cannot be put into these records"));
    assert!(ask(&[], Form::Bare).starts_with("no fault can be put into these records"));
}
