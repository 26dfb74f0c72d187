//! `pointsman collect`.

use crate::tools::{Exit, collect};
use std::path::PathBuf;

/// Take events in by HTTP and write them to their topics, until told to stop.
///
/// `run` does so too, beside its routes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pointsman collect        every [collectors.NAME] of routes.toml
  pointsman collect shop   one of them
  curl localhost:8088/shop -H 'content-type: application/json' -d '{\"id\": 1}'")]
pub struct Args {
    /// Run only these collectors.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    file: PathBuf,
}

pub fn run(args: &Args) -> Exit {
    let plan = match super::plan_and_logs(&args.file) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    collect::run(plan, &args.names)
}
