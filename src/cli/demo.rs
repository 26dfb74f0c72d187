//! `pointsman demo`.

use crate::tools::{
    Exit,
    demo::{self, Options},
};
use std::env;

/// Run the five shipped jobs with everything they need inside this process, and account for every record.
///
/// Nothing else is needed: broker and schema registry are embedded, tables are SQLite files in a fresh folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pointsman demo                      some 20,000 records, a few seconds
  pointsman demo --keep-running       with the pages, until Ctrl-C
  POINTSMAN_LOG=info pointsman demo   with the log that `run` writes")]
pub struct Args {
    /// How many records to generate, for all jobs together. The embedded broker keeps no more than 5 MiB a partition.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = super::whole(1..=100_000))]
    records: u64,
    /// The same seed gives the same records.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = super::whole(0..=u64::MAX))]
    seed: u64,
    /// Stay until SIGINT.
    #[arg(long)]
    keep_running: bool,
}

pub fn run(args: &Args) -> Exit {
    if env::var_os("POINTSMAN_LOG").is_some_and(|v| !v.is_empty())
        && let Err(exit) = super::logs()
    {
        return exit;
    }
    demo::run(&Options { records: args.records as usize, seed: args.seed, keep_running: args.keep_running })
}
