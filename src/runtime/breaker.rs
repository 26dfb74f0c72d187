//! The breaker: when too many records of a window fail, the configuration is likelier wrong than the data.
//!
//! A transaction is judged before it commits, and counts once it has: what is read again is not counted twice.

use crate::{
    config,
    destination::Counts,
    failure::{Cause, Setback},
};
use std::{collections::VecDeque, time::Instant};

/// Judges a route's transactions before they commit.
#[derive(Debug)]
pub struct Breaker {
    limits: Option<config::Breaker>,
    route: String,
    /// Transactions of the window: when, records, and how many of them failed.
    window: VecDeque<(Instant, u64, u64)>,
    /// The sums of the window.
    records: u64,
    failed: u64,
}

impl Breaker {
    pub fn new(route: &str, limits: Option<config::Breaker>) -> Breaker {
        Breaker { limits, route: route.to_owned(), window: VecDeque::new(), records: 0, failed: 0 }
    }

    /// Looks at a transaction that is about to commit.
    ///
    /// # Errors
    /// The route trips: nothing of this transaction may commit.
    pub fn judge(&mut self, counts: Counts, now: Instant) -> Result<(), Setback> {
        let Some(limits) = self.limits else { return Ok(()) };
        while let Some((_, records, failed)) =
            self.window.pop_front_if(|(at, ..)| now.duration_since(*at) > limits.window)
        {
            self.records -= records;
            self.failed -= failed;
        }
        let (records, failed) = (self.records + counts.consumed(), self.failed + counts.dead_lettered);
        if records < limits.min || (failed as f64) < limits.share * records as f64 {
            return Ok(());
        }
        Err(Setback::stand(
            Cause::Tripped,
            format!(
                "route {}: {failed} of the last {records} records failed, so none of them were committed",
                self.route
            ),
            "compare the route's validator with what producers send; then change the route: any change lets it go on, and \
             breaker.share says how many may fail",
        ))
    }

    /// Takes a transaction that has committed into account.
    pub fn committed(&mut self, counts: Counts, now: Instant) {
        if self.limits.is_some() {
            self.window.push_back((now, counts.consumed(), counts.dead_lettered));
            self.records += counts.consumed();
            self.failed += counts.dead_lettered;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn counts(good: u64, bad: u64) -> Counts {
        Counts { delivered: good, filtered: 0, dead_lettered: bad }
    }

    #[test]
    fn it_trips_on_the_share_of_a_window_and_not_before_it_has_enough_records() {
        let limits = config::Breaker { share: 0.5, min: 100, window: Duration::from_secs(60) };
        let mut breaker = Breaker::new("r", Some(limits));
        let start = Instant::now();
        let mut commit = |good, bad, at| {
            breaker.judge(counts(good, bad), at).unwrap();
            breaker.committed(counts(good, bad), at);
        };
        commit(0, 99, start);
        // The first minute is over: its failures no longer count.
        let later = start + Duration::from_secs(61);
        commit(60, 50, later);
        let tripped = breaker.judge(counts(0, 20), later).unwrap_err();
        assert!(tripped.message.contains("70 of the last 130"), "{tripped}");
    }

    #[test]
    fn a_transaction_that_fails_to_commit_and_comes_again_counts_once() {
        let limits = config::Breaker { share: 0.5, min: 100, window: Duration::from_secs(60) };
        let mut breaker = Breaker::new("r", Some(limits));
        for _ in 0..10 {
            breaker.judge(counts(0, 60), Instant::now()).unwrap();
        }
    }

    #[test]
    fn without_limits_nothing_trips() {
        Breaker::new("r", None).judge(counts(0, 1_000_000), Instant::now()).unwrap();
    }
}
