//! The deliverer: a worker's second thread. It owns the destination and carries out orders one after the other.
//!
//! Write → settle → judge → commit, in this order: only so do refusals reach the breaker, and letters the transaction.

use super::breaker::Breaker;
use crate::{
    destination::{Begin, Destination, Tally, Ticket, TopicInfos, Work},
    failure::{Cause, Setback},
    record::{Partition, Positions},
    route::{Program, Writer},
};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long without an order until the destination is tended.
const IDLE: Duration = Duration::from_secs(1);

/// Grows whenever everything under way is thrown away: the worker moves it on, and its deliverer looks at it.
#[derive(Clone, Debug, Default)]
pub struct Attempt(Arc<AtomicU64>);

impl Attempt {
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub fn next(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

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
    /// Where does the group stand in these partitions? Asked while nothing is claimed.
    Stored(Vec<Partition>),
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
    /// The positions, and the topics as they were found.
    Claimed(Positions, TopicInfos),
    Stored(Positions),
    Committed(Box<Committed>),
    /// A partition in which the group is not at the end of the start yet; none: it has caught up.
    Compared(Option<Partition>),
    Failed(Setback),
    /// What the worker wanted to know of the registry.
    Fetched(Vec<(u32, Writer)>),
    /// Where partitions end.
    Ends(Positions),
    /// The route's topics as they are now; `None` where the cluster does not say.
    Looked(Option<TopicInfos>),
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
    /// The worker's attempt at this moment.
    pub current: Attempt,
    /// The newest attempt that an order has named; a failed one's other orders are skipped.
    pub attempt: u64,
    pub failed: bool,
}

impl Deliverer {
    /// Runs until the worker hangs up.
    pub fn run(mut self, orders: &Receiver<Order>) {
        let mut more = false;
        loop {
            let task = match orders.recv_timeout(if more { Duration::ZERO } else { IDLE }) {
                Ok(Order { attempt, what }) => {
                    // What it would have done is not wanted any more; an abort always is.
                    if attempt != self.current.now() && !matches!(what, Task::Abort) {
                        continue;
                    }
                    if attempt != self.attempt {
                        self.attempt = attempt;
                        self.failed = false;
                    }
                    Some(what)
                }
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // Where the group stands can be seen all the same: nothing is open when that is asked.
            if self.failed && !matches!(task, Some(Task::Abort | Task::Stored(_))) {
                continue;
            }
            let answer = task.map_or(Ok(None), |task| self.carry_out(task));
            // Before the answer: a partition that is given up after it mostly goes with its letters relayed. Not for an
            // attempt that the worker has left: others may hold its partitions by now.
            let tends = answer.is_ok() && !self.failed && self.attempt == self.current.now();
            let tended = match &mut self.destination {
                Some(destination) if tends => destination.tend(),
                _ => Ok(false),
            };
            more = matches!(tended, Ok(true));
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

    /// Whether the worker waits for what is under way. It may have let go partitions that others hold by now.
    fn wanted(current: &Attempt, attempt: u64) -> Result<(), Setback> {
        if current.now() == attempt {
            return Ok(());
        }
        Err(Setback::retry(Cause::Fenced, "the worker has gone on without this order"))
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
            Task::Claim(partitions) => self.claim(&partitions).map(|(p, topics)| Some(Answer::Claimed(p, topics))),
            Task::Write(work) => self.opened().write(work).map(|()| None),
            Task::Commit(ticket) => self.commit(ticket).map(|c| Some(Answer::Committed(Box::new(c)))),
            Task::Stored(partitions) => Ok(self.stored(&partitions).map(Answer::Stored)),
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

    fn claim(&mut self, partitions: &[Partition]) -> Result<(Positions, TopicInfos), Setback> {
        if self.destination.is_none() {
            let (program, destination) = self.opener.open()?;
            self.destination = Some(destination);
            self.report(Answer::Opened(Box::new(program)));
        }
        let topics = self.opener.topics()?;
        if self.until_caught_up && self.goal.is_none() {
            self.goal = Some(self.opener.ends(&topics)?);
        }
        let (opener, current, attempt) = (&mut self.opener, &self.current, self.attempt);
        Deliverer::wanted(current, attempt)?;
        let destination = self.destination.as_mut().expect("opened above");
        let positions = destination.claim(partitions, &topics, &mut |absent, why| {
            let begins = opener.start(absent, why)?;
            // The answer may have taken its time, and what it says is stored next.
            Deliverer::wanted(current, attempt).map(|()| begins)
        })?;
        Ok((positions, topics))
    }

    /// Where the group stands; nothing where that cannot be seen, which is no setback to one who stands anyway.
    fn stored(&mut self, partitions: &[Partition]) -> Option<Positions> {
        let topics = self.opener.topics().ok()?;
        self.destination.as_mut()?.stored(partitions, &topics).ok()
    }

    /// The first partition that nobody has brought to its goal. A position behind the end of its topic is not one that
    /// has got there: whoever claims the partition tells what became of its records.
    fn compare(&mut self) -> Result<Option<Partition>, Setback> {
        let topics = self.opener.topics()?;
        let ends = self.opener.ends(&topics)?;
        let goal = self.goal.take().unwrap_or_default();
        let partitions: Vec<Partition> = goal.keys().cloned().collect();
        let destination = self.opened();
        let stored = destination.stored(&partitions, &topics).and_then(|mut stored| {
            let owing = destination.owing(&partitions)?;
            stored.retain(|p, _| !owing.contains(p));
            Ok(stored)
        });
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
        Deliverer::wanted(&self.current, self.attempt)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::Start;
    use std::sync::Mutex;

    type Log = Arc<Mutex<Vec<&'static str>>>;

    /// Tells what it is asked to do. While it settles, and while a start is looked for, the worker may go on without it.
    struct Slow {
        log: Log,
        overtaken: Option<Attempt>,
        /// Rounds that it owes; none: it cannot tend.
        owes: Option<u32>,
        /// While it owes, the worker has not hung up.
        worker: Option<Sender<Order>>,
    }

    impl Slow {
        fn tell(&self, what: &'static str) {
            self.log.lock().unwrap().push(what);
        }

        fn wait(&self) {
            if let Some(attempt) = &self.overtaken {
                attempt.next();
            }
        }
    }

    impl Destination for Slow {
        fn claim(&mut self, p: &[Partition], _: &TopicInfos, start: Start<'_>) -> Result<Positions, Setback> {
            self.tell("claim");
            let begins = start(p, Begin::NewGroup)?;
            self.tell("store");
            Ok(begins)
        }
        fn stored(&mut self, _: &[Partition], _: &TopicInfos) -> Result<Positions, Setback> {
            self.tell("stored");
            self.wait();
            Ok(Positions::new())
        }
        fn write(&mut self, _: Work) -> Result<(), Setback> {
            Ok(())
        }
        fn settle(&mut self) -> Result<Tally, Setback> {
            self.tell("settle");
            self.wait();
            Ok(Tally::default())
        }
        fn commit(&mut self, _: Ticket) -> Result<(), Setback> {
            self.tell("commit");
            Ok(())
        }
        fn trip(&mut self) -> Result<(), Setback> {
            Ok(())
        }
        fn abort(&mut self) -> Result<(), Setback> {
            self.tell("abort");
            Ok(())
        }
        fn tend(&mut self) -> Result<bool, Setback> {
            let Some(owes) = &mut self.owes else {
                return Err(Setback::retry(Cause::Database, "its database is away"));
            };
            if *owes == 0 {
                return Ok(false);
            }
            *owes -= 1;
            let more = *owes > 0;
            if !more {
                self.worker = None;
            }
            self.tell("tend");
            Ok(more)
        }
    }

    impl Opener for Slow {
        fn open(&mut self) -> Result<(Program, Box<dyn Destination>), Setback> {
            Err(Setback::retry(Cause::Broker, "it is open"))
        }
        fn start(&mut self, _: &[Partition], _: Begin) -> Result<Positions, Setback> {
            self.wait();
            Ok(Positions::new())
        }
        fn topics(&mut self) -> Result<TopicInfos, Setback> {
            Ok(TopicInfos::new())
        }
        fn ends(&mut self, _: &TopicInfos) -> Result<Positions, Setback> {
            Ok(Positions::new())
        }
    }

    fn claim() -> Task {
        Task::Claim(Vec::new())
    }

    fn commit() -> Task {
        Task::Commit(Ticket { positions: Positions::new(), group: None })
    }

    /// What the destination is asked to do by these orders, the worker being at its attempt 1.
    fn carried_out(slow: bool, given: Vec<(u64, Task)>) -> Vec<&'static str> {
        carried_out_by(given, slow, Some(0))
    }

    fn carried_out_by(given: Vec<(u64, Task)>, slow: bool, owes: Option<u32>) -> Vec<&'static str> {
        let (log, current) = (Log::default(), Attempt::default());
        current.next();
        let (orders, orders_in) = crossbeam_channel::unbounded();
        let worker = owes.filter(|rounds| *rounds > 1).map(|_| orders.clone());
        let slow = |worker| Slow { log: log.clone(), overtaken: slow.then(|| current.clone()), owes, worker };
        let (reports, _reports) = crossbeam_channel::unbounded();
        for (attempt, what) in given {
            orders.send(Order { attempt, what }).unwrap();
        }
        drop(orders);
        let deliverer = Deliverer {
            opener: Box::new(slow(None)),
            breaker: Breaker::new("r", None),
            destination: Some(Box::new(slow(worker))),
            until_caught_up: false,
            goal: None,
            reports,
            wake: Box::new(|| ()),
            current: current.clone(),
            attempt: 0,
            failed: false,
        };
        deliverer.run(&orders_in);
        log.lock().unwrap().clone()
    }

    #[test]
    fn a_deliverer_that_cannot_tend_still_says_what_is_stored() {
        let orders = vec![(1, Task::Abort), (1, Task::Stored(Vec::new())), (1, commit())];
        assert_eq!(carried_out_by(orders, false, None), ["abort", "stored"]);
    }

    #[test]
    fn what_is_owed_is_done_at_once_while_nothing_is_ordered_and_orders_come_first() {
        let begun = Instant::now();
        let done = carried_out_by(vec![(1, Task::Abort), (1, claim())], false, Some(30));
        assert_eq!(done[..5], ["abort", "tend", "claim", "store", "tend"]);
        assert_eq!(done.iter().filter(|what| **what == "tend").count(), 30);
        assert!(begun.elapsed() < 10 * IDLE, "{:?}", begun.elapsed());
    }

    #[test]
    fn nothing_is_tended_for_an_attempt_that_the_worker_has_left() {
        let stored = || vec![(1, Task::Stored(Vec::new()))];
        assert_eq!(carried_out_by(stored(), false, Some(1)), ["stored", "tend"]);
        assert_eq!(carried_out_by(stored(), true, Some(1)), ["stored"]);
    }

    #[test]
    fn orders_of_an_earlier_attempt_are_skipped() {
        let orders = vec![(0, claim()), (0, commit()), (0, Task::Abort), (1, claim()), (1, commit())];
        assert_eq!(carried_out(false, orders), ["abort", "claim", "store", "settle", "commit"]);
    }

    #[test]
    fn a_commit_that_is_overtaken_while_it_settles_stores_nothing() {
        assert_eq!(carried_out(true, vec![(1, commit()), (1, commit())]), ["settle"]);
    }

    #[test]
    fn a_start_that_is_found_after_the_worker_has_gone_on_is_not_stored() {
        assert_eq!(carried_out(true, vec![(1, claim())]), ["claim"]);
    }
}
