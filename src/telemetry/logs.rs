//! The log subscriber: JSON lines for machines, words for a terminal, both on stderr.

use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Words on a terminal, JSON elsewhere.
    #[default]
    Auto,
    Json,
    Human,
}

/// What is logged without a filter: other crates only where something is wrong. `kafka` is what we and librdkafka say of a cluster.
const DEFAULT_FILTER: &str = "warn,pointsman=info,kafka=info";

/// Starts logging to stderr, filtered by POINTSMAN_LOG, else RUST_LOG (`info`, `pointsman=debug`, …).
/// A second call in one process changes nothing.
///
/// # Errors
/// A filter that does not parse, with the variable it stands in.
pub fn init_logs(format: LogFormat) -> Result<(), String> {
    let filter = filter()?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An earlier subscriber (a test's, an embedding program's) stays.
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
        LogFormat::Auto if !terminal => builder.json().flatten_event(true).finish().try_init(),
        LogFormat::Auto | LogFormat::Human => {
            builder.with_ansi(colours(&std::io::stderr())).with_target(false).finish().try_init()
        }
    };
    Ok(())
}

/// Whether this stream is a terminal that wants colours: NO_COLOR (no-color.org), CLICOLOR and TERM are asked, as clap and the
/// progress bars ask them.
pub fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && coloured(|name| std::env::var(name).unwrap_or_default())
}

fn coloured(variable: impl Fn(&str) -> String) -> bool {
    variable("NO_COLOR").is_empty() && variable("CLICOLOR") != "0" && variable("TERM") != "dumb"
}

fn filter() -> Result<EnvFilter, String> {
    for name in ["POINTSMAN_LOG", "RUST_LOG"] {
        match std::env::var(name) {
            Ok(text) if !text.is_empty() => {
                return EnvFilter::builder().parse(&text).map_err(|e| {
                    format!("{name}={text} is not a log filter: {e}. Write a level (error, warn, info, debug, trace), or pointsman=debug,warn")
                });
            }
            _ => {}
        }
    }
    Ok(EnvFilter::new(DEFAULT_FILTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn a_terminal_that_wants_no_colours_gets_none() {
        let wanted = |set: &str, to: &str| coloured(|name| if name == set { to.into() } else { String::new() });
        assert!(wanted("TERM", "xterm") && wanted("NO_COLOR", "") && wanted("CLICOLOR", "1"));
        assert!(!wanted("TERM", "dumb") && !wanted("NO_COLOR", "1") && !wanted("CLICOLOR", "0"));
    }

    #[test]
    fn without_a_filter_what_we_say_of_a_cluster_is_told() {
        let subscriber = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(DEFAULT_FILTER)).finish();
        tracing::subscriber::with_default(subscriber, || {
            assert!(tracing::enabled!(target: "kafka", Level::INFO));
            assert!(tracing::enabled!(target: "pointsman::runtime", Level::INFO));
            assert!(!tracing::enabled!(target: "sqlx::query", Level::INFO));
        });
    }
}
