//! Records for the five jobs of the shipped routes.toml, some of them bad in known ways.
//!
//! What has to become of each is known by how it was made, not by asking the route, as the streams beside this do: so the
//! demo and the tests of the jobs can hold the routes against it. The same recipe always gives the same records.

mod clickstream;
mod draft;
mod orders;
mod sales;
mod shop;
mod states;

use super::Chance;
use crate::failure::Stage;

/// A job of the shipped routes.toml.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// JSON events of a shop's visitors, in sessions.
    Shop,
    /// JSON rows of a store's clickstream.
    Analytics,
    /// Avro orders, each changing its status over some records.
    Orders,
    /// JSON opportunities and projects, and what is neither.
    Sales,
    /// JSON states of jobs.
    States,
}

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    pub seed: u64,
    pub count: usize,
    /// Records that are to fail, among all: 0 to 1.
    pub invalid_share: f64,
    /// The id under which the registry knows [`Job::schema`]; jobs whose records are JSON ignore it.
    pub schema_id: u32,
}

/// A record to produce, and what has to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    pub topic: &'static str,
    pub key: Vec<u8>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(&'static str, String)>,
    pub expect: Expect,
}

/// The outcome that a record's route owes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Expect {
    /// By this case; without cases the name is empty.
    Delivered {
        case: &'static str,
    },
    Filtered,
    /// No case takes it: it goes to `otherwise`.
    Apart,
    /// A dead letter with this code: one of [`crate::failure::CODES`] or a rule's name.
    Dead {
        stage: Stage,
        code: &'static str,
    },
}

impl Job {
    pub const ALL: [Job; 5] = [Job::Shop, Job::Analytics, Job::Orders, Job::Sales, Job::States];

    /// The topic that takes the records.
    pub const fn topic(self) -> &'static str {
        match self {
            Job::Shop => "raw-events",
            Job::Analytics => "ecommerce_events_raw",
            Job::Orders => "orders",
            Job::Sales => "sales_events",
            Job::States => "jobs",
        }
    }

    /// The route whose outcomes the records expect.
    pub const fn route(self) -> &'static str {
        match self {
            Job::Shop => "processed-events",
            Job::Analytics => "enriched-events",
            Job::Orders => "stored-orders",
            Job::Sales => "sales",
            Job::States => "job-states",
        }
    }

    /// The full name of the records' schema, where they are Avro.
    pub const fn schema(self) -> Option<&'static str> {
        match self {
            Job::Orders => Some("shop.Order"),
            Job::Shop | Job::Analytics | Job::Sales | Job::States => None,
        }
    }

    /// The records of a recipe.
    pub fn records(self, recipe: &Recipe) -> Box<dyn Iterator<Item = Generated> + Send> {
        let Recipe { seed, count, invalid_share, schema_id } = *recipe;
        let mut chance = Chance::new(seed);
        let bad = move |chance: &mut Chance| chance.share(invalid_share);
        match self {
            Job::Shop => {
                let mut visitors = shop::Visitors::default();
                Box::new((0..count).map(move |_| visitors.next(&mut chance, bad)))
            }
            Job::Analytics => Box::new((0..count).map(move |i| clickstream::next(&mut chance, i, bad))),
            Job::Orders => {
                let mut desk = orders::Desk::new(schema_id);
                Box::new((0..count).map(move |_| desk.next(&mut chance, bad)))
            }
            Job::Sales => Box::new((0..count).map(move |i| sales::next(&mut chance, i, bad))),
            Job::States => Box::new((0..count).map(move |i| states::next(&mut chance, i, bad))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::{JsonOptions, JsonReader, Layout},
        schema::{Catalog, Schema},
    };
    use std::{collections::HashMap, path::Path, sync::Arc};

    fn recipe(invalid_share: f64) -> Recipe {
        Recipe { seed: 7, count: 4_000, invalid_share, schema_id: 1 }
    }

    #[test]
    fn the_same_recipe_gives_the_same_records() {
        for job in Job::ALL {
            let [one, other]: [Vec<_>; 2] = [job.records(&recipe(0.1)).collect(), job.records(&recipe(0.1)).collect()];
            assert_eq!(one, other, "{job:?}");
            let seed = Recipe { seed: 8, ..recipe(0.1) };
            assert_ne!(one, job.records(&seed).collect::<Vec<_>>(), "{job:?}");
        }
    }

    #[test]
    fn the_share_of_bad_records_is_the_recipes() {
        for job in Job::ALL {
            let dead = |share| job.records(&recipe(share)).filter(|r| matches!(r.expect, Expect::Dead { .. })).count();
            assert_eq!(dead(0.0), 0, "{job:?}");
            assert_eq!(dead(1.0), 4_000, "{job:?}");
            assert!((300..500).contains(&dead(0.1)), "{job:?}: {}", dead(0.1));
        }
    }

    #[test]
    fn failures_that_are_no_rules_are_documented_codes() {
        for job in Job::ALL {
            let mut seen: HashMap<Expect, usize> = HashMap::new();
            job.records(&recipe(0.3)).for_each(|r| *seen.entry(r.expect).or_default() += 1);
            for (expect, count) in seen {
                let Expect::Dead { stage, code } = expect else { continue };
                let documented = crate::failure::CODES.iter().any(|c| c.stage == stage && c.code == code);
                assert!(documented || stage == Stage::Validate, "{job:?}: {stage}/{code}");
                assert!(count > 20, "{job:?}: {stage}/{code} only {count} times");
            }
        }
    }

    #[test]
    fn records_fit_the_shipped_schemas_or_fail_to_decode_as_they_say() {
        let (catalog, problems) = Catalog::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas"));
        assert!(problems.is_empty(), "{problems:?}");
        for job in Job::ALL {
            for record in job.records(&recipe(0.3)) {
                let (Some(value), Some(name)) = (&record.value, schema_of(job, &record)) else { continue };
                let schema = catalog.get(name).unwrap();
                let found = match job {
                    Job::Orders => scan(&schema, value.get(5..).unwrap_or_default()),
                    _ => JsonReader::compile(&schema, JsonOptions::default()).read(value, &mut Vec::new()).map(drop),
                };
                match record.expect {
                    Expect::Dead { stage: stage @ Stage::Decode, code } => {
                        let failure = found.expect_err(code);
                        assert_eq!((failure.stage, &*failure.code), (stage, code), "{job:?}: {failure}");
                    }
                    Expect::Dead { stage: Stage::Frame, .. } => {}
                    _ => assert_eq!(found, Ok(()), "{job:?}: {}", String::from_utf8_lossy(value)),
                }
            }
        }
    }

    fn schema_of(job: Job, record: &Generated) -> Option<&'static str> {
        match (job, record.expect) {
            (_, Expect::Filtered | Expect::Apart) => None,
            (Job::Shop, _) => Some("shop.Event"),
            (Job::Analytics, _) => Some("shop.StoreEvent"),
            (Job::Orders, _) => Some("shop.Order"),
            (Job::Sales, _) if String::from_utf8_lossy(record.value.as_deref()?).contains("\"stage\"") => {
                Some("sales.Opportunity")
            }
            (Job::Sales, _) => Some("sales.Project"),
            (Job::States, _) => Some("jobs.Job"),
        }
    }

    fn scan(schema: &Arc<Schema>, body: &[u8]) -> Result<(), crate::failure::Failure> {
        let scanner = Layout::new(schema.clone(), schema.root()).build();
        scanner.scan(body, &mut vec![0; scanner.slots()])
    }
}
