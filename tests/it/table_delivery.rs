//! Rows, positions and dead letters of one transaction: the same for Postgres and SQLite.

use crate::table_support::{
    Batch, V, claim, claim_all, destination, name, on_both, open, route, t, targets, text, topics,
};
use pointsman::{
    config::{Dlq, OnConflict, OnPositionLost, TableDestination},
    destination::{
        Begin, Destination, Ticket,
        table::{RouteContext, Tables},
    },
    failure::{Cause, Failure, Remedy, Stage},
    record::{OwnedRecord, Positions, Record, Records},
    route::{Target, Verdict},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::table_support::Db;

on_both! {
    rows_positions_and_counters_are_committed_together
    an_aborted_transaction_leaves_nothing
    a_second_claim_fences_the_first_owner
    a_record_that_two_owners_hold_is_written_once
    many_workers_start_at_once
    dead_letters_stand_in_their_table_byte_for_byte
    dead_letters_for_a_topic_wait_in_the_outbox
    stop_ends_the_route_at_its_first_dead_letter
    discarded_letters_are_counted
    a_record_that_no_case_took_is_kept_apart
    names_with_quotes_and_spaces_work
    a_topic_that_was_made_again_stops_its_route
    a_topic_that_was_made_again_begins_once
    a_position_that_was_deleted_under_a_running_route_is_an_alarm
    letters_are_taken_by_so_many_bytes_at_a_time
    nothing_moves_but_a_gap
    rows_whose_keys_stand_are_replaced_among_new_ones
    rows_that_find_one_row_by_different_keys_keep_their_order
    works_that_wait_for_the_commit_are_let_go_once_they_are_many_bytes
}

const ID_NAME: [(&str, &str); 2] = [("id", "\"long\""), ("name", "\"string\"")];

fn orders() -> TableDestination {
    destination("orders", &["id"], &ID_NAME)
}

fn make_orders(db: &Db) {
    db.execute("CREATE TABLE orders (id BIGINT PRIMARY KEY, name TEXT NOT NULL)");
}

fn rows(db: &Db) -> Vec<String> {
    db.texts("SELECT CAST(id AS TEXT) || ' ' || name FROM orders ORDER BY id")
}

fn position(db: &Db) -> String {
    let sql =
        "SELECT next_offset || ' ' || owner_epoch || ' ' || consumed || ' ' || delivered || ' ' || filtered || ' '
        || dead_lettered FROM pointsman_positions";
    db.texts(sql).join(", ")
}

fn rows_positions_and_counters_are_committed_together(db: Db) {
    make_orders(&db);
    let targets = targets([orders()]);
    let mut tables = db.open(&targets);
    assert_eq!(claim(&mut tables).unwrap(), Positions::from([(t(0), 0)]));
    let mut batch = Batch::default();
    batch.record().row(0, &[V::Int(2), text("two")]);
    batch.verdict(Verdict::Filtered);
    batch.record().row(0, &[V::Int(1), text("one")]);
    batch.dead();
    let tally = batch.deliver(&mut tables, &targets).unwrap();
    assert_eq!((tally.total().delivered, tally.total().filtered, tally.total().dead_lettered), (2, 1, 1));
    assert_eq!(rows(&db), ["1 one", "2 two"]);
    assert_eq!(position(&db), "4 1 4 2 1 1");
    let mut batch = Batch::default();
    batch.at(7).row(0, &[V::Int(3), text("three")]);
    batch.deliver(&mut tables, &targets).unwrap();
    assert_eq!(position(&db), "8 1 5 3 1 1");
    drop(tables);
    assert_eq!(claim(&mut db.open(&targets)).unwrap(), Positions::from([(t(0), 8)]));
}

fn an_aborted_transaction_leaves_nothing(db: Db) {
    make_orders(&db);
    let targets = targets([orders()]);
    let mut tables = db.open(&targets);
    claim(&mut tables).unwrap();
    let mut batch = Batch::default();
    tables.write(batch.record().row(0, &[V::Int(1), text("one")]).work(&targets)).unwrap();
    tables.settle().unwrap();
    tables.abort().unwrap();
    assert_eq!(claim(&mut tables).unwrap(), Positions::from([(t(0), 0)]));
    assert_eq!(rows(&db), [""; 0]);
    batch.record().row(0, &[V::Int(1), text("again")]);
    assert_eq!(batch.deliver(&mut tables, &targets).unwrap().total().delivered, 1);
    assert_eq!(rows(&db), ["1 again"]);
}

fn a_second_claim_fences_the_first_owner(db: Db) {
    make_orders(&db);
    let targets = targets([orders()]);
    let (mut first, mut second) = (db.open(&targets), db.open(&targets));
    claim(&mut first).unwrap();
    claim(&mut second).unwrap();
    let mut batch = Batch::default();
    let setback = batch.record().row(0, &[V::Int(1), text("first")]).deliver(&mut first, &targets).unwrap_err();
    assert_eq!((setback.cause, setback.remedy), (Cause::Fenced, Remedy::Retry), "{setback}");
    assert!(setback.message.contains("t/0"), "{setback}");
    first.abort().unwrap();
    let mut batch = Batch::default();
    batch.record().row(0, &[V::Int(1), text("second")]).deliver(&mut second, &targets).unwrap();
    assert_eq!(rows(&db), ["1 second"]);
    assert_eq!(position(&db), "1 2 1 1 0 0");
}

/// The position moved under the first owner's feet between its rows and its commit.
fn a_record_that_two_owners_hold_is_written_once(db: Db) {
    make_orders(&db);
    let targets = targets([orders()]);
    let mut tables = db.open(&targets);
    claim_all(&mut tables, &[t(0), t(1)]).unwrap();
    let mut batch = Batch::default();
    tables.write(batch.record().row(0, &[V::Int(1), text("one")]).work(&targets)).unwrap();
    db.execute("UPDATE pointsman_positions SET owner_epoch = owner_epoch + 1 WHERE partition = 1");
    tables.settle().unwrap();
    let positions = Positions::from([(t(0), 1), (t(1), 5)]);
    let setback = tables.commit(Ticket { positions, group: None }).unwrap_err();
    assert_eq!(setback.cause, Cause::Fenced);
    tables.abort().unwrap();
    assert_eq!(rows(&db), [""; 0]);
}

fn many_workers_start_at_once(db: Db) {
    make_orders(&db);
    let targets = targets([orders()]);
    std::thread::scope(|scope| {
        for i in 0..8 {
            let (db, targets) = (&db, &targets);
            scope.spawn(move || {
                let mut tables = db.open(targets);
                assert_eq!(claim_all(&mut tables, &[t(i)]).unwrap(), Positions::from([(t(i), 0)]));
            });
        }
    });
    assert_eq!(db.count("pointsman_positions WHERE owner_epoch = 1"), 8);
}

fn dead_letters_stand_in_their_table_byte_for_byte(db: Db) {
    make_orders(&db);
    let targets = targets([orders()]);
    let mut tables = db.open(&targets);
    claim(&mut tables).unwrap();
    let mut batch = Batch::default();
    batch.dead().deliver(&mut tables, &targets).unwrap();
    let hex = |column: &str| match db.is_sqlite() {
        true => format!("lower(hex(\"{column}\"))"),
        false => format!("encode(\"{column}\", 'hex')"),
    };
    let sql = format!(
        "SELECT route || '|' || \"case\" || '|' || topic || '|' || \"partition\" || '|' || \"offset\" || '|' || stage || '|'
        || code || '|' || message || '|' || field || '|' || attempts || '|' || {} || '|' || {} || '|'
        || replace(CAST(headers AS TEXT), ' ', '') FROM letters",
        hex("key"),
        hex("value"),
    );
    let expected = "orders||t|0|0|decode|truncated|cut\u{fffd}short|a.b|1|6b|76616c75652030|[{\"name\":\"h\",\"value_base64\":\"/w==\"}]";
    assert_eq!(db.texts(&sql), [expected]);
    assert_eq!(db.count("letters WHERE \"timestamp\" IS NULL AND failed_at IS NOT NULL"), 1);
}

/// Claimed tables whose dead letters are bound for `orders.dlq`.
fn with_letters_for_a_topic(db: &Db) -> (Tables, Arc<[Target]>) {
    make_orders(db);
    let targets = targets([orders()]);
    let mut context = route();
    context.dlq = Dlq::Topic("orders.dlq".into());
    let mut tables = db.try_open(context, &targets).unwrap();
    claim(&mut tables).unwrap();
    (tables, targets)
}

fn dead_letters_for_a_topic_wait_in_the_outbox(db: Db) {
    let (mut tables, targets) = with_letters_for_a_topic(&db);
    let mut batch = Batch::default();
    batch.dead().record().row(0, &[V::Int(1), text("one")]).dead().deliver(&mut tables, &targets).unwrap();
    assert_eq!(tables.outbox_take(&[t(1)], Some("orders.dlq"), 10).unwrap().letters, []);
    let taken = tables.outbox_take(&[t(0), t(1)], Some("orders.dlq"), 10).unwrap().letters;
    let any = tables.outbox_take(&[t(0), t(1)], None, 10).unwrap();
    assert_eq!((&any.letters, any.all), (&taken, true));
    assert_eq!(taken.iter().map(|b| b.offset).collect::<Vec<_>>(), [0, 2]);
    let letter = &taken[1];
    assert_eq!((&*letter.dlq, &letter.origin, letter.timestamp), ("orders.dlq", &t(0), None));
    assert_eq!(letter.key.as_deref(), Some(&b"k"[..]));
    assert_eq!(letter.value.as_deref(), Some(&b"value 2"[..]));
    assert_eq!(letter.headers[0], (b"h".to_vec(), Some(b"\xff".to_vec())));
    assert!(letter.headers.contains(&(b"pointsman.code".to_vec(), Some(b"truncated".to_vec()))));
    assert_eq!(tables.outbox_take(&[t(0), t(1)], Some("another"), 10).unwrap().letters, []);
    assert_eq!(tables.outbox_count(&[t(0), t(1)]).unwrap(), BTreeMap::from([(("orders.dlq".to_owned(), t(0)), 2)]));
    tables.outbox_delete(&[taken[0].id]).unwrap();
    assert_eq!(tables.outbox_take(&[t(0)], Some("orders.dlq"), 10).unwrap().letters, taken[1..]);
    assert_eq!(tables.outbox_take(&[t(0)], Some("orders.dlq"), 0).unwrap().letters, []);
}

fn stop_ends_the_route_at_its_first_dead_letter(db: Db) {
    make_orders(&db);
    let targets = targets([orders()]);
    let mut context = route();
    context.dlq = Dlq::Stop;
    let mut tables = db.try_open(context, &targets).unwrap();
    claim(&mut tables).unwrap();
    let mut batch = Batch::default();
    let setback = batch.record().row(0, &[V::Int(1), text("one")]).dead().deliver(&mut tables, &targets).unwrap_err();
    assert_eq!((setback.cause, setback.remedy), (Cause::Record, Remedy::Stand));
    assert!(setback.message.contains("t/0 offset 1: decode/truncated"), "{setback}");
    assert!(setback.message.contains("route `orders`") && setback.help.contains("dlq"), "{setback}");
    tables.abort().unwrap();
    assert_eq!(rows(&db), [""; 0]);
}

fn discarded_letters_are_counted(db: Db) {
    make_orders(&db);
    let targets = targets([orders()]);
    let mut context = route();
    context.dlq = Dlq::Discard;
    let mut tables = db.try_open(context, &targets).unwrap();
    claim(&mut tables).unwrap();
    let mut batch = Batch::default();
    assert_eq!(batch.dead().deliver(&mut tables, &targets).unwrap().total().dead_lettered, 1);
    assert_eq!(position(&db), "1 1 1 0 0 1");
}

fn a_record_that_no_case_took_is_kept_apart(db: Db) {
    make_orders(&db);
    let targets = targets([orders()]);
    let mut context = route();
    context.otherwise = Some(Dlq::Table { database: "shop".into(), table: name("unidentified") });
    let mut tables = db.try_open(context, &targets).unwrap();
    claim(&mut tables).unwrap();
    let failure = Failure::new(Stage::Validate, "no-case-matched", "none of 2 cases");
    let mut batch = Batch::default();
    let tally = batch.verdict(Verdict::Apart(Box::new(failure))).deliver(&mut tables, &targets).unwrap();
    assert_eq!(tally.total().delivered, 1);
    assert_eq!(db.texts("SELECT code FROM unidentified"), ["no-case-matched"]);
    assert_eq!(db.count("letters"), 0);
}

fn names_with_quotes_and_spaces_work(db: Db) {
    db.execute(r#"CREATE TABLE "Order ""x""" ("the id" BIGINT PRIMARY KEY, "se""lect" TEXT)"#);
    let mut odd = destination(r#"Order "x""#, &["the id"], &[("the id", "\"long\""), ("se\"lect", "\"string\"")]);
    odd.newer_by = Some("se\"lect".into());
    let targets = targets([odd]);
    let mut tables = db.open(&targets);
    claim(&mut tables).unwrap();
    let mut batch = Batch::default();
    batch.record().row(0, &[V::Int(1), text("'; DROP TABLE letters; --")]);
    batch.deliver(&mut tables, &targets).unwrap();
    assert_eq!(db.texts(r#"SELECT "se""lect" FROM "Order ""x""""#), ["'; DROP TABLE letters; --"]);
}

fn a_topic_that_was_made_again_stops_its_route(db: Db) {
    make_orders(&db);
    let targets = targets([orders()]);
    let mut tables = db.open(&targets);
    claim(&mut tables).unwrap();
    let mut batch = Batch::default();
    batch.at(41).row(0, &[V::Int(1), text("one")]).deliver(&mut tables, &targets).unwrap();
    let setback = tables.claim(&[t(0)], &topics("another-id"), &mut |_, _| unreachable!()).unwrap_err();
    assert_eq!(setback.remedy, Remedy::Stand);
    assert!(setback.message.contains("topic t ") && setback.help.contains("on_position_lost"), "{setback}");
    let mut context = route();
    context.on_position_lost = OnPositionLost::Earliest;
    let mut tables = open(&db.config, context, &targets).unwrap();
    assert_eq!(
        tables.claim(&[t(0)], &topics("another-id"), &mut |_, _| unreachable!()).unwrap(),
        Positions::from([(t(0), 0)])
    );
    assert_eq!(db.texts("SELECT topic_id FROM pointsman_positions"), ["another-id"]);
}

/// A claim waits for an answer; meanwhile another worker has claimed the partition, and goes on in the new topic.
fn a_topic_that_was_made_again_begins_once(db: Db) {
    make_orders(&db);
    let targets = targets([orders()]);
    let mut old = db.open(&targets);
    claim(&mut old).unwrap();
    Batch::default().at(41).row(0, &[V::Int(1), text("one")]).deliver(&mut old, &targets).unwrap();
    let mut context = route();
    context.on_position_lost = OnPositionLost::Earliest;
    let open = || open(&db.config, context.clone(), &targets).unwrap();
    let (mut late, mut next) = (open(), open());
    let claimed = late.claim(&[t(0), t(1)], &topics("another-id"), &mut |new, _| {
        next.claim(&[t(0)], &topics("another-id"), &mut |_, _| unreachable!()).unwrap();
        Batch::default().at(0).row(0, &[V::Int(2), text("two")]).deliver(&mut next, &targets).unwrap();
        Ok(new.iter().map(|p| (p.clone(), 0)).collect())
    });
    assert_eq!(claimed.unwrap(), Positions::from([(t(0), 1), (t(1), 0)]));
    let sql = "SELECT CAST(next_offset AS TEXT) FROM pointsman_positions WHERE \"partition\" = 0";
    assert_eq!(db.texts(sql), ["1"]);
}

/// What a worker has held was stored: where it is not there any more, the route does not begin anew without a word.
fn a_position_that_was_deleted_under_a_running_route_is_an_alarm(db: Db) {
    make_orders(&db);
    let targets = targets([orders()]);
    for (i, deletion) in (0..).zip(["DROP TABLE pointsman_positions", "DELETE FROM pointsman_positions"]) {
        for policy in [OnPositionLost::Stop, OnPositionLost::Earliest] {
            db.execute("DROP TABLE IF EXISTS pointsman_positions; DELETE FROM orders");
            let context = RouteContext { on_position_lost: policy, ..route() };
            let mut tables = open(&db.config, context, &targets).unwrap();
            let begin = |tables: &mut Tables| {
                tables.claim(&[t(0)], &topics("topic-id"), &mut |new, why| {
                    let at = if why == Begin::NewPartitions { 0 } else { 40 };
                    Ok(new.iter().map(|p| (p.clone(), at)).collect())
                })
            };
            assert_eq!(begin(&mut tables).unwrap(), Positions::from([(t(0), 40)]));
            Batch::default().at(41).row(0, &[V::Int(i), text("one")]).deliver(&mut tables, &targets).unwrap();
            db.execute(deletion);
            let row = &[V::Int(i), text("two")];
            let refused = Batch::default().at(42).row(0, row).deliver(&mut tables, &targets).unwrap_err();
            assert_eq!(refused.remedy, Remedy::Retry, "{deletion}: {refused}");
            tables.abort().unwrap();
            if policy == OnPositionLost::Earliest {
                assert_eq!(begin(&mut tables).unwrap(), Positions::from([(t(0), 0)]), "{deletion}");
                continue;
            }
            for _ in 0..2 {
                let alarm = begin(&mut tables).unwrap_err();
                assert_eq!(alarm.remedy, Remedy::Stand, "{deletion}: {alarm}");
                assert!(
                    alarm.message.contains("group shop.orders has lost its position in t/0"),
                    "{deletion}: {alarm}"
                );
                assert!(alarm.help.contains("on_position_lost"), "{deletion}: {alarm}");
            }
            assert_eq!(db.count("pointsman_positions"), 0, "{deletion}");
        }
    }
}

fn letters_are_taken_by_so_many_bytes_at_a_time(db: Db) {
    let (mut tables, targets) = with_letters_for_a_topic(&db);
    let mut batch = Batch::default();
    for (offset, mebibytes) in (0..).zip([5, 5, 5, 0, 20, 0]) {
        let failure = Failure::new(Stage::Decode, "truncated", "cut short");
        let dead = Verdict::Dead { case: None, failure: Box::new(failure) };
        batch.push(OwnedRecord::new("t", 0, offset).value("x".repeat(mebibytes << 20)), dead, t(0), offset);
    }
    batch.deliver(&mut tables, &targets).unwrap();
    let mut taken = Vec::new();
    for _ in 0..4 {
        let some = tables.outbox_take(&[t(0)], Some("orders.dlq"), 10).unwrap();
        taken.push((some.letters.iter().map(|l| l.offset).collect::<Vec<_>>(), some.all));
        tables.outbox_delete(&some.letters.iter().map(|l| l.id).collect::<Vec<_>>()).unwrap();
    }
    let expected = [(vec![0, 1], false), (vec![2, 3, 4], false), (vec![5], true), (vec![], true)];
    assert_eq!(taken, expected, "8 MiB, and the letter that goes beyond");
}

/// Control records and compaction move a position without a record.
fn nothing_moves_but_a_gap(db: Db) {
    make_orders(&db);
    let mut rejecting = orders();
    rejecting.on_conflict = OnConflict::Reject;
    let targets = targets([rejecting]);
    let mut tables = db.open(&targets);
    claim(&mut tables).unwrap();
    tables.commit(Ticket { positions: Positions::from([(t(0), 9)]), group: None }).unwrap();
    assert_eq!(position(&db), "9 1 0 0 0 0");
    tables.commit(Ticket { positions: Positions::from([(t(0), 9)]), group: None }).unwrap();
    let setback = tables.commit(Ticket { positions: Positions::from([(t(5), 9)]), group: None }).unwrap_err();
    assert_eq!(setback.cause, Cause::Fenced);
}

fn rows_whose_keys_stand_are_replaced_among_new_ones(db: Db) {
    make_orders(&db);
    let targets = targets([orders()]);
    let mut tables = db.open(&targets);
    claim(&mut tables).unwrap();
    // Rounds of new keys alone, of old ones among them, and again: on Postgres they are sent in different ways.
    for (turn, keys) in [0..4, 4..8, 6..10, 0..10, 10..12, 12..14, 13..15].into_iter().enumerate() {
        let mut batch = Batch::default();
        for key in keys {
            let offset = i64::try_from(turn).unwrap() * 100 + key;
            batch.at(offset).row(0, &[V::Int(key), text(&format!("turn {turn}"))]);
        }
        let tally = batch.deliver(&mut tables, &targets).unwrap();
        assert_eq!(tally.total().dead_lettered, 0);
    }
    let turns = |turn: i64, keys: std::ops::Range<i64>| keys.map(move |key| format!("{key} turn {turn}"));
    let expected: Vec<_> =
        turns(3, 0..10).chain(turns(4, 10..12)).chain(turns(5, 12..13)).chain(turns(6, 13..15)).collect();
    assert_eq!(rows(&db), expected);
}

/// COPY would pass them over.
#[test]
fn a_tables_rules_hold_for_every_row() {
    for keys in [&["id"][..], &[]] {
        let db = Db::postgres(&format!("rules_{}", keys.len()));
        make_orders(&db);
        db.execute("CREATE TABLE seen (id BIGINT); CREATE RULE seen AS ON INSERT TO orders DO ALSO INSERT INTO seen VALUES (NEW.id)");
        let orders = TableDestination { on_conflict: OnConflict::Reject, ..destination("orders", keys, &ID_NAME) };
        let targets = targets([orders]);
        let mut tables = db.open(&targets);
        claim(&mut tables).unwrap();
        let mut batch = Batch::default();
        batch.record().row(0, &[V::Int(1), text("one")]);
        batch.record().row(0, &[V::Int(2), text("two")]);
        batch.deliver(&mut tables, &targets).unwrap();
        assert_eq!((db.count("orders"), db.count("seen")), (2, 2));
    }
}

/// Two cases, of which one knows the row by its number and the other by its name.
fn rows_that_find_one_row_by_different_keys_keep_their_order(db: Db) {
    db.execute("CREATE TABLE orders (id BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE, state TEXT NOT NULL)");
    let columns = [("id", "\"long\""), ("name", "\"string\""), ("state", "\"string\"")];
    let targets = targets([destination("orders", &["id"], &columns), destination("orders", &["name"], &columns)]);
    let mut tables = db.open(&targets);
    claim(&mut tables).unwrap();
    let mut batch = Batch::default();
    let mut expected = Vec::new();
    for id in 0..20 {
        let name = format!("n{id:02}");
        for turn in 0..3 {
            batch.record().row(((id + turn) % 2) as u16, &[V::Int(id), text(&name), text(&format!("turn {turn}"))]);
        }
        expected.push(format!("{name} turn 2"));
    }
    assert_eq!(batch.deliver(&mut tables, &targets).unwrap().total().delivered, 60);
    assert_eq!(db.texts("SELECT name || ' ' || state FROM orders ORDER BY id"), expected);
}

/// A batch that says when it is let go.
struct Counted(Vec<OwnedRecord>, Arc<AtomicUsize>);

impl Records for Counted {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn get(&self, i: usize) -> Record<'_> {
        self.0.get(i)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Few records, of which most are filtered, and large ones: they must not all stay in memory until the commit.
fn works_that_wait_for_the_commit_are_let_go_once_they_are_many_bytes(db: Db) {
    make_orders(&db);
    let targets = targets([orders()]);
    let mut tables = db.open(&targets);
    claim(&mut tables).unwrap();
    let (alive, mut most) = (Arc::new(AtomicUsize::new(0)), 0);
    for i in 0..100 {
        let mut batch = Batch::default();
        batch.at(i);
        let verdict = if i % 9 == 0 { Verdict::Delivered { case: 0 } } else { Verdict::Filtered };
        if i % 9 == 0 {
            batch.row(0, &[V::Int(i), text("large")]);
        }
        let mut work = batch.work(&targets);
        work.outcomes.verdicts = vec![verdict];
        let record = OwnedRecord::new("t", 0, i).value(vec![b'x'; 1 << 20]);
        work.batch = Box::new(Counted(vec![record], alive.clone()));
        alive.fetch_add(1, Ordering::Relaxed);
        tables.write(work).unwrap();
        most = most.max(alive.load(Ordering::Relaxed));
    }
    assert!(most <= 40, "{most} MiB stay");
    let tally = tables.settle().unwrap();
    assert_eq!((tally.total().delivered, tally.total().filtered), (12, 88));
    tables.commit(Ticket { positions: Positions::from([(t(0), 100)]), group: None }).unwrap();
    assert_eq!(db.count("orders"), 12);
}
