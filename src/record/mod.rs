//! A Kafka record, a batch of them, positions, and dead letters: plain data, no Kafka client.

mod letter;
mod positions;

pub use letter::{Digits, HEADER_PREFIX, Letter, MESSAGE_CAP, attempts, capped};
pub use positions::{Partition, Positions};

use std::ops::Range;

/// One Kafka record, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the epoch; `None` where the broker gave none.
    pub timestamp: Option<i64>,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    pub headers: &'a [Header<'a>],
}

/// One header. Kafka promises UTF-8 names, but nothing enforces it: names are bytes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub name: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// A batch of records, in the order of each partition's offsets.
///
/// The consumer's batch is owned by librdkafka; tests use a [`Vec`] of [`OwnedRecord`].
pub trait Records {
    fn len(&self) -> usize;
    fn get(&self, i: usize) -> Record<'_>;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Where the run that begins at `from` ends: records of one partition, their offsets ascending.
    fn run_end(&self, from: usize) -> usize {
        let follows = |i: &usize| {
            let (before, next) = (self.get(i - 1), self.get(*i));
            next.offset > before.offset && next.partition == before.partition && next.topic == before.topic
        };
        (from + 1..self.len()).find(|i| !follows(i)).unwrap_or(self.len())
    }
    /// Keys and values, in bytes.
    fn bytes(&self) -> usize {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        (0..self.len()).map(|i| self.get(i)).map(|r| length(r.key) + length(r.value)).sum()
    }
}

impl<R: Records + ?Sized> Records for Box<R> {
    fn len(&self) -> usize {
        (**self).len()
    }
    fn get(&self, i: usize) -> Record<'_> {
        (**self).get(i)
    }
    fn run_end(&self, from: usize) -> usize {
        (**self).run_end(from)
    }
    fn bytes(&self) -> usize {
        (**self).bytes()
    }
}

/// The runs of a batch, in order: records mostly come many of a partition at a time, and what is about the partition is
/// looked up once for each.
pub fn runs(records: &(impl Records + ?Sized)) -> impl Iterator<Item = Range<usize>> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let run = next..(next < records.len()).then(|| records.run_end(next))?;
        next = run.end;
        Some(run)
    })
}

/// A record that owns its bytes: for tests, generated records and replays.
#[derive(Clone, Debug, Default)]
pub struct OwnedRecord {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<Header<'static>>,
}

impl OwnedRecord {
    pub fn new(topic: &str, partition: i32, offset: i64) -> Self {
        OwnedRecord { topic: topic.into(), partition, offset, ..Default::default() }
    }
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }
    pub fn value(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.value = Some(value.into());
        self
    }
    pub fn timestamp(mut self, millis: i64) -> Self {
        self.timestamp = Some(millis);
        self
    }
    /// Header bytes are `'static` here: tests write them as literals.
    pub fn header(mut self, name: &'static [u8], value: &'static [u8]) -> Self {
        self.headers.push(Header { name, value: Some(value) });
        self
    }
}

impl Records for Vec<OwnedRecord> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }
    fn get(&self, i: usize) -> Record<'_> {
        let r = &self[i];
        Record {
            topic: &r.topic,
            partition: r.partition,
            offset: r.offset,
            timestamp: r.timestamp,
            key: r.key.as_deref(),
            value: r.value.as_deref(),
            headers: &r.headers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_of_one_partition_and_its_offsets_ascend() {
        let at = |topic, id, offset| OwnedRecord::new(topic, id, offset);
        let records = vec![at("t", 0, 4), at("t", 0, 7), at("t", 1, 8), at("u", 1, 9), at("u", 1, 9), at("u", 1, 3)];
        assert_eq!(runs(&records).collect::<Vec<_>>(), [0..2, 2..3, 3..4, 4..5, 5..6]);
        assert_eq!(runs(&Vec::<OwnedRecord>::new()).count(), 0);
    }
}
