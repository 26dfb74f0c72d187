//! One file a command: arguments in, words out.
//!
//! Exit codes: 0 done; 1 findings (a check says no); 2 usage; 3 environment (unreachable, refused, in use); 4 our own fault.

mod apply;
pub mod check;
mod collect;
mod dashboards;
mod demo;
mod plan;
mod generate;
pub mod registry;
mod run;
mod schemas;

use crate::{
    config::{self, Loaded, diagnostics},
    schema::Catalog,
    telemetry::{LogFormat, colours, init_logs},
    tools::Exit,
};
use check::Format;
use clap::{Parser, Subcommand};
use std::{
    io::{self, Write},
    ops::RangeInclusive,
    panic,
    path::Path,
    process::ExitCode,
};

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

#[derive(Debug, Parser)]
#[command(name = "pointsman", version, about, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 done, 1 findings, 2 usage, 3 environment, 4 a fault of pointsman itself.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::CheckArgs),
    Plan(plan::Args),
    Apply(apply::Args),
    Run(run::Args),
    Collect(collect::Args),
    Schemas(schemas::Args),
    Registry(registry::Args),
    Dashboards(dashboards::Args),
    Demo(demo::Args),
    Generate(generate::Args),
}

/// Parses the command line and carries it out.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = panic::catch_unwind(|| match &cli.command {
        Command::Check(args) => check(args),
        Command::Plan(args) => plan::run(args),
        Command::Apply(args) => apply::run(args),
        Command::Run(args) => run::run(args),
        Command::Collect(args) => collect::run(args),
        Command::Schemas(args) => schemas::run(args),
        Command::Registry(args) => registry::run(args),
        Command::Dashboards(args) => dashboards::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Generate(args) => generate::run(args),
    });
    ended.unwrap_or(Exit::Fault).into()
}

fn check(args: &check::CheckArgs) -> Exit {
    written(check::run(args, config::Options::default(), colours(&io::stdout()), &mut out()))
}

/// The checked plan of a file and its schemas. Where there is none, its problems stand on standard error, or as JSON where a
/// program waits for that. `strict`, or as a file is read where its variables and secrets are not at hand.
fn load(file: &Path, strict: bool, format: Format) -> Result<(config::Plan, Catalog), Exit> {
    let (plan, loaded) = loaded(file, strict, format)?;
    Ok((plan, loaded.catalog))
}

/// The plan, and what else was read; its problems are warnings.
fn loaded(file: &Path, strict: bool, format: Format) -> Result<(config::Plan, Loaded), Exit> {
    match check::load(file, strict, config::Options::default()) {
        Ok(Loaded { plan: Some(plan), problems, sources, catalog }) => {
            Ok((plan, Loaded { plan: None, problems, sources, catalog }))
        }
        refused => {
            let err = io::stderr();
            let shown = match format {
                Format::Human => check::show(file, format, &refused, colours(&err), &mut err.lock()),
                Format::Json => check::show(file, format, &refused, false, &mut out()),
            };
            // Refused it is, whoever reads why.
            Err(check::exit(&refused).max(written(shown.map(|()| Exit::Done))))
        }
    }
}

/// The plan for a command that shows or changes what is outside; what it is warned of stands on standard error.
fn plan_and_warnings(file: &Path, format: Format) -> Result<config::Plan, Exit> {
    let (plan, loaded) = loaded(file, true, format)?;
    let err = io::stderr();
    for problem in &loaded.problems {
        // Told or not, a warning keeps nothing from being done.
        let _ = writeln!(err.lock(), "{}\n", diagnostics::human(problem, &loaded.sources, colours(&err)));
    }
    Ok(plan)
}

/// The plan for a command that goes on until it is told to stop: from here on it logs, first what it is warned of.
fn plan_and_logs(file: &Path) -> Result<config::Plan, Exit> {
    let (plan, loaded) = loaded(file, true, Format::Human)?;
    logs()?;
    for problem in &loaded.problems {
        let at = problem.place.and_then(|place| {
            let (line, column) = loaded.sources.line_column(place);
            Some(format!("{}:{line}:{column}", loaded.sources.get(place.file)?.path.display()))
        });
        let help = Some(problem.help.as_str()).filter(|help| !help.is_empty());
        tracing::warn!(code = problem.code, at, help, "{}", problem.message);
    }
    Ok(plan)
}

fn logs() -> Result<(), Exit> {
    init_logs(LogFormat::Auto).map_err(|why| {
        // Standard error is all that is left to say it on.
        let _ = writeln!(io::stderr(), "error: {why}");
        Exit::Usage
    })
}

/// A whole number of this range, or what to write.
fn whole(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> + Clone {
    move |text| {
        let (first, last) = (range.start(), range.end());
        let most = if *last == u64::MAX { "on".to_owned() } else { format!("to {last}") };
        let number = text.parse().ok().filter(|n| range.contains(n));
        number.ok_or_else(|| format!("write a whole number from {first} {most}"))
    }
}

/// Standard output, as commands write to it: a reader that hung up has seen enough, and changes neither what is done nor
/// how it ends.
struct Out(io::StdoutLock<'static>);

fn out() -> Out {
    Out(io::stdout().lock())
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        heard(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        heard(self.0.flush(), ())
    }
}

/// What writing came to, or this where the reader has hung up.
fn heard<T>(written: io::Result<T>, else_: T) -> io::Result<T> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(else_),
        written => written,
    }
}

/// How a command ended that wrote.
fn written(ended: io::Result<Exit>) -> Exit {
    match ended {
        Ok(exit) => exit,
        Err(error) => {
            // Standard error is all that is left to say it on.
            let _ = writeln!(io::stderr(), "error: cannot write: {error}");
            Exit::Environment
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }

    /// Prose is wrapped; what stands in columns has to fit.
    #[test]
    fn examples_fit_a_terminal_of_80_columns() {
        let command = super::Cli::command();
        for command in command.get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().filter(|line| line.starts_with(' ')) {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
        }
    }

    #[test]
    fn a_shutdown_takes_a_day_at_most() {
        let drain = |seconds| super::Cli::try_parse_from(["pointsman", "run", "--drain", seconds]);
        assert!(drain("86400").is_ok());
        assert!(drain("86401").unwrap_err().to_string().contains("write a whole number from 0 to 86400"));
        assert!(drain("18446744073709551615").is_err());
    }

    #[test]
    fn an_instances_name_is_short_enough_for_a_transactional_id() {
        let named = |length: usize| super::Cli::try_parse_from(["pointsman", "run", "--instance", &"n".repeat(length)]);
        assert!(named(200).is_ok());
        let said = named(33_000).unwrap_err().to_string();
        assert!(said.contains("at most 200 bytes, and this one has 33000"), "{said}");
    }
}
