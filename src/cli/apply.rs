//! `pointsman apply`.

use super::{check::Format, colours, plan::parts};
use crate::{
    config::Plan,
    tools::{
        Exit,
        plan::{self, Part, Report, apply},
    },
};
use serde_json::json;
use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
};

/// Make what the routes need outside: topics, schemas, tables. Asks first.
///
/// Shows what `plan` shows, then carries it out, step by step. It may be run again at any time: what is there already is
/// left alone, and what a run left undone is done by the next. Nothing is applied while something is incompatible, missing
/// or out of reach.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pointsman apply                 shows the plan, and asks
  pointsman apply --yes           where nobody can be asked: CI, a container
  pointsman apply --only tables   migrations, and Pointsman's own tables

Exit codes: 0 done, or nothing to do; 1 something is incompatible or missing, a schema or a migration was refused, or the \
answer was no; 2 nobody could be asked; 3 something cannot be reached.")]
pub struct Args {
    /// The configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    file: PathBuf,
    /// Only this part; may be given more than once.
    #[arg(long, value_name = "PART", value_enum)]
    only: Vec<Part>,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// `json` writes one object as `plan` does, in which each step has `done`. Needs --yes.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(args: &Args) -> Exit {
    if !args.yes {
        let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        if args.format == Format::Json || !terminal {
            let why = if terminal { "--format json leaves no room for a question" } else { "this is no terminal" };
            let message = format!("{why}, so nobody can be asked: nothing was applied");
            let help = "look at `pointsman plan`, then `pointsman apply --yes`";
            // Where it cannot be written, the code says it.
            let _ = match args.format {
                Format::Human => writeln!(io::stderr(), "error: {message}\n  help: {help}"),
                Format::Json => {
                    writeln!(io::stdout(), "{:#}", json!({ "ok": false, "message": message, "help": help }))
                }
            };
            return Exit::Usage;
        }
    }
    match super::plan_and_warnings(&args.file, args.format) {
        Ok(plan) => carry_out(&plan, &parts(&args.only), args.yes, args.format),
        Err(exit) => exit,
    }
}

/// Looks, shows, asks unless `yes`, and applies.
pub(super) fn carry_out(plan: &Plan, parts: &[Part], yes: bool, format: Format) -> Exit {
    let done = match format {
        Format::Human => human(plan, parts, yes),
        Format::Json => json(plan, parts),
    };
    done.unwrap_or_else(|error| super::written(Err(error)))
}

fn human(plan: &Plan, parts: &[Part], yes: bool) -> io::Result<Exit> {
    let (colour, mut out) = (colours(&io::stdout()), super::out());
    let mut report = plan::look(plan, parts)?;
    plan::human(&report, colour, &mut out)?;
    let summary = plan::summary(&report);
    if report.exit() != Exit::Done {
        writeln!(out, "error: {summary}: nothing was applied")?;
        if parts.len() > 1 {
            writeln!(out, "  help: `--only topics`, `--only schemas` or `--only tables` applies a part")?;
        }
        return Ok(report.exit());
    }
    if report.is_done() {
        writeln!(out, "apply: {summary}")?;
        return Ok(Exit::Done);
    }
    if !yes && !confirmed(&summary, &mut out)? {
        writeln!(out, "nothing was applied")?;
        return Ok(Exit::Findings);
    }
    let mut written = Ok(());
    let exit = apply::apply(plan, &mut report, &mut |item, step| {
        let told = plan::outcome(item, step, colour, &mut out).and_then(|()| out.flush());
        // A full disk does not stop what it has begun.
        written = std::mem::replace(&mut written, Ok(())).and(told);
    })?;
    written?;
    ended(&report, exit, &mut out)?;
    Ok(exit)
}

fn ended(report: &Report, exit: Exit, out: &mut impl Write) -> io::Result<()> {
    let (done, left) = (report.done(), report.changes() - report.done());
    let problems = report.items.iter().flat_map(|i| &i.problems).map(|p| (&p.message, &p.help));
    let unseen = report.items.iter().filter_map(|i| i.unreachable.as_ref()).map(|s| (&s.message, &s.help));
    for (message, help) in problems.chain(unseen) {
        writeln!(out, "error: {message}")?;
        help.lines().try_for_each(|line| writeln!(out, "  {line}"))?;
    }
    match (exit, left) {
        (Exit::Done, 0) => writeln!(out, "applied {done} of {done}"),
        _ => writeln!(
            out,
            "error: applied {done} of {}; `pointsman apply` does the rest once that is mended",
            done + left
        ),
    }
}

fn confirmed(summary: &str, out: &mut impl Write) -> io::Result<bool> {
    write!(out, "Apply {summary}? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    if io::stdin().lock().read_line(&mut answer)? == 0 {
        // Ctrl-D leaves the question's line open.
        writeln!(out)?;
    }
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn json(plan: &Plan, parts: &[Part]) -> io::Result<Exit> {
    let mut report = plan::look(plan, parts)?;
    let exit = match report.exit() {
        Exit::Done => apply::apply(plan, &mut report, &mut |_, _| ())?,
        exit => exit,
    };
    writeln!(super::out(), "{:#}", plan::json(&report))?;
    Ok(exit)
}
