//! What the routes need around them, in this process: a broker, a registry, a folder, and the records to carry.

use super::shipped;
use crate::{
    config::{self, Destination, Format, Plan},
    failure::{Cause, Setback},
    generate::jobs::{Generated, Job, Recipe},
    http,
    kafka::{self, MockCluster, Outgoing, Producer, Reports},
    record::Header,
    registry::{Client, RegisterError, server},
    route::destinations,
    schema::Catalog,
};
use std::{fmt::Display, path::PathBuf, sync::Arc, time::Duration};
use tokio::runtime::Runtime;

/// Records that are made bad on purpose, among all.
pub const INVALID_SHARE: f64 = 0.03;

/// How long the embedded broker may take for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What suits the embedded broker: it answers a fetch only when its wait is over, and a group that a second member joins
/// is complete a second before the session's timeout, not when all are there.
const CONSUMER: &[(&str, &str)] = &[
    ("partition.assignment.strategy", "range"),
    ("fetch.wait.max.ms", "10"),
    ("session.timeout.ms", "4000"),
    ("heartbeat.interval.ms", "500"),
];

/// A running world; it ends with this value.
pub struct World {
    pub plan: Arc<Plan>,
    pub folder: PathBuf,
    /// The id of the orders' schema.
    schema_id: u32,
    _cluster: MockCluster,
}

impl World {
    pub fn start(runtime: &Runtime) -> Result<World, Setback> {
        let folder = shipped::unpack().map_err(|e| host("cannot write the demo's folder", &e))?;
        let cluster = MockCluster::start()?;
        let registry = serve_registry(runtime)?;
        let env = |name: &str| match name {
            "KAFKA_BOOTSTRAP_SERVERS" => Some(cluster.bootstrap_servers()),
            "SCHEMA_REGISTRY_URL" => Some(registry.clone()),
            "HTTP_LISTEN" => Some("127.0.0.1:0".to_owned()),
            _ => None,
        };
        let file = folder.join("routes.toml");
        let loaded = config::load(&file, config::Options { strict: true, env: &env, properties: None });
        let loaded = loaded.map_err(|e| host("cannot read the demo's folder", &e))?;
        let mut plan = loaded.plan.ok_or_else(|| {
            let help = format!("pointsman check -f {}", file.display());
            Setback::stand(Cause::Host, "the shipped routes.toml has problems", help)
        })?;
        plan.kafka.consumer.extend(CONSUMER.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        for (topic, spec) in &plan.topics {
            cluster.create_topic(topic, spec.partitions.unwrap_or(1))?;
        }
        let schema_id = register(runtime, &plan, &loaded.catalog)?;
        Ok(World { plan: Arc::new(plan), folder, schema_id, _cluster: cluster })
    }

    /// Records of all jobs, in turns.
    pub fn records(&self, count: usize, seed: u64) -> Vec<Generated> {
        let jobs = Job::ALL.len();
        let mut streams: Vec<_> = Job::ALL
            .iter()
            .enumerate()
            .map(|(i, job)| {
                let count = count / jobs + usize::from(i < count % jobs);
                job.records(&Recipe { seed, count, invalid_share: INVALID_SHARE, schema_id: self.schema_id })
            })
            .collect();
        let mut records = Vec::with_capacity(count);
        while records.len() < count {
            records.extend(streams.iter_mut().filter_map(Iterator::next));
        }
        records
    }

    /// Produces the records and waits until the broker has them all.
    pub fn produce(&self, records: &[Generated]) -> Result<(), Setback> {
        let mut producer =
            Producer::idempotent(&kafka::Settings::new(&self.plan.kafka, "pointsman-demo"), Reports::All)?;
        let mut refused = Ok(());
        let mut report = |_, result: Result<(), _>| {
            if let Err(fault) = result {
                refused = Err(fault);
            }
        };
        for record in records {
            let headers: Vec<_> = record
                .headers
                .iter()
                .map(|(name, v)| Header { name: name.as_bytes(), value: Some(v.as_bytes()) })
                .collect();
            let outgoing = Outgoing {
                topic: record.topic,
                partition: None,
                key: Some(&record.key),
                value: record.value.as_deref(),
                headers: &headers,
                timestamp: None,
                tag: 0,
            };
            producer.hand_over(&outgoing, PATIENCE, &mut report)?;
        }
        producer.flush(PATIENCE, &mut report)?;
        Ok(refused?)
    }
}

/// An embedded registry on a free port, and its URL; it ends with the runtime.
fn serve_registry(runtime: &Runtime) -> Result<String, Setback> {
    let listener = runtime
        .block_on(http::bind("127.0.0.1:0", "the demo's registry"))
        .map_err(|e| Setback::stand(Cause::Host, e.message, e.help))?;
    let url = listener.url();
    let registry = server::Registry::in_memory();
    runtime.spawn(listener.serve(server::router(registry), std::future::pending()));
    Ok(url)
}

/// Registers the schemas of every topic that is written in Avro, and of the orders; gives the id of the last.
fn register(runtime: &Runtime, plan: &Plan, catalog: &Catalog) -> Result<u32, Setback> {
    let Some(registry) = &plan.registry else { return Ok(0) };
    let registry = Client::new(registry)?;
    let register = |topic: &str, text: &str| {
        runtime.block_on(registry.register(&format!("{topic}-value"), text)).map_err(|e| match e {
            RegisterError::Setback(setback) => setback,
            refused => Setback::stand(Cause::Registry, refused.to_string(), ""),
        })
    };
    for destination in plan.routes.iter().flat_map(destinations) {
        if let Destination::Topic(t) = destination
            && t.format == Format::Avro
        {
            register(&t.topic, &t.schema_text)?;
        }
    }
    let orders = Job::Orders.schema().and_then(|name| catalog.get(name));
    orders.map_or(Ok(0), |schema| register(Job::Orders.topic(), &schema.to_json()))
}

fn host(what: &str, why: &impl Display) -> Setback {
    Setback::stand(Cause::Host, format!("{what}: {why}"), "set TMPDIR to a folder that can be written to")
}
