//! routes.toml: text → values with spans → [`Plan`], with every problem at its place.
//!
//! Whoever holds a [`Plan`] need not check anything again: names resolve, types fit, one route has one transaction domain.

mod plan;

pub use plan::*;
