//! The examples: each README.md leads where it says, and what the examples share with the shipped files is the same.

use crate::{harness::Database, walk::Walk};
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
    let postgres = Database::new("example");
    let mut walk = Walk::through("shop-database", &[("postgres://postgres@localhost:5432/shop", &postgres.url)], &[]);
    walk.follow("README.md");
    assert!(postgres.count("orders") > 50 && postgres.count("order_items") > postgres.count("orders"));
    let differing = "orders o WHERE total - shipping <>
                     (SELECT sum(quantity * unit_price) FROM order_items i WHERE i.order_id = o.order_id)";
    assert_eq!(postgres.count(differing), 0);
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

#[test]
fn the_examples_schemas_and_migrations_are_the_shipped_ones() {
    let shipped: String = files(&root().join("migrations")).iter().map(|p| fs::read_to_string(p).unwrap()).collect();
    for example in examples() {
        for file in files(&example.join("schemas")) {
            let original = root().join(file.strip_prefix(&example).unwrap());
            let [own, theirs] = [&file, &original].map(|p| fs::read_to_string(p).unwrap());
            assert_eq!(own, theirs, "copy {} to {}", original.display(), file.display());
        }
        for file in files(&example.join("migrations")) {
            let own = fs::read_to_string(&file).unwrap();
            let sql: Vec<&str> = own.lines().filter(|l| !l.starts_with("--")).collect();
            for statement in sql.join("\n").split(';').map(str::trim).filter(|s| !s.is_empty()) {
                assert!(shipped.contains(statement), "{}: not in migrations/: {statement}", file.display());
            }
        }
    }
}

/// Every file below a folder; none where there is no folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|e| e.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
