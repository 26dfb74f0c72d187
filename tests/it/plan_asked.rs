//! What `apply` asks on a terminal, and what it does with each answer.

use crate::harness::{Project, free_port};
use std::{
    io::{BufReader, Read, Write},
    process::{Command, Stdio},
};

const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"asked","fields":[{"name":"id","type":"long"}]}"#;
const QUESTION: &str = "? [y/N] ";

/// A route to a table that is not there yet; its brokers nobody has to ask.
fn project() -> Project {
    Project::new(&format!(
        "version = 1\napp = \"asked\"\n[kafka]\nbootstrap_servers = \"127.0.0.1:{}\"\n\
         [databases.shop]\nurl = \"sqlite://data/shop.db\"\nmigrations = \"migrations\"\n\
         [routes.r]\ntopic = \"in\"\nformat = \"json\"\nschema = \"asked.Event\"\ndlq = \"discard\"\n\
         destination = {{ database = \"shop\", table = \"events\" }}\n",
        free_port()
    ))
    .file("schemas/event.avsc", SCHEMA)
    .file("migrations/1_events.sql", "CREATE TABLE events (id BIGINT NOT NULL);")
}

/// Gives these keys to `apply` on a terminal once it asks: how it ended, and what the terminal shows.
fn answered(project: &Project, keys: &str, no_color: &str) -> (Option<i32>, String) {
    let command = format!("'{}' apply --only tables", env!("CARGO_BIN_EXE_pointsman"));
    // script(1) gives its command a terminal, and goes on as it does: 128 and the signal where one ended it.
    let mut terminal = Command::new("timeout");
    terminal.args(["--foreground", "120", "script", "--quiet", "--return", "--command", &command, "/dev/null"]);
    terminal.current_dir(&project.folder).env("NO_COLOR", no_color);
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script(1), of util-linux");
    let mut typed = terminal.stdin.take().unwrap();
    let mut shown = BufReader::new(terminal.stdout.take().unwrap()).bytes();
    let mut screen = Vec::new();
    // Earlier, Ctrl-C would end it before it has asked.
    while !screen.ends_with(QUESTION.as_bytes()) {
        let Some(byte) = shown.next() else { panic!("no question: {}", String::from_utf8_lossy(&screen)) };
        screen.push(byte.unwrap());
    }
    typed.write_all(keys.as_bytes()).unwrap();
    screen.extend(shown.map(Result::unwrap));
    (terminal.wait().unwrap().code(), String::from_utf8(screen).unwrap().replace("\r\n", "\n"))
}

#[test]
fn apply_asks_on_a_terminal_and_does_only_what_it_is_told() {
    let project = project();
    for keys in ["n\r", "\r", "no!\r", "\x04"] {
        let (code, screen) = answered(&project, keys, "1");
        assert_eq!(code, Some(1), "{keys:?}: {screen}");
        let (shown, after) = screen.split_once(QUESTION).unwrap();
        assert!(shown.contains("apply migration 1_events") && !screen.contains('\x1b'), "{screen:?}");
        // What was typed ends its line; where nothing was, we do.
        assert!(after.ends_with("\nnothing was applied\n"), "{keys:?}: {screen:?}");
    }
    let (code, screen) = answered(&project, "\x03", "1");
    assert_eq!(code, Some(130), "{screen}");
    assert!(!project.folder.join("data").exists(), "{screen}");

    let (code, screen) = answered(&project, "y\r", "");
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains('\x1b') && screen.contains("apply migration 1_events\n"), "{screen:?}");
    assert!(project.folder.join("data/shop.db").exists());
    project.run(&["plan", "--only", "tables", "--exit-code"]).ok();
}
