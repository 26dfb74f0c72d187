//! Prometheus alert rules: on state and age before counts, each with what happened and what to do.

use super::{about::About, grafana::GENERATED};
use serde_json::Value;
use std::fmt::Write;

/// Above this share of dead letters somebody should look, unless the route's breaker says otherwise.
const DEAD_LETTER_SHARE: f64 = 0.05;
/// How long lines of text may be in the file.
const WIDTH: usize = 100;

struct Alert {
    name: &'static str,
    /// PromQL; each comparison and each `and` begins a line, so that what is compared can be read alone.
    expr: String,
    /// How long it must hold.
    hold: &'static str,
    severity: Severity,
    /// The route where it is not a label of the series.
    route: Option<String>,
    summary: String,
    happened: String,
    to_do: String,
}

#[derive(Clone, Copy)]
enum Severity {
    /// Nothing is delivered, or something is lost: wake somebody.
    Critical,
    /// It goes on, and should not stay so.
    Warning,
}

/// The rules file of these routes, as Prometheus reads it.
pub(super) fn rules(app: &str, routes: &[About]) -> String {
    let mut text = format!("# {GENERATED}\ngroups:\n");
    group(&mut text, "pointsman", &for_every_route());
    let own: Vec<Alert> = routes.iter().flat_map(for_one_route).collect();
    group(&mut text, &format!("pointsman-{app}"), &own);
    text
}

fn for_every_route() -> Vec<Alert> {
    [state_alerts(), progress_alerts()].into_iter().flatten().collect()
}

fn state_alerts() -> Vec<Alert> {
    vec![
        Alert {
            name: "PointsmanDown",
            expr: "up\n== 0\nand on (job, instance)\nlast_over_time(pointsman_build_info[1h])".into(),
            hold: "2m",
            severity: Severity::Critical,
            route: None,
            summary: "Pointsman at {{ $labels.instance }} does not answer".into(),
            happened: "The process answered /metrics within the last hour and does not any more. Other processes of the \
                       same consumer groups have taken its partitions over, if there are any."
                .into(),
            to_do: "Look at why it ended (its last log lines, the exit code, the kernel's out-of-memory messages) and start \
                    it again: it goes on from the committed positions, nothing is lost or delivered twice."
                .into(),
        },
        Alert {
            name: "PointsmanRouteStopped",
            expr: "max by (job, route, state) (pointsman_route_state{state=~\"standing|tripped\"})\n== 1".into(),
            hold: "1m",
            severity: Severity::Critical,
            route: None,
            summary: "Route {{ $labels.route }} is {{ $labels.state }}: it delivers nothing until somebody acts".into(),
            happened: "standing: something that waiting does not mend (a missing table, a refused password, a position that \
                       its topic no longer holds). tripped: so many records failed that the configuration is likelier wrong \
                       than the data; the breaker stopped the route before they were committed. Under delivery = \"at-least-once\" \
                       those read since the last commit are delivered by then all the same, and come again."
                .into(),
            to_do: "Read last_setback of the route in /health, or the last error of the route in the log: it names what is \
                    wrong and what to do. Mend it and start the process again; records wait in their topic meanwhile, so \
                    mind its retention."
                .into(),
        },
        Alert {
            name: "PointsmanRouteNotReady",
            expr: "max by (job, instance, route) (pointsman_route_state{state=~\"starting|recovering|draining\"})\n== 1".into(),
            hold: "5m",
            severity: Severity::Warning,
            route: None,
            summary: "Route {{ $labels.route }} at {{ $labels.instance }} has not been flowing for five minutes".into(),
            happened: "The worker waits for its environment: a broker, the registry or a database does not answer. No record \
                       is dead-lettered for that; the worker tries again, with pauses, until it can go on."
                .into(),
            to_do: "Read last_setback of the route in /health: it names the service. When that is back the route goes on by \
                    itself."
                .into(),
        },
    ]
}

fn progress_alerts() -> Vec<Alert> {
    vec![
        Alert {
            name: "PointsmanCollectorWaits",
            expr: "min by (job, instance, collector) (pointsman_collector_ready)\n== 0".into(),
            hold: "2m",
            severity: Severity::Critical,
            route: None,
            summary: "Collector {{ $labels.collector }} at {{ $labels.instance }} takes no events".into(),
            happened: "Its broker, topic or registry does not answer: requests are answered with 503 and Retry-After. What \
                       its senders do not keep is lost to them."
                .into(),
            to_do: "Read /health of the process, or the collector's last line in the log: it names what it waits for. When \
                    that is back the collector goes on by itself."
                .into(),
        },
        Alert {
            name: "PointsmanRecordsOld",
            expr: "max by (job, route) (pointsman_oldest_unprocessed_seconds)\n> 300".into(),
            hold: "5m",
            severity: Severity::Warning,
            route: None,
            summary: "Route {{ $labels.route }} holds a record that is {{ $value | humanizeDuration }} old".into(),
            happened: "The oldest record that was read and is not committed is older than five minutes, by its own timestamp. \
                       Records come faster than they leave, or a commit hangs; a replay of old records looks the same."
                .into(),
            to_do: "On the route's dashboard: does lag grow? Commits that take long point to the destination (locks, disk, \
                    an index that is missing). Batches that take long point to this process: raise `workers` up to the \
                    topic's partitions, or run more processes."
                .into(),
        },
        Alert {
            name: "PointsmanNoProgress",
            expr: "sum by (job, route) (pointsman_lag_records)\n> 0\nand on (job, route)\nsum by (job, route) \
                   (rate(pointsman_records_total[5m]))\n== 0"
                .into(),
            hold: "5m",
            severity: Severity::Critical,
            route: None,
            summary: "Route {{ $labels.route }} has {{ $value }} records before it and commits none".into(),
            happened: "Records wait and no outcome has been committed for ten minutes, whatever the route's state says: \
                       a transaction of somebody else that is left open in the topic, a destination that hangs, or a \
                       worker that does."
                .into(),
            to_do: "Look at the route in /health and in the log. For a topic that other transactional producers write to, \
                    look for one that has stopped in the middle of a transaction. If nothing is told, start the process \
                    again: it goes on from the committed positions."
                .into(),
        },
        Alert {
            name: "PointsmanOutboxStuck",
            expr: "sum by (job, route) (min_over_time(pointsman_outbox_records[10m]))\n> 0\nand on (job, route)\n\
                   sum by (job, route) (delta(pointsman_outbox_records[10m]))\n>= 0"
                .into(),
            hold: "5m",
            severity: Severity::Warning,
            route: None,
            summary: "{{ $value }} dead letters of route {{ $labels.route }} or more wait in the outbox".into(),
            happened: "Dead letters of a table route stand in pointsman_outbox, committed with their rows, and are not relayed \
                       to their topic, or are made faster than they are relayed. None is lost."
                .into(),
            to_do: "See that the dead-letter topic exists, that the process may write to it, and that it takes records of \
                    this size; the log says what the broker answered."
                .into(),
        },
        Alert {
            name: "PointsmanRecordsLost",
            expr: "sum by (job, route) (increase(pointsman_lost_records_total[15m]))\n> 0".into(),
            hold: "0m",
            severity: Severity::Critical,
            route: None,
            summary: "Route {{ $labels.route }} passed over {{ $value }} records that its topic no longer holds".into(),
            happened: "Retention dropped records before the route had read them, and on_position_lost = \"earliest\" went on \
                       after the gap."
                .into(),
            to_do: "The log names topic, partition and offsets. Fetch the gap from its producer or a copy; raise the topic's \
                    retention, or give the route more workers."
                .into(),
        },
        Alert {
            name: "PointsmanRetries",
            expr: "sum by (job, route, cause) (increase(pointsman_retries_total[15m]))\n> 10".into(),
            hold: "5m",
            severity: Severity::Warning,
            route: None,
            summary: "Route {{ $labels.route }} meets setbacks again and again: {{ $labels.cause }}".into(),
            happened: "More than ten setbacks in a quarter of an hour, each followed by a new try from the committed \
                       positions. Nothing is lost, but work is done over and again."
                .into(),
            to_do: "cause says where to look: broker, registry, database; fenced: two processes have the same --instance, or \
                    workers are so slow that their group takes their partitions away; refused: a topic \
                    does not take some records, which become dead letters: their codes say why."
                .into(),
        },
    ]
}

fn for_one_route(about: &About) -> Vec<Alert> {
    let (route, name) = (about.matcher(), &about.name);
    let share = about.breaker.map_or(DEAD_LETTER_SHARE, |share| share / 2.0);
    let records = |matchers: &str| format!("sum by (job) (increase(pointsman_records_total{{{matchers}}}[10m]))");
    let dead = format!("{route},outcome=\"dead-lettered\"");
    vec![
        Alert {
            name: "PointsmanRouteMissing",
            expr: format!("absent(pointsman_route_state{{{route}}})"),
            hold: "5m",
            severity: Severity::Critical,
            route: Some(name.clone()),
            summary: format!("No process runs route {name}"),
            happened: "routes.toml has this route, and no process that Prometheus scrapes tells of it: none runs, `--only` \
                       leaves it out, or Prometheus does not find the process."
                .into(),
            to_do: "Start a process with this route, or write the rules again with `pointsman dashboards` if the route is \
                    gone for good."
                .into(),
        },
        Alert {
            name: "PointsmanDeadLetters",
            expr: format!(
                "{}\n/ on (job)\n{}\n> {share}\nand on (job)\n{}\n>= 10",
                records(&dead),
                records(&route),
                records(&dead)
            ),
            hold: "5m",
            severity: Severity::Warning,
            route: Some(name.clone()),
            summary: format!("{{{{ $value | humanizePercentage }}}} of the records of route {name} become dead letters"),
            happened: format!(
                "More than {} of the last ten minutes' records could not be delivered. Where they are: {}.",
                percent(share),
                about.dead_letters
            ),
            to_do: "The dashboard shows their codes, the letters say field and message. One code alone is mostly a producer \
                    that changed its records, or a rule that does not fit them; mend it and replay the letters."
                .into(),
        },
    ]
}

fn percent(share: f64) -> String {
    format!("{}%", (share * 1000.0).round() / 10.0)
}

fn group(text: &mut String, name: &str, alerts: &[Alert]) {
    let mut line = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).and_then(|()| text.write_char('\n')).expect("a String takes everything");
    };
    line(format_args!("  - name: {}", quoted(name)));
    line(format_args!("    rules:"));
    for alert in alerts {
        line(format_args!("      - alert: {}", alert.name));
        line(format_args!("        expr: |"));
        for part in alert.expr.lines() {
            line(format_args!("          {part}"));
        }
        line(format_args!("        for: {}", alert.hold));
        line(format_args!("        labels:"));
        line(format_args!("          severity: {}", alert.severity.name()));
        if let Some(route) = &alert.route {
            line(format_args!("          route: {}", quoted(route)));
        }
        line(format_args!("        annotations:"));
        line(format_args!("          summary: {}", quoted(&alert.summary)));
        for (name, words) in [("what_happened", &alert.happened), ("what_to_do", &alert.to_do)] {
            line(format_args!("          {name}: >-"));
            for folded in lines(words) {
                line(format_args!("            {folded}"));
            }
        }
    }
}

impl Severity {
    const fn name(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
        }
    }
}

/// Words as lines, which YAML's folded style puts together again.
fn lines(words: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.len() + word.len() > WIDTH {
            lines.push(word.to_owned());
            continue;
        }
        let space = if line.is_empty() { "" } else { " " };
        let _ = write!(line, "{space}{word}"); // a String takes everything
    }
    lines
}

/// A YAML string: YAML reads JSON's as they stand.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
