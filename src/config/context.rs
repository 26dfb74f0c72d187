//! What every part of the reading shares: the options, the texts, and the problems found so far.

use super::{
    document::{self, Table},
    interpolate::interpolate,
    problem::{Place, Problem, Severity, Sources},
    properties::Properties,
};
use std::{
    cell::{Ref, RefCell},
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
};

/// How to read a configuration.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Refuse unset variables without a default and absent secret files, as `run` does; otherwise they are warnings.
    pub strict: bool,
    /// The environment's variables.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// What judges librdkafka's properties; without it they are taken as they are.
    pub properties: Option<&'a Properties>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { strict: false, env: &|name| std::env::var(name).ok(), properties: None }
    }
}

pub(super) struct Context<'a> {
    pub options: Options<'a>,
    sources: RefCell<Sources>,
    problems: RefCell<Vec<Problem>>,
    /// Databases, topics, validators and enrichers that some route or collector names: (section, name).
    used: RefCell<BTreeSet<(&'static str, String)>>,
    /// Keys that were written, but wrongly or in the wrong table: telling that they are missing would tell it twice.
    misplaced: RefCell<Vec<(Place, String)>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(options: Options<'a>) -> Self {
        Context {
            options,
            sources: RefCell::default(),
            problems: RefCell::default(),
            used: RefCell::default(),
            misplaced: RefCell::default(),
        }
    }

    pub(super) fn finish(self) -> (Sources, Vec<Problem>) {
        (self.sources.into_inner(), self.problems.into_inner())
    }

    pub(super) fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// A problem that offline checks may live with: a warning unless strict.
    pub(super) fn report_unless_lenient(&self, mut problem: Problem) {
        if !self.options.strict {
            problem.severity = Severity::Warning;
        }
        self.report(problem);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    pub(super) fn errors(&self) -> usize {
        self.problems.borrow().iter().filter(|p| p.is_error()).count()
    }

    pub(super) fn add_source(&self, path: &Path, text: String) -> u32 {
        self.sources.borrow_mut().add(path, text)
    }

    pub(super) fn sources(&self) -> Ref<'_, Sources> {
        self.sources.borrow()
    }

    /// A key that the whole file lacks: it has to stand above the first header.
    pub(super) fn missing_on_top(&self, file: Place, table: &Table, message: String) -> Problem {
        let header = |p: &Place| self.sources().line(*p).trim_start().starts_with('[');
        match table.entries.iter().map(|e| e.key_place).filter(header).min() {
            Some(first) => Problem::error("missing-key", first, message).label("it belongs above the first header"),
            None => Problem::error("missing-key", self.end_of(file), message),
        }
    }

    /// Where a table is missing: behind the last of the file's text.
    pub(super) fn end_of(&self, file: Place) -> Place {
        self.sources().end(file.file)
    }

    /// A path as the file at `place` means it.
    pub(super) fn relative(&self, place: Place, path: &Path) -> PathBuf {
        let sources = self.sources();
        let folder = sources.get(place.file).and_then(|s| s.path.parent()).unwrap_or(Path::new(""));
        folder.join(path)
    }

    pub(super) fn mark_used(&self, section: &'static str, name: &str) {
        self.used.borrow_mut().insert((section, name.to_owned()));
    }

    /// The names of a section that some route or collector uses.
    pub(super) fn used(&self, section: &'static str) -> BTreeSet<String> {
        self.used.borrow().iter().filter(|(of, _)| *of == section).map(|(_, name)| name.clone()).collect()
    }

    /// Remembers that a key was meant, but stands at `place`.
    pub(super) fn mark_misplaced(&self, place: Place, key: &str) {
        self.misplaced.borrow_mut().push((place, key.to_owned()));
    }

    /// Whether this key was meant somewhere below `from`, where its own table begins.
    pub(super) fn is_misplaced(&self, from: Place, key: &str) -> bool {
        self.misplaced.borrow().iter().any(|(at, k)| k == key && at.file == from.file && *at >= from)
    }

    /// A string of routes.toml with its variables filled in.
    pub(super) fn interpolated(&self, text: &str, place: Place) -> String {
        if text.contains("${") { interpolate(self, text, place) } else { text.to_owned() }
    }

    /// The place of a byte range of a string's content.
    pub(super) fn inside(&self, string: Place, content: Range<usize>) -> Place {
        document::inside(self.sources().slice(string), string, content)
    }
}
