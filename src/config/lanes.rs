//! A route's ways: one lane for each `when_raw` case, or one lane whose branches are told apart by `when`.

use super::{
    destinations::{self, Around, Placed},
    document::{Kind, Value},
    enrichers::{Enrichers, Fields},
    expressions, keys,
    plan::{Branch, Destination, Enricher, Lane, Validator},
    problem::Problem,
    section::{Name, Section, wrong_type},
    unions,
    validators::{self, Validators},
};
use crate::expr::{Env, Typed, View};

/// What the route gives to each of its ways.
pub(super) struct Ways<'a> {
    pub route: &'a Section<'a>,
    pub around: Around<'a>,
    pub validators: &'a Validators,
    pub enrichers: &'a Enrichers<'a>,
    pub json: bool,
}

/// The lanes, and every destination with its place. A lane with problems is left out; they have been reported.
pub(super) fn read(ways: &Ways<'_>) -> (Vec<Lane>, Vec<Placed>) {
    let mut found = Found { lanes: Vec::new(), placed: Vec::new() };
    match cases(ways) {
        None => ways.whole(&mut found),
        Some(cases) if cases.is_empty() => {}
        Some(cases) => {
            check_shared(ways.route, &cases);
            match decided_by(&cases) {
                Some("when_raw") => cases.iter().for_each(|case| ways.raw_case(case, &mut found)),
                Some(_) => ways.typed_cases(&cases, &mut found),
                // Which validator decodes what is not known; names and destinations are checked all the same.
                None => cases.iter().for_each(|case| drop(ways.branch(case, None, &mut found))),
            }
        }
    }
    (found.lanes, found.placed)
}

/// Whether any destination of the route, or of its cases, says what it does with tombstones.
pub(super) fn decide_tombstones(route: &Section<'_>) -> bool {
    let cases = match route.value("cases").map(|v| &v.kind) {
        Some(Kind::Array(cases)) => cases.as_slice(),
        _ => &[],
    };
    let case = |v: &Value| matches!(&v.kind, Kind::Table(case) if destinations::decide_tombstones(case));
    destinations::decide_tombstones(route.table) || cases.iter().any(case)
}

struct Found {
    lanes: Vec<Lane>,
    placed: Vec<Placed>,
}

/// What a validator makes of the record, for whatever comes after it.
struct Decoded {
    validator: Validator,
    fields: Fields,
    enrichers: Vec<Enricher>,
    filter: Option<Typed>,
}

/// The route's cases, each named; `None` where it has none.
fn cases<'a>(ways: &Ways<'a>) -> Option<Vec<Section<'a>>> {
    let route = ways.route;
    let value = route.value("cases")?;
    let Kind::Array(items) = &value.kind else {
        let help = "write `[[routes.NAME.cases]]` for each, with its `name`";
        wrong_type(route.cx, value, "a list of tables", help);
        return Some(Vec::new());
    };
    if items.is_empty() {
        route.cx.report(Problem::error("nothing-to-do", value.place, "`cases` is empty").help("leave it out"));
    }
    let mut cases: Vec<Section<'_>> = Vec::new();
    for item in items {
        let Some(mut case) = Section::of(route.cx, item, "the case", item.place) else { continue };
        case.only(&keys::CASE);
        case.require("name", "write `name = \"…\"`: metrics, tests and pages name the case");
        if let Some(name) = case.name("name") {
            check_case_name(&case, &name, &cases);
            case.what = format!("case `{}`", name.text);
        }
        cases.push(case);
    }
    Some(cases)
}

fn has_destination(holder: &Section<'_>) -> bool {
    holder.value("destination").or(holder.value("destinations")).is_some()
}

/// The route's destination is for the cases without one: where there are none, whoever wrote it takes it for what no case took.
fn check_shared(route: &Section<'_>, cases: &[Section<'_>]) {
    for key in ["destination", "destinations"] {
        // A default holds for the routes that have use for it.
        if route.own(key) && cases.iter().all(has_destination) {
            let message = format!("nothing goes to this `{key}`: each case has its own");
            route.cx.report(
                Problem::error("unused", route.key_place(key), message)
                    .help("what no case took goes where `otherwise` says, as in `otherwise = { topic = \"NAME\" }`; or leave it out"),
            );
        }
    }
}

fn check_case_name(case: &Section<'_>, name: &Name, earlier: &[Section<'_>]) {
    let what = format!("case `{}`", name.text);
    if let Some(first) = earlier.iter().find(|c| c.what == what) {
        let first = first.value("name").map_or(first.place, |v| v.place);
        case.cx.report(
            Problem::error("duplicate-name", name.place, format!("two cases are named `{}`", name.text))
                .also(first, "the first"),
        );
    }
    if name.text.is_empty() || name.text == "otherwise" {
        let message = format!("`{}` cannot be the name of a case", name.text);
        case.cx.report(
            Problem::error("reserved-name", name.place, message)
                .help("`otherwise` counts the records that no case took"),
        );
    }
}

/// `when_raw` or `when`, the same for all cases; `None` after reporting why not.
fn decided_by(cases: &[Section<'_>]) -> Option<&'static str> {
    let mut whole = true;
    for case in cases {
        let message = match (case.value("when_raw"), case.value("when")) {
            (Some(_), Some(_)) => "has both `when_raw` and `when`",
            (None, None) => "has no condition",
            _ => continue,
        };
        whole = false;
        case.cx.report(Problem::error("case-condition", case.place, format!("{} {message}", case.what)).help(
            "write `when_raw = \"…\"` to choose before decoding, or `when = \"…\"` to choose by the decoded fields; \
             what no case took goes where the route's `otherwise` says",
        ));
    }
    let raw = cases.iter().find(|c| c.value("when_raw").is_some());
    let typed = cases.iter().find(|c| c.value("when").is_some());
    if let (Some(raw), Some(typed), true) = (raw, typed, whole) {
        let later =
            if raw.place > typed.place { (raw, "when_raw", typed, "when") } else { (typed, "when", raw, "when_raw") };
        raw.cx.report(
            Problem::error("mixed-cases", later.0.key_place(later.1), "a route's cases are all `when_raw`, or all `when`")
                .also(later.2.key_place(later.3), format!("`{}` here", later.3))
                .help("`when_raw` chooses which validator decodes the record, `when` chooses after one has: make it two routes"),
        );
        return None;
    }
    match (whole, raw.is_some()) {
        (false, _) => None,
        (true, true) => Some("when_raw"),
        (true, false) => Some("when"),
    }
}

impl Ways<'_> {
    /// A route without cases.
    fn whole(&self, found: &mut Found) {
        let decoded = self.decoded(self.route, self.route);
        let placed = self.destinations(self.route, decoded.as_ref().map(|d| (&d.fields, d)));
        let Some(placed) = placed else {
            if ["destination", "destinations"].iter().any(|key| self.route.cx.is_misplaced(self.route.place, key)) {
                return;
            }
            self.route.cx.report(
                Problem::error("nothing-to-do", self.route.place, format!("{} has no destination", self.route.what))
                    .help("write `destination = { topic = \"NAME\" }` or `destination = { database = \"NAME\", table = \"NAME\" }`"),
            );
            return;
        };
        let destinations = taken(&placed);
        found.placed.extend(placed);
        let Some((decoded, destinations)) = decoded.zip(destinations) else { return };
        let branch = Branch {
            name: String::new(),
            when: None,
            enrichers: Vec::new(),
            view: decoded.fields.view.clone(),
            destinations,
        };
        found.lanes.push(decoded.lane(None, vec![branch]));
    }

    /// Each case that is chosen before decoding is a lane of its own, with the route's validator where it has none.
    fn raw_case(&self, case: &Section<'_>, found: &mut Found) {
        let own = case.value("validator").is_some() || case.value("schema").is_some();
        let decoded = self.decoded(if own { case } else { self.route }, case);
        let when = case.value("when_raw").and_then(|v| expressions::raw(case.cx, v, self.json));
        let branch = self.branch(case, decoded.as_ref(), found);
        let Some(((decoded, when), branch)) = decoded.zip(when).zip(branch) else { return };
        found.lanes.push(decoded.lane(Some(when), vec![branch]));
    }

    /// Cases that are chosen after decoding share a lane.
    fn typed_cases(&self, cases: &[Section<'_>], found: &mut Found) {
        for key in ["validator", "schema"] {
            for case in cases.iter().filter(|c| c.value(key).is_some()) {
                case.cx.report(
                    Problem::error("case-validator", case.key_place(key), format!("{} has a `{key}` of its own", case.what))
                        .help("`when` looks at the decoded record, so the route has one validator for all: write it there, or choose by `when_raw`"),
                );
            }
        }
        let decoded = self.decoded(self.route, self.route);
        let mut branches = Vec::new();
        for case in cases {
            let branch = self.branch(case, decoded.as_ref(), found);
            let env = decoded.as_ref().map(|d| Env { view: d.fields.view.clone(), item: None });
            let when = case.value("when").zip(env).and_then(|(v, env)| expressions::condition(case.cx, v, &env, None));
            branches.extend(branch.zip(when).map(|(branch, when)| Branch { when: Some(when), ..branch }));
        }
        if let Some(decoded) = decoded.filter(|_| branches.len() == cases.len()) {
            found.lanes.push(decoded.lane(None, branches));
        }
    }

    /// What a case adds to the decoded record: its enrichers and destinations, or the route's.
    fn branch(&self, case: &Section<'_>, decoded: Option<&Decoded>, found: &mut Found) -> Option<Branch> {
        let after = decoded.and_then(|d| {
            let mut fields = d.fields.clone();
            let enrichers = self.enrichers.apply(case.cx, &case.names("enricher"), &mut fields)?;
            Some((fields, enrichers))
        });
        let holder = if has_destination(case) { case } else { self.route };
        let input = after.as_ref().zip(decoded).map(|((fields, _), d)| (fields, d));
        let Some(placed) = self.destinations(holder, input) else {
            case.cx.report(
                Problem::error("nothing-to-do", case.place, format!("{} has no destination", case.what))
                    .help("write `destination` in the case, or in the route for all cases"),
            );
            return None;
        };
        let destinations = taken(&placed);
        found.placed.extend(placed);
        let (fields, enrichers) = after?;
        let name = case.text("name")?;
        Some(Branch { name, when: None, enrichers, view: fields.view, destinations: destinations? })
    }

    fn destinations(&self, holder: &Section<'_>, input: Option<(&Fields, &Decoded)>) -> Option<Vec<Placed>> {
        let (fields, schema) = input.map(|(f, d)| (f, &d.validator.schema)).unzip();
        destinations::read(holder, &self.around, fields, schema)
    }

    /// Validator, `where` and the route's enrichers. `holder` names the validator, `what` is told if nothing does.
    fn decoded(&self, holder: &Section<'_>, what: &Section<'_>) -> Option<Decoded> {
        let cx = holder.cx;
        let validator = validators::of(holder, what, self.validators, self.around.schemas)?;
        if self.json && !validator.named_unions {
            let named = holder.value("validator").or(holder.value("schema")).map_or(what.place, |v| v.place);
            unions::ambiguous(&validator.schema, named).into_iter().for_each(|p| cx.report(p));
        }
        let mut fields = Fields { view: View::of(&validator.schema), added: 0 };
        let env = Env { view: fields.view.clone(), item: None };
        let filter = self.route.value("where").map(|v| expressions::condition(cx, v, &env, None));
        let enrichers = self.enrichers.apply(cx, &self.route.names("enricher"), &mut fields);
        let filter = match filter {
            Some(checked) => Some(checked?),
            None => None,
        };
        Some(Decoded { validator, fields, enrichers: enrichers?, filter })
    }
}

/// The destinations, if none has problems.
fn taken(placed: &[Placed]) -> Option<Vec<Destination>> {
    let all: Option<Vec<Destination>> = placed.iter().map(|p| p.destination.clone()).collect();
    all.filter(|d| !d.is_empty())
}

impl Decoded {
    fn lane(self, when_raw: Option<crate::expr::RawTyped>, branches: Vec<Branch>) -> Lane {
        Lane { when_raw, validator: self.validator, filter: self.filter, enrichers: self.enrichers, branches }
    }
}
