//! `pointsman registry`.

use crate::{
    http,
    registry::server::{self, Registry},
    tools::Exit,
};
use std::{io::Write, path::PathBuf};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

/// Serve a schema registry that speaks Confluent's REST API.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pointsman registry                       in memory, on 127.0.0.1:8081
  pointsman registry --store schemas.log   in a file: ids outlive a restart
  curl localhost:8081/subjects             what it holds")]
pub struct Args {
    /// The address to listen on; port 0 takes a free one, which the first line tells.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8081", value_parser = address)]
    listen: String,
    /// Keep the schemas in this file. Left out: in memory, until the process ends.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

fn address(text: &str) -> Result<String, String> {
    let named = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if named { Ok(text.to_owned()) } else { Err("write host and port, such as 127.0.0.1:8081".to_owned()) }
}

/// Serves until SIGTERM or SIGINT.
pub fn run(args: &Args) -> Exit {
    let runtime = Runtime::new().expect("the operating system has threads and sockets for a runtime");
    match runtime.block_on(serve(args)) {
        Ok(()) => Exit::Done,
        Err((message, help)) => {
            eprintln!("error: {message}\n  help: {help}");
            Exit::Environment
        }
    }
}

/// An error is what happened, and what to do about it.
async fn serve(args: &Args) -> Result<(), (String, String)> {
    let listener = http::bind(&args.listen, "--listen").await.map_err(|e| (e.message, e.help))?;
    let registry = match &args.store {
        Some(path) => Registry::open(path).map_err(|e| (e.message, e.help))?,
        None => Registry::in_memory(),
    };
    let mut signals = Vec::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        signals.push(signal(kind).map_err(|e| (format!("signals cannot be listened for: {e}"), String::new()))?);
    }
    let kept = args.store.as_ref().map_or("in memory".to_owned(), |path| format!("in {}", path.display()));
    // Whoever started it with a pipe may have closed that already.
    let _ = writeln!(std::io::stdout(), "schema registry at {}, kept {kept}", listener.url());
    let stop = std::future::poll_fn(move |cx| {
        if signals.iter_mut().any(|s| s.poll_recv(cx).is_ready()) {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    });
    listener.serve(server::router(registry), stop).await;
    Ok(())
}
