//! `run`: the routes, the pages, and the signals that end them.

use super::{Exit, collect};
use crate::{
    collect::Collectors,
    config::{Collector, Delivery, Destination, Plan, Route},
    destination::table::migrations,
    failure::{Cause, Remedy, Setback},
    http, kafka, ops, registry,
    route::destinations,
    runtime::{CLIENT_ID, Instance, Setting, Supervisor, case_names},
    telemetry::Telemetry,
};
use crossbeam_channel::Receiver;
use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// How often a database that does not answer is asked for its migrations.
const MIGRATE_AGAIN: Duration = Duration::from_secs(1);

/// Signals within this time are one: `timeout` sends its own to the process and to the process's group.
const TOGETHER: Duration = Duration::from_millis(500);

/// What `run` was asked for.
#[derive(Debug, Default)]
pub struct Options {
    /// Only these routes; none: all.
    pub only: Vec<String>,
    pub migrate: bool,
    pub until_caught_up: bool,
    /// Run the collectors too.
    pub collectors: bool,
    pub drain: Duration,
    pub instance: Option<String>,
}

/// Carries the routes of a plan out until it is told to stop.
pub fn run(plan: Plan, options: &Options) -> Exit {
    let runtime = Runtime::new().expect("the operating system has threads and sockets for a runtime");
    let exit = carry_out(plan, options, &runtime).unwrap_or_else(|setback| {
        tell(&setback);
        Exit::Environment
    });
    // A delivery that was left behind may still be using it; the process's end ends both.
    std::mem::forget(runtime);
    exit
}

fn carry_out(plan: Plan, options: &Options, runtime: &Runtime) -> Result<Exit, Setback> {
    let plan = Arc::new(plan);
    let routes = match chosen(&plan, &options.only) {
        Ok(routes) => routes,
        Err(unknown) => {
            let names: Vec<&str> = plan.routes.iter().map(|r| r.name.as_str()).collect();
            tracing::error!(
                help = format!("routes are: {}", names.join(", ")),
                "--only {unknown}: there is no such route"
            );
            return Ok(Exit::Usage);
        }
    };
    if routes.is_empty() && (plan.collectors.is_empty() || !options.collectors) {
        let help = match plan.collectors.is_empty() {
            true => "write `[routes.NAME]` with topic, schema, destination and dlq",
            false => "write `[routes.NAME]`; `pointsman collect` runs the collectors alone",
        };
        tracing::error!(help, "the configuration has no routes");
        return Ok(Exit::Usage);
    }
    let signals = listen_for_signals(runtime);
    let Some(started) = start(&plan, &routes, options, runtime, &signals)? else { return Ok(Exit::Done) };
    let stop = started.supervisor.stopper();
    let (signal, signalled) = crossbeam_channel::unbounded();
    std::thread::spawn(move || {
        for () in signals {
            stop();
            // Without collectors nobody listens.
            let _ = signal.send(());
        }
    });
    // Collectors stop while the routes drain, and do not stop because routes have ended.
    let collecting = started.collectors.map(|collectors| {
        std::thread::spawn(move || {
            let _ = signalled.recv();
            collectors.stop();
        })
    });
    let standing = started.supervisor.wait();
    if let Some(collecting) = collecting {
        // One that panicked has said so on standard error.
        let _ = collecting.join();
    }
    for view in started.telemetry.board() {
        let (counts, warned) = (view.counts, view.rule_warnings.values().sum::<u64>());
        tracing::info!(
            route = view.name,
            delivered = counts.delivered,
            filtered = counts.filtered,
            dead_lettered = counts.dead_lettered,
            warned = (warned > 0).then_some(warned),
            "records in all"
        );
    }
    for (route, setback) in &standing {
        tracing::error!(route, help = setback.help, "stood at the end: {}", setback.message);
    }
    Ok(if standing.is_empty() { Exit::Done } else { Exit::Environment })
}

/// Routes under way, and the pages about them, which end with this value.
pub(super) struct Started {
    pub supervisor: Supervisor,
    pub telemetry: Arc<Telemetry>,
    /// Where the pages are: the beginning of their URLs.
    pub pages: Option<String>,
    collectors: Option<Collectors>,
    _pages: Option<Pages>,
    _instance: Instance,
}

/// Starts the pages and these routes, which are the plan's; nothing where a signal comes first.
pub(super) fn start(
    plan: &Arc<Plan>,
    routes: &[&Route],
    options: &Options,
    runtime: &Runtime,
    signals: &Receiver<()>,
) -> Result<Option<Started>, Setback> {
    let telemetry = Telemetry::new();
    let served = pages(plan, &telemetry, runtime)?;
    let chosen: Vec<&Collector> = plan.collectors.iter().filter(|_| options.collectors).collect();
    let registry = plan.registry.as_ref().map(registry::Client::new).transpose()?.map(Arc::new);
    let collectors = match &chosen[..] {
        [] => None,
        chosen => Some(collect::start(plan, registry.clone(), &telemetry, runtime, chosen)?),
    };
    if options.migrate && !migrate(plan, routes, runtime, &telemetry, signals)? {
        return Ok(None);
    }
    // Nothing else has a use for the name, nor for a folder that can be written.
    let transacts = |route: &&Route| {
        route.delivery == Delivery::ExactlyOnce && destinations(route).any(|d| matches!(d, Destination::Topic(_)))
    };
    let instance = match &options.instance {
        Some(name) => Instance::named(name),
        None if !routes.iter().any(transacts) => Instance::named(""),
        None => Instance::take(&plan.app).map_err(|e| {
            let message = format!("no lock file for this process's name: {e}");
            Setback::stand(Cause::Host, message, "give it a name: --instance NAME")
        })?,
    };
    let setting = Arc::new(Setting {
        kafka: kafka::Settings::new(&plan.kafka, CLIENT_ID),
        handle: runtime.handle().clone(),
        registry,
        telemetry: telemetry.clone(),
        instance: instance.name().to_owned(),
        until_caught_up: options.until_caught_up,
        drain: options.drain,
        memory: Arc::default(),
        plan: plan.clone(),
    });
    let supervisor = Supervisor::start(&setting, routes)?;
    let pages = served.as_ref().map(|p| p.url.clone());
    Ok(Some(Started { supervisor, telemetry, pages, collectors, _pages: served, _instance: instance }))
}

/// The pages of a process; they end with this value.
pub(super) struct Pages {
    url: String,
    _stop: watch::Sender<()>,
}

/// Serves the pages where `[http]` says.
pub(super) fn pages(plan: &Plan, telemetry: &Arc<Telemetry>, runtime: &Runtime) -> Result<Option<Pages>, Setback> {
    let Some(listen) = &plan.http else { return Ok(None) };
    let listener = runtime
        .block_on(http::bind(listen, "[http] listen"))
        .map_err(|e| Setback::stand(Cause::Host, e.message, e.help))?;
    let url = listener.url();
    tracing::info!(url, "pages: /metrics, /health, /ready");
    let (stop, mut stopped) = watch::channel(());
    runtime.spawn(listener.serve(ops::router(telemetry.clone()), async move {
        // The sender's end going away stops it too.
        let _ = stopped.changed().await;
    }));
    Ok(Some(Pages { url, _stop: stop }))
}

/// The routes that were asked for; the first name that no route has.
fn chosen<'p>(plan: &'p Plan, only: &[String]) -> Result<Vec<&'p Route>, String> {
    if let Some(unknown) = only.iter().find(|name| !plan.routes.iter().any(|r| r.name == **name)) {
        return Err(unknown.clone());
    }
    Ok(plan.routes.iter().filter(|r| only.is_empty() || only.contains(&r.name)).collect())
}

/// Applies the pending migrations of the databases that these routes write to; waits for those that do not answer yet,
/// and gives up at a signal: then it says no.
fn migrate(
    plan: &Plan,
    routes: &[&Route],
    runtime: &Runtime,
    telemetry: &Arc<Telemetry>,
    signals: &Receiver<()>,
) -> Result<bool, Setback> {
    let writes =
        |r: &Route, name: &str| destinations(r).any(|d| matches!(d, Destination::Table(t) if t.database == name));
    for database in plan.databases.values() {
        // Its routes wait with it, and say so.
        let waiting = routes.iter().filter(|r| writes(r, &database.name));
        let mut waiting: Vec<_> = waiting.map(|r| telemetry.route(&r.name, &case_names(r)).worker(0)).collect();
        if waiting.is_empty() {
            continue;
        }
        for worker in &waiting {
            worker.route().awaits(0, Some(&format!("database {}", database.name)));
        }
        for attempt in 1.. {
            let name = &database.name;
            let mut told = |migration| tracing::info!(database = name, "applied migration {migration}");
            match migrations::apply(runtime.handle(), database, &mut told) {
                Ok(()) => break,
                Err(setback) if setback.remedy == Remedy::Retry => {
                    waiting.iter_mut().for_each(|worker| worker.setback(&setback, attempt, MIGRATE_AGAIN));
                    if signals.recv_timeout(MIGRATE_AGAIN).is_ok() {
                        return Ok(false);
                    }
                }
                Err(setback) => return Err(setback),
            }
        }
    }
    Ok(true)
}

/// SIGTERM, SIGINT and SIGHUP, as they come: the first drains, a second one leaves at once, unless it comes with the
/// first.
pub(super) fn listen_for_signals(runtime: &Runtime) -> Receiver<()> {
    let (signalled, signals) = crossbeam_channel::unbounded();
    runtime.spawn(async move {
        let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
            tracing::warn!("signals cannot be listened for: stop this process with SIGKILL, it loses nothing");
            // Whoever waits for a signal waits on.
            return std::future::pending().await;
        };
        let mut hup = hangup_ends_us().then(|| signal(SignalKind::hangup()).ok()).flatten();
        let mut first: Option<Instant> = None;
        loop {
            let name = tokio::select! {
                _ = term.recv() => "SIGTERM",
                _ = int.recv() => "SIGINT",
                Some(()) = async { hup.as_mut()?.recv().await } => "SIGHUP",
            };
            let says = match first {
                None => "committing what is under way; a second one leaves at once",
                Some(at) if at.elapsed() < TOGETHER => continue,
                Some(_) => "leaving at once",
            };
            first.get_or_insert_with(Instant::now);
            tracing::info!("{name}: {says}");
            // Nobody listens any more where all has ended.
            let _ = signalled.send(());
        }
    });
    signals
}

/// Whether SIGHUP would end this process: not under `nohup`, which has it ignored, and listening would undo that. Where
/// it cannot be seen, the signal is left as it is.
fn hangup_ends_us() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // A mask in hexadecimal, SIGHUP its lowest bit.
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 0)
}

pub(super) fn tell(setback: &Setback) {
    tracing::error!(help = setback.help, "{}", setback.message);
}
