//! Connections that die, answers that are lost, databases that are held by somebody else.

use crate::{
    harness::{self, wait_until},
    table_support::{Batch, Db, V, claim, destination, handle, on_both, open, route, t, targets, text},
};
use pointsman::{
    config::{Database, TableDestination},
    destination::{
        Destination, Ticket,
        table::{RouteContext, migrations},
    },
    failure::{Cause, Remedy},
    record::Positions,
};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

on_both! {
    a_claim_waits_for_the_open_transaction_of_the_former_owner
    migrations_are_found_applied_and_guarded
}

fn items() -> TableDestination {
    destination("items", &["id"], &[("id", "\"long\""), ("name", "\"string\"")])
}

fn make(db: &Db) {
    db.execute("CREATE TABLE items (id BIGINT PRIMARY KEY, name TEXT)");
}

const NOTHING: u8 = 0;
/// The server gets COMMIT, its answer does not come back.
const LOSE_ANSWER: u8 = 1;
/// COMMIT does not reach the server.
const LOSE_COMMIT: u8 = 2;

/// A way to Postgres that breaks at a commit, once, when it is told to.
struct Proxy {
    config: Database,
    fault: Arc<AtomicU8>,
}

impl Proxy {
    fn before(db: &Db) -> Proxy {
        let url = &db.config.url;
        let (user, rest) = url.split_once('@').unwrap();
        let (server, name) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let fault = Arc::new(AtomicU8::new(NOTHING));
        let config = Database { url: format!("{user}@{address}/{name}"), ..db.config.clone() };
        let (server, faults) = (server.to_owned(), fault.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                serve(client, server, &faults);
            }
        });
        Proxy { config, fault }
    }

    fn arm(&self, fault: u8) {
        self.fault.store(fault, Ordering::SeqCst);
    }
}

fn serve(client: TcpStream, server: TcpStream, fault: &Arc<AtomicU8>) {
    let losing = Arc::new(AtomicU8::new(NOTHING));
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (lost, fault) = (losing.clone(), fault.clone());
    thread::spawn(move || {
        pass(&mut from, &mut to, |bytes| {
            if !bytes.windows(7).any(|w| w == b"COMMIT\0") {
                return true;
            }
            lost.store(fault.swap(NOTHING, Ordering::SeqCst), Ordering::SeqCst);
            lost.load(Ordering::SeqCst) != LOSE_COMMIT
        });
    });
    let (mut from, mut to) = (server, client);
    thread::spawn(move || pass(&mut from, &mut to, |_| losing.load(Ordering::SeqCst) != LOSE_ANSWER));
}

/// Copies until one side ends or `goes` says no; then both sides are closed.
fn pass(from: &mut TcpStream, to: &mut TcpStream, mut goes: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if !goes(&buffer[..n]) || to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn a_commit_whose_answer_is_lost_is_looked_up_and_stands() {
    let db = Db::postgres("answer_lost");
    make(&db);
    let (proxy, targets) = (Proxy::before(&db), targets([items()]));
    let mut tables = open(&proxy.config, route(), &targets).unwrap();
    claim(&mut tables).unwrap();
    proxy.arm(LOSE_ANSWER);
    let mut batch = Batch::default();
    batch.record().row(0, &[V::Int(1), text("one")]).deliver(&mut tables, &targets).unwrap();
    assert_eq!(db.count("items"), 1);
    // The next transaction goes on from there, over the new connection.
    let mut batch = Batch::default();
    batch.at(1).row(0, &[V::Int(2), text("two")]).deliver(&mut tables, &targets).unwrap();
    assert_eq!(
        db.texts("SELECT next_offset || ' ' || delivered || ' ' || owner_epoch FROM pointsman_positions"),
        ["2 2 1"]
    );
}

#[test]
fn a_commit_that_never_arrived_is_delivered_again() {
    let db = Db::postgres("commit_lost");
    make(&db);
    let (proxy, targets) = (Proxy::before(&db), targets([items()]));
    let mut tables = open(&proxy.config, route(), &targets).unwrap();
    claim(&mut tables).unwrap();
    proxy.arm(LOSE_COMMIT);
    let mut batch = Batch::default();
    let setback = batch.record().row(0, &[V::Int(1), text("one")]).deliver(&mut tables, &targets).unwrap_err();
    assert_eq!((setback.cause, setback.remedy), (Cause::Database, Remedy::Retry), "{setback}");
    tables.abort().unwrap();
    assert_eq!(db.count("items"), 0);
    assert_eq!(claim(&mut tables).unwrap(), Positions::from([(t(0), 0)]));
    let mut batch = Batch::default();
    batch.record().row(0, &[V::Int(1), text("one")]).deliver(&mut tables, &targets).unwrap();
    assert_eq!(db.count("items"), 1);
}

#[test]
fn a_killed_backend_is_a_setback_and_then_it_goes_on() {
    let db = Db::postgres("killed_backend");
    make(&db);
    let targets = targets([items()]);
    let mut tables = db.open(&targets);
    claim(&mut tables).unwrap();
    let kill = || {
        let sql = "SELECT CAST(count(pg_terminate_backend(pid)) AS TEXT) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'pointsman shop.orders'";
        assert_eq!(db.texts(sql), ["1"]);
        let gone = "pg_stat_activity WHERE datname = current_database() AND application_name = 'pointsman shop.orders'";
        wait_until("the backend is gone", Duration::from_secs(10), || db.count(gone) == 0);
    };
    let mut batch = Batch::default();
    batch.record().row(0, &[V::Int(1), text("one")]);
    tables.write(batch.work(&targets)).unwrap();
    tables.settle().unwrap();
    kill();
    let setback = tables.commit(Ticket { positions: Positions::from([(t(0), 1)]), group: None }).unwrap_err();
    assert_eq!((setback.cause, setback.remedy), (Cause::Database, Remedy::Retry), "{setback}");
    tables.abort().unwrap();
    assert_eq!(claim(&mut tables).unwrap(), Positions::from([(t(0), 0)]));
    // Also when it dies while nothing is asked of it.
    kill();
    assert_eq!(claim(&mut tables).unwrap(), Positions::from([(t(0), 0)]));
    batch.record().row(0, &[V::Int(1), text("one")]).deliver(&mut tables, &targets).unwrap();
    assert_eq!(db.count("items"), 1);
}

/// Rows are copied in the binary form of a column's type: of another type these bytes are another value.
#[test]
fn a_column_whose_type_changes_under_a_running_route_gets_no_wrong_value() {
    let db = Db::postgres("altered_column");
    let columns = [("id", "\"long\""), ("big", "\"long\"")];
    // The change of `id` ends the COPY, that of `big` does not.
    for (table, keys) in [("keyed", &["id"][..]), ("keyless", &[])] {
        db.execute(&format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY, big BIGINT NOT NULL)"));
        let targets = targets([destination(table, keys, &columns)]);
        let route = RouteContext { group: table.to_owned(), ..route() };
        let mut tables = db.try_open(route, &targets).unwrap();
        claim(&mut tables).unwrap();
        let deliver = |tables: &mut _, id: i64| {
            let mut batch = Batch::default();
            batch.at(id).row(0, &[V::Int(id), V::Int(100 * id)]).deliver(tables, &targets)
        };
        deliver(&mut tables, 1).unwrap();
        let changes = ["big TYPE NUMERIC(20,0)", "id TYPE BIGINT", "big TYPE NUMERIC(30,2)"];
        for (id, change) in (2..).zip(changes) {
            db.execute(&format!("ALTER TABLE {table} ALTER COLUMN {change}"));
            if let Err(setback) = deliver(&mut tables, id) {
                assert_eq!((setback.cause, setback.remedy), (Cause::Database, Remedy::Retry), "{setback}");
                let _ = tables.abort();
                claim(&mut tables).unwrap();
                deliver(&mut tables, id).unwrap();
            }
        }
        // A type that does not take the values: as at the start.
        db.execute(&format!("ALTER TABLE {table} ALTER COLUMN big TYPE DOUBLE PRECISION"));
        deliver(&mut tables, 5).unwrap_err();
        let _ = tables.abort();
        assert_eq!(claim(&mut tables).unwrap_err().remedy, Remedy::Stand);
        let sums =
            db.texts(&format!("SELECT string_agg(id || ' ' || CAST(big AS BIGINT), ', ' ORDER BY id) FROM {table}"));
        assert_eq!(sums, ["1 100, 2 200, 3 300, 4 400"], "{table}");
    }
    assert_eq!(db.count("letters"), 0);
}

#[test]
fn a_claim_that_fails_half_way_leaves_no_transaction_open() {
    let db = Db::sqlite("claim_half_way");
    make(&db);
    let targets = targets([items()]);
    let mut tables = db.open(&targets);
    db.execute("CREATE TRIGGER no BEFORE INSERT ON pointsman_positions BEGIN SELECT RAISE(ABORT, 'no'); END");
    let setback = claim(&mut tables).unwrap_err();
    assert!(setback.message.contains("no (1811)"), "{setback}");
    // Nobody else could write.
    db.execute("DROP TRIGGER no");
    tables.abort().unwrap();
    claim(&mut tables).unwrap();
}

#[test]
fn two_processes_that_migrate_at_once_do_not_wait_for_each_other() {
    let db = Db::postgres("migrating_at_once");
    let folder = std::env::temp_dir().join(harness::unique("migrating_at_once"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("1_items.sql"), "CREATE TABLE items (id BIGINT); SELECT pg_sleep(1)").unwrap();
    let concurrently = "-- no-transaction\nCREATE INDEX CONCURRENTLY by_id ON items (id)";
    std::fs::write(folder.join("2_index.sql"), concurrently).unwrap();
    let config = Database { migrations: Some(folder.clone()), ..db.config.clone() };
    let apply = || migrations::apply(&handle(), &config, &mut |_| {});
    thread::scope(|scope| {
        let others = [scope.spawn(apply), scope.spawn(apply)];
        for other in others {
            other.join().unwrap().unwrap();
        }
    });
    let valid = "SELECT CAST(indisvalid AS TEXT) FROM pg_index WHERE indexrelid = 'by_id'::regclass";
    assert_eq!(db.texts(valid), ["true"]);
    db.execute("INSERT INTO items VALUES (1), (1)");
    let unique = "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY only ON items (id)";
    std::fs::write(folder.join("3_unique.sql"), unique).unwrap();
    let setback = apply().unwrap_err();
    assert!(setback.help.contains("undo by hand"), "{setback}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A cancelled statement is nobody's fault: the whole transaction comes again, in smaller rounds.
#[test]
fn a_statement_that_takes_too_long_is_tried_again() {
    let db = Db::postgres("cancelled");
    make(&db);
    db.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
        CREATE TRIGGER wait BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION wait()",
    );
    let targets = targets([items()]);
    let mut tables = db.open(&targets);
    claim(&mut tables).unwrap();
    let two = |tables: &mut _| {
        let mut batch = Batch::default();
        batch.record().row(0, &[V::Int(1), text("one")]).record().row(0, &[V::Int(2), text("two")]);
        batch.deliver(tables, &targets)
    };
    let setback = thread::scope(|scope| {
        let delivered = scope.spawn(|| two(&mut tables).unwrap_err());
        let sleeping = "pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        wait_until("the insert sleeps", Duration::from_secs(20), || db.count(sleeping) == 1);
        db.texts(&format!("SELECT CAST(pg_cancel_backend(pid) AS TEXT) FROM {sleeping}"));
        delivered.join().unwrap()
    });
    assert_eq!((setback.cause, setback.remedy), (Cause::Database, Remedy::Retry), "{setback}");
    assert!(setback.help.contains("fewer rows"), "{setback}");
    db.execute("DROP TRIGGER wait ON items");
    claim(&mut tables).unwrap();
    assert_eq!(two(&mut tables).unwrap().total().delivered, 2);
    assert_eq!((db.count("items"), db.count("letters")), (2, 0));
}

fn a_claim_waits_for_the_open_transaction_of_the_former_owner(db: Db) {
    make(&db);
    let targets = targets([items()]);
    let (mut first, mut second) = (db.open(&targets), db.open(&targets));
    claim(&mut first).unwrap();
    let mut batch = Batch::default();
    first.write(batch.record().row(0, &[V::Int(1), text("one")]).work(&targets)).unwrap();
    first.settle().unwrap();
    thread::scope(|scope| {
        let successor = scope.spawn(|| claim(&mut second).unwrap());
        if !db.is_sqlite() {
            let waiting = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            wait_until("the claim waits", Duration::from_secs(20), || db.count(waiting) == 1);
        }
        assert!(!successor.is_finished(), "it claimed beside an open transaction");
        first.commit(Ticket { positions: Positions::from([(t(0), 1)]), group: None }).unwrap();
        assert_eq!(successor.join().unwrap().len(), 1);
    });
    let mut batch = Batch::default();
    let setback = batch.at(1).row(0, &[V::Int(2), text("late")]).deliver(&mut first, &targets).unwrap_err();
    assert_eq!(setback.cause, Cause::Fenced);
    first.abort().unwrap();
    assert_eq!(claim(&mut second).unwrap(), Positions::from([(t(0), 1)]));
}

#[test]
fn an_unreachable_database_is_waited_for() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let db = Db::postgres("unreachable");
    let config = Database { url: format!("postgres://postgres@{free}/nothing"), ..db.config.clone() };
    let setback = open(&config, route(), &targets([items()])).err().unwrap();
    assert_eq!((setback.cause, setback.remedy), (Cause::Database, Remedy::Retry));
    assert!(setback.message.contains("`shop` (Postgres)"), "{setback}");
}

#[test]
fn a_sqlite_file_has_one_process() {
    let db = Db::sqlite("one_process");
    make(&db);
    let path = db.config.url.strip_prefix("sqlite://").unwrap();
    // Another open file is as good as another process to this kind of lock.
    let lock = std::fs::File::create(format!("{path}.pointsman-lock")).unwrap();
    lock.lock().unwrap();
    std::io::Write::write_all(&mut &lock, b"4711\n").unwrap();
    let setback = db.try_open(route(), &targets([items()])).err().unwrap();
    assert_eq!(setback.remedy, Remedy::Retry);
    assert!(setback.message.contains("another Pointsman (process 4711)"), "{setback}");
    drop(lock);
    db.open(&targets([items()]));
}

#[test]
fn a_sqlite_file_that_cannot_be_written_is_waited_for() {
    let db = Db::sqlite("read_only");
    make(&db);
    let config = Database { url: format!("{}?mode=ro", db.config.url), ..db.config.clone() };
    let setback = open(&config, route(), &targets([items()])).err().unwrap();
    assert_eq!((setback.cause, setback.remedy), (Cause::Database, Remedy::Retry));
    assert!(setback.message.contains("readonly"), "{setback}");
}

fn migrations_are_found_applied_and_guarded(db: Db) {
    let folder = std::env::temp_dir().join(harness::unique("migrations"));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, sql: &str| std::fs::write(folder.join(name), sql).unwrap();
    let config = Database { migrations: Some(folder.clone()), ..db.config.clone() };
    let handle = crate::table_support::handle();
    file("1_first.sql", "CREATE TABLE first (id INTEGER)");
    file("2_second.sql", "CREATE TABLE second (id INTEGER)");
    let apply = || {
        let mut applied = Vec::new();
        migrations::apply(&handle, &config, &mut |m| applied.push(m)).map(|()| applied)
    };
    let versions = |found: &[migrations::Migration]| found.iter().map(|m| m.version).collect::<Vec<_>>();
    assert_eq!(versions(&migrations::pending(&handle, &config).unwrap()), [1, 2]);
    thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| apply().unwrap())).collect();
        all.into_iter().for_each(|one| drop(one.join().unwrap()));
    });
    assert_eq!(migrations::pending(&handle, &config).unwrap(), []);
    assert_eq!((db.count("first"), db.count("second")), (0, 0));

    file("3_third.sql", "CREATE TABLE third (id INTEGER); SELECT nonsense");
    let setback = apply().unwrap_err();
    assert_eq!(setback.remedy, Remedy::Stand);
    assert!(setback.message.contains("migration 3") && setback.message.contains("nonsense"), "{setback}");
    file("3_third.sql", "CREATE TABLE third (id INTEGER)");
    assert_eq!(versions(&apply().unwrap()), [3]);

    file("1_first.sql", "CREATE TABLE first (id BIGINT)");
    let setback = migrations::pending(&handle, &config).unwrap_err();
    assert_eq!(setback.remedy, Remedy::Stand);
    assert!(setback.message.contains("migration 1") && setback.help.contains("as it was"), "{setback}");
    std::fs::remove_file(folder.join("1_first.sql")).unwrap();
    let setback = migrations::pending(&handle, &config).unwrap_err();
    assert!(setback.message.contains("migration 1") && setback.help.contains("back"), "{setback}");
    std::fs::remove_dir_all(&folder).unwrap();
    let setback = migrations::pending(&handle, &config).unwrap_err();
    assert_eq!(setback.remedy, Remedy::Stand);
    assert!(setback.message.contains(&*folder.to_string_lossy()), "{setback}");
}
