//! What a database refuses: which records are dead-lettered for it, and what is retried instead.

use crate::table_support::{Batch, Db, V, claim, destination, on_both, route, t, targets, text};
use pointsman::{
    config::{Dlq, OnConflict, TableDestination},
    destination::{
        Destination,
        table::{RouteContext, Tables},
    },
    failure::{Cause, Failure, Remedy, Stage},
    record::{OwnedRecord, Positions},
    route::Verdict,
};
use std::time::{Duration, Instant};

on_both! {
    each_refused_record_becomes_a_letter_with_its_code
    bad_rows_among_thousands_are_found
    bad_rows_among_rows_without_a_key_are_found
    a_record_is_refused_with_all_of_its_rows
    a_foreign_key_is_waited_for_and_then_a_record_failure
    a_parent_that_comes_in_time_saves_its_child
    a_row_whose_children_restrict_it_is_waited_for_and_then_a_record_failure
    deferred_constraints_speak_before_the_commit
    a_refused_winner_leaves_its_predecessor
    rejected_duplicates_are_letters_and_the_first_row_stands
    a_row_refused_for_no_reason_of_its_class_is_the_records_fault_only_among_others
    a_table_that_is_gone_is_waited_for
    most_rows_refused_still_ends
    a_letter_of_a_time_that_the_database_has_not_is_kept_without_it
    a_value_that_its_logical_type_has_not_is_a_letter_with_its_column
}

pub const ITEM: [(&str, &str); 4] = [
    ("id", "\"long\""),
    ("name", "[\"null\", \"string\"]"),
    ("amount", "\"long\""),
    ("at", r#"["null", {"type": "long", "logicalType": "timestamp-micros"}]"#),
];

pub fn make(db: &Db) {
    db.execute(&format!(
        "CREATE TABLE items (id BIGINT PRIMARY KEY, name TEXT NOT NULL, amount BIGINT CHECK (amount >= 0), at {}, UNIQUE (name))",
        db.pick("TIMESTAMPTZ", "TEXT")
    ));
}

pub fn item(id: i64, name: &str, amount: i64) -> [V; 4] {
    [V::Int(id), text(name), V::Int(amount), V::Null]
}

pub fn open(
    db: &Db,
    destinations: impl IntoIterator<Item = TableDestination>,
) -> (Tables, std::sync::Arc<[pointsman::route::Target]>) {
    let targets = targets(destinations);
    let mut tables = db.open(&targets);
    claim(&mut tables).unwrap();
    (tables, targets)
}

pub fn letters(db: &Db) -> Vec<String> {
    db.texts("SELECT \"offset\" || ' ' || code || ' ' || field FROM letters ORDER BY \"offset\"")
}

fn each_refused_record_becomes_a_letter_with_its_code(db: Db) {
    make(&db);
    let (mut tables, targets) = open(&db, [destination("items", &["id"], &ITEM)]);
    let mut batch = Batch::default();
    batch.record().row(0, &item(1, "one", 1));
    batch.record().row(0, &[V::Int(2), V::Null, V::Int(1), V::Null]);
    batch.record().row(0, &item(3, "one", 1));
    batch.record().row(0, &item(4, "four", -1));
    batch.record().row(0, &[V::Int(5), text("five"), V::Int(1), V::Int(i64::MIN)]);
    batch.record().row(0, &item(6, "six", 1));
    let tally = batch.deliver(&mut tables, &targets).unwrap();
    assert_eq!((tally.total().delivered, tally.total().dead_lettered), (2, 4));
    assert_eq!(tally.failures.len(), 4);
    let unique = db.pick("2 unique-violation ", "2 unique-violation name");
    assert_eq!(letters(&db), ["1 not-null-violation name", unique, "3 check-violation ", "4 value-refused at"]);
    assert_eq!(db.texts("SELECT name FROM items ORDER BY id"), ["one", "six"]);
    assert_eq!(db.texts("SELECT CAST(dead_lettered AS TEXT) FROM pointsman_positions"), ["4"]);
}

fn thousands(db: &Db, keys: &[&str]) {
    let (mut tables, targets) = open(db, [destination("items", keys, &ITEM)]);
    let mut batch = Batch::default();
    for i in 0..5000 {
        let amount = if [17, 2500, 2501, 4999].contains(&i) { -1 } else { i };
        batch.record().row(0, &item(5000 - i, &format!("n{i}"), amount));
    }
    let tally = batch.deliver(&mut tables, &targets).unwrap();
    assert_eq!((tally.total().delivered, tally.total().dead_lettered), (4996, 4));
    assert_eq!(letters(db), ["17", "2500", "2501", "4999"].map(|o| format!("{o} check-violation ")));
    assert_eq!(db.count("items"), 4996);
}

fn bad_rows_among_thousands_are_found(db: Db) {
    make(&db);
    thousands(&db, &["id"]);
}

fn bad_rows_among_rows_without_a_key_are_found(db: Db) {
    make(&db);
    thousands(&db, &[]);
}

fn make_family(db: &Db, deferred: &str) {
    db.execute(&format!(
        "CREATE TABLE parents (id BIGINT PRIMARY KEY);
        CREATE TABLE children (parent BIGINT REFERENCES parents (id) {deferred}, line BIGINT CHECK (line > 0), PRIMARY KEY (parent, line))"
    ));
}

fn parents() -> TableDestination {
    destination("parents", &["id"], &[("id", "\"long\"")])
}

fn children() -> TableDestination {
    destination("children", &["parent", "line"], &[("parent", "\"long\""), ("line", "\"long\"")])
}

fn a_record_is_refused_with_all_of_its_rows(db: Db) {
    make_family(&db, "");
    let (mut tables, targets) = open(&db, [parents(), children()]);
    let mut batch = Batch::default();
    for (id, lines) in [(1, [1, 2, 3]), (2, [1, -2, 3]), (3, [1, 2, 3])] {
        batch.record().row(0, &[V::Int(id)]);
        for line in lines {
            batch.row(1, &[V::Int(id), V::Int(line)]);
        }
    }
    let tally = batch.deliver(&mut tables, &targets).unwrap();
    assert_eq!((tally.total().delivered, tally.total().dead_lettered), (2, 1));
    assert_eq!(letters(&db), ["1 check-violation "]);
    assert_eq!(db.texts("SELECT CAST(id AS TEXT) FROM parents ORDER BY id"), ["1", "3"]);
    assert_eq!(db.count("children"), 6);
}

/// Delivers until it passes, as a worker does.
fn until_delivered(
    tables: &mut Tables,
    deliver: impl Fn(&mut Tables) -> Result<(), pointsman::failure::Setback>,
) -> usize {
    let begun = Instant::now();
    for setbacks in 0.. {
        match deliver(tables) {
            Ok(()) => return setbacks,
            Err(setback) => {
                assert_eq!((setback.cause, setback.remedy), (Cause::Database, Remedy::Retry), "{setback}");
                assert!(begun.elapsed() < Duration::from_secs(30), "{setback}");
                claim(tables).unwrap();
            }
        }
    }
    unreachable!()
}

fn a_foreign_key_is_waited_for_and_then_a_record_failure(db: Db) {
    make_family(&db, "");
    let (mut tables, targets) = open(&db, [children()]);
    db.execute("INSERT INTO parents VALUES (1)");
    let begun = Instant::now();
    let setbacks = until_delivered(&mut tables, |tables| {
        let mut batch = Batch::default();
        batch.record().row(0, &[V::Int(1), V::Int(1)]).record().row(0, &[V::Int(2), V::Int(1)]);
        batch.deliver(tables, &targets).map(|_| ())
    });
    assert!(setbacks > 0 && begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(letters(&db), ["1 foreign-key-violation "]);
    assert_eq!(db.count("children"), 1);
}

fn a_parent_that_comes_in_time_saves_its_child(db: Db) {
    make_family(&db, "");
    let targets = targets([children()]);
    let mut context = route();
    context.fk_wait = Duration::from_secs(60);
    let mut tables = db.try_open(context, &targets).unwrap();
    claim(&mut tables).unwrap();
    let deliver = |tables: &mut Tables| {
        let mut batch = Batch::default();
        batch.record().row(0, &[V::Int(2), V::Int(1)]).deliver(tables, &targets)
    };
    let setback = deliver(&mut tables).unwrap_err();
    assert!(setback.help.contains("fk_wait"), "{setback}");
    claim(&mut tables).unwrap();
    db.execute("INSERT INTO parents VALUES (2)");
    deliver(&mut tables).unwrap();
    assert_eq!((db.count("children"), db.count("letters")), (1, 0));
}

fn a_row_whose_children_restrict_it_is_waited_for_and_then_a_record_failure(db: Db) {
    make_family(&db, "ON DELETE RESTRICT");
    db.execute("INSERT INTO parents VALUES (1); INSERT INTO children VALUES (1, 1)");
    let (mut tables, targets) = open(&db, [parents()]);
    let setbacks = until_delivered(&mut tables, |tables| {
        Batch::default().record().delete(0, &[V::Int(1)]).deliver(tables, &targets).map(|_| ())
    });
    assert!(setbacks > 0);
    assert_eq!(letters(&db), ["0 foreign-key-violation "]);
    assert_eq!(db.count("parents"), 1);
}

fn deferred_constraints_speak_before_the_commit(db: Db) {
    make_family(&db, "DEFERRABLE INITIALLY DEFERRED");
    // The child's table comes first: its parent follows within the record.
    let (mut tables, targets) = open(&db, [children(), parents()]);
    until_delivered(&mut tables, |tables| {
        let mut batch = Batch::default();
        for id in 1..=9 {
            batch.record().row(0, &[V::Int(id), V::Int(1)]);
            if id != 5 {
                batch.row(1, &[V::Int(id)]);
            }
        }
        batch.deliver(tables, &targets).map(|_| ())
    });
    assert_eq!(letters(&db), ["4 foreign-key-violation "]);
    assert_eq!((db.count("children"), db.count("parents")), (8, 8));
}

fn a_refused_winner_leaves_its_predecessor(db: Db) {
    make(&db);
    let (mut tables, targets) = open(&db, [destination("items", &["id"], &ITEM)]);
    let mut batch = Batch::default();
    batch.record().row(0, &item(1, "first", 1));
    batch.record().row(0, &item(1, "second", 2));
    batch.record().row(0, &item(1, "bad", -3));
    batch.record().row(0, &item(2, "other", 4));
    let tally = batch.deliver(&mut tables, &targets).unwrap();
    assert_eq!(tally.total().dead_lettered, 1);
    assert_eq!(letters(&db), ["2 check-violation "]);
    assert_eq!(db.texts("SELECT name FROM items ORDER BY id"), ["second", "other"]);
}

fn rejected_duplicates_are_letters_and_the_first_row_stands(db: Db) {
    make(&db);
    let mut rejecting = destination("items", &["id"], &ITEM);
    rejecting.on_conflict = OnConflict::Reject;
    let (mut tables, targets) = open(&db, [rejecting]);
    let mut batch = Batch::default();
    batch.record().row(0, &item(1, "one", 1)).deliver(&mut tables, &targets).unwrap();
    batch.at(1).row(0, &item(2, "two", 2));
    batch.record().row(0, &item(1, "again", 3));
    batch.record().row(0, &item(2, "again in the batch", 4));
    batch.record().row(0, &item(3, "two", 5));
    batch.deliver(&mut tables, &targets).unwrap();
    let codes = db.texts("SELECT \"offset\" || ' ' || code FROM letters ORDER BY \"offset\"");
    assert_eq!(codes, ["2 duplicate-key-refused", "3 duplicate-key-refused", "4 unique-violation"]);
    assert_eq!(db.texts("SELECT name FROM items ORDER BY id"), ["one", "two"]);
}

/// A trigger's own error says nothing about whose fault it is.
fn a_row_refused_for_no_reason_of_its_class_is_the_records_fault_only_among_others(db: Db) {
    make(&db);
    if db.is_sqlite() {
        db.execute(
            "CREATE TRIGGER no BEFORE INSERT ON items WHEN NEW.name = 'no' BEGIN SELECT RAISE(ABORT, 'said no'); END",
        );
    } else {
        db.execute(
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'said no'; END $$;
            CREATE TRIGGER no BEFORE INSERT ON items FOR EACH ROW WHEN (NEW.name = 'no') EXECUTE FUNCTION no()",
        );
    }
    let (mut tables, targets) = open(&db, [destination("items", &["id"], &ITEM)]);
    let mut batch = Batch::default();
    for i in 0..40 {
        batch.record().row(0, &item(i, "no", 1));
    }
    let setback = batch.deliver(&mut tables, &targets).unwrap_err();
    assert_eq!((setback.cause, setback.remedy), (Cause::Database, Remedy::Retry));
    assert!(setback.message.contains("said no") && setback.help.contains("every row"), "{setback}");
    claim(&mut tables).unwrap();
    let mut batch = Batch::default();
    // However many come before the first that passes.
    for i in 0..40 {
        batch.record().row(0, &item(i, "no", 1));
    }
    batch.record().row(0, &item(40, "yes", 1)).deliver(&mut tables, &targets).unwrap();
    assert_eq!(letters(&db), (0..40).map(|i| format!("{i} row-refused ")).collect::<Vec<_>>());
    assert_eq!(db.texts("SELECT name FROM items"), ["yes"]);
}

fn a_table_that_is_gone_is_waited_for(db: Db) {
    make(&db);
    let (mut tables, targets) = open(&db, [destination("items", &["id"], &ITEM)]);
    let deliver = |tables: &mut Tables| {
        let mut batch = Batch::default();
        for i in 0..100 {
            batch.record().row(0, &item(i, &format!("n{i}"), 1));
        }
        batch.deliver(tables, &targets)
    };
    db.execute("ALTER TABLE items RENAME TO gone");
    let setback = deliver(&mut tables).unwrap_err();
    assert_eq!((setback.cause, setback.remedy), (Cause::Database, Remedy::Retry), "{setback}");
    assert!(setback.message.contains("items"), "{setback}");
    assert_eq!(claim(&mut tables).unwrap(), Positions::from([(t(0), 0)]));
    db.execute("ALTER TABLE gone RENAME TO items");
    assert_eq!(deliver(&mut tables).unwrap().total().delivered, 100);
    assert_eq!(db.count("letters"), 0);
}

fn most_rows_refused_still_ends(db: Db) {
    make(&db);
    let (mut tables, targets) = open(&db, [destination("items", &["id"], &ITEM)]);
    let mut batch = Batch::default();
    for i in 0..600 {
        batch.record().row(0, &item(i, &format!("n{i}"), if i % 3 == 0 { 1 } else { -1 }));
    }
    let tally = batch.deliver(&mut tables, &targets).unwrap();
    assert_eq!((tally.total().delivered, tally.total().dead_lettered), (200, 400));
    assert_eq!(db.count("items"), 200);
}

/// A producer that writes microseconds as CreateTime, and one whose clock is far before Christ.
fn a_letter_of_a_time_that_the_database_has_not_is_kept_without_it(db: Db) {
    make(&db);
    let (mut tables, targets) = open(&db, [destination("items", &["id"], &ITEM)]);
    let dead =
        || Verdict::Dead { case: None, failure: Box::new(Failure::new(Stage::Decode, "truncated", "cut short")) };
    let mut batch = Batch::default();
    for (offset, millis) in [1_700_000_000_000_000, -1_000_000_000_000_000, 1_700_000_000_000].into_iter().enumerate() {
        let offset = offset as i64;
        let record = OwnedRecord::new("t", 0, offset).value("v").timestamp(millis);
        batch.push(record, dead(), t(0), offset);
    }
    let tally = batch.deliver(&mut tables, &targets).unwrap();
    assert_eq!(tally.total().dead_lettered, 3);
    let with_time = "SELECT CAST(\"offset\" AS TEXT) FROM letters WHERE \"timestamp\" IS NOT NULL";
    assert_eq!((db.count("letters"), db.texts(with_time).join(" ")), (3, "2".to_owned()));
}

/// Avro's own bytes are not held to their logical types before somebody reads them.
fn a_value_that_its_logical_type_has_not_is_a_letter_with_its_column(db: Db) {
    let columns = [
        ("id", r#"{"type": "string", "logicalType": "uuid"}"#),
        ("at", r#"{"type": "int", "logicalType": "time-millis"}"#),
        ("price", r#"{"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}"#),
    ];
    db.execute(db.pick(
        "CREATE TABLE items (id UUID PRIMARY KEY, at TIME, price NUMERIC(6, 3)); CREATE TABLE texts (id TEXT, at TIME)",
        "CREATE TABLE items (id TEXT PRIMARY KEY, at TEXT, price TEXT); CREATE TABLE texts (id TEXT, at TEXT)",
    ));
    let plain = destination("texts", &[], &columns[..2]);
    let (mut tables, targets) = open(&db, [destination("items", &["id"], &columns), plain]);
    let mut batch = Batch::default();
    let row = |last: u8, at, cents: u16| {
        [text(&format!("00000000-0000-0000-0000-00000000000{last}")), V::Int(at), V::Bytes(cents.to_be_bytes().into())]
    };
    batch.record().row(0, &row(1, 86_399_999, 12_345));
    batch.record().row(0, &[text("none"), V::Int(1), V::Bytes(vec![1])]);
    batch.record().row(0, &row(3, 90_000_000, 1));
    batch.record().row(0, &row(4, 86_400_000, 1));
    batch.record().row(1, &[text("{00000000-0000-0000-0000-000000000005}"), V::Int(0)]);
    batch.record().row(1, &row(6, -1, 1)[..2]);
    batch.record().row(0, &[row(7, 1, 1)[0].clone(), V::Int(1), V::Bytes(vec![1, 0, 0, 0])]);
    batch.deliver(&mut tables, &targets).unwrap();
    let mut want =
        ["1 id", "2 at", "3 at", "4 id", "5 at", "6 price"].map(|l| l.replace(' ', " value-refused ")).to_vec();
    if db.is_sqlite() {
        // Its decimals are text of any length: the number stands as it came.
        want.pop();
        assert_eq!(db.texts("SELECT price FROM items WHERE price > '123.45'"), ["167772.16"]);
    }
    assert_eq!(letters(&db), want);
    assert_eq!(
        db.texts("SELECT CAST(price AS TEXT) FROM items WHERE CAST(id AS TEXT) LIKE '%1'"),
        [db.pick("123.450", "123.45")]
    );
    assert_eq!(db.count("texts"), 0);
}

/// A schema that rolls back takes the whole transaction along, its positions' lock and all.
#[test]
fn a_rollback_made_by_the_schema_writes_nothing_twice_and_names_its_record() {
    let db = Db::sqlite("own_rollback");
    db.execute(
        "CREATE TABLE events (id BIGINT, name TEXT NOT NULL);
        CREATE TRIGGER no BEFORE INSERT ON events WHEN NEW.name = 'no' BEGIN SELECT RAISE(ROLLBACK, 'said no'); END",
    );
    let (mut tables, targets) = open(&db, [destination("events", &[], &[("id", "\"long\""), ("name", "\"string\"")])]);
    let setbacks = until_delivered(&mut tables, |tables| {
        let mut batch = Batch::default();
        for id in 0..40 {
            batch.record().row(0, &[V::Int(id), text(if id == 23 { "no" } else { "yes" })]);
        }
        batch.deliver(tables, &targets).map(|_| ())
    });
    assert!(setbacks > 0, "the transaction was gone");
    assert_eq!((db.count("events"), db.count("(SELECT DISTINCT id FROM events) AS e")), (39, 39));
    assert_eq!(letters(&db), ["23 row-refused "]);
}

/// Postgres itself names no column for these. Blanks beyond a column's length would be cut off without a word.
#[test]
fn a_value_that_is_too_long_or_too_large_names_its_column() {
    const DECIMAL: &str = r#"{"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}"#;
    let columns = [
        ("id", "\"long\""),
        ("name", "\"string\""),
        ("short", "\"string\""),
        ("padded", "\"string\""),
        ("price", DECIMAL),
        ("n", "\"long\""),
    ];
    for keys in [&["id"][..], &[]] {
        let db = Db::postgres("too_long");
        db.execute(
            "CREATE DOMAIN code AS VARCHAR(3); CREATE TABLE items (id BIGINT PRIMARY KEY, name VARCHAR(3), short code,
            padded CHAR(3), price NUMERIC(4,2), n NUMERIC(3))",
        );
        let (mut tables, targets) = open(&db, [destination("items", keys, &columns)]);
        let good = |id| [V::Int(id), text("äöü"), text("abc"), text("a"), V::Bytes(vec![0xd8, 0xf1]), V::Int(-999)];
        let bad = [
            (1, text("abcd")),
            (1, text("abc ")),
            (2, text("äöüß")),
            (3, text("abcd")),
            (4, V::Bytes(vec![0x27, 0x10])),
            (5, V::Int(1000)),
        ];
        let mut batch = Batch::default();
        batch.record().row(0, &good(0));
        for (id, (column, value)) in (1..).zip(&bad) {
            let mut row = good(id);
            row[*column].clone_from(value);
            batch.record().row(0, &row);
        }
        batch.record().row(0, &[V::Int(7), text("x"), text(""), text("ab   "), V::Bytes(vec![0]), V::Int(0)]);
        batch.deliver(&mut tables, &targets).unwrap();
        let named = |(i, (column, _)): (i32, &(usize, V))| format!("{i} value-refused {}", columns[*column].0);
        assert_eq!(letters(&db), (1..).zip(&bad).map(named).collect::<Vec<_>>());
        let kept = "SELECT concat_ws(' ', id, name, short, padded, price, n) FROM items ORDER BY id";
        assert_eq!(db.texts(kept), ["0 äöü abc a   -99.99 -999", "7 x  ab  0.00 0"]);
    }
}

/// What a column takes is known from the start of the route on, and looked at again before anything is refused by it.
#[test]
fn a_column_that_was_made_longer_under_a_running_route_takes_the_longer_text() {
    let db = Db::postgres("longer");
    db.execute("CREATE TABLE items (id BIGINT PRIMARY KEY, name VARCHAR(3))");
    let targets = targets([destination("items", &["id"], &[("id", "\"long\""), ("name", "\"string\"")])]);
    let context = RouteContext { dlq: Dlq::Discard, ..route() };
    let mut tables = db.try_open(context, &targets).unwrap();
    claim(&mut tables).unwrap();
    db.execute("ALTER TABLE items ALTER name TYPE VARCHAR(9)");
    let deliver =
        |tables: &mut _| Batch::default().at(0).row(0, &[V::Int(1), text("longer")]).deliver(tables, &targets);
    let setback = deliver(&mut tables).unwrap_err();
    assert!(setback.remedy == Remedy::Retry && setback.message.contains("altered meanwhile"), "{setback}");
    tables.abort().unwrap();
    claim(&mut tables).unwrap();
    assert_eq!(deliver(&mut tables).unwrap().total().delivered, 1);
    assert_eq!(db.texts("SELECT name FROM items"), ["longer"]);
}

#[test]
fn a_label_that_an_enum_has_not_is_a_letter_with_its_column() {
    let db = Db::postgres("label");
    db.execute(
        "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE days (id BIGINT PRIMARY KEY, \"its mood\" mood)",
    );
    let columns = [("id", "\"long\""), ("its mood", "\"string\"")];
    let (mut tables, targets) = open(&db, [destination("days", &["id"], &columns)]);
    let day = |id: i64, mood: &str| [V::Int(id), text(mood)];
    let mut batch = Batch::default();
    batch.record().row(0, &day(1, "good"));
    batch.record().row(0, &day(2, "so so"));
    batch.record().row(0, &day(3, "bad"));
    batch.deliver(&mut tables, &targets).unwrap();
    // A row that stands: from now on rounds are staged.
    batch.at(3).row(0, &day(1, "bad")).deliver(&mut tables, &targets).unwrap();
    batch.at(4).row(0, &day(5, "good"));
    batch.at(5).row(0, &day(6, "none"));
    batch.deliver(&mut tables, &targets).unwrap();
    assert_eq!(letters(&db), ["1 value-refused its mood", "5 value-refused its mood"]);
    let messages = db.texts("SELECT message FROM letters ORDER BY \"offset\"");
    assert!(messages[0].contains("enum mood: \"so so\""), "{messages:?}");
    assert_eq!(db.texts("SELECT id || ' ' || \"its mood\" FROM days ORDER BY id"), ["1 bad", "3 bad", "5 good"]);
}
