//! The ACLs that a plan's routes need, whoever their principal is.

use super::topics::letter_topics;
use crate::{
    config::{Delivery, Destination, Plan, Route, Start},
    route::destinations,
};
use std::collections::{BTreeMap, BTreeSet};

/// What one kind of ACL allows. The order is that of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    Cluster,
    Group,
    Topic,
    TransactionalId,
}

impl Resource {
    /// As `kafka-acls` has it: `--topic`, `--transactional-id`.
    pub fn name(self) -> &'static str {
        match self {
            Resource::Cluster => "cluster",
            Resource::Group => "group",
            Resource::Topic => "topic",
            Resource::TransactionalId => "transactional-id",
        }
    }
}

/// Operations on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    pub resource: Resource,
    pub name: String,
    /// Whether `name` is the beginning of names: a prefixed pattern, not a literal one.
    pub prefixed: bool,
    /// Kafka's names of operations, sorted.
    pub operations: Vec<&'static str>,
    /// The routes that need it, and collectors as `collectors.NAME`; empty for what `apply` alone needs.
    pub routes: Vec<String>,
}

impl Acl {
    pub fn pattern(&self) -> &'static str {
        if self.prefixed { "prefixed" } else { "literal" }
    }
}

type Key = (Resource, String, bool);

#[derive(Default)]
struct Needs(BTreeMap<Key, (BTreeSet<&'static str>, BTreeSet<String>)>);

impl Needs {
    fn add(&mut self, route: &Route, resource: Resource, name: &str, operations: &[&'static str]) {
        self.put(Some(&route.name), (resource, name.to_owned(), false), operations);
    }

    fn put(&mut self, by: Option<&str>, key: Key, operations: &[&'static str]) {
        let (all, routes) = self.0.entry(key).or_default();
        all.extend(operations);
        routes.extend(by.map(str::to_owned));
    }
}

/// What the routes need, by resource and name; then what `apply` needs to make and change topics.
pub fn needed(plan: &Plan) -> Vec<Acl> {
    let mut needs = Needs::default();
    plan.routes.iter().for_each(|route| of_route(&mut needs, route));
    for collector in &plan.collectors {
        let name = format!("collectors.{}", collector.name);
        needs.put(Some(&name), (Resource::Topic, collector.topic.clone(), false), &WRITE);
        needs.put(Some(&name), (Resource::Cluster, CLUSTER.to_owned(), false), &["IdempotentWrite"]);
    }
    let mut applying = Needs::default();
    if !plan.topics.is_empty() || plan.routes.iter().any(|r| letter_topics(r).next().is_some()) {
        applying.put(None, (Resource::Cluster, CLUSTER.to_owned(), false), &["Create"]);
    }
    for topic in plan.topics.keys() {
        let operations = ["Alter", "AlterConfigs", "Describe", "DescribeConfigs"];
        applying.put(None, (Resource::Topic, topic.clone(), false), &operations);
    }
    let acl = |((resource, name, prefixed), (operations, routes)): (Key, (BTreeSet<_>, BTreeSet<_>))| Acl {
        resource,
        name,
        prefixed,
        operations: operations.into_iter().collect(),
        routes: routes.into_iter().collect(),
    };
    needs.0.into_iter().chain(applying.0).map(acl).collect()
}

/// The one name that the cluster has as a resource.
const CLUSTER: &str = "kafka-cluster";

/// To write to a topic. Its settings tell what it takes: the largest message, and whether it is compacted.
const WRITE: [&str; 3] = ["Describe", "DescribeConfigs", "Write"];

fn of_route(needs: &mut Needs, route: &Route) {
    for topic in &route.topics {
        needs.add(route, Resource::Topic, topic, &["Describe", "Read"]);
    }
    needs.add(route, Resource::Group, &route.group, &["Describe", "Read"]);
    if let Start::Group(other) = &route.start {
        needs.add(route, Resource::Group, other, &["Describe"]);
    }
    let written: BTreeSet<&str> = destinations(route)
        .filter_map(|d| match d {
            Destination::Topic(to) => Some(to.topic.as_str()),
            Destination::Table(_) => None,
        })
        .chain(letter_topics(route))
        .collect();
    for topic in &written {
        needs.add(route, Resource::Topic, topic, &WRITE);
    }
    let to_tables = destinations(route).any(|d| matches!(d, Destination::Table(_)));
    match route.delivery {
        _ if written.is_empty() => {}
        Delivery::ExactlyOnce if !to_tables => {
            // Each worker of each process has its own: group, process, number.
            let key = (Resource::TransactionalId, format!("{}.", route.group), true);
            needs.put(Some(&route.name), key, &["Describe", "Write"]);
        }
        // Brokers from 3.0 on let whoever may write to a topic do so idempotently.
        _ => needs.add(route, Resource::Cluster, CLUSTER, &["IdempotentWrite"]),
    }
}
