//! The schemas in `schemas/` beside the main file, with their problems among the others.

use super::{
    context::Context,
    paths::kind_name,
    problem::{Place, Problem, Severity},
    section::{Name, unknown_name},
};
use crate::schema::{Catalog, FileProblem, Schema};
use std::{path::Path, sync::Arc};

/// A problem of a schema as one of the configuration; `add` takes its text and gives the number of its file.
pub(super) fn placed(found: FileProblem, add: impl FnOnce(&Path, String) -> u32) -> Problem {
    let FileProblem { path, text, problem } = found;
    let place = (!text.is_empty()).then(|| {
        let file = add(&path, text);
        Place { file, start: problem.span.start as u32, end: problem.span.end as u32 }
    });
    let severity = if problem.is_error() { Severity::Error } else { Severity::Warning };
    Problem { severity, ..Problem::error(problem.code, place, problem.message).help(problem.help) }
}

pub(super) struct Schemas {
    pub catalog: Catalog,
}

impl Schemas {
    pub(super) fn load(cx: &Context<'_>, folder: &Path) -> Schemas {
        let (catalog, problems) = Catalog::load(folder);
        for problem in problems {
            cx.report(placed(problem, |path, text| cx.add_source(path, text)));
        }
        Schemas { catalog }
    }

    /// The record of this name; `None` too when it has problems of its own, which stand with its file.
    pub(super) fn find_record(&self, cx: &Context<'_>, name: &Name) -> Option<Arc<Schema>> {
        if self.catalog.source(&name.text).is_none() {
            self.unknown(cx, name);
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

    fn unknown(&self, cx: &Context<'_>, name: &Name) {
        let same = |n: &&str| n.rsplit('.').next() == Some(&name.text);
        if let Some(full) = self.catalog.names().find(same) {
            cx.report(
                Problem::error("unknown-schema", name.place, format!("there is no schema `{}`", name.text))
                    .help(format!("write the full name: `{full}`")),
            );
            return;
        }
        unknown_name(cx, "unknown-schema", "schema", name, self.catalog.names());
    }
}
