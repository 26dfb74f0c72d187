//! `cargo bench --bench end_to_end`: whole routes on a real broker beside a bare librdkafka copy of the same topic, in
//! one run. Figures of different runs or machines do not compare; the ratios do.
//!
//! Environment: `BENCH_RECORDS` (default 1,000,000), `BENCH_ROUNDS` (default 3), `BENCH_ONLY` (a part of a job's name),
//! `BENCH_BESIDE` (paths of other builds of pointsman, with commas between them, each run in every round too).

mod copy;
#[path = "../../tests/it/harness/mod.rs"]
mod harness;
mod load;
mod measure;

use harness::{Message, bootstrap_servers, create_topic, unique};
use measure::{Cost, median};
use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const PARTITIONS: i32 = 4;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "--copy") {
        let [servers, from, to, every] = &arguments[at + 1..at + 5] else { panic!("--copy SERVERS FROM TO MILLIS") };
        let every: u64 = every.parse().expect("milliseconds");
        return copy::copy(servers, from, to, (every > 0).then(|| Duration::from_millis(every)));
    }
    let records = number("BENCH_RECORDS", 1_000_000);
    let rounds = number("BENCH_ROUNDS", 3);
    let only = env::var("BENCH_ONLY").unwrap_or_default();
    let beside = env::var("BENCH_BESIDE").unwrap_or_default();
    let builds: Vec<&str> =
        std::iter::once(env!("CARGO_BIN_EXE_pointsman")).chain(beside.split(',').filter(|b| !b.is_empty())).collect();
    let bench = Bench::prepare(records);
    println!("{records} records, {PARTITIONS} partitions, lz4, median of {rounds} interleaved rounds\n");
    println!("{:<28} {:>9} {:>11} {:>9} {:>8} {:>7}", "job", "CPU s/M", "records/s", "peak MB", "wall s", "× copy");
    for job in JOBS.iter().filter(|j| j.name.contains(&only)) {
        let mut bare = Vec::new();
        let mut ours = vec![Vec::new(); builds.len()];
        for _ in 0..rounds {
            if let Some(every) = job.beside {
                bare.push(bench.copy(job.json, every));
            }
            for (build, costs) in builds.iter().zip(&mut ours) {
                costs.push(bench.route(job, build));
            }
        }
        let beside = (!bare.is_empty()).then(|| median(&bare));
        if let Some(bare) = beside {
            let name = if job.beside == Some(0) { "bare copy" } else { "bare copy, transactional" };
            row(name, bare, records, None);
        }
        for (i, (build, costs)) in builds.iter().zip(&ours).enumerate() {
            row(if i == 0 { job.name } else { build }, median(costs), records, beside);
        }
    }
}

fn row(name: &str, cost: Cost, records: u64, beside: Option<Cost>) {
    let per_million = cost.cpu.as_secs_f64() * 1e6 / records as f64;
    let rate = records as f64 / cost.wall.as_secs_f64();
    let (peak, wall) = (cost.peak as f64 / 1e6, cost.wall.as_secs_f64());
    let ratio = beside.map_or(String::new(), |b| format!("{:.2}", cost.cpu.as_secs_f64() / b.cpu.as_secs_f64()));
    println!("{name:<28} {per_million:>9.2} {rate:>11.0} {peak:>9.0} {wall:>8.2} {ratio:>7}");
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

struct Job {
    name: &'static str,
    json: bool,
    /// Beside a bare copy that commits every so many milliseconds; 0 without transactions.
    beside: Option<u64>,
    /// Keys of the route.
    route: &'static str,
    destination: Destination,
}

enum Destination {
    Topic,
    Postgres,
    Sqlite,
}

const JOBS: [Job; 5] = [
    Job {
        name: "avro, at least once",
        json: false,
        beside: Some(0),
        route: "delivery = \"at-least-once\"",
        destination: Destination::Topic,
    },
    Job { name: "avro, exactly once", json: false, beside: Some(100), route: "", destination: Destination::Topic },
    Job { name: "json, exactly once", json: true, beside: Some(100), route: "", destination: Destination::Topic },
    Job {
        name: "avro to Postgres, 2 workers",
        json: false,
        beside: None,
        route: "workers = 2",
        destination: Destination::Postgres,
    },
    Job { name: "avro to SQLite", json: false, beside: None, route: "", destination: Destination::Sqlite },
];

struct Bench {
    avro: String,
    json: String,
    registry: harness::Registry,
}

impl Bench {
    fn prepare(records: u64) -> Bench {
        let registry = harness::Registry::start();
        let (avro, json) = (unique("bench_avro"), unique("bench_json"));
        let id = registry.register(&format!("{avro}-value"), load::SCHEMA);
        for (topic, id) in [(&avro, Some(id)), (&json, None)] {
            create_topic(topic, PARTITIONS, &[("compression.type", "lz4")]);
            harness::produce(
                topic,
                (0..records).map(|i| {
                    let (key, value) = load::record(i, id);
                    Message { key: Some(key), value: Some(value), ..Message::default() }
                }),
            );
        }
        Bench { avro, json, registry }
    }

    fn copy(&self, json: bool, every: u64) -> Cost {
        let to = unique("bench_copy");
        create_topic(&to, PARTITIONS, &[]);
        let from = if json { &self.json } else { &self.avro };
        let began = Instant::now();
        let program = env::current_exe().expect("this program's path");
        let mut child = Command::new(program)
            .args(["--copy", &bootstrap_servers(), from, &to, &every.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .expect("this program starts");
        Cost::of(&mut child, began)
    }

    fn route(&self, job: &Job, build: &str) -> Cost {
        let name = unique("bench");
        let folder = env::temp_dir().join(&name);
        fs::create_dir_all(folder.join("schemas")).expect("a folder");
        fs::write(folder.join("schemas/event.avsc"), load::SCHEMA).expect("a file");
        let postgres = matches!(job.destination, Destination::Postgres).then(|| harness::Database::new(&name));
        self.configure(job, &name, &folder, postgres.as_ref());
        let registered = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(["schemas", "register"])
            .current_dir(&folder)
            .stdout(Stdio::null())
            .status();
        assert!(registered.expect("pointsman starts").success());
        let began = Instant::now();
        let mut child = Command::new(build)
            .args(["run", "--until-caught-up", "--migrate"])
            .current_dir(&folder)
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).expect("a file"))
            .spawn()
            .expect("pointsman starts");
        let cost = Cost::of(&mut child, began);
        fs::remove_dir_all(&folder).expect("the folder goes");
        cost
    }

    fn configure(&self, job: &Job, name: &str, folder: &Path, postgres: Option<&harness::Database>) {
        let dlq = format!("{name}.dlq");
        create_topic(&dlq, PARTITIONS, &[]);
        let destination = match job.destination {
            Destination::Topic => {
                create_topic(name, PARTITIONS, &[]);
                format!("destination = {{ topic = \"{name}\" }}")
            }
            Destination::Postgres | Destination::Sqlite => {
                migration(folder, matches!(job.destination, Destination::Sqlite));
                "destination = { database = \"db\", table = \"events\", key_columns = [\"event_id\"] }".to_owned()
            }
        };
        let database = match (&job.destination, postgres) {
            (Destination::Topic, _) => String::new(),
            (_, Some(postgres)) => format!("[databases.db]\nurl = \"{}\"\nmigrations = \"migrations\"\n", postgres.url),
            _ => "[databases.db]\nurl = \"sqlite://bench.db\"\nmigrations = \"migrations\"\n".to_owned(),
        };
        let (topic, format) = if job.json { (&self.json, "json") } else { (&self.avro, "avro") };
        let (servers, registry, keys, work) = (bootstrap_servers(), &self.registry.url, job.route, load::WORK);
        let routes = format!(
            r#"version = 1
app = "{name}"
[kafka]
bootstrap_servers = "{servers}"
[schema_registry]
url = "{registry}"
{database}
{work}
[routes.bench]
topic = "{topic}"
format = "{format}"
validator = "event"
enricher = "priced"
dlq = "{dlq}"
{keys}
{destination}
"#
        );
        fs::write(folder.join("routes.toml"), routes).expect("a file");
    }
}

fn migration(folder: &Path, sqlite: bool) {
    let mut sql = "CREATE TABLE events (event_id UUID PRIMARY KEY, event_type TEXT, user_id BIGINT, session_id TEXT, \
        product_id TEXT, category TEXT, quantity INTEGER, unit_price NUMERIC(12,2), currency TEXT, occurred_at TIMESTAMPTZ, \
        device TEXT, \"returning\" BOOLEAN, processed_at TIMESTAMPTZ, amount NUMERIC(22,2));"
        .to_owned();
    if sqlite {
        // Decimals, times and UUIDs are text there.
        for kind in ["UUID", "NUMERIC(12,2)", "NUMERIC(22,2)", "TIMESTAMPTZ"] {
            sql = sql.replace(kind, "TEXT");
        }
    }
    fs::create_dir_all(folder.join("migrations")).expect("a folder");
    fs::write(folder.join("migrations/1_events.sql"), sql).expect("a file");
}
