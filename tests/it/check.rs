//! `pointsman check`: every folder of tests/check is a configuration with the words it must get.
//!
//! `POINTSMAN_BLESS=1` writes them anew; read the difference as a user would.

use pointsman::{
    cli::check::{self, CheckArgs, Format},
    config::{self, Options, Severity},
    tools::Exit,
};
use proptest::{prelude::*, sample::Index};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The only variable that is set.
fn env(name: &str) -> Option<String> {
    (name == "SET").then(|| "a value".to_owned())
}

const OPTIONS: Options<'_> = Options { strict: false, env: &env, properties: None };

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// A folder of its own, with the schemas that all cases share.
fn workspace(name: &str) -> PathBuf {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("check-{name}"));
    let _ = fs::remove_dir_all(&to);
    copy(&folder().join("schemas"), &to.join("schemas"));
    to
}

/// The exit code and the output, with paths as they are inside the workspace.
fn check(workspace: &Path, format: Format, strict: bool) -> (u8, String) {
    let args = CheckArgs { file: workspace.join("routes.toml"), format, strict, deny_warnings: false };
    let mut out = Vec::new();
    let code = check::run(&args, OPTIONS, false, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    (code as u8, text.replace(&format!("{}/", workspace.display()), ""))
}

#[test]
fn every_configuration_gets_its_words() {
    let bless = std::env::var_os("POINTSMAN_BLESS").is_some();
    let mut cases: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path()).collect();
    cases.retain(|p| p.join("routes.toml").exists());
    cases.sort();
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let workspace = workspace(&name);
        copy(case, &workspace);
        let strict = fs::read_to_string(case.join("arguments")).is_ok_and(|a| a.contains("--strict"));
        let (code, text) = check(&workspace, Format::Human, strict);
        let found = format!("{text}exit {code}\n");
        let golden = case.join("expected.txt");
        if bless {
            fs::write(&golden, &found).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != found {
            wrong.push(format!("── {name}\n{found}"));
        }
        fs::remove_dir_all(&workspace).unwrap();
    }
    assert!(wrong.is_empty(), "{} of {} differ from expected.txt:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() > 60);
}

#[test]
fn the_shipped_configuration_is_good() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("routes.toml");
    let mut out = Vec::new();
    let args = CheckArgs { file, format: Format::Human, strict: true, deny_warnings: false };
    let code = check::run(&args, OPTIONS, false, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(code, Exit::Done, "{text}");
    assert!(text.starts_with("ok: 6 routes, ") && text.lines().count() == 1, "{text}");
}

/// A configuration that only warns: two names that nothing uses.
fn warned(name: &str) -> PathBuf {
    let workspace = workspace(name);
    let file = workspace.join("routes.toml");
    fs::copy(folder().join("55-unused/routes.toml"), &file).unwrap();
    file
}

#[test]
fn warnings_are_denied_where_that_is_asked_for() {
    let file = warned("denied");
    let run = |deny_warnings: bool, format: Format| {
        let args = CheckArgs { file: file.clone(), format, strict: false, deny_warnings };
        let mut out = Vec::new();
        let exit = check::run(&args, OPTIONS, false, &mut out).unwrap();
        (exit, String::from_utf8(out).unwrap())
    };
    let (exit, text) = run(false, Format::Human);
    assert!(exit == Exit::Done && text.contains("ok: 1 route"), "{text}");
    let (exit, text) = run(true, Format::Human);
    let last = format!("error: 2 warnings in {}, and --deny-warnings\n", file.display());
    assert!(exit == Exit::Findings && text.ends_with(&last), "{text}");
    let (exit, text) = run(true, Format::Json);
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(exit, Exit::Findings);
    assert_eq!((&found["ok"], &found["errors"], &found["warnings"]), (&false.into(), &0.into(), &2.into()));
    fs::remove_dir_all(file.parent().unwrap()).unwrap();
}

/// Whoever never runs `check` is warned too, and once.
#[test]
fn warnings_are_told_by_the_commands_that_carry_out() {
    let file = warned("told");
    // No collector is here and no broker is reached: they end by themselves.
    for command in [&["collect", "nope"][..], &["plan"], &["apply", "--yes"]] {
        let text = fs::read_to_string(&file).unwrap().replace("localhost:9092", "localhost:1").replace(":8081", ":1");
        fs::write(&file, text).unwrap();
        let out = Command::new(env!("CARGO_BIN_EXE_pointsman")).args(command).arg("-f").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        for spare in ["no route uses the validator `spare`", "no route uses the enricher `spare`"] {
            assert_eq!(said.matches(spare).count(), 1, "{command:?}: {said}");
        }
        assert!(said.contains("routes.toml:19:13"), "{command:?}: {said}");
        assert!(!said.contains("collectors are: "), "there are none: {said}");
    }
    fs::remove_dir_all(file.parent().unwrap()).unwrap();
}

#[test]
fn json_tells_every_problem_with_its_place() {
    let workspace = workspace("json");
    let good = fs::read_to_string(folder().join("json.toml")).unwrap();
    fs::write(workspace.join("routes.toml"), good.replace("quantity > 0", "quantty > 0")).unwrap();
    let (code, text) = check(&workspace, Format::Json, false);
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, 1);
    assert_eq!((&found["ok"], &found["errors"], &found["warnings"]), (&false.into(), &1.into(), &0.into()));
    let problem = &found["problems"][0];
    assert_eq!(problem["severity"], "error");
    assert_eq!(problem["code"], "unknown-name");
    assert_eq!(problem["file"], "routes.toml");
    let place: Vec<_> = ["line", "column", "end_line", "end_column"].map(|k| problem[k].as_u64().unwrap()).into();
    assert_eq!(place, [13, 13, 13, 20]);
    fs::remove_dir_all(workspace).unwrap();
}

#[test]
fn a_file_that_is_not_there_is_the_environments_fault() {
    let args =
        CheckArgs { file: "nowhere/routes.toml".into(), format: Format::Human, strict: false, deny_warnings: false };
    let mut out = Vec::new();
    assert_eq!(check::run(&args, OPTIONS, false, &mut out).unwrap(), Exit::Environment);
    assert!(String::from_utf8(out).unwrap().contains("nowhere/routes.toml"));
}

/// What stands where a file should: told with what to do about it.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_told_with_what_to_do() {
    let workspace = workspace("no-file");
    let good = fs::read_to_string(folder().join("json.toml")).unwrap();
    fs::write(workspace.join("routes.toml"), good).unwrap();
    let said = |file: &str, code: u8, wanted: [&str; 2]| {
        let args = CheckArgs { file: workspace.join(file), format: Format::Human, strict: false, deny_warnings: false };
        let mut out = Vec::new();
        let ended = check::run(&args, OPTIONS, false, &mut out).unwrap() as u8;
        let text = String::from_utf8(out).unwrap();
        assert_eq!(ended, code, "{text}");
        assert!(wanted.iter().all(|w| text.contains(w)), "{text}");
    };
    said("schemas", 3, ["cannot read", "schemas/routes.toml`"]);
    let link = |to: &str, from: &str| std::os::unix::fs::symlink(to, workspace.join("schemas").join(from)).unwrap();
    // Up to a folder that is being read: each is read once.
    link("..", "up");
    said("routes.toml", 0, ["ok: 1 route", ""]);
    link("nowhere", "Dead.avsc");
    said("routes.toml", 1, ["schemas/Dead.avsc", "a link that leads to no file"]);
    fs::remove_file(workspace.join("schemas/Dead.avsc")).unwrap();
    link("Loop.avsc", "Loop.avsc");
    said("routes.toml", 1, ["schemas/Loop.avsc", "a link that leads to no file"]);
    fs::remove_dir_all(&workspace).unwrap();
}

/// What can be read but once, such as a pipe, is told as it was read.
#[test]
fn a_refused_configuration_is_read_once() {
    let mut plan = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["plan", "-f", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    plan.stdin.take().unwrap().write_all(b"version = 2\n").unwrap();
    let out = plan.wait_with_output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("version = 2"), "{said}");
}

/// However the main file is called, a pattern that matches it too does not include it in itself.
#[test]
fn a_file_does_not_include_itself() {
    let workspace = workspace("itself");
    let good = fs::read_to_string(folder().join("json.toml")).unwrap();
    fs::create_dir_all(workspace.join("sub")).unwrap();
    fs::write(workspace.join("routes.toml"), format!("include = [\"*.toml\", \"sub/../*.toml\"]\n{good}")).unwrap();
    for file in ["routes.toml", "./routes.toml", "sub/../routes.toml", workspace.join("routes.toml").to_str().unwrap()]
    {
        let out = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(["check", "-f", file])
            .current_dir(&workspace)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(0), "{file}: {said}");
    }
    fs::remove_dir_all(workspace).unwrap();
}

#[test]
fn colours_are_only_for_terminals() {
    let workspace = workspace("colour");
    fs::write(workspace.join("routes.toml"), "version = 2\n").unwrap();
    let args =
        CheckArgs { file: workspace.join("routes.toml"), format: Format::Human, strict: false, deny_warnings: false };
    for (colour, escapes) in [(true, true), (false, false)] {
        let mut out = Vec::new();
        check::run(&args, OPTIONS, colour, &mut out).unwrap();
        assert_eq!(out.contains(&0x1b), escapes);
    }
    fs::remove_dir_all(workspace).unwrap();
}

/// The shipped schemas, in a folder for routes.toml to be damaged in.
fn damaged() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let to = workspace("damaged");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas"), &to.join("schemas"));
        to
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_configuration_is_told_and_never_panics(
        edits in prop::collection::vec((any::<Index>(), 0usize..40, prop::collection::vec(any::<u8>(), 0..3)), 1..4)
    ) {
        let workspace = damaged();
        let mut bytes = include_bytes!("../../routes.toml").to_vec();
        for (at, deleted, inserted) in &edits {
            let at = at.index(bytes.len());
            let end = (at + deleted).min(bytes.len());
            bytes.splice(at..end, inserted.iter().copied());
        }
        fs::write(workspace.join("routes.toml"), String::from_utf8_lossy(&bytes).as_bytes()).unwrap();
        let loaded = config::load(&workspace.join("routes.toml"), OPTIONS).unwrap();
        let errors = loaded.problems.iter().filter(|p| p.severity == Severity::Error).count();
        prop_assert_eq!(loaded.plan.is_none(), errors > 0);
        for problem in &loaded.problems {
            let shown = config::diagnostics::human(problem, &loaded.sources, false);
            prop_assert!(shown.contains(problem.code));
        }
    }
}
