//! A member of a consumer group: assignments, batches, seeks, commits.

use super::{
    batch::Batch,
    client::{Client, Event as Native, Queue, millis},
    cluster::{At, Cluster},
    fault::{self, Fault, Kind, check},
    group::GroupMetadata,
    list::List,
    note::{Committed, Note},
    rebalance::Revocation,
    settings::Settings,
    watch::Trouble,
};
use crate::record::{Partition, Positions, Records};
use rdkafka::{
    bindings as rd,
    types::{RDKafkaErrorCode, RDKafkaType},
};
use std::{
    collections::BTreeMap,
    ffi::CString,
    ptr::NonNull,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What a member is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// These partitions are ours now, beside those we have. None at all says that the group has no more for us.
    /// Everything is paused, and at no certain position: seek, then resume, also what flowed before.
    Assigned(Vec<Partition>),
    /// The group wants these back. They stay ours until [`Consumer::release`]. Everything is paused: what is not wanted
    /// back is to be sought and resumed after that.
    Revoked(Vec<Partition>),
    /// These are gone without having been asked for: commit nothing of theirs.
    Lost(Vec<Partition>),
    /// The group, a subscribed topic or the whole client is in trouble.
    Trouble(Fault),
}

/// A consumer, shared by its worker's threads. [`Consumer::serve`], [`Consumer::batch`] and [`Consumer::release`] belong
/// to one thread; all else may be called from any.
pub struct Consumer {
    /// Where every assigned partition's records go; freed before the client, as `events` is.
    data: Queue,
    events: Queue,
    /// A revocation that has not been answered yet.
    revocation: Mutex<Option<Revocation>>,
    client: Client,
}

/// The position at which a partition is assigned, paused: it only keeps librdkafka from looking up the committed one.
const PLACEHOLDER: i64 = 0;

/// How long a partition may take to be wound up before it counts as stopped.
const WINDING_UP: Duration = Duration::from_millis(500);

/// How long the question that wakes a broker's thread is waited for: no longer than the thread would sleep.
const WAKING: Duration = Duration::from_secs(1);

/// Messages asked of librdkafka at a time at most: so many, large after small ones, a batch may hold too much.
const CHUNK: usize = 64;

impl Consumer {
    /// Makes a member of `group`; it joins with [`Consumer::subscribe`]. `worker` tells this process's members apart.
    ///
    /// # Errors
    /// A property that librdkafka refuses, or properties that contradict each other.
    pub fn new(settings: &Settings, group: &str, worker: &str) -> Result<Consumer, Fault> {
        let config = settings.consumer(group, worker);
        let client = Client::new(&config, RDKafkaType::RD_KAFKA_CONSUMER, rd::RD_KAFKA_EVENT_REBALANCE)?;
        Ok(Consumer {
            data: Queue::new(&client),
            events: Queue::consumer(&client),
            revocation: Mutex::new(None),
            client,
        })
    }

    /// Joins the group for these topics. Returns at once; assignments come through [`Consumer::serve`].
    ///
    /// # Errors
    /// A topic name that Kafka does not allow.
    pub fn subscribe<'a>(&self, topics: impl IntoIterator<Item = &'a str>) -> Result<(), Fault> {
        let partitions: Vec<_> = topics.into_iter().map(|t| Partition::new(t, -1)).collect();
        let list = List::at(&partitions, 0);
        // SAFETY: client and list are live; the list is copied.
        check(unsafe { rd::rd_kafka_subscribe(self.ptr(), list.ptr()) }, "cannot subscribe")
    }

    /// What has happened to the membership, without waiting. To be called often: it also tells the group that this
    /// member is alive (`max.poll.interval.ms`).
    pub fn serve(&self) -> Vec<Event> {
        let mut happened = Vec::new();
        while let Some(event) = self.events.poll(Duration::ZERO) {
            happened.extend(self.interpret(&event));
        }
        happened.extend(self.lost_while_waiting());
        happened
    }

    fn interpret(&self, event: &Native) -> Option<Event> {
        match event.kind() {
            rd::RD_KAFKA_EVENT_REBALANCE => {
                self.rebalance(event).unwrap_or_else(|fault| Some(Event::Trouble(self.in_doubt(fault))))
            }
            rd::RD_KAFKA_EVENT_ERROR => {
                let fault = event.fault("the consumer group's client")?;
                self.client.watch().trouble(&fault);
                // Unreachable brokers are librdkafka's to reach again; `trouble` has them meanwhile.
                (!fault.is_retriable() || fault.refuses_member()).then_some(Event::Trouble(fault))
            }
            // Every partition's queue leads to `data` before it fetches: a record here would be skipped unseen.
            rd::RD_KAFKA_EVENT_FETCH => Some(Event::Trouble(Fault::new(
                RDKafkaErrorCode::InconsistentGroupProtocol,
                "records came outside of their queue; the route starts again from its positions",
            ))),
            _ => None,
        }
    }

    fn rebalance(&self, event: &Native) -> Result<Option<Event>, Fault> {
        // librdkafka pauses and resumes by itself around a rebalance, and then goes on from the position of its own: one
        // too far where a batch has told a partition's end, since it counts that message as a record. Paused by us as
        // well, a partition stays so until it has been sought.
        let held = self.assignment()?;
        self.pause_list(&held)?;
        // SAFETY: a rebalance event has a list, which lives as long as the event.
        let list = unsafe { List::copied(rd::rd_kafka_event_topic_partition_list(event.ptr())) };
        let partitions = list.partitions();
        let assigns = event.code() == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        // SAFETY: the client is live.
        let lost = !assigns && unsafe { rd::rd_kafka_assignment_lost(self.ptr()) } != 0;
        // When a topic changes, librdkafka joins again without our answer to what the group wanted before, which can then
        // not be told from what it wants now.
        let unanswered = self.revocation().is_some() || (assigns && !self.is_cooperative() && !held.is_empty());
        if unanswered && !lost {
            let what = "the group has gone on before its last rebalance was answered";
            return Err(Fault::new(RDKafkaErrorCode::PreviousInProgress, what));
        }
        if assigns {
            self.assign(&partitions)?;
            return Ok(Some(Event::Assigned(partitions)));
        }
        let revocation = Revocation::new(&self.client, list);
        // Nothing to drain: answered at once.
        if lost || partitions.is_empty() {
            revocation.answer(&self.client)?;
            return Ok((!partitions.is_empty()).then_some(Event::Lost(partitions)));
        }
        *self.revocation() = Some(revocation);
        Ok(Some(Event::Revoked(partitions)))
    }

    /// Takes partitions, paused, with their records led to `data`.
    fn assign(&self, partitions: &[Partition]) -> Result<(), Fault> {
        let list = List::at(partitions, PLACEHOLDER);
        self.forward(partitions);
        // Before as well as after: a fetch at the placeholder could find it below the log's start and stop the partition.
        self.pause_list(&list)?;
        self.take(&list)?;
        self.pause_list(&list)
    }

    fn take(&self, list: &List) -> Result<(), Fault> {
        let what = "cannot take partitions";
        // SAFETY: client and list are live; both calls copy the list and return an error object of ours, or a code.
        unsafe {
            if self.is_cooperative() {
                fault::take(rd::rd_kafka_incremental_assign(self.ptr(), list.ptr()), what)
            } else {
                check(rd::rd_kafka_assign(self.ptr(), list.ptr()), what)
            }
        }
    }

    /// After an assignment that librdkafka refuses to change: it refuses for good, and waits for an answer with all that
    /// the group wants next. One that takes and gives nothing lets it close, no more.
    fn in_doubt(&self, fault: Fault) -> Fault {
        let nothing = || List::new();
        let answered =
            self.take(&nothing()).and_then(|()| Revocation::new(&self.client, nothing()).answer(&self.client));
        if let Err(fault) = answered {
            tracing::debug!(target: "kafka", "{fault}");
        }
        Fault { kind: Kind::Fatal, ..fault }
    }

    /// Leads these partitions' records to `data`. It lasts until a partition is given up.
    fn forward(&self, partitions: &[Partition]) {
        for p in partitions {
            let topic = CString::new(&*p.topic).unwrap_or_default();
            // SAFETY: client, queues and name are live. The partition's queue is ours to free; forwarding keeps what it
            // needs of both queues.
            unsafe {
                let queue = rd::rd_kafka_queue_get_partition(self.ptr(), topic.as_ptr(), p.id);
                if let Some(queue) = NonNull::new(queue) {
                    rd::rd_kafka_queue_forward(queue.as_ptr(), self.data.ptr());
                    rd::rd_kafka_queue_destroy(queue.as_ptr());
                }
            }
        }
    }

    fn assignment(&self) -> Result<List, Fault> {
        let mut list = std::ptr::null_mut();
        // SAFETY: the client is live; on success the list is ours.
        unsafe {
            check(rd::rd_kafka_assignment(self.ptr(), &mut list), "cannot read the assignment")?;
            Ok(List::owned(list))
        }
    }

    /// Answers a revocation: its partitions go back to the group. Without an open revocation it does nothing.
    ///
    /// # Errors
    /// [`Kind::Fatal`]: the membership is in doubt, make a new consumer.
    pub fn release(&self) -> Result<(), Fault> {
        let open = self.revocation().take();
        open.map_or(Ok(()), |revocation| revocation.answer(&self.client)).map_err(|fault| self.in_doubt(fault))
    }

    /// The group may give up on us while a revocation waits for its answer.
    fn lost_while_waiting(&self) -> Option<Event> {
        let mut open = self.revocation();
        // SAFETY: the client is live.
        if open.is_none() || unsafe { rd::rd_kafka_assignment_lost(self.ptr()) } == 0 {
            return None;
        }
        let revocation = open.take()?;
        let partitions = revocation.partitions();
        let answered = revocation.answer(&self.client);
        Some(answered.map_or_else(|fault| Event::Trouble(self.in_doubt(fault)), |()| Event::Lost(partitions)))
    }

    /// The next records: waits up to `wait` for the first, then takes what is there, up to `records` records and about
    /// `bytes` bytes. Returns early, perhaps empty, after [`Consumer::wake`].
    pub fn batch(self: &Arc<Self>, records: usize, bytes: usize, wait: Duration) -> Batch {
        let mut batch = Batch::new(Arc::clone(self));
        let mut buffer = [std::ptr::null_mut(); CHUNK];
        let mut wait = wait;
        let mut taken = 0;
        while taken < records && batch.records.bytes() < bytes {
            // As many as fit if they are as large as those before.
            let room = (bytes - batch.records.bytes()) / (batch.records.bytes() / taken.max(1)).max(1);
            let want = if taken == 0 { 1 } else { room.clamp(1, CHUNK.min(records - taken)) };
            // SAFETY: the queue is live, and `buffer` has room for `want` messages.
            let got =
                unsafe { rd::rd_kafka_consume_batch_queue(self.data.ptr(), millis(wait), buffer.as_mut_ptr(), want) };
            let got = usize::try_from(got).unwrap_or(0);
            for message in buffer.iter().take(got).filter_map(|m| NonNull::new(*m)) {
                // SAFETY: librdkafka hands the message over, live.
                unsafe { batch.sort(message) };
            }
            taken += got;
            if got < want {
                break;
            }
            wait = Duration::ZERO;
        }
        if taken > 0 {
            self.client.watch().well();
        }
        batch
    }

    /// Makes a [`Consumer::batch`] that waits return; from any thread.
    pub fn wake(&self) {
        // SAFETY: the queue is live.
        unsafe { rd::rd_kafka_queue_yield(self.data.ptr()) }
    }

    /// Sets where each partition is read from, and waits until that is so: no record from before comes after it. To be
    /// called for all partitions that are to flow; others may find themselves paused and at no position.
    ///
    /// # Errors
    /// A partition that is not assigned, or one that cannot be sought within `wait`. [`Kind::Fatal`]: make a new consumer.
    pub fn seek(&self, positions: &Positions, wait: Duration) -> Result<(), Fault> {
        let begun = Instant::now();
        let mut restarted = false;
        while !positions.is_empty() {
            let list: List = positions.iter().map(|(p, offset)| (p, *offset)).collect();
            // SAFETY: client and list are live; the error object returned is ours.
            let result = unsafe {
                let error = rd::rd_kafka_seek_partitions(self.ptr(), list.ptr(), millis(wait));
                fault::take(error, "cannot seek").and_then(|()| list.check("cannot seek"))
            };
            let Err(fault) = result else {
                if restarted {
                    // The old assignment's end has taken the queues' ways with it.
                    self.forward(&self.assignment()?.partitions());
                }
                break;
            };
            let unready = matches!(fault.code, RDKafkaErrorCode::State | RDKafkaErrorCode::PreviousInProgress);
            if !unready || begun.elapsed() >= wait {
                return Err(fault);
            }
            // Either its last assignment is still being wound up, which is a matter of milliseconds, or it was stopped
            // by a position that the log no longer holds: then only a new assignment moves it.
            if begun.elapsed() > WINDING_UP && !restarted {
                restarted = true;
                self.restart(&list).map_err(|fault| self.in_doubt(fault))?;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Assigns anew what is assigned: those of `list` alone where the group's protocol lets us, else everything.
    fn restart(&self, list: &List) -> Result<(), Fault> {
        let stopped: Vec<_> = list.elements().filter(|e| e.check("").is_err()).map(|e| e.partition).collect();
        if self.is_cooperative() {
            let list = List::at(&stopped, PLACEHOLDER);
            // SAFETY: client and list are live; the error object returned is ours.
            unsafe {
                let error = rd::rd_kafka_incremental_unassign(self.ptr(), list.ptr());
                fault::take(error, "cannot assign anew")?;
            }
            return self.assign(&stopped);
        }
        self.assign(&self.assignment()?.partitions())
    }

    /// Stops the flow of records of these partitions; the membership stays.
    ///
    /// # Errors
    /// A partition that is not assigned.
    pub fn pause<'a>(&self, partitions: impl IntoIterator<Item = &'a Partition>) -> Result<(), Fault> {
        self.pause_list(&List::at(partitions, 0))
    }

    fn pause_list(&self, list: &List) -> Result<(), Fault> {
        // SAFETY: client and list are live.
        check(unsafe { rd::rd_kafka_pause_partitions(self.ptr(), list.ptr()) }, "cannot pause")?;
        list.check("cannot pause")
    }

    /// Lets records of these partitions flow, once they have been sought.
    ///
    /// # Errors
    /// A partition that is not assigned.
    pub fn resume<'a>(&self, partitions: impl IntoIterator<Item = &'a Partition>) -> Result<(), Fault> {
        let list = List::at(partitions, 0);
        // SAFETY: client and list are live.
        check(unsafe { rd::rd_kafka_resume_partitions(self.ptr(), list.ptr()) }, "cannot resume")?;
        list.check("cannot resume")?;
        // librdkafka's thread of a broker that nothing is under way with sleeps up to a second before it looks which
        // partitions to fetch. A question to the leaders wakes it; it is not about the answer.
        let partitions: Vec<Partition> = list.elements().map(|e| e.partition).collect();
        if !partitions.is_empty() {
            let _ = self.cluster(WAKING).offsets(&partitions, At::Latest);
        }
        Ok(())
    }

    /// The positions that the group has stored with the brokers; partitions without one are left out.
    ///
    /// # Errors
    /// The broker's.
    pub fn committed(&self, partitions: &[Partition], wait: Duration) -> Result<BTreeMap<Partition, Committed>, Fault> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let list = List::at(partitions, rd::RD_KAFKA_OFFSET_INVALID.into());
        // SAFETY: client and list are live.
        let code = unsafe { rd::rd_kafka_committed(self.ptr(), list.ptr(), millis(wait)) };
        self.client.answered(check(code, "cannot read the group's positions"))?;
        list.check("cannot read the group's position of")?;
        let stored = list.elements().filter(|e| e.offset >= 0);
        Ok(stored.map(|e| (e.partition, Committed { offset: e.offset, note: Note::parse(e.metadata) })).collect())
    }

    /// Stores positions with the brokers, outside of any transaction, and waits for the answer.
    ///
    /// # Errors
    /// The broker's; [`super::Kind::Fenced`] when the partitions are not ours any more.
    pub fn commit(&self, positions: &Positions, notes: &BTreeMap<String, Note>) -> Result<(), Fault> {
        if positions.is_empty() {
            return Ok(());
        }
        let list = super::note::noted(positions, notes);
        // SAFETY: client and list are live.
        let code = unsafe { rd::rd_kafka_commit(self.ptr(), list.ptr(), 0) };
        self.client.answered(check(code, "cannot commit positions"))?;
        list.check("cannot commit the position of")
    }

    /// The proof of membership for an offset commit inside a transaction. To be read afresh for each commit.
    ///
    /// # Errors
    /// [`super::Kind::Fenced`] when we are no member at the moment: the broker would not check such a commit.
    pub fn group_metadata(&self) -> Result<GroupMetadata, Fault> {
        // SAFETY: the client is live; the object returned is ours.
        let metadata = unsafe { rd::rd_kafka_consumer_group_metadata(self.ptr()) };
        // SAFETY: just returned, ours alone.
        unsafe { GroupMetadata::checked(metadata) }
    }

    /// The assigned partitions' first and last offsets as of the last fetch; `None` before it. No request is made.
    pub fn cached_watermarks(&self, partition: &Partition) -> Option<(i64, i64)> {
        let topic = CString::new(&*partition.topic).ok()?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client is live; the name is a C string.
        let code = unsafe {
            rd::rd_kafka_get_watermark_offsets(self.ptr(), topic.as_ptr(), partition.id, &mut low, &mut high)
        };
        check(code, "").ok()?;
        (low >= 0 && high >= 0).then_some((low, high))
    }

    /// What is wrong with the connection to the cluster at the moment.
    pub fn trouble(&self) -> Option<Trouble> {
        self.client.watch().current()
    }

    /// Leaves the group. What is still assigned is given up without a word: drain before.
    pub fn close(&self) {
        if let Err(fault) = self.release() {
            tracing::warn!(target: "kafka", "{fault}");
        }
        // SAFETY: the client is live. librdkafka answers the last revocation itself, since no callback is set.
        let code = unsafe { rd::rd_kafka_consumer_close(self.ptr()) };
        if let Err(fault) = check(code, "cannot leave the consumer group") {
            tracing::warn!(target: "kafka", "{fault}");
        }
    }

    fn is_cooperative(&self) -> bool {
        super::rebalance::is_cooperative(&self.client)
    }

    fn revocation(&self) -> MutexGuard<'_, Option<Revocation>> {
        self.revocation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To ask the cluster with, waiting at most `wait` for an answer.
    pub fn cluster(&self, wait: Duration) -> Cluster<'_> {
        Cluster::new(&self.client, wait)
    }

    fn ptr(&self) -> *mut rd::rd_kafka_t {
        self.client.ptr()
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Consumer")
    }
}

/// What a test does behind the group's back, so that what the group wants next is refused.
#[cfg(test)]
impl Consumer {
    pub fn take_behind(&self, partitions: &[Partition]) {
        self.assign(partitions).unwrap();
    }

    pub fn give_back_behind(&self, partitions: &[Partition]) {
        Revocation::new(&self.client, List::at(partitions, 0)).answer(&self.client).unwrap();
    }
}
