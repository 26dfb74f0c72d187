//! The file behind a registry: one event a line, appended and synced before it counts.
//!
//! A line that was being written when the machine stopped is cut off at the next start; whatever was answered stands.

use super::state::Event;
use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// The first line of the file.
const HEADER: &str = r#"{"format":"pointsman-registry","version":1}"#;

/// Why a file cannot hold a registry.
#[derive(Debug)]
pub struct StoreError {
    pub message: String,
    pub help: String,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.help)
    }
}

impl std::error::Error for StoreError {}

#[derive(Debug)]
pub(super) struct Store {
    file: File,
    /// Up to here the file is whole.
    end: u64,
}

impl Store {
    /// Opens the file, or begins it, and takes its lock for as long as the store lives; with the events in it.
    pub(super) fn open(path: &Path) -> Result<(Store, Vec<Event>), StoreError> {
        let failed = |what: &str, e: &dyn fmt::Display| StoreError {
            message: format!("the registry's file {} {what}: {e}", path.display()),
            help: "set --store to a file in a folder that this user may write to".into(),
        };
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| failed("has no folder", &e))?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(|e| failed("cannot be opened", &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError {
                    message: format!("the registry's file {} is in use by another process", path.display()),
                    help: "end that registry, or set --store to another file".into(),
                });
            }
            Err(TryLockError::Error(e)) => return Err(failed("cannot be locked", &e)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|e| failed("cannot be read", &e))?;
        let (events, whole) = read(&bytes).map_err(|(line, e)| StoreError {
            message: format!(
                "line {line} of the registry's file {} is not what was written there: {e}",
                path.display()
            ),
            help: "bring the file back from a copy, or set --store to another one".into(),
        })?;
        let mut store = Store { file, end: whole };
        store.begin(path).map_err(|e| failed("cannot be written", &e))?;
        Ok((store, events))
    }

    /// Cuts a torn line off; writes the header of a new file, and makes sure that the file will be found again.
    fn begin(&mut self, path: &Path) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.seek(SeekFrom::Start(self.end))?;
        if self.end == 0 {
            self.write(format!("{HEADER}\n").as_bytes())?;
            let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).map_or(PathBuf::from("."), PathBuf::from);
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Appends an event; once this returns it stands. After an error the file is as it was.
    pub(super) fn append(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.write(&line)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.end += bytes.len() as u64;
                Ok(())
            }
            Err(e) => {
                self.file.set_len(self.end)?;
                self.file.seek(SeekFrom::Start(self.end))?;
                Err(e)
            }
        }
    }
}

/// The events in a file, and where its last whole line ends. An error has the number of its line.
fn read(bytes: &[u8]) -> Result<(Vec<Event>, u64), (usize, String)> {
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let mut events = Vec::new();
    let mut lines = bytes[..whole].split(|b| *b == b'\n').filter(|l| !l.is_empty()).enumerate();
    match lines.next() {
        None if whole == bytes.len() || HEADER.as_bytes().starts_with(bytes) => return Ok((events, 0)),
        Some((_, first)) if first == HEADER.as_bytes() => {}
        _ => return Err((1, format!("expected {HEADER}"))),
    }
    for (i, line) in lines {
        events.push(serde_json::from_slice(line).map_err(|e| (i + 1, e.to_string()))?);
    }
    Ok((events, whole as u64))
}
