//! The supervisor: starts each route's workers, passes the stop on, and knows when nothing is left to run.

use super::{
    post::{Post, spawn},
    worker::Command,
};
use crate::{
    config::{Plan, Route},
    destination::topic::Memory,
    failure::Setback,
    kafka, registry,
    telemetry::Telemetry,
};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::{panic, sync::Arc, thread, time::Duration};
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
    /// What is remembered of topics that may be made anew.
    pub memory: Arc<Memory>,
}

/// Where a worker stands, told as it happens.
#[derive(Debug)]
pub enum Notice {
    /// It waits for a person.
    Stands { worker: usize, setback: Setback },
    /// It begins anew: what it stood on is over.
    Begins { worker: usize },
    /// Its thread has ended; with the setback it stood on, if any.
    Ended { worker: usize, standing: Option<Setback> },
    /// A fault of ours has ended its thread.
    Panicked { worker: usize },
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
        notices: Sender<Notice>,
    ) -> Result<(), Setback> {
        let (commands, inbox) = unbounded();
        let (setting, route) = (setting.clone(), route.clone());
        let post = Post { setting, route, number, index: self.commands.len(), commands: inbox, notices };
        self.routes.push(post.route.name.clone());
        self.commands.push(commands);
        let crew = post.crew()?;
        self.threads.push(spawn(post.name(), move || post.hold(crew))?);
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

    /// Waits until every worker has ended. When all that are left stand and none can run, they are told to leave; so they
    /// are when one panics, which is then ours to pass on: what starts us again does better than a route that is dead.
    pub fn wait(self) -> Standing {
        let stop = self.stopper();
        let mut live: Vec<bool> = self.routes.iter().map(|_| true).collect();
        let mut stands: Vec<Option<Setback>> = self.routes.iter().map(|_| None).collect();
        let mut told = false;
        while live.contains(&true) {
            let mut panicked = false;
            match self.notices.recv() {
                Ok(Notice::Stands { worker, setback }) => stands[worker] = Some(setback),
                Ok(Notice::Begins { worker }) => stands[worker] = None,
                Ok(Notice::Ended { worker, standing }) => {
                    live[worker] = false;
                    stands[worker] = standing.or(stands[worker].take());
                }
                Ok(Notice::Panicked { worker }) => {
                    live[worker] = false;
                    panicked = true;
                }
                Err(_) => break,
            }
            let none_runs = live.iter().zip(&stands).all(|(live, stands)| !live || stands.is_some());
            if (none_runs || panicked) && live.contains(&true) && !told {
                told = true;
                stop();
            }
        }
        let ended: Vec<_> = self.threads.into_iter().map(thread::JoinHandle::join).collect();
        if let Some(panic) = ended.into_iter().find_map(Result::err) {
            panic::resume_unwind(panic);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Cause;

    #[test]
    fn a_worker_that_stood_and_began_anew_is_not_stopped_with_the_last_that_stands() {
        let (notice, notices) = unbounded();
        let (commands, told) = unbounded();
        let routes = vec!["a".to_owned(), "b".to_owned()];
        let supervisor =
            Supervisor { commands: vec![commands.clone(), commands], routes, threads: Vec::new(), notices };
        let setback = || Setback::stand(Cause::Broker, "no such topic", "");
        for notice_of in [
            Notice::Stands { worker: 0, setback: setback() },
            Notice::Begins { worker: 0 },
            Notice::Stands { worker: 1, setback: setback() },
            Notice::Ended { worker: 1, standing: None },
            Notice::Ended { worker: 0, standing: None },
        ] {
            notice.send(notice_of).unwrap();
        }
        let standing = supervisor.wait();
        assert_eq!(standing, [("b".to_owned(), setback())]);
        assert!(told.is_empty(), "the other one ran on");
    }
}
