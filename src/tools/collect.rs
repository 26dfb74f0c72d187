//! `collect`: collectors without routes.

use super::{
    Exit,
    run::{listen_for_signals, pages, tell},
};
use crate::{
    collect::{Collectors, Setting},
    config::{Collector, Plan},
    failure::Setback,
    registry,
    runtime::CLIENT_ID,
    telemetry::Telemetry,
};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Takes events in until it is told to stop; `names` are those asked for, none: all.
pub fn run(plan: Plan, names: &[String]) -> Exit {
    let runtime = Runtime::new().expect("the operating system has threads and sockets for a runtime");
    carry_out(&Arc::new(plan), names, &runtime).unwrap_or_else(|setback| {
        tell(&setback);
        Exit::Environment
    })
}

fn carry_out(plan: &Arc<Plan>, names: &[String], runtime: &Runtime) -> Result<Exit, Setback> {
    if plan.collectors.is_empty() {
        let help = "write `[collectors.NAME]` with listen, topic and validator";
        tracing::error!(help, "the configuration has no collectors");
        return Ok(Exit::Usage);
    }
    let known = || plan.collectors.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = names.iter().find(|name| !plan.collectors.iter().any(|c| c.name == **name)) {
        tracing::error!(help = format!("collectors are: {}", known()), "there is no collector {unknown}");
        return Ok(Exit::Usage);
    }
    let chosen: Vec<&Collector> =
        plan.collectors.iter().filter(|c| names.is_empty() || names.contains(&c.name)).collect();
    let signals = listen_for_signals(runtime);
    let telemetry = Telemetry::new();
    let _pages = pages(plan, &telemetry, runtime)?;
    let registry = plan.registry.as_ref().map(registry::Client::new).transpose()?.map(Arc::new);
    let collectors = start(plan, registry, &telemetry, runtime, &chosen)?;
    // The channel stays open as long as the runtime lives.
    let _ = signals.recv();
    collectors.stop();
    Ok(Exit::Done)
}

/// Starts these collectors, which are the plan's.
pub(super) fn start(
    plan: &Arc<Plan>,
    registry: Option<Arc<registry::Client>>,
    telemetry: &Arc<Telemetry>,
    runtime: &Runtime,
    chosen: &[&Collector],
) -> Result<Collectors, Setback> {
    let setting = Setting {
        plan: plan.clone(),
        client_id: CLIENT_ID.to_owned(),
        registry,
        telemetry: telemetry.clone(),
        handle: runtime.handle().clone(),
    };
    Collectors::start(&setting, chosen)
}
