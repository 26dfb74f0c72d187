//! How the group began with its topics, as the notes beside its positions tell: which partitions are new to it, which
//! have grown since, and which have lost their position.

use super::{DEADLINE, Topics};
use crate::{
    destination::{TopicInfos, made_anew, position_lost},
    failure::{Cause, Setback},
    kafka::{Committed, Note},
    record::{Partition, Positions},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

impl Topics {
    /// How each topic was when the group began with it, as the notes beside its positions tell. Other workers' partitions
    /// are only looked at while something is missing.
    pub(super) fn begun(
        &self,
        topics: &TopicInfos,
        committed: &BTreeMap<Partition, Committed>,
        absent: &[Partition],
    ) -> Result<BTreeMap<String, Begun>, Setback> {
        let of = |topic: &str| topics.get(topic).map_or(0, |info| info.partitions);
        let sure = |topic: &str, n: &Note| n.whole && n.partitions.is_some_and(|then| then >= of(topic));
        let unsure =
            committed.iter().filter(|(p, c)| !c.note.as_ref().is_some_and(|n| sure(&p.topic, n))).map(|(p, _)| p);
        let asked: BTreeSet<&Arc<str>> = absent.iter().chain(unsure).map(|p| &p.topic).collect();
        let others: Vec<_> =
            asked.into_iter().flat_map(|t| (0..of(t)).map(|id| Partition { topic: t.clone(), id })).collect();
        let mut known = self.consumer.committed(&others, DEADLINE)?;
        known.extend(committed.clone());
        known.retain(|p, c| !another_topic(p, topics, Some(c)));
        let mut begun: BTreeMap<String, Begun> = BTreeMap::new();
        for (partition, c) in &known {
            let Some(note) = &c.note else { continue };
            let Some(partitions) = note.partitions else { continue };
            let begun = begun.entry(partition.topic.to_string()).or_insert(Begun { partitions, ..Begun::default() });
            begun.partitions = match (begun.was_whole, note.whole) {
                (true, true) => begun.partitions.max(partitions),
                (true, false) => begun.partitions,
                (false, true) => partitions,
                (false, false) => begun.partitions.min(partitions),
            };
            begun.was_whole |= note.whole;
        }
        for topic in absent.iter().chain(known.keys()).map(|p| &p.topic) {
            let now = Begun { partitions: of(topic), ..Begun::default() };
            let begun = begun.entry(topic.to_string()).or_insert(now);
            // What is absent here gets its position before the next commit.
            let has = |p: Partition| known.contains_key(&p) || absent.contains(&p);
            let all = |partitions: i32| (0..partitions).all(|id| has(Partition { topic: topic.clone(), id }));
            begun.noted = match of(topic) {
                now if all(now) => (now, true),
                _ => (begun.partitions, begun.was_whole || all(begun.partitions)),
            };
        }
        Ok(begun)
    }
}

/// A topic as the group knows it: when it began with it, or when each of its partitions was last found to have a position.
#[derive(Default)]
pub(super) struct Begun {
    pub(super) partitions: i32,
    /// Whether an earlier commit says that each of them had a position.
    pub(super) was_whole: bool,
    /// The same two as they are noted from now on.
    pub(super) noted: (i32, bool),
}

/// The alarm: a partition whose neighbours say that the group had a position in it.
pub(super) fn lost(partition: &Partition, group: &str) -> Setback {
    position_lost(
        Cause::Broker,
        partition,
        group,
        "store a position for the group (kafka-consumer-groups --reset-offsets)",
    )
}

/// Whether this position is one of an earlier topic of the same name.
pub(super) fn another_topic(partition: &Partition, topics: &TopicInfos, committed: Option<&Committed>) -> bool {
    let then = committed.and_then(|c| c.note.as_ref()).and_then(|n| n.topic_id.as_deref());
    made_anew(&partition.topic, topics, then)
}

/// Of which topic, by its id, this process has held each partition. The brokers forget a topic's positions with it, and what
/// is noted beside them. One for all workers: partitions move between them, and destinations are opened anew.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<String, BTreeMap<Partition, String>>>);

impl Memory {
    /// Whether the partition was held when its topic was another one of the same name.
    pub(super) fn is_of_another(&self, group: &str, partition: &Partition, topics: &TopicInfos) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let then = held.get(group).and_then(|partitions| partitions.get(partition));
        made_anew(&partition.topic, topics, then.map(String::as_str))
    }

    /// These are held, with a position that is stored.
    pub(super) fn holds(&self, group: &str, positions: &Positions, topics: &TopicInfos) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.entry(group.to_owned()).or_default();
        let id = |p: &Partition| topics.get(&*p.topic)?.id.clone();
        held.extend(positions.keys().filter_map(|p| Some((p.clone(), id(p)?))));
    }
}
