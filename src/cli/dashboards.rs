//! `pointsman dashboards`.

use super::check::Format;
use crate::tools::{
    Exit,
    dashboards::{self, Difference},
};
use serde_json::json;
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Write Grafana dashboards and Prometheus alert rules for the routes.
///
/// An overview, a dashboard for each route and collector, and one file of rules, whose annotations say what happened and what to do.
/// Nothing is contacted. What these files are not, is left alone; dashboards of routes that are gone are removed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pointsman dashboards                    write to the folder deploy
  pointsman dashboards --out /etc/watch   write elsewhere
  pointsman dashboards --check            for CI: exit 1 where files have aged")]
pub struct Args {
    /// The configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    file: PathBuf,
    /// The folder that takes `grafana/dashboards/*.json` and `prometheus/pointsman.rules.yml`.
    #[arg(long, value_name = "FOLDER", default_value = "deploy")]
    out: PathBuf,
    /// Change nothing; exit 1 when a file is missing, changed, or of a route that is gone.
    #[arg(long)]
    check: bool,
    /// `json` writes one object: `out`, `files` in all, and `different` with path and difference of each.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(args: &Args) -> Exit {
    let plan = match super::load(&args.file, false, args.format) {
        Ok((plan, _)) => plan,
        Err(exit) => return exit,
    };
    let files = dashboards::generate(&plan);
    let done =
        if args.check { dashboards::differences(&files, &args.out) } else { dashboards::write(&files, &args.out) };
    match done {
        Ok(different) => super::written(tell(args, files.len(), &different, &mut super::out())),
        Err(error) => {
            // Standard error is all that is left to say it on.
            let _ = writeln!(io::stderr(), "error: {error}\n  help: --out names a folder that this user may write to");
            Exit::Environment
        }
    }
}

fn tell(args: &Args, files: usize, different: &[(PathBuf, Difference)], out: &mut impl Write) -> io::Result<Exit> {
    let exit = if args.check && !different.is_empty() { Exit::Findings } else { Exit::Done };
    if args.format == Format::Json {
        let entry = |(path, d): &(PathBuf, Difference)| json!({ "path": path, "difference": d.name() });
        let different: Vec<_> = different.iter().map(entry).collect();
        writeln!(out, "{:#}", json!({ "out": args.out, "files": files, "different": different }))?;
        return Ok(exit);
    }
    for (path, difference) in different {
        let what = match (args.check, difference) {
            (true, d) => d.name(),
            (false, Difference::Surplus) => "removed",
            (false, _) => "wrote",
        };
        writeln!(out, "{what:>8} {}", args.out.join(path).display())?;
    }
    match (args.check, different.len()) {
        (_, 0) => writeln!(out, "ok: {files} files are up to date in {}", args.out.display())?,
        (true, n) => {
            let file = if n == 1 { "1 file is" } else { &*format!("{n} files are") };
            writeln!(out, "error: {file} not what {} asks for", args.file.display())?;
            writeln!(out, "  help: the same command without --check writes them")?;
        }
        (false, _) => {}
    }
    Ok(exit)
}
