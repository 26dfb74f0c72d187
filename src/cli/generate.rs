//! `pointsman generate`.

use crate::{
    config::Format,
    generate::{Fault, Start},
    schema::Catalog,
    tools::{
        Exit,
        generate::{self, Names, Options, To},
    },
};
use clap::ValueEnum;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Make believable records from a schema and the hints in it, good ones and bad ones.
///
/// Names a route, whose records then keep its rules, or the full name of a record in schemas/. The same seed gives the same
/// bytes. Hints are the attribute "pointsman" of a field: README has the reference.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  Ten orders as JSON lines, to look at:
    pointsman generate shop.Order
  To the route's own topic, as fast as it goes, or a hundred at a time:
    pointsman generate processed-events --to topic --count 100000
    pointsman generate job-states --to topic --batch 100 --pause 1s
  To a collector, as if it happened now:
    pointsman generate shop.Event --to http://localhost:8088/events --rate 200 \\
      --start now
  Some of them bad:
    pointsman generate processed-events --invalid 5% --faults broken-rule
  To a file:
    pointsman generate shop.Order --to file:orders.avro --count 5000")]
pub struct Args {
    /// A route of routes.toml, or the full name of a record in schemas/.
    #[arg(value_name = "ROUTE|SCHEMA")]
    name: String,
    /// The configuration; schemas/ is the folder beside it.
    #[arg(short, long, value_name = "FILE", default_value = FILE)]
    file: PathBuf,
    /// Where to: `topic` (the route's own), `topic:NAME`, `http://…` (a collector), `file:PATH` (replaced if it is there), or `-`.
    #[arg(long, value_name = "TARGET", default_value = "-", value_parser = to)]
    to: To,
    /// `json`, or `avro`: framed with the registry's id in a topic, a container in a file. Left out: as the route reads it; JSON
    /// elsewhere, but for files that end in .avro.
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// How many records. Left out: 10 to the standard output, 1000 elsewhere; without end with --rate or --duration.
    #[arg(long, value_name = "N", value_parser = super::whole(0..=u64::MAX))]
    count: Option<u64>,
    /// Records a second. Left out: as fast as it goes.
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// For how long: 90s, 10m, 1h.
    #[arg(long, value_name = "TIME", value_parser = time)]
    duration: Option<Duration>,
    /// Send in batches of so many records, and wait until each batch is acknowledged. Of a collector: the records of a request,
    /// 100 where left out.
    #[arg(long, value_name = "N", value_parser = super::whole(1..=u64::MAX))]
    batch: Option<u64>,
    /// Rest after each batch: 250ms, 1s.
    #[arg(long, value_name = "TIME", value_parser = time, requires = "batch", default_value = "0s")]
    pause: Duration,
    /// The same seed gives the same bytes.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = super::whole(0..=u64::MAX))]
    seed: u64,
    /// The time of the first record, from which a clock of its own goes on: RFC 3339; or `now`, for the time at which each
    /// record is made.
    #[arg(long, value_name = "TIME", default_value = "2024-06-01T00:00:00Z", value_parser = start)]
    start: Start,
    /// The share of bad records: 5%, or 0.05.
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = share)]
    invalid: f64,
    /// What is wrong with these, of: missing-field, wrong-type, broken-rule, truncated, not-json. Left out: all that can be.
    #[arg(long, value_name = "FAULT,…", value_delimiter = ',', value_parser = fault, requires = "invalid")]
    faults: Vec<Fault>,
    /// The collector's bearer token.
    #[arg(long, value_name = "TOKEN", env = "POINTSMAN_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// The configuration where none is named: it need not be there.
const FILE: &str = "routes.toml";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    Json,
    Avro,
}

pub fn run(args: &Args) -> Exit {
    let options = Options {
        name: args.name.clone(),
        to: args.to.clone(),
        format: args.format.map(|format| match format {
            FormatArg::Json => Format::Json,
            FormatArg::Avro => Format::Avro,
        }),
        rate: args.rate,
        count: args.count,
        duration: args.duration,
        batch: args.batch,
        pause: args.pause,
        seed: args.seed,
        start: args.start,
        invalid: args.invalid,
        faults: args.faults.clone(),
        token: args.token.clone(),
        colour: super::colours(&io::stderr()),
    };
    // A schema needs no routes, as long as nothing has to be found through them.
    if !args.file.exists() && args.file == Path::new(FILE) && !matches!(args.to, To::Topic(_)) {
        let folder = Path::new("schemas");
        if folder.is_dir() {
            let (catalog, problems) = Catalog::load(folder);
            if problems.iter().any(|p| p.problem.is_error()) {
                return generate::refuse(problems, options.colour);
            }
            return generate::run(&Names { plan: None, catalog: &catalog }, &options);
        }
    }
    let strict = matches!(args.to, To::Topic(_));
    match super::load(&args.file, strict, super::check::Format::Human) {
        Ok((plan, catalog)) => generate::run(&Names { plan: Some(&plan), catalog: &catalog }, &options),
        Err(exit) => exit,
    }
}

fn to(text: &str) -> Result<To, String> {
    match text.split_once(':') {
        None if text == "-" => Ok(To::Out),
        None if text == "topic" => Ok(To::Topic(None)),
        Some(("topic", name)) if !name.is_empty() => Ok(To::Topic(Some(name.to_owned()))),
        Some(("file", path)) if !path.is_empty() => Ok(To::File(path.into())),
        Some(("http" | "https", _)) => Ok(To::Http(text.to_owned())),
        _ => Err("write topic, topic:NAME, http://…, file:PATH, or -".to_owned()),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let unit = match &text[at..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a time with its unit: 250ms, 90s, 10m, 1h".to_owned()),
    };
    let millis = text[..at].parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    millis.map(Duration::from_millis).ok_or_else(|| "write a whole number and its unit: 250ms, 90s".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| *rate >= 0.001 && *rate <= 1e9);
    rate.ok_or_else(|| "write a number of records a second, such as 200 or 0.5".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let share = match text.strip_suffix('%') {
        Some(percent) => number(percent).map(|p| p / 100.0),
        None => number(text),
    };
    share.filter(|s| (0.0..=1.0).contains(s)).ok_or_else(|| "write a share: 5%, or 0.05".to_owned())
}

fn start(text: &str) -> Result<Start, String> {
    if text == "now" {
        return Ok(Start::Now);
    }
    let at = text.parse::<jiff::Timestamp>().map_err(|_| "write a time such as 2024-06-01T00:00:00Z, or now")?;
    Ok(Start::At(at.as_microsecond()))
}

fn fault(text: &str) -> Result<Fault, String> {
    Fault::ALL.into_iter().find(|fault| fault.name() == text).ok_or_else(|| {
        let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        format!("faults are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::BEGIN;

    #[test]
    fn arguments_mean_what_they_say_or_are_refused() {
        assert_eq!(start("2024-06-01T00:00:00Z"), Ok(Start::At(BEGIN)));
        assert_eq!((share("5%"), share("0.05")), (Ok(0.05), Ok(0.05)));
        assert!(share("5").is_err() && share("-1%").is_err() && share("a%").is_err());
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        assert!(time("5").is_err() && time("s").is_err() && time("99999999999999999999h").is_err());
        assert_eq!(to("topic:a:b"), Ok(To::Topic(Some("a:b".into()))));
        assert!(to("topic:").is_err() && to("nowhere").is_err() && to("ftp://x").is_err());
        assert!(rate("0").is_err() && rate("-1").is_err() && rate("NaN").is_err());
    }
}
