//! Topics: those that [topics] lists, those of dead letters, and those that are expected to be there.

use super::{Change, Finding, Item, Part, count, list};
use crate::{
    config::{Destination, Dlq, Plan, Route, TopicSpec},
    failure::Setback,
    kafka::{Cluster, Code, Connection, Fault, Kind, NewTopic, Settings, TopicInfo},
    route::destinations,
    runtime::CLIENT_ID,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long the brokers may take to answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// What the file says of one topic.
#[derive(Debug, Default)]
pub(super) struct Wanted<'p> {
    spec: Option<&'p TopicSpec>,
    /// Routes that read it, write to it, and leave dead letters (or what no case took) in it.
    read_by: Vec<&'p Route>,
    written_by: Vec<&'p Route>,
    letters_of: Vec<&'p Route>,
    /// Routes that write to the partition number of the source.
    same_as: Vec<&'p Route>,
    /// Names of collectors that write to it.
    collected_by: Vec<&'p str>,
}

/// Every topic that a plan names.
pub(super) fn wanted(plan: &Plan) -> BTreeMap<&str, Wanted<'_>> {
    let mut all: BTreeMap<&str, Wanted<'_>> = BTreeMap::new();
    for (name, spec) in &plan.topics {
        all.entry(name).or_default().spec = Some(spec);
    }
    for route in &plan.routes {
        for topic in &route.topics {
            all.entry(topic).or_default().read_by.push(route);
        }
        for destination in destinations(route) {
            let Destination::Topic(to) = destination else { continue };
            let topic = all.entry(&to.topic).or_default();
            topic.written_by.push(route);
            if to.same_partition {
                topic.same_as.push(route);
            }
        }
        for topic in letter_topics(route) {
            all.entry(topic).or_default().letters_of.push(route);
        }
    }
    for collector in &plan.collectors {
        all.entry(&collector.topic).or_default().collected_by.push(&collector.name);
    }
    for topic in all.values_mut() {
        for routes in [&mut topic.read_by, &mut topic.written_by, &mut topic.letters_of, &mut topic.same_as] {
            routes.dedup_by_key(|r| &r.name);
        }
    }
    all
}

/// The topics that a route's dead letters, and the records that no case took, go to.
pub(super) fn letter_topics(route: &Route) -> impl Iterator<Item = &str> {
    [Some(&route.dlq), route.otherwise.place()].into_iter().flatten().filter_map(|place| match place {
        Dlq::Topic(topic) => Some(topic.as_str()),
        _ => None,
    })
}

pub(super) fn look(plan: &Plan) -> Vec<Item> {
    let wanted = wanted(plan);
    if wanted.is_empty() {
        return Vec::new();
    }
    let settings = Settings::new(&plan.kafka, CLIENT_ID);
    let unreachable = |fault: Fault| {
        let mut setback = Setback::from(fault);
        setback.message = format!("brokers at {}: {}", plan.kafka.bootstrap_servers, setback.message);
        if setback.help.is_empty() {
            setback.help = "start the brokers, or correct bootstrap_servers in [kafka]".to_owned();
        }
        vec![Item::unreachable(Part::Topics, &plan.kafka.bootstrap_servers, setback)]
    };
    let connection = match Connection::new(&settings) {
        Ok(connection) => connection,
        Err(fault) => return unreachable(fault),
    };
    let cluster = connection.cluster(DEADLINE);
    let names: Vec<&str> = wanted.keys().copied().collect();
    let live = match cluster.topics(&names) {
        Ok(live) => live,
        Err(fault) => return unreachable(fault),
    };
    let scene = Scene { wanted: &wanted, live: &live };
    wanted.keys().map(|name| scene.item(name, &cluster)).collect()
}

/// How many partitions a topic has, or is to have; `None` where it is to have the brokers' default, which nobody knows
/// before it is made.
type Partitions = Option<i32>;

struct Scene<'s, 'p> {
    wanted: &'s BTreeMap<&'p str, Wanted<'p>>,
    live: &'s BTreeMap<String, TopicInfo>,
}

impl Scene<'_, '_> {
    /// The partitions that a topic has once the plan is applied; `None` where it will not be there.
    fn partitions(&self, name: &str, asked: &mut BTreeSet<String>) -> Option<Partitions> {
        // A topic of dead letters that takes its partitions from itself has none.
        if !asked.insert(name.to_owned()) {
            return None;
        }
        let live = self.live.get(name).map(|t| t.partitions);
        let wanted = self.wanted.get(name)?;
        match wanted.spec {
            Some(spec) => Some(spec.partitions.max(live)),
            None if live.is_some() => Some(live),
            None => {
                let sources: Vec<Partitions> = self.sources(wanted).filter_map(|s| self.partitions(s, asked)).collect();
                let known = sources.iter().flatten().count();
                // The default beside a number: which is the larger, nobody knows.
                if known > 0 && known < sources.len() { None } else { sources.into_iter().max() }
            }
        }
    }

    fn sources<'w>(&self, wanted: &'w Wanted<'_>) -> impl Iterator<Item = &'w str> {
        wanted.letters_of.iter().flat_map(|r| r.topics.iter().map(String::as_str))
    }

    fn item(&self, name: &str, cluster: &Cluster<'_>) -> Item {
        let wanted = &self.wanted[name];
        let mut item = Item::new(Part::Topics, name);
        match (self.live.get(name), wanted.spec) {
            (Some(live), spec) => {
                item.state = count(live.partitions.max(0) as usize, "partition");
                if let Some(spec) = spec {
                    differ(&mut item, wanted, spec, live, cluster);
                }
            }
            (None, Some(spec)) => create(&mut item, spec.clone(), Vec::new(), cluster),
            (None, None) if !wanted.letters_of.is_empty() => self.letters(&mut item, wanted, cluster),
            (None, None) => item.problems.push(missing(name, wanted)),
        }
        self.same_partitions(&mut item, wanted);
        item
    }

    /// A topic of dead letters that nobody listed: as wide as what it takes letters from.
    fn letters(&self, item: &mut Item, wanted: &Wanted<'_>, cluster: &Cluster<'_>) {
        let Some(partitions) = self.partitions(&item.name, &mut BTreeSet::new()) else {
            let sources = list(self.sources(wanted).collect::<BTreeSet<_>>());
            let message = format!("is made with the partitions of {sources}, once that exists");
            item.notes.push(Finding::new("waits", message, ""));
            return;
        };
        // As many copies as the sources are listed with: letters are records too.
        let listed = self.sources(wanted).filter_map(|s| self.wanted.get(s)?.spec?.replication);
        let spec = TopicSpec { partitions, replication: listed.max(), config: BTreeMap::new() };
        let routes = list(wanted.letters_of.iter().map(|r| format!("`{}`", r.name)));
        create(item, spec, vec![format!("for the dead letters of {routes}, with their source's partitions")], cluster);
    }

    /// `partition = "same"` needs every number that a source has.
    fn same_partitions(&self, item: &mut Item, wanted: &Wanted<'_>) {
        let Some(own) = self.partitions(&item.name, &mut BTreeSet::new()) else { return };
        let too_few = |needed: Partitions| match (own, needed) {
            (Some(own), Some(needed)) => needed > own,
            // One is made with the brokers' default: both of them have it, or nobody knows.
            (own, needed) => own != needed,
        };
        for route in &wanted.same_as {
            let sources = route.topics.iter();
            let sources = sources.filter_map(|s| Some((s, self.partitions(s, &mut BTreeSet::new())?)));
            let short = sources.filter(|(_, n)| too_few(*n)).max_by_key(|(_, n)| *n);
            let Some((source, needed)) = short else { continue };
            let default = "is made with the brokers' default number of partitions";
            let own = own.map_or(default.to_owned(), |n| format!("has {}", count(n.max(0) as usize, "partition")));
            let has = needed.map_or(default.to_owned(), |n| format!("has {n}"));
            let message = format!(
                "{own}, and route `{}` writes with partition = \"same\" from {source}, which {has}",
                route.name
            );
            let help = match needed {
                Some(n) => format!("set partitions = {n} for it under [topics], or leave `partition` out"),
                None => format!("set partitions for {source} too under [topics], or leave `partition` out"),
            };
            item.problems.push(Finding::new("too-few-partitions", message, help));
        }
    }
}

fn missing(name: &str, wanted: &Wanted<'_>) -> Finding {
    let names = |routes: &[&Route]| list(routes.iter().map(|r| format!("`{}`", r.name)));
    let mut uses = Vec::new();
    for (routes, one, many) in [(&wanted.read_by, "reads", "read"), (&wanted.written_by, "writes to", "write to")] {
        match routes.len() {
            0 => {}
            1 => uses.push(format!("route {} {one} it", names(routes))),
            _ => uses.push(format!("routes {} {many} it", names(routes))),
        }
    }
    uses.extend(wanted.collected_by.iter().map(|name| format!("collector `{name}` writes to it")));
    let message = format!("does not exist, and [topics] does not list it: {}", uses.join(", "));
    let help = format!("correct the name, or list it so that it is made: [topics.{}] with partitions = N", key(name));
    Finding::new("topic-missing", message, help)
}

/// A TOML key.
fn key(name: &str) -> String {
    if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }
}

fn create(item: &mut Item, spec: TopicSpec, details: Vec<String>, cluster: &Cluster<'_>) {
    let mut words = match spec.partitions {
        Some(partitions) => format!("create with {}", count(partitions.max(0) as usize, "partition")),
        None => "create with the brokers' default number of partitions".to_owned(),
    };
    if let Some(copies) = spec.replication {
        words.push_str(&format!(", {}", count(copies.max(0) as usize, "replica")));
    }
    let TopicSpec { partitions, replication, config } = spec;
    let judged = match cluster.judge_topic(&NewTopic { name: &item.name, partitions, replication, config: &config }) {
        // Another `apply` has made it since we looked.
        Err(fault) if fault.code == Code::TopicAlreadyExists => Ok(()),
        judged => judged,
    };
    let settings = config.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let step = item.step(words, Change::CreateTopic { partitions, replication, config });
    step.details = [settings, details].concat();
    refused(item, judged);
}

/// What the brokers say of a change that they were only asked about.
fn refused(item: &mut Item, judged: Result<(), Fault>) {
    let Err(fault) = judged else { return };
    if fault.kind == Kind::Refused {
        let help = "correct it under [topics] in routes.toml";
        item.problems.push(Finding::new("topic-refused", fault.message, help));
    } else {
        item.unreachable = Some(fault.into());
    }
}

fn differ(item: &mut Item, wanted: &Wanted<'_>, spec: &TopicSpec, live: &TopicInfo, cluster: &Cluster<'_>) {
    let has = live.partitions;
    let wants = spec.partitions.unwrap_or(has);
    if wants > has {
        let step = item.step(
            format!("widen from {has} to {}", count(wants.max(0) as usize, "partition")),
            Change::WidenTopic { partitions: wants },
        );
        if !wanted.read_by.is_empty() || !wanted.written_by.is_empty() {
            step.details.push("from then on a key may hash to another partition than before".to_owned());
        }
    } else if wants < has {
        let message = format!("has {has} partitions, and routes.toml says {wants}: Kafka takes none away");
        item.notes.push(Finding::new("more-partitions", message, "correct routes.toml, or delete the topic first"));
    }
    if let Some(replication) = spec.replication.filter(|r| live.replication > 0 && *r != live.replication) {
        let message = format!("has {} of each partition, and routes.toml says {replication}", copies(live.replication));
        let help = "kafka-reassign-partitions.sh changes it; `apply` does not move data";
        item.notes.push(Finding::new("replication-differs", message, help));
    }
    if spec.config.is_empty() {
        return;
    }
    match cluster.topic_settings(&item.name) {
        Ok(live) => settings(item, spec, &live, cluster),
        Err(fault) => item.unreachable = Some(fault.into()),
    }
}

fn copies(n: i32) -> String {
    if n == 1 { "1 copy".to_owned() } else { format!("{n} copies") }
}

fn settings(item: &mut Item, spec: &TopicSpec, live: &BTreeMap<String, String>, cluster: &Cluster<'_>) {
    let mut changed = BTreeMap::new();
    for (name, value) in &spec.config {
        let now = live.get(name);
        if now.is_some_and(|now| plain(now) == plain(value)) {
            continue;
        }
        // A setting that topics do not have is the brokers' to refuse, below.
        let words = match now.filter(|now| !now.is_empty()) {
            Some(now) => format!("set {name} from {now} to {value}"),
            None => format!("set {name} to {value}"),
        };
        item.step(words, Change::SetTopic { settings: BTreeMap::from([(name.clone(), value.clone())]) });
        changed.insert(name.clone(), value.clone());
    }
    if !changed.is_empty() {
        refused(item, cluster.judge_settings(&item.name, &changed));
    }
}

/// Values that mean the same look the same: lists without blanks, true and false in lower case.
fn plain(value: &str) -> String {
    let value: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") {
        return value.to_ascii_lowercase();
    }
    value
}
