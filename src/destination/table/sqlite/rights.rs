//! Whether this user may write to a database, seen without a change to it.

use super::{super::refusals::Refusal, options};
use crate::config::Database;
use rustix::{
    fs::{Access, access},
    io::Errno,
};
use std::{fs, path::Path};

/// What is kept beside the file: SQLite's log and its index, and our lock.
const BESIDE: [&str; 3] = ["-wal", "-shm", ".pointsman-lock"];

/// Why nobody can write rows as this user; `None` where nothing is in the way. What is missing is made, so that its folder
/// has to let it.
pub(in super::super) fn barred(database: &Database) -> Result<Option<String>, Refusal> {
    let options = options(database)?;
    let file = options.get_filename();
    let folders = file.parent().into_iter().flat_map(Path::ancestors);
    // One that cannot be looked at is there.
    let folder = folders.take_while(|f| *f != Path::new("")).find(|f| !matches!(f.try_exists(), Ok(false)));
    let folder = folder.unwrap_or(Path::new("."));
    if fs::metadata(folder).is_ok_and(|found| !found.is_dir()) {
        return Ok(Some(format!("nothing can be made in {}: it is no folder", folder.display())));
    }
    if let Err(why) = access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        return Ok(Some(format!("nothing can be made in {}: {why}", folder.display())));
    }
    for end in [""].iter().chain(&BESIDE) {
        let mut path = file.as_os_str().to_owned();
        path.push(end);
        match access(&path, Access::READ_OK | Access::WRITE_OK) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(why) => return Ok(Some(format!("nothing can be written to {}: {why}", Path::new(&path).display()))),
        }
    }
    Ok(None)
}
