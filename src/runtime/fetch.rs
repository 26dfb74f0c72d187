//! What a worker wants to know of the registry and the cluster, fetched beside it.

use super::deliverer::{Answer, Report};
use crate::{
    failure::{Cause, Setback},
    kafka::{At, Consumer},
    record::Partition,
    registry::{Answer as Registered, Client},
    route::{Wants, Writer},
    source,
};
use crossbeam_channel::Sender;
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Handle, time::Instant};

/// Asks for a worker.
#[derive(Clone)]
pub struct Fetch {
    pub handle: Handle,
    /// `None` where the configuration names no registry: JSON routes want nothing.
    pub registry: Option<Arc<Client>>,
    pub reports: Sender<Report>,
    /// A registry may learn of an id later than the broker of its records: how long to ask again.
    pub grace: Duration,
}

/// A registry that lags lacks an id or two. More unknown ones at a time are no ids at all, and are asked for once.
const LAGGING: usize = 8;

impl Fetch {
    /// Fetches, and answers with `Fetched` or `Failed` under the worker's attempt. Without `patience` the registry's
    /// first answer stands.
    pub fn start(&self, attempt: u64, wants: Wants, patience: bool) {
        let mut fetch = self.clone();
        if !patience {
            fetch.grace = Duration::ZERO;
        }
        self.handle.spawn(async move {
            let what = match fetch.schemas(&wants.schema_ids).await {
                Ok(schemas) => Answer::Fetched(schemas),
                Err(setback) => Answer::Failed(setback),
            };
            // A worker that has ended does not listen any more.
            let _ = fetch.reports.send(Report { attempt, what });
        });
    }

    /// Asks where these partitions end, and answers with `Ends`; with nothing where the cluster does not say.
    pub fn ends(&self, attempt: u64, consumer: Arc<Consumer>, partitions: Vec<Partition>) {
        let reports = self.reports.clone();
        self.handle.spawn_blocking(move || {
            if let Ok(ends) = consumer.cluster(source::DEADLINE).offsets(&partitions, At::Latest) {
                // A worker that has ended does not listen any more.
                let _ = reports.send(Report { attempt, what: Answer::Ends(ends) });
            }
        });
    }

    /// Asks what these topics are now, and answers with `Looked`.
    pub fn topics(&self, attempt: u64, consumer: Arc<Consumer>, topics: Vec<String>) {
        let reports = self.reports.clone();
        self.handle.spawn_blocking(move || {
            let names: Vec<&str> = topics.iter().map(String::as_str).collect();
            let found = consumer.cluster(source::DEADLINE).topics(&names).ok();
            // A worker that has ended does not listen any more.
            let _ = reports.send(Report { attempt, what: Answer::Looked(found) });
        });
    }

    async fn schemas(&self, ids: &[u32]) -> Result<Vec<(u32, Writer)>, Setback> {
        let registry = self.registry.as_ref().ok_or_else(|| {
            Setback::stand(
                Cause::Registry,
                "the route reads Avro, and no schema registry is configured",
                "set url in [schema_registry]",
            )
        })?;
        let until = Instant::now() + self.grace;
        let mut pause = Duration::from_millis(100);
        let mut found: Vec<(u32, Writer)> = ids.iter().map(|id| (*id, Writer::Unknown("".into()))).collect();
        // Again and again for those that the registry does not know, until it does or the grace is over.
        loop {
            let mut unknown = 0;
            for (id, writer) in found.iter_mut().filter(|(_, writer)| matches!(writer, Writer::Unknown(_))) {
                match registry.schema(*id).await? {
                    Registered::Schema(schema) => *writer = Writer::Schema(schema),
                    Registered::Unusable(why) => *writer = Writer::Unusable(why),
                    Registered::Unknown(why) => {
                        *writer = Writer::Unknown(why);
                        unknown += 1;
                    }
                }
            }
            if unknown == 0 || unknown > LAGGING || Instant::now() + pause > until {
                return Ok(found);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}
