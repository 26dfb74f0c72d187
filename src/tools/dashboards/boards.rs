//! What is looked at: an overview of all routes, and a dashboard for each.

use super::{
    about::{About, label},
    grafana::{Dashboard, Panel, Row, Unit, states},
};
use crate::config::Collector;

const NOW: &str = "Now";
const RANGE: &str = "[$__rate_interval]";

/// A metric's series of the processes that were chosen, with further matchers.
fn series(metric: &str, matchers: &str) -> String {
    let comma = if matchers.is_empty() { "" } else { "," };
    format!("{metric}{{job=~\"$job\",instance=~\"$instance\"{comma}{matchers}}}")
}

fn rate(by: &str, metric: &str, matchers: &str) -> String {
    format!("sum by ({by}) (rate({}{RANGE}))", series(metric, matchers))
}

fn worst(by: &str, metric: &str, matchers: &str) -> String {
    format!("max by ({by}) ({})", series(metric, matchers))
}

fn total(by: &str, metric: &str, matchers: &str) -> String {
    format!("sum by ({by}) ({})", series(metric, matchers))
}

fn quantile(q: f64, by: &str, metric: &str, matchers: &str) -> String {
    let by = if by.is_empty() { "le".to_owned() } else { format!("le, {by}") };
    format!("histogram_quantile({q}, {})", rate(&by, &format!("{metric}_bucket"), matchers))
}

fn quantiles(panel: Panel, metric: &str, matchers: &str) -> Panel {
    [(0.5, "half are below"), (0.95, "95%"), (0.99, "99%")]
        .into_iter()
        .fold(panel, |p, (q, legend)| p.query(quantile(q, "", metric, matchers), legend))
}

/// The dead letters among all records.
fn share(by: &str, matchers: &str) -> String {
    let dead = [matchers, "outcome=\"dead-lettered\""].iter().filter(|m| !m.is_empty()).copied().collect::<Vec<_>>();
    format!(
        "{} / {}",
        rate(by, "pointsman_records_total", &dead.join(",")),
        rate(by, "pointsman_records_total", matchers)
    )
}

/// A route's state as a number: of several processes the worst.
fn state(matchers: &str) -> String {
    let comma = if matchers.is_empty() { "" } else { "," };
    let numbers = states().map(|(number, state)| {
        format!(
            "{} * {number}",
            series("pointsman_route_state", &format!("{matchers}{comma}state=\"{}\"", state.name()))
        )
    });
    format!("max by (route) ({})", numbers.collect::<Vec<_>>().join(" or "))
}

pub(super) fn overview(app: &str, uid: String) -> Dashboard {
    let rows = vec![
        Row { title: NOW, panels: overview_stats() },
        Row {
            title: "Routes",
            panels: vec![
                Panel::states("State", "Of several processes the worst state counts.").query(state(""), "{{route}}"),
            ],
        },
        Row { title: "Records", panels: overview_records() },
        Row { title: "Behind", panels: overview_behind() },
        Row { title: "Environment", panels: overview_environment() },
    ];
    Dashboard { uid, title: format!("Pointsman / {app} / Overview"), rows }
}

fn overview_stats() -> Vec<Panel> {
    let processes = series("pointsman_build_info", "");
    let troubled = total("", "pointsman_route_state", "state=~\"recovering|standing|tripped\"");
    vec![
        Panel::stat("Processes", Unit::Count, "Processes that answer, by version.")
            .query(format!("count by (version) ({processes})"), "{{version}}"),
        Panel::stat("Troubled", Unit::Count, "Routes that recover, stand or are tripped, summed over processes.")
            .query(troubled, "routes"),
        Panel::stat("Records", Unit::PerSecond, "Committed records of every outcome.")
            .query(rate("", "pointsman_records_total", ""), "records"),
        Panel::stat("Dead letters", Unit::PerSecond, "Committed dead letters.")
            .query(rate("", "pointsman_records_total", "outcome=\"dead-lettered\""), "dead letters"),
        Panel::stat("Lag", Unit::Count, "Records between the committed positions and the partitions' ends.")
            .query(total("", "pointsman_lag_records", ""), "records"),
        Panel::stat("Oldest", Unit::Seconds, "Age of the oldest record that was read and is not committed.")
            .query(worst("", "pointsman_oldest_unprocessed_seconds", ""), "age"),
    ]
}

fn overview_records() -> Vec<Panel> {
    vec![
        Panel::lines("Records by route", Unit::PerSecond, "Committed records of every outcome.")
            .query(rate("route", "pointsman_records_total", ""), "{{route}}"),
        Panel::stacked(
            "Records by outcome",
            Unit::PerSecond,
            "Delivered, filtered, dead-lettered: they add up to what was consumed.",
        )
        .query(rate("outcome", "pointsman_records_total", ""), "{{outcome}}"),
        Panel::lines("Share of dead letters", Unit::Share, "Dead letters among the committed records.")
            .query(share("route", ""), "{{route}}"),
    ]
}

fn overview_behind() -> Vec<Panel> {
    vec![
        Panel::lines(
            "Oldest unprocessed",
            Unit::Seconds,
            "By the record's own timestamp: a replay of old records is old.",
        )
        .query(worst("route", "pointsman_oldest_unprocessed_seconds", ""), "{{route}}"),
        Panel::lines("Lag", Unit::Count, "Records between the committed positions and the partitions' ends.")
            .query(total("route", "pointsman_lag_records", ""), "{{route}}"),
        Panel::lines("End to end, 99%", Unit::Seconds, "From a record's timestamp to the commit of its outcome.")
            .query(quantile(0.99, "route", "pointsman_end_to_end_seconds", ""), "{{route}}"),
    ]
}

fn overview_environment() -> Vec<Panel> {
    vec![
        Panel::lines("Retries", Unit::PerSecond, "Setbacks of the environment, by what did not do its part.")
            .query(rate("route, cause", "pointsman_retries_total", ""), "{{route}}: {{cause}}"),
        Panel::lines("Rebalances", Unit::PerSecond, "Assignments and revocations of partitions.")
            .query(rate("route", "pointsman_rebalances_total", ""), "{{route}}"),
        Panel::lines("Buffered", Unit::Bytes, "Bytes of records that workers hold.")
            .query(total("route", "pointsman_buffered_bytes", ""), "{{route}}"),
    ]
}

pub(super) fn route(app: &str, about: &About, uid: String) -> Dashboard {
    let own = about.matcher();
    let rows = vec![
        Row { title: "Route", panels: vec![Panel::text(about.markdown())] },
        Row { title: NOW, panels: route_stats(&own) },
        Row { title: "Records", panels: route_records(about, &own) },
        Row { title: "Behind", panels: route_behind(&own) },
        Row { title: "Batches and commits", panels: route_batches(&own) },
        Row { title: "Environment", panels: route_environment(about, &own) },
    ];
    Dashboard { uid, title: format!("Pointsman / {app} / {}", about.name), rows }
}

fn route_stats(own: &str) -> Vec<Panel> {
    vec![
        Panel::stat("State", Unit::State, "Of several processes the worst state counts.").query(state(own), "state"),
        Panel::stat("Oldest", Unit::Seconds, "Age of the oldest record that was read and is not committed.")
            .query(worst("", "pointsman_oldest_unprocessed_seconds", own), "age"),
        Panel::stat("Lag", Unit::Count, "Records between the committed positions and the partitions' ends.")
            .query(total("", "pointsman_lag_records", own), "records"),
        Panel::stat("Records", Unit::PerSecond, "Committed records of every outcome.")
            .query(rate("", "pointsman_records_total", own), "records"),
        Panel::stat("Share of dead letters", Unit::Share, "Dead letters among the committed records.")
            .query(share("", own), "share"),
        Panel::stat(
            "Lost",
            Unit::Count,
            "Records that their topic dropped before the route had read them, since the processes began.",
        )
        .query(total("", "pointsman_lost_records_total", own), "records"),
    ]
}

fn route_records(about: &About, own: &str) -> Vec<Panel> {
    let mut panels = vec![
        Panel::stacked(
            "Records by outcome",
            Unit::PerSecond,
            "Delivered, filtered, dead-lettered: they add up to what was consumed.",
        )
        .query(rate("outcome", "pointsman_records_total", own), "{{outcome}}"),
        Panel::stacked(
            "Dead letters by code",
            Unit::PerSecond,
            "README's reference says what each code means; a rule's code is its name.",
        )
        .query(rate("stage, code", "pointsman_failures_total", own), "{{stage}}/{{code}}"),
    ];
    if about.cases {
        panels.push(
            Panel::stacked("Delivered by case", Unit::PerSecond, "`otherwise` is what no case took.")
                .query(rate("case", "pointsman_records_total", &format!("{own},outcome=\"delivered\"")), "{{case}}"),
        );
    }
    if about.warns {
        panels.push(
            Panel::lines(
                "Rules that only warn",
                Unit::PerSecond,
                "Records that these rules would refuse if they did more than warn.",
            )
            .query(rate("rule", "pointsman_rule_warnings_total", own), "{{rule}}"),
        );
    }
    if about.json {
        panels.push(
            Panel::lines(
                "Unknown fields",
                Unit::PerSecond,
                "JSON fields that the schema does not have: a producer is ahead of it.",
            )
            .query(rate("", "pointsman_unknown_fields_total", own), "fields"),
        );
    }
    let width = if panels.len() == 2 || panels.len() == 4 { 12 } else { 8 };
    panels.into_iter().map(|p| p.width(width)).collect()
}

fn route_behind(own: &str) -> Vec<Panel> {
    vec![
        Panel::lines(
            "Oldest unprocessed",
            Unit::Seconds,
            "By the record's own timestamp: a replay of old records is old.",
        )
        .query(worst("instance", "pointsman_oldest_unprocessed_seconds", own), "{{instance}}"),
        Panel::stacked(
            "Lag by partition",
            Unit::Count,
            "Records between the committed position and the partition's end.",
        )
        .query(worst("topic, partition", "pointsman_lag_records", own), "{{topic}}/{{partition}}"),
        quantiles(
            Panel::lines("End to end", Unit::Seconds, "From a record's timestamp to the commit of its outcome."),
            "pointsman_end_to_end_seconds",
            own,
        ),
    ]
}

fn route_batches(own: &str) -> Vec<Panel> {
    let mean = format!(
        "{} / {}",
        rate("", "pointsman_batch_records_sum", own),
        rate("", "pointsman_batch_records_count", own)
    );
    let panels = vec![
        quantiles(
            Panel::lines(
                "Commit",
                Unit::Seconds,
                "From settling what a transaction wrote to the answer of its commit.",
            ),
            "pointsman_commit_seconds",
            own,
        ),
        quantiles(
            Panel::lines("Batch", Unit::Seconds, "Processing of one batch, without I/O."),
            "pointsman_batch_seconds",
            own,
        ),
        Panel::lines(
            "Records in a batch",
            Unit::Count,
            "The mean. Small ones under lag: the destination is not what holds it up.",
        )
        .query(mean, "records"),
        Panel::stacked("Buffered", Unit::Bytes, "Bytes of records that the workers hold.")
            .query(total("instance", "pointsman_buffered_bytes", own), "{{instance}}"),
    ];
    panels.into_iter().map(|p| p.width(6)).collect()
}

fn route_environment(about: &About, own: &str) -> Vec<Panel> {
    let states = format!("max by (instance, state) ({} == 1)", series("pointsman_route_state", own));
    let mut panels = vec![
        Panel::stacked("State by process", Unit::Count, "How many processes are in each state.")
            .query(format!("count by (state) ({states})"), "{{state}}"),
        Panel::lines("Retries", Unit::PerSecond, "Setbacks of the environment, by what did not do its part.")
            .query(rate("cause", "pointsman_retries_total", own), "{{cause}}"),
        Panel::lines("Rebalances", Unit::PerSecond, "Assignments and revocations of partitions.")
            .query(rate("", "pointsman_rebalances_total", own), "rebalances"),
    ];
    if about.outbox {
        panels.push(
            Panel::lines("Outbox", Unit::Count, "Dead letters that are committed and not yet relayed to their topic.")
                .query(total("", "pointsman_outbox_records", own), "dead letters"),
        );
    }
    let width = if about.outbox { 6 } else { 8 };
    panels.into_iter().map(|p| p.width(width)).collect()
}

pub(super) fn collector(app: &str, collector: &Collector, uid: String) -> Dashboard {
    let own = label("collector", &collector.name);
    let about = format!(
        "**{}** takes events at `{}` and writes them to topic `{}`, once `{}` has judged them.",
        collector.name, collector.path, collector.topic, collector.validator.name
    );
    let rows = vec![
        Row { title: "Collector", panels: vec![Panel::text(about)] },
        Row { title: NOW, panels: collector_stats(&own) },
        Row { title: "Events and requests", panels: collector_events(&own) },
    ];
    Dashboard { uid, title: format!("Pointsman / {app} / Collector {}", collector.name), rows }
}

fn collector_stats(own: &str) -> Vec<Panel> {
    vec![
        Panel::stat("Ready", Unit::Count, "Processes that take events; the others wait for broker, topic or registry.")
            .query(total("", "pointsman_collector_ready", own), "processes"),
        Panel::stat("Events", Unit::PerSecond, "Events of every outcome.")
            .query(rate("", "pointsman_collector_events_total", own), "events"),
        Panel::stat("Buffered", Unit::Bytes, "Bytes of requests that are being read or wait for the brokers.")
            .query(total("", "pointsman_collector_buffered_bytes", own), "bytes"),
    ]
}

fn collector_events(own: &str) -> Vec<Panel> {
    let panels = vec![
        Panel::stacked("Events by outcome", Unit::PerSecond, "What their senders were told.")
            .query(rate("outcome", "pointsman_collector_events_total", own), "{{outcome}}"),
        Panel::stacked("Refused events by code", Unit::PerSecond, "Their first failure.")
            .query(rate("stage, code", "pointsman_collector_failures_total", own), "{{stage}}/{{code}}"),
        Panel::stacked("Requests by status", Unit::PerSecond, "HTTP statuses of the answers.")
            .query(rate("status", "pointsman_collector_requests_total", own), "{{status}}"),
        quantiles(
            Panel::lines(
                "Answer",
                Unit::Seconds,
                "From a request's head to its answer, the brokers' acknowledgement included.",
            ),
            "pointsman_collector_request_seconds",
            own,
        ),
    ];
    panels.into_iter().map(|p| p.width(12)).collect()
}
