//! What no row is at fault for, though rows of another table pass: a table that is gone, a right that was taken away.

use crate::{
    harness::unique,
    table_refusals::{ITEM, item, letters, make, open},
    table_support::{self, Batch, Db, claim, destination, on_both, route, targets},
};
use pointsman::{
    config::Database,
    destination::{Tally, table::Tables},
    failure::{Cause, Remedy, Setback},
    route::Target,
};
use std::sync::Arc;

on_both! {
    a_table_that_is_gone_is_waited_for_also_while_another_takes_its_rows
}

/// Two tables: rows to the first pass.
fn to_both(tables: &mut Tables, targets: &Arc<[Target]>) -> Result<Tally, Setback> {
    let mut batch = Batch::default();
    for i in 0..40 {
        batch.record().row((i % 2) as u16, &item(i, &format!("n{i}"), 1));
    }
    batch.deliver(tables, targets)
}

fn a_table_that_is_gone_is_waited_for_also_while_another_takes_its_rows(db: Db) {
    make(&db);
    let at = db.pick("TIMESTAMPTZ", "TEXT");
    db.execute(&format!("CREATE TABLE others (id BIGINT PRIMARY KEY, name TEXT, amount BIGINT, at {at})"));
    let (mut tables, targets) = open(&db, ["items", "others"].map(|table| destination(table, &["id"], &ITEM)));
    db.execute("ALTER TABLE others RENAME TO gone");
    let setback = to_both(&mut tables, &targets).unwrap_err();
    assert_eq!((setback.cause, setback.remedy), (Cause::Database, Remedy::Retry), "{setback}");
    assert!(setback.message.contains("others"), "{setback}");
    claim(&mut tables).unwrap();
    db.execute("ALTER TABLE gone RENAME TO others");
    assert_eq!(to_both(&mut tables, &targets).unwrap().total().delivered, 40);
    assert_eq!((db.count("letters"), db.count("items"), db.count("others")), (0, 20, 20));
}

#[test]
fn a_right_that_is_taken_away_is_waited_for_and_a_policy_refuses_rows() {
    let db = Db::postgres("taken_away");
    make(&db);
    db.execute("CREATE TABLE others (LIKE items INCLUDING ALL)");
    let role = unique("limited");
    db.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT ALL ON SCHEMA public TO {role}; GRANT ALL ON items, others TO {role}"
    ));
    let config = Database { url: db.config.url.replace("postgres@", &format!("{role}:x@")), ..db.config.clone() };
    let both = targets(["items", "others"].map(|table| destination(table, &["id"], &ITEM)));
    let mut tables = table_support::open(&config, route(), &both).unwrap();
    claim(&mut tables).unwrap();
    db.execute(&format!("REVOKE INSERT ON others FROM {role}"));
    let setback = to_both(&mut tables, &both).unwrap_err();
    assert_eq!((setback.cause, setback.remedy), (Cause::Database, Remedy::Retry), "{setback}");
    assert!(setback.message.contains("permission denied for table others"), "{setback}");
    assert!(setback.help.contains("grant the rights"), "{setback}");
    // A policy's refusals have the same code, and are about rows.
    db.execute(&format!(
        "GRANT INSERT ON others TO {role}; ALTER TABLE others ENABLE ROW LEVEL SECURITY;
        CREATE POLICY most ON others USING (true) WITH CHECK (id <> 7)"
    ));
    drop(tables);
    let mut tables = table_support::open(&config, route(), &both).unwrap();
    claim(&mut tables).unwrap();
    let tally = to_both(&mut tables, &both).unwrap();
    assert_eq!((tally.total().delivered, tally.total().dead_lettered), (39, 1));
    assert_eq!(letters(&db), ["7 row-refused "]);
    drop(tables);
    db.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}
