//! Records to a topic.

use super::{Generated, Tally, Target};
use crate::{
    failure::{Cause, Setback},
    kafka::{NotTaken, Outgoing, Producer, Reports, Settings},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How long the brokers may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing may be acknowledged while records wait for it.
const STALL: Duration = Duration::from_secs(60);
/// Records under way: more cost the producer more than they bring.
const IN_FLIGHT: usize = 20_000;

pub(super) struct Topic {
    producer: Producer,
    topic: Arc<str>,
    tally: Tally,
    stop: Arc<AtomicBool>,
}

impl Topic {
    /// # Errors
    /// No broker answers, or there is no such topic.
    pub fn open(settings: &Settings, topic: &str, stop: Arc<AtomicBool>) -> Result<Topic, Setback> {
        let producer = Producer::idempotent(settings, Reports::All)?;
        let found = producer.cluster(PATIENCE).topics(&[topic]).map_err(|fault| {
            let setback = Setback::from(fault);
            let help = format!("is a broker at {}? [kafka] bootstrap_servers says where", settings.bootstrap_servers());
            if setback.help.is_empty() { Setback { help, ..setback } } else { setback }
        })?;
        if found.is_empty() {
            let message = format!("there is no topic {topic} at {}", settings.bootstrap_servers());
            return Err(Setback::stand(Cause::Broker, message, "make the topic, or name another with --to topic:NAME"));
        }
        Ok(Topic { producer, topic: topic.into(), tally: Tally::default(), stop })
    }

    /// Takes what the brokers have answered; how many answers there were.
    fn answers(&mut self, wait: Duration) -> Result<usize, Setback> {
        let tally = &mut self.tally;
        let count = self.producer.reports(wait, |_, answer| match answer {
            Ok(()) => tally.acknowledged += 1,
            Err(fault) => *tally.refused.entry(fault.message).or_default() += 1,
        });
        Ok(count?)
    }

    /// Waits until at most so many records are under way.
    fn drain(&mut self, most: usize) -> Result<(), Setback> {
        let mut moved = Instant::now();
        while self.producer.in_flight() > most {
            if self.answers(Duration::from_millis(50))? > 0 {
                moved = Instant::now();
            }
            // Whoever said stop waits a little, not a minute.
            let patience = if self.stop.load(Ordering::Relaxed) { PATIENCE } else { STALL };
            if moved.elapsed() > patience {
                let left = self.producer.in_flight();
                let why = self.producer.trouble().map(|t| format!(": {}", t.fault.message)).unwrap_or_default();
                let message = format!("{left} records are not acknowledged, and nothing moves for {patience:?}{why}");
                return Err(Setback::stand(Cause::Broker, message, "look whether the brokers are up"));
            }
        }
        Ok(())
    }
}

impl Target for Topic {
    fn send(&mut self, record: &Generated) -> Result<(), Setback> {
        let topic = self.topic.clone();
        let outgoing = Outgoing {
            topic: &topic,
            partition: None,
            key: record.key.as_deref(),
            value: Some(&record.value),
            headers: &[],
            timestamp: None,
            tag: 0,
        };
        loop {
            match self.producer.produce(&outgoing) {
                Ok(()) => break,
                Err(NotTaken::QueueFull) => self.drain(IN_FLIGHT / 2)?,
                Err(NotTaken::TooLarge(fault)) => {
                    *self.tally.refused.entry(fault.message).or_default() += 1;
                    break;
                }
                Err(NotTaken::Fault(fault)) => return Err(fault.into()),
            }
        }
        if self.producer.in_flight() > IN_FLIGHT { self.drain(IN_FLIGHT * 3 / 4) } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Setback> {
        self.drain(0)
    }

    fn idle(&mut self, time: Duration) -> Result<(), Setback> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.answers(left)?;
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}
