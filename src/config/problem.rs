//! One finding about the configuration, at its place; and the texts that places point into.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Whether a problem keeps the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A byte range of one of the [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub file: u32,
    pub start: u32,
    pub end: u32,
}

/// One finding. Its message says what is wrong, its label what stands at the place, its help what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// Kebab-case and stable.
    pub code: &'static str,
    pub message: String,
    /// `None` where no text is at fault, such as a file that cannot be read.
    pub place: Option<Place>,
    /// A few words beside the caret; may be empty.
    pub label: String,
    pub help: String,
    /// Other places that have to do with it, each with a label.
    pub also: Vec<(Place, String)>,
}

impl Problem {
    pub fn error(code: &'static str, place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Problem {
            severity: Severity::Error,
            code,
            message: message.into(),
            place: place.into(),
            label: String::new(),
            help: String::new(),
            also: Vec::new(),
        }
    }

    pub fn warning(code: &'static str, place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Problem { severity: Severity::Warning, ..Problem::error(code, place, message) }
    }

    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    pub fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.also.push((place, label.into()));
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Errors before warnings, those of schemas before what may follow from them, each in the order of the text, and nothing twice:
/// an enricher that five routes use is wrong once.
pub(super) fn in_order(mut problems: Vec<Problem>, sources: &Sources) -> Vec<Problem> {
    let of_schema = |p: Place| sources.get(p.file).is_some_and(|s| s.path.extension().is_some_and(|e| e == "avsc"));
    problems.sort_by_key(|p| (p.severity, p.place.is_some_and(|place| !of_schema(place)), p.place));
    let mut seen = BTreeSet::new();
    problems.retain(|p| seen.insert((p.place, p.code, p.message.clone())));
    problems
}

/// Every text that was read, by the number that places carry.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

#[derive(Clone, Debug)]
pub struct Source {
    /// As the user would type it.
    pub path: PathBuf,
    pub text: String,
}

impl Sources {
    /// Adds a text, or finds the one of this path.
    pub(super) fn add(&mut self, path: &Path, text: impl Into<String>) -> u32 {
        if let Some(known) = self.files.iter().position(|f| f.path == path) {
            return known as u32;
        }
        self.files.push(Source { path: path.to_owned(), text: text.into() });
        (self.files.len() - 1) as u32
    }

    pub fn get(&self, file: u32) -> Option<&Source> {
        self.files.get(file as usize)
    }

    /// The text that a place covers; empty for a place outside.
    pub(super) fn slice(&self, place: Place) -> &str {
        let text = self.get(place.file).map_or("", |s| s.text.as_str());
        text.get(place.start as usize..place.end as usize).unwrap_or("")
    }

    /// The whole line on which a place begins.
    pub(super) fn line(&self, place: Place) -> &str {
        let text = self.get(place.file).map_or("", |s| s.text.as_str());
        let at = text.floor_char_boundary(place.start as usize);
        let begins = text[..at].rfind('\n').map_or(0, |i| i + 1);
        text[begins..].lines().next().unwrap_or("")
    }

    /// The end of a text, without the blank lines that follow it.
    pub(super) fn end(&self, file: u32) -> Place {
        let end = self.get(file).map_or(0, |s| s.text.trim_end().len()) as u32;
        Place { file, start: end, end }
    }

    /// Line and column of a place's start, both from 1; columns count characters.
    pub fn line_column(&self, place: Place) -> (usize, usize) {
        let text = self.get(place.file).map_or("", |s| s.text.as_str());
        let before = &text[..text.floor_char_boundary(place.start as usize)];
        let line = before.rsplit('\n').next().unwrap_or("");
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

/// The candidate that is nearest to what was typed, when it is near enough to have been meant.
pub(super) fn nearest<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let close = candidates.into_iter().map(|c| (strsim::damerau_levenshtein(typed, c), c));
    let (distance, best) = close.min_by_key(|(d, _)| *d)?;
    let limit = 1.max(typed.chars().count().min(best.chars().count()) / 3);
    (distance <= limit || best.eq_ignore_ascii_case(typed)).then_some(best)
}

/// "a, b or c", each in backticks.
pub(super) fn one_of<'c>(words: impl IntoIterator<Item = &'c str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_likely_meaning_is_proposed() {
        let known = ["destination", "destinations", "dlq", "topic"];
        assert_eq!(nearest("destinaton", known), Some("destination"));
        assert_eq!(nearest("DLQ", known), Some("dlq"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("x", known), None);
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        let mut sources = Sources::default();
        let file = sources.add(Path::new("a"), "x\ngrün = 1");
        assert_eq!(sources.line_column(Place { file, start: 8, end: 9 }), (2, 6));
        assert_eq!(sources.line_column(Place { file, start: 900, end: 901 }), (2, 9));
    }
}
