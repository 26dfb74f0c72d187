//! `pointsman schemas`.

use super::{apply, check::Format};
use crate::{
    config::Plan,
    tools::{
        Exit,
        plan::{self, Part, Report},
        schemas,
    },
};
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Hold the schemas that routes and collectors write to topics against the schema registry, or register them.
///
/// Each is registered as `<topic>-value`, whole: types from other files stand inside it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pointsman schemas check      may what the routes write be registered? 1 if not
  pointsman schemas diff       what differs from the newest versions
  pointsman schemas register   as `pointsman apply --only schemas --yes`")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Register the schema of each Avro topic that is written to; nothing while one is incompatible.
    #[command(after_help = "Example: pointsman schemas register -f routes.toml --format json")]
    Register(Of),
    /// Ask the registry whether each subject takes its schema, and judge it by the registered versions.
    #[command(after_help = "Example: pointsman schemas check -f routes.toml")]
    Check(Of),
    /// Show what differs between the schemas here and the newest versions registered, field by field.
    #[command(after_help = "Example: pointsman schemas diff -f routes.toml")]
    Diff(Of),
}

#[derive(Debug, clap::Args)]
struct Of {
    /// The configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    file: PathBuf,
    /// `json` writes one object, as `plan` and `apply` do.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(args: &Args) -> Exit {
    let (Action::Register(of) | Action::Check(of) | Action::Diff(of)) = &args.action;
    let plan = match super::load(&of.file, true, of.format) {
        Ok((plan, _)) => plan,
        Err(exit) => return exit,
    };
    match &args.action {
        Action::Register(of) => apply::carry_out(&plan, &[Part::Schemas], true, of.format),
        Action::Check(of) => look(&plan, of.format, Report::exit, |report, out| schemas::check(&report.items, out)),
        Action::Diff(of) => {
            // To differ is no fault; not to be seen is.
            let exit = |r: &Report| if r.exit() == Exit::Environment { Exit::Environment } else { Exit::Done };
            look(&plan, of.format, exit, |report, out| schemas::diff(&report.items, out))
        }
    }
}

fn look(
    plan: &Plan,
    format: Format,
    exit: impl Fn(&Report) -> Exit,
    human: impl Fn(&Report, &mut super::Out) -> io::Result<()>,
) -> Exit {
    let shown = plan::look(plan, &[Part::Schemas]).and_then(|report| {
        let mut out = super::out();
        match format {
            Format::Json => writeln!(out, "{:#}", plan::json(&report))?,
            Format::Human if report.items.is_empty() => writeln!(out, "nothing writes Avro to a topic")?,
            Format::Human => human(&report, &mut out)?,
        }
        Ok(exit(&report))
    });
    shown.unwrap_or_else(|error| super::written(Err(error)))
}
