//! A batch to the producer: rows, letters, and what is refused before it is sent.

use super::{DeadLetters, Topics, letters::LetterHeaders};
use crate::{
    failure::{Cause, Failure, Setback, Stage},
    kafka::{Code, Fault, NotTaken, Outgoing},
    record::{Header, Letter, OwnedRecord, Partition, Record, Records, attempts},
    route::{RowRef, Target, TopicTarget, Verdict},
};
use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

/// Names a record of a work on its way through librdkafka and back.
fn tag(work: usize, record: usize) -> usize {
    (work << 32) | record
}

pub(super) fn untag(tag: usize) -> (usize, usize) {
    (tag >> 32, tag & 0xffff_ffff)
}

/// Whether a broker said no to the record itself, rather than to its transaction or for want of time.
pub fn is_of_record(fault: &Fault) -> bool {
    use Code as C;
    matches!(
        fault.code,
        C::MessageSizeTooLarge | C::InvalidRecord | C::InvalidMessage | C::InvalidMessageSize | C::InvalidTimestamp
    )
}

/// What a broker's refusal of a single record becomes.
pub fn refused_failure(fault: &Fault) -> Failure {
    let (stage, code) = match fault.code {
        Code::MessageSizeTooLarge => (Stage::Encode, "record-too-large"),
        _ => (Stage::Deliver, "broker-refused"),
    };
    Failure::new(stage, code, fault.message.clone())
}

impl Topics {
    /// Produces everything of a work, in the order of its records.
    pub(super) fn send(&mut self, index: usize) -> Result<(), Setback> {
        // Taken out while it is sent: the producer and the tally are borrowed beside it.
        let work = std::mem::replace(&mut self.works[index], empty());
        let mut next = 0;
        let mut partition: Option<Partition> = None;
        for (i, verdict) in work.outcomes.verdicts.iter().enumerate() {
            let record = work.batch.get(i);
            let at = match &partition {
                Some(p) if p.id == record.partition && *p.topic == *record.topic => p.clone(),
                _ => partition.insert(Partition::new(record.topic, record.partition)).clone(),
            };
            let begin = next;
            while work.outcomes.rows.get(next).is_some_and(|r| r.record as usize == i) {
                next += 1;
            }
            self.tally.note(&at, verdict);
            match verdict {
                Verdict::Delivered { case } => self.deliver(index, &work, begin..next, &record, &at, *case)?,
                Verdict::Filtered => {}
                Verdict::Dead { case, failure } => self.letter(tag(index, i), &record, *case, failure)?,
                Verdict::Apart(failure) => self.set_apart(tag(index, i), &record, failure)?,
            }
        }
        self.works[index] = work;
        Ok(())
    }

    /// The rows of one record: all of them, or its letter.
    fn deliver(
        &mut self,
        index: usize,
        work: &super::Work,
        rows: Range<usize>,
        record: &Record<'_>,
        at: &Partition,
        case: u16,
    ) -> Result<(), Setback> {
        let tag = tag(index, rows.clone().next().map_or(0, |r| work.outcomes.rows[r].record as usize));
        let rows = &work.outcomes.rows[rows];
        let origin = (at.clone(), record.offset);
        let known = (!self.condemned.is_empty()).then(|| self.condemned.get(&origin).cloned()).flatten();
        let targets = self.targets.clone();
        let refused = known.or_else(|| {
            rows.iter().find_map(|row| match &targets[row.target as usize] {
                Target::Topic(target) => self.refuse(work, row, target, record),
                Target::Table(_) => None,
            })
        });
        if let Some(failure) = refused {
            self.tally.refuse(at, Some(case), &failure);
            return self.letter(tag, record, Some(case), &failure);
        }
        let alone = !self.suspects.is_empty() && self.suspects.contains(&origin);
        if alone {
            self.flush()?;
        }
        for row in rows {
            let Target::Topic(target) = &targets[row.target as usize] else { continue };
            let headers = headers(work, row, target, record);
            let destination = &target.destination;
            self.produce(&Outgoing {
                topic: &destination.topic,
                partition: destination.same_partition.then_some(record.partition),
                key: work.bytes(row, row.key),
                value: work.bytes(row, row.body),
                headers: &headers,
                timestamp: record.timestamp,
                tag,
            })?;
        }
        if alone {
            self.flush()?;
        }
        Ok(())
    }

    /// What can be known of a record that its topic will not take.
    fn refuse(&self, work: &super::Work, row: &RowRef, target: &TopicTarget, record: &Record<'_>) -> Option<Failure> {
        let topic = &target.destination.topic;
        let facts = self.facts.get(topic)?;
        let key = work.bytes(row, row.key);
        if facts.compacted && key.is_none() {
            let why = format!("topic {topic} is compacted and takes no record without a key");
            return Some(Failure::new(Stage::Encode, "not-encodable", why));
        }
        if target.destination.same_partition && record.partition >= facts.partitions {
            let why =
                format!("topic {topic} has {} partitions, and the record's is {}", facts.partitions, record.partition);
            return Some(Failure::new(Stage::Encode, "not-encodable", why));
        }
        let size = record_size(key, work.bytes(row, row.body), record.headers);
        (size > facts.max_message_bytes).then(|| {
            let why =
                format!("{size} bytes; topic {topic} takes at most {} (max.message.bytes)", facts.max_message_bytes);
            Failure::new(Stage::Encode, "record-too-large", why)
        })
    }

    fn letter(&mut self, tag: usize, record: &Record<'_>, case: Option<u16>, failure: &Failure) -> Result<(), Setback> {
        match self.letters.dead.clone() {
            DeadLetters::Discard => Ok(()),
            DeadLetters::Stop => Err(Setback::stand(
                Cause::Record,
                format!("{}/{} offset {}: {failure}", record.topic, record.partition, record.offset),
                "the route's dlq is \"stop\": correct the record's producer or the route, or name a dead-letter topic",
            )),
            DeadLetters::Topic(topic) => self.write_letter(&topic, tag, record, case, failure),
        }
    }

    fn set_apart(&mut self, tag: usize, record: &Record<'_>, failure: &Failure) -> Result<(), Setback> {
        match self.letters.apart.clone() {
            Some(topic) => self.write_letter(&topic, tag, record, None, failure),
            None => Ok(()),
        }
    }

    fn write_letter(
        &mut self,
        topic: &str,
        tag: usize,
        record: &Record<'_>,
        case: Option<u16>,
        failure: &Failure,
    ) -> Result<(), Setback> {
        let route = self.letters.route.clone();
        let case = case.and_then(|c| self.letters.cases.get(usize::from(c))).cloned().unwrap_or_default();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let letter = Letter {
            route: &route,
            case: &case,
            record: *record,
            failure,
            failed_at: now.as_millis() as i64,
            attempts: attempts(record),
        };
        let added = LetterHeaders::new(&letter);
        let headers = added.headers(&letter);
        let size = record_size(record.key, record.value, &headers);
        if let Some(facts) = self.facts.get(topic).filter(|f| size > f.max_message_bytes) {
            // Whole or not at all: a shortened letter could not be replayed.
            return Err(Setback::stand(
                Cause::Broker,
                format!(
                    "{}/{} offset {}: its dead letter has {size} bytes, and topic {topic} takes {} (max.message.bytes)",
                    record.topic, record.partition, record.offset, facts.max_message_bytes
                ),
                format!("raise max.message.bytes of topic {topic} above its source topic's, then restart"),
            ));
        }
        // Its source's partition where the topic has it, else its key decides.
        let fits = self.facts.get(topic).is_some_and(|f| record.partition < f.partitions);
        self.produce(&Outgoing {
            topic,
            partition: fits.then_some(record.partition),
            key: record.key,
            value: record.value,
            headers: &headers,
            timestamp: record.timestamp,
            tag,
        })
    }

    /// Hands a record to the producer; waits while its queue is full.
    fn produce(&mut self, record: &Outgoing<'_>) -> Result<(), Setback> {
        loop {
            let fault = match self.producer.produce(record) {
                Ok(()) => return Ok(()),
                Err(NotTaken::QueueFull) => {
                    let refused = &mut self.refused;
                    let taken = |tag, report: Result<(), Fault>| refused.extend(report.err().map(|f| (tag, f)));
                    match self.producer.reports(Duration::from_millis(10), taken) {
                        Ok(_) => continue,
                        Err(fault) => fault,
                    }
                }
                Err(NotTaken::TooLarge(fault) | NotTaken::Fault(fault)) => fault,
            };
            return Err(self.failed(fault));
        }
    }

    /// At least once: what was refused in a batch is sent again alone, and lettered if it is refused alone too.
    pub(super) fn letter_refused(&mut self) -> Result<(), Setback> {
        let mut again: Vec<usize> = std::mem::take(&mut self.refused).into_iter().map(|(tag, _)| tag).collect();
        again.sort_unstable();
        again.dedup();
        for tag in again {
            let (index, i) = untag(tag);
            let work = std::mem::replace(&mut self.works[index], empty());
            let record = work.batch.get(i);
            let at = Partition::new(record.topic, record.partition);
            let first = work.outcomes.rows.partition_point(|r| (r.record as usize) < i);
            let last = work.outcomes.rows.partition_point(|r| (r.record as usize) <= i);
            let Verdict::Delivered { case } = work.outcomes.verdicts[i] else {
                return Err(Setback::retry(Cause::Broker, format!("the brokers refuse a dead letter of {at}")));
            };
            self.suspects.insert((at.clone(), record.offset));
            self.deliver(index, &work, first..last, &record, &at, case)?;
            if let Some((_, fault)) = std::mem::take(&mut self.refused).into_iter().next() {
                let failure = refused_failure(&fault);
                self.tally.refuse(&at, Some(case), &failure);
                self.letter(tag, &record, Some(case), &failure)?;
                self.flush()?;
            }
            self.suspects.clear();
            self.works[index] = work;
        }
        Ok(())
    }
}

/// The record's headers without those dropped, then those set.
fn headers<'a>(work: &'a super::Work, row: &RowRef, target: &'a TopicTarget, record: &Record<'a>) -> Vec<Header<'a>> {
    let destination = &target.destination;
    if record.headers.is_empty() && destination.set_headers.is_empty() {
        return Vec::new();
    }
    let dropped = |h: &Header<'_>| destination.drop_headers.iter().any(|d| d.as_bytes() == h.name);
    let mut headers: Vec<_> = record.headers.iter().filter(|h| !dropped(h)).copied().collect();
    // A tombstone has no body for the expressions to read.
    if row.op == crate::route::Op::Write {
        for (i, (name, _)) in destination.set_headers.iter().enumerate() {
            let slot = row.slots as usize + 2 * i;
            let (start, end) = (work.outcomes.slots[slot] as usize, work.outcomes.slots[slot + 1] as usize);
            headers.push(Header { name: name.as_bytes(), value: Some(&work.outcomes.out[start..end]) });
        }
    }
    headers
}

/// A record's size in a batch of its own: its bytes, and Kafka's batch and record overhead (61 + 21 bytes at most).
pub fn record_size(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) -> usize {
    let bytes = |b: Option<&[u8]>| b.map_or(0, <[u8]>::len);
    82 + bytes(key) + bytes(value) + headers.iter().map(|h| h.name.len() + bytes(h.value) + 10).sum::<usize>()
}

fn empty() -> super::Work {
    super::Work {
        batch: Box::new(Vec::<OwnedRecord>::new()),
        outcomes: crate::route::Outcomes::default(),
        targets: [].into(),
    }
}
