//! `pointsman schemas`.

use crate::tools::{Exit, schemas};
use std::{io, path::PathBuf};

/// Make the schemas that the routes write known to the registry.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: pointsman schemas register")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Register the schema of each Avro topic that a route writes to, as `<topic>-value`.
    Register {
        /// The configuration.
        #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
        file: PathBuf,
    },
}

pub fn run(args: &Args) -> Exit {
    let Action::Register { file } = &args.action;
    match super::plan(file) {
        Ok(plan) => schemas::register(&plan, &mut io::stdout().lock()).unwrap_or(Exit::Environment),
        Err(exit) => exit,
    }
}
