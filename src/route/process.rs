//! A record's journey: where_raw, when_raw, decode, where, rules, enrichers, when, destination.

use super::{
    Known, Outcomes, Program, Span, Verdict, Wants,
    decode::{Undecoded, writer_schema},
    emit::Row,
    outcomes::MOST_OF_RECORD,
    program::{BranchProgram, LaneProgram, RuleProgram, Scratch, SetProgram, Unmatched},
};
use crate::{
    config::Format,
    expr::{Fault, Scope},
    failure::{Failure, Stage},
    record::{Record, Records},
    schema::framing,
};

/// A record that takes no row: what it becomes instead.
enum Stop {
    Filtered,
    Unmatched,
    Failed { case: Option<u16>, failure: Failure },
    Wanted,
}

impl Stop {
    fn failed(failure: Failure) -> Stop {
        Stop::Failed { case: None, failure }
    }
}

impl From<Undecoded> for Stop {
    fn from(u: Undecoded) -> Self {
        match u {
            Undecoded::Failed(failure) => Stop::failed(failure),
            Undecoded::Wanted => Stop::Wanted,
        }
    }
}

impl Program {
    /// Carries a batch through the route. `now` is the batch's instant, in microseconds since the epoch.
    ///
    /// # Errors
    /// What has to be fetched first; the batch is then processed again from its beginning.
    pub fn process<R: Records + ?Sized>(&mut self, batch: &R, known: &Known, now: i64) -> Result<Outcomes, Wants> {
        let mut wants = Wants::default();
        let mut out = Outcomes::for_batch(&self.spare, batch.len(), self.warnings.len());
        for i in 0..batch.len() {
            let record = batch.get(i);
            let mark = out.mark();
            let verdict = match self.carry(i as u32, &record, known, now, &mut wants, &mut out) {
                Ok(case) => Verdict::Delivered { case },
                Err(stop) => {
                    out.truncate(mark);
                    self.stopped(stop, &record)
                }
            };
            out.verdicts.push(verdict);
            self.scratch.bump.reset();
        }
        if wants.is_empty() { Ok(out) } else { Err(wants) }
    }

    fn stopped(&self, stop: Stop, record: &Record<'_>) -> Verdict {
        let unmatched =
            || Failure::new(Stage::Validate, "no-case-matched", "none of the route's cases took the record");
        match (stop, self.otherwise) {
            (Stop::Filtered | Stop::Wanted, _) | (Stop::Unmatched, Unmatched::Filter) => Verdict::Filtered,
            (Stop::Unmatched, Unmatched::Apart) => Verdict::Apart(Box::new(unmatched())),
            (Stop::Unmatched, Unmatched::DeadLetter) => Verdict::Dead { case: None, failure: Box::new(unmatched()) },
            (Stop::Failed { case, mut failure }, _) => {
                if self.format == Format::Avro && failure.schema_id.is_none() {
                    failure.schema_id = record.value.and_then(|v| framing::split(v).ok()).map(|(id, _)| id);
                }
                Verdict::Dead { case, failure: Box::new(failure) }
            }
        }
    }

    /// One record, to the rows of its case.
    fn carry(
        &mut self,
        i: u32,
        record: &Record<'_>,
        known: &Known,
        now: i64,
        wants: &mut Wants,
        out: &mut Outcomes,
    ) -> Result<u16, Stop> {
        let Some(value) = record.value else {
            return self.tombstone(i, record, known, wants, out).map_err(Stop::from)?.ok_or(Stop::Filtered);
        };
        let schema_name = self.writer_name(value, known, wants)?;
        if let Some(where_raw) = &self.where_raw
            && !(where_raw.0)(record, schema_name).map_err(filter_failed)?
        {
            return Err(Stop::Filtered);
        }
        let mut lane = None;
        for candidate in &mut self.lanes {
            let takes = match &candidate.when_raw {
                Some(when_raw) => (when_raw.0)(record, schema_name).map_err(filter_failed)?,
                None => true,
            };
            if takes {
                lane = Some(candidate);
                break;
            }
        }
        let lane = lane.ok_or(Stop::Unmatched)?;
        // Of cases chosen by when_raw the case is known from here on; of the others, once `when` has chosen.
        let case = lane.when_raw.as_ref().map(|_| lane.branches[0].case);
        lane.carry(i, record, value, known, now, wants, out, &mut self.scratch).map_err(|stop| match stop {
            Stop::Failed { case: None, failure } => Stop::Failed { case, failure },
            stop => stop,
        })
    }

    /// The writer's full name, where a raw predicate may ask for it.
    fn writer_name<'k>(&self, value: &[u8], known: &'k Known, wants: &mut Wants) -> Result<Option<&'k str>, Stop> {
        let asked = self.where_raw.is_some() || self.lanes.iter().any(|l| l.when_raw.is_some());
        if self.format != Format::Avro || !asked {
            return Ok(None);
        }
        let (id, _) = framing::split(value).map_err(Stop::failed)?;
        let schema = writer_schema(id, known, wants).map_err(Stop::failed)?.ok_or(Stop::Wanted)?;
        Ok(schema.record().map(|r| r.name.0.as_str()))
    }
}

impl LaneProgram {
    #[allow(clippy::too_many_arguments)] // one record's whole world; a struct would only rename it
    fn carry(
        &mut self,
        i: u32,
        record: &Record<'_>,
        value: &[u8],
        known: &Known,
        now: i64,
        wants: &mut Wants,
        out: &mut Outcomes,
        scratch: &mut Scratch,
    ) -> Result<u16, Stop> {
        let mark = out.mark();
        let (span, unknown_fields) = self.decoder.decode(value, known, wants, &mut out.out)?;
        out.bounded(mark)?;
        scratch.begin(self.scanner.slots());
        self.scanner.scan(body(record, &out.out, span), &mut scratch.slots).map_err(Stop::failed)?;
        if let Some(filter) = &self.filter
            && !(filter.0)(&scratch.scope(record, body(record, &out.out, span), now)).map_err(filter_failed)?
        {
            return Err(Stop::Filtered);
        }
        validate(&self.rules, &scratch.scope(record, body(record, &out.out, span), now), &mut out.warned)
            .map_err(Stop::failed)?;
        scratch.set(&self.sets, record, body(record, &out.out, span), now).map_err(Stop::failed)?;
        let branch = choose(&self.branches, &scratch.scope(record, body(record, &out.out, span), now))?
            .ok_or(Stop::Unmatched)?;
        let failed = |failure| Stop::Failed { case: Some(branch.case), failure };
        scratch.set(&branch.sets, record, body(record, &out.out, span), now).map_err(failed)?;
        let mut row = Row { record: i, envelope: record, body: span, now, mark, added_base: None };
        for emit in &branch.emits {
            emit.rows(&mut row, scratch, out).and_then(|()| out.bounded(mark)).map_err(failed)?;
        }
        out.unknown_fields += u64::from(unknown_fields);
        Ok(branch.case)
    }
}

fn choose<'b>(branches: &'b [BranchProgram], scope: &Scope<'_>) -> Result<Option<&'b BranchProgram>, Stop> {
    for branch in branches {
        match &branch.when {
            None => return Ok(Some(branch)),
            Some(when) if (when.0)(scope).map_err(filter_failed)? => return Ok(Some(branch)),
            Some(_) => {}
        }
    }
    Ok(None)
}

fn validate(rules: &[RuleProgram], scope: &Scope<'_>, warned: &mut [u64]) -> Result<(), Failure> {
    for rule in rules {
        let failure = match (rule.check.0)(scope) {
            Ok(true) => continue,
            Ok(false) => Failure::rule(&rule.name, rule.message.clone()),
            Err(fault) => Failure::new(
                Stage::Validate,
                "rule-failed-to-evaluate",
                format!("rule {}: {} ({})", rule.name, fault.message, fault.code),
            ),
        };
        match rule.warning {
            Some(w) => warned[w] += 1,
            None => return Err(failure),
        }
    }
    Ok(())
}

fn filter_failed(fault: Fault) -> Stop {
    // A value that is not JSON is that, wherever it is noticed.
    let code = if fault.code == "malformed-json" { fault.code } else { "filter-failed" };
    Stop::failed(Failure::new(Stage::Decode, code, fault.message))
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::failed(failure)
    }
}

/// The bytes of a decoded body.
#[inline]
pub(super) fn body<'a>(record: &Record<'a>, out: &'a [u8], span: Span) -> &'a [u8] {
    match span {
        Span::Value { start, end } => &record.value.unwrap_or_default()[start as usize..end as usize],
        Span::Out { start, end } => &out[start as usize..end as usize],
        Span::Key => record.key.unwrap_or_default(),
        Span::None => &[],
    }
}

impl Scratch {
    fn begin(&mut self, slots: usize) {
        self.slots.resize(slots, 0);
        self.added.clear();
        self.added_at.clear();
        self.added_range.clear();
    }

    #[inline]
    pub(super) fn scope<'r>(&'r self, record: &'r Record<'r>, body: &'r [u8], now: i64) -> Scope<'r> {
        Scope {
            body,
            slots: &self.slots,
            added: &self.added,
            added_at: &self.added_at,
            item: &self.item,
            record,
            now,
            scratch: &self.bump,
        }
    }

    /// Runs an enricher's expressions in order; each sees what the ones before it set.
    fn set(&mut self, sets: &[SetProgram], record: &Record<'_>, body: &[u8], now: i64) -> Result<(), Failure> {
        for set in sets {
            let mut value = std::mem::take(&mut self.value);
            value.clear();
            let at = (set.value.0)(&self.scope(record, body, now), &mut value);
            let start = self.added.len() as u32;
            self.added.extend_from_slice(&value);
            self.value = value;
            let at = at.map_err(|f| Failure::new(Stage::Enrich, f.code, f.message).at(set.field.clone()))?;
            self.added_at.push(at.map_or(crate::codec::NULL, |at| start + at));
            self.added_range.push(start..self.added.len() as u32);
            if self.added.len() > MOST_OF_RECORD {
                let why = format!("the values that are set have more than {} MiB", MOST_OF_RECORD >> 20);
                return Err(Failure::new(Stage::Enrich, "overflow", why).at(set.field.clone()));
            }
        }
        Ok(())
    }
}
