//! `plan` and `apply` where something is out of reach, or ends `apply` half-way.

use crate::{
    harness::{Project, Running, bootstrap_servers, head, unique, wait_until},
    plan_all::Scene,
};
use std::{fs, net::TcpListener, time::Duration};

/// An address where nothing listens.
fn nowhere() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Changes the scene's routes.toml.
fn replace(scene: &Scene, from: &str, to: &str) {
    let path = scene.project.folder.join("routes.toml");
    let routes = fs::read_to_string(&path).unwrap();
    assert!(routes.contains(from), "{from}: {routes}");
    fs::write(&path, routes.replace(from, to)).unwrap();
}

#[test]
fn what_cannot_be_reached_is_named_and_the_rest_is_shown() {
    let scene = Scene::new("plan_down");
    for (there, gone, mine, others) in [
        (bootstrap_servers(), nowhere(), "brokers at", ["register", "apply migration"]),
        (
            scene.registry.url.clone(),
            format!("http://{}", nowhere()),
            "schema registry",
            ["create with", "apply migration"],
        ),
        (
            scene.database.url.clone(),
            format!("postgres://{}/x", nowhere()),
            "database `books`",
            ["create with", "register"],
        ),
    ] {
        replace(&scene, &there, &gone);
        let planned = scene.project.run(&["plan", "--exit-code"]);
        assert_eq!(planned.code, Some(3), "{planned:?}");
        assert!(planned.stdout.contains(&format!("error: {mine}")), "{}", planned.stdout);
        assert!(others.iter().all(|other| planned.stdout.contains(other)), "{}", planned.stdout);
        let applied = scene.project.run(&["apply", "--yes"]);
        assert_eq!(applied.code, Some(3), "{applied:?}");
        assert!(applied.stdout.contains("nothing was applied"), "{}", applied.stdout);
        replace(&scene, &gone, &there);
    }
    assert_eq!(scene.plan()["changes"], 8, "nothing was made");
}

#[test]
fn an_apply_that_is_killed_is_finished_by_the_next() {
    let scene = Scene::new("plan_killed");
    // Once in the middle of a migration, once between two steps.
    let slow = "CREATE TABLE slow (id INTEGER); SELECT pg_sleep(600);";
    let path = scene.project.folder.join("migrations/2_slow.sql");
    fs::write(&path, slow).unwrap();
    let mut first = scene.project.spawn(&["apply", "--yes"]);
    wait_until("the first migration is applied", Duration::from_secs(120), || {
        first.stdout().contains("done books: apply migration 1_payments")
    });
    wait_until("the second one sleeps", Duration::from_secs(60), || {
        scene.database.count("pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()") > 0
    });
    first.kill();
    wait_until("the server has given the migration up", Duration::from_secs(60), || {
        let here = "(SELECT oid FROM pg_database WHERE datname = current_database())";
        scene.database.count(&format!("pg_locks WHERE locktype = 'advisory' AND granted AND database = {here}")) == 0
    });
    assert_eq!(scene.database.count("pg_tables WHERE tablename = 'slow'"), 0, "nothing of it was kept");
    fs::write(&path, "CREATE TABLE slow (id INTEGER);").unwrap();
    assert_eq!(scene.plan()["changes"], 4, "the second migration and the tables after it");

    let mut second = scene.project.spawn(&["apply", "--yes"]);
    wait_until("the second migration is applied", Duration::from_secs(120), || {
        !second.runs() || second.stdout().contains("done books: apply migration 2_slow")
    });
    second.kill();
    scene.project.run(&["apply", "--yes"]).ok();
    scene.nothing_is_left();
}

#[test]
fn a_reader_that_hangs_up_changes_neither_what_is_done_nor_how_it_ends() {
    let scene = Scene::new("plan_unread");
    assert_eq!(scene.project.run_unread(&["plan", "--exit-code"]), Some(1));
    assert_eq!(scene.project.run_unread(&["apply", "--yes"]), Some(0));
    scene.nothing_is_left();
    let broken = scene.project.folder.join("migrations/2_broken.sql");
    fs::write(&broken, "SELECT nonsense;").unwrap();
    assert_eq!(scene.project.run_unread(&["apply", "--yes"]), Some(1), "the migration fails");
    assert_eq!(scene.project.run_unread(&["apply", "--yes", "--format", "json"]), Some(1));
    fs::remove_file(broken).unwrap();
    replace(&scene, "[topics.", "[topcis.");
    assert_eq!(scene.project.run_unread(&["check"]), Some(1));
}

#[test]
fn several_at_once_all_succeed() {
    let app = unique("plan_beside");
    let schema = r#"{"type":"record","name":"Event","namespace":"plan","fields":[{"name":"id","type":"long"}]}"#;
    let project = |partitions: usize| {
        let topics = (0..25).map(|i| format!("[topics.{app}_{i}]\npartitions = {partitions}\n"));
        let route = format!(
            "[routes.r]\ntopic = \"{app}_0\"\nformat = \"json\"\nschema = \"plan.Event\"\ndlq = \"discard\"\n\
             destination = {{ topic = \"{app}_1\", format = \"json\" }}\n"
        );
        Project::new(&[head(&app), topics.collect(), route].concat()).file("schemas/event.avsc", schema)
    };
    // Made by all of them at once, then widened so.
    for partitions in [1, 3] {
        let project = project(partitions);
        let applied: Vec<Running> = (0..4).map(|_| project.spawn(&["apply", "--yes"])).collect();
        applied.into_iter().for_each(|apply| drop(apply.wait().ok()));
        project.run(&["plan", "--exit-code"]).ok();
    }
}
