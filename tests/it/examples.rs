//! The examples: each README.md leads where it says, and what the examples share with the shipped files is the same.

use crate::walk::Walk;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

/// The tables of routes.toml whose entries the examples have from the shipped one.
const SHARED: [&str; 5] = ["collectors", "topics", "validators", "enrichers", "routes"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn job_states_leads_where_it_says() {
    Walk::through("job-states", &[], &[]).follow("README.md");
}

#[test]
fn sales_leads_where_it_says() {
    Walk::through("sales", &[], &[]).follow("README.md");
}

#[test]
fn shop_events_leads_where_it_says() {
    Walk::through("shop-events", &[], &[]).follow("README.md");
}

#[test]
fn analytics_leads_where_it_says() {
    Walk::through("analytics", &[], &[]).follow("README.md");
}

#[test]
fn shop_database_leads_where_it_says() {
    Walk::through("shop-database", &[], &[]).follow("README.md");
}

/// The folders of examples/.
fn examples() -> Vec<PathBuf> {
    let folders = fs::read_dir(root().join("examples")).unwrap().map(|e| e.unwrap().path());
    folders.filter(|p| p.is_dir()).collect()
}

fn configuration(folder: &Path) -> Table {
    fs::read_to_string(folder.join("routes.toml")).unwrap().parse().unwrap()
}

#[test]
fn the_examples_are_the_shipped_routes_in_parts() {
    let shipped = configuration(root());
    let mut routes = BTreeSet::new();
    for example in examples() {
        let own = configuration(&example);
        for kind in SHARED {
            for (name, entry) in own.get(kind).and_then(Value::as_table).into_iter().flatten() {
                let entry_of = |t: &Table| t.get(kind).and_then(|k| k.get(name)).cloned();
                let place = format!("{}/routes.toml: [{kind}.{name}]", example.display());
                assert_eq!(Some(entry), entry_of(&shipped).as_ref(), "{place} is not as in the shipped routes.toml");
            }
        }
        routes.extend(own["routes"].as_table().unwrap().keys().cloned());
    }
    let all: BTreeSet<String> = shipped["routes"].as_table().unwrap().keys().cloned().collect();
    assert_eq!(routes, all, "each shipped route is in an example");
}
