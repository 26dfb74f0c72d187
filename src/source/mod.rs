//! From a group membership to batches whose origin is certain: seeks, positions that are gone, what has been reached.

mod progress;
mod start;

pub use start::resolve;

use crate::{
    config::{OnPositionLost, Route},
    failure::{Cause, Setback},
    kafka::{self, At, Consumer, GroupMetadata, Kind, MessageBatch, Settings},
    record::{Partition, Positions, Record, Records, runs},
    telemetry::RouteTelemetry,
};
use progress::Progress;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a question to the cluster may take.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// How long somebody else's open transaction may hold records back before it is told.
const STALLED: Duration = Duration::from_secs(60);

/// What the group did, or what went wrong with reading. After each of the first three nothing flows until [`Source::flow`].
#[derive(Debug)]
pub enum Event {
    /// Ours now.
    Assigned(Vec<Partition>),
    /// Wanted back; ours until [`Source::release`].
    Revoked(Vec<Partition>),
    /// Gone: commit nothing of theirs.
    Lost(Vec<Partition>),
    Failed(Setback),
    /// The client is of no more use: only a new source reads on.
    Dead(Setback),
}

/// Records that are ours, and where each of their partitions stands after them.
#[derive(Debug)]
pub struct Batch {
    /// May be empty where only a position has moved: past control records, aborted ones, or a gap.
    pub records: MessageBatch,
    pub positions: Positions,
}

/// A worker's reading side. Everything but [`Source::consumer`]'s own calls belongs to the worker's thread.
pub struct Source {
    consumer: Arc<Consumer>,
    group: String,
    /// What is read once it has joined; none afterwards.
    topics: Vec<String>,
    telemetry: Arc<RouteTelemetry>,
    on_position_lost: OnPositionLost,
    progress: Progress,
    /// Where partitions go on after a gap; the next batch hands it out, or it would never be stored if nothing comes.
    passed_over: Positions,
    /// What reading has found and [`Source::serve`] has yet to tell.
    pending: Vec<Event>,
}

impl Source {
    /// Makes the route's worker of this number, which [`Source::join`] makes a member of its group.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn open(
        settings: &Settings,
        route: &Route,
        number: usize,
        telemetry: Arc<RouteTelemetry>,
    ) -> Result<Source, Setback> {
        let consumer = Consumer::new(settings, &route.group, &number.to_string())?;
        Ok(Source {
            consumer: Arc::new(consumer),
            group: route.group.clone(),
            topics: route.topics.clone(),
            telemetry,
            on_position_lost: route.on_position_lost,
            progress: Progress::default(),
            passed_over: Positions::new(),
            pending: Vec::new(),
        })
    }

    /// Joins the group, unless it has.
    ///
    /// # Errors
    /// A topic name that Kafka does not allow.
    pub fn join(&mut self) -> Result<(), Setback> {
        match std::mem::take(&mut self.topics) {
            joined if joined.is_empty() => Ok(()),
            topics => Ok(self.consumer.subscribe(topics.iter().map(String::as_str))?),
        }
    }

    /// The consumer group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Whether the group has been asked for a place, and has not answered.
    pub fn joining(&self) -> bool {
        self.topics.is_empty() && self.group_metadata().is_none()
    }

    /// The member that reads, for what others ask of it: committed positions, commits, the cluster.
    pub fn consumer(&self) -> Arc<Consumer> {
        Arc::clone(&self.consumer)
    }

    /// Serves the group. To be called all the time, also while nothing flows: it tells the group that we are alive.
    pub fn serve(&mut self) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.pending);
        for event in self.consumer.serve() {
            match event {
                kafka::Event::Assigned(partitions) if partitions.is_empty() => self.flow_on(),
                kafka::Event::Assigned(partitions) => events.push(Event::Assigned(partitions)),
                kafka::Event::Revoked(partitions) => events.push(Event::Revoked(partitions)),
                kafka::Event::Lost(partitions) => {
                    self.progress.give_up(&partitions);
                    events.push(Event::Lost(partitions));
                }
                kafka::Event::Trouble(fault) => events.push(failed(fault)),
            }
        }
        self.tell_stalls();
        events
    }

    /// Up to `records` records and about `bytes` bytes of the partitions that flow; `None` when nothing came in time.
    pub fn batch(&mut self, records: usize, bytes: usize, wait: Duration) -> Option<Batch> {
        let kafka::Batch { mut records, ends, gone, faults } = self.consumer.batch(records, bytes, wait);
        self.drop_strangers(&mut records);
        let after = positions_after(&records);
        for (partition, next) in &after {
            self.progress.advance(partition, *next);
        }
        let mut positions = std::mem::take(&mut self.passed_over);
        positions.retain(|p, _| self.progress.position(p).is_some());
        positions.extend(after);
        for (partition, end) in ends {
            if self.progress.reached_end(&partition, end, Instant::now()) {
                positions.insert(partition, end);
            }
        }
        for gone in gone.into_iter().filter(|g| self.progress.position(&g.partition).is_some()) {
            // Beginning anew looks the log's ends up, and decides with them.
            self.pending.push(Event::Failed(Setback::retry(Cause::Broker, gone.why.message)));
        }
        self.pending.extend(faults.into_iter().map(|fault| Event::Failed(fault.into())));
        (!positions.is_empty()).then_some(Batch { records, positions })
    }

    /// Drops records of partitions that do not flow, and those before a partition's position.
    fn drop_strangers(&self, records: &mut MessageBatch) {
        let ours = |record: Record<'_>| {
            let position = self.progress.position(&Partition::new(record.topic, record.partition));
            position.is_some_and(|position| record.offset >= position)
        };
        // Nearly always all are ours; offsets ascend in a run.
        let all = runs(records).all(|run| ours(records.get(run.start)));
        if !all {
            records.retain(ours);
        }
    }

    /// Seeks to these positions and lets their partitions flow, and no others.
    ///
    /// # Errors
    /// The cluster does not answer; or a position that the topic no longer holds, where the route does not go on after
    /// such a gap.
    pub fn flow(&mut self, positions: &Positions) -> Result<(), Setback> {
        self.pause();
        if positions.is_empty() {
            return Ok(());
        }
        let partitions: Vec<Partition> = positions.keys().cloned().collect();
        let cluster = self.consumer.cluster(DEADLINE);
        let (begins, ends) = (cluster.offsets(&partitions, At::Earliest)?, cluster.offsets(&partitions, At::Latest)?);
        let (mut sought, mut passed_over) = (positions.clone(), Positions::new());
        // A position may stand behind a transaction that is open: another consumer, which reads all, may have left it there.
        let beyond = positions.iter().filter(|(p, next)| ends.get(*p).is_some_and(|end| *next > end));
        let beyond: Vec<Partition> = beyond.map(|(p, _)| p.clone()).collect();
        let all = if beyond.is_empty() { Positions::new() } else { cluster.high_watermarks(&beyond)? };
        for (partition, next) in &mut sought {
            let end = all.get(partition).or_else(|| ends.get(partition));
            let (Some(low), Some(high)) = (begins.get(partition), end) else { continue };
            if *next < *low || *next > *high {
                *next = self.position_lost(partition, *next, *low, *high)?;
                passed_over.insert(partition.clone(), *next);
            }
        }
        if let Err(fault) = self.read_from(&sought) {
            // The setback alone would have this client tried again.
            self.pending.extend((fault.kind == Kind::Fatal).then(|| failed(fault.clone())));
            return Err(fault.into());
        }
        self.progress.begin(&sought, &ends);
        self.passed_over = passed_over;
        Ok(())
    }

    /// The position to go on from, where the route says that it may.
    fn position_lost(&self, partition: &Partition, next: i64, low: i64, high: i64) -> Result<i64, Setback> {
        let goes_on = self.on_position_lost == OnPositionLost::Earliest;
        let skipped = goes_on.then(|| u64::try_from(low.saturating_sub(next)).unwrap_or(0));
        self.telemetry.position_lost(&partition.topic, partition.id, next, skipped);
        if goes_on {
            return Ok(low);
        }
        Err(Setback::stand(
            Cause::Broker,
            format!("{partition}: the group's position is {next}, and the topic holds {low} to {high}"),
            "records are gone, or the topic was made anew: set on_position_lost = \"earliest\" to go on from its first \
             record, or set the group's position, as docs/operating.md shows",
        ))
    }

    /// Stops reading; what is still under way is dropped.
    pub fn pause(&mut self) {
        let partitions = self.progress.stop();
        if partitions.is_empty() {
            return;
        }
        // A partition that is gone meanwhile does not read either.
        if let Err(fault) = self.consumer.pause(&partitions) {
            tracing::debug!(target: "kafka", "{fault}");
        }
    }

    /// Answers a revocation: its partitions go back to the group.
    pub fn release(&mut self, partitions: &[Partition]) {
        self.progress.give_up(partitions);
        self.pending.extend(self.consumer.release().err().map(failed));
    }

    /// What flows is paused by every rebalance. After one that changes nothing for us it goes on from where we know it to
    /// stand.
    fn flow_on(&mut self) {
        let sought = self.read_from(&self.progress.positions());
        self.pending.extend(sought.err().map(failed));
    }

    fn read_from(&self, positions: &Positions) -> Result<(), kafka::Fault> {
        self.consumer.seek(positions, DEADLINE).and_then(|()| self.consumer.resume(positions.keys()))
    }

    /// Leaves the group, giving up at once what is still assigned.
    pub fn close(&mut self) {
        self.progress.stop();
        self.consumer.close();
    }

    /// Whether every partition of ours, if there is one, has been read to the end that it had when it first flowed.
    pub fn caught_up(&self) -> bool {
        self.progress.caught_up()
    }

    /// Why the brokers cannot be reached at the moment.
    pub fn trouble(&self) -> Option<String> {
        self.consumer.trouble().map(|trouble| trouble.fault.message)
    }

    /// Where a partition ends, as far as the client knows.
    pub fn end(&self, partition: &Partition) -> Option<i64> {
        Some(self.consumer.cached_watermarks(partition)?.1)
    }

    /// The proof of membership for a commit; `None` while the group has no place for us.
    pub fn group_metadata(&self) -> Option<GroupMetadata> {
        self.consumer.group_metadata().ok()
    }

    fn tell_stalls(&mut self) {
        let stalled = self.progress.stalled(Instant::now(), STALLED, |p| Some(self.consumer.cached_watermarks(p)?.1));
        for (partition, position) in stalled {
            tracing::warn!(
                target: "kafka", %partition, position,
                "an open transaction of another producer holds records back; they are read once it ends"
            );
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({:?})", self.progress)
    }
}

fn failed(fault: kafka::Fault) -> Event {
    if fault.kind == Kind::Fatal { Event::Dead(fault.into()) } else { Event::Failed(fault.into()) }
}

/// Where the partitions of these records stand after them.
fn positions_after(records: &impl Records) -> Positions {
    let mut positions = Positions::new();
    for run in runs(records) {
        let last = records.get(run.end - 1);
        positions.insert(Partition::new(last.topic, last.partition), last.offset.saturating_add(1));
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::testing::Folder, kafka::MockCluster, record::OwnedRecord, telemetry::Telemetry};
    use std::{sync::mpsc, thread};

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Workers of one route, not joined yet.
    fn sources<const N: usize>(cluster: &MockCluster) -> [Source; N] {
        let text = format!(
            "version = 1\napp = 'shop'\nkafka = {{ bootstrap_servers = '{}' }}\n[routes.r]\ntopic = 'orders'\nformat = \
             'json'\nschema = 'shop.Order'\ndlq = 'discard'\ndestination = {{ topic = 'out', format = 'json' }}\n",
            cluster.bootstrap_servers()
        );
        let plan = Folder::new(&[("routes.toml", &text)]).plan();
        let settings = Settings::new(&plan.kafka, "test");
        let telemetry = Telemetry::new().route("r", &[""]);
        std::array::from_fn(|number| Source::open(&settings, &plan.routes[0], number, telemetry.clone()).unwrap())
    }

    fn next_event(source: &mut Source) -> Event {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "nothing happens");
            if let Some(event) = source.serve().into_iter().next() {
                return event;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn closes(mut source: Source) {
        let (done, closed) = mpsc::channel();
        thread::spawn(move || {
            source.close();
            done.send(())
        });
        closed.recv_timeout(PATIENCE).expect("it closes");
    }

    #[test]
    fn a_client_that_cannot_take_what_the_group_gives_is_of_no_more_use() {
        let cluster = MockCluster::start().unwrap();
        cluster.create_topic("orders", 1).unwrap();
        let [mut source] = sources(&cluster);
        source.consumer().take_behind(&[Partition::new("orders", 0)]);
        source.join().unwrap();
        let event = next_event(&mut source);
        assert!(matches!(event, Event::Dead(_)), "{event:?}");
        closes(source);
    }

    #[test]
    fn a_client_that_cannot_give_back_what_the_group_wants_is_of_no_more_use() {
        let cluster = MockCluster::start().unwrap();
        cluster.create_topic("orders", 2).unwrap();
        let [mut source, mut other] = sources(&cluster);
        source.join().unwrap();
        let event = next_event(&mut source);
        assert!(matches!(event, Event::Assigned(_)), "{event:?}");
        other.join().unwrap();
        let event = next_event(&mut source);
        let Event::Revoked(revoked) = event else { panic!("{event:?}") };
        source.consumer().give_back_behind(&revoked);
        source.release(&revoked);
        let event = next_event(&mut source);
        assert!(matches!(event, Event::Dead(_)), "{event:?}");
        closes(source);
        closes(other);
    }

    #[test]
    fn positions_stand_after_the_last_record_of_each_partition() {
        let at = |id, offset| OwnedRecord::new("t", id, offset);
        let records = vec![at(0, 4), at(0, 7), at(1, 2), at(0, 8)];
        let expected = Positions::from([(Partition::new("t", 0), 9), (Partition::new("t", 1), 3)]);
        assert_eq!(positions_after(&records), expected);
        assert_eq!(positions_after(&Vec::<OwnedRecord>::new()), Positions::new());
    }
}
