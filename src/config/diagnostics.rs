//! Problems as people and as programs read them.

use super::{
    problem::{Place, Problem, Severity, Sources},
    schemas::placed,
};
use crate::schema::FileProblem;
use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Renderer, Snippet, normalize_untrusted_str,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, ops::Range};

/// Problems of schemas that show outside of a configuration, with the texts that they point into.
pub fn of_schemas(found: Vec<FileProblem>) -> (Vec<Problem>, Sources) {
    let mut sources = Sources::default();
    let problems = found.into_iter().map(|p| placed(p, |path, text| sources.add(path, text))).collect();
    (problems, sources)
}

/// One problem with its piece of text and a caret, as rustc shows it; with the colours of a terminal, or plain.
pub fn human(problem: &Problem, sources: &Sources, colour: bool) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(problem.message.as_str()).id(problem.code);
    let mut group = Group::with_title(title).elements(snippets(problem, sources));
    if !problem.help.is_empty() {
        group = group.element(Level::HELP.message(normalize_untrusted_str(&problem.help)));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// The primary place first, then the others, one snippet for each file.
fn snippets<'a>(problem: &'a Problem, sources: &'a Sources) -> Vec<Element<'a>> {
    let primary = problem.place.map(|p| (p, AnnotationKind::Primary, problem.label.as_str()));
    let also = problem.also.iter().map(|(p, label)| (*p, AnnotationKind::Context, label.as_str()));
    let mut files: Vec<u32> = Vec::new();
    let mut annotations: BTreeMap<u32, Vec<Annotation<'a>>> = BTreeMap::new();
    for (place, kind, label) in primary.into_iter().chain(also) {
        if !files.contains(&place.file) {
            files.push(place.file);
        }
        if let Some(span) = span(place, sources) {
            annotations.entry(place.file).or_default().push(annotation(kind, span, label));
        }
    }
    let mut elements = Vec::new();
    for file in files {
        let Some(source) = sources.get(file) else { continue };
        let annotations = annotations.remove(&file).unwrap_or_default();
        let path = source.path.display().to_string();
        elements.push(Snippet::source(source.text.as_str()).path(path).annotations(annotations).into());
    }
    elements
}

fn annotation<'a>(kind: AnnotationKind, span: Range<usize>, label: &'a str) -> Annotation<'a> {
    let annotation = kind.span(span);
    if label.is_empty() { annotation } else { annotation.label(label) }
}

/// A range that begins and ends between characters, on one line.
fn span(place: Place, sources: &Sources) -> Option<Range<usize>> {
    let text = sources.get(place.file)?.text.as_str();
    let start = text.floor_char_boundary(place.start as usize);
    let end = text.ceil_char_boundary((place.end as usize).max(start));
    // A table's place is its header, and a long value is shown by its first line.
    let first_line = text[start..end].find(['\r', '\n']).map_or(end, |at| start + at);
    Some(start..first_line)
}

/// One problem as an object: severity, code, message, help, file, line, column, end_line, end_column (from 1, in
/// characters; the end is exclusive), and related places.
pub fn json(problem: &Problem, sources: &Sources) -> Value {
    let mut object = json!({
        "severity": problem.severity.name(),
        "code": problem.code,
        "message": problem.message,
        "help": problem.help,
    });
    if let Some(place) = problem.place {
        merge(&mut object, place_json(place, sources));
    }
    let related = problem.also.iter().map(|(place, label)| {
        let mut at = place_json(*place, sources);
        merge(&mut at, json!({ "label": label }));
        at
    });
    object["related"] = related.collect();
    object
}

fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

fn place_json(place: Place, sources: &Sources) -> Value {
    let path = sources.get(place.file).map(|s| s.path.display().to_string());
    let (line, column) = sources.line_column(place);
    let (end_line, end_column) = sources.line_column(Place { start: place.end, ..place });
    json!({ "file": path, "line": line, "column": column, "end_line": end_line, "end_column": end_column })
}
