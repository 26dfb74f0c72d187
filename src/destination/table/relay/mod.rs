//! Dead letters of tables that are bound for a topic: taken out of the outbox once their transaction stands.
//!
//! A letter is deleted after its topic has acknowledged it, so none is lost. After a crash in between, or where the topic
//! took a letter and its answer did not come in time, the same letter may stand twice in it, with the same origin headers;
//! on SQLite also where its partition changes its worker in between. On Postgres whoever claims it waits meanwhile.

mod send;

use super::{Bound, Tables, Waiting};
use crate::{
    destination::{
        Destination, Start, Tally, Ticket, TopicInfos, Work,
        topic::{gone, letter_refused},
    },
    failure::{Cause, Remedy, Setback},
    kafka::{Fault, Kind, Producer},
    record::{Partition, Positions},
    telemetry::RouteTelemetry,
};
use send::Heard;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

/// Letters relayed at a time to a topic, at most: records and the group wait meanwhile.
const ROUND: usize = 1_000;

/// How long their acknowledgements may take. A drain waits for longer.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long a letter may take that is sent on trial after a relay that failed: records wait meanwhile.
const TRIAL: Duration = Duration::from_secs(1);

/// One trial in so many has [`DEADLINE`], for a topic that is slow and not away.
const PATIENT: u32 = 5;

/// How long records flow before a trial: letters follow so long after their topic is back, at the latest.
const REST: Duration = Duration::from_secs(10);

/// What letters are sent with: a producer, and how many partitions each of their topics has.
pub type Outfit = (Producer, HashMap<String, i32>);

/// Makes an outfit for letters to these topics.
pub type Outfitter = Box<dyn FnMut(&BTreeSet<&str>) -> Result<Outfit, Setback> + Send>;

/// Tables whose dead letters may go to a topic, or did so before: those that still wait have to get there, whatever place
/// the route names by now.
pub struct Relayed {
    tables: Tables,
    outfitter: Outfitter,
    /// Made for the first letters, where it was not before.
    outfit: Option<Outfit>,
    telemetry: Arc<RouteTelemetry>,
    /// The worker's number on the board.
    worker: usize,
    /// Whose letters are ours to relay; none between a failure and the next claim.
    claimed: Vec<Partition>,
    /// Whether the outbox may hold letters of ours to topics that do not rest.
    owed: bool,
    /// What the last round has left, as long as nothing was added since.
    left: Option<Waiting>,
    /// Whether a transaction is open: its letters are not committed.
    open: bool,
    /// Topics that took no letters when they were last asked to.
    resting: BTreeMap<String, Rest>,
    /// Whether the producer has met a fatal fault: another one is needed.
    spent: bool,
}

/// A topic that is left alone for a while, until one letter is sent to it on trial.
struct Rest {
    until: Instant,
    /// Relays that failed, one after the other.
    failures: u32,
}

impl Rest {
    /// How long the letter on trial may take.
    fn trial(&self) -> Duration {
        if self.failures.is_multiple_of(PATIENT) { DEADLINE } else { TRIAL }
    }
}

impl Relayed {
    /// `worker` is the number under which the board counts the letters that wait.
    pub fn new(tables: Tables, outfitter: Outfitter, telemetry: Arc<RouteTelemetry>, worker: usize) -> Relayed {
        Relayed {
            tables,
            outfitter,
            outfit: None,
            telemetry,
            worker,
            claimed: Vec::new(),
            owed: true,
            left: None,
            open: false,
            resting: BTreeMap::new(),
            spent: false,
        }
    }

    /// Makes ready for letters to these topics.
    ///
    /// # Errors
    /// The cluster does not answer, a topic is missing, or a property is refused.
    pub fn equip(&mut self, topics: &BTreeSet<&str>) -> Result<(), Setback> {
        self.outfit = Some((self.outfitter)(topics)?);
        Ok(())
    }

    /// Relays a round of what waits for each topic that does not rest, and deletes what they have acknowledged, whatever
    /// became of the rest. True where more waits for such topics.
    fn relay(&mut self) -> Result<bool, Setback> {
        // Mostly what waits is what the last transaction left, and one query brings it.
        let mut rounds: BTreeMap<String, Vec<Bound>> = BTreeMap::new();
        let mut all = false;
        let left = self.left.take();
        if self.resting.is_empty() && left.is_none() {
            let taken = self.tables.outbox_take(&self.claimed, None, ROUND)?;
            all = taken.all;
            for letter in taken.letters {
                rounds.entry(letter.dlq.clone()).or_default().push(letter);
            }
        }
        let mut waiting = match left {
            Some(left) => left,
            None if all => counted(rounds.values().flatten()),
            None => self.tables.outbox_count(&self.claimed)?,
        };
        self.tell(&waiting);
        // One that nothing waits for any more has nothing to be tried with.
        self.resting.retain(|topic, _| waiting.keys().any(|(t, _)| t == topic));
        let due = |rest: &Rest| rest.until <= Instant::now();
        let topics = waiting.keys().map(|(topic, _)| topic).filter(|t| self.resting.get(*t).is_none_or(due));
        let topics: BTreeSet<String> = topics.cloned().collect();
        if self.outfit.is_none() && !topics.is_empty() {
            let names = topics.iter().map(String::as_str).collect();
            self.equip(&names).map_err(|setback| waits(&waiting, setback))?;
        }
        self.owed = false;
        topics.iter().try_for_each(|topic| self.relay_to(topic, rounds.remove(topic), &mut waiting))?;
        self.owed = waiting.keys().any(|(topic, _)| !self.resting.contains_key(topic));
        self.left = self.owed.then_some(waiting);
        Ok(self.owed)
    }

    /// `first` are the oldest of its letters, if they were taken already.
    fn relay_to(&mut self, topic: &str, first: Option<Vec<Bound>>, waiting: &mut Waiting) -> Result<(), Setback> {
        let (limit, deadline) = self.resting.get(topic).map_or((ROUND, DEADLINE), |rest| (1, rest.trial()));
        let letters = match first {
            Some(letters) => letters,
            None => self.tables.outbox_take(&self.claimed, Some(topic), limit)?.letters,
        };
        let Some(outfit) = &mut self.outfit else { return Ok(()) };
        let origins: BTreeSet<Partition> = letters.iter().map(|l| l.origin.clone()).collect();
        self.tables.outbox_hold(&Vec::from_iter(origins))?;
        let mut heard = Heard::default();
        let sent = send::all(outfit, &letters, deadline, &mut heard);
        let ids: Vec<i64> = heard.taken.iter().map(|place| letters[*place].id).collect();
        self.tables.outbox_delete(&ids)?;
        for ((topic, origin), sent) in counted(heard.taken.iter().map(|place| &letters[*place])) {
            if let Some(count) = waiting.get_mut(&(topic, origin)) {
                *count = count.saturating_sub(sent);
            }
        }
        // No letters: somebody has taken the last ones away.
        waiting.retain(|(t, _), count| *count > 0 && (t != topic || !letters.is_empty()));
        self.tell(waiting);
        if let Err(fault) = sent {
            return self.failed(topic, fault);
        }
        self.resting.remove(topic);
        if let Some((place, fault)) = heard.refused.first() {
            // Only a person helps; the next claim looks again.
            let letter = &letters[*place];
            return Err(letter_refused(&(letter.origin.clone(), letter.offset), topic, fault));
        }
        Ok(())
    }

    fn tell(&self, waiting: &Waiting) {
        let mut letters = BTreeMap::new();
        for ((_, origin), count) in waiting {
            *letters.entry((origin.topic.clone(), origin.id)).or_default() += *count as u64;
        }
        self.telemetry.outbox(self.worker, letters);
    }

    /// The topic's letters wait, and records flow on: unless only a new producer helps.
    fn failed(&mut self, topic: &str, fault: Fault) -> Result<(), Setback> {
        let failures = self.resting.get(topic).map_or(0, |rest| rest.failures).saturating_add(1);
        self.resting.insert(topic.to_owned(), Rest { until: Instant::now() + REST, failures });
        if fault.kind == Kind::Fatal {
            self.spent = true;
            return Err(fault.into());
        }
        let setback = if self.is_gone(topic, &fault) { gone(topic) } else { fault.into() };
        let help = (!setback.help.is_empty()).then_some(&*setback.help);
        let (route, why) = (self.telemetry.name(), &setback.message);
        tracing::warn!(route, topic, help, "dead letters wait in pointsman_outbox: {why}");
        Ok(())
    }

    /// Whether the letters are not taken because their topic is not there: librdkafka waits for it as for a broker.
    fn is_gone(&self, topic: &str, fault: &Fault) -> bool {
        let Some((producer, _)) = self.outfit.as_ref().filter(|_| fault.may_be_for_want_of_a_topic()) else {
            return false;
        };
        producer.cluster(TRIAL).topics(&[topic]).is_ok_and(|found| !found.contains_key(topic))
    }
}

fn counted<'l>(letters: impl Iterator<Item = &'l Bound>) -> Waiting {
    let mut counted = Waiting::new();
    for letter in letters {
        *counted.entry((letter.dlq.clone(), letter.origin.clone())).or_default() += 1;
    }
    counted
}

/// The setback of letters whose producer cannot be made.
fn waits(waiting: &Waiting, setback: Setback) -> Setback {
    let letters: usize = waiting.values().sum();
    let message = format!("{letters} dead letters wait in pointsman_outbox: {}", setback.message);
    let help = match setback.remedy {
        Remedy::Stand => format!("{}; or delete their rows there", setback.help),
        Remedy::Retry => setback.help,
    };
    Setback { message, help, ..setback }
}

impl Destination for Relayed {
    fn claim(&mut self, partitions: &[Partition], topics: &TopicInfos, start: Start<'_>) -> Result<Positions, Setback> {
        self.claimed.clear();
        let positions = self.tables.claim(partitions, topics, start)?;
        self.claimed = partitions.to_vec();
        if partitions.is_empty() {
            self.tell(&Waiting::new());
        }
        self.open = false;
        // What a predecessor left.
        self.owed = true;
        self.left = None;
        Ok(positions)
    }

    fn stored(&mut self, partitions: &[Partition], topics: &TopicInfos) -> Result<Positions, Setback> {
        self.tables.stored(partitions, topics)
    }

    fn owing(&mut self, partitions: &[Partition]) -> Result<Vec<Partition>, Setback> {
        self.tables.outbox_origins(partitions)
    }

    fn write(&mut self, work: Work) -> Result<(), Setback> {
        self.open = true;
        self.tables.write(work)
    }

    fn settle(&mut self) -> Result<Tally, Setback> {
        let tally = self.tables.settle()?;
        // Those set apart count as delivered, and may go to a topic too.
        if tally.total().dead_lettered > 0 || tally.cases.contains_key(&None) {
            self.owed = true;
            self.left = None;
        }
        Ok(tally)
    }

    fn commit(&mut self, ticket: Ticket) -> Result<(), Setback> {
        self.tables.commit(ticket)?;
        self.open = false;
        Ok(())
    }

    fn tend(&mut self) -> Result<bool, Setback> {
        let due = self.owed || self.resting.values().any(|rest| rest.until <= Instant::now());
        if self.open || self.claimed.is_empty() || !due { Ok(false) } else { self.relay() }
    }

    fn trip(&mut self) -> Result<(), Setback> {
        self.tables.trip()
    }

    fn abort(&mut self) -> Result<(), Setback> {
        self.claimed.clear();
        self.tables.abort()?;
        if self.spent {
            return Err(Setback::retry(Cause::Broker, "the producer of dead letters is of no more use"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Database, Dlq, Kafka, OnPositionLost},
        destination::table::RouteContext,
        kafka::{Code, MockCluster, Reports, Settings},
        telemetry::Telemetry,
    };

    /// Gives a relay that has claimed `t/0` and that a letter waits for; its topic is at these servers.
    fn with_a_letter(servers: String, then: impl FnOnce(&mut Relayed)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder =
            std::env::temp_dir().join(format!("pointsman_relay_{}_{}", std::process::id(), servers.replace(':', "_")));
        std::fs::create_dir_all(&folder).unwrap();
        let database = Database {
            name: "shop".into(),
            url: format!("sqlite://{}/shop.db", folder.display()),
            user: None,
            password: None,
            migrations: None,
        };
        let context = RouteContext {
            cluster_id: "cluster".into(),
            group: "g".into(),
            route: "r".into(),
            cases: Vec::new(),
            dlq: Dlq::Topic("dlq".into()),
            otherwise: None,
            on_position_lost: OnPositionLost::Stop,
            fk_wait: Duration::ZERO,
            mark: "mark".into(),
        };
        let tables = Tables::open(runtime.handle().clone(), &database, context, Arc::new([])).unwrap();
        let kafka = Kafka { bootstrap_servers: servers, ..Kafka::default() };
        let outfitter = move |_: &BTreeSet<&str>| {
            let producer = Producer::idempotent(&Settings::new(&kafka, "test"), Reports::All)?;
            Ok((producer, HashMap::new()))
        };
        let telemetry = Telemetry::new().route("r", &[""]);
        let mut relayed = Relayed::new(tables, Box::new(outfitter), telemetry, 0);
        relayed.equip(&BTreeSet::new()).unwrap();
        let partition = Partition::new("t", 0);
        let start = Positions::from([(partition.clone(), 0)]);
        relayed.claim(&[partition], &TopicInfos::new(), &mut |_, _| Ok(start.clone())).unwrap();
        let letter =
            "INSERT INTO pointsman_outbox (cluster_id, consumer_group, dlq, topic, \"partition\", position, headers)
            VALUES ('cluster', 'g', 'dlq', 't', 0, 0, '[]')";
        relayed.tables.link.as_mut().unwrap().session.execute(letter, &[]).unwrap();
        then(&mut relayed);
        drop(relayed);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_relay_whose_producer_met_a_fatal_fault_is_not_used_again() {
        let cluster = MockCluster::start().unwrap();
        with_a_letter(cluster.bootstrap_servers(), |relayed| {
            relayed.outfit.as_ref().unwrap().0.break_for_good();
            relayed.tend().unwrap_err();
            relayed.abort().expect_err("the deliverer opens another destination then");
        });
    }

    #[test]
    fn letters_follow_soon_after_an_outage_and_records_have_had_most_of_it() {
        with_a_letter("127.0.0.1:2".to_owned(), |relayed| {
            let (mut rested, mut waited) = (Duration::ZERO, Duration::ZERO);
            for _ in 0..20 {
                let fault = Fault { kind: Kind::Retriable, code: Code::AllBrokersDown, message: "away".into() };
                relayed.failed("dlq", fault).unwrap();
                let rest = &relayed.resting["dlq"];
                let until = rest.until.saturating_duration_since(Instant::now());
                assert!(until <= Duration::from_secs(10), "{until:?}");
                rested += until;
                waited += rest.trial();
            }
            assert!(rested > waited * 3, "{rested:?} and {waited:?}");
            // A topic that is only slow gets its letters too.
            assert!(waited > DEADLINE, "{waited:?}");
        });
    }

    #[test]
    fn a_worker_that_holds_no_partition_any_more_has_no_letters_that_wait() {
        with_a_letter("127.0.0.1:3".to_owned(), |relayed| {
            let telemetry = Telemetry::new();
            relayed.telemetry = telemetry.route("r", &[""]);
            let _worker = relayed.telemetry.worker(0);
            let waiting = || telemetry.board()[0].outbox();
            relayed.resting.insert("dlq".to_owned(), Rest { until: Instant::now(), failures: 1 });
            relayed.tend().unwrap();
            assert_eq!(waiting(), 1);
            relayed.abort().unwrap();
            relayed.tend().unwrap();
            assert_eq!(waiting(), 1, "they are still ours to tell of");
            let (mine, others) = (("t".into(), 0), ("t".into(), 1));
            relayed.telemetry.released(&[others]);
            assert_eq!(waiting(), 1);
            relayed.telemetry.released(&[mine]);
            assert_eq!(waiting(), 0, "whoever has their partition tells of them");
            relayed.claim(&[Partition::new("t", 0)], &TopicInfos::new(), &mut |_, _| Ok(Positions::new())).unwrap();
            relayed.tend().unwrap();
            assert_eq!(waiting(), 1);
            relayed.claim(&[], &TopicInfos::new(), &mut |_, _| Ok(Positions::new())).unwrap();
            relayed.tend().unwrap();
            assert_eq!(waiting(), 0);
        });
    }

    #[test]
    fn a_relay_that_has_failed_is_tried_with_less_patience() {
        with_a_letter("127.0.0.1:1".to_owned(), |relayed| {
            relayed.resting.insert("dlq".to_owned(), Rest { until: Instant::now(), failures: 1 });
            let begun = Instant::now();
            relayed.tend().unwrap();
            assert!(begun.elapsed() < DEADLINE / 2, "records waited for {:?}", begun.elapsed());
            assert_eq!(relayed.tables.outbox_count(&relayed.claimed).unwrap().into_values().sum::<usize>(), 1);
        });
    }
}
