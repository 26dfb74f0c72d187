//! Collectors: HTTP front doors of topics. An event that was answered with 202 is in its topic.
//!
//! A request goes through `door`: `guard` (token, rate), `body` (size, time, budget, gzip), `judge` (the validator),
//! `sender` (the producer's thread), and back as an answer. What cannot be known is not said: events that no broker
//! acknowledged in time are answered with 503, and may be in the topic all the same.

mod body;
mod door;
mod guard;
mod json_schema;
mod judge;
mod openapi;
mod problem;
mod sender;
mod trace;

use crate::{
    config::{Collector, Plan},
    failure::{Cause, Setback},
    http::{self, Listener},
    registry,
    telemetry::Telemetry,
};
use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::{any, get},
};
use body::Budget;
use door::Door;
use guard::{Cors, Rates, Tokens};
use judge::Judges;
use problem::Problem;
use sender::{Gate, Sender};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    thread,
};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

/// What all collectors of a process share.
pub struct Setting {
    pub plan: Arc<Plan>,
    /// How the process names itself to the brokers.
    pub client_id: String,
    pub registry: Option<Arc<registry::Client>>,
    pub telemetry: Arc<Telemetry>,
    pub handle: Handle,
}

/// Collectors under way.
pub struct Collectors {
    stop: watch::Sender<()>,
    gates: Vec<Arc<Gate>>,
    servers: Vec<JoinHandle<()>>,
    senders: Vec<thread::JoinHandle<()>>,
    handle: Handle,
}

impl Collectors {
    /// Listens for these collectors, which are the plan's. Brokers are looked for afterwards: until they are found, events
    /// are answered with 503.
    ///
    /// # Errors
    /// An address that cannot be listened on, or tokens that cannot be read.
    pub fn start(setting: &Setting, collectors: &[&Collector]) -> Result<Collectors, Setback> {
        let mut by_address: BTreeMap<&str, Vec<&Collector>> = BTreeMap::new();
        for collector in collectors {
            by_address.entry(&collector.listen).or_default().push(collector);
        }
        let mut started = Collectors {
            stop: watch::Sender::new(()),
            gates: Vec::new(),
            servers: Vec::new(),
            senders: Vec::new(),
            handle: setting.handle.clone(),
        };
        let mut bound = Vec::new();
        for (address, collectors) in by_address {
            let from = format!("[collectors.{}] listen", collectors[0].name);
            let listener = setting.handle.block_on(http::bind(address, &from));
            bound.push((listener.map_err(|e| Setback::stand(Cause::Host, e.message, e.help))?, collectors));
        }
        for (listener, collectors) in bound {
            started.serve(setting, listener, &collectors)?;
        }
        Ok(started)
    }

    fn serve(&mut self, setting: &Setting, listener: Listener, collectors: &[&Collector]) -> Result<(), Setback> {
        let document = openapi::document(collectors);
        let cors = Arc::new(Cors(collectors.iter().flat_map(|c| c.cors.clone()).collect()));
        let describe = move |asked: &HeaderMap| {
            let mut answer = Json(document.clone()).into_response();
            cors.allow(asked, answer.headers_mut());
            answer
        };
        let mut router = Router::new();
        for collector in collectors {
            let url = format!("{}{}", listener.url(), collector.path);
            tracing::info!(collector = collector.name, url, "listens; events are taken once the brokers answer");
            let door = self.open(setting, collector, &url)?;
            router = router.route(&collector.path, any(door::enter).with_state(Arc::new(door)));
        }
        let paths: Vec<&str> = collectors.iter().map(|c| c.path.as_str()).collect();
        let nowhere = format!("nothing is here; there are {} and /openapi.json", paths.join(", "));
        let router = router
            .route(
                "/openapi.json",
                get(move |asked: HeaderMap| std::future::ready(describe(&asked))).fallback(only_get),
            )
            .fallback(move || std::future::ready(Problem::new(StatusCode::NOT_FOUND, "not-found", nowhere.clone())));
        let mut stop = self.stop.subscribe();
        self.servers.push(setting.handle.spawn(listener.serve(router, async move {
            // The sender's end going away stops it too.
            let _ = stop.changed().await;
        })));
        Ok(())
    }

    fn open(&mut self, setting: &Setting, collector: &Collector, url: &str) -> Result<Door, Setback> {
        let tokens = collector.tokens.clone().map(|file| {
            Tokens::open(file.clone()).map_err(|e| {
                let message = format!("collector {}: {} cannot be used: {e}", collector.name, file.display());
                Setback::stand(Cause::Host, message, "write bearer tokens into it, one a line")
            })
        });
        let (orders, orders_in) = crossbeam_channel::unbounded();
        let budget = Budget::new(collector.limits.body);
        let telemetry = setting.telemetry.collector(&collector.name, &collector.topic, url, budget.used());
        let gate = Arc::new(Gate::new());
        let door = Door {
            tokens: tokens.transpose()?,
            rates: collector.limits.rate.map(Rates::new),
            cors: Cors(collector.cors.clone()),
            limit: collector.limits.body,
            budget,
            judges: Judges::new(collector.clone()),
            gate: gate.clone(),
            orders,
            telemetry: telemetry.clone(),
        };
        let sender = Sender {
            collector: collector.clone(),
            kafka: setting.plan.kafka.clone(),
            client_id: setting.client_id.clone(),
            registry: setting.registry.clone(),
            handle: setting.handle.clone(),
            gate: gate.clone(),
            telemetry,
            orders: orders_in,
        };
        let name = format!("collector-{}", collector.name);
        let thread = thread::Builder::new().name(name).spawn(move || sender.run());
        self.senders.push(thread.expect("the operating system has a thread for each collector"));
        self.gates.push(gate);
        Ok(door)
    }

    /// Listens no longer, answers what has been taken, and waits until the producers have nothing left.
    pub fn stop(self) {
        for gate in &self.gates {
            gate.stopping.store(true, Ordering::Relaxed);
        }
        drop(self.stop);
        for server in self.servers {
            // One that panicked has said so on standard error.
            let _ = self.handle.block_on(server);
        }
        for sender in self.senders {
            let _ = sender.join();
        }
    }
}

async fn only_get() -> impl IntoResponse {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "the description is read: GET");
    problem.header(header::ALLOW, "GET, HEAD")
}
