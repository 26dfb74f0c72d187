//! Workers: flow (a pure state machine), the worker and deliverer threads, fetches, the breaker, the supervisor.

mod breaker;
mod deliverer;
mod fetch;
mod flow;
#[cfg(test)]
mod flow_tests;
mod hand;
mod instance;
mod lookout;
mod open;
mod post;
mod supervisor;
mod worker;

pub use instance::Instance;
pub use open::CLIENT_ID;
pub use post::case_names;
pub use supervisor::{Setting, Standing, Supervisor};
