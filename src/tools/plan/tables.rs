//! Databases: pending migrations, Pointsman's own tables, and tables that do not take what the routes write.

use super::{Change, Finding, Item, Part};
use crate::{
    config::{Database, Destination, Dlq, Plan, TableName},
    destination::table::own::{self, Needs, Survey},
    route::destinations,
};
use std::collections::BTreeSet;
use tokio::runtime::Runtime;

pub(super) fn look(plan: &Plan, runtime: &Runtime) -> Vec<Item> {
    plan.databases.values().map(|database| item(plan, database, runtime)).collect()
}

/// What the routes need of a database.
fn needs<'p>(plan: &'p Plan, database: &Database) -> Needs<'p> {
    let mut needs = Needs::default();
    let mut letters: BTreeSet<&TableName> = BTreeSet::new();
    for route in &plan.routes {
        needs.destinations.extend(destinations(route).filter_map(|d| match d {
            Destination::Table(t) if t.database == database.name => Some(t),
            _ => None,
        }));
        letters.extend([Some(&route.dlq), route.otherwise.place()].into_iter().flatten().filter_map(
            |place| match place {
                Dlq::Table { database: at, table } if *at == database.name => Some(table),
                _ => None,
            },
        ));
    }
    needs.letters = letters.into_iter().collect();
    needs
}

pub(super) fn item(plan: &Plan, database: &Database, runtime: &Runtime) -> Item {
    let mut item = Item::new(Part::Tables, &database.name);
    match own::survey(runtime.handle(), database, &needs(plan, database)) {
        Ok(survey) => take(&mut item, database, survey),
        Err(setback) => item.set_back("migrations", setback),
    }
    item
}

fn take(item: &mut Item, database: &Database, survey: Survey) {
    item.state = if database.is_sqlite() { "SQLite" } else { "Postgres" }.to_owned();
    for migration in survey.pending {
        item.step(format!("apply migration {migration}"), Change::Migrate { version: migration.version });
    }
    // Pointsman's own, and those of dead letters.
    for table in survey.lacking {
        item.step(format!("make table {table}"), Change::MakeTable { table });
    }
    for setback in survey.unfit {
        let finding = Finding::new("table-unfit", setback.message, setback.help);
        // Several routes may write to one table.
        if !item.problems.contains(&finding) {
            item.problems.push(finding);
        }
    }
    if let Some(setback) = survey.barred {
        item.problems.push(Finding::new("no-permission", setback.message, setback.help));
    }
}
