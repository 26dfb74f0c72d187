//! The status page: one HTML document without scripts, which reloads itself.

use super::collectors;
use crate::telemetry::{CollectorView, RouteView, State};
use jiff::Timestamp;
use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1d2733}\
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.35rem .7rem;border-bottom:1px solid #d9e0e7}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.flowing{color:#12713c}.standing,.tripped{color:#b3261e;font-weight:600}\
.recovering,.draining,.starting{color:#8a5a00}.stopped,small{color:#5c6b7a}code{background:#f0f3f6;padding:0 .25rem}";

pub(super) fn html(board: &[RouteView], collectors: &[CollectorView], started: Timestamp) -> String {
    let now = Timestamp::now();
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5>\
         <meta name=viewport content=\"width=device-width\"><title>Pointsman</title><style>{STYLE}</style>\
         <h1>Pointsman</h1><p><small>version {}, started {started:.0}, now {now:.0} · <a href=/metrics>metrics</a> · \
         <a href=/health>health</a> · <a href=/ready>ready</a></small>",
        env!("CARGO_PKG_VERSION"),
    );
    page.push_str(
        "<table><thead><tr><th>Route<th>State<th>Since<th class=n>Consumed<th class=n>Delivered<th class=n>Filtered\
         <th class=n>Dead-lettered<th class=n>Lag<th class=n>Oldest, s<th class=n>Outbox</tr></thead><tbody>",
    );
    for r in board {
        row(&mut page, r, now);
    }
    page.push_str("</tbody></table>");
    page.push_str(&collectors::table(collectors, escaped));
    if board.is_empty() && collectors.is_empty() {
        page.push_str("<p>No route has been started yet.");
    }
    for r in board {
        troubles(&mut page, r);
    }
    page.push_str("</html>\n");
    page
}

fn row(page: &mut String, r: &RouteView, now: Timestamp) {
    let (state, counts) = (r.state().name(), r.counts);
    let _ = write!(
        page,
        "<tr><td>{}<td class={state}>{state}<td>{:.0}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}\
         <td class=n>{:.1}<td class=n>{}</tr>",
        escaped(&r.name),
        r.since(),
        counts.consumed(),
        counts.delivered,
        counts.filtered,
        counts.dead_lettered,
        r.lag.values().sum::<u64>(),
        r.oldest_unprocessed(now),
        r.outbox(),
    );
}

/// The route's cases, why it does not flow, and its dead letters by code.
fn troubles(page: &mut String, r: &RouteView) {
    let held_up = r.setback.as_ref().filter(|_| !matches!(r.state(), State::Flowing | State::Stopped));
    let awaited = r.awaited().filter(|_| matches!(r.state(), State::Starting | State::Recovering));
    if held_up.is_none()
        && awaited.is_none()
        && r.failures.is_empty()
        && r.rule_warnings.is_empty()
        && r.cases.is_empty()
    {
        return;
    }
    let _ = write!(page, "<h2>{}</h2>", escaped(&r.name));
    if let Some(a) = awaited {
        let _ = write!(page, "<p>waits for {} since {:.0}", escaped(&a.what), a.since);
    }
    if let Some(s) = held_up {
        let state = r.state().name();
        let _ = write!(page, "<p class={state}>{}: {}", escaped(s.cause), escaped(&s.message));
        if !s.help.is_empty() {
            let _ = write!(page, "<p>{}", escaped(&s.help));
        }
        let _ = write!(page, "<p><small>attempt {}, {:.0}</small>", s.attempt, s.at);
    }
    let cases = r.cases.iter().map(|(name, c)| (format!("case {name}"), c.consumed()));
    let failures = r.failures.iter().map(|((stage, code), n)| (format!("dead letters, {stage}/{code}"), *n));
    let warnings = r.rule_warnings.iter().map(|(rule, n)| (format!("warnings of rule {rule}"), *n));
    page.push_str("<table>");
    for (what, n) in cases.chain(failures).chain(warnings) {
        let _ = write!(page, "<tr><td>{}<td class=n>{n}</tr>", escaped(&what));
    }
    page.push_str("</table>");
}

/// Text as HTML shows it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        failure::{Cause, Setback, Stage},
        telemetry::{CaseCounts, Example, FailureCount, Telemetry},
    };
    use std::time::Duration;

    #[test]
    fn the_page_shows_counts_troubles_and_no_markup_from_outside() {
        let telemetry = Telemetry::new();
        let route = telemetry.route("orders", &[""]);
        let counts = [CaseCounts { case: Some(0), delivered: 41, filtered: 1, dead_lettered: 2 }];
        let failures = [FailureCount {
            case: Some(0),
            stage: Stage::Decode,
            code: "bad-date",
            count: 2,
            example: Example::default(),
        }];
        route.committed(counts, failures, Duration::ZERO);
        let undecoded = [CaseCounts { case: None, delivered: 0, filtered: 0, dead_lettered: 1 }];
        route.committed(undecoded, [], Duration::ZERO);
        let standing = Setback::stand(Cause::Database, "no table <orders>", "run `pointsman apply`");
        route.worker(0).setback(&standing, 1, Duration::ZERO);
        let page = html(&telemetry.board(), &telemetry.collectors(), telemetry.started());
        for part in
            ["<td class=standing>standing", ">45<", "decode/bad-date", "no table &lt;orders&gt;", "pointsman apply"]
        {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        assert!(!page.contains("case otherwise"), "it has no cases: {page}");
    }
}
