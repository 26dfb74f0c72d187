//! An example, gone through in a copy of its folder: with services, topics and addresses of the test's own.
#![allow(dead_code)] // the suites use a part each

use crate::{
    harness::{Project, Registry, bootstrap_servers, free_port, unique},
    transcript::Session,
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use toml::Table;

pub struct Walk {
    // First, so that it ends before its folder goes.
    session: Session,
    pub project: Project,
    /// What each of the example's topics is called here.
    pub topics: BTreeMap<String, String>,
    /// The example's folder, seen from the repository's.
    path: String,
    _registry: Option<Registry>,
}

/// A service that a document names by itself: how, and where it is here.
pub type Service<'a> = (&'a str, &'a str);

impl Walk {
    /// Through examples/`example`; `programs` are folders with commands that it uses.
    pub fn through(example: &str, services: &[Service<'_>], programs: &[PathBuf]) -> Walk {
        let path = format!("examples/{example}");
        let project = Project::copied(&path);
        let file = project.folder.join("routes.toml");
        let mut routes = fs::read_to_string(&file).unwrap();
        let topics = own_topics(&mut routes);
        let app = unique(example);
        routes = routes.replace(&format!("app = \"{example}\""), &format!("app = \"{app}\""));
        fs::write(file, &routes).unwrap();

        let kafka = bootstrap_servers();
        let registry = routes.contains("SCHEMA_REGISTRY_URL").then(Registry::start);
        let mut variables = vec![("KAFKA_BOOTSTRAP_SERVERS".to_owned(), kafka.clone())];
        let mut names = vec![("localhost:9092".to_owned(), kafka)];
        if let Some(registry) = &registry {
            variables.push(("SCHEMA_REGISTRY_URL".into(), registry.url.clone()));
            names.push(("http://localhost:8081".into(), registry.url.clone()));
        }
        for (variable, port) in listens(&routes) {
            let here = format!("127.0.0.1:{}", free_port());
            names.extend(["localhost", "127.0.0.1"].map(|host| (format!("{host}:{port}"), here.clone())));
            variables.push((variable, here));
        }
        names.extend(services.iter().map(|(shown, here)| ((*shown).to_owned(), (*here).to_owned())));
        let mut session = Session::new(&project.folder, &variables, programs);
        session.call_in_kafka(example, &app);
        topics.iter().for_each(|(shown, own)| session.call_in_kafka(shown, own));
        names.iter().for_each(|(shown, here)| session.call(shown, here));
        Walk { session, project, topics, path, _registry: registry }
    }

    /// Carries out the commands of one of its documents, in turn; gives the document.
    #[track_caller]
    pub fn follow(&mut self, document: &str) -> String {
        let path = format!("{}/{document}", self.path);
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&path)).unwrap();
        self.session.follow(&path, &text);
        text
    }
}

/// Gives every topic of `[topics.*]` a name that no other test uses.
fn own_topics(routes: &mut String) -> BTreeMap<String, String> {
    let parsed: Table = routes.parse().unwrap();
    let mut topics = BTreeMap::new();
    for topic in parsed["topics"].as_table().unwrap().keys() {
        let own = unique(topic);
        *routes = routes.replace(&format!("[topics.{topic}]"), &format!("[topics.{own}]"));
        for key in ["topic", "dlq"] {
            *routes = routes.replace(&format!("{key} = \"{topic}\""), &format!("{key} = \"{own}\""));
        }
        topics.insert(topic.clone(), own);
    }
    topics
}

/// The variables that name an address to listen on, with the port that is their default: `"${NAME:-127.0.0.1:PORT}"`.
fn listens(routes: &str) -> Vec<(String, String)> {
    let variables = routes.split("listen = \"${").skip(1).map(|rest| rest.split_once('}').unwrap().0);
    variables
        .map(|v| v.split_once(":-127.0.0.1:").unwrap_or_else(|| panic!("{v} has a default on 127.0.0.1")))
        .map(|(name, port)| (name.to_owned(), port.to_owned()))
        .collect()
}
