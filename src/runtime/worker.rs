//! The worker: one consumer of one route. It polls, processes, and hands batches to its deliverer.
//!
//! All decisions are [`Flow`]'s; this thread only carries them out. While a batch is delivered, the next ones are processed,
//! up to [`QUEUED`].

use super::{
    deliverer::{Answer, Committed, Order, Report, Task},
    fetch::Fetch,
    flow::{Action, Flow, Input, State},
    hand::{Hand, Notes, first_timestamp},
    supervisor::Notice,
};
use crate::{
    destination::{Ticket, Work},
    failure::{Cause, Setback},
    record::{Partition, Records},
    route::{Known, Program, Target, Writer},
    source::{self, Source},
    telemetry::{self, Sample, WorkerTelemetry},
};
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

/// How long the worker waits for records before it looks at its reports again. A report wakes it earlier.
const WAIT: Duration = Duration::from_millis(50);

/// The same while a batch waits for room at the deliverer, of which no report tells.
const ROOM: Duration = Duration::from_millis(5);

/// Records, and about how many bytes of them, a batch holds at most: small enough to stay in a core's cache on its way.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 256 << 10;

/// How often a worker that has caught up asks whether the others have.
const COMPARE: Duration = Duration::from_millis(250);

/// An id that the registry does not know is not asked for again before this, or before its grace is over once more.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// So many unknown ids are remembered.
const GRACED: usize = 1024;

/// Batches that may wait for the deliverer before no further one is offered: what is read and processed while a commit to
/// topics is waited for, some 20 ms of full load, and 6 MiB of records at most.
const QUEUED: usize = 24;

/// The same for tables, which take longer over a batch than it took to make: what waits only gets cold.
const QUEUED_FOR_TABLES: usize = 8;

/// What a worker can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Commit what is under way and leave; told twice, leave at once.
    Stop,
}

pub struct Worker {
    pub source: Source,
    pub flow: Flow,
    pub program: Option<Program>,
    pub known: Known,
    pub fetch: Fetch,
    pub orders: Sender<Order>,
    pub reports: Receiver<Report>,
    /// Closed once the deliverer has ended.
    pub delivered: Receiver<()>,
    pub commands: Receiver<Command>,
    pub telemetry: WorkerTelemetry,
    pub until_caught_up: bool,
    /// Where the supervisor hears of us, and by which number.
    pub notices: Sender<Notice>,
    pub index: usize,
    pub hand: Hand,
}

/// How a worker ended.
#[derive(Debug)]
pub enum Ending {
    /// It was stopped, or has caught up; with the setback that it stood on, if any.
    Left(Option<Setback>),
    /// Its client is of no more use, and a new worker may go on.
    Dead(Setback),
}

impl Worker {
    /// Runs until it is stopped, has caught up, or can never go on; or its deliverer has ended by a panic, which is then
    /// the post's to pass on.
    pub fn run(&mut self) -> Ending {
        while !self.flow.ended() && self.delivered.try_recv() == Err(TryRecvError::Empty) {
            for event in self.source.serve() {
                self.on_event(event);
            }
            while let Ok(report) = self.reports.try_recv() {
                self.on_report(report);
            }
            while let Ok(Command::Stop) = self.commands.try_recv() {
                self.hand.told = true;
                self.input(Input::Stop);
            }
            if self.until_caught_up {
                self.compare();
            }
            self.input(Input::Tick);
            if *self.flow.state() == State::Claiming
                && let Some(why) = self.source.trouble()
            {
                self.telemetry.troubled(&why);
            }
            if self.hand.joining && *self.flow.state() == State::Flowing {
                self.tell_flowing();
            }
            self.ask_ends();
            self.look();
            self.forget_thrown();
            self.turn();
        }
        self.source.close();
        let left: Vec<Partition> = self.hand.committed.keys().cloned().collect();
        self.telemetry.route().released(&named(&left));
        match self.hand.dead.take() {
            Some(dead) if !self.hand.told => return Ending::Dead(dead),
            // By its successor, most likely: a new client would take its place from it.
            Some(dead) => {
                let (route, cause, why) = (self.telemetry.route().name(), dead.cause.name(), &dead.message);
                tracing::warn!(route, cause, "leaves without its last commit; those records are read again: {why}");
            }
            None => {}
        }
        self.telemetry.state(telemetry::State::Stopped);
        Ending::Left(self.hand.standing.take())
    }

    /// Leaves when nothing ever will be read, or asks whether the whole group has caught up once our own part of it has:
    /// a worker may get no partition, or lose all of its own to others, who then may not get to their ends. One who left
    /// while the group has yet to answer it would stay a member without a process, and hold the next run up.
    fn compare(&mut self) {
        match self.flow.state() {
            State::Standing(_) => self.input(Input::Stop),
            State::Flowing => {
                if self.all_offered() {
                    self.input(Input::Exhausted);
                }
                let due = self.hand.compare_at.is_none_or(|at| at <= Instant::now());
                if self.idle() && due && !self.hand.comparing && !self.source.joining() {
                    self.hand.comparing = true;
                    self.order(Task::Compare);
                }
            }
            _ => {}
        }
    }

    /// Whether nothing is under way, and everything that was there at the claim is read.
    pub(super) fn idle(&self) -> bool {
        self.flow.settled() && self.all_offered()
    }

    fn all_offered(&self) -> bool {
        self.hand.held.is_none() && self.hand.ready.is_none() && self.source.caught_up()
    }

    fn compared(&mut self, behind: Option<Partition>) {
        let Some(partition) = behind else { return self.input(Input::Stop) };
        self.hand.comparing = false;
        if let Err(setback) = self.source.join() {
            self.failed(setback);
        }
        self.hand.compare_at = Some(Instant::now() + COMPARE);
        self.telemetry.waits_for(&partition.topic, partition.id);
    }

    /// Reads, processes, or waits.
    fn turn(&mut self) {
        if !self.flow.flowing() || self.hand.ready.is_some() || self.hand.fetching {
            let wait = if self.hand.ready.is_some() { ROOM } else { WAIT };
            if let Ok(report) = self.reports.recv_timeout(wait) {
                self.on_report(report);
            }
        } else if let Some(batch) = self.hand.held.take().or_else(|| self.source.batch(BATCH, BATCH_BYTES, WAIT)) {
            self.process(batch);
        }
        if self.flow.flowing() {
            self.offer();
        }
    }

    fn process(&mut self, batch: source::Batch) {
        // The registry may have learnt of an id since its grace was over.
        if self.hand.unknown_since.is_some_and(|since| since.elapsed() >= self.fetch.grace.max(ASK_AGAIN)) {
            self.hand.unknown_since = None;
            self.known.writers.retain(|_, writer| !matches!(writer, Writer::Unknown(_)));
        }
        let program = self.program.as_mut().expect("records flow after a claim, which brings the program");
        let began = Instant::now();
        match program.process(&batch.records, &self.known, now_micros()) {
            Err(wants) => {
                self.hand.held = Some(batch);
                self.hand.fetching = true;
                let patience = wants.schema_ids.iter().any(|id| !self.hand.graced.contains(id));
                self.fetch.start(self.hand.attempt.now(), wants, patience);
                self.tell_held();
            }
            Ok(mut outcomes) => {
                let records = batch.records.len();
                self.telemetry.route().batch_processed(records, began.elapsed());
                let mut notes = Notes {
                    warned: std::mem::take(&mut outcomes.warned),
                    unknown_fields: outcomes.unknown_fields,
                    oldest: first_timestamp(&batch.records),
                    bytes: batch.records.bytes() as u64,
                    sample: Sample::default(),
                };
                notes.sample.of_batch(records, |i| batch.records.get(i).timestamp);
                let work = Work { batch: Box::new(batch.records), outcomes, targets: program.targets() };
                self.hand.ready = Some((work, batch.positions, notes));
                self.tell_held();
            }
        }
    }

    fn offer(&mut self) {
        let Some((work, ..)) = &self.hand.ready else { return };
        let tables = matches!(work.targets.first(), Some(Target::Table(_)));
        // Back-pressure: enough is waiting for the deliverer.
        if self.orders.len() >= if tables { QUEUED_FOR_TABLES } else { QUEUED } {
            return;
        }
        let Some((work, positions, notes)) = self.hand.ready.take() else { return };
        let full = work.batch.len() >= BATCH || notes.bytes >= BATCH_BYTES as u64;
        self.order(Task::Write(work));
        self.hand.offered.extend(positions);
        self.hand.notes.add(notes);
        self.input(Input::Offered { full });
    }

    fn on_event(&mut self, event: source::Event) {
        match event {
            source::Event::Assigned(p) => {
                self.telemetry.route().rebalanced("assigned", &named(&p));
                self.input(Input::Assigned(p));
            }
            source::Event::Revoked(p) => {
                self.telemetry.route().rebalanced("revoked", &named(&p));
                self.input(Input::Revoked(p));
            }
            source::Event::Lost(p) => {
                self.telemetry.route().rebalanced("lost", &named(&p));
                self.input(Input::Lost(p));
            }
            source::Event::Failed(setback) => self.failed(setback),
            source::Event::Dead(setback) => {
                self.hand.dead = Some(setback);
                // Nothing can be committed any more: as told twice.
                self.input(Input::Stop);
                self.input(Input::Stop);
            }
        }
    }

    fn on_report(&mut self, report: Report) {
        if let Answer::Opened(program) = report.what {
            // Whatever attempt opened the destination, this is its program.
            self.program = Some(*program);
            return;
        }
        if report.attempt != self.hand.attempt.now() {
            return;
        }
        match report.what {
            Answer::Claimed(positions, topics) => {
                self.look_after(topics);
                self.hand.committed.clone_from(&positions);
                self.input(Input::Claimed(positions));
                self.hand.lag_at = None;
            }
            Answer::Stored(positions) => {
                // Some may have been given up meanwhile. Of a topic that was made anew the group has read nothing.
                let at = |p: &Partition| (p.clone(), positions.get(p).copied().unwrap_or(0));
                self.hand.committed = self.flow.assigned().iter().map(at).collect();
                self.ask_for_ends();
            }
            Answer::Ends(ends) => self.tell_lag(|p| ends.get(p).copied()),
            Answer::Looked(found) => self.looked(found.as_ref()),
            Answer::Committed(committed) => self.committed(&committed),
            Answer::Failed(setback) => self.failed(setback),
            Answer::Compared(behind) => self.compared(behind),
            Answer::Fetched(writers) => {
                self.hand.fetching = false;
                // Bytes that are no ids bring ever new ones.
                if self.hand.graced.len() > GRACED {
                    self.hand.graced.clear();
                }
                for (id, _) in writers.iter().filter(|(_, writer)| matches!(writer, Writer::Unknown(_))) {
                    self.hand.graced.insert(*id);
                    self.hand.unknown_since.get_or_insert_with(Instant::now);
                }
                self.known.writers.extend(writers);
            }
            Answer::Opened(_) => {}
        }
    }

    fn committed(&mut self, committed: &Committed) {
        self.tell_committed(committed);
        // This may have been the last.
        self.hand.compare_at = None;
        self.input(Input::Committed);
    }

    pub(super) fn failed(&mut self, setback: Setback) {
        self.input(Input::Failed(setback.clone()));
        if setback.cause == Cause::Tripped {
            let told = if let State::Standing(standing) = self.flow.state() { standing } else { &setback };
            self.telemetry.tripped(&told.message, &told.help);
            return self.stand();
        }
        match self.flow.state() {
            State::Recovering { at, attempt } => {
                self.telemetry.setback(&setback, *attempt, at.saturating_duration_since(Instant::now()));
            }
            State::Standing(standing) => self.telemetry.setback(standing, 1, Duration::ZERO),
            State::Ended => {
                let (route, cause, why) = (self.telemetry.route().name(), setback.cause.name(), &setback.message);
                tracing::warn!(route, cause, "leaves without its last commit; those records are read again: {why}");
            }
            _ => {}
        }
        self.stand();
    }

    /// Tells the supervisor when only a person can help.
    fn stand(&mut self) {
        if let State::Standing(setback) = self.flow.state() {
            self.hand.standing = Some(setback.clone());
            // A supervisor that is gone has ended the process.
            let _ = self.notices.send(Notice::Stands { worker: self.index, setback: setback.clone() });
        }
    }

    fn input(&mut self, input: Input) {
        let before = std::mem::discriminant(self.flow.state());
        let settled = self.flow.settled();
        let actions = self.flow.on(input, Instant::now(), jitter());
        for action in actions {
            self.act(action);
        }
        if std::mem::discriminant(self.flow.state()) != before {
            match self.flow.state() {
                State::Claiming => {}
                State::Flowing => self.tell_flowing(),
                State::Draining { .. } => self.telemetry.state(telemetry::State::Draining),
                // Their setback says so.
                State::Recovering { .. } | State::Standing(_) => {}
                State::Ended => self.hand.undelivered = !settled,
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Discard => {
                self.hand.held = None;
                self.hand.ready = None;
                self.hand.fetching = false;
                self.hand.comparing = false;
            }
            Action::Pause => self.source.pause(),
            Action::Abort => {
                self.hand.attempt.next();
                self.hand.offered.clear();
                self.hand.notes = Notes::default();
                self.hand.committing = Notes::default();
                // The oldest record stays on the board: it gets older while nothing flows.
                self.telemetry.holds_nothing();
                self.hand.thrown = true;
                self.order(Task::Abort);
            }
            Action::Claim(partitions) => {
                self.hand.attempt.next();
                self.hand.offered.clear();
                self.order(Task::Claim(partitions));
            }
            Action::Flow(positions) => {
                if let Err(setback) = self.source.flow(&positions) {
                    self.failed(setback);
                }
            }
            Action::Commit => {
                let group = self.source.group_metadata();
                let positions = std::mem::take(&mut self.hand.offered);
                self.hand.committing = std::mem::take(&mut self.hand.notes);
                self.order(Task::Commit(Ticket { positions, group }));
            }
            Action::Release(partitions) => {
                self.hand.committed.retain(|p, _| !partitions.contains(p));
                self.telemetry.route().released(&named(&partitions));
                self.tell_held();
                self.source.release(&partitions);
            }
            Action::End => {}
        }
    }

    pub(super) fn order(&self, what: Task) {
        let sent = self.orders.send(Order { attempt: self.hand.attempt.now(), what });
        sent.expect("the deliverer listens until its worker hangs up, unless it has panicked");
    }
}

fn named(partitions: &[Partition]) -> Vec<(std::sync::Arc<str>, i32)> {
    partitions.iter().map(|p| (p.topic.clone(), p.id)).collect()
}

fn now_micros() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
}

/// A number between 0 and 1 from the standard library's own random keys.
pub fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    (RandomState::new().hash_one(0u8) >> 11) as f64 / (1u64 << 53) as f64
}
