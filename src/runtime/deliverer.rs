//! The deliverer: a worker's second thread. It owns the destination and carries out orders one after the other.
//!
//! Write → settle → judge → commit, in this order: only so do refusals reach the breaker, and letters the transaction.

use super::breaker::Breaker;
use crate::{
    destination::{Destination, Tally, Ticket, Work},
    failure::Setback,
    record::{Partition, Positions},
    route::{Program, Writer},
};
use crossbeam_channel::{Receiver, Sender};
use std::time::{Duration, Instant};

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
    Failed(Setback),
    /// What the worker wanted to know of the registry.
    Fetched(Vec<(u32, Writer)>),
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
    fn start(&mut self, partitions: &[Partition]) -> Result<Positions, Setback>;

    /// The ids of the route's topics, where the broker tells them: a topic that was deleted and made again has another.
    ///
    /// # Errors
    /// The broker's.
    fn topic_ids(&mut self) -> Result<std::collections::BTreeMap<String, String>, Setback>;
}

pub struct Deliverer {
    pub opener: Box<dyn Opener>,
    pub breaker: Breaker,
    pub destination: Option<Box<dyn Destination>>,
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
        for Order { attempt, what } in orders {
            if attempt != self.attempt {
                self.attempt = attempt;
                self.failed = false;
            }
            if self.failed && !matches!(what, Task::Abort) {
                continue;
            }
            match self.carry_out(what) {
                Ok(Some(answer)) => self.report(answer),
                Ok(None) => {}
                Err(setback) => {
                    self.failed = true;
                    self.report(Answer::Failed(setback));
                }
            }
        }
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
        let topics = self.opener.topic_ids()?;
        let opener = &mut self.opener;
        let destination = self.destination.as_mut().expect("opened above");
        destination.claim(partitions, &topics, &mut |absent| opener.start(absent))
    }

    fn commit(&mut self, ticket: Ticket) -> Result<Committed, Setback> {
        let began = Instant::now();
        let tally = self.opened().settle()?;
        self.breaker.judge(tally.total(), began)?;
        let positions = ticket.positions.clone();
        self.opened().commit(ticket)?;
        Ok(Committed { tally, positions, took: began.elapsed() })
    }

    fn opened(&mut self) -> &mut dyn Destination {
        self.destination.as_deref_mut().expect("writes and commits follow a claim, which opens the destination")
    }
}
