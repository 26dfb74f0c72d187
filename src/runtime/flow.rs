//! A worker's life as a pure state machine: every input has one answer, nothing here does I/O or looks at a clock,
//! so that every order of events can be enumerated in a test.
//!
//! A setback and a start-up are one path (Recovering → Claiming → Flowing); a revocation, a new assignment and a
//! shutdown are one drain. What fails here is not tried again in place.

use crate::{
    failure::{Cause, Remedy, Setback},
    record::{Partition, Positions},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// What a worker is doing.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Waits until `at`, its partitions paused, then claims again.
    Recovering { at: Instant, attempt: u32 },
    /// The deliverer opens its destination and takes the positions.
    Claiming,
    /// Records flow; so it is too while no partition is assigned.
    Flowing,
    /// What has been written is committed before something changes.
    Draining { why: Why, by: Instant },
    /// Only a person can help.
    Standing(Setback),
    /// Left the group, or is about to.
    Ended,
}

/// What a drain ends in.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// Give these up, claim what stays.
    Revoked(BTreeSet<Partition>),
    /// Claim what is there now.
    Assigned,
    Stop,
}

#[derive(Clone, Debug)]
pub enum Input {
    Assigned(Vec<Partition>),
    Revoked(Vec<Partition>),
    /// The group has given them to somebody else already.
    Lost(Vec<Partition>),
    /// A batch was handed to the deliverer; a full one has more behind it.
    Offered {
        full: bool,
    },
    /// Nothing is left to read: what has been offered need not wait for its commit.
    Exhausted,
    Claimed(Positions),
    /// Everything that had been offered before this commit was ordered.
    Committed,
    Failed(Setback),
    Tick,
    /// SIGTERM, or the end has been reached: commit what is there, then leave. A second one leaves at once.
    Stop,
}

/// What the worker does next, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Drop what has been read or processed and not yet offered.
    Discard,
    /// Stop fetching from all partitions.
    Pause,
    /// Order the deliverer to throw its open transaction away.
    Abort,
    /// Order the deliverer to claim these; none at all only opens the destination.
    Claim(Vec<Partition>),
    /// Seek to these positions and resume.
    Flow(Positions),
    /// Order a commit of everything offered.
    Commit,
    /// Answer the group: these are given up.
    Release(Vec<Partition>),
    /// Close the consumer and end the thread.
    End,
}

/// How a worker waits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub initial: Duration,
    pub max: Duration,
    pub give_up_after: Option<Duration>,
    pub commit_interval: Duration,
    /// The same while records wait: a commit empties the producer's pipeline, and then delays nobody who is up to date.
    pub lagging_interval: Duration,
    pub drain: Duration,
}

#[derive(Clone, Debug)]
pub struct Flow {
    state: State,
    patience: Patience,
    assigned: BTreeSet<Partition>,
    /// Batches offered since the last commit was ordered, and since when.
    uncommitted: Option<Instant>,
    /// Whether the last batch offered was full.
    lagging: bool,
    /// Commits ordered and not yet answered.
    committing: u32,
    /// Failures in a row, and since when.
    attempt: u32,
    failing_since: Option<Instant>,
    /// Since when records may flow, or could.
    flowing_since: Option<Instant>,
    stopping: bool,
}

impl Flow {
    /// A worker that is about to start: its first tick opens the destination, before any partition is there.
    pub fn new(patience: Patience, now: Instant) -> Flow {
        Flow {
            state: State::Recovering { at: now, attempt: 0 },
            patience,
            assigned: BTreeSet::new(),
            uncommitted: None,
            lagging: false,
            committing: 0,
            attempt: 0,
            failing_since: None,
            flowing_since: None,
            stopping: false,
        }
    }

    pub fn state(&self) -> &State {
        &self.state
    }
    /// Whether records are to be read, processed and offered.
    pub fn flowing(&self) -> bool {
        self.state == State::Flowing && !self.assigned.is_empty()
    }
    pub fn ended(&self) -> bool {
        self.state == State::Ended
    }
    pub fn assigned(&self) -> &BTreeSet<Partition> {
        &self.assigned
    }
    /// Whether everything offered has been committed.
    pub fn settled(&self) -> bool {
        self.uncommitted.is_none() && self.committing == 0
    }

    /// Takes one input. `jitter` is between 0 and 1: the share of a back-off that is left to chance.
    pub fn on(&mut self, input: Input, now: Instant, jitter: f64) -> Vec<Action> {
        match input {
            Input::Assigned(partitions) => self.on_assigned(partitions, now),
            Input::Revoked(partitions) => self.on_revoked(partitions, now),
            Input::Lost(partitions) => self.on_lost(partitions),
            Input::Offered { full } => {
                self.lagging = full;
                self.uncommitted.get_or_insert(now);
                Vec::new()
            }
            Input::Exhausted if self.state == State::Flowing && self.committing == 0 => self.commit(),
            Input::Exhausted => Vec::new(),
            Input::Claimed(positions) => self.on_claimed(positions, now),
            Input::Committed => self.on_committed(now),
            Input::Failed(setback) => self.on_failed(setback, now, jitter),
            Input::Tick => self.on_tick(now),
            Input::Stop => self.on_stop(now),
        }
    }

    fn on_assigned(&mut self, partitions: Vec<Partition>, now: Instant) -> Vec<Action> {
        self.assigned.extend(partitions);
        match self.state {
            State::Flowing if !self.settled() => self.drain(Why::Assigned, now),
            State::Flowing | State::Claiming => self.claim(),
            State::Recovering { .. } | State::Draining { .. } | State::Standing(_) | State::Ended => Vec::new(),
        }
    }

    fn on_revoked(&mut self, partitions: Vec<Partition>, now: Instant) -> Vec<Action> {
        if self.ended() {
            return vec![Action::Release(partitions)];
        }
        if !self.settled() {
            let gone = self.with_those_drained(partitions);
            match self.state {
                State::Flowing | State::Draining { .. } => return self.drain(Why::Revoked(gone), now),
                _ => return self.give_up(gone.into_iter().collect()),
            }
        }
        self.give_up(partitions)
    }

    fn on_lost(&mut self, partitions: Vec<Partition>) -> Vec<Action> {
        if self.ended() {
            return vec![Action::Release(partitions)];
        }
        // What was written for them must not commit; what was written for the others is read again.
        let mut actions = vec![Action::Discard, Action::Abort];
        self.forget_written();
        let gone = self.with_those_drained(partitions);
        actions.extend(self.give_up(gone.into_iter().collect()));
        actions
    }

    /// These, and those of an earlier revocation whose drain has not ended.
    fn with_those_drained(&self, partitions: Vec<Partition>) -> BTreeSet<Partition> {
        let earlier = match &self.state {
            State::Draining { why: Why::Revoked(earlier), .. } => earlier.clone(),
            _ => BTreeSet::new(),
        };
        partitions.into_iter().chain(earlier).collect()
    }

    fn on_claimed(&mut self, positions: Positions, now: Instant) -> Vec<Action> {
        if self.state != State::Claiming {
            return Vec::new();
        }
        self.state = State::Flowing;
        self.flowing_since = Some(now);
        vec![Action::Flow(positions)]
    }

    fn on_committed(&mut self, now: Instant) -> Vec<Action> {
        self.committing = self.committing.saturating_sub(1);
        self.recovered();
        match &self.state {
            State::Draining { .. } if self.settled() => self.drained(),
            State::Draining { .. } if self.committing == 0 => self.commit(),
            State::Flowing => self.on_tick(now),
            _ => Vec::new(),
        }
    }

    fn on_failed(&mut self, setback: Setback, now: Instant, jitter: f64) -> Vec<Action> {
        let mut actions = vec![Action::Discard, Action::Pause, Action::Abort];
        self.forget_written();
        match self.state.clone() {
            State::Ended | State::Standing(_) => return Vec::new(),
            State::Draining { why: Why::Stop, .. } => return actions.into_iter().chain(self.end()).collect(),
            State::Draining { why: Why::Revoked(gone), .. } => {
                self.assigned.retain(|p| !gone.contains(p));
                actions.push(Action::Release(gone.into_iter().collect()));
            }
            _ => {}
        }
        if setback.remedy == Remedy::Stand {
            self.state = State::Standing(setback.until_restart());
            return actions;
        }
        let since = *self.failing_since.get_or_insert(now);
        if let Some(limit) = self.patience.give_up_after
            && now.duration_since(since) >= limit
        {
            let help = format!("it has failed for {limit:?}, the route's give_up_after: mend this");
            self.state = State::Standing(Setback::stand(setback.cause, setback.message, help).until_restart());
            return actions;
        }
        self.attempt += 1;
        // Another owner is no fault, nor are records that are refused: claiming again at once is right, unless it happens
        // over and over.
        let wait = if matches!(setback.cause, Cause::Fenced | Cause::Refused) && self.attempt <= 3 {
            Duration::ZERO
        } else {
            backoff(self.patience.initial, self.patience.max, self.attempt, jitter)
        };
        self.state = State::Recovering { at: now + wait, attempt: self.attempt };
        actions
    }

    fn on_tick(&mut self, now: Instant) -> Vec<Action> {
        match &self.state {
            State::Recovering { at, .. } if now >= *at => self.claim(),
            State::Flowing => {
                // A quiet route has no commit to tell that what failed is over: having flowed for a while does.
                if self.settled() && self.flowing_since.is_some_and(|s| now.duration_since(s) >= self.patience.max) {
                    self.recovered();
                }
                let Patience { commit_interval, lagging_interval, .. } = self.patience;
                let interval = if self.lagging { lagging_interval } else { commit_interval };
                // One commit at a time: the interval stretches to what a commit takes.
                match self.uncommitted {
                    Some(since) if self.committing == 0 && now.duration_since(since) >= interval => self.commit(),
                    _ => Vec::new(),
                }
            }
            State::Draining { by, .. } if now >= *by => {
                self.forget_written();
                let mut actions = vec![Action::Abort];
                actions.extend(self.drained());
                actions
            }
            _ => Vec::new(),
        }
    }

    fn on_stop(&mut self, now: Instant) -> Vec<Action> {
        if self.ended() {
            return Vec::new();
        }
        let again = std::mem::replace(&mut self.stopping, true);
        match self.state {
            State::Flowing | State::Draining { .. } if !again && !self.settled() => self.drain(Why::Stop, now),
            _ => {
                self.forget_written();
                let mut actions = vec![Action::Discard, Action::Abort];
                actions.extend(self.end());
                actions
            }
        }
    }

    /// Commits what has been offered, then does what `why` says; at the deadline it does so without the commit.
    fn drain(&mut self, why: Why, now: Instant) -> Vec<Action> {
        let why = match &self.state {
            // A stop outranks what was going on; a revocation during a stop ends in the stop.
            State::Draining { why: Why::Stop, .. } => Why::Stop,
            _ => why,
        };
        let by = match self.state {
            State::Draining { by, .. } => by,
            _ => now + self.patience.drain,
        };
        self.state = State::Draining { why, by };
        let mut actions = vec![Action::Discard, Action::Pause];
        if self.committing == 0 {
            actions.extend(self.commit());
        }
        actions
    }

    fn drained(&mut self) -> Vec<Action> {
        let State::Draining { why, .. } = self.state.clone() else { return Vec::new() };
        match why {
            Why::Stop => self.end(),
            Why::Assigned => self.claim(),
            Why::Revoked(gone) => self.give_up(gone.into_iter().collect()),
        }
    }

    /// Claims the partitions that stay, then releases these: the claim pauses what the release would have to seek again,
    /// and what is still under way for them ends before others have them.
    fn give_up(&mut self, gone: Vec<Partition>) -> Vec<Action> {
        self.assigned.retain(|p| !gone.contains(p));
        let release = Action::Release(gone);
        match self.state {
            State::Recovering { .. } | State::Standing(_) | State::Ended => vec![Action::Discard, release],
            State::Draining { why: Why::Stop, .. } => {
                [Action::Discard, release].into_iter().chain(self.end()).collect()
            }
            _ => self.claim().into_iter().chain([release]).collect(),
        }
    }

    fn claim(&mut self) -> Vec<Action> {
        self.state = State::Claiming;
        vec![Action::Discard, Action::Pause, Action::Claim(self.assigned.iter().cloned().collect())]
    }

    fn commit(&mut self) -> Vec<Action> {
        if self.uncommitted.take().is_none() {
            return Vec::new();
        }
        self.committing += 1;
        vec![Action::Commit]
    }

    /// The failures so far are over: the next one is a first.
    fn recovered(&mut self) {
        self.attempt = 0;
        self.failing_since = None;
    }

    fn forget_written(&mut self) {
        self.uncommitted = None;
        self.committing = 0;
    }

    fn end(&mut self) -> Vec<Action> {
        self.state = State::Ended;
        vec![Action::End]
    }
}

/// Exponential back-off with full jitter over its upper half.
pub fn backoff(initial: Duration, max: Duration, attempt: u32, jitter: f64) -> Duration {
    let doubled = initial.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1).min(20)));
    let full = doubled.min(max);
    full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}
