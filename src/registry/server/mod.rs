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
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A registry; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// What every reader sees. It is replaced whole, so that no reader waits for a change: neither for the disk nor for
    /// the check of a large schema.
    state: Mutex<Arc<State>>,
    /// Held by whoever changes something, from its decision until the change is seen.
    changing: Mutex<Option<Store>>,
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
        let inner = Inner { state: Mutex::new(Arc::new(state)), changing: Mutex::new(Some(store)) };
        Ok(Registry { inner: Arc::new(inner) })
    }

    fn read<T>(&self, f: impl FnOnce(&State) -> Result<T, Problem>) -> Result<T, Problem> {
        let state = lock(&self.inner.state).clone();
        f(&state)
    }

    /// Decides on a change, and makes it: in the file first, so that what is answered stands.
    fn change<T>(&self, f: impl FnOnce(&State) -> Result<(T, Option<Event>), Problem>) -> Result<T, Problem> {
        let mut store = lock(&self.inner.changing);
        let mut state = lock(&self.inner.state).clone();
        let (answer, event) = f(&state)?;
        if let Some(event) = event {
            if let Some(store) = &mut *store {
                store.append(&event).map_err(Problem::store)?;
            }
            Arc::make_mut(&mut state).apply(event);
            *lock(&self.inner.state) = state;
        }
        Ok(answer)
    }
}

/// Nothing is left half changed by a thread that panics: the state is replaced as a whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
