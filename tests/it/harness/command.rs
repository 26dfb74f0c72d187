//! The real command in a folder of a test's own.

use super::{bootstrap_servers, unique};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A folder with a routes.toml and what belongs to it; removed at the end.
pub struct Project {
    pub folder: PathBuf,
    variables: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Finished {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A command that runs; killed when it goes out of scope.
pub struct Running {
    child: Child,
    /// What it writes: two files, so that it never waits for a reader.
    stdout: PathBuf,
    stderr: PathBuf,
}

/// How a routes.toml begins, up to `[kafka]`'s servers.
pub fn head(app: &str) -> String {
    format!("version = 1\napp = \"{app}\"\n[kafka]\nbootstrap_servers = \"{}\"\n", bootstrap_servers())
}

impl Project {
    pub fn new(routes: &str) -> Project {
        let folder = std::env::temp_dir().join(unique("pointsman_project"));
        fs::create_dir(&folder).unwrap();
        Project { folder, variables: Vec::new() }.file("routes.toml", routes)
    }

    /// The routes, schemas and migrations that Pointsman ships.
    pub fn shipped() -> Project {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let project = Project::new(&fs::read_to_string(root.join("routes.toml")).unwrap());
        for folder in ["schemas", "migrations"] {
            copy(&root.join(folder), &project.folder.join(folder));
        }
        project
    }

    /// A copy of one of the repository's folders, which has a routes.toml.
    pub fn copied(path: &str) -> Project {
        let project = Project::new("");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path), &project.folder);
        project
    }

    /// Adds a file.
    pub fn file(self, path: &str, text: &str) -> Project {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Sets an environment variable of every command.
    pub fn variable(mut self, name: &str, value: &str) -> Project {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Runs `pointsman` to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.spawn(arguments).wait()
    }

    /// Runs `pointsman` where nobody reads what it writes to standard output: how it ended.
    pub fn run_unread(&self, arguments: &[&str]) -> Option<i32> {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
        command.current_dir(&self.folder).args(arguments).stdin(Stdio::null()).stdout(writer).stderr(Stdio::null());
        command.status().unwrap().code()
    }

    /// Starts `pointsman`.
    pub fn spawn(&self, arguments: &[&str]) -> Running {
        self.spawn_with(arguments, &[])
    }

    /// Starts `pointsman` with variables of this command's own.
    pub fn spawn_with(&self, arguments: &[&str], own: &[(String, String)]) -> Running {
        self.start(Command::new(env!("CARGO_BIN_EXE_pointsman")).args(arguments), own)
    }

    /// Starts `pointsman` from a shell that has done something before: `ulimit -n 100; exec`.
    pub fn spawn_in_shell(&self, before: &str, arguments: &[&str]) -> Running {
        let script = format!("{before} \"$@\"");
        let program = ["-c", &script, "sh", env!("CARGO_BIN_EXE_pointsman")];
        self.start(Command::new("sh").args(program).args(arguments), &[])
    }

    fn start(&self, command: &mut Command, own: &[(String, String)]) -> Running {
        let output = self.folder.join(unique("output"));
        let (stdout, stderr) = (output.with_extension("out"), output.with_extension("err"));
        command.current_dir(&self.folder).envs(self.variables.iter().chain(own).map(|(n, v)| (n, v)));
        command.stdin(Stdio::null()).stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        Running { child: command.spawn().unwrap(), stdout, stderr }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Running {
    /// Ends it as a crash would: SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name: `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Seconds of processor time that it has used; `None` where the system does not tell in /proc.
    pub fn processor_seconds(&self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // Behind the name: the state is the first, user and system time, in hundredths, are the twelfth and thirteenth.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let hundredths = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some((hundredths(11)? + hundredths(12)?) / 100.0)
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    pub fn wait(mut self) -> Finished {
        let code = self.child.wait().unwrap().code();
        Finished { code, stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Drop for Running {
    /// Ends it; when its test fails, with what it has said.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("stderr:\n{}", fs::read_to_string(&self.stderr).unwrap_or_default());
        }
    }
}

impl Finished {
    /// The command succeeded; otherwise its words.
    #[track_caller]
    pub fn ok(self) -> Finished {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
