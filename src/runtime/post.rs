//! A worker's post: from what its threads are made, and made anew when its client is of no more use.

use super::{
    breaker::Breaker,
    deliverer::{Deliverer, Order, Report},
    fetch::Fetch,
    flow::{Flow, Patience, backoff},
    hand::Hand,
    open::RouteOpener,
    supervisor::{Notice, Setting},
    worker::{Command, Ending, Worker, jitter},
};
use crate::{
    config::{Destination, LONGEST_COMMIT_INTERVAL, Route},
    failure::{Cause, Setback},
    route::{Known, destinations},
    source::Source,
};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use std::{
    panic,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How long what the deliverer is in the middle of may go on once its worker has left. Left behind, it begins no commit.
const LEAVE: Duration = Duration::from_secs(1);

pub struct Post {
    pub setting: Arc<Setting>,
    pub route: Route,
    /// Which of the route's workers, and which of the process's.
    pub number: usize,
    pub index: usize,
    pub commands: Receiver<Command>,
    pub notices: Sender<Notice>,
}

/// A worker, its deliverer, and what the one orders of the other.
pub struct Crew {
    worker: Worker,
    deliverer: Deliverer,
    orders: Receiver<Order>,
    /// Dropped when the deliverer ends, also by a panic.
    done: Sender<()>,
}

impl Post {
    pub fn name(&self) -> String {
        format!("{}-{}", self.route.name, self.number)
    }

    /// Makes the worker and its deliverer, and joins the group; under `until_caught_up` the worker joins once there is
    /// something to read.
    ///
    /// # Errors
    /// A client that librdkafka refuses to make: a property with a wrong value.
    pub fn crew(&self) -> Result<Crew, Setback> {
        let (setting, route) = (&self.setting, &self.route);
        let (orders, orders_in) = unbounded();
        let (reports, reports_in) = unbounded::<Report>();
        let (done, delivered) = bounded(0);
        let telemetry = setting.telemetry.route(&route.name, &case_names(route));
        let mut source = Source::open(&setting.kafka, route, self.number, telemetry.clone())?;
        if !setting.until_caught_up {
            source.join()?;
        }
        let telemetry = telemetry.worker(self.number);
        let fetch = Fetch {
            handle: setting.handle.clone(),
            registry: setting.registry.clone(),
            reports: reports.clone(),
            grace: setting.plan.registry.as_ref().map_or(Duration::ZERO, |r| r.unknown_id_grace),
        };
        let consumer = source.consumer();
        let hand = Hand::default();
        let opener =
            RouteOpener::new(setting.clone(), route.clone(), self.number, source.consumer(), telemetry.route().clone());
        let deliverer = Deliverer {
            opener: Box::new(opener),
            breaker: Breaker::new(&route.name, route.breaker),
            destination: None,
            until_caught_up: setting.until_caught_up,
            goal: None,
            reports,
            wake: Box::new(move || consumer.wake()),
            current: hand.attempt.clone(),
            attempt: 0,
            failed: false,
        };
        let worker = Worker {
            source,
            flow: Flow::new(patience(route, setting.drain), Instant::now()),
            program: None,
            known: Known::default(),
            fetch,
            orders,
            reports: reports_in,
            delivered,
            commands: self.commands.clone(),
            telemetry,
            until_caught_up: setting.until_caught_up,
            notices: self.notices.clone(),
            index: self.index,
            hand,
        };
        Ok(Crew { worker, deliverer, orders: orders_in, done })
    }

    /// Works until it is over, and tells so, also by a panic.
    pub fn hold(self, crew: Crew) {
        let worker = self.index;
        match panic::catch_unwind(panic::AssertUnwindSafe(|| self.work(crew))) {
            Ok(standing) => self.tell(Notice::Ended { worker, standing }),
            Err(panic) => {
                self.tell(Notice::Panicked { worker });
                panic::resume_unwind(panic);
            }
        }
    }

    fn tell(&self, notice: Notice) {
        // A supervisor that is gone has ended the process.
        let _ = self.notices.send(notice);
    }

    /// One crew after the other; what the last one stood on.
    fn work(&self, mut crew: Crew) -> Option<Setback> {
        let (initial, max) = (self.route.retry.initial, self.route.retry.max);
        let mut attempt = 0;
        loop {
            let begun = Instant::now();
            let setback = match self.run(crew) {
                Ending::Left(standing) => return standing,
                Ending::Dead(setback) => setback,
            };
            attempt = if begun.elapsed() > max { 1 } else { attempt + 1 };
            let pause = backoff(initial, max, attempt, jitter());
            let route = self.setting.telemetry.route(&self.route.name, &case_names(&self.route));
            route.worker(self.number).setback(&setback, attempt, pause);
            if self.commands.recv_timeout(pause).is_ok() {
                return None;
            }
            crew = match self.crew() {
                Ok(crew) => crew,
                Err(setback) => return Some(setback),
            };
            self.tell(Notice::Begins { worker: self.index });
        }
    }

    fn run(&self, Crew { mut worker, deliverer, orders, done }: Crew) -> Ending {
        let delivered = worker.delivered.clone();
        let delivering = spawn(format!("{}-out", self.name()), move || {
            let _done = done;
            deliverer.run(&orders);
        });
        let delivering = match delivering {
            Ok(thread) => thread,
            Err(setback) => return Ending::Left(Some(setback)),
        };
        // With the worker its end of the orders goes: the deliverer finishes what it has and leaves.
        let ending = worker.run();
        let undelivered = worker.hand.undelivered;
        drop(worker);
        if delivered.recv_timeout(LEAVE) == Err(RecvTimeoutError::Timeout) {
            // Else it only tried to reach something, which has been told.
            if undelivered {
                let route = &*self.route.name;
                tracing::warn!(
                    route,
                    "a delivery under way does not end, and is left behind: its records are read again"
                );
            }
        } else if let Err(panic) = delivering.join() {
            panic::resume_unwind(panic);
        }
        ending
    }
}

pub fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>, Setback> {
    thread::Builder::new().name(name).spawn(run).map_err(|error| {
        let help = "raise the limit of threads, or let the routes have fewer workers";
        Setback::stand(Cause::Host, format!("the operating system has no thread for a worker: {error}"), help)
    })
}

/// The names of a route's cases, by their index in its program.
pub fn case_names(route: &Route) -> Vec<String> {
    route.lanes.iter().flat_map(|l| &l.branches).map(|b| b.name.clone()).collect()
}

fn patience(route: &Route, drain: Duration) -> Patience {
    let tables = destinations(route).any(|d| matches!(d, Destination::Table(_)));
    Patience {
        initial: route.retry.initial,
        max: route.retry.max,
        give_up_after: route.retry.give_up_after,
        commit_interval: route.commit_interval,
        lagging_interval: if tables {
            // A longer transaction holds its rows' locks for longer, and costs a database no less.
            route.commit_interval
        } else {
            (10 * route.commit_interval).min(LONGEST_COMMIT_INTERVAL)
        },
        drain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::testing::Folder,
        destination::{Begin, Destination, TopicInfos},
        kafka::Settings,
        record::{Partition, Positions},
        route::Program,
        runtime::{CLIENT_ID, deliverer::Opener},
        telemetry::Telemetry,
    };

    /// Panics where a destination is opened.
    struct Faulty;

    impl Opener for Faulty {
        fn open(&mut self) -> Result<(Program, Box<dyn Destination>), Setback> {
            panic!("a fault of ours")
        }

        fn start(&mut self, _: &[Partition], _: Begin) -> Result<Positions, Setback> {
            Ok(Positions::new())
        }

        fn topics(&mut self) -> Result<TopicInfos, Setback> {
            Ok(TopicInfos::new())
        }

        fn ends(&mut self, _: &TopicInfos) -> Result<Positions, Setback> {
            Ok(Positions::new())
        }
    }

    #[test]
    fn a_panic_of_the_deliverer_is_told_though_the_worker_has_nothing_to_order() {
        // No broker answers, so no partition is ever assigned.
        let text = "version = 1\napp = 'shop'\nkafka = { bootstrap_servers = 'localhost:1' }\n[routes.r]\ntopic = 'orders'\n\
                    format = 'json'\nschema = 'shop.Order'\ndlq = 'discard'\ndestination = { topic = 'out', format = 'json' }\n";
        let plan = Arc::new(Folder::new(&[("routes.toml", text)]).plan());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let setting = Arc::new(Setting {
            kafka: Settings::new(&plan.kafka, CLIENT_ID),
            handle: runtime.handle().clone(),
            registry: None,
            telemetry: Telemetry::new(),
            instance: "test".to_owned(),
            until_caught_up: false,
            drain: Duration::ZERO,
            memory: Arc::default(),
            plan: plan.clone(),
        });
        let (notices, told) = unbounded();
        let (_commands, commands) = unbounded();
        let post = Post { setting, route: plan.routes[0].clone(), number: 0, index: 7, commands, notices };
        let mut crew = post.crew().unwrap();
        crew.deliverer.opener = Box::new(Faulty);
        let thread = thread::spawn(move || post.hold(crew));
        let notice = told.recv_timeout(Duration::from_secs(30));
        assert!(matches!(notice, Ok(Notice::Panicked { worker: 7 })), "{notice:?}");
        let panic = thread.join().unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"a fault of ours"), "the deliverer's own is passed on");
    }
}
