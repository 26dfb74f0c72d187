//! Rows of one key in one batch, of whichever case: the result is that of applying them one after another.

use crate::table_support::{Batch, Db, V, claim, destination, targets, text};
use pointsman::config::{OnConflict, TableDestination};
use proptest::{prelude::*, test_runner::TestRunner};
use std::{cell::RefCell, collections::BTreeMap};

/// One operation of a record.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// The case's destination: all are the same table, the last with its columns in another order.
    target: u16,
    key: i64,
    delete: bool,
    version: Option<i64>,
    /// -1 is refused by the table's check.
    amount: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    version: Option<i64>,
    amount: i64,
    /// A column that no record fills: an update keeps it, a new row begins with 0.
    touched: i64,
}

type Model = BTreeMap<i64, Row>;

/// Applies one change; false when it is refused.
fn apply(model: &mut Model, change: Change, on_conflict: OnConflict, newer: bool) -> bool {
    let Change { key, delete, version, amount, .. } = change;
    let replaces = |row: &Row| !newer || row.version.is_none_or(|old| version.is_some_and(|new| new > old));
    let stands = model.get(&key).copied();
    if delete {
        if stands.is_some_and(|row| replaces(&row)) {
            model.remove(&key);
        }
        return true;
    }
    if amount < 0 {
        return false;
    }
    match (stands, on_conflict) {
        (None, _) => drop(model.insert(key, Row { version, amount, touched: 0 })),
        (Some(_), OnConflict::Reject) => return false,
        (Some(_), OnConflict::Ignore) => {}
        (Some(row), OnConflict::Update) if replaces(&row) => {
            model.insert(key, Row { version, amount, touched: row.touched });
        }
        (Some(_), OnConflict::Update) => {}
    }
    true
}

fn change() -> impl Strategy<Value = Change> {
    let version = prop_oneof![1 => Just(None), 6 => (0..6i64).prop_map(Some)];
    let amount = prop_oneof![1 => Just(-1), 9 => 0..1000i64];
    (0..3u16, 0..5i64, prop::bool::weighted(0.25), version, amount)
        .prop_map(|(target, key, delete, version, amount)| Change { target, key, delete, version, amount })
}

fn items(on_conflict: OnConflict, newer: bool) -> TableDestination {
    let long = "[\"null\", \"long\"]";
    let columns = [("key", "\"string\""), ("version", long), ("amount", long)];
    let mut items = destination("items", &["key"], &columns);
    items.on_conflict = on_conflict;
    items.newer_by = newer.then(|| "version".to_owned());
    items
}

fn result_equals_applying_in_order(db: Db) {
    db.execute(
        "CREATE TABLE items (key TEXT PRIMARY KEY, version BIGINT, amount BIGINT CHECK (amount >= 0), touched BIGINT NOT NULL DEFAULT 0)",
    );
    let ways = [
        (OnConflict::Update, false),
        (OnConflict::Update, true),
        (OnConflict::Ignore, false),
        (OnConflict::Ignore, true),
        (OnConflict::Reject, false),
    ];
    let workers = RefCell::new(ways.map(|(on_conflict, newer)| {
        let mut other = items(on_conflict, newer);
        other.columns.reverse();
        let targets = targets([items(on_conflict, newer), items(on_conflict, newer), other]);
        (db.open(&targets), targets)
    }));
    let changes = prop::collection::vec(prop::collection::vec(change(), 0..24), 1..4);
    let strategy = (0..ways.len(), prop::collection::vec(0..5i64, 0..4), changes);
    let mut runner = TestRunner::new(ProptestConfig { cases: 120, failure_persistence: None, ..Default::default() });
    let outcome = runner.run(&strategy, |(way, there, batches)| {
        let (on_conflict, newer) = ways[way];
        let (tables, targets) = &mut workers.borrow_mut()[way];
        let mut model = Model::new();
        let mut fill = "DELETE FROM letters; DELETE FROM items;".to_owned();
        for key in there {
            let row = Row { version: Some(2), amount: 7, touched: 1 };
            if model.insert(key, row).is_none() {
                fill += &format!("INSERT INTO items VALUES ('{key}', 2, 7, 1);");
            }
        }
        db.execute(&fill);
        let mut offset = *claim(tables).unwrap().values().next().unwrap();
        for changes in batches {
            let mut batch = Batch::default();
            let mut refused = Vec::new();
            for change in changes {
                batch.at(offset);
                let version = change.version.map_or(V::Null, V::Int);
                let key = text(&change.key.to_string());
                let mut values = [key, version, if change.delete { V::Null } else { V::Int(change.amount) }];
                if change.target == 2 {
                    values.reverse();
                }
                match change.delete {
                    true => batch.delete(change.target, &values),
                    false => batch.row(change.target, &values),
                };
                if !apply(&mut model, change, on_conflict, newer) {
                    refused.push(offset);
                }
                offset += 1;
            }
            batch.deliver(tables, targets).unwrap();
            let sql = "SELECT key || ' ' || coalesce(CAST(version AS TEXT), '-') || ' ' || amount || ' ' || touched FROM items ORDER BY key";
            let expected: Vec<String> = model
                .iter()
                .map(|(key, r)| {
                    let version = r.version.map_or("-".to_owned(), |v| v.to_string());
                    format!("{key} {version} {} {}", r.amount, r.touched)
                })
                .collect();
            prop_assert_eq!(db.texts(sql), expected, "{:?} newer {}", on_conflict, newer);
            // A refused row that a later one replaces may go unnoticed; a row that is good is never refused.
            let letters = db.texts("SELECT CAST(\"offset\" AS TEXT) FROM letters");
            let wrong: Vec<_> = letters.iter().filter(|o| !refused.contains(&o.parse().unwrap())).collect();
            prop_assert!(wrong.is_empty(), "refused without a reason: {:?}", wrong);
            db.execute("DELETE FROM letters");
        }
        Ok(())
    });
    outcome.unwrap();
    drop(workers);
}

#[test]
fn result_equals_applying_in_order_on_postgres() {
    result_equals_applying_in_order(Db::postgres("folding"));
}

#[test]
fn result_equals_applying_in_order_on_sqlite() {
    result_equals_applying_in_order(Db::sqlite("folding"));
}

#[test]
fn zeros_of_both_signs_are_one_key_and_the_last_row_stands() {
    for db in [Db::postgres("zeros"), Db::sqlite("zeros")] {
        db.execute("CREATE TABLE zeros (id DOUBLE PRECISION PRIMARY KEY, n BIGINT)");
        let targets = targets([destination("zeros", &["id"], &[("id", "\"double\""), ("n", "\"long\"")])]);
        let mut tables = db.open(&targets);
        claim(&mut tables).unwrap();
        let mut batch = Batch::default();
        for (n, zero) in [(1, 0.0), (2, -0.0)] {
            batch.record().row(0, &[V::Double(zero), V::Int(n)]);
        }
        batch.deliver(&mut tables, &targets).unwrap();
        assert_eq!(db.texts("SELECT CAST(n AS TEXT) FROM zeros"), ["2"]);
    }
}
