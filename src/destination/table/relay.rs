//! Dead letters of tables that are bound for a topic: taken out of the outbox once their transaction stands.
//!
//! A letter is deleted after its topic has acknowledged it, so none is lost. After a crash in between the same letter
//! may stand twice in the topic, with the same origin headers.

use super::{Bound, Tables};
use crate::{
    destination::{Destination, Start, Tally, Ticket, TopicInfos, Work},
    failure::{Cause, Setback},
    kafka::{NotTaken, Outgoing, Producer},
    record::{Header, Partition, Positions},
    telemetry::RouteTelemetry,
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Letters relayed at a time.
const ROUND: usize = 1_000;

/// How long their acknowledgements may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Tables whose dead letters go to a topic.
pub struct Relayed {
    tables: Tables,
    producer: Producer,
    /// Partitions of each topic that letters are bound for.
    partitions: HashMap<String, i32>,
    telemetry: Arc<RouteTelemetry>,
    claimed: Vec<Partition>,
    /// Whether the outbox may hold letters of ours.
    owed: bool,
}

impl Relayed {
    pub fn new(
        tables: Tables,
        producer: Producer,
        partitions: HashMap<String, i32>,
        telemetry: Arc<RouteTelemetry>,
    ) -> Relayed {
        Relayed { tables, producer, partitions, telemetry, claimed: Vec::new(), owed: true }
    }

    fn relay(&mut self) -> Result<(), Setback> {
        while self.owed && !self.claimed.is_empty() {
            let letters = self.tables.outbox_take(&self.claimed, ROUND)?;
            self.telemetry.outbox(letters.len() as u64);
            self.send(&letters)?;
            let ids: Vec<i64> = letters.iter().map(|l| l.id).collect();
            self.tables.outbox_delete(&ids)?;
            self.owed = letters.len() == ROUND;
        }
        self.telemetry.outbox(0);
        Ok(())
    }

    fn send(&mut self, letters: &[Bound]) -> Result<(), Setback> {
        let mut refused = None;
        for (tag, letter) in letters.iter().enumerate() {
            let headers: Vec<Header<'_>> =
                letter.headers.iter().map(|(name, value)| Header { name, value: value.as_deref() }).collect();
            // Its source's partition where the topic has it, else its key decides.
            let fits = self.partitions.get(&letter.dlq).is_some_and(|n| letter.origin.id < *n);
            let record = Outgoing {
                topic: &letter.dlq,
                partition: fits.then_some(letter.origin.id),
                key: letter.key.as_deref(),
                value: letter.value.as_deref(),
                headers: &headers,
                timestamp: letter.timestamp,
                tag,
            };
            loop {
                match self.producer.produce(&record) {
                    Ok(()) => break,
                    Err(NotTaken::QueueFull) => {
                        self.producer.reports(Duration::from_millis(10), |_, report| {
                            refused = report.err().or(refused.take())
                        })?;
                    }
                    Err(NotTaken::TooLarge(fault) | NotTaken::Fault(fault)) => return Err(fault.into()),
                }
            }
        }
        self.producer.flush(DEADLINE, |_, report| refused = report.err().or(refused.take()))?;
        match refused {
            None => Ok(()),
            Some(fault) => {
                Err(Setback::retry(Cause::Broker, format!("dead letters wait in pointsman_outbox: {fault}")))
            }
        }
    }
}

impl Destination for Relayed {
    fn claim(&mut self, partitions: &[Partition], topics: &TopicInfos, start: Start<'_>) -> Result<Positions, Setback> {
        let positions = self.tables.claim(partitions, topics, start)?;
        self.claimed = partitions.to_vec();
        // What a predecessor left.
        self.owed = true;
        self.relay()?;
        Ok(positions)
    }

    fn stored(&mut self, partitions: &[Partition], topics: &TopicInfos) -> Result<Positions, Setback> {
        self.relay()?;
        let mut stored = self.tables.stored(partitions, topics)?;
        // Others' letters too: their owners relay them.
        for waiting in self.tables.outbox_take(partitions, ROUND)? {
            stored.remove(&waiting.origin);
        }
        Ok(stored)
    }

    fn write(&mut self, work: Work) -> Result<(), Setback> {
        self.tables.write(work)
    }

    fn settle(&mut self) -> Result<Tally, Setback> {
        let tally = self.tables.settle()?;
        // Those set apart count as delivered, and may go to a topic too.
        self.owed |= tally.total().dead_lettered > 0 || tally.cases.contains_key(&None);
        Ok(tally)
    }

    fn commit(&mut self, ticket: Ticket) -> Result<(), Setback> {
        self.tables.commit(ticket)?;
        // The transaction stands whatever becomes of the relay: what waits is tried again after the next one.
        if let Err(setback) = self.relay() {
            tracing::warn!(route = self.telemetry.name(), "{setback}");
        }
        Ok(())
    }

    fn trip(&mut self) -> Result<(), Setback> {
        self.tables.trip()
    }

    fn abort(&mut self) -> Result<(), Setback> {
        self.tables.abort()
    }
}
