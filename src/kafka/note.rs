//! What an offset commit says beside the offset: a version, and the topic's id, so that a topic that was deleted and
//! made again is seen.

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

/// The metadata string of our offset commits: `pointsman/1 TOPIC-ID`. What comes after is for later versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// As the brokers write it (base64); `None` where they tell none.
    pub topic_id: Option<String>,
}

const VERSION: &str = "pointsman/1";

impl Note {
    pub(super) fn parse(metadata: &[u8]) -> Option<Note> {
        let mut words = std::str::from_utf8(metadata).ok()?.split(' ');
        if words.next() != Some(VERSION) {
            return None;
        }
        Some(Note { topic_id: words.next().filter(|id| *id != "-").map(str::to_owned) })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION} {}", self.topic_id.as_deref().unwrap_or("-"))
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
        for note in [Note::default(), Note { topic_id: Some("Yw2nF0GcTKS".into()) }] {
            assert_eq!(Note::parse(note.to_string().as_bytes()), Some(note));
        }
        let later = Note::parse(b"pointsman/1 abc counters=7").unwrap();
        assert_eq!(later.topic_id.as_deref(), Some("abc"));
        for stranger in [&b""[..], b"\xff", b"pointsman/2 abc", b"some metadata"] {
            assert_eq!(Note::parse(stranger), None);
        }
    }
}
