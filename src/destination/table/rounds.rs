//! Puts rounds, and finds the records that a database refuses: by halving under savepoints.
//!
//! A record is refused with all of its rows, whichever of its tables said no.

use super::{
    pending::Pending,
    refusals::{Class, Refusal},
    round::{Refused, Round},
    session::{Sending, Session, Trouble},
};
use crate::{
    failure::{Cause, Setback},
    record::Partition,
};
use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
    time::{Duration, Instant},
};

/// Savepoints: before a round's rows are loaded, and before they are put.
const LOAD: &str = "pointsman_load";
const PUT: &str = "pointsman_put";

/// When so many records in a row are refused for no reason of their own and none passes, the rest is not tried.
const ENOUGH: usize = 16;

/// Records that wait for a row they refer to, since when.
#[derive(Debug)]
pub(super) struct Waits {
    pub patience: Duration,
    since: BTreeMap<(Partition, i64), Instant>,
}

impl Waits {
    pub fn new(patience: Duration) -> Self {
        Waits { patience, since: BTreeMap::new() }
    }

    /// Whether the record has waited long enough; notes it the first time.
    fn over(&mut self, origin: (Partition, i64)) -> bool {
        self.since.entry(origin).or_insert_with(Instant::now).elapsed() >= self.patience
    }

    /// Records before this position are done with.
    pub fn settled(&mut self, partition: &Partition, position: i64) {
        self.since.retain(|(p, offset), _| p != partition || *offset >= position);
    }
}

/// Records at which the database ended the whole transaction (SQLite's `ON CONFLICT ROLLBACK` and `RAISE(ROLLBACK)` do):
/// those of the round that it was are put one at a time by the next transaction, and the one that does it alone is refused
/// by the one after that, without being put.
#[derive(Debug, Default)]
pub(super) struct Endings {
    /// With the refusal where it is known to be this record's.
    records: BTreeMap<(Partition, i64), Option<Refusal>>,
}

impl Endings {
    /// Where a round from `next` to `end` has to end so that no such record is put beside others.
    pub fn apart(&self, pending: &Pending, next: usize, end: usize) -> usize {
        if self.records.is_empty() {
            return end;
        }
        let noted = |unit: &usize| self.records.contains_key(&pending.origin(*unit));
        if noted(&next) { next + 1 } else { (next..end).find(noted).unwrap_or(end) }
    }

    /// Records before this position are done with.
    pub fn settled(&mut self, partition: &Partition, position: i64) {
        self.records.retain(|(p, offset), _| p != partition || *offset >= position);
    }
}

/// One run over pending units, inside a transaction.
pub(super) struct Rounds<'a> {
    pub session: &'a mut dyn Session,
    pub pending: &'a Pending,
    pub waits: &'a mut Waits,
    pub endings: &'a mut Endings,
    /// Names of the constraints on key columns whose rows are rejected when they are there already.
    pub rejecting: &'a HashSet<String>,
    /// Units that passed in this transaction.
    pub passed: &'a mut usize,
    /// The database, for messages.
    pub place: &'a str,
    pub refused: Refused,
    /// A statement took too long: the next rounds are to be smaller.
    pub slow: bool,
    suspects: Vec<(usize, Refusal)>,
    waiting: Option<Refusal>,
}

impl<'a> Rounds<'a> {
    pub fn new(
        session: &'a mut dyn Session,
        pending: &'a Pending,
        waits: &'a mut Waits,
        endings: &'a mut Endings,
        rejecting: &'a HashSet<String>,
        passed: &'a mut usize,
        place: &'a str,
    ) -> Self {
        Rounds {
            session,
            pending,
            waits,
            endings,
            rejecting,
            passed,
            place,
            refused: Refused::new(),
            slow: false,
            suspects: Vec::new(),
            waiting: None,
        }
    }

    /// Puts these units in order, and notes those that are refused.
    pub fn run(&mut self, mut units: Range<usize>) -> Result<(), Setback> {
        while !units.is_empty() {
            let round = Round::of(self.pending, &self.refused, units.clone());
            units.start = round.units.end;
            self.round(&round)?;
        }
        Ok(())
    }

    /// Judges what the units say together, after the last of them.
    pub fn finish(&mut self) -> Result<(), Setback> {
        if let Some(refusal) = self.waiting.take() {
            let patience = self.waits.patience.as_secs_f32();
            let mut setback = refusal.setback(self.place);
            setback.help = format!("a row that it refers to may still come: waiting up to {patience} s (`fk_wait`)");
            return Err(setback);
        }
        let suspects = std::mem::take(&mut self.suspects);
        if *self.passed == 0 && !suspects.is_empty() {
            return Err(self.every_row(&suspects));
        }
        for (unit, refusal) in suspects {
            self.refused.insert(unit, refusal.failure("row-refused"));
        }
        Ok(())
    }

    fn round(&mut self, round: &Round<'_>) -> Result<(), Setback> {
        if round.targets.is_empty() {
            return Ok(());
        }
        self.mark(LOAD)?;
        if let Err(trouble) = self.session.load(round, Sending::Whole) {
            return self.load_failed(round, trouble);
        }
        let Err(refusal) = self.put(round, round.units.clone()) else { return self.release(LOAD) };
        let mut refusal = self.mild(refusal)?;
        if refusal.class == Class::Record("unique-violation") && self.session.resolvable() {
            if let Err(trouble) = self.load_divisibly(round)? {
                return self.load_failed(round, trouble);
            }
            let Err(again) = self.put(round, round.units.clone()) else { return self.release(LOAD) };
            refusal = self.mild(again)?;
        }
        if round.units.len() == 1 || round.folded {
            self.undo(LOAD)?;
            return self.apart(round, refusal);
        }
        if self.session.reload()
            && let Err(trouble) = self.load_divisibly(round)?
        {
            return self.load_failed(round, trouble);
        }
        self.halves(round, round.units.clone())?;
        self.release(LOAD)
    }

    /// The round once more, so that any part of it can be put by itself.
    fn load_divisibly(&mut self, round: &Round<'_>) -> Result<Result<(), Trouble>, Setback> {
        self.undo(LOAD)?;
        self.mark(LOAD)?;
        Ok(self.session.load(round, Sending::Divisible))
    }

    fn load_failed(&mut self, round: &Round<'_>, trouble: Trouble) -> Result<(), Setback> {
        match trouble {
            Trouble::Units(bad) => {
                self.undo(LOAD)?;
                self.refused.extend(bad);
                self.run(round.units.clone())
            }
            Trouble::Refused(refusal) => {
                let refusal = self.mild(refusal)?;
                self.undo(LOAD)?;
                self.apart(round, refusal)
            }
        }
    }

    /// The round again as two, each loaded and folded by itself.
    fn apart(&mut self, round: &Round<'_>, refusal: Refusal) -> Result<(), Setback> {
        let Range { start, end } = round.units;
        if end - start <= 1 {
            return self.judge(start, refusal);
        }
        let middle = start + (end - start) / 2;
        self.run(start..middle)?;
        self.run(middle..end)
    }

    /// Parts of a loaded round, halved until single records are refused.
    fn halves(&mut self, round: &Round<'_>, units: Range<usize>) -> Result<(), Setback> {
        let middle = units.start + units.len() / 2;
        for half in [units.start..middle, middle..units.end] {
            let Err(refusal) = self.put(round, half.clone()) else { continue };
            let refusal = self.mild(refusal)?;
            if half.len() <= 1 {
                self.judge(half.start, refusal)?;
            } else {
                self.halves(round, half)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, round: &Round<'_>, units: Range<usize>) -> Result<(), Refusal> {
        let dialect = self.session.dialect();
        self.session.run(&format!("SAVEPOINT {PUT}{}", dialect.defer()))?;
        let put = self.session.put(round, units.clone()).and_then(|()| self.session.check_deferred(round));
        match put {
            Ok(()) => {
                let put = |u: &usize| !self.refused.contains_key(u) && !self.pending.rows_of(*u).is_empty();
                *self.passed += units.filter(put).count();
                self.session.run(&format!("RELEASE SAVEPOINT {PUT}"))
            }
            Err(refusal) if matches!(refusal.class, Class::Environment | Class::Configuration) => Err(refusal),
            Err(refusal) => {
                let undone = self.session.run(&format!("ROLLBACK TO SAVEPOINT {PUT}; RELEASE SAVEPOINT {PUT}"));
                match undone {
                    Ok(()) => Err(refusal),
                    Err(gone) if gone.class == Class::Environment => Err(gone),
                    Err(gone) => Err(self.ended(units, refusal, &gone)),
                }
            }
        }
    }

    /// A refusal that took the transaction along: whatever was written before is gone, so nothing may follow in it.
    fn ended(&mut self, units: Range<usize>, refusal: Refusal, gone: &Refusal) -> Refusal {
        let text = format!("{}; the transaction ended with it: {}", refusal.text(), gone.text());
        let alone = (units.len() == 1).then_some(refusal);
        let origins = units.map(|unit| self.pending.origin(unit));
        self.endings.records.extend(origins.map(|origin| (origin, alone.clone())));
        Refusal::environment(text)
    }

    /// Refuses a record that is known to end any transaction that it is put in; false where it is not known to.
    pub fn refuse_ending(&mut self, unit: usize) -> Result<bool, Setback> {
        if self.endings.records.is_empty() {
            return Ok(false);
        }
        match self.endings.records.get(&self.pending.origin(unit)).cloned().flatten() {
            Some(refusal) => self.judge(unit, refusal).map(|()| true),
            None => Ok(false),
        }
    }

    /// One record that is refused alone.
    fn judge(&mut self, unit: usize, refusal: Refusal) -> Result<(), Setback> {
        match refusal.class {
            Class::Record("unique-violation") if self.rejecting.contains(&refusal.constraint) => {
                self.refused.insert(unit, refusal.failure("duplicate-key-refused"));
            }
            Class::Record(code) => {
                self.refused.insert(unit, refusal.failure(code));
            }
            Class::ForeignKey if self.waits.over(self.pending.origin(unit)) => {
                self.refused.insert(unit, refusal.failure("foreign-key-violation"));
            }
            Class::ForeignKey => self.waiting = Some(refusal),
            _ => {
                let raised = refusal.is_raised();
                self.suspects.push((unit, refusal));
                if *self.passed == 0 && self.suspects.len() >= ENOUGH && !raised {
                    return Err(self.every_row(&self.suspects));
                }
            }
        }
        Ok(())
    }

    /// What may be a record's fault comes back; anything else ends the transaction.
    fn mild(&mut self, refusal: Refusal) -> Result<Refusal, Setback> {
        match refusal.class {
            Class::Environment | Class::Unreachable | Class::Configuration | Class::Statement | Class::Again => {
                Err(refusal.setback(self.place))
            }
            Class::Slow => {
                self.slow = true;
                Err(refusal.setback(self.place))
            }
            Class::Record(_) | Class::ForeignKey | Class::Other => Ok(refusal),
        }
    }

    fn every_row(&self, suspects: &[(usize, Refusal)]) -> Setback {
        let text = suspects.first().map(|(_, refusal)| refusal.text()).unwrap_or_default();
        let mut setback = Setback::retry(Cause::Database, format!("{}: {text}", self.place));
        let tried = suspects.len();
        setback.help = format!("every row that was tried ({tried}) is refused, so the records are not taken for bad");
        setback
    }

    fn mark(&mut self, savepoint: &str) -> Result<(), Setback> {
        self.session.run(&format!("SAVEPOINT {savepoint}")).map_err(|r| r.setback(self.place))
    }

    fn release(&mut self, savepoint: &str) -> Result<(), Setback> {
        self.session.run(&format!("RELEASE SAVEPOINT {savepoint}")).map_err(|r| r.setback(self.place))
    }

    fn undo(&mut self, savepoint: &str) -> Result<(), Setback> {
        let sql = format!("ROLLBACK TO SAVEPOINT {savepoint}; RELEASE SAVEPOINT {savepoint}");
        self.session.run(&sql).map_err(|r| r.setback(self.place))
    }
}
