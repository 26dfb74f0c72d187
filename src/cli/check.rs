//! `pointsman check`: the compiler of routes.toml, offline.

use crate::{
    config::{self, Loaded, Options, Plan, Problem, diagnostics},
    generate, kafka,
    tools::Exit,
};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Check routes.toml, its expressions and its schemas, and show every problem at its place.
///
/// Nothing is contacted: no broker, no registry, no database.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  pointsman check                            every problem, with its place
  pointsman check --strict --deny-warnings   for CI, with the variables of there")]
pub struct CheckArgs {
    /// The configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    pub file: PathBuf,
    /// `json` writes one object: `ok`, `errors`, `warnings`, and `problems` with file, line and column.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Refuse unset variables and absent secret files too, as `run` does.
    #[arg(long)]
    pub strict: bool,
    /// End with 1 where there are warnings too, as in CI.
    #[arg(long)]
    pub deny_warnings: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Human,
    Json,
}

/// Checks, and writes what was found; `colour` is for terminals. `Findings` where there are errors, or warnings that are
/// denied, `Environment` for a file that cannot be read.
///
/// # Errors
/// The output cannot be written.
pub fn run(args: &CheckArgs, options: Options<'_>, colour: bool, out: &mut impl Write) -> io::Result<Exit> {
    let mut loaded = load(&args.file, args.strict, options);
    if let Ok(loaded) = &mut loaded {
        loaded.add(generate::wrong_hints(&loaded.catalog));
        loaded.plan.take_if(|_| args.deny_warnings && !loaded.problems.is_empty());
    }
    show(&args.file, args.format, &loaded, colour, out)?;
    Ok(exit(&loaded))
}

/// The configuration as every command reads it.
pub(super) fn load(file: &Path, strict: bool, options: Options<'_>) -> io::Result<Loaded> {
    config::load(file, Options { strict, properties: Some(kafka::properties()), ..options })
}

pub(super) fn exit(loaded: &io::Result<Loaded>) -> Exit {
    match loaded {
        Ok(Loaded { plan: Some(_), .. }) => Exit::Done,
        Ok(_) => Exit::Findings,
        Err(_) => Exit::Environment,
    }
}

/// Writes what was found in the file.
pub(super) fn show(
    file: &Path,
    format: Format,
    loaded: &io::Result<Loaded>,
    colour: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    match (loaded, format) {
        (Err(error), _) => unreadable(file, format, error, out),
        (Ok(loaded), Format::Human) => human(file, loaded, colour, out),
        (Ok(loaded), Format::Json) => writeln!(out, "{:#}", as_json(loaded)),
    }
}

fn unreadable(file: &Path, format: Format, error: &io::Error, out: &mut impl Write) -> io::Result<()> {
    let message = format!("cannot read {}: {error}", file.display());
    match format {
        Format::Human => {
            writeln!(out, "error: {message}")?;
            match error.kind() {
                io::ErrorKind::NotFound => writeln!(out, "  = help: name another file with `-f FILE`")?,
                io::ErrorKind::IsADirectory => {
                    writeln!(out, "  = help: name a file in it: `-f {}`", file.join("routes.toml").display())?;
                }
                io::ErrorKind::PermissionDenied => writeln!(out, "  = help: let this user read it")?,
                _ => {}
            }
        }
        Format::Json => {
            let unread = json!({ "ok": false, "message": message, "errors": 1, "warnings": 0, "problems": [] });
            writeln!(out, "{unread:#}")?;
        }
    }
    Ok(())
}

fn human(file: &Path, loaded: &Loaded, colour: bool, out: &mut impl Write) -> io::Result<()> {
    for problem in &loaded.problems {
        writeln!(out, "{}\n", diagnostics::human(problem, &loaded.sources, colour))?;
    }
    let (errors, warnings) = counts(&loaded.problems);
    match &loaded.plan {
        Some(plan) => writeln!(out, "ok: {}", summary(plan, loaded, warnings)),
        None if errors == 0 => {
            writeln!(out, "error: {} in {}, and --deny-warnings", count(warnings, "warning"), files(loaded, file))
        }
        None => {
            let warnings = if warnings == 0 { String::new() } else { format!(", {}", count(warnings, "warning")) };
            writeln!(out, "error: {} in {}{warnings}", count(errors, "problem"), files(loaded, file))
        }
    }
}

/// The files that have errors, or where there are none, those that have warnings.
fn files(loaded: &Loaded, file: &Path) -> String {
    let worst = loaded.problems.iter().map(|p| p.severity).min();
    let places = loaded.problems.iter().filter(|p| Some(p.severity) == worst).filter_map(|p| p.place);
    let mut paths: Vec<_> = places.filter_map(|place| Some(&loaded.sources.get(place.file)?.path)).collect();
    paths.sort();
    paths.dedup();
    match paths[..] {
        [] => file.display().to_string(),
        [one] => one.display().to_string(),
        [one, other] => format!("{} and {}", one.display(), other.display()),
        _ => format!("{} files", paths.len()),
    }
}

fn summary(plan: &Plan, loaded: &Loaded, warnings: usize) -> String {
    let mut parts = vec![count(plan.routes.len(), "route")];
    if !plan.collectors.is_empty() {
        parts.push(count(plan.collectors.len(), "collector"));
    }
    parts.push(count(loaded.catalog.files(), "schema"));
    if warnings > 0 {
        parts.push(count(warnings, "warning"));
    }
    parts.join(", ")
}

fn as_json(loaded: &Loaded) -> serde_json::Value {
    let (errors, warnings) = counts(&loaded.problems);
    let problems: Vec<_> = loaded.problems.iter().map(|p| diagnostics::json(p, &loaded.sources)).collect();
    json!({ "ok": loaded.plan.is_some(), "errors": errors, "warnings": warnings, "problems": problems })
}

/// Errors and warnings.
fn counts(problems: &[Problem]) -> (usize, usize) {
    let errors = problems.iter().filter(|p| p.is_error()).count();
    (errors, problems.len() - errors)
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
