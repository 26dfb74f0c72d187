//! This process's name among those that share the routes' work: part of its transactional ids.
//!
//! A restarted process must find its old name, so that it fences what it left behind at once; two processes on one host
//! must not share one, or they fence each other. So the name is the host's and the lowest number nobody else
//! with the same temporary folder holds.

use std::{
    env, fs,
    fs::{File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

/// A held name; dropped, the number is free again. A killed process frees its number too: the lock is the kernel's.
#[derive(Debug)]
pub struct Instance {
    name: String,
    _lock: Option<Lock>,
}

#[derive(Debug)]
struct Lock {
    path: PathBuf,
    /// Closed after the path is removed: whoever opened the file before finds that it is not the path's any more.
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Left behind, it does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// Processes of one application on one host.
const NUMBERS: u32 = 1_000;

impl Instance {
    /// A name that somebody chose, who sees to it that no other process has it.
    pub fn named(name: &str) -> Instance {
        Instance { name: name.to_owned(), _lock: None }
    }

    /// Takes the lowest free number of this application on this host.
    ///
    /// # Errors
    /// The temporary folder cannot be written; it names the file.
    pub fn take(app: &str) -> io::Result<Instance> {
        let folder = env::temp_dir();
        for number in 0..NUMBERS {
            let path = lock_path(&folder, app, number);
            let told = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
            if let Some(lock) = lock(path.clone()).map_err(told)? {
                return Ok(Instance { name: format!("{}-{number}", host()), _lock: Some(lock) });
            }
        }
        Err(io::Error::other(format!("{NUMBERS} processes of {app} hold their lock files in {}", folder.display())))
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Locks the file at this path; `None` where somebody else has.
fn lock(path: PathBuf) -> io::Result<Option<Lock>> {
    loop {
        let file = match File::options().create(true).truncate(false).write(true).open(&path) {
            Ok(file) => file,
            // Another user's, who may hold it.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && path.exists() => return Ok(None),
            Err(e) => return Err(e),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e),
        }
        // Its last holder may have removed it between our opening and our locking: then another one has its name.
        let ours = file.metadata()?;
        match fs::metadata(&path) {
            Ok(named) if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) => {
                return Ok(Some(Lock { path, _file: file }));
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
}

fn lock_path(folder: &std::path::Path, app: &str, number: u32) -> PathBuf {
    let app: String = app.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    folder.join(format!("pointsman-{app}-{number}.lock"))
}

/// As the kernel has it, which every system tells in the same way.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_begins_with_the_hosts_whatever_variables_and_files_say() {
        let told = std::process::Command::new("uname").arg("-n").output().unwrap();
        let host = String::from_utf8(told.stdout).unwrap();
        assert_eq!(super::host(), host.trim());
    }

    #[test]
    fn two_processes_never_share_a_name_and_a_successor_finds_its_predecessors() {
        let app = format!("test-{}", std::process::id());
        let first = Instance::take(&app).unwrap();
        let second = Instance::take(&app).unwrap();
        assert_ne!(first.name(), second.name());
        let name = first.name().to_owned();
        drop(first);
        assert_eq!(Instance::take(&app).unwrap().name(), name);
        drop(second);
        for number in 0..3 {
            let path = lock_path(&env::temp_dir(), &app, number);
            assert!(!path.exists(), "{} is left behind", path.display());
        }
    }

    #[test]
    fn a_number_whose_lock_file_is_anothers_is_passed_over() {
        let app = format!("test-{}-foreign", std::process::id());
        let foreign = lock_path(&env::temp_dir(), &app, 0);
        // Nobody may open this one for writing, not even root.
        std::os::unix::fs::symlink("/proc/sys/kernel/osrelease", &foreign).unwrap();
        let taken = Instance::take(&app);
        fs::remove_file(&foreign).unwrap();
        assert_eq!(taken.unwrap().name(), format!("{}-1", host()));
    }

    #[test]
    fn an_error_names_the_lock_file() {
        let app = format!("test-{}-folder", std::process::id());
        let path = lock_path(&env::temp_dir(), &app, 0);
        fs::create_dir(&path).unwrap();
        let taken = Instance::take(&app);
        fs::remove_dir(&path).unwrap();
        let said = taken.unwrap_err().to_string();
        assert!(said.starts_with(&path.display().to_string()), "{said}");
    }
}
