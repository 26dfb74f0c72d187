//! Dashboards and alert rules: current for the shipped routes, and written for anybody's.

use crate::harness::{Finished, Project};
use pointsman::telemetry::{METRICS, MetricKind};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const TWO_ROUTES: &str = r#"version = 1
app = "two"
[kafka]
bootstrap_servers = "localhost:9092"
[databases.shop]
url = "${NOT_SET_HERE}"
[defaults]
schema = "two.Event"
format = "json"
[routes.one]
topic = "in"
dlq = "in.dlq"
breaker = { share = 0.5, min = 100, window = "1m" }
destination = { database = "shop", table = "events" }
[routes.a-name-that-is-longer-than-the-uid-of-a-dashboard]
topic = "in"
dlq = "discard"
destination = { topic = "out", format = "json" }
"#;
const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"two","fields":[{"name":"id","type":"long"}]}"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn dashboards(folder: &Path) -> Vec<(PathBuf, Value)> {
    let files = fs::read_dir(folder.join("grafana/dashboards")).unwrap().map(|e| e.unwrap().path());
    files.map(|p| (p.clone(), serde_json::from_str(&fs::read_to_string(p).unwrap()).unwrap())).collect()
}

/// Every query of a dashboard.
fn queries(dashboard: &Value) -> impl Iterator<Item = &str> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.flat_map(|p| p["targets"].as_array().into_iter().flatten()).map(|t| t["expr"].as_str().unwrap())
}

fn in_project(project: &Project, arguments: &[&str]) -> Finished {
    project.run(&[&["dashboards", "--out", "out"], arguments].concat())
}

#[test]
fn the_shipped_ones_are_what_the_shipped_routes_ask_for() {
    let out = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["dashboards", "--check"])
        .current_dir(root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "`pointsman dashboards` in the repository writes them anew:\n{said}");
}

#[test]
fn every_metric_is_watched_and_every_watched_metric_exists() {
    let shipped = root().join("deploy");
    let mut texts: Vec<String> =
        dashboards(&shipped).iter().flat_map(|(_, d)| queries(d).map(str::to_owned).collect::<Vec<_>>()).collect();
    texts.push(fs::read_to_string(shipped.join("prometheus/pointsman.rules.yml")).unwrap());
    let words: BTreeSet<&str> = texts
        .iter()
        .flat_map(|t| t.split(|c: char| !(c.is_alphanumeric() || c == '_')))
        .filter(|w| w.starts_with("pointsman_") && *w != "pointsman_outbox")
        .collect();
    let named = |m: &pointsman::telemetry::MetricDoc| {
        let suffixes: &[&str] = if m.kind == MetricKind::Histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
        suffixes.iter().map(|s| format!("{}{s}", m.name)).collect::<Vec<_>>()
    };
    let unwatched: Vec<&str> =
        METRICS.iter().filter(|m| !named(m).iter().any(|n| words.contains(&**n))).map(|m| m.name).collect();
    assert!(unwatched.is_empty(), "on no dashboard and in no alert: {unwatched:?}");
    let known: BTreeSet<String> = METRICS.iter().flat_map(named).collect();
    let unknown: Vec<_> = words.iter().filter(|w| !known.contains(**w)).collect();
    assert!(unknown.is_empty(), "queried, but there is no such metric: {unknown:?}");
}

#[test]
fn dashboards_are_written_checked_and_kept_to_the_routes_that_there_are() {
    let project = Project::new(TWO_ROUTES).file("schemas/event.avsc", SCHEMA);
    let missing = in_project(&project, &["--check"]);
    assert_eq!(missing.code, Some(1), "{}", missing.stderr);
    assert!(missing.stdout.contains(" missing out/grafana/dashboards/route-one.json"), "{}", missing.stdout);
    assert!(!project.folder.join("out").exists(), "--check changes nothing");

    let written = in_project(&project, &[]).ok();
    assert!(written.stdout.contains("wrote out/prometheus/pointsman.rules.yml"), "{}", written.stdout);
    assert_eq!(in_project(&project, &["--check"]).ok().stdout, "ok: 4 files are up to date in out\n");

    // A route goes; somebody else's dashboard has a name like ours; somebody edits one of ours.
    let (one, _) = TWO_ROUTES.split_once("[routes.a-name").unwrap();
    let project = project
        .file("routes.toml", one)
        .file("out/grafana/dashboards/route-66.json", "{}")
        .file("out/grafana/dashboards/route-one.json", "{}");
    let different = in_project(&project, &["--check", "--format", "json"]);
    assert_eq!(different.code, Some(1));
    let told: Value = serde_json::from_str(&different.stdout).unwrap();
    let differences: Vec<&str> =
        told["different"].as_array().unwrap().iter().map(|d| d["difference"].as_str().unwrap()).collect();
    assert_eq!(differences, ["changed", "changed", "surplus"], "{told:#}");
    in_project(&project, &[]).ok();
    in_project(&project, &["--check"]).ok();
    let mut left: Vec<_> = dashboards(&project.folder.join("out")).into_iter().map(|(p, _)| p).collect();
    left.sort();
    let names: Vec<_> = left.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["overview.json", "route-66.json", "route-one.json"]);
}

#[test]
fn a_dashboard_says_what_its_route_is_and_shows_what_it_has() {
    let project = Project::new(TWO_ROUTES).file("schemas/event.avsc", SCHEMA);
    in_project(&project, &[]).ok();
    let out = project.folder.join("out");
    let uids: BTreeSet<String> = dashboards(&out).iter().map(|(_, d)| d["uid"].as_str().unwrap().to_owned()).collect();
    assert_eq!(uids.len(), 3, "each its own: {uids:?}");
    assert!(uids.iter().all(|uid| uid.len() <= 40), "Grafana takes no longer ones: {uids:?}");
    let text = fs::read_to_string(out.join("grafana/dashboards/route-one.json")).unwrap();
    for part in ["topic `in`", "table `events` of database `shop`", "`two.one`", "topic `in.dlq`", "Outbox"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("Delivered by case"), "the route has no cases");
    let rules = fs::read_to_string(out.join("prometheus/pointsman.rules.yml")).unwrap();
    assert!(rules.contains("> 0.25\n"), "half of what the breaker trips at: {rules}");
    assert!(rules.contains("> 0.05\n"), "the default of the other: {rules}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let project = Project::new(TWO_ROUTES).file("schemas/event.avsc", SCHEMA).file("out", "a file");
    let refused = in_project(&project, &[]);
    assert_eq!(refused.code, Some(3), "{}", refused.stdout);
    assert!(refused.stderr.contains("out/grafana") && refused.stderr.contains("--out"), "{}", refused.stderr);
}
