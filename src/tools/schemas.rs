//! `schemas check` and `schemas diff`: what the routes write, beside what the registry has.

use super::plan::{Item, Status};
use std::io::{self, Write};

/// Whether each subject takes what the routes write, a line each.
///
/// # Errors
/// The output cannot be written.
pub fn check(items: &[Item], out: &mut impl Write) -> io::Result<()> {
    let width = items.iter().map(|i| i.name.chars().count()).max().unwrap_or(0);
    for item in items {
        let verdict = match item.status() {
            Status::Same => format!("registered, {}", item.state),
            Status::Create => "new: nothing to be compatible with".to_owned(),
            Status::Change => format!("compatible with {}", item.state),
            Status::Problem => "refused".to_owned(),
            Status::Unreachable => "not seen".to_owned(),
        };
        writeln!(out, "{:width$}  {verdict}", item.name)?;
        findings(item, out)?;
    }
    Ok(())
}

/// What differs between the file and the newest version of each subject, field by field.
///
/// # Errors
/// The output cannot be written.
pub fn diff(items: &[Item], out: &mut impl Write) -> io::Result<()> {
    for item in items {
        match (item.status(), item.steps.first()) {
            (Status::Unreachable, _) => writeln!(out, "{}: not seen", item.name)?,
            (Status::Same, _) => writeln!(out, "{}: the same as {}", item.name, item.state)?,
            (_, Some(step)) if !item.state.is_empty() => {
                writeln!(out, "{}: differs from {}", item.name, item.state)?;
                step.details.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
            }
            _ => writeln!(out, "{}: not registered", item.name)?,
        }
        findings(item, out)?;
    }
    Ok(())
}

fn findings(item: &Item, out: &mut impl Write) -> io::Result<()> {
    let problems = item.problems.iter().map(|p| ("error", &p.message, &p.help));
    let notes = item.notes.iter().map(|n| ("note", &n.message, &n.help));
    let unreachable = item.unreachable.iter().map(|u| ("error", &u.message, &u.help));
    for (kind, message, help) in problems.chain(notes).chain(unreachable) {
        writeln!(out, "  {kind}: {message}")?;
        if !help.is_empty() {
            writeln!(out, "    help: {help}")?;
        }
    }
    Ok(())
}
