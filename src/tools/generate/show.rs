//! What `generate` tells while it works and at its end. All of it goes to standard error: the output may be the records.

use super::{Made, Options, Tally, To, diagnostics, pace};
use crate::{
    schema::FileProblem,
    tools::{bar_style, thousands},
};
use indicatif::{ProgressBar, ProgressDrawTarget};
use std::{
    io::{IsTerminal, Write, stderr, stdout},
    time::{Duration, Instant},
};

/// How often the bar moves, and how often a line is written where there is no terminal.
const BAR: Duration = Duration::from_millis(100);
const LINES: Duration = Duration::from_secs(1);

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    told: Instant,
    begun: Instant,
    every: Duration,
    calls: u64,
    bound: Option<u64>,
    /// Records on the same terminal would be torn by it.
    silent: bool,
}

impl Progress {
    pub fn new(options: &Options, place: &str) -> Progress {
        let bound = pace::bound(options);
        // One that says that it is dumb shows no bar.
        let terminal = !ProgressDrawTarget::stderr().is_hidden();
        let silent = options.to == To::Out && (stdout().is_terminal() || !terminal);
        let bar = (terminal && !silent).then(|| {
            let (bar, template) = match bound {
                Some(count) => (
                    ProgressBar::new(count),
                    "{elapsed_precise} {wide_bar:.cyan/blue} {human_pos} of {human_len} acknowledged, {rate}{msg}",
                ),
                None => (ProgressBar::no_length(), "{elapsed_precise} {human_pos} acknowledged, {rate}{msg}"),
            };
            if let Some(style) = bar_style(template) {
                bar.set_style(style);
            }
            bar
        });
        let now = Instant::now();
        if !silent && bar.is_none() {
            say(&format!("generating {} to {place}", options.name));
        }
        let every = if bar.is_some() { BAR } else { LINES };
        Progress { bar, told: now, begun: now, every, calls: 0, bound, silent }
    }

    /// `idle`: nothing is done meanwhile, so that looking at the time costs nothing.
    pub fn show(&mut self, made: u64, tally: &Tally, idle: bool) {
        self.calls += 1;
        if self.silent || !(idle || self.calls.is_multiple_of(256)) || self.told.elapsed() < self.every {
            return;
        }
        self.told = Instant::now();
        let refused: u64 = tally.refused.values().sum();
        match &self.bar {
            Some(bar) => {
                bar.set_position(tally.acknowledged);
                if refused > 0 {
                    bar.set_message(format!(", {} refused", thousands(refused)));
                }
            }
            None => {
                let of = self.bound.map(|count| format!(" of {}", thousands(count))).unwrap_or_default();
                let rate = per_second(tally.acknowledged, self.begun.elapsed());
                let (made, acknowledged) = (thousands(made), thousands(tally.acknowledged));
                say(&format!("{made}{of} generated, {acknowledged} acknowledged, {rate}/s"));
            }
        }
    }

    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What there was, in the end.
pub(super) fn summary(options: &Options, place: &str, made: &Made, tally: &Tally, took: Duration) {
    if options.to == To::Out && stdout().is_terminal() {
        return;
    }
    let rate = per_second(made.records, took);
    let seconds = took.as_secs_f64();
    let Options { name, seed, .. } = options;
    say(&format!("{} of {name} (seed {seed}) to {place} in {seconds:.1} s, {rate}/s", records(made.records)));
    let bad: u64 = made.faults.values().sum();
    if bad > 0 {
        let faults: Vec<String> = made.faults.iter().map(|(f, n)| format!("{} {}", thousands(*n), f.name())).collect();
        say(&format!(
            "  {} valid, {} with a fault: {}",
            thousands(made.records - bad),
            thousands(bad),
            faults.join(", ")
        ));
    }
    if matches!(options.to, To::Topic(_) | To::Http(_)) {
        say(&format!("  {} acknowledged", thousands(tally.acknowledged)));
    }
    for (why, count) in &tally.refused {
        say(&format!("  {} refused: {why}", thousands(*count)));
    }
    let open = made.records.saturating_sub(tally.acknowledged + tally.refused.values().sum::<u64>());
    if open > 0 && matches!(options.to, To::Topic(_) | To::Http(_)) {
        say(&format!("  {} not acknowledged", thousands(open)));
    }
}

/// What is wrong with schemas, each thing at its place.
pub(super) fn problems(found: Vec<FileProblem>, colour: bool) {
    let count = found.len();
    let (problems, sources) = diagnostics::of_schemas(found);
    for problem in &problems {
        say(&format!("{}\n", diagnostics::human(problem, &sources, colour)));
    }
    let count = if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") };
    say(&format!("error: {count} in the schemas"));
}

pub(super) fn complain(message: &str, help: &str) {
    say(&format!("error: {message}"));
    if !help.is_empty() {
        say(&format!("  help: {help}"));
    }
}

pub(super) fn say(text: &str) {
    // Standard error is all that is left to say it on.
    let _ = writeln!(stderr(), "{text}");
}

/// `1 record`, `2,000 records`.
pub(super) fn records(count: u64) -> String {
    format!("{} record{}", thousands(count), if count == 1 { "" } else { "s" })
}

fn per_second(count: u64, took: Duration) -> String {
    thousands((count as f64 / took.as_secs_f64().max(1e-3)) as u64)
}
