//! The embedded registry: Confluent's REST API over a state in memory or in a file.
//!
//! ```text
//! request ─▶ api ─▶ change (decides) ─▶ Event ─▶ store (synced) ─▶ state (applied) ─▶ answer
//! ```

mod api;
mod change;
mod compat;
mod problem;
mod settings;
mod state;
mod store;
mod text;

pub use api::router;
pub use store::StoreError;

use self::{
    problem::Problem,
    state::{Event, State},
    store::Store,
};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// A registry; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    store: Option<Store>,
}

impl Registry {
    /// A registry that ends with its process.
    pub fn in_memory() -> Registry {
        Registry::default()
    }

    /// A registry whose state is in a file, which is made if it is not there. Two processes cannot share one.
    ///
    /// # Errors
    /// The file cannot be read, written or locked, or holds something else.
    pub fn open(path: &Path) -> Result<Registry, StoreError> {
        let (store, events) = Store::open(path)?;
        let mut state = State::default();
        for event in events {
            state.apply(event);
        }
        Ok(Registry { inner: Arc::new(Mutex::new(Inner { state, store: Some(store) })) })
    }

    /// Reads under the lock.
    fn read<T>(&self, f: impl FnOnce(&State) -> Result<T, Problem>) -> Result<T, Problem> {
        f(&self.inner.lock().unwrap_or_else(PoisonError::into_inner).state)
    }

    /// Decides on a change under the lock, and makes it: in the file first, so that what is answered stands.
    fn change<T>(&self, f: impl FnOnce(&State) -> Result<(T, Option<Event>), Problem>) -> Result<T, Problem> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, event) = f(&inner.state)?;
        if let Some(event) = event {
            if let Some(store) = &mut inner.store {
                store.append(&event).map_err(Problem::store)?;
            }
            inner.state.apply(event);
        }
        Ok(answer)
    }
}
