//! Kafka and Postgres from Maven Central: fetched once into cargo's target folder, run in temporary folders.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    hash::{DefaultHasher, Hash, Hasher},
    net::TcpListener,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

/// The account that Postgres runs under when we are root, which it refuses: `nobody` on every Linux.
const NOBODY: u32 = 65534;

const HELP: &str = "\nThe tests bring their own Kafka and Postgres and need for it:
  - a JDK 17 or newer and Maven (`apt-get install default-jdk maven`), with access to Maven Central the first time
  - tar and xz (`apt-get install tar xz-utils`)
Or name running services: POINTSMAN_TEST_KAFKA=host:9092 and POINTSMAN_TEST_POSTGRES=postgres://user:password@host/database";

/// A service of our own, which ends with this process.
pub struct Service {
    pub port: u16,
    process: Child,
    folder: Folder,
}

/// A folder that is removed, and whose service is ended, when the pipe closes: at the latest with this process.
struct Folder {
    path: PathBuf,
    _pipe: ChildStdin,
}

pub fn start_kafka() -> Service {
    // Another default than what might be taken without asking.
    start_kafka_with(&[], "num.partitions=3\n", &[])
}

/// A Kafka with further listeners (`NAME://host:port`), further properties, and further arguments of its formatting.
pub fn start_kafka_with(listeners: &[String], properties: &str, format: &[&str]) -> Service {
    let folder = Folder::new("kafka", "KILL");
    let (port, controller) = (free_port(), free_port());
    let listeners: String = listeners.iter().map(|l| format!(",{l}")).collect();
    let own = format!(
        "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listeners}\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\nlog.dirs={}\n{properties}",
        folder.path.join("data").display()
    );
    let properties = folder.path.join("server.properties");
    fs::write(&properties, include_str!("../../services/server.properties").to_owned() + &own).unwrap();
    let mut tool = java("kafka.tools.StorageTool");
    run(tool.args(["format", "--cluster-id", "cG9pbnRzbWFuLXRlc3RzLQ", "--config"]).arg(&properties).args(format));
    folder.start(port, java("kafka.Kafka").arg(&properties))
}

/// Kafka's console tools, by the names that its distribution gives them.
pub fn kafka_tools(folder: &Path) {
    for (name, class) in [
        ("kafka-console-producer.sh", "org.apache.kafka.tools.ConsoleProducer"),
        ("kafka-console-consumer.sh", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
        ("kafka-topics.sh", "org.apache.kafka.tools.TopicCommand"),
        ("kafka-consumer-groups.sh", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
    ] {
        let jars = FETCHED.join("kafka/*");
        let java = "java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.StatusLogger.level=OFF";
        let script = format!("#!/bin/sh\nexec {java} -cp '{}' {class} \"$@\"\n", jars.display());
        let path = folder.join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
}

/// Changes a broker's ACLs.
pub fn kafka_acls(servers: &str, arguments: &[&str]) {
    run(java("org.apache.kafka.tools.AclCommand").args(["--bootstrap-server", servers]).args(arguments));
}

fn java(class: &str) -> Command {
    let mut java = Command::new("java");
    java.args(["-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
    java.arg(FETCHED.join("kafka/*")).arg(class);
    java
}

pub fn start_postgres() -> Service {
    let folder = Folder::new("postgres", "QUIT");
    let mut unpacked = fs::read_dir(FETCHED.join("postgres")).unwrap().map(|e| e.unwrap().path());
    let archive = unpacked.find(|p| p.extension().is_some_and(|e| e == "txz")).expect("the jar holds a .txz");
    run(Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(&folder.path));
    // The folder's owner is who we are.
    let root = fs::metadata(&folder.path).unwrap().uid() == 0;
    let data = folder.path.join("data");
    if root {
        fs::create_dir(&data).unwrap();
        chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let postgres = |program: &str| {
        let program = folder.path.join("bin").join(program);
        let mut command = if root { Command::new("setpriv") } else { Command::new(&program) };
        if root {
            command
                .arg(format!("--reuid={NOBODY}"))
                .arg(format!("--regid={NOBODY}"))
                .arg("--clear-groups")
                .arg(&program);
        }
        command.current_dir("/").arg("-D").arg(&data);
        command
    };
    run(postgres("initdb").args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]));
    let port = free_port();
    let mut server = postgres("postgres");
    server.args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", "", "-F", "-N", "300"]);
    folder.start(port, &mut server)
}

/// A service of the caller's own: what starts it, given a folder and a free port. `signal` is what ends it.
pub fn start_service(name: &str, signal: &str, command: impl FnOnce(&Path, u16) -> Command) -> Service {
    let (folder, port) = (Folder::new(name, signal), free_port());
    let mut command = command(&folder.path, port);
    folder.start(port, &mut command)
}

impl Service {
    /// Ends a Kafka as a crash would, and starts it again over what it has kept.
    pub fn restart_kafka(self, meanwhile: impl FnOnce()) -> Service {
        let Service { port, mut process, folder } = self;
        process.kill().unwrap();
        process.wait().unwrap();
        meanwhile();
        let properties = folder.path.join("server.properties");
        folder.start(port, java("kafka.Kafka").arg(&properties))
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits until the service answers.
    pub fn ready(mut self, mut answers: impl FnMut(u16) -> bool) -> Self {
        let begun = Instant::now();
        while !answers(self.port) {
            let ended = self.process.try_wait().unwrap();
            if ended.is_some() || begun.elapsed() > Duration::from_secs(90) {
                let log = fs::read_to_string(self.folder.path.join("log")).unwrap_or_default();
                let why = ended.map_or("does not answer".to_owned(), |status| format!("ended ({status})"));
                panic!("{} {why}; its log:\n{log}{HELP}", self.folder.path.display());
            }
            sleep(Duration::from_millis(50));
        }
        self
    }
}

impl Folder {
    /// A folder in which other accounts may look. `signal` is what ends its service.
    #[allow(clippy::zombie_processes)] // clean-up.sh outlives us: that is its use
    fn new(service: &str, signal: &str) -> Folder {
        let path = std::env::temp_dir().join(super::unique(&format!("pointsman_{service}")));
        DirBuilder::new().mode(0o755).create(&path).unwrap();
        let mut sh = Command::new("sh");
        sh.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services/clean-up.sh")).arg(&path).arg(signal);
        // In a process group of its own: Ctrl-C reaches us alone.
        let sh = sh.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Folder { path, _pipe: sh.unwrap().stdin.take().unwrap() }
    }

    fn start(self, port: u16, service: &mut Command) -> Service {
        let log = File::create(self.path.join("log")).unwrap();
        service.process_group(0).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let process = service.spawn().unwrap();
        fs::write(self.path.join("pid"), process.id().to_string()).unwrap();
        Service { port, process, folder: self }
    }
}

/// Where Maven has put the services. Its name is the pom's hash: another version is fetched anew.
static FETCHED: LazyLock<PathBuf> = LazyLock::new(|| {
    let pom = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services/pom.xml");
    let mut hash = DefaultHasher::new();
    fs::read(pom).unwrap().hash(&mut hash);
    let fetched = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("services-{:016x}", hash.finish()));
    if !fetched.exists() {
        let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("macos", "aarch64") => "darwin-arm64v8",
            ("macos", _) => "darwin-amd64",
            (_, "aarch64") => "linux-arm64v8",
            _ => "linux-amd64",
        };
        let into = fetched.with_extension(std::process::id().to_string());
        let mut mvn = Command::new("mvn");
        mvn.args(["--batch-mode", "--quiet", "--file", pom, "validate"]);
        run(mvn.arg(format!("-Dinto={}", into.display())).arg(format!("-Dplatform={platform}")));
        // Whole or not at all; where another process was quicker, its copy is as good.
        if fs::rename(&into, &fetched).is_err() {
            fs::remove_dir_all(&into).unwrap();
        }
    }
    fetched
});

/// Runs a step of a start to its end; panics with its words and what to install.
fn run(step: &mut Command) {
    let name = step.get_program().to_string_lossy().into_owned();
    match step.stdin(Stdio::null()).output() {
        Ok(out) if out.status.success() => {}
        Ok(out) => {
            let said = [out.stdout, out.stderr].concat();
            panic!("{name} failed ({}):\n{}{HELP}", out.status, String::from_utf8_lossy(&said))
        }
        Err(e) => panic!("{name} cannot be run: {e}{HELP}"),
    }
}

/// A free port below the range from which systems give outgoing connections theirs: none takes it before its user does.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 15_000 + (std::process::id() % 1_500) as u16 * 10;
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}
