//! Grafana's JSON: dashboards as rows of panels, laid out from left to right.

use crate::telemetry::State;
use serde_json::{Value, json};

/// Grafana's grid is so many columns wide.
const COLUMNS: u64 = 24;
/// The version of the dashboard's JSON: Grafana 10 and later read it as it stands, earlier ones are not supported.
const SCHEMA_VERSION: u64 = 39;
/// What a dashboard is known by as one of ours.
pub(super) const TAG: &str = "pointsman";
pub(super) const GENERATED: &str = "Written by `pointsman dashboards` from routes.toml: changes made here are lost.";

pub(super) struct Dashboard {
    /// At most 40 characters of letters, digits, `-` and `_`; stays the same, so that links do.
    pub uid: String,
    pub title: String,
    pub rows: Vec<Row>,
}

/// A heading and the panels below it.
pub(super) struct Row {
    pub title: &'static str,
    pub panels: Vec<Panel>,
}

pub(super) struct Panel {
    title: String,
    description: &'static str,
    kind: Kind,
    unit: Unit,
    queries: Vec<Query>,
    width: u64,
    height: u64,
}

struct Query {
    expr: String,
    legend: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Lines over time.
    Lines,
    /// Areas upon each other: parts of a whole.
    Stacked,
    /// The last value, large.
    Stat,
    /// States over time, as bars.
    States,
    /// Markdown, which stands in the description.
    Text,
}

/// How Grafana writes a value.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Count,
    PerSecond,
    Seconds,
    Bytes,
    Share,
    /// A state by its number in [`State::ALL`]'s order of severity.
    State,
}

impl Unit {
    const fn grafana(self) -> &'static str {
        match self {
            Unit::Count => "short",
            Unit::PerSecond => "cps",
            Unit::Seconds => "s",
            Unit::Bytes => "bytes",
            Unit::Share => "percentunit",
            Unit::State => "none",
        }
    }
}

impl Panel {
    pub(super) fn lines(title: &str, unit: Unit, description: &'static str) -> Panel {
        Panel::new(Kind::Lines, title, unit, description, (8, 8))
    }

    pub(super) fn stacked(title: &str, unit: Unit, description: &'static str) -> Panel {
        Panel::new(Kind::Stacked, title, unit, description, (8, 8))
    }

    pub(super) fn stat(title: &str, unit: Unit, description: &'static str) -> Panel {
        Panel::new(Kind::Stat, title, unit, description, (4, 4))
    }

    pub(super) fn states(title: &str, description: &'static str) -> Panel {
        Panel::new(Kind::States, title, Unit::State, description, (24, 8))
    }

    pub(super) fn text(markdown: String) -> Panel {
        Panel::new(Kind::Text, &markdown, Unit::Count, "", (24, 4))
    }

    fn new(kind: Kind, title: &str, unit: Unit, description: &'static str, (width, height): (u64, u64)) -> Panel {
        Panel { title: title.to_owned(), description, kind, unit, queries: Vec::new(), width, height }
    }

    /// Adds a query; `legend` names its series by their labels: `{{route}}`.
    pub(super) fn query(mut self, expr: impl Into<String>, legend: &'static str) -> Panel {
        self.queries.push(Query { expr: expr.into(), legend });
        self
    }

    pub(super) fn width(mut self, columns: u64) -> Panel {
        self.width = columns;
        self
    }

    fn json(&self, id: u64, x: u64, y: u64) -> Value {
        let mut panel = json!({
            "id": id,
            "type": self.kind.grafana(),
            "gridPos": { "h": self.height, "w": self.width, "x": x, "y": y },
        });
        if self.kind == Kind::Text {
            panel["options"] = json!({ "mode": "markdown", "content": self.title });
            return panel;
        }
        let targets = self.queries.iter().enumerate().map(|(i, q)| {
            json!({
                "refId": char::from(b'A' + i as u8).to_string(),
                "datasource": datasource(),
                "expr": q.expr,
                "legendFormat": q.legend,
                "range": true,
            })
        });
        panel["title"] = json!(self.title);
        panel["description"] = json!(self.description);
        panel["datasource"] = datasource();
        panel["fieldConfig"] = json!({ "defaults": self.field(), "overrides": [] });
        panel["options"] = self.kind.options();
        panel["targets"] = targets.collect();
        panel
    }

    fn field(&self) -> Value {
        let mut field = json!({ "unit": self.unit.grafana(), "noValue": "none" });
        match self.unit {
            Unit::State => field["mappings"] = state_mappings(),
            Unit::Share => (field["min"], field["max"]) = (json!(0), json!(1)),
            _ => field["min"] = json!(0),
        }
        match self.kind {
            Kind::Lines => field["custom"] = json!({ "fillOpacity": 5, "showPoints": "never" }),
            Kind::Stacked => {
                field["custom"] = json!({ "fillOpacity": 30, "showPoints": "never", "stacking": { "mode": "normal" } });
            }
            Kind::States => field["custom"] = json!({ "fillOpacity": 80, "lineWidth": 0 }),
            Kind::Stat | Kind::Text => {}
        }
        field
    }
}

impl Kind {
    const fn grafana(self) -> &'static str {
        match self {
            Kind::Lines | Kind::Stacked => "timeseries",
            Kind::Stat => "stat",
            Kind::States => "state-timeline",
            Kind::Text => "text",
        }
    }

    fn options(self) -> Value {
        match self {
            Kind::Stat => json!({
                "reduceOptions": { "calcs": ["lastNotNull"] }, "colorMode": "value", "graphMode": "area",
            }),
            Kind::States => json!({ "mergeValues": true, "showValue": "auto", "legend": { "showLegend": false } }),
            _ => json!({
                "legend": { "displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"] },
                "tooltip": { "mode": "multi", "sort": "desc" },
            }),
        }
    }
}

impl Dashboard {
    /// The dashboard as Grafana imports and provisions it.
    pub(super) fn json(&self) -> Value {
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": GENERATED,
            "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION,
            "editable": true,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": { "from": "now-1h", "to": "now" },
            "timezone": "browser",
            "links": [{
                "type": "dashboards", "title": "Routes", "tags": [TAG], "asDropdown": true,
                "includeVars": true, "keepTime": true,
            }],
            "templating": { "list": variables() },
            "panels": self.panels(),
        })
    }

    fn panels(&self) -> Vec<Value> {
        let (mut panels, mut y) = (Vec::new(), 0);
        for row in &self.rows {
            let id = panels.len() as u64 + 1;
            panels.push(json!({
                "id": id, "type": "row", "title": row.title, "collapsed": false, "panels": [],
                "gridPos": { "h": 1, "w": COLUMNS, "x": 0, "y": y },
            }));
            y += 1;
            let (mut x, mut tallest) = (0, 0);
            for panel in &row.panels {
                if x + panel.width > COLUMNS {
                    (x, y, tallest) = (0, y + tallest, 0);
                }
                panels.push(panel.json(panels.len() as u64 + 1, x, y));
                x += panel.width;
                tallest = tallest.max(panel.height);
            }
            y += tallest;
        }
        panels
    }
}

fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// Which Prometheus, which of its jobs (one for each installation), which processes.
fn variables() -> Value {
    let labels = |name: &str, query: &str| {
        json!({
            "name": name, "label": name, "type": "query", "datasource": datasource(),
            "query": { "query": query, "refId": "variable" },
            "refresh": 2, "sort": 1, "includeAll": true, "multi": true, "allValue": ".+",
            "current": { "text": "All", "value": "$__all" },
        })
    };
    json!([
        { "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus" },
        labels("job", "label_values(pointsman_build_info, job)"),
        labels("instance", "label_values(pointsman_build_info{job=~\"$job\"}, instance)"),
    ])
}

/// The states by what needs a person more: their numbers on dashboards.
pub(super) fn states() -> impl Iterator<Item = (usize, State)> {
    let mut states = State::ALL;
    states.sort();
    states.into_iter().enumerate()
}

fn state_mappings() -> Value {
    let colour = |state: State| match state {
        State::Stopped => "text",
        State::Flowing => "green",
        State::Starting | State::Draining => "blue",
        State::Recovering => "orange",
        State::Standing | State::Tripped => "red",
    };
    let options = states().map(|(number, state)| {
        (number.to_string(), json!({ "text": state.name(), "color": colour(state), "index": number }))
    });
    json!([{ "type": "value", "options": options.collect::<serde_json::Map<_, _>>() }])
}
