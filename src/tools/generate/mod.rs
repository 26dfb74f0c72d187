//! `generate`: believable records to a topic, an HTTP collector, a file or the standard output.

mod file;
mod http;
mod open;
mod pace;
mod show;
mod topic;

use super::Exit;
use crate::{
    config::{Format, Plan, diagnostics},
    failure::Setback,
    generate::{
        Fault, Start,
        stream::{Expect, Generated, Stream, Trouble},
    },
    schema::{Catalog, FileProblem},
};
use open::Opened;
use pace::Pace;
use show::Progress;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// A topic; none: the route's own.
    Topic(Option<String>),
    /// A collector's URL.
    Http(String),
    File(PathBuf),
    Out,
}

/// What `generate` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// A route, or the full name of a schema.
    pub name: String,
    pub to: To,
    pub format: Option<Format>,
    /// Records a second.
    pub rate: Option<f64>,
    pub count: Option<u64>,
    pub duration: Option<Duration>,
    pub batch: Option<u64>,
    /// After each batch.
    pub pause: Duration,
    pub seed: u64,
    pub start: Start,
    /// The share of bad records: 0 to 1.
    pub invalid: f64,
    /// None: every fault that there can be.
    pub faults: Vec<Fault>,
    /// A bearer token for the collector.
    pub token: Option<String>,
    /// Colours in what is told.
    pub colour: bool,
}

/// Where to look names up: schemas, and the routes where there are any.
pub struct Names<'n> {
    pub plan: Option<&'n Plan>,
    pub catalog: &'n Catalog,
}

/// What a target has done with the records so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub acknowledged: u64,
    /// Records that were not taken, by the reason.
    pub refused: BTreeMap<String, u64>,
}

/// Where records go. A target may collect some before it sends them.
trait Target {
    /// Takes a record; waits while too many are under way.
    fn send(&mut self, record: &Generated) -> Result<(), Setback>;
    /// Sends what it has collected, and waits until everything is acknowledged or refused.
    fn flush(&mut self) -> Result<(), Setback>;
    /// Lets this time pass.
    fn idle(&mut self, time: Duration) -> Result<(), Setback>;
    fn tally(&self) -> &Tally;
    /// The reader of the output has had enough.
    fn is_closed(&self) -> bool {
        false
    }
}

/// Why it ends before its end.
enum Stop {
    Trouble(Trouble),
    Setback(Setback),
    /// The registry has, or wants, another schema.
    Refused {
        message: String,
        help: String,
    },
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Stop {
        Stop::Trouble(trouble)
    }
}

impl From<Setback> for Stop {
    fn from(setback: Setback) -> Stop {
        Stop::Setback(setback)
    }
}

/// What has been generated: the summary counts it.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub records: u64,
    pub faults: BTreeMap<Fault, u64>,
}

/// Generates until the count or the time is reached, or somebody says stop.
pub fn run(names: &Names<'_>, options: &Options) -> Exit {
    let runtime = Runtime::new().expect("the operating system has threads and sockets for a runtime");
    let stop = Arc::new(AtomicBool::new(false));
    listen_for_signals(&runtime, stop.clone());
    match carry_out(names, options, &runtime, &stop) {
        Ok(exit) => exit,
        Err(Stop::Trouble(Trouble::Hints(found))) => refuse(found, options.colour),
        Err(Stop::Trouble(Trouble::Asked { message, help })) => {
            show::complain(&message, &help);
            Exit::Usage
        }
        Err(Stop::Refused { message, help }) => {
            show::complain(&message, &help);
            Exit::Findings
        }
        Err(Stop::Setback(setback)) => {
            show::complain(&setback.message, &setback.help);
            Exit::Environment
        }
    }
}

/// Shows what is wrong with schemas.
pub fn refuse(found: Vec<FileProblem>, colour: bool) -> Exit {
    show::problems(found, colour);
    Exit::Findings
}

fn carry_out(names: &Names<'_>, options: &Options, runtime: &Runtime, stop: &Arc<AtomicBool>) -> Result<Exit, Stop> {
    let Opened { mut stream, mut target, place } = open::open(names, options, runtime, stop)?;
    let mut progress = Progress::new(options, &place);
    let mut made = Made::default();
    let begun = Instant::now();
    let ended = produce(&mut stream, target.as_mut(), options, stop, &mut progress, &mut made);
    // What is under way is waited for, also after a Ctrl-C; after a setback it is given up, and counted as such.
    let flushed = if matches!(ended, Err(Stop::Setback(_))) { Ok(()) } else { target.flush() };
    progress.end();
    show::summary(options, &place, &made, target.tally(), begun.elapsed());
    ended?;
    flushed?;
    let refused: u64 = target.tally().refused.values().sum();
    Ok(if refused > made.faults.values().sum() { Exit::Findings } else { Exit::Done })
}

fn produce(
    stream: &mut Stream,
    target: &mut dyn Target,
    options: &Options,
    stop: &AtomicBool,
    progress: &mut Progress,
    made: &mut Made,
) -> Result<(), Stop> {
    let mut pace = Pace::new(options);
    while !stop.load(Ordering::Relaxed) && !target.is_closed() {
        let Some(wait) = pace.next(made.records) else { break };
        if wait > Duration::ZERO {
            // In pieces, so that a signal and the progress are not kept waiting.
            target.idle(wait.min(Duration::from_millis(50)))?;
            progress.show(made.records, target.tally(), true);
            continue;
        }
        let record = stream.draw()?;
        made.records += 1;
        if let Expect::Dead { fault, .. } = record.expect {
            *made.faults.entry(fault).or_default() += 1;
        }
        target.send(&record)?;
        if pace.batch_ends(made.records) {
            target.flush()?;
        }
        progress.show(made.records, target.tally(), false);
    }
    Ok(())
}

/// The first signal ends the generating and waits for acknowledgements, a second one leaves at once.
fn listen_for_signals(runtime: &Runtime, stop: Arc<AtomicBool>) {
    runtime.spawn(async move {
        let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
            return;
        };
        loop {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if stop.swap(true, Ordering::Relaxed) {
                std::process::exit(Exit::Environment as i32);
            }
        }
    });
}
