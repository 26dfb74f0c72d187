//! Tables: rows, table dead letters, outbox and positions in one SQL transaction; Postgres and SQLite.
//!
//! A write is queued as units (a record with all of its rows), put in rounds (folded, sorted, halved where something is
//! refused), and committed with the positions, which move only if they are still where their owner left them.

mod bridge;
mod check;
pub mod ddl;
mod headers;
mod keys;
mod kin;
mod letters;
mod link;
mod live;
pub mod migrations;
mod outbox;
pub mod own;
mod pending;
mod positions;
mod postgres;
mod refusals;
mod relay;
mod round;
mod rounds;
mod session;
mod shape;
mod sqlite;
mod statements;

pub use headers::OwnedHeader;
pub use live::Dialect;
pub use outbox::{Bound, Taken, Waiting};
pub use relay::{Outfit, Relayed};
pub use shape::Shape;

use super::{
    Destination, Start, Tally, Ticket, TopicInfos, Work, goes_on, made_anew, stands_made_anew, still_tripped, tell_new,
};
use crate::{
    config::{Database, Dlq, OnPositionLost},
    failure::{Cause, Setback},
    record::{Partition, Positions},
    route::{Target, Verdict},
};
use letters::Letters;
use link::Link;
use pending::Pending;
use positions::{Held, Owner, Starts};
use refusals::{Class, Refusal};
use rounds::{Endings, Rounds, Waits};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// Records of a round at most: past this a larger one gains nothing (measured), and a refused one costs more.
const ROUND: usize = 5000;
/// Records of a round at least, however many are refused.
const SMALLEST_ROUND: usize = 64;
/// Bytes of records that wait for the commit at most: from so many on they are written before it, few as they may be.
const WAITING: usize = 32 << 20;
/// How long the answer of a lost commit is asked for.
const LOOKUP: Duration = Duration::from_secs(30);

/// What tables know of the route whose records they take.
#[derive(Clone, Debug)]
pub struct RouteContext {
    /// The Kafka cluster's id; empty where the broker tells none.
    pub cluster_id: String,
    pub group: String,
    pub route: String,
    /// Names of the cases, by index in the program.
    pub cases: Vec<String>,
    pub dlq: Dlq,
    /// Where records go that no case took, when `otherwise` names a place.
    pub otherwise: Option<Dlq>,
    pub on_position_lost: OnPositionLost,
    pub fk_wait: Duration,
    /// Tells one configuration of the route from another.
    pub mark: String,
}

/// One worker's tables: all of one database.
pub struct Tables {
    bridge: bridge::Bridge,
    database: Database,
    route: RouteContext,
    owner: Owner,
    targets: Arc<[Target]>,
    kin: Vec<kin::Kin>,
    /// The database, for messages.
    place: String,
    link: Option<Link>,
    /// What this worker holds, or has held: each had a position.
    held: BTreeMap<Partition, Held>,
    transaction: Transaction,
    waits: Waits,
    endings: Endings,
    /// Records of the next round.
    limit: usize,
}

/// What is open, or will be with the first round.
#[derive(Default)]
struct Transaction {
    open: bool,
    pending: Pending,
    /// Partitions whose positions are locked.
    locked: BTreeSet<Partition>,
    tally: Tally,
    passed: usize,
}

impl Tables {
    /// Connects, makes Pointsman's own tables where they are missing, and compares the targets with theirs.
    ///
    /// # Errors
    /// Retry: the database does not answer. Stand: a table, column or key is missing or does not fit.
    pub fn open(
        handle: Handle,
        database: &Database,
        route: RouteContext,
        targets: Arc<[Target]>,
    ) -> Result<Self, Setback> {
        let dialect = if database.is_sqlite() { Dialect::Sqlite } else { Dialect::Postgres };
        let mut tables = Tables {
            bridge: bridge::Bridge { handle },
            place: refusals::place(dialect, &database.name),
            database: database.clone(),
            owner: Owner { cluster_id: route.cluster_id.clone(), group: route.group.clone() },
            waits: Waits::new(route.fk_wait),
            endings: Endings::default(),
            route,
            kin: kin::of(&targets),
            targets,
            link: None,
            held: BTreeMap::new(),
            transaction: Transaction::default(),
            limit: ROUND,
        };
        tables.connect()?;
        Ok(tables)
    }

    fn connect(&mut self) -> Result<(), Setback> {
        self.link = None;
        self.link = Some(Link::open(&self.bridge, &self.database, &self.route, &self.targets, &self.place)?);
        Ok(())
    }

    fn setback(&self, refusal: &Refusal) -> Setback {
        refusal.setback(&self.place)
    }

    /// Opens the transaction if none is open, and locks the positions of the records that it holds: a worker that lost a
    /// partition learns it before it has written a row.
    fn begin(&mut self) -> Result<(), Setback> {
        let (link, place) = (linked(&mut self.link, &self.place)?, &self.place);
        let t = &mut self.transaction;
        if !t.open {
            // Also where it fails: it may have begun by then.
            t.open = true;
            link.session.begin().map_err(|r| r.setback(place))?;
        }
        let new: Vec<Partition> = t.tally.partitions.keys().filter(|p| !t.locked.contains(p)).cloned().collect();
        self.lock(&new)?;
        self.transaction.locked.extend(new);
        Ok(())
    }

    /// Locks these positions, which have to be as this worker holds them.
    fn lock(&mut self, partitions: &[Partition]) -> Result<(), Setback> {
        let (link, place) = (linked(&mut self.link, &self.place)?, &self.place);
        let standing = positions::lock(&mut *link.session, &self.owner, partitions).map_err(|r| r.setback(place))?;
        let lost = |p: &&Partition| !self.held.contains_key(p) || standing.get(p) != self.held.get(p);
        partitions.iter().find(lost).map_or(Ok(()), |lost| Err(fenced(lost)))
    }

    /// Puts everything that was handed over, and writes the letters of what is dead.
    fn drain(&mut self) -> Result<(), Setback> {
        if self.transaction.pending.works.is_empty() {
            return Ok(());
        }
        self.begin()?;
        let (link, place) = (linked(&mut self.link, &self.place)?, &self.place);
        let t = &mut self.transaction;
        let mut letters = Letters::new(&self.owner, &self.route.route);
        let case = |case: Option<u16>| case.and_then(|c| self.route.cases.get(c as usize)).map_or("", String::as_str);
        for work in &t.pending.works {
            for (i, verdict) in work.outcomes.verdicts.iter().enumerate() {
                match verdict {
                    Verdict::Dead { case: c, failure } => {
                        letters.add(&link.dlq, case(*c), work.batch.get(i), failure)?;
                    }
                    Verdict::Apart(failure) => letters.add(&link.otherwise, "", work.batch.get(i), failure)?,
                    Verdict::Delivered { .. } | Verdict::Filtered => {}
                }
            }
        }
        let session = &mut *link.session;
        let (waits, endings) = (&mut self.waits, &mut self.endings);
        let mut rounds = Rounds::new(session, &t.pending, waits, endings, &link.rejecting, &mut t.passed, place);
        let put = put(&mut rounds, t.pending.units.len(), &mut self.limit);
        let refused = std::mem::take(&mut rounds.refused);
        put?;
        for (unit, failure) in &refused {
            let c = Some(t.pending.units[*unit].case);
            t.tally.refuse(&t.pending.origin(*unit), c, failure);
            letters.add(&link.dlq, case(c), t.pending.record(*unit), failure)?;
        }
        letters.write(session, place)?;
        t.pending.clear();
        Ok(())
    }

    /// Whether a transaction whose commit got no answer stands: the positions say so. They are locked until it has ended.
    fn look_up(&mut self, moves: &[(Partition, Held, i64)], lost: &Refusal) -> Result<bool, Setback> {
        let begun = Instant::now();
        let partitions: Vec<Partition> = moves.iter().map(|(p, ..)| p.clone()).collect();
        loop {
            let standing = self.connect().and_then(|()| {
                let (link, place) = (linked(&mut self.link, &self.place)?, &self.place);
                positions::lock(&mut *link.session, &self.owner, &partitions).map_err(|r| r.setback(place))
            });
            match standing {
                Ok(standing) => return judge(moves, &standing),
                Err(_) if begun.elapsed() < LOOKUP => std::thread::sleep(Duration::from_millis(200)),
                Err(_) => {
                    let mut setback = self.setback(lost);
                    setback.message.push_str(", at commit; whether it stands shows when the positions are read again");
                    return Err(setback);
                }
            }
        }
    }

    fn try_claim(
        &mut self,
        partitions: &[Partition],
        topics: &TopicInfos,
        start: Start<'_>,
    ) -> Result<BTreeMap<Partition, Held>, Setback> {
        if self.link.is_none() {
            self.connect()?;
        }
        let (link, place) = (linked(&mut self.link, &self.place)?, &self.place);
        let session = &mut *link.session;
        let stored = positions::stored(session, &self.owner).map_err(|r| r.setback(place))?;
        let then = |p: &Partition| stored.get(p).map(|s| s.topic_id.as_str());
        let remade: Vec<_> = partitions.iter().filter(|p| made_anew(&p.topic, topics, then(p))).cloned().collect();
        if let (Some(partition), OnPositionLost::Stop) = (remade.first(), self.route.on_position_lost) {
            return Err(stands_made_anew(partition, &self.route.group));
        }
        let tripped = |p: &&Partition| stored.get(p).is_some_and(|s| s.tripped == self.route.mark);
        if let Some(partition) = partitions.iter().find(tripped) {
            return Err(still_tripped(partition, &self.route.group));
        }
        let missing = partitions.iter().filter(|p| !stored.contains_key(p)).cloned();
        let (lost, missing): (Vec<_>, Vec<_>) = missing.partition(|p| self.held.contains_key(p));
        if let Some(partition) = lost.first() {
            let alarm = positions::lost(partition, &self.route.group);
            goes_on(self.route.on_position_lost, &self.route.route, alarm)?;
        }
        let Starts { grown, new } = positions::starts(missing, lost, &stored, topics, start)?;
        let claimed = session.begin().and_then(|()| {
            positions::restart(session, &self.owner, &remade, topics)?;
            let begins = grown.iter().chain(&new).map(|(p, next)| (p.clone(), *next)).collect();
            let held = positions::claim(session, &self.owner, partitions, &begins, topics)?;
            session.commit().map(|()| held)
        });
        let claimed = claimed.map_err(|r| r.setback(place))?;
        tell_new(&self.route.route, &self.route.group, new.iter());
        Ok(claimed)
    }
}

/// Puts units in rounds of the limit, which follows how much is refused.
fn put(rounds: &mut Rounds<'_>, units: usize, limit: &mut usize) -> Result<(), Setback> {
    let mut next = 0;
    while next < units {
        if rounds.refuse_ending(next)? {
            next += 1;
            continue;
        }
        // Rounds of one size: no small one at the end.
        let left = units - next;
        let end = rounds.endings.apart(rounds.pending, next, next + left.div_ceil(left.div_ceil(*limit)));
        let before = rounds.refused.len();
        let run = rounds.run(next..end);
        let many = rounds.refused.len() - before > (end - next) / 8;
        *limit = if many || rounds.slow { (*limit / 2).max(SMALLEST_ROUND) } else { (*limit * 2).min(ROUND) };
        run?;
        next = end;
    }
    rounds.finish()
}

fn linked<'a>(link: &'a mut Option<Link>, place: &str) -> Result<&'a mut Link, Setback> {
    link.as_mut().ok_or_else(|| Setback::retry(Cause::Database, format!("{place}: not connected")))
}

fn fenced(partition: &Partition) -> Setback {
    Setback::retry(Cause::Fenced, format!("{partition} has another owner now"))
}

/// True: it stands. An error where another owner has gone on since.
fn judge(moves: &[(Partition, Held, i64)], standing: &BTreeMap<Partition, Held>) -> Result<bool, Setback> {
    let now = |p: &Partition, held: &Held| standing.get(p).filter(|s| s.epoch == held.epoch).map(|s| s.next);
    if let Some((lost, ..)) = moves.iter().find(|(p, held, _)| now(p, held).is_none()) {
        return Err(fenced(lost));
    }
    Ok(moves.iter().all(|(p, held, next)| now(p, held) == Some(*next)))
}

impl Destination for Tables {
    fn claim(&mut self, partitions: &[Partition], topics: &TopicInfos, start: Start<'_>) -> Result<Positions, Setback> {
        self.abort()?;
        let mut sorted = partitions.to_vec();
        sorted.sort();
        let had_link = self.link.is_some();
        let mut claimed = self.try_claim(&sorted, topics, start);
        let broken = |claimed: &Result<_, Setback>| matches!(claimed, Err(s) if s.cause == Cause::Database);
        if had_link && broken(&claimed) {
            // The connection may have died while nothing was asked of it.
            self.link = None;
            claimed = self.try_claim(&sorted, topics, start);
        }
        if broken(&claimed) {
            // Its transaction ends with it.
            self.link = None;
        }
        let claimed = claimed?;
        if let Some(lacking) = sorted.iter().find(|p| !claimed.contains_key(p)) {
            return Err(Setback::retry(Cause::Broker, format!("no start for {lacking} was found")));
        }
        let positions = claimed.iter().map(|(p, held)| (p.clone(), held.next)).collect();
        self.held.extend(claimed);
        Ok(positions)
    }

    fn stored(&mut self, partitions: &[Partition], topics: &TopicInfos) -> Result<Positions, Setback> {
        if self.link.is_none() {
            self.connect()?;
        }
        let (link, place) = (linked(&mut self.link, &self.place)?, &self.place);
        let stored = positions::stored(&mut *link.session, &self.owner);
        let mut stored = stored.map_err(|r| r.setback(place)).inspect_err(|_| self.link = None)?;
        stored.retain(|p, s| partitions.contains(p) && !made_anew(&p.topic, topics, Some(&s.topic_id)));
        Ok(stored.into_iter().map(|(p, s)| (p, s.next)).collect())
    }

    fn write(&mut self, work: Work) -> Result<(), Setback> {
        let t = &mut self.transaction;
        t.tally.add(&work);
        t.pending.push(work, &self.kin);
        let link = linked(&mut self.link, &self.place)?;
        let Pending { units, bytes, .. } = &self.transaction.pending;
        if units.len() >= link.eager || *bytes >= WAITING { self.drain() } else { Ok(()) }
    }

    fn settle(&mut self) -> Result<Tally, Setback> {
        self.drain()?;
        Ok(self.transaction.tally.clone())
    }

    fn commit(&mut self, ticket: Ticket) -> Result<(), Setback> {
        self.drain()?;
        self.begin()?;
        let mut moves = Vec::new();
        for (partition, next) in ticket.positions {
            let held = *self.held.get(&partition).ok_or_else(|| fenced(&partition))?;
            if held.next != next {
                moves.push((partition, held, next));
            }
        }
        let (link, place) = (linked(&mut self.link, &self.place)?, &self.place);
        let session = &mut *link.session;
        let tally = &self.transaction.tally;
        if !positions::advance(session, &self.owner, &moves, tally).map_err(|r| r.setback(place))? {
            let lost = moves.first().map(|(p, ..)| p.to_string()).unwrap_or_default();
            self.abort()?;
            return Err(Setback::retry(
                Cause::Fenced,
                format!("{lost} or a partition beside it has another owner now"),
            ));
        }
        if let Err(refusal) = session.commit() {
            if refusal.class != Class::Environment {
                return Err(self.setback(&refusal));
            }
            if !self.look_up(&moves, &refusal)? {
                return Err(self.setback(&refusal));
            }
        }
        for (partition, held, next) in moves {
            self.waits.settled(&partition, next);
            self.endings.settled(&partition, next);
            self.held.insert(partition, Held { next, ..held });
        }
        self.transaction = Transaction::default();
        Ok(())
    }

    fn trip(&mut self) -> Result<(), Setback> {
        self.abort()?;
        let (link, place) = (linked(&mut self.link, &self.place)?, &self.place);
        let session = &mut *link.session;
        let tripped = session
            .begin()
            .and_then(|()| positions::trip(session, &self.owner, &self.held, &self.route.mark))
            .and_then(|()| session.commit());
        tripped.map_err(|r| r.setback(place)).inspect_err(|_| self.link = None)
    }

    fn abort(&mut self) -> Result<(), Setback> {
        let was_open = std::mem::take(&mut self.transaction).open;
        if let Some(link) = self.link.as_mut().filter(|_| was_open)
            && link.session.rollback().is_err()
        {
            // Without its connection the transaction ends by itself.
            self.link = None;
        }
        Ok(())
    }
}
