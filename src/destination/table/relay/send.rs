//! A round of letters goes to its topic: sent, and heard of each whether it was taken.

use super::{Bound, Outfit};
use crate::{
    destination::topic::is_of_record,
    kafka::{Code, Fault, Outgoing},
    record::Header,
};
use std::{
    ops::Range,
    time::{Duration, Instant},
};

/// How long the reports of letters that were purged may take; they need no broker.
const PURGING: Duration = Duration::from_secs(1);

/// What the topics said of a round's letters, by their places in it.
#[derive(Default)]
pub(super) struct Heard {
    pub taken: Vec<usize>,
    pub refused: Vec<(usize, Fault)>,
}

impl Heard {
    fn listen(&mut self) -> impl FnMut(usize, Result<(), Fault>) {
        |tag, report| match report {
            Ok(()) => self.taken.push(tag),
            Err(fault) => self.refused.push((tag, fault)),
        }
    }
}

/// Whether a broker said no to a letter or to its neighbours. Of a batch with several at fault librdkafka tells the others
/// apart; with one, all of the batch get its code.
fn is_of_batch(fault: &Fault) -> bool {
    is_of_record(fault) || fault.code == Code::InvalidDifferentRecord
}

/// Sends letters. What is refused in the end was refused alone: a refusal is told of a whole produce batch. Those that are not
/// looked at within the deadline come again.
///
/// # Errors
/// No answer in time, or one that says nothing of the letters themselves. Nothing of them is under way any more.
pub(super) fn all(outfit: &mut Outfit, letters: &[Bound], deadline: Duration, heard: &mut Heard) -> Result<(), Fault> {
    let sent = together_then_alone(outfit, letters, deadline, heard);
    if sent.is_err() {
        // What stays in the producer would be sent beside the next relay's.
        outfit.0.purge();
        let _ = outfit.0.flush(PURGING, heard.listen());
    }
    sent
}

fn together_then_alone(
    outfit: &mut Outfit,
    letters: &[Bound],
    deadline: Duration,
    heard: &mut Heard,
) -> Result<(), Fault> {
    some(outfit, letters, 0..letters.len(), deadline, heard)?;
    let begun = Instant::now();
    for (place, _) in std::mem::take(&mut heard.refused) {
        if begun.elapsed() >= deadline {
            break;
        }
        some(outfit, letters, place..place + 1, deadline, heard)?;
    }
    Ok(())
}

/// Sends some of these letters, and waits until each is acknowledged or refused.
fn some(
    outfit: &mut Outfit,
    letters: &[Bound],
    places: Range<usize>,
    deadline: Duration,
    heard: &mut Heard,
) -> Result<(), Fault> {
    let (producer, partitions) = outfit;
    for (tag, letter) in letters.iter().enumerate().take(places.end).skip(places.start) {
        let headers: Vec<Header<'_>> =
            letter.headers.iter().map(|(name, value)| Header { name, value: value.as_deref() }).collect();
        // Its source's partition where the topic has it, else its key decides.
        let fits = partitions.get(&letter.dlq).is_some_and(|n| letter.origin.id < *n);
        let record = Outgoing {
            topic: &letter.dlq,
            partition: fits.then_some(letter.origin.id),
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
            headers: &headers,
            timestamp: letter.timestamp,
            tag,
        };
        match producer.hand_over(&record, deadline, heard.listen()) {
            Err(fault) if is_of_record(&fault) => heard.refused.push((tag, fault)),
            taken => taken?,
        }
    }
    producer.flush(deadline, heard.listen())?;
    match heard.refused.iter().find(|(_, fault)| !is_of_batch(fault)) {
        Some((_, fault)) => Err(fault.clone()),
        None => Ok(()),
    }
}
