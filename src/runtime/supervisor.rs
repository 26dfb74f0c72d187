//! The supervisor: starts each route's workers, passes the stop on, and knows when nothing is left to run.

use super::{
    breaker::Breaker,
    deliverer::{Deliverer, Report},
    fetch::Fetch,
    flow::{Flow, Patience},
    open::RouteOpener,
    worker::{Command, Hand, Worker},
};
use crate::{
    config::{Plan, Route},
    failure::Setback,
    kafka, registry,
    route::Known,
    source::Source,
    telemetry::Telemetry,
};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// What all workers of a process share.
pub struct Setting {
    pub plan: Arc<Plan>,
    pub kafka: kafka::Settings,
    pub handle: Handle,
    pub registry: Option<Arc<registry::Client>>,
    pub telemetry: Arc<Telemetry>,
    /// This process among those that share the routes' work.
    pub instance: String,
    pub until_caught_up: bool,
    /// How long a drain may take.
    pub drain: Duration,
}

/// Where a worker stands, told as it happens.
#[derive(Debug)]
pub enum Notice {
    /// It waits for a person.
    Stands { worker: usize, setback: Setback },
    /// Its thread has ended; with the setback it stood on, if any.
    Ended { worker: usize, standing: Option<Setback> },
}

/// The workers of a process.
pub struct Supervisor {
    commands: Vec<Sender<Command>>,
    routes: Vec<String>,
    threads: Vec<thread::JoinHandle<()>>,
    notices: Receiver<Notice>,
}

/// The routes that stood at the end, each with its reason.
pub type Standing = Vec<(String, Setback)>;

impl Supervisor {
    /// Starts the workers of these routes.
    ///
    /// # Errors
    /// A client that librdkafka refuses to make: a property with a wrong value.
    pub fn start(setting: &Arc<Setting>, routes: &[&Route]) -> Result<Supervisor, Setback> {
        let (notice, notices) = unbounded();
        let mut supervisor = Supervisor { commands: Vec::new(), routes: Vec::new(), threads: Vec::new(), notices };
        for route in routes {
            for number in 0..usize::from(route.workers) {
                supervisor.start_worker(setting, route, number, notice.clone())?;
            }
        }
        Ok(supervisor)
    }

    fn start_worker(
        &mut self,
        setting: &Arc<Setting>,
        route: &Route,
        number: usize,
        notice: Sender<Notice>,
    ) -> Result<(), Setback> {
        let (commands, inbox) = unbounded();
        let (orders, orders_in) = unbounded();
        let (reports, reports_in) = unbounded::<Report>();
        let telemetry = setting.telemetry.route(&route.name, &case_names(route));
        let source = Source::open(&setting.kafka, route, number, telemetry.clone())?;
        let telemetry = telemetry.worker(number);
        let fetch = Fetch {
            handle: setting.handle.clone(),
            registry: setting.registry.clone(),
            reports: reports.clone(),
            grace: setting.plan.registry.as_ref().map_or(Duration::ZERO, |r| r.unknown_id_grace),
        };
        let consumer = source.consumer();
        let opener =
            RouteOpener::new(setting.clone(), route.clone(), number, source.consumer(), telemetry.route().clone());
        let deliverer = Deliverer {
            opener: Box::new(opener),
            breaker: Breaker::new(&route.name, route.breaker),
            destination: None,
            until_caught_up: setting.until_caught_up,
            goal: None,
            reports,
            wake: Box::new(move || consumer.wake()),
            attempt: 0,
            failed: false,
        };
        let index = self.commands.len();
        let worker = Worker {
            source,
            flow: Flow::new(patience(route, setting.drain), Instant::now()),
            program: None,
            known: Known::default(),
            fetch,
            orders,
            reports: reports_in,
            commands: inbox,
            telemetry,
            until_caught_up: setting.until_caught_up,
            notices: notice.clone(),
            index,
            hand: Hand::default(),
        };
        let name = format!("{}-{number}", route.name);
        let delivering = spawn(format!("{name}-out"), move || deliverer.run(&orders_in));
        self.threads.push(spawn(name, move || {
            let standing = worker.run();
            // The worker's end of the orders is gone: the deliverer finishes what it has and leaves.
            let _ = delivering.join();
            let _ = notice.send(Notice::Ended { worker: index, standing });
        }));
        self.commands.push(commands);
        self.routes.push(route.name.clone());
        Ok(())
    }

    /// Tells every worker to commit what is under way and leave; called twice, to leave at once.
    pub fn stopper(&self) -> impl Fn() + Send + 'static {
        let commands = self.commands.clone();
        move || {
            for worker in &commands {
                // One that has ended does not listen any more.
                let _ = worker.send(Command::Stop);
            }
        }
    }

    /// Waits until every worker has ended. When all that are left stand and none can run, they are told to leave.
    pub fn wait(self) -> Standing {
        let stop = self.stopper();
        let mut live: Vec<bool> = self.routes.iter().map(|_| true).collect();
        let mut stands: Vec<Option<Setback>> = self.routes.iter().map(|_| None).collect();
        let mut told = false;
        while live.contains(&true) {
            match self.notices.recv() {
                Ok(Notice::Stands { worker, setback }) => stands[worker] = Some(setback),
                Ok(Notice::Ended { worker, standing }) => {
                    live[worker] = false;
                    stands[worker] = standing.or(stands[worker].take());
                }
                Err(_) => break,
            }
            let none_runs = live.iter().zip(&stands).all(|(live, stands)| !live || stands.is_some());
            if none_runs && live.contains(&true) && !told {
                told = true;
                stop();
            }
        }
        for thread in self.threads {
            // A worker that panicked has said so on standard error; the others are still to be waited for.
            let _ = thread.join();
        }
        let mut standing = Standing::new();
        for (route, setback) in self.routes.into_iter().zip(stands) {
            if let Some(setback) = setback
                && !standing.iter().any(|(r, _)| *r == route)
            {
                standing.push((route, setback));
            }
        }
        standing
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::Builder::new().name(name).spawn(run).expect("the operating system has threads for a handful of workers")
}

/// The names of a route's cases, by their index in its program.
pub fn case_names(route: &Route) -> Vec<String> {
    route.lanes.iter().flat_map(|l| &l.branches).map(|b| b.name.clone()).collect()
}

fn patience(route: &Route, drain: Duration) -> Patience {
    Patience {
        initial: route.retry.initial,
        max: route.retry.max,
        give_up_after: route.retry.give_up_after,
        commit_interval: route.commit_interval,
        drain,
    }
}
