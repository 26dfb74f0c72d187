//! The board: what each route is doing, as pages and `/health` show it. Snapshots are clones; nothing here waits.

use crate::failure::Stage;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// A route's place on the board.
pub(super) type Shared = Arc<Mutex<RouteView>>;

/// What a worker, and so its route, is doing; from the calmest to what needs a person most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It has ended: caught up, or shut down.
    Stopped,
    /// Records flow, or would if there were any.
    Flowing,
    /// It has not had its first positions yet.
    Starting,
    /// It finishes what it holds before it gives partitions up.
    Draining,
    /// After a setback: it waits, then goes on from the committed positions.
    Recovering,
    /// A setback that only a person can end.
    Standing,
    /// The breaker stopped it: too many records failed.
    Tripped,
}

impl State {
    pub const ALL: [State; 7] = [
        State::Starting,
        State::Flowing,
        State::Recovering,
        State::Draining,
        State::Standing,
        State::Tripped,
        State::Stopped,
    ];

    /// The state's name in metrics, logs and pages.
    pub const fn name(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Flowing => "flowing",
            State::Recovering => "recovering",
            State::Draining => "draining",
            State::Standing => "standing",
            State::Tripped => "tripped",
            State::Stopped => "stopped",
        }
    }
}

/// Records by outcome since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub delivered: u64,
    pub filtered: u64,
    pub dead_lettered: u64,
}

impl Counts {
    pub fn consumed(&self) -> u64 {
        self.delivered + self.filtered + self.dead_lettered
    }
}

/// What holds a worker up, or did last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetbackView {
    pub at: Timestamp,
    /// The name of a [`Cause`](crate::failure::Cause), or `breaker`.
    pub cause: &'static str,
    pub message: String,
    /// What to do about it; empty where waiting is all there is.
    pub help: String,
    /// How often it has been tried in a row; 0 while the first try lasts.
    pub attempt: u32,
}

/// Something that a worker cannot do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// As people name it: `Kafka at host:9092`.
    pub what: String,
    pub since: Timestamp,
}

/// One worker's part of a route.
#[derive(Clone, Debug)]
pub(super) struct WorkerView {
    pub(super) state: State,
    pub(super) since: Timestamp,
    /// Timestamp (milliseconds since the epoch) of the oldest record that was read and is not committed.
    pub(super) oldest: Option<i64>,
    pub(super) buffered_bytes: u64,
    /// Dead letters that are committed and not yet relayed, by the partition that their records came from.
    pub(super) outbox: BTreeMap<(Arc<str>, i32), u64>,
}

/// A route as it stands.
#[derive(Clone, Debug)]
pub struct RouteView {
    pub name: String,
    pub(super) workers: BTreeMap<usize, WorkerView>,
    /// When the route was put on the board.
    pub(super) added: Timestamp,
    /// What each worker waits for before records can flow, by its number.
    pub(super) awaited: BTreeMap<usize, Awaited>,
    /// The latest setback; kept after it is over.
    pub setback: Option<SetbackView>,
    pub counts: Counts,
    /// By case, in the order of the program; only of routes with cases. `otherwise` is one.
    pub cases: BTreeMap<String, Counts>,
    pub failures: BTreeMap<(Stage, String), u64>,
    pub rule_warnings: BTreeMap<String, u64>,
    /// Records behind the end, for each partition that this process holds.
    pub lag: BTreeMap<(Arc<str>, i32), u64>,
}

impl RouteView {
    pub(super) fn new(name: &str) -> RouteView {
        RouteView {
            name: name.to_owned(),
            workers: BTreeMap::new(),
            added: Timestamp::now(),
            awaited: BTreeMap::new(),
            setback: None,
            counts: Counts::default(),
            cases: BTreeMap::new(),
            failures: BTreeMap::new(),
            rule_warnings: BTreeMap::new(),
            lag: BTreeMap::new(),
        }
    }

    /// The state that needs attention most among its workers'; starting while there is none.
    pub fn state(&self) -> State {
        self.workers.values().map(|w| w.state).max().unwrap_or(State::Starting)
    }

    /// Since when the route is in its state.
    pub fn since(&self) -> Timestamp {
        let state = self.state();
        self.workers.values().filter(|w| w.state == state).map(|w| w.since).min().unwrap_or(self.added)
    }

    /// What the route has been waiting for for the longest time.
    pub fn awaited(&self) -> Option<&Awaited> {
        self.awaited.values().min_by_key(|a| a.since)
    }

    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    pub fn buffered_bytes(&self) -> u64 {
        self.workers.values().map(|w| w.buffered_bytes).sum()
    }

    /// Dead letters that are committed and not yet relayed.
    pub fn outbox(&self) -> u64 {
        self.workers.values().flat_map(|w| w.outbox.values()).sum()
    }

    /// Seconds since the timestamp of the oldest record that was read and is not committed; 0 where there is none.
    pub fn oldest_unprocessed(&self, now: Timestamp) -> f64 {
        let oldest = self.workers.values().filter_map(|w| w.oldest).min();
        oldest.map_or(0.0, |ms| (now.as_millisecond().saturating_sub(ms)).max(0) as f64 / 1000.0)
    }
}
