//! What the pages tell of collectors.

use crate::telemetry::CollectorView;
use serde_json::{Value, json};
use std::fmt::Write;

/// Why a collector answers 503 at the moment.
pub(super) fn waiting(collectors: &[CollectorView]) -> Vec<String> {
    let waits = |c: &CollectorView| Some(format!("collector {} waits ({})", c.name, c.waits.as_ref()?.message));
    collectors.iter().filter_map(waits).collect()
}

/// Adds the collectors to what /health answers.
pub(super) fn report(health: &mut Value, collectors: &[CollectorView]) {
    if collectors.is_empty() {
        return;
    }
    let one = |c: &CollectorView| {
        json!({
            "name": c.name,
            "url": c.url,
            "topic": c.topic,
            "state": if c.waits.is_none() { "open" } else { "waiting" },
            "since": c.since.to_string(),
            "events": { "accepted": c.accepted, "refused": c.refused, "unacknowledged": c.unacknowledged },
            "waits_for": c.waits.as_ref().map(|s| json!({ "cause": s.cause.name(), "message": s.message, "help": s.help })),
        })
    };
    health["collectors"] = collectors.iter().map(one).collect();
    if collectors.iter().any(|c| c.waits.is_some()) {
        health["status"] = "degraded".into();
    }
}

/// A table for the status page; nothing where there are none.
pub(super) fn table(collectors: &[CollectorView], escaped: impl Fn(&str) -> String) -> String {
    let mut page = String::new();
    if collectors.is_empty() {
        return page;
    }
    page.push_str(
        "<table><thead><tr><th>Collector<th>State<th>Since<th>Address<th>Topic<th class=n>Accepted<th class=n>Refused\
         <th class=n>Unacknowledged</tr></thead><tbody>",
    );
    for c in collectors {
        let (class, state) = match &c.waits {
            None => ("flowing", "open".to_owned()),
            Some(s) => ("recovering", format!("waiting: {} {}", s.message, s.help)),
        };
        // Writing to a String does not fail.
        let _ = write!(
            page,
            "<tr><td>{}<td class={class}>{}<td>{:.0}<td>{}<td>{}<td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            escaped(&c.name),
            escaped(&state),
            c.since,
            escaped(&c.url),
            escaped(&c.topic),
            c.accepted,
            c.refused,
            c.unacknowledged,
        );
    }
    page.push_str("</tbody></table>");
    page
}
