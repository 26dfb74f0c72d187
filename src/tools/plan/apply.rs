//! Carrying a report's steps out. Each step is safe to repeat: what was cut off half-way is done by the next run.

use super::{Change, Item, Part, Report, tables, topics::DEADLINE};
use crate::{
    config::{Database, Plan},
    destination::table::{migrations, own},
    failure::{Cause, Remedy, Setback},
    kafka::{Cluster, Code, Connection, Fault, NewTopic, Settings},
    registry::{Client, RegisterError},
    runtime::CLIENT_ID,
    tools::Exit,
};
use std::{
    io, thread,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// Carries the steps out, the parts in their order; a step that fails ends its item, and the others go on. Each step is
/// told when it has ended, by its item and its number there.
///
/// # Errors
/// The operating system has no threads for it.
pub fn apply(plan: &Plan, report: &mut Report, told: &mut dyn FnMut(&Item, usize)) -> io::Result<Exit> {
    let runtime = Runtime::new()?;
    for item in report.items.iter_mut().filter(|i| !i.steps.is_empty()) {
        match item.part {
            Part::Topics => topic(plan, item, told),
            Part::Schemas => subject(plan, item, &runtime, told),
            Part::Tables => database(plan, item, &runtime, told),
        }
    }
    Ok(report.items.iter().map(exit).max().unwrap_or(Exit::Done))
}

fn exit(item: &Item) -> Exit {
    let failed = item.steps.iter().filter_map(|s| s.outcome.as_ref()?.as_ref().err());
    let of_steps = failed.map(|setback| match setback.remedy {
        Remedy::Stand => Exit::Findings,
        Remedy::Retry => Exit::Environment,
    });
    let found = if item.problems.is_empty() { Exit::Done } else { Exit::Findings };
    let unseen = if item.unreachable.is_none() { Exit::Done } else { Exit::Environment };
    of_steps.max().unwrap_or(Exit::Done).max(found).max(unseen)
}

/// Carries an item's steps out one after another, up to the first that fails; those that are done already stay so.
fn each(
    item: &mut Item,
    told: &mut dyn FnMut(&Item, usize),
    carry_out: &mut dyn FnMut(&str, &Change) -> Result<(), Setback>,
) {
    for i in 0..item.steps.len() {
        if item.steps[i].outcome.is_some() {
            continue;
        }
        let outcome = carry_out(&item.name, &item.steps[i].change);
        let failed = outcome.is_err();
        item.steps[i].outcome = Some(outcome);
        told(item, i);
        if failed {
            return;
        }
    }
}

fn topic(plan: &Plan, item: &mut Item, told: &mut dyn FnMut(&Item, usize)) {
    let settings = Settings::new(&plan.kafka, CLIENT_ID);
    let mut connection = None;
    each(item, told, &mut |name, change| {
        let connection = match &connection {
            Some(connection) => connection,
            None => connection.insert(Connection::new(&settings)?),
        };
        let cluster = connection.cluster(DEADLINE);
        match change {
            Change::CreateTopic { partitions, replication, config } => {
                let new = NewTopic { name, partitions: *partitions, replication: *replication, config };
                match cluster.create_topic(&new) {
                    // By another `apply`, or by this one: an answer that was lost is asked for again.
                    Err(fault) if fault.code == Code::TopicAlreadyExists => {}
                    made => made?,
                }
                seen(&cluster, name, partitions.unwrap_or(1))?;
            }
            Change::WidenTopic { partitions } => {
                match cluster.widen_topic(name, *partitions) {
                    // By another `apply`, or by this one: an answer that was lost is asked for again.
                    Err(fault) if fault.code == Code::InvalidPartitions => {
                        if !seen(&cluster, name, *partitions)? {
                            return Err(fault.into());
                        }
                    }
                    widened => {
                        widened?;
                        seen(&cluster, name, *partitions)?;
                    }
                }
            }
            Change::SetTopic { settings } => cluster.alter_topic(name, settings)?,
            Change::Register { .. } | Change::Migrate { .. } | Change::MakeTable { .. } => {}
        }
        Ok(())
    });
}

/// Waits until the brokers know what the controller has made: who looks next should find it. Whether they do.
fn seen(cluster: &Cluster<'_>, topic: &str, partitions: i32) -> Result<bool, Fault> {
    let begun = Instant::now();
    while begun.elapsed() < DEADLINE {
        if cluster.topics(&[topic])?.get(topic).is_some_and(|t| t.partitions >= partitions) {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(false)
}

fn subject(plan: &Plan, item: &mut Item, runtime: &Runtime, told: &mut dyn FnMut(&Item, usize)) {
    each(item, told, &mut |name, change| {
        let (Some(settings), Change::Register { text }) = (&plan.registry, change) else { return Ok(()) };
        let client = Client::new(settings)?;
        runtime.block_on(client.register(name, text)).map(|_| ()).map_err(|refused| match refused {
            RegisterError::Setback(setback) => setback,
            refused => Setback::stand(Cause::Registry, refused.to_string(), ""),
        })
    });
}

fn database(plan: &Plan, item: &mut Item, runtime: &Runtime, told: &mut dyn FnMut(&Item, usize)) {
    let Some(database) = plan.databases.get(&item.name) else { return };
    if !migrate(database, item, runtime, told) {
        return;
    }
    let handle = runtime.handle();
    each(item, told, &mut |_, change| match change {
        Change::MakeTable { table } => own::make(handle, database, table),
        _ => Ok(()),
    });
    // Only now can be told whether the tables are as the routes need them.
    let after = tables::item(plan, database, runtime);
    item.problems.extend(after.problems);
    item.unreachable = after.unreachable;
}

/// All pending migrations, under one lock; whether they stand.
fn migrate(database: &Database, item: &mut Item, runtime: &Runtime, told: &mut dyn FnMut(&Item, usize)) -> bool {
    let version = |item: &Item, i: usize| match item.steps[i].change {
        Change::Migrate { version } => Some(version),
        _ => None,
    };
    if version(item, 0).is_none() {
        return true;
    }
    let applied = migrations::apply(runtime.handle(), database, &mut |migration| {
        let step = (0..item.steps.len()).find(|i| version(item, *i) == Some(migration.version));
        if let Some(i) = step {
            item.steps[i].outcome = Some(Ok(()));
            told(item, i);
        }
    });
    let Err(setback) = applied else {
        // Those that another process was quicker with are applied too.
        for i in (0..item.steps.len()).filter(|i| version(item, *i).is_some()).collect::<Vec<_>>() {
            item.steps[i].outcome.get_or_insert(Ok(()));
        }
        return true;
    };
    // The first that is not applied is the one that failed, or stood next when the database went away.
    if let Some(i) = (0..item.steps.len()).find(|i| item.steps[*i].outcome.is_none()) {
        item.steps[i].outcome = Some(Err(setback));
        told(item, i);
    }
    false
}
