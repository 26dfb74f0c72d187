//! Programs of others: fetched by their packages' names into target/ecosystem, once.
//!
//! A folder's name says what is in it, versions included: what changes is fetched anew. Nothing is installed in the system.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

/// A program of a Debian package: `debian("prometheus", "promtool")`. Unpacked, not installed: it needs no rights, and starts nothing.
/// Where there is no apt-get, the one on the PATH.
pub fn debian(package: &str, program: &str) -> PathBuf {
    if !on_path("apt-get") {
        assert!(
            on_path(program),
            "the second suite needs {program} of the package {package}: install it, so that it is on the PATH"
        );
        return program.into();
    }
    let folder = fetched(&format!("debian-{package}"), |into| {
        let download = || quietly(Command::new("apt-get").args(["download", package]).current_dir(into));
        if download().is_err() {
            // Lists that are old, or not there yet; who is not root must do it himself.
            let updated = quietly(Command::new("apt-get").arg("update"));
            download().map_err(|why| {
                let update = updated.err().unwrap_or_default();
                format!("{why}\n{update}\nRun `sudo apt-get update` and see that `apt-get download {package}` works")
            })?;
        }
        let files = fs::read_dir(into).unwrap().map(|e| e.unwrap().path());
        let package = files.into_iter().find(|p| p.extension().is_some_and(|e| e == "deb")).expect("it was downloaded");
        quietly(Command::new("dpkg").arg("-x").arg(package).arg(into))
    });
    folder.join("usr/bin").join(program)
}

/// A program that only works where its package is installed.
pub fn installed(package: &str, program: &str) -> Command {
    assert!(on_path(program), "the second suite needs {program}: `apt-get install {package}`");
    Command::new(program)
}

/// A program that Go builds: `go("helm", "helm.sh/helm/v3/cmd/helm", "v3.16.4")`; `name` is the last part of the package.
pub fn go(name: &str, package: &str, version: &str) -> PathBuf {
    let folder = fetched(&format!("go-{}-{version}", package.replace('/', "_")), |into| {
        let mut go = Command::new("go");
        go.arg("install").arg(format!("{package}@{version}")).env("GOBIN", into);
        quietly(&mut go).map_err(|why| {
            format!("{why}\n{name} is built with Go 1.22 or newer (`apt-get install golang`, or go.dev)")
        })
    });
    folder.join(name)
}

/// A virtual environment of Python that holds these packages, pinned: `python(&["pyyaml==6.0.3"])`. Its bin folder.
pub fn python(packages: &[&str]) -> PathBuf {
    let name = packages.join("_").replace(['=', '!', '[', ']', ',', '/'], "-");
    let folder = fetched(&format!("python-{name}"), |into| {
        quietly(Command::new("python3").args(["-m", "venv"]).arg(into)).map_err(|why| {
            format!("{why}\nPython 3.9 or newer with venv is needed (`apt-get install python3-venv`)")
        })?;
        quietly(
            Command::new(into.join("bin/python"))
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(packages),
        )
    });
    folder.join("bin")
}

/// Runs a program to its end; its standard output. Panics with its words where it fails.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let out = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = || format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?} ({}):\n{}", out.status, said());
    String::from_utf8(out.stdout).unwrap()
}

/// The folder of this name, made by `fetch` if it is not there yet: whole or not at all.
#[track_caller]
fn fetched(name: &str, fetch: impl FnOnce(&Path) -> Result<(), String>) -> PathBuf {
    // Two tests may want the same.
    static FETCHING: Mutex<BTreeMap<String, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());
    let one = FETCHING.lock().unwrap_or_else(|e| e.into_inner()).entry(name.to_owned()).or_default().clone();
    let _one = one.lock().unwrap_or_else(|e| e.into_inner());
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("ecosystem");
    let folder = all.join(name);
    let done = folder.join(".whole");
    if !done.exists() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        eprintln!("fetching {name} into {}", all.display());
        if let Err(why) = fetch(&folder) {
            panic!("the second suite cannot fetch {name}:\n{why}");
        }
        fs::write(done, "").unwrap();
    }
    folder
}

fn quietly(command: &mut Command) -> Result<(), String> {
    match command.stdin(Stdio::null()).output() {
        Ok(out) if out.status.success() => Ok(()),
        Ok(out) => Err(format!("{command:?} ({}):\n{}", out.status, String::from_utf8_lossy(&out.stderr))),
        Err(e) => Err(format!("{command:?} cannot be run: {e}")),
    }
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
