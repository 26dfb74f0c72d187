//! From a worker's thread into the runtime that sqlx lives in, and back, within a time.

use super::refusals::Refusal;
use std::{future::Future, time::Duration};
use tokio::{runtime::Handle, time::timeout};

/// The time a connection may take to stand.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// The time a statement may take. The server is told to give up earlier, so that it is not still at it when we are gone.
pub(super) const STATEMENT: Duration = Duration::from_secs(75);

#[derive(Clone, Debug)]
pub(super) struct Bridge {
    pub handle: Handle,
}

impl Bridge {
    /// Runs a future of sqlx to its end. One that is cut off leaves its connection unusable.
    pub fn wait<T>(&self, limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> Result<T, Refusal> {
        match self.handle.block_on(async { timeout(limit, work).await }) {
            Ok(result) => result.map_err(Refusal::from),
            Err(_) => Err(Refusal::environment(format!("no answer within {} s", limit.as_secs()))),
        }
    }
}
