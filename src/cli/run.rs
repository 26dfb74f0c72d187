//! `pointsman run`.

use crate::tools::{
    Exit,
    run::{self, Options},
};
use std::{path::PathBuf, time::Duration};

/// Carry the routes out, and take events in by the collectors, until told to stop.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pointsman run                           every route of routes.toml
  pointsman run --only orders --migrate   one route, after pending migrations
  pointsman run --until-caught-up         end at what was there at the start")]
pub struct Args {
    /// The configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    file: PathBuf,
    /// Run only this route; may be given more than once.
    #[arg(long, value_name = "ROUTE")]
    only: Vec<String>,
    /// Apply pending migrations first.
    #[arg(long)]
    migrate: bool,
    /// End when every partition has reached the end it had at the start.
    #[arg(long)]
    until_caught_up: bool,
    /// Leave the collectors out, as `--only` and `--until-caught-up` do: `pointsman collect` runs them alone.
    #[arg(long)]
    no_collectors: bool,
    /// How long a shutdown may take to commit what is under way, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 25, value_parser = super::whole(0..=86_400))]
    drain: u64,
    /// This process among those that share the routes' work: part of its transactional ids. Left out: the host's name and the
    /// lowest number that no other process with the same temporary folder has. Containers have a folder each: those whose
    /// hosts have one name would fence each other, so name them.
    #[arg(long, env = "POINTSMAN_INSTANCE", value_name = "NAME", value_parser = instance)]
    instance: Option<String>,
}

/// A transactional id, of which it is a part, has 32,767 bytes at most: no broker answers a longer one.
const INSTANCE: usize = 200;

fn instance(name: &str) -> Result<String, String> {
    match name.len() {
        length if length > INSTANCE => Err(format!("a name has at most {INSTANCE} bytes, and this one has {length}")),
        _ => Ok(name.to_owned()),
    }
}

pub fn run(args: &Args) -> Exit {
    let plan = match super::plan_and_logs(&args.file) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let options = Options {
        only: args.only.clone(),
        migrate: args.migrate,
        until_caught_up: args.until_caught_up,
        collectors: !args.no_collectors && args.only.is_empty() && !args.until_caught_up,
        drain: Duration::from_secs(args.drain),
        instance: args.instance.clone(),
    };
    run::run(plan, &options)
}
