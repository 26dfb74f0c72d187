//! The shipped project on topics of a test's own.

use crate::harness::{Project, Registry, bootstrap_servers, create_topic, unique};
use pointsman::config;
use std::{collections::BTreeMap, fs, path::Path};

/// The repository's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The shipped routes, schemas and migrations, with topics that no other test uses, and a registry that knows what the
/// routes write.
pub struct Shipped {
    pub project: Project,
    _registry: Registry,
    /// A topic's own name by its shipped one.
    pub topics: BTreeMap<String, String>,
}

impl Shipped {
    pub fn new() -> Shipped {
        let file = root().join("routes.toml");
        let plan = config::load(&file, config::Options::default()).unwrap().plan.expect("the shipped routes are right");
        let mut routes =
            fs::read_to_string(&file).unwrap().replace(r#"app = "examples""#, &format!("app = \"{}\"", unique("app")));
        let mut topics = BTreeMap::new();
        for (name, spec) in plan.topics {
            let own = unique(&name);
            create_topic(&own, spec.partitions.unwrap_or(1), &[]);
            routes = routes.replace(&format!("[topics.{name}]"), &format!("[topics.{own}]"));
            for key in ["topic", "dlq"] {
                routes = routes.replace(&format!("{key} = \"{name}\""), &format!("{key} = \"{own}\""));
            }
            topics.insert(name, own);
        }
        let registry = Registry::start();
        let project = Project::shipped()
            .file("routes.toml", &routes)
            .variable("KAFKA_BOOTSTRAP_SERVERS", &bootstrap_servers())
            .variable("SCHEMA_REGISTRY_URL", &registry.url);
        project.run(&["schemas", "register"]).ok();
        Shipped { project, _registry: registry, topics }
    }
}
