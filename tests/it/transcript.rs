//! A document's console blocks, carried out: one shell goes through them as its reader would, and what each command writes
//! is compared with what the document shows.
//!
//! In a block that begins with ```` ```console ````, a line `$ …` is a command, lines `> …` below it go on with it, and all
//! others are its output: standard output and standard error. An `…` in them stands for anything, a line that is nothing
//! else for any number of lines. How much white space stands between words does not matter. A command ends with 0;
//! `|| echo "exit $?"` shows another code.

use crate::harness::{kafka_tools, unique, wait_until};
use sqlx::{Connection, Row, SqliteConnection, TypeInfo, ValueRef};
use std::{
    env,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// A command of a document, and what it is shown to write.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it stands, from 1.
    pub line: usize,
    pub command: String,
    pub shown: String,
}

/// The commands of a document.
pub fn steps(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut inside, mut first) = (false, true);
    for (number, line) in document.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
            first = true;
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { line: number + 1, command: command.to_owned(), shown: String::new() });
            first = false;
        } else if inside {
            assert!(!first, "line {}: a console block begins with a command", number + 1);
            let step = steps.last_mut().unwrap();
            match line.strip_prefix("> ") {
                Some(more) if step.shown.is_empty() => step.command.extend(["\n", more]),
                _ => step.shown.extend([line, "\n"]),
            }
        }
    }
    steps
}

/// A shell in a folder. Its background jobs end with it.
pub struct Session {
    shell: Child,
    input: ChildStdin,
    folder: PathBuf,
    /// The shell's own files.
    aside: PathBuf,
    names: Vec<Name>,
    /// How many it was given.
    commands: usize,
}

/// What the document calls something, and what it is called here.
struct Name {
    shown: String,
    here: String,
    /// What stands before it where a command means it; empty: it is meant wherever it stands.
    after: &'static [&'static str],
}

impl Session {
    /// `programs` are folders with commands besides those of the PATH.
    pub fn new(folder: &Path, variables: &[(String, String)], programs: &[PathBuf]) -> Session {
        let aside = env::temp_dir().join(unique("pointsman_session"));
        fs::create_dir(&aside).unwrap();
        kafka_tools(&aside);
        let binary = Path::new(env!("CARGO_BIN_EXE_pointsman"));
        let inherited = env::var_os("PATH").unwrap_or_default();
        let own = [aside.clone(), binary.parent().unwrap().to_owned()];
        let path = env::join_paths(own.into_iter().chain(programs.iter().cloned()).chain(env::split_paths(&inherited)));
        let mut shell = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(folder)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env("PATH", path.unwrap())
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(aside.join("shell.log")).unwrap())
            .spawn()
            .expect("bash runs");
        let mut input = shell.stdin.take().unwrap();
        // Job control, for `kill %1`. When the shell ends, or this process, so do its jobs.
        input.write_all(b"set -m; trap 'jobs=$(jobs -p); [ -z \"$jobs\" ] || kill -9 $jobs' EXIT\n").unwrap();
        Session { shell, input, folder: folder.to_owned(), aside, names: Vec::new(), commands: 0 }
    }

    /// What the document calls `shown` is `here`, wherever a command or its output has it.
    pub fn call(&mut self, shown: &str, here: &str) {
        self.names.push(Name { shown: shown.to_owned(), here: here.to_owned(), after: &[] });
    }

    /// The topic, group or subject that the document calls `shown` is `here`. Its name may also be an ordinary word.
    pub fn call_in_kafka(&mut self, shown: &str, here: &str) {
        let after = &["--topic ", "--group ", "topic:", "subjects/"];
        self.names.push(Name { shown: shown.to_owned(), here: here.to_owned(), after });
    }

    /// Carries a document's commands out, in turn.
    #[track_caller]
    pub fn follow(&mut self, path: &str, document: &str) {
        let steps = steps(document);
        assert!(!steps.is_empty(), "{path} has console blocks");
        for step in steps {
            let (code, written) = self.carry_out(&step.command);
            let place = format!("{path}:{}: $ {}", step.line, step.command);
            assert_eq!(code, "0", "{place}\nended with {code} and wrote:\n{written}{}", self.logs());
            assert!(matches(&step.shown, &written), "{place}\nshown:\n{}\nwritten:\n{written}", step.shown);
        }
    }

    /// The .log files that the commands wrote.
    fn logs(&self) -> String {
        let files = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|e| e == "log"));
        logs.map(|path| format!("\n{}:\n{}", path.display(), fs::read_to_string(&path).unwrap())).collect()
    }

    /// A command's exit code and output, in the document's names.
    fn carry_out(&mut self, command: &str) -> (String, String) {
        let mut command = command.to_owned();
        for name in &self.names {
            command = name.to_here(&command);
        }
        let (code, mut written) = match words(&command).as_slice() {
            [program, database, sql] if program == "sqlite3" => ("0".into(), select(&self.folder.join(database), sql)),
            _ => self.shell(&command),
        };
        for name in &self.names {
            written = written.replace(&name.here, &name.shown);
        }
        (code, written)
    }

    fn shell(&mut self, command: &str) -> (String, String) {
        let number = self.commands;
        self.commands += 1;
        let [output, code, done] = ["out", "code", "done"].map(|kind| self.aside.join(format!("{number}.{kind}")));
        // The file that says it is done appears whole.
        let line = format!(
            "{{ {command}\n}} >'{}' 2>&1 </dev/null; echo $? >'{}'; mv '{1}' '{}'\n",
            output.display(),
            code.display(),
            done.display()
        );
        self.input.write_all(line.as_bytes()).unwrap();
        wait_until(command, PATIENCE, || {
            let ended = self.shell.try_wait().unwrap();
            let log = || fs::read_to_string(self.aside.join("shell.log")).unwrap();
            assert!(ended.is_none(), "the shell ended at: {command}\n{}", log());
            done.exists()
        });
        (fs::read_to_string(done).unwrap().trim().to_owned(), fs::read_to_string(output).unwrap())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.input.write_all(b"exit\n");
        let _ = self.shell.wait();
        let _ = fs::remove_dir_all(&self.aside);
    }
}

impl Name {
    fn to_here(&self, command: &str) -> String {
        if self.after.is_empty() {
            return command.replace(&self.shown, &self.here);
        }
        let mut made = String::new();
        for (i, rest) in command.split(&self.shown).enumerate() {
            if i > 0 {
                // `sales` is not meant where `sales_events` stands.
                let whole = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
                let meant = whole && self.after.iter().any(|before| made.ends_with(before));
                made.push_str(if meant { &self.here } else { &self.shown });
            }
            made.push_str(rest);
        }
        made
    }
}

/// Whether what was written is what the document shows.
fn matches(shown: &str, written: &str) -> bool {
    fn lines(text: &str) -> Vec<String> {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.trim().lines().map(words).collect()
    }
    matches_lines(&lines(shown), &lines(written))
}

fn matches_lines(shown: &[String], written: &[String]) -> bool {
    match shown {
        [] => written.is_empty(),
        [any, rest @ ..] if any == "…" => (0..=written.len()).any(|n| matches_lines(rest, &written[n..])),
        [line, rest @ ..] => match written {
            [first, others @ ..] => matches_line(line, first) && matches_lines(rest, others),
            [] => false,
        },
    }
}

fn matches_line(shown: &str, written: &str) -> bool {
    match shown.split_once('…') {
        None => shown == written,
        Some((head, tail)) => written.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| matches_line(tail, &rest[at..]))
        }),
    }
}

/// A command's words, as a shell divides them; empty where that takes more than quotes.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.chars() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | '<' | '&' | ';' | '$' | '\\') => return Vec::new(),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// What `sqlite3 DATABASE SQL` writes. Stands in for that program, which the machine may not have.
fn select(database: &Path, sql: &str) -> String {
    let url = format!("sqlite://{}?mode=ro", database.display());
    let rows = crate::harness::block_on(async {
        let mut connection = SqliteConnection::connect(&url).await.unwrap_or_else(|e| panic!("{url}: {e}"));
        let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await;
        rows.unwrap_or_else(|e| panic!("{sql}: {e}"))
    });
    let mut written = String::new();
    for row in rows {
        let cells: Vec<String> = (0..row.columns().len())
            .map(|column| {
                let value = row.try_get_raw(column).unwrap();
                match value.type_info().name() {
                    "NULL" => String::new(),
                    "INTEGER" => row.get::<i64, _>(column).to_string(),
                    "REAL" => format!("{:?}", row.get::<f64, _>(column)),
                    "BLOB" => String::from_utf8_lossy(row.get::<&[u8], _>(column)).into_owned(),
                    _ => row.get::<String, _>(column),
                }
            })
            .collect();
        written.extend([&*cells.join("|"), "\n"]);
    }
    written
}

#[test]
fn a_documents_commands_and_their_output_are_read() {
    let document = "Words.\n```console\n$ one \\\n> two\nshown\n\n$ three\n```\n```sh\n$ no\n```\n";
    let step = |line, command: &str, shown: &str| Step { line, command: command.to_owned(), shown: shown.to_owned() };
    assert_eq!(steps(document), [step(3, "one \\\ntwo", "shown\n\n"), step(7, "three", "")]);
}

#[test]
fn what_varies_is_left_open() {
    assert!(matches("a  1\n…\nz", "a 1\nb\nc\nz\n"));
    assert!(matches("id …, at …", "id 7, at noon"));
    assert!(!matches("id …, at noon", "id 7, at night"));
    assert!(!matches("a", "a\nb"));
    assert!(!matches("", "a word"));
}

#[test]
fn words_are_divided_as_by_a_shell() {
    assert_eq!(words("sqlite3 shop.db \"SELECT 'a b',\n 1\""), ["sqlite3", "shop.db", "SELECT 'a b',\n 1"]);
    assert!(words("ls | wc").is_empty());
}
