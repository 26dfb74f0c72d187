//! Opening a route: everything that has to be there is looked for here, and what is missing is named with what makes it.

use super::{deliverer::Opener, supervisor::Setting};
use crate::{
    config::{Database, Delivery, Destination as Planned, Dlq, Format, Route, Start},
    destination::{
        Begin, Destination, TopicInfos,
        table::{self, Outfit, Relayed, Tables},
        topic::{DeadLetters, Facts, Letters, Terms, TopicFacts, Topics, fitted, missing},
    },
    failure::{Cause, Remedy, Setback},
    kafka::{At, Consumer, Producer, Reports, Settings, TopicInfo},
    record::{Partition, Positions},
    route::{Program, destinations},
    source,
    telemetry::RouteTelemetry,
};
use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// How this process's clients name themselves to the brokers.
pub const CLIENT_ID: &str = "pointsman";

/// Opens one worker's destination, again after each failure that spoils it.
pub struct RouteOpener {
    setting: Arc<Setting>,
    route: Route,
    number: usize,
    consumer: Arc<Consumer>,
    telemetry: Arc<RouteTelemetry>,
    /// Whether everything was there once.
    opened: bool,
}

impl RouteOpener {
    pub fn new(
        setting: Arc<Setting>,
        route: Route,
        number: usize,
        consumer: Arc<Consumer>,
        telemetry: Arc<RouteTelemetry>,
    ) -> RouteOpener {
        RouteOpener { setting, route, number, consumer, telemetry, opened: false }
    }

    /// Tells what the route cannot go on without.
    fn awaits(&self, what: &str) {
        self.telemetry.awaits(self.number, Some(what));
    }

    fn awaits_kafka(&self) {
        self.awaits(&format!("Kafka at {}", self.setting.kafka.bootstrap_servers()));
    }

    fn awaits_destination(&self) {
        match self.database() {
            Some(database) => self.awaits(&format!("database {}", database.name)),
            None => self.awaits_kafka(),
        }
    }

    /// The ids of the destinations' schemas, in their order; 0 where none is needed.
    fn schema_ids(&self) -> Result<Vec<u32>, Setback> {
        destinations(&self.route)
            .map(|d| match d {
                Planned::Topic(t) if t.format == Format::Avro => self.schema_id(&t.topic, &t.schema_text),
                _ => Ok(0),
            })
            .collect()
    }

    fn schema_id(&self, topic: &str, text: &str) -> Result<u32, Setback> {
        let subject = format!("{topic}-value");
        let registry = self.setting.registry.as_ref().ok_or_else(|| {
            let message = format!("topic {topic} takes Avro, and no schema registry is configured");
            Setback::stand(Cause::Registry, message, "set url in [schema_registry]")
        })?;
        self.awaits(&format!("the schema registry at {}", registry.url()));
        let place = self.setting.handle.block_on(registry.place_of(&subject, text))?;
        place.map(|p| p.id).ok_or_else(|| {
            Setback::stand(
                Cause::Registry,
                format!("subject {subject} does not have the schema that the route writes"),
                "register it: `pointsman apply`",
            )
        })
    }

    /// The topics that are written to.
    fn written(&self) -> BTreeSet<&str> {
        let topics = destinations(&self.route).filter_map(|d| match d {
            Planned::Topic(t) => Some(t.topic.as_str()),
            Planned::Table(_) => None,
        });
        let letters =
            [Some(&self.route.dlq), self.route.otherwise.place()].into_iter().flatten().filter_map(|d| match d {
                Dlq::Topic(topic) => Some(topic.as_str()),
                _ => None,
            });
        topics.chain(letters).collect()
    }

    /// The topics that are read.
    ///
    /// # Errors
    /// No broker answers; or one of them does not exist, which stands.
    fn source(&self) -> Result<TopicInfos, Setback> {
        self.awaits_kafka();
        let names: Vec<&str> = self.route.topics.iter().map(String::as_str).collect();
        let found = self.consumer.cluster(source::DEADLINE).topics(&names)?;
        if let Some(topic) = names.iter().find(|t| !found.contains_key(**t)) {
            return Err(missing(topic));
        }
        self.awaits_destination();
        Ok(found)
    }

    /// Once opened, the route has seen its topics: one that is gone may come back, or a broker has not heard of it yet.
    fn once_seen(&self, setback: Setback) -> Setback {
        if self.opened { Setback { remedy: Remedy::Retry, ..setback } } else { setback }
    }

    fn facts(&self) -> Result<Facts, Setback> {
        self.awaits_kafka();
        let written: Vec<&str> = self.written().into_iter().collect();
        TopicFacts::read(&self.consumer.cluster(source::DEADLINE), &written)
    }

    /// The database of a route to tables.
    fn database(&self) -> Option<&Database> {
        destinations(&self.route).find_map(|d| match d {
            Planned::Table(t) => self.setting.plan.databases.get(&t.database),
            Planned::Topic(_) => None,
        })
    }

    fn to_tables(&self, program: &Program, database: &Database) -> Result<Tables, Setback> {
        self.awaits_destination();
        if let Some(pending) = table::migrations::pending(&self.setting.handle, database)?.first() {
            return Err(Setback::stand(
                Cause::Database,
                format!("database {}: migration {pending} is not applied", database.name),
                "apply it: `pointsman apply`, or `run --migrate`",
            ));
        }
        let context = table::RouteContext {
            cluster_id: self.consumer.cluster(source::DEADLINE).id()?.unwrap_or_default(),
            group: self.route.group.clone(),
            route: self.route.name.clone(),
            cases: program.cases().to_vec(),
            dlq: self.route.dlq.clone(),
            otherwise: self.route.otherwise.place().cloned(),
            on_position_lost: self.route.on_position_lost,
            fk_wait: self.route.fk_wait,
            mark: self.mark(),
        };
        Tables::open(self.setting.handle.clone(), database, context, program.targets())
    }

    /// Makes the producer of letters that wait for topics.
    fn outfitter(&self) -> impl FnMut(&BTreeSet<&str>) -> Result<Outfit, Setback> + Send + use<> {
        let (consumer, kafka) = (self.consumer.clone(), self.setting.plan.kafka.clone());
        move |topics| {
            let topics: Vec<&str> = topics.iter().copied().collect();
            let facts = TopicFacts::read(&consumer.cluster(source::DEADLINE), &topics)?;
            let settings = Settings::new(&fitted(&kafka, facts.values()), CLIENT_ID);
            let producer = Producer::idempotent(&settings, Reports::All)?;
            Ok((producer, facts.into_iter().map(|(topic, f)| (topic, f.partitions)).collect()))
        }
    }

    fn to_topics(&self, program: &Program, facts: Facts) -> Result<Topics, Setback> {
        let letters = Letters {
            route: self.route.name.clone(),
            group: self.route.group.clone(),
            cases: program.cases().to_vec(),
            dead: match &self.route.dlq {
                Dlq::Topic(topic) => DeadLetters::Topic(topic.clone()),
                Dlq::Stop => DeadLetters::Stop,
                // `check` refuses a table beside topics: two transactions.
                Dlq::Discard | Dlq::Table { .. } => DeadLetters::Discard,
            },
            apart: self.route.otherwise.place().and_then(|place| match place {
                Dlq::Topic(topic) => Some(topic.clone()),
                _ => None,
            }),
        };
        let id = format!("{}.{}.{}", self.route.group, self.setting.instance, self.number);
        let settings = Settings::new(&fitted(&self.setting.plan.kafka, facts.values()), CLIENT_ID);
        let producer = match self.route.delivery {
            Delivery::ExactlyOnce => Producer::transactional(&settings, &id, Reports::Refusals)?,
            Delivery::AtLeastOnce => Producer::idempotent(&settings, Reports::Refusals)?,
        };
        let memory = self.setting.memory.clone();
        let terms = Terms { on_position_lost: self.route.on_position_lost, mark: self.mark(), memory };
        Ok(Topics::new(self.consumer.clone(), producer, self.route.delivery, letters, facts, terms))
    }

    /// Tells this configuration of the route, schemas and rules included, from another.
    fn mark(&self) -> String {
        let mut hasher = DefaultHasher::new();
        format!("{:?}", self.route).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

impl Opener for RouteOpener {
    fn open(&mut self) -> Result<(Program, Box<dyn Destination>), Setback> {
        let facts = self.source().and_then(|_| self.facts()).map_err(|setback| self.once_seen(setback))?;
        let ids = self.schema_ids()?;
        let program = Program::compile(&self.route, &ids)
            .map_err(|why| Setback::stand(Cause::Registry, why, "correct the route: `pointsman check`"))?;
        let destination: Box<dyn Destination> = match self.database() {
            Some(database) => {
                let tables = self.to_tables(&program, database)?;
                let mut relayed = Relayed::new(tables, Box::new(self.outfitter()), self.telemetry.clone(), self.number);
                // The only topics that a route to tables writes to are those of its letters.
                let topics = self.written();
                if !topics.is_empty() {
                    relayed.equip(&topics)?;
                }
                Box::new(relayed)
            }
            None => Box::new(self.to_topics(&program, facts)?),
        };
        self.opened = true;
        Ok((program, destination))
    }

    fn start(&mut self, partitions: &[Partition], why: Begin) -> Result<Positions, Setback> {
        let start = match why {
            Begin::NewGroup => &self.route.start,
            Begin::NewPartitions => &Start::Earliest,
        };
        source::resolve(&self.consumer, &self.setting.kafka, start, partitions)
    }

    fn topics(&mut self) -> Result<TopicInfos, Setback> {
        self.source().map_err(|setback| self.once_seen(setback))
    }

    fn ends(&mut self, topics: &TopicInfos) -> Result<Positions, Setback> {
        let of = |(name, info): (&String, &TopicInfo)| {
            let topic: Arc<str> = name.as_str().into();
            (0..info.partitions).map(move |id| Partition { topic: topic.clone(), id })
        };
        let partitions: Vec<Partition> = topics.iter().flat_map(of).collect();
        Ok(self.consumer.cluster(source::DEADLINE).offsets(&partitions, At::Latest)?)
    }
}
