//! `plan` and `apply` over everything: what is shown, what is made, and that then nothing is left to do.

use crate::harness::{
    Database, Finished, Project, Registry, bootstrap_servers, create_topic, message, produce, read_topic, unique,
};
use serde_json::{Value, json};

pub const PAYMENT: &str = r#"{"type":"record","name":"Payment","namespace":"shop","fields":[{"name":"id","type":"string"},{"name":"amount","type":"int"}]}"#;

/// A routes.toml's head, for this broker, registry and database.
pub fn head(app: &str, registry: &str, database: &str) -> String {
    format!(
        "version = 1\napp = \"{app}\"\n[kafka]\nbootstrap_servers = \"{}\"\n[schema_registry]\nurl = \"{registry}\"\n\
         [databases.books]\nurl = \"{database}\"\nmigrations = \"migrations\"\n",
        bootstrap_servers()
    )
}

/// A route from `<app>_in` to `<app>_out`, and one from there to a table.
pub fn routes(app: &str) -> String {
    format!(
        "[topics.{app}_in]\npartitions = 3\n\
         [topics.{app}_out]\npartitions = 2\nconfig = {{ \"retention.ms\" = 86400000 }}\n\
         [routes.typed]\ntopic = \"{app}_in\"\nformat = \"json\"\nschema = \"shop.Payment\"\ndlq = \"{app}_dlq\"\n\
         destination = {{ topic = \"{app}_out\" }}\n\
         [routes.stored]\ntopic = \"{app}_out\"\nschema = \"shop.Payment\"\n\
         dlq = {{ database = \"books\", table = \"dead_letters\" }}\n\
         destination = {{ database = \"books\", table = \"payments\", key_columns = [\"id\"] }}\n"
    )
}

pub const TABLE: &str = "CREATE TABLE payments (id TEXT PRIMARY KEY, amount INTEGER NOT NULL);";

/// A project, its services, and the name that begins everything it makes.
pub struct Scene {
    pub app: String,
    pub registry: Registry,
    pub database: Database,
    pub project: Project,
}

impl Scene {
    pub fn new(name: &str) -> Scene {
        let app = unique(name);
        let (registry, database) = (Registry::start(), Database::new(name));
        let project = Project::new(&(head(&app, &registry.url, &database.url) + &routes(&app)))
            .file("schemas/payment.avsc", PAYMENT)
            .file("migrations/1_payments.sql", TABLE);
        Scene { app, registry, database, project }
    }

    /// What a command wrote, with names that do not change from one run to the next.
    pub fn plain(&self, finished: &Finished) -> String {
        let text = finished.stdout.replace(&self.app, "APP").replace(&bootstrap_servers(), "BROKERS");
        let text = text.replace(&self.registry.url, "REGISTRY");
        // Columns are as wide as the names were.
        let lines = text.lines().map(|l| {
            let body = l.trim_start();
            let indent = &l[..l.len() - body.len()];
            let words: Vec<&str> = body.split_whitespace().collect();
            format!("{}{}", if indent.is_empty() { "" } else { "  " }, words.join(" "))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    pub fn plan(&self) -> Value {
        let finished = self.project.run(&["plan", "--format", "json"]);
        serde_json::from_str(&finished.stdout).unwrap_or_else(|e| panic!("{e}: {finished:?}"))
    }

    #[track_caller]
    pub fn nothing_is_left(&self) {
        self.project.run(&["plan", "--exit-code"]).ok();
        let plan = self.plan();
        assert_eq!((&plan["status"], &plan["changes"]), (&json!("nothing-to-do"), &json!(0)), "{plan:#}");
    }
}

#[test]
fn everything_is_shown_made_once_and_then_nothing_is_left_to_do() {
    let scene = Scene::new("plan_all");
    let shown = scene.project.run(&["plan"]).ok();
    assert_eq!(
        scene.plain(&shown),
        "Topics
  + APP_dlq create with 3 partitions
  for the dead letters of `typed`, with their source's partitions
  + APP_in create with 3 partitions
  + APP_out create with 2 partitions
  retention.ms = 86400000

Schemas
  + APP_out-value register shop.Payment as the first version

Databases
  ~ books apply migration 1_payments
  make table pointsman_positions (`run` would too)
  make table pointsman_outbox (`run` would too)
  make table dead_letters (`run` would too)

ACLs that the routes need
  group APP.stored Describe, Read
  group APP.typed Describe, Read
  topic APP_dlq Describe, DescribeConfigs, Write
  topic APP_in Describe, Read
  topic APP_out Describe, DescribeConfigs, Read, Write
  transactional-id APP.typed.* Describe, Write

ACLs that `apply` needs beside them
  cluster kafka-cluster Create
  topic APP_in Alter, AlterConfigs, Describe, DescribeConfigs
  topic APP_out Alter, AlterConfigs, Describe, DescribeConfigs

plan: 8 changes; `pointsman apply` makes them"
    );
    assert_eq!(scene.project.run(&["plan", "--exit-code"]).code, Some(1), "something would change");
    assert_eq!(scene.project.run(&["plan"]).ok().stdout, shown.stdout, "looking changes nothing");
    assert_eq!(scene.database.count("pg_tables WHERE schemaname = 'public'"), 0);

    let applied = scene.project.run(&["apply", "--yes"]).ok();
    let done: Vec<_> = scene.plain(&applied).lines().filter(|l| l.starts_with("done")).map(str::to_owned).collect();
    assert_eq!(
        done,
        [
            "done APP_dlq: create with 3 partitions",
            "done APP_in: create with 3 partitions",
            "done APP_out: create with 2 partitions",
            "done APP_out-value: register shop.Payment as the first version",
            "done books: apply migration 1_payments",
            "done books: make table pointsman_positions",
            "done books: make table pointsman_outbox",
            "done books: make table dead_letters",
        ]
    );
    assert!(applied.stdout.ends_with("applied 8 of 8\n"), "{}", applied.stdout);
    scene.nothing_is_left();
    let again = scene.project.run(&["apply", "--yes"]).ok();
    assert!(again.stdout.contains("nothing to do") && !again.stdout.contains("done"), "{}", again.stdout);

    // And the routes run on it.
    produce(&format!("{}_in", scene.app), [message("a", r#"{"id":"a","amount":1}"#), message("b", "no JSON")]);
    for route in ["typed", "stored"] {
        scene.project.run(&["run", "--only", route, "--until-caught-up"]).ok();
    }
    assert_eq!(scene.database.count("payments"), 1);
    assert_eq!(read_topic(&format!("{}_dlq", scene.app)).len(), 1);
    scene.nothing_is_left();
}

#[test]
fn json_has_every_item_step_and_acl() {
    let scene = Scene::new("plan_json");
    create_topic(&format!("{}_in", scene.app), 3, &[]);
    let plan = scene.plan();
    assert_eq!((&plan["status"], &plan["changes"], &plan["problems"]), (&json!("changes"), &json!(7), &json!(0)));
    let name = |rest: &str| json!(format!("{}{rest}", scene.app));
    let item = |name: &Value| plan["items"].as_array().unwrap().iter().find(|i| i["name"] == *name).unwrap().clone();
    assert_eq!(
        item(&name("_in")),
        json!({ "part": "topics", "name": name("_in"), "status": "same", "state": "3 partitions",
            "steps": [], "problems": [], "notes": [] })
    );
    assert_eq!(
        item(&name("_out"))["steps"],
        json!([{ "action": "create-topic", "words": "create with 2 partitions", "details": ["retention.ms = 86400000"],
            "partitions": 2, "replication": null, "settings": { "retention.ms": "86400000" } }])
    );
    assert_eq!(item(&name("_out-value"))["steps"][0]["action"], "register");
    assert_eq!(item(&json!("books"))["steps"][0]["version"], 1);
    let acls = plan["acls"].as_array().unwrap();
    let ids = acls.iter().find(|a| a["resource"] == "transactional-id").unwrap();
    assert_eq!(
        *ids,
        json!({ "for": "routes", "resource": "transactional-id", "name": name(".typed."), "pattern": "prefixed",
            "operations": ["Describe", "Write"], "routes": ["typed"] })
    );

    let applied = scene.project.run(&["apply", "--yes", "--format", "json"]).ok();
    let applied: Value = serde_json::from_str(&applied.stdout).unwrap();
    let steps = applied["items"].as_array().unwrap().iter().flat_map(|i| i["steps"].as_array().unwrap());
    assert_eq!(steps.filter(|s| s["done"] == true).count(), 7, "{applied:#}");
    scene.nothing_is_left();
}

#[test]
fn a_part_alone_can_be_planned_and_applied() {
    let scene = Scene::new("plan_only");
    for part in ["tables", "schemas", "topics"] {
        let planned = scene.project.run(&["plan", "--only", part, "--exit-code"]);
        assert_eq!(planned.code, Some(1), "{}", planned.stdout);
        scene.project.run(&["apply", "--only", part, "--yes"]).ok();
        scene.project.run(&["plan", "--only", part, "--exit-code"]).ok();
    }
    scene.nothing_is_left();
}

#[test]
fn apply_asks_and_where_nobody_can_be_asked_it_refuses() {
    let scene = Scene::new("plan_ask");
    let refused = scene.project.run(&["apply"]);
    assert_eq!((refused.code, &*refused.stdout), (Some(2), ""));
    assert_eq!(
        refused.stderr,
        "error: this is no terminal, so nobody can be asked: nothing was applied\n  help: look at `pointsman plan`, \
         then `pointsman apply --yes`\n"
    );
    assert_eq!(scene.plan()["changes"], 8);
}
