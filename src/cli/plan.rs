//! `pointsman plan`.

use super::{check::Format, colours};
use crate::tools::{
    Exit,
    plan::{self, Part, Report},
};
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Show what the routes need outside, beside what is there: topics, schemas, tables. Nothing is changed.
///
/// Asks the brokers, the schema registry and the databases of routes.toml.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pointsman plan                              everything, and the ACLs needed
  pointsman plan --only schemas --exit-code   for CI: 1 where one is to register
  pointsman plan --format json                the same for programs

Exit codes: 0, also with changes; 1 something is incompatible or missing, or (--exit-code) would change; 3 something \
cannot be reached, the rest is shown.")]
pub struct Args {
    /// The configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    file: PathBuf,
    /// Only this part; may be given more than once.
    #[arg(long, value_name = "PART", value_enum)]
    only: Vec<Part>,
    /// End with 1 where something would change.
    #[arg(long)]
    exit_code: bool,
    /// `json` writes one object: `status`, counts, `items` and `acls`.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(args: &Args) -> Exit {
    let plan = match super::plan_and_warnings(&args.file, args.format) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let report = match plan::look(&plan, &parts(&args.only)) {
        Ok(report) => report,
        Err(error) => return super::written(Err(error)),
    };
    let exit = match report.exit() {
        Exit::Done if args.exit_code && report.changes() > 0 => Exit::Findings,
        exit => exit,
    };
    super::written(show(&report, args.format).map(|()| exit))
}

/// The parts that were asked for; none means all.
pub(super) fn parts(only: &[Part]) -> Vec<Part> {
    if only.is_empty() { Part::ALL.to_vec() } else { only.to_vec() }
}

fn show(report: &Report, format: Format) -> io::Result<()> {
    let (colour, mut out) = (colours(&io::stdout()), super::out());
    if format == Format::Json {
        return writeln!(out, "{:#}", plan::json(report));
    }
    plan::human(report, colour, &mut out)?;
    plan::show_acls(report, colour, &mut out)?;
    let summary = plan::summary(report);
    match report.exit() {
        Exit::Done if report.changes() > 0 => writeln!(out, "plan: {summary}; `pointsman apply` makes them"),
        Exit::Done => writeln!(out, "plan: {summary}"),
        _ => writeln!(out, "error: {summary}"),
    }
}
