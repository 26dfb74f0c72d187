//! One process and, within it, one transaction at a time for each SQLite file.
//!
//! SQLite has a single writer anyway. Taking turns here instead of waiting for its lock keeps the order fair and the
//! reason plain; the lock file keeps two processes from waiting for each other without a word.

use super::super::refusals::Refusal;
use std::{
    collections::HashMap,
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, LazyLock, Mutex, PoisonError, Weak},
    time::Duration,
};

/// How long a transaction waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

static WRITERS: LazyLock<Mutex<HashMap<PathBuf, Weak<Writer>>>> = LazyLock::new(Mutex::default);

/// The right of this process to write to a file; kept as long as anyone holds it.
#[derive(Debug)]
pub(super) struct Writer {
    busy: Mutex<bool>,
    freed: Condvar,
    _lock: File,
}

/// The right to have a transaction; given back when dropped.
#[derive(Debug)]
pub(in super::super) struct Turn(Arc<Writer>);

impl Writer {
    /// The writer of this database file, which need not exist yet; its folder is made.
    pub fn of(database: &Path) -> Result<Arc<Writer>, Refusal> {
        let folder = database.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)
            .map_err(|e| Refusal::file(format_args!("cannot make {}", folder.display()), &e))?;
        let folder =
            folder.canonicalize().map_err(|e| Refusal::file(format_args!("cannot reach {}", folder.display()), &e))?;
        let path = folder.join(database.file_name().unwrap_or_default());
        let mut writers = WRITERS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writers.get(&path).and_then(Weak::upgrade) {
            return Ok(writer);
        }
        let mut lock_path = path.clone().into_os_string();
        lock_path.push(".pointsman-lock");
        let writer =
            Arc::new(Writer { busy: Mutex::new(false), freed: Condvar::new(), _lock: lock(&lock_path.into())? });
        writers.insert(path, Arc::downgrade(&writer));
        Ok(writer)
    }

    /// Waits for the turn.
    pub fn turn(self: &Arc<Self>) -> Result<Turn, Refusal> {
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.freed.wait_timeout_while(busy, PATIENCE, |busy| *busy);
        let (mut busy, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            let seconds = PATIENCE.as_secs();
            return Err(Refusal::environment(format!("another transaction of this process held it for {seconds} s")));
        }
        *busy = true;
        Ok(Turn(self.clone()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.freed.notify_one();
    }
}

/// Takes the lock file, and writes this process' id into it for whoever comes next.
fn lock(path: &PathBuf) -> Result<File, Refusal> {
    let trouble = |e: std::io::Error| Refusal::file(format_args!("lock file {}", path.display()), &e);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(trouble)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(e)) => return Err(trouble(e)),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            return Err(Refusal::environment(format!(
                "another Pointsman (process {}) writes to it and holds {}; one process writes to a SQLite database, \
                 end the other one or use Postgres",
                holder.trim(),
                path.display()
            )));
        }
    }
    // The id is for the message alone: a lock without it is as good.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}
