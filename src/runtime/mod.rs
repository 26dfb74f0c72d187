//! Workers: flow (a pure state machine), the worker and deliverer threads, fetches, the breaker, the supervisor.

mod breaker;
mod deliverer;
mod fetch;
mod flow;
#[cfg(test)]
mod flow_tests;
mod instance;
mod open;
mod supervisor;
mod worker;

pub use instance::Instance;
pub use open::CLIENT_ID;
pub use supervisor::{Setting, Standing, Supervisor, case_names};
