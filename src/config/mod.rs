//! routes.toml: text → values with spans → [`Plan`], with every problem at its place.
//!
//! Whoever holds a [`Plan`] need not check anything again: names resolve, types fit, one route has one transaction domain.

mod problem;
mod document;
mod context;
mod interpolate;
mod keys;
mod section;
mod files;
mod plan;
mod address;
mod settings;
mod properties;
mod schemas;
mod expressions;
mod validators;
mod enrichers;
mod paths;
mod fit;
mod unions;
mod columns;
mod table;
mod topic;
mod destinations;
mod apart;
mod lanes;
mod loops;
mod between;
mod routes;
mod collectors;
mod load;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod diagnostics;

pub use collectors::{Collector, CollectorLimits, bearer_tokens};
pub use context::Options;
pub use load::{Loaded, load};
pub use plan::*;
pub use problem::{Place, Problem, Severity, Source, Sources};
pub use properties::{Clients, Properties, Property, Refusal};
pub use settings::{TOPIC_NAME, is_topic_name};
