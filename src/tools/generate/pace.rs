//! When the next record is due.

use super::{Options, To};
use std::time::{Duration, Instant};

/// Records where nobody says how many or how long: enough to look at, and enough to try something with.
const A_LOOK: u64 = 10;
const A_TRIAL: u64 = 1_000;

pub(super) struct Pace {
    begun: Instant,
    count: Option<u64>,
    duration: Option<Duration>,
    rate: Option<f64>,
    batch: Option<u64>,
    pause: Duration,
    /// Until when a pause lasts.
    rests: Option<Instant>,
    /// Looked at now and then where nothing depends on the moment: asking for the time costs as much as a small record.
    now: Instant,
}

/// How many records there are to be; none: until somebody says stop.
pub(super) fn bound(options: &Options) -> Option<u64> {
    let endless = options.duration.is_some() || options.rate.is_some();
    let usual = if options.to == To::Out { A_LOOK } else { A_TRIAL };
    options.count.or((!endless).then_some(usual))
}

impl Pace {
    pub fn new(options: &Options) -> Pace {
        let now = Instant::now();
        Pace {
            begun: now,
            count: bound(options),
            duration: options.duration,
            rate: options.rate,
            batch: options.batch,
            pause: options.pause,
            rests: None,
            now,
        }
    }

    /// How long to wait before the record after so many; none: there is no further one.
    pub fn next(&mut self, made: u64) -> Option<Duration> {
        if self.count.is_some_and(|count| made >= count) {
            return None;
        }
        if made.is_multiple_of(64) || self.rate.is_some() || self.rests.is_some() {
            self.now = Instant::now();
        }
        if self.duration.is_some_and(|duration| self.now - self.begun >= duration) {
            return None;
        }
        if let Some(until) = self.rests {
            if until > self.now {
                return Some(until - self.now);
            }
            self.rests = None;
        }
        let due = self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(made as f64 / rate));
        Some(due.saturating_sub(self.now - self.begun))
    }

    /// Whether a batch is complete with so many records; its pause begins.
    pub fn batch_ends(&mut self, made: u64) -> bool {
        let ends = self.batch.is_some_and(|batch| made.is_multiple_of(batch));
        if ends && self.pause > Duration::ZERO {
            self.rests = Some(Instant::now() + self.pause);
        }
        ends
    }
}
