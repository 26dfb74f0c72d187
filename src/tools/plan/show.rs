//! A report as people read it.

use super::{Change, Item, Part, Report, Status, count, list};
use std::io::{self, Write};

/// The widest name that the column makes room for.
const WIDEST: usize = 40;

/// Everything that is not as it should be, part by part; then the ACLs, and what it all comes to.
///
/// # Errors
/// The output cannot be written.
pub fn human(report: &Report, colour: bool, out: &mut impl Write) -> io::Result<()> {
    for part in Part::ALL {
        let items: Vec<&Item> = report.items.iter().filter(|i| i.part == part).collect();
        if !items.is_empty() {
            writeln!(out, "{}", paint(colour, BOLD, title(part)))?;
            of_part(&items, colour, out)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

fn title(part: Part) -> &'static str {
    match part {
        Part::Topics => "Topics",
        Part::Schemas => "Schemas",
        Part::Tables => "Databases",
    }
}

fn of_part(items: &[&Item], colour: bool, out: &mut impl Write) -> io::Result<()> {
    let shown = |i: &&&Item| i.status() != Status::Same || !i.notes.is_empty();
    let width = items.iter().filter(shown).map(|i| i.name.chars().count()).max().unwrap_or(0).min(WIDEST);
    for item in items.iter().filter(shown) {
        let (sign, code) = sign(item.status());
        let mut head = format!("  {} {:width$}", paint(colour, code, sign), item.name);
        for line in lines(item, colour) {
            writeln!(out, "{}", format!("{head}  {line}").trim_end())?;
            head = " ".repeat(width + 4);
        }
    }
    match items.iter().filter(|i| !shown(i)).count() {
        0 => Ok(()),
        1 if items.len() == 1 => writeln!(out, "  as it should be: {}", items[0].name),
        n if n == items.len() => writeln!(out, "  all {n} as they should be"),
        n => writeln!(out, "  {n} as {} should be", if n == 1 { "it" } else { "they" }),
    }
}

fn lines(item: &Item, colour: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &item.steps {
        // Only of what may be left out; once it is done, it is nothing to know.
        let too = if matches!(step.change, Change::MakeTable { .. }) { " (`run` would too)" } else { "" };
        lines.push(format!("{}{too}", step.words));
        lines.extend(step.details.iter().map(|d| format!("  {d}")));
    }
    let error = paint(colour, RED, "error");
    for problem in &item.problems {
        finding(&mut lines, &error, &problem.message, &problem.help);
    }
    for note in &item.notes {
        finding(&mut lines, "note", &note.message, &note.help);
    }
    if let Some(setback) = &item.unreachable {
        finding(&mut lines, &error, &setback.message, &setback.help);
    }
    lines
}

fn finding(lines: &mut Vec<String>, kind: &str, message: &str, help: &str) {
    lines.push(format!("{kind}: {message}"));
    let mut help = help.lines();
    lines.extend(help.next().map(|first| format!("  help: {first}")));
    lines.extend(help.map(|line| format!("    {line}")));
}

/// The ACLs, a line each.
///
/// # Errors
/// The output cannot be written.
pub fn acls(report: &Report, colour: bool, out: &mut impl Write) -> io::Result<()> {
    for (for_routes, title) in [(true, "ACLs that the routes need"), (false, "ACLs that `apply` needs beside them")] {
        let acls: Vec<_> = report.acls.iter().filter(|a| a.routes.is_empty() != for_routes).collect();
        if acls.is_empty() {
            continue;
        }
        writeln!(out, "{}", paint(colour, BOLD, title))?;
        let name = |a: &super::Acl| format!("{}{}", a.name, if a.prefixed { "*" } else { "" });
        let width = acls.iter().map(|a| name(a).chars().count()).max().unwrap_or(0).min(WIDEST);
        for acl in acls {
            let operations = list(&acl.operations);
            writeln!(out, "  {:16}  {:width$}  {operations}", acl.resource.name(), name(acl))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// What it comes to, in a line.
pub fn summary(report: &Report) -> String {
    let mut parts = Vec::new();
    if report.changes() > 0 {
        parts.push(count(report.changes(), "change"));
    }
    match report.items.iter().map(|i| i.problems.len()).sum() {
        0 => {}
        n => parts.push(count(n, "problem")),
    }
    match report.count(Status::Unreachable) {
        0 => {}
        n => parts.push(format!("{n} unreachable")),
    }
    let notes = report.items.iter().map(|i| i.notes.len()).sum();
    match (parts.is_empty(), notes) {
        (true, 0) => "nothing to do: everything is as routes.toml wants it".to_owned(),
        (true, notes) => format!("nothing to do, {} to look at", count(notes, "note")),
        (false, _) => parts.join(", "),
    }
}

/// A step that `apply` has tried, on one line; with help where it failed.
///
/// # Errors
/// The output cannot be written.
pub fn outcome(item: &Item, step: usize, colour: bool, out: &mut impl Write) -> io::Result<()> {
    let (name, step) = (&item.name, &item.steps[step]);
    match &step.outcome {
        None => Ok(()),
        Some(Ok(())) => writeln!(out, "{} {name}: {}", paint(colour, GREEN, "done"), step.words),
        Some(Err(setback)) => {
            writeln!(out, "{} {name}: {}: {}", paint(colour, RED, "failed"), step.words, setback.message)?;
            let mut help = setback.help.lines();
            if let Some(first) = help.next() {
                writeln!(out, "  help: {first}")?;
            }
            help.try_for_each(|line| writeln!(out, "    {line}"))
        }
    }
}

const BOLD: &str = "1";
const RED: &str = "1;31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

fn sign(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Same => (" ", BOLD),
        Status::Create => ("+", GREEN),
        Status::Change => ("~", YELLOW),
        Status::Problem => ("!", RED),
        Status::Unreachable => ("?", RED),
    }
}

fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}
