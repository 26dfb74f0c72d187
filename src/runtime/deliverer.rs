//! The deliverer: a worker's second thread. It owns the destination and carries out orders one after the other.
//!
//! Write → settle → judge → commit, in this order: only so do refusals reach the breaker, and letters the transaction.

use super::breaker::Breaker;
use crate::{
    destination::{Begin, Destination, Tally, Ticket, TopicInfos, Work},
    failure::Setback,
    record::{Partition, Positions},
    route::{Program, Writer},
};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// How long without an order until the destination is tended.
const IDLE: Duration = Duration::from_secs(1);

/// Work for the deliverer, of one attempt of the worker's: orders of an earlier attempt are skipped.
#[derive(Debug)]
pub struct Order {
    pub attempt: u64,
    pub what: Task,
}

#[derive(Debug)]
pub enum Task {
    Claim(Vec<Partition>),
    Write(Work),
    Commit(Ticket),
    /// Is the group at the ends that the topics had at the start?
    Compare,
    /// Throws the open transaction away; this order's attempt is the new one.
    Abort,
}

/// The answer to an order, with its attempt.
pub struct Report {
    pub attempt: u64,
    pub what: Answer,
}

pub enum Answer {
    /// The destination has been opened: the program whose rows it takes.
    Opened(Box<Program>),
    Claimed(Positions),
    Committed(Box<Committed>),
    /// A partition in which the group is not at the end of the start yet; none: it has caught up.
    Compared(Option<Partition>),
    Failed(Setback),
    /// What the worker wanted to know of the registry.
    Fetched(Vec<(u32, Writer)>),
    /// Where partitions end.
    Ends(Positions),
}

/// What a commit held.
pub struct Committed {
    pub tally: Tally,
    pub positions: Positions,
    /// From settling to the commit's answer.
    pub took: Duration,
}

/// Opens a worker's destination: everything that may be missing or unreachable is found here.
pub trait Opener: Send {
    /// # Errors
    /// Unreachable: retried. Missing (a table, a topic, a subject): the route stands and says what would make it.
    fn open(&mut self) -> Result<(Program, Box<dyn Destination>), Setback>;

    /// Where partitions without a position begin.
    ///
    /// # Errors
    /// The broker's.
    fn start(&mut self, partitions: &[Partition], why: Begin) -> Result<Positions, Setback>;

    /// The route's topics as they are now.
    ///
    /// # Errors
    /// The broker's.
    fn topics(&mut self) -> Result<TopicInfos, Setback>;

    /// Where every partition of these topics ends now.
    ///
    /// # Errors
    /// The broker's.
    fn ends(&mut self, topics: &TopicInfos) -> Result<Positions, Setback>;
}

pub struct Deliverer {
    pub opener: Box<dyn Opener>,
    pub breaker: Breaker,
    pub destination: Option<Box<dyn Destination>>,
    pub until_caught_up: bool,
    /// The ends of the start: what "caught up" means.
    pub goal: Option<Positions>,
    pub reports: Sender<Report>,
    /// Ends the worker's wait for records.
    pub wake: Box<dyn Fn() + Send>,
    /// The newest attempt that an order has named; a failed one's other orders are skipped.
    pub attempt: u64,
    pub failed: bool,
}

impl Deliverer {
    /// Runs until the worker hangs up.
    pub fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let task = match orders.recv_timeout(IDLE) {
                Ok(Order { attempt, what }) => {
                    if attempt != self.attempt {
                        self.attempt = attempt;
                        self.failed = false;
                    }
                    Some(what)
                }
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.failed && !matches!(task, Some(Task::Abort)) {
                continue;
            }
            let answer = task.map_or(Ok(None), |task| self.carry_out(task));
            // Before the answer: a partition that is given up after it goes with its letters relayed.
            let tended = match &mut self.destination {
                Some(destination) if answer.is_ok() => destination.tend(),
                _ => Ok(()),
            };
            match answer {
                Ok(Some(answer)) => self.report(answer),
                Ok(None) => {}
                Err(setback) => self.fail(setback),
            }
            if let Err(setback) = tended {
                self.fail(setback);
            }
        }
    }

    fn fail(&mut self, setback: Setback) {
        self.failed = true;
        self.report(Answer::Failed(setback));
    }

    fn report(&self, what: Answer) {
        // A worker that has ended does not listen any more.
        let _ = self.reports.send(Report { attempt: self.attempt, what });
        (self.wake)();
    }

    fn carry_out(&mut self, task: Task) -> Result<Option<Answer>, Setback> {
        match task {
            Task::Claim(partitions) => self.claim(&partitions).map(|p| Some(Answer::Claimed(p))),
            Task::Write(work) => self.opened().write(work).map(|()| None),
            Task::Commit(ticket) => self.commit(ticket).map(|c| Some(Answer::Committed(Box::new(c)))),
            Task::Compare => self.compare().map(|behind| Some(Answer::Compared(behind))),
            Task::Abort => {
                // A destination that cannot even abort is opened anew: its successor fences what it left behind.
                if let Some(destination) = &mut self.destination
                    && let Err(setback) = destination.abort()
                {
                    tracing::debug!(%setback, "abort failed; the destination will be opened again");
                    self.destination = None;
                }
                Ok(None)
            }
        }
    }

    fn claim(&mut self, partitions: &[Partition]) -> Result<Positions, Setback> {
        if self.destination.is_none() {
            let (program, destination) = self.opener.open()?;
            self.destination = Some(destination);
            self.report(Answer::Opened(Box::new(program)));
        }
        let topics = self.opener.topics()?;
        if self.until_caught_up && self.goal.is_none() {
            self.goal = Some(self.opener.ends(&topics)?);
        }
        let opener = &mut self.opener;
        let destination = self.destination.as_mut().expect("opened above");
        destination.claim(partitions, &topics, &mut |absent, why| opener.start(absent, why))
    }

    /// The first partition that nobody has brought to its goal. A position behind the end of its topic is not one that
    /// has got there: whoever claims the partition tells what became of its records.
    fn compare(&mut self) -> Result<Option<Partition>, Setback> {
        let topics = self.opener.topics()?;
        let ends = self.opener.ends(&topics)?;
        let goal = self.goal.take().unwrap_or_default();
        let partitions: Vec<Partition> = goal.keys().cloned().collect();
        let stored = self.opened().stored(&partitions, &topics);
        let there = |p: &Partition, end: i64, at: i64| at >= end && ends.get(p).is_some_and(|now| at <= *now);
        let behind = stored.map(|stored| {
            goal.iter().find(|(p, end)| !stored.get(p).is_some_and(|at| there(p, **end, *at))).map(|(p, _)| p.clone())
        });
        self.goal = Some(goal);
        behind
    }

    fn commit(&mut self, ticket: Ticket) -> Result<Committed, Setback> {
        let began = Instant::now();
        let tally = self.opened().settle()?;
        let counts = tally.total();
        if let Err(tripped) = self.breaker.judge(counts, began) {
            // Where it cannot be remembered, the environment's setback comes first: the records are read and judged again.
            self.opened().trip()?;
            return Err(tripped);
        }
        let positions = ticket.positions.clone();
        self.opened().commit(ticket)?;
        self.breaker.committed(counts, began);
        Ok(Committed { tally, positions, took: began.elapsed() })
    }

    fn opened(&mut self) -> &mut dyn Destination {
        self.destination.as_deref_mut().expect("writes and commits follow a claim, which opens the destination")
    }
}
