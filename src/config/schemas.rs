//! The schemas in `schemas/` beside the main file, with their problems among the others.

use super::{
    context::Context,
    paths::kind_name,
    problem::{Place, Problem, Severity},
    section::{Name, unknown_name},
};
use crate::schema::{Catalog, FileProblem, Schema};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A problem of a schema as one of the configuration; `add` takes its text and gives the number of its file.
pub(super) fn placed(found: FileProblem, add: impl FnOnce(&Path, String) -> u32) -> Problem {
    let FileProblem { path, text, problem } = found;
    let place = text.map(|text| {
        let file = add(&path, text);
        Place { file, start: problem.span.start as u32, end: problem.span.end as u32 }
    });
    let severity = if problem.is_error() { Severity::Error } else { Severity::Warning };
    Problem { severity, ..Problem::error(problem.code, place, problem.message).help(problem.help) }
}

pub(super) struct Schemas {
    pub catalog: Catalog,
    /// Files with errors, and their texts where they can be read.
    broken: Vec<(PathBuf, Option<String>)>,
}

impl Schemas {
    pub(super) fn load(cx: &Context<'_>, folder: &Path) -> Schemas {
        let (catalog, problems) = Catalog::load(folder);
        let mut broken = Vec::new();
        for problem in problems {
            if problem.problem.is_error() {
                broken.push((problem.path.clone(), problem.text.clone()));
            }
            cx.report(placed(problem, |path, text| cx.add_source(path, text)));
        }
        Schemas { catalog, broken }
    }

    /// The record of this name; `None` too when it has problems of its own, which stand with its file.
    pub(super) fn find_record(&self, cx: &Context<'_>, name: &Name) -> Option<Arc<Schema>> {
        if self.catalog.source(&name.text).is_none() {
            if !self.may_be_broken(&name.text) {
                self.unknown(cx, name);
            }
            return None;
        }
        let schema = self.catalog.get(&name.text)?;
        if schema.record().is_none() {
            let message =
                format!("`{}` is no record, but an Avro {}", name.text, kind_name(schema.kind(schema.root())));
            cx.report(Problem::error("not-a-record", name.place, message).help("the value of a topic is a record"));
            return None;
        }
        Some(schema)
    }

    /// Whether a file whose errors are told already may be the one that defines this type.
    fn may_be_broken(&self, full_name: &str) -> bool {
        let short = full_name.rsplit('.').next().unwrap_or_default();
        let quoted = format!("\"{short}\"");
        self.broken.iter().any(|(path, text)| {
            path.file_stem().is_some_and(|stem| stem == short) || text.as_ref().is_some_and(|t| t.contains(&quoted))
        })
    }

    fn unknown(&self, cx: &Context<'_>, name: &Name) {
        if name.text.ends_with(".avsc") {
            let short = name.text.rsplit(['/', '\\']).next().unwrap_or_default().trim_end_matches(".avsc");
            let named = self.catalog.names().find(|n| n.rsplit('.').next() == Some(short));
            cx.report(Problem::error("unknown-schema", name.place, "`schema` is a record's name, not a file's").help(
                format!("write the full name, `{}`: each .avsc in schemas/ is read", named.unwrap_or("namespace.Name")),
            ));
            return;
        }
        let same = |n: &&str| n.rsplit('.').next() == name.text.rsplit('.').next();
        if let Some(full) = self.catalog.names().find(same) {
            cx.report(
                Problem::error("unknown-schema", name.place, format!("there is no schema `{}`", name.text)).help(
                    match full.contains('.') {
                        true => format!("write the full name: `{full}`"),
                        false => format!("`{full}` has no \"namespace\" in its .avsc: give it one, or write `{full}`"),
                    },
                ),
            );
            return;
        }
        if let Some(path) = self.catalog.passed_over(&name.text) {
            let message = format!("there is no schema `{}`", name.text);
            let help = format!("{} is not read: name it *.avsc, as schemas are", path.display());
            cx.report(Problem::error("unknown-schema", name.place, message).help(help));
            return;
        }
        unknown_name(cx, "unknown-schema", "schema", name, self.catalog.names());
    }
}
