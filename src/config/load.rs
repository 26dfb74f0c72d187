//! From a path to a [`Plan`], or to every reason why there is none.

use super::{
    between, collectors,
    context::{Context, Options},
    document::{Entry, Table},
    enrichers,
    files::{self, Files},
    keys,
    loops::{self, Write},
    plan::{Plan, Route},
    problem::{self, Place, Problem, Sources, nearest},
    routes::{self, Named},
    schemas::{Schemas, placed},
    section::Section,
    settings, validators,
};
use crate::schema::{Catalog, FileProblem};
use std::path::Path;

/// A configuration as it was read.
#[derive(Debug)]
pub struct Loaded {
    /// `None` when any problem is an error.
    pub plan: Option<Plan>,
    /// Errors first, those of schemas before the others, each in the order of the text.
    pub problems: Vec<Problem>,
    /// The texts that the problems' places point into.
    pub sources: Sources,
    /// The types in `schemas/` beside the file.
    pub catalog: Catalog,
}

/// Reads a routes.toml, what it includes, and the schemas beside it.
///
/// # Errors
/// The main file cannot be read. Everything else is one of the [`Loaded::problems`].
pub fn load(path: &Path, options: Options<'_>) -> Result<Loaded, std::io::Error> {
    let cx = Context::new(options);
    let files = files::read(&cx, path)?;
    let schemas = Schemas::load(&cx, &path.parent().unwrap_or(Path::new("")).join("schemas"));
    let plan = plan(&cx, &files, &schemas);
    let plan = plan.filter(|_| !cx.has_errors());
    let (sources, problems) = cx.finish();
    let problems = problem::in_order(problems, &sources);
    Ok(Loaded { plan, problems, sources, catalog: schemas.catalog })
}

impl Loaded {
    /// Adds what only rooms below this one see in the schemas.
    pub fn add(&mut self, found: Vec<FileProblem>) {
        for problem in found {
            self.problems.push(placed(problem, |path, text| self.sources.add(path, text)));
        }
        self.problems = problem::in_order(std::mem::take(&mut self.problems), &self.sources);
        self.plan.take_if(|_| self.problems.iter().any(Problem::is_error));
    }
}

fn plan(cx: &Context<'_>, files: &Files, schemas: &Schemas) -> Option<Plan> {
    // A text that is no TOML may lack anything: what follows from that is not worth telling.
    if files.broken {
        return None;
    }
    files.check_shape(cx);
    let main = files.main(cx);
    let databases = settings::databases(cx, &files.named(cx, "databases"));
    let topics = settings::topics(cx, &files.named(cx, "topics"));
    let validators = validators::read(cx, &files.named(cx, "validators"), schemas);
    let enricher_entries = files.named(cx, "enrichers");
    let enrichers = enrichers::read(cx, &enricher_entries);
    main.require("app", "write `app = \"NAME\"`: it prefixes consumer groups and transactional ids");
    let app = main.text("app").unwrap_or_default();
    if let Some(value) = main.value("app").filter(|_| app.is_empty()) {
        cx.report(
            Problem::error("empty-name", value.place, "`app` is empty")
                .help("it prefixes consumer groups and transactional ids: take a name of its own"),
        );
    }
    let registry = settings::registry(&main);
    let named = Named {
        app: &app,
        registry: main.value("schema_registry").is_some(),
        databases: &databases,
        topics: &topics,
        schemas,
        validators: &validators,
        enrichers: &enrichers,
    };
    let routes = routes(cx, files, &main, &named);
    let http = settings::http(&main);
    let collectors = collectors::read(cx, &files.named(cx, "collectors"), &named, &routes, http.as_deref());
    let plan = Plan { kafka: settings::kafka(&main), registry, http, topics, app, databases, routes, collectors };
    // While a name is misspelled somewhere, what is not used says nothing.
    for section in ["databases", "topics", "validators", "enrichers"].into_iter().filter(|_| !cx.has_errors()) {
        unused(cx, section, &files.named(cx, section));
    }
    Some(plan)
}

fn routes(cx: &Context<'_>, files: &Files, main: &Section<'_>, named: &Named<'_>) -> Vec<Route> {
    let defaults = main.section("defaults", "`[defaults]`");
    if let Some(defaults) = &defaults {
        defaults.only(&keys::DEFAULTS);
    }
    let entries = files.named(cx, "routes");
    if entries.is_empty() && main.value("collectors").is_none() && !cx.is_misplaced(main.place, "routes") {
        cx.report(
            Problem::warning("nothing-to-do", cx.end_of(main.place), "the file has no routes")
                .help("write `[routes.NAME]`"),
        );
    }
    let read = |entry: &&Entry| route(cx, entry, defaults.as_ref().map(|d| d.table), named);
    let routes: Vec<(Route, Place, Vec<Write>)> = entries.iter().filter_map(read).collect();
    between::check_groups(cx, &routes);
    loops::check(cx, &routes);
    routes.into_iter().map(|(route, ..)| route).collect()
}

fn route(
    cx: &Context<'_>,
    entry: &Entry,
    defaults: Option<&Table>,
    named: &Named<'_>,
) -> Option<(Route, Place, Vec<Write>)> {
    let what = format!("route `{}`", entry.key);
    // Reports a value that is no table.
    Section::of(cx, &entry.value, what.as_str(), entry.key_place)?;
    let table = routes::with_defaults(entry, defaults)?;
    let section = Section { cx, table: &table, what, place: entry.key_place };
    let (route, writes) = routes::read(&section, &entry.key, named);
    Some((route, entry.key_place, writes))
}

fn unused(cx: &Context<'_>, section: &'static str, entries: &[&Entry]) {
    let used = cx.used(section);
    // What a variable without a value names, nobody knows.
    if used.iter().any(|name| settings::is_open(name)) {
        return;
    }
    for entry in entries.iter().filter(|e| !used.contains(&e.key)) {
        let kind = section.trim_end_matches('s');
        let (who, help) = match section {
            "topics" => {
                let unlisted = used.iter().filter(|name| entries.iter().all(|e| e.key != **name));
                let help = match nearest(&entry.key, unlisted.map(String::as_str)) {
                    Some(near) => format!("`{near}` is used, and not listed here: is one of them misspelt?"),
                    None => "`pointsman apply` makes it all the same: leave it out where nobody needs it".to_owned(),
                };
                ("route or collector", help)
            }
            _ => ("route", format!("name it in a route: `{kind} = \"{}\"`, or leave it out", entry.key)),
        };
        let message = format!("no {who} uses the {kind} `{}`", entry.key);
        cx.report(Problem::warning("unused", entry.key_place, message).help(help));
    }
}
