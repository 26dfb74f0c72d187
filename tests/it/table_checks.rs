//! Start-up: tables that cannot take a route's rows are refused with what would make them take them; and every type
//! arrives as the value it was.

use crate::{
    harness::unique,
    table_support::{Batch, Db, V, claim, destination, name, on_both, open, route, targets, text},
};
use pointsman::{
    config::{Database, Dlq, OnConflict, OnTombstone, TableDestination},
    destination::table::{Dialect, ddl},
    failure::Remedy,
    route::Target,
};
use std::sync::Arc;

on_both! {
    what_cannot_work_is_refused_with_the_sql_that_makes_it
    the_derived_table_takes_every_type
    a_dead_letter_table_of_another_shape_is_refused
    a_dead_letter_table_with_a_column_that_nothing_fills_is_refused
    a_dead_letter_table_that_refuses_a_letter_stands_its_route
    a_key_for_which_different_texts_are_equal_is_refused
    a_duration_goes_into_texts_alone
}

const DECIMAL: &str = r#"{"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}"#;
const INSTANT: &str = r#"{"type": "long", "logicalType": "timestamp-micros"}"#;

fn orders() -> TableDestination {
    destination("orders", &["id"], &[("id", "\"long\""), ("total", DECIMAL), ("at", INSTANT)])
}

fn what_cannot_work_is_refused_with_the_sql_that_makes_it(db: Db) {
    // (the table, what the message says, what the help says)
    let common = [
        ("", "table `orders` does not exist", "PRIMARY KEY (\"id\")"),
        ("CREATE TABLE orders (id BIGINT PRIMARY KEY, at TEXT)", "no column `total`", "ADD COLUMN \"total\""),
    ];
    let postgres = [
        (
            "CREATE TABLE orders (id TEXT PRIMARY KEY, total NUMERIC, at TIMESTAMPTZ)",
            "column `id` of table `orders` in database `shop` is text: it does not take a long",
            "TYPE BIGINT",
        ),
        (
            "CREATE TABLE orders (id BIGINT PRIMARY KEY, total NUMERIC(10,1), at TIMESTAMPTZ)",
            "is numeric(10,1): it would round to 1 digits",
            "TYPE NUMERIC(12,2)",
        ),
        (
            "CREATE TABLE orders (id BIGINT PRIMARY KEY, total NUMERIC, at TIMESTAMP)",
            "no time zone",
            "TYPE TIMESTAMPTZ",
        ),
        (
            "CREATE TABLE orders (id BIGINT PRIMARY KEY, total NUMERIC, at TIMESTAMPTZ(3))",
            "round to 3 digits of a second",
            "TYPE TIMESTAMPTZ",
        ),
        ("CREATE TABLE orders (id BIGINT PRIMARY KEY, total INET, at TIMESTAMPTZ)", "does not write", "TYPE NUMERIC"),
        (
            "CREATE TABLE orders (id BIGINT, total NUMERIC, at TIMESTAMPTZ)",
            "no unique index on exactly its key columns (`id`)",
            "CREATE UNIQUE INDEX",
        ),
        (
            "CREATE TABLE orders (id BIGINT, total NUMERIC, at TIMESTAMPTZ, UNIQUE (id, at))",
            "no unique index",
            "(\"id\")",
        ),
        (
            "CREATE TABLE orders (id BIGINT UNIQUE DEFERRABLE, total NUMERIC, at TIMESTAMPTZ)",
            "no unique index",
            "(\"id\")",
        ),
        (
            "CREATE TABLE orders (id BIGINT PRIMARY KEY, total NUMERIC, at TIMESTAMPTZ, shop TEXT NOT NULL)",
            "column `shop` of table `orders` in database `shop` is NOT NULL",
            "default",
        ),
        (
            "DROP DOMAIN IF EXISTS shop_name CASCADE; CREATE DOMAIN shop_name TEXT NOT NULL;
            CREATE DOMAIN long_name shop_name; CREATE TABLE orders
            (id BIGINT PRIMARY KEY, total NUMERIC, at TIMESTAMPTZ, shop long_name)",
            "column `shop` of table `orders` in database `shop` is NOT NULL",
            "default",
        ),
        (
            "CREATE TABLE orders (id BIGINT PRIMARY KEY, total NUMERIC GENERATED ALWAYS AS (id) STORED, at TIMESTAMPTZ)",
            "the database computes it",
            "",
        ),
    ];
    let sqlite = [
        (
            "CREATE TABLE orders (id TEXT PRIMARY KEY, total TEXT, at TEXT)",
            "column `id` of table `orders` in database `shop` is TEXT",
            "INTEGER",
        ),
        (
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, total DECIMAL(12,2), at TEXT)",
            "would refuse or convert a decimal",
            "TEXT",
        ),
        // Outside of STRICT tables ANY is a type like any other: a NUMERIC one.
        (
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, total ANY, at TEXT)",
            "would refuse or convert a decimal",
            "TEXT",
        ),
        (
            "CREATE TABLE orders (id BIGINT, total TEXT, at TEXT)",
            "no unique index on exactly its key columns (`id`)",
            "CREATE UNIQUE INDEX",
        ),
        (
            "CREATE TABLE orders (id BIGINT PRIMARY KEY, total TEXT, at TEXT, shop TEXT NOT NULL)",
            "column `shop`",
            "default",
        ),
    ];
    let own = if db.is_sqlite() { &sqlite[..] } else { &postgres[..] };
    for (sql, message, help) in common.iter().chain(own) {
        db.execute(&format!("DROP TABLE IF EXISTS orders; {sql}"));
        let Err(setback) = db.try_open(route(), &targets([orders()])) else { panic!("{sql} is good?") };
        assert_eq!(setback.remedy, Remedy::Stand, "{sql}: {setback}");
        assert!(setback.message.contains(message), "{sql}: {setback}");
        assert!(setback.help.contains(help), "{sql}: {setback}");
    }
}

fn every_type() -> TableDestination {
    let logical = |base: &str, name: &str| format!(r#"{{"type": "{base}", "logicalType": "{name}"}}"#);
    let columns = [
        ("id", "\"int\"".to_owned()),
        ("long", "\"long\"".to_owned()),
        ("float", "\"float\"".to_owned()),
        ("double", "\"double\"".to_owned()),
        ("flag", "\"boolean\"".to_owned()),
        ("raw", "\"bytes\"".to_owned()),
        ("total", r#"{"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 3}"#.to_owned()),
        ("day", logical("int", "date")),
        ("time", logical("long", "time-micros")),
        ("at", INSTANT.to_owned()),
        ("local", logical("long", "local-timestamp-millis")),
        ("uid", logical("string", "uuid")),
        ("tags", r#"{"type": "array", "items": "string"}"#.to_owned()),
        ("note", "[\"null\", \"string\"]".to_owned()),
        ("kind", r#"{"type": "enum", "name": "Kind", "symbols": ["A", "B"]}"#.to_owned()),
        ("cents", r#"{"type": "fixed", "name": "C", "size": 4, "logicalType": "decimal", "precision": 9, "scale": 2}"#.to_owned()),
        ("hash", r#"{"type": "fixed", "name": "Hash", "size": 3}"#.to_owned()),
        ("clock", logical("int", "time-millis")),
        ("at millis", logical("long", "timestamp-millis")),
        ("at nanos", logical("long", "timestamp-nanos")),
        ("local micros", logical("long", "local-timestamp-micros")),
        ("local nanos", logical("long", "local-timestamp-nanos")),
        ("span", r#"{"type": "fixed", "name": "Span", "size": 12, "logicalType": "duration"}"#.to_owned()),
        ("box", r#"{"type": "record", "name": "Box", "fields": [{"name": "span", "type": {"type": "fixed", "name": "S", "size": 12, "logicalType": "duration"}},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-nanos"}}, {"name": "sum", "type": {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 20}}]}"#.to_owned()),
        ("marks", r#"{"type": "map", "values": "long"}"#.to_owned()),
        ("either", r#"["null", "string", "long"]"#.to_owned()),
        ("device", r#"{"type": "fixed", "name": "Device", "size": 16, "logicalType": "uuid"}"#.to_owned()),
    ];
    let columns: Vec<(&str, &str)> = columns.iter().map(|(n, t)| (*n, t.as_str())).collect();
    destination("every type", &["id"], &columns)
}

fn the_derived_table_takes_every_type(db: Db) {
    let dialect = if db.is_sqlite() { Dialect::Sqlite } else { Dialect::Postgres };
    db.execute(&ddl::create_table(dialect, &every_type()));
    let targets = targets([every_type()]);
    let mut tables = db.open(&targets);
    claim(&mut tables).unwrap();
    let decimals = [
        0i128,
        1,
        -1,
        999,
        1000,
        -1000,
        12_345_678,
        100_000_000,
        i64::MAX.into(),
        -170_141_183_460_469_231_731_687_303_715,
    ];
    let span = [14u32, 3, 500].map(u32::to_le_bytes).concat();
    let mut batch = Batch::default();
    for (id, decimal) in decimals.iter().enumerate() {
        let row = [
            V::Int(id as i64),
            V::Int(i64::MIN + id as i64),
            V::Raw(1.5f32.to_le_bytes().to_vec()),
            V::Double(-0.1),
            V::Bool(true),
            V::Bytes(vec![0, 255]),
            V::Bytes(decimal.to_be_bytes().to_vec()),
            V::Int(11_016),
            V::Int(74_435_000_001),
            V::Int(-1),
            V::Int(1_719_780_035_120),
            text("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
            V::Raw(vec![0]),
            V::Null,
            V::Int(1),
            V::Raw((-1999i32).to_be_bytes().to_vec()),
            V::Raw(vec![1, 0, 255]),
            V::Int(74_435_007),
            V::Int(1_719_780_035_120),
            V::Int(1_719_780_035_123_456_789),
            V::Int(1_719_780_035_123_456),
            V::Int(-1),
            V::Raw(span.clone()),
            V::Raw([&span[..], &[1, 2, 1]].concat()),
            V::Raw(vec![2, 2, b'k', 14, 0]),
            V::Raw(vec![2, 2, b's']),
            V::Raw((1..=16).collect()),
        ];
        batch.record();
        batch.row(0, &row);
    }
    let tally = batch.deliver(&mut tables, &targets).unwrap();
    assert_eq!(tally.total().delivered, decimals.len() as u64, "{:?}", tally.failures);
    let expected = decimals.map(|d| pointsman::codec::Decimal::new(d, 3).to_string());
    assert_eq!(db.texts("SELECT CAST(total AS TEXT) FROM \"every type\" ORDER BY id"), expected);
    let sql = "SELECT \"long\" || '|' || \"float\" || '|' || \"double\" || '|' || flag || '|' || day || '|' || \"time\" || '|'
        || at || '|' || local || '|' || uid || '|' || CAST(tags AS TEXT) || '|' || coalesce(note, '-') || '|' || kind
        FROM \"every type\" WHERE id = 0";
    let postgres = "-9223372036854775808|1.5|-0.1|true|2000-02-29|20:40:35.000001|1969-12-31 23:59:59.999999+00|2024-06-30 20:40:35.12|6ba7b810-9dad-11d1-80b4-00c04fd430c8|[]|-|B";
    let sqlite = "-9223372036854775808|1.5|-0.1|1|2000-02-29|20:40:35.000001|1969-12-31T23:59:59.999999Z|2024-06-30T20:40:35.120000|6ba7b810-9dad-11d1-80b4-00c04fd430c8|[]|-|B";
    assert_eq!(db.texts(sql), [db.pick(postgres, sqlite)]);
    let hash = db.pick("encode(hash, 'hex')", "lower(hex(hash))");
    let sql = format!(
        "SELECT cents || '|' || {hash} || '|' || clock || '|' || \"at millis\" || '|' || \"at nanos\" || '|'
        || \"local micros\" || '|' || \"local nanos\" || '|' || span FROM \"every type\" WHERE id = 0"
    );
    let postgres = "-19.99|0100ff|20:40:35.007|2024-06-30 20:40:35.12+00|2024-06-30 20:40:35.123456+00|2024-06-30 20:40:35.123456|1969-12-31 23:59:59.999999|P14M3DT0.500S";
    let sqlite = "-19.99|0100ff|20:40:35.007000|2024-06-30T20:40:35.120000Z|2024-06-30T20:40:35.123456Z|2024-06-30T20:40:35.123456|1969-12-31T23:59:59.999999|P14M3DT0.500S";
    assert_eq!(db.texts(&sql), [db.pick(postgres, sqlite)]);
    let inside = |json: &str| {
        let sql = format!("SELECT CAST({json} AS TEXT) FROM \"every type\" WHERE id = 0");
        db.texts(&sql).remove(0)
    };
    assert_eq!(inside("box ->> 'span'"), "P14M3DT0.500S");
    assert_eq!(inside("box ->> 'at'"), "1969-12-31T23:59:59.999999999Z");
    assert_eq!(inside(db.pick("box ->> 'sum'", "box")).matches("0.00000000000000000001").count(), 1);
    assert_eq!(inside("marks ->> 'k'"), "7");
    assert_eq!(inside("either"), "\"s\"");
    assert_eq!(inside("device"), "01020304-0506-0708-090a-0b0c0d0e0f10");
}

fn a_dead_letter_table_of_another_shape_is_refused(db: Db) {
    db.execute("CREATE TABLE letters (code TEXT)");
    db.execute("CREATE TABLE orders (id BIGINT PRIMARY KEY)");
    let ids = || {
        let mut ids = destination("orders", &["id"], &[("id", "\"long\"")]);
        ids.on_conflict = OnConflict::Ignore;
        targets([ids])
    };
    let Err(setback) = db.try_open(route(), &ids()) else { panic!("it has no columns") };
    assert_eq!(setback.remedy, Remedy::Stand);
    assert!(setback.message.contains("column `route` is missing"), "{setback}");
    let mut context = route();
    context.dlq = Dlq::Table { database: "other".into(), table: name("letters") };
    let Err(setback) = db.try_open(context, &ids()) else { panic!("one transaction has one database") };
    assert!(setback.message.contains("`other`"), "{setback}");
}

/// A user's own table of dead letters, with more columns or constraints, and a route that writes to it.
fn own_letters(db: &Db, more: &str) -> Arc<[Target]> {
    let (time, bytes, json) = (db.pick("TIMESTAMPTZ", "TEXT"), db.pick("BYTEA", "BLOB"), db.pick("JSONB", "TEXT"));
    db.execute(&format!(
        "DROP TABLE IF EXISTS letters; DROP TABLE IF EXISTS orders;
        CREATE TABLE letters (route TEXT, \"case\" TEXT, topic TEXT, \"partition\" INTEGER, \"offset\" BIGINT,
            \"timestamp\" {time}, stage TEXT, code TEXT, message TEXT, field TEXT, schema_id BIGINT, failed_at {time},
            version TEXT, attempts BIGINT, \"key\" {bytes}, \"value\" {bytes}, headers {json}, {more});
        CREATE TABLE orders (id BIGINT PRIMARY KEY)"
    ));
    targets([destination("orders", &["id"], &[("id", "\"long\"")])])
}

fn a_dead_letter_table_with_a_column_that_nothing_fills_is_refused(db: Db) {
    let targets = own_letters(&db, "owner TEXT NOT NULL");
    let Err(setback) = db.try_open(route(), &targets) else { panic!("it would refuse every letter") };
    assert_eq!(setback.remedy, Remedy::Stand);
    assert!(setback.message.contains("table `letters`") && setback.message.contains("column `owner`"), "{setback}");
    assert!(setback.message.contains("give it a default"), "{setback}");
    let id = db.pick("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "INTEGER NOT NULL PRIMARY KEY");
    let filled = own_letters(&db, &format!("id {id}, owner TEXT NOT NULL DEFAULT 'us', note TEXT"));
    let mut tables = db.open(&filled);
    claim(&mut tables).unwrap();
    Batch::default().dead().deliver(&mut tables, &filled).unwrap();
    assert_eq!(db.texts("SELECT owner FROM letters"), ["us"]);
}

fn a_dead_letter_table_that_refuses_a_letter_stands_its_route(db: Db) {
    let trigger = db.pick(
        "CREATE FUNCTION no() RETURNS trigger AS $$ BEGIN RAISE 'not this one'; END $$ LANGUAGE plpgsql;
        CREATE TRIGGER no BEFORE INSERT ON letters FOR EACH ROW EXECUTE FUNCTION no()",
        "CREATE TRIGGER no BEFORE INSERT ON letters BEGIN SELECT RAISE(ABORT, 'not this one'); END",
    );
    for (more, then) in [("CHECK (code <> 'truncated')", "SELECT 1"), ("note TEXT", trigger)] {
        let targets = own_letters(&db, more);
        db.execute(then);
        let mut tables = db.open(&targets);
        claim(&mut tables).unwrap();
        let setback = Batch::default().dead().deliver(&mut tables, &targets).unwrap_err();
        assert_eq!(setback.remedy, Remedy::Stand, "{more}: {setback}");
        assert!(setback.message.contains("dead-letter table `letters`"), "{more}: {setback}");
        assert!(setback.help.contains("CREATE TABLE"), "{more}: {setback}");
    }
}

/// Folding compares bytes: it would put such rows in the wrong order.
fn a_key_for_which_different_texts_are_equal_is_refused(db: Db) {
    db.execute(db.pick(
        "CREATE TABLE users (email CHAR(40) PRIMARY KEY)",
        "CREATE TABLE users (email TEXT PRIMARY KEY COLLATE NOCASE)",
    ));
    let users = targets([destination("users", &["email"], &[("email", "\"string\"")])]);
    let Err(setback) = db.try_open(route(), &users) else { panic!("a and A are one key") };
    assert_eq!(setback.remedy, Remedy::Stand);
    assert!(setback.message.contains("`email`"), "{setback}");
    db.execute("DROP TABLE users; CREATE TABLE users (email TEXT PRIMARY KEY)");
    db.open(&users);
}

/// No enum has a label for every duration, and not every duration is an interval.
fn a_duration_goes_into_texts_alone(db: Db) {
    let span = r#"{"type": "fixed", "name": "Span", "size": 12, "logicalType": "duration"}"#;
    let spans = targets([destination("spans", &[], &[("span", span)])]);
    db.execute(db.pick("CREATE TYPE label AS ENUM ('P1D')", "SELECT 1"));
    for column in db.pick("INTERVAL label BIGINT BYTEA", "INTEGER REAL NUMERIC").split(' ') {
        db.execute(&format!("DROP TABLE IF EXISTS spans; CREATE TABLE spans (span {column})"));
        let Err(setback) = db.try_open(route(), &spans) else { panic!("{column} takes no duration") };
        assert_eq!(setback.remedy, Remedy::Stand, "{setback}");
        assert!(setback.message.contains("column `span`"), "{setback}");
        assert!(setback.help.contains("TEXT"), "{setback}");
    }
    db.execute("DROP TABLE spans; CREATE TABLE spans (span TEXT)");
    db.open(&spans);
}

#[test]
fn a_domains_default_fills_its_columns() {
    let db = Db::postgres("domain_default");
    db.execute(
        "CREATE DOMAIN shop_name TEXT NOT NULL DEFAULT 'here'; CREATE DOMAIN long_name shop_name;
        CREATE TABLE orders (id BIGINT PRIMARY KEY, total NUMERIC, at TIMESTAMPTZ, shop long_name NOT NULL)",
    );
    let targets = targets([orders()]);
    let mut tables = db.open(&targets);
    claim(&mut tables).unwrap();
    let row = [V::Int(1), V::Bytes(vec![1]), V::Int(0)];
    Batch::default().record().row(0, &row).deliver(&mut tables, &targets).unwrap();
    assert_eq!(db.texts("SELECT shop FROM orders"), ["here"]);
}

/// What a role with these grants is told when it opens the destination's table.
fn open_as(db: &Db, grants: &str, destination: TableDestination) -> String {
    let role = unique("limited");
    db.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'x'"));
    db.execute(&grants.replace("whom", &role));
    let config = Database { url: db.config.url.replace("postgres@", &format!("{role}:x@")), ..db.config.clone() };
    let opened = open(&config, route(), &targets([destination]));
    db.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    let Err(setback) = opened else { return "opened".to_owned() };
    format!("{setback} {}", setback.help).replace(&role, "whom")
}

#[test]
fn a_table_that_the_user_may_not_see_or_write_is_not_a_missing_one() {
    let db = Db::postgres("rights");
    db.execute(
        "CREATE SCHEMA hidden; CREATE TABLE hidden.orders (id BIGINT PRIMARY KEY, total NUMERIC, at TIMESTAMPTZ);
        CREATE TABLE orders (LIKE hidden.orders INCLUDING ALL)",
    );
    // Pointsman's own tables are there for everybody.
    db.open(&targets([orders()]));
    let own = "GRANT SELECT, INSERT, UPDATE ON pointsman_positions TO whom;
        GRANT SELECT, INSERT, DELETE ON pointsman_outbox TO whom; GRANT INSERT ON letters TO whom;";
    let rejecting = TableDestination { on_conflict: OnConflict::Reject, on_tombstone: OnTombstone::Filter, ..orders() };
    let open_as = |grants: &str, destination| open_as(&db, &format!("{own} {grants}"), destination);
    let none = open_as("", orders());
    assert!(none.contains("may not SELECT, INSERT, UPDATE, DELETE") && none.contains("table `orders`"), "{none}");
    assert!(none.contains("GRANT SELECT, INSERT, UPDATE, DELETE ON \"orders\" TO \"whom\""), "{none}");
    let some = open_as("GRANT SELECT, INSERT ON orders TO whom", orders());
    assert!(some.contains("may not UPDATE, DELETE"), "{some}");
    assert_eq!(open_as("GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO whom", orders()), "opened");
    assert_eq!(open_as("GRANT INSERT ON orders TO whom", rejecting.clone()), "opened");
    assert_eq!(open_as("GRANT INSERT (id, total, at) ON orders TO whom", rejecting.clone()), "opened");

    db.execute("DROP TABLE orders");
    let path = "ALTER ROLE whom SET search_path = hidden, public; GRANT ALL ON hidden.orders TO whom";
    let unseen = open_as(path, orders());
    assert!(unseen.contains("permission denied for schema hidden"), "{unseen}");
    assert!(unseen.contains("grant the rights"), "{unseen}");
}

#[test]
fn the_rights_that_letters_need_are_asked_for_before_the_first_one() {
    let db = Db::postgres("letter_rights");
    db.execute("CREATE TABLE orders (id BIGINT PRIMARY KEY, total NUMERIC, at TIMESTAMPTZ)");
    db.open(&targets([orders()]));
    let rows = "GRANT ALL ON orders, pointsman_positions TO whom;";
    let some = "GRANT SELECT, INSERT ON pointsman_outbox TO whom; GRANT INSERT ON letters TO whom";
    let told = open_as(&db, &format!("{rows} {some}"), orders());
    assert!(told.contains("may not DELETE in table `pointsman_outbox`"), "{told}");
    let told = open_as(
        &db,
        &format!("{rows} GRANT ALL ON pointsman_outbox TO whom; GRANT SELECT ON letters TO whom"),
        orders(),
    );
    assert!(told.contains("user whom may not INSERT in table `letters`"), "{told}");
    assert!(told.contains("GRANT INSERT ON \"letters\" TO \"whom\";"), "{told}");
}

/// SQLite tells names of other letters' case from none; ANY takes every value as it is where the table is STRICT.
#[test]
fn names_of_another_case_and_any_type_are_good_in_sqlite() {
    for table in [
        "CREATE TABLE Orders (Id INTEGER PRIMARY KEY, TOTAL TEXT, At TEXT)",
        "CREATE TABLE ORDERS (ID ANY PRIMARY KEY, Total ANY, at ANY NOT NULL) STRICT",
    ] {
        let db = Db::sqlite("names");
        db.execute(table);
        let targets = targets([TableDestination { on_conflict: OnConflict::Reject, ..orders() }]);
        let mut tables = db.open(&targets);
        claim(&mut tables).unwrap();
        let mut batch = Batch::default();
        for total in [1, 2] {
            batch.record().row(0, &[V::Int(7), V::Bytes(vec![total]), V::Int(0)]);
        }
        batch.deliver(&mut tables, &targets).unwrap();
        let rows = db.texts("SELECT id || ' ' || typeof(id) || ' ' || total || ' ' || typeof(total) FROM orders");
        assert_eq!(rows, ["7 integer 0.01 text"], "{table}");
        assert_eq!(db.texts("SELECT code FROM letters"), ["duplicate-key-refused"], "{table}");
    }
}
