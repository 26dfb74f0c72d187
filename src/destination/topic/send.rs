//! A batch to the producer: rows, letters, and what is refused before it is sent.

use super::{DEADLINE, DeadLetters, Letters, Origin, TopicFacts, Topics, refusals};
use crate::{
    failure::{Cause, Failure, Setback, Stage},
    kafka::{Code, Fault, Outgoing},
    record::{Digits, Header, Letter, Partition, Record, attempts, runs},
    route::{RowRef, Target, TopicTarget, Verdict},
};
use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Names a record's origin on its way through librdkafka and back: which of the claimed partitions, and the offset. (No
/// partition holds 2^48 records.)
fn tag(partition: usize, offset: i64) -> usize {
    (partition << 48) | offset.cast_unsigned() as usize
}

pub(super) fn untag(tag: usize, claimed: &[Partition]) -> Option<Origin> {
    Some((claimed.get(tag >> 48)?.clone(), (tag & 0xffff_ffff_ffff) as i64))
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

/// A letter must fit its topic: nothing can be done about one that does not but by a person.
pub fn letter_refused((partition, offset): &Origin, topic: &str, fault: &Fault) -> Setback {
    let change = match fault.code {
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => "raise its max.message.bytes",
        Code::InvalidTimestamp => {
            "let its message.timestamp.type be LogAppendTime, or raise its message.timestamp.before.max.ms and \
             message.timestamp.after.max.ms"
        }
        _ => "let its cleanup.policy be delete: a compacted topic takes no record without a key",
    };
    Setback::stand(
        Cause::Broker,
        format!("{partition} offset {offset}: the dead-letter topic {topic} refuses its letter: {}", fault.message),
        format!("topic {topic} has to take what its source takes: {change}"),
    )
}

/// So many headers a letter mostly has at most.
const LETTER_HEADERS: usize = 24;

impl Topics {
    /// Produces everything of a work, in the order of its records. librdkafka has a copy: the work is of no more use.
    pub(super) fn send(&mut self, work: &super::Work) -> Result<(), Setback> {
        let sent = self.send_records(work).and_then(|()| self.reports(Duration::ZERO));
        sent.map_err(|setback| self.behind(setback))
    }

    fn send_records(&mut self, work: &super::Work) -> Result<(), Setback> {
        let facts = |target: &Target| match target {
            Target::Topic(TopicTarget { destination }) => self.facts.get(&destination.topic).copied(),
            Target::Table(_) => None,
        };
        let facts: Vec<_> = work.targets.iter().map(facts).collect();
        let mut next = 0;
        for run in runs(&*work.batch) {
            let first = work.batch.get(run.start);
            let same = |p: &Partition| p.id == first.partition && *p.topic == *first.topic;
            let partition = self.claimed.iter().position(same).unwrap_or(self.claimed.len());
            for i in run {
                let record = work.batch.get(i);
                let begin = next;
                while work.outcomes.rows.get(next).is_some_and(|r| r.record as usize == i) {
                    next += 1;
                }
                let tag = tag(partition, record.offset);
                match &work.outcomes.verdicts[i] {
                    Verdict::Delivered { case } => self.deliver(tag, work, &facts, begin..next, &record, *case)?,
                    Verdict::Filtered => {}
                    Verdict::Dead { case, failure } => self.letter(tag, &record, *case, failure)?,
                    Verdict::Apart(failure) => self.set_apart(tag, &record, failure)?,
                }
            }
        }
        Ok(())
    }

    /// The rows of one record: all of them, or its letter. `facts` are those of the work's targets.
    fn deliver(
        &mut self,
        tag: usize,
        work: &super::Work,
        facts: &[Option<TopicFacts>],
        rows: Range<usize>,
        record: &Record<'_>,
        case: u16,
    ) -> Result<(), Setback> {
        let rows = &work.outcomes.rows[rows];
        let known = (!self.condemned.is_empty()).then(|| self.condemned.get(&origin(record)).cloned()).flatten();
        if let Some(failure) = known.or_else(|| rows.iter().find_map(|row| self.refuse(work, facts, row, record))) {
            self.tally.refuse(&origin(record), Some(case), &failure);
            return self.letter(tag, record, Some(case), &failure);
        }
        let alone = self.is_suspect(record);
        if alone {
            self.by_itself()?;
        } else if self.spoilt {
            return Ok(());
        }
        for row in rows {
            let Target::Topic(target) = &work.targets[row.target as usize] else { continue };
            let headers = headers(work, row, target, record);
            let destination = &target.destination;
            self.produce(&Outgoing {
                topic: &destination.topic,
                partition: destination.same_partition.then_some(record.partition),
                key: work.bytes_of(record, row.key),
                value: work.bytes_of(record, row.body),
                headers: &headers,
                timestamp: record.timestamp,
                tag,
            })?;
        }
        if !alone {
            return Ok(());
        }
        self.flush()?;
        match self.refused.first() {
            Some((_, fault)) if is_of_record(fault) => {
                let failure = refused_failure(fault);
                self.condemn(origin(record), tag, record, case, failure)
            }
            Some((_, fault)) => Err(self.cause(fault.clone()).into()),
            None => Ok(()),
        }
    }

    /// Waits for what was sent before, so that what is said next is about the next record alone.
    fn by_itself(&mut self) -> Result<(), Setback> {
        self.flush()?;
        self.refused.first().map_or(Ok(()), |(_, fault)| Err(self.cause(fault.clone()).into()))
    }

    /// A record was refused alone. Its transaction is spoilt: another one goes on looking at the other suspects, and is
    /// then given up too, so that everything is written again, with this record's letter.
    fn condemn(
        &mut self,
        origin: Origin,
        tag: usize,
        record: &Record<'_>,
        case: u16,
        failure: Failure,
    ) -> Result<(), Setback> {
        self.refused.clear();
        if !self.exactly_once() {
            self.tally.refuse(&origin, Some(case), &failure);
            return self.letter(tag, record, Some(case), &failure);
        }
        self.condemned.insert(origin, failure);
        self.spoilt = true;
        let aborted = self.producer.abort(DEADLINE, |_, _| ());
        aborted.map_err(|fault| self.failed(fault))?;
        self.open = false;
        self.begin()
    }

    fn is_suspect(&self, record: &Record<'_>) -> bool {
        !self.suspects.is_empty() && self.suspects.contains(&origin(record))
    }

    /// What can be known of a record that its topic will not take.
    fn refuse(
        &self,
        work: &super::Work,
        facts: &[Option<TopicFacts>],
        row: &RowRef,
        record: &Record<'_>,
    ) -> Option<Failure> {
        let Target::Topic(TopicTarget { destination }) = &work.targets[row.target as usize] else { return None };
        let topic = &destination.topic;
        let facts = facts[row.target as usize].as_ref()?;
        let key = work.bytes_of(record, row.key);
        if facts.compacted && key.is_none() {
            let why = format!("topic {topic} is compacted and takes no record without a key");
            return Some(Failure::new(Stage::Encode, "not-encodable", why));
        }
        if destination.same_partition && record.partition >= facts.partitions {
            let why =
                format!("topic {topic} has {} partitions, and the record's is {}", facts.partitions, record.partition);
            return Some(Failure::new(Stage::Encode, "not-encodable", why));
        }
        let size = record_size(key, work.bytes_of(record, row.body), record.headers);
        facts.too_small(size, self.producer.compresses()).then(|| {
            let why =
                format!("{size} bytes; topic {topic} takes at most {} (max.message.bytes)", facts.max_message_bytes);
            Failure::new(Stage::Encode, "record-too-large", why)
        })
    }

    fn letter(&mut self, tag: usize, record: &Record<'_>, case: Option<u16>, failure: &Failure) -> Result<(), Setback> {
        let letters = Arc::clone(&self.letters);
        match &letters.dead {
            DeadLetters::Discard => Ok(()),
            DeadLetters::Stop => {
                let place = format!("{}/{} offset {}", record.topic, record.partition, record.offset);
                Err(Setback::dead_letter(&letters.route, place, failure))
            }
            DeadLetters::Topic(topic) => self.write_letter(&letters, topic, tag, record, case, failure),
        }
    }

    fn set_apart(&mut self, tag: usize, record: &Record<'_>, failure: &Failure) -> Result<(), Setback> {
        let letters = Arc::clone(&self.letters);
        match &letters.apart {
            Some(topic) => self.write_letter(&letters, topic, tag, record, None, failure),
            None => Ok(()),
        }
    }

    fn write_letter(
        &mut self,
        letters: &Letters,
        topic: &str,
        tag: usize,
        record: &Record<'_>,
        case: Option<u16>,
        failure: &Failure,
    ) -> Result<(), Setback> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let letter = Letter {
            route: &letters.route,
            case: case.and_then(|c| letters.cases.get(usize::from(c))).map_or("", String::as_str),
            record: *record,
            failure,
            failed_at: now.as_millis() as i64,
            attempts: attempts(record),
        };
        let mut digits = Digits::default();
        let mut headers = Vec::with_capacity(LETTER_HEADERS);
        headers.extend(letter.headers(&mut digits));
        let facts = self.facts.get(topic);
        let size = record_size(record.key, record.value, &headers);
        if let Some(facts) = facts.filter(|f| f.too_small(size, self.producer.compresses())) {
            // Whole or not at all: a shortened letter could not be replayed.
            return Err(Setback::stand(
                Cause::Broker,
                format!(
                    "{}/{} offset {}: its dead letter has {size} bytes, and topic {topic} takes {} (max.message.bytes)",
                    record.topic, record.partition, record.offset, facts.max_message_bytes
                ),
                format!("raise max.message.bytes of topic {topic} above its source topic's"),
            ));
        }
        // Its source's partition where the topic has it, else its key decides.
        let fits = facts.is_some_and(|f| record.partition < f.partitions);
        let alone = self.is_suspect(record);
        if alone {
            self.by_itself()?;
        }
        self.produce(&Outgoing {
            topic,
            partition: fits.then_some(record.partition),
            key: record.key,
            value: record.value,
            headers: &headers,
            timestamp: record.timestamp,
            tag,
        })?;
        if alone {
            self.flush()?;
        }
        match self.refused.first() {
            Some((_, fault)) if alone && is_of_record(fault) => Err(letter_refused(&origin(record), topic, fault)),
            _ => Ok(()),
        }
    }

    /// Hands a record to the producer; waits while its queue is full.
    fn produce(&mut self, record: &Outgoing<'_>) -> Result<(), Setback> {
        match self.producer.hand_over(record, DEADLINE, refusals(&mut self.refused)) {
            Ok(()) => Ok(()),
            // Too large for the producer itself: as if its topic had refused it.
            Err(fault) if is_of_record(&fault) => {
                self.refused.push((record.tag, fault));
                Ok(())
            }
            Err(fault) => Err(self.failed(fault)),
        }
    }
}

fn origin(record: &Record<'_>) -> Origin {
    (Partition::new(record.topic, record.partition), record.offset)
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
