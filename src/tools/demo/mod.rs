//! `demo`: the shipped jobs in one process, from generated records to rows, every record accounted for.

mod account;
mod rows;
mod shipped;
mod show;
mod world;

use super::{Exit, bar_style, run};
use crate::{
    failure::{Cause, Setback},
    telemetry::{State, Telemetry},
};
use account::Owed;
use indicatif::ProgressBar;
use std::{
    io::{Write, stderr, stdout},
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;
use world::World;

/// How long nothing may happen before the demo gives up.
const STALL: Duration = Duration::from_secs(20);
/// How long the routes may take to leave.
const DRAIN: Duration = Duration::from_secs(5);
/// How often progress is looked at; as lines, it is told once a second.
const LOOK: Duration = Duration::from_millis(50);

/// What `demo` was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub records: usize,
    pub seed: u64,
    pub keep_running: bool,
}

/// Runs the demo. Findings: a record is not accounted for.
pub fn run(options: &Options) -> Exit {
    let runtime = Runtime::new().expect("the operating system has threads and sockets for a runtime");
    match carry_out(options, &runtime) {
        Ok(exit) => exit,
        Err(setback) => {
            complain(&setback);
            Exit::Environment
        }
    }
}

fn carry_out(options: &Options, runtime: &Runtime) -> Result<Exit, Setback> {
    let world = World::start(runtime)?;
    let records = world.records(options.records, options.seed);
    let owed = account::owed(&records);
    say(&show::opening(&world.folder, &world.plan, records.len()));
    let how = run::Options { migrate: true, drain: DRAIN, ..run::Options::default() };
    let routes: Vec<_> = world.plan.routes.iter().collect();
    let unheard = crossbeam_channel::never();
    let Some(started) = run::start(&world.plan, &routes, &how, runtime, &unheard)? else { return Ok(Exit::Done) };
    let begun = Instant::now();
    world.produce(&records)?;
    follow(&started.telemetry, &owed);
    let took = begun.elapsed();
    let stop = started.supervisor.stopper();
    let leave = || {
        stop();
        started.supervisor.wait()
    };
    // After the last commit, nothing that is counted twice can hide.
    let (leave, mut standing) = if options.keep_running { (Some(leave), Vec::new()) } else { (None, leave()) };
    let board = started.telemetry.board();
    let differences = account::differences(&owed, &board);
    say(&show::routes(&world.plan, &owed, &board));
    say(&show::verdict(&differences, account::total(&owed), took));
    match rows::samples(runtime, &world.plan) {
        Ok(rows) => say(&rows),
        Err(setback) => complain(&setback),
    }
    say(&show::closing(&world.folder, &world.plan, started.pages.as_deref(), options.keep_running));
    if let Some(leave) = leave {
        runtime.block_on(tokio::signal::ctrl_c()).map_err(|e| {
            Setback::stand(Cause::Host, format!("signals cannot be listened for: {e}"), "leave out --keep-running")
        })?;
        standing = leave();
    }
    for (route, setback) in &standing {
        complain(&Setback { message: format!("route {route}: {}", setback.message), ..setback.clone() });
    }
    Ok(match (differences.is_empty(), standing.is_empty()) {
        (true, true) => Exit::Done,
        (true, false) => Exit::Environment,
        (false, _) => Exit::Findings,
    })
}

/// Shows how far the routes are, until every record is accounted for or it is plain that some never will be.
fn follow(telemetry: &Telemetry, owed: &[Owed]) {
    let total = account::total(owed);
    let bar = ProgressBar::new(total);
    let style = "{elapsed_precise} {wide_bar:.cyan/blue} {human_pos} of {human_len} outcomes accounted for, {rate}";
    if let Some(style) = bar_style(style) {
        bar.set_style(style);
    }
    let plain = bar.is_hidden();
    let (mut before, mut moved, mut told) = (0, Instant::now(), Instant::now());
    loop {
        let board = telemetry.board();
        let settled = account::settled(owed, &board);
        bar.set_position(settled);
        if settled > before {
            (before, moved) = (settled, Instant::now());
        }
        if plain && (settled == total || told.elapsed() >= Duration::from_secs(1)) {
            told = Instant::now();
            let _ = writeln!(stderr(), "{settled} of {total} outcomes accounted for");
        }
        let stands = board.iter().any(|v| matches!(v.state(), State::Standing | State::Tripped));
        if settled == total || stands || moved.elapsed() > STALL {
            break;
        }
        thread::sleep(LOOK);
    }
    bar.finish_and_clear();
}

/// A reader that hung up has seen enough.
fn say(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}

fn complain(setback: &Setback) {
    // Standard error is all that is left to say it on.
    let _ = writeln!(stderr(), "error: {}\n  help: {}", setback.message, setback.help);
}
