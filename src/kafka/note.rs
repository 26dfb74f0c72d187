//! What an offset commit says beside the offset: a version; the topic's id, so that a topic that was deleted and made
//! again is seen; how many partitions it had when the group began with it, so that a new one is told from one that nobody
//! has read yet; whether the group had a position in each of those, so that a lost one is told from both; and under which configuration the breaker stopped the route there, if it did.

use super::list::List;
use crate::record::Positions;
use std::{collections::BTreeMap, fmt};

/// A position that the brokers hold for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub offset: i64,
    /// `None` where another program committed.
    pub note: Option<Note>,
}

/// The metadata string of our offset commits: `pointsman/1 TOPIC-ID PARTITIONS`, then `whole` where each of those had a
/// position, and `tripped=MARK` where the breaker stopped the route. What comes after is for later versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// As the brokers write it (base64); `None` where they tell none.
    pub topic_id: Option<String>,
    /// Partitions of the topic when the group began with it.
    pub partitions: Option<i32>,
    /// Whether the group has had a position in each of these partitions.
    pub whole: bool,
    /// The mark of the configuration under which the breaker stopped the route.
    pub tripped: Option<String>,
}

const VERSION: &str = "pointsman/1";
const WHOLE: &str = "whole";
const TRIPPED: &str = "tripped=";

impl Note {
    pub(super) fn parse(metadata: &[u8]) -> Option<Note> {
        let mut words = std::str::from_utf8(metadata).ok()?.split(' ');
        if words.next() != Some(VERSION) {
            return None;
        }
        let topic_id = words.next().filter(|id| *id != "-").map(str::to_owned);
        let partitions = words.next().and_then(|n| n.parse().ok());
        let (mut whole, mut tripped) = (false, None);
        for word in words {
            whole |= word == WHOLE;
            tripped = tripped.or(word.strip_prefix(TRIPPED).map(str::to_owned));
        }
        Some(Note { topic_id, partitions, whole, tripped })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION} {}", self.topic_id.as_deref().unwrap_or("-"))?;
        match self.partitions {
            Some(n) => write!(f, " {n}")?,
            None if self.whole || self.tripped.is_some() => f.write_str(" -")?,
            None => {}
        }
        if self.whole {
            write!(f, " {WHOLE}")?;
        }
        self.tripped.as_ref().map_or(Ok(()), |mark| write!(f, " {TRIPPED}{mark}"))
    }
}

/// Positions with the notes of their topics.
pub(super) fn noted(positions: &Positions, notes: &BTreeMap<String, Note>) -> List {
    let mut list = List::new();
    for (partition, offset) in positions {
        let note = notes.get(&*partition.topic).cloned().unwrap_or_default();
        list.push_with(partition, *offset, &note.to_string());
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_back_and_strangers_are_not() {
        let all = Note {
            topic_id: Some("Yw2nF0GcTKS".into()),
            partitions: Some(12),
            whole: true,
            tripped: Some("5eed".into()),
        };
        let whole = Note { tripped: None, ..all.clone() };
        let plain = Note { whole: false, ..whole.clone() };
        let tripped = Note { whole: false, ..all.clone() };
        for note in [Note::default(), Note { partitions: None, ..plain.clone() }, plain, whole, tripped, all] {
            assert_eq!(Note::parse(note.to_string().as_bytes()), Some(note));
        }
        let later = Note::parse(b"pointsman/1 abc 4 counters=7").unwrap();
        assert_eq!((later.topic_id.as_deref(), later.partitions), (Some("abc"), Some(4)));
        for stranger in [&b""[..], b"\xff", b"pointsman/2 abc", b"some metadata"] {
            assert_eq!(Note::parse(stranger), None);
        }
    }
}
