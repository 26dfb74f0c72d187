//! A compiled route: what [`Program::process`](super::Program::process) runs, and how it is made from the plan.

use super::{
    Target,
    decode::Decoder,
    emit::{Emit, compile_emit},
    outcomes::Spare,
    tombstone::Tombstones,
};
use crate::{
    codec::{Layout, Scanner},
    config::{Branch, Destination, Enricher, Format, Lane, Otherwise, Route},
    expr::{BoolExpr, Places, RawExpr, WriteExpr},
    schema::{NodeId, Schema},
};
use bumpalo::Bump;
use std::{ops::Range, sync::Arc};

pub struct Program {
    pub(super) format: Format,
    pub(super) where_raw: Option<RawExpr>,
    pub(super) lanes: Vec<LaneProgram>,
    pub(super) tombstones: Tombstones,
    pub(super) otherwise: Unmatched,
    pub(super) targets: Arc<[Target]>,
    pub(super) cases: Vec<String>,
    /// Names of the rules that only warn, as `Outcomes::warned` counts them.
    pub(super) warnings: Vec<String>,
    pub(super) scratch: Scratch,
    pub(super) spare: Arc<Spare>,
}

/// What becomes of a record that no case took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmatched {
    DeadLetter,
    Filter,
    Apart,
}

pub(super) struct LaneProgram {
    pub when_raw: Option<RawExpr>,
    pub decoder: Decoder,
    pub scanner: Scanner,
    pub filter: Option<BoolExpr>,
    pub rules: Vec<RuleProgram>,
    pub sets: Vec<SetProgram>,
    pub branches: Vec<BranchProgram>,
}

pub(super) struct RuleProgram {
    pub name: String,
    pub check: BoolExpr,
    pub message: String,
    /// For a rule that only warns, its index in `Program::warnings`.
    pub warning: Option<usize>,
}

pub(super) struct SetProgram {
    pub field: String,
    pub value: WriteExpr,
}

pub(super) struct BranchProgram {
    pub case: u16,
    pub when: Option<BoolExpr>,
    pub sets: Vec<SetProgram>,
    pub emits: Vec<Emit>,
}

/// Buffers of one record's journey, kept so that the next record allocates nothing.
#[derive(Default)]
pub(super) struct Scratch {
    pub slots: Vec<u32>,
    pub item: Vec<u32>,
    /// Avro bytes of the values set so far, where each begins behind its union's index, and its whole range.
    pub added: Vec<u8>,
    pub added_at: Vec<u32>,
    pub added_range: Vec<Range<u32>>,
    pub value: Vec<u8>,
    pub bump: Bump,
}

impl Program {
    /// Compiles a route. `ids` has, for each of the route's [`destinations`], the registry's id of its schema
    /// (anything for JSON topics and tables).
    ///
    /// # Errors
    /// In words, when a destination's schema cannot take the record's: `check` finds that first.
    pub fn compile(route: &Route, ids: &[u32]) -> Result<Program, String> {
        let mut targets = Vec::new();
        let mut cases = Vec::new();
        let mut warnings = Vec::new();
        let mut lanes = Vec::new();
        for lane in &route.lanes {
            lanes.push(compile_lane(route, lane, ids, &mut targets, &mut cases, &mut warnings)?);
        }
        Ok(Program {
            format: route.format,
            where_raw: route.where_raw.as_ref().map(|e| e.lower()),
            lanes,
            tombstones: Tombstones::compile(route),
            otherwise: match route.otherwise {
                Otherwise::DeadLetter => Unmatched::DeadLetter,
                Otherwise::Filter => Unmatched::Filter,
                Otherwise::Apart(_) => Unmatched::Apart,
            },
            targets: targets.into(),
            cases,
            warnings,
            scratch: Scratch::default(),
            spare: Arc::default(),
        })
    }

    /// The destinations, as rows number them.
    pub fn targets(&self) -> Arc<[Target]> {
        self.targets.clone()
    }

    /// The cases' names, as verdicts number them; one empty name for a route without cases.
    pub fn cases(&self) -> &[String] {
        &self.cases
    }

    /// Names of the rules that only warn, as the outcomes count them.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// A route's destinations in the order in which a program numbers them.
pub fn destinations(route: &Route) -> impl Iterator<Item = &Destination> {
    route.lanes.iter().flat_map(|l| &l.branches).flat_map(|b| &b.destinations)
}

fn compile_lane(
    route: &Route,
    lane: &Lane,
    ids: &[u32],
    targets: &mut Vec<Target>,
    cases: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Result<LaneProgram, String> {
    let schema = &lane.validator.schema;
    let mut layout = Layout::new(schema.clone(), schema.root());
    let mut places = Places { body: &mut layout, item: None };
    let filter = lane.filter.as_ref().map(|e| e.lower_bool(&mut places));
    let rules = lane.validator.rules.iter().map(|rule| RuleProgram {
        name: rule.name.clone(),
        check: rule.check.lower_bool(&mut places),
        message: rule.message.clone().unwrap_or_else(|| format!("`{}` is false", rule.source)),
        warning: rule.warn.then(|| {
            warnings.push(rule.name.clone());
            warnings.len() - 1
        }),
    });
    let rules = rules.collect();
    let sets = compile_sets(&lane.enrichers, &mut layout);
    let mut branches = Vec::new();
    for branch in &lane.branches {
        branches.push(compile_branch(route, branch, ids, &mut layout, targets, cases)?);
    }
    Ok(LaneProgram {
        when_raw: lane.when_raw.as_ref().map(|e| e.lower()),
        decoder: Decoder::compile(route.format, &lane.validator),
        scanner: layout.build(),
        filter,
        rules,
        sets,
        branches,
    })
}

fn compile_branch(
    route: &Route,
    branch: &Branch,
    ids: &[u32],
    layout: &mut Layout,
    targets: &mut Vec<Target>,
    cases: &mut Vec<String>,
) -> Result<BranchProgram, String> {
    let case = cases.len() as u16;
    cases.push(branch.name.clone());
    let when = branch.when.as_ref().map(|e| e.lower_bool(&mut Places { body: layout, item: None }));
    let sets = compile_sets(&branch.enrichers, layout);
    let mut emits = Vec::new();
    for destination in &branch.destinations {
        let id = ids.get(targets.len()).copied().unwrap_or_default();
        let emit = compile_emit(destination, &branch.view, id, layout, targets)
            .map_err(|why| format!("route {}: {why}", route.name))?;
        emits.push(emit);
    }
    Ok(BranchProgram { case, when, sets, emits })
}

fn compile_sets(enrichers: &[Enricher], layout: &mut Layout) -> Vec<SetProgram> {
    let mut places = Places { body: layout, item: None };
    let sets = enrichers.iter().flat_map(|e| &e.sets);
    sets.map(|set| SetProgram {
        field: set.field.clone(),
        value: set.value.lower_write(&mut places, &set.schema, set.schema.root()),
    })
    .collect()
}

/// The branch of a nullable union that is not null, or the type itself.
pub(super) fn value_node(schema: &Schema, node: NodeId) -> NodeId {
    schema.nullable(node).map_or(node, |(_, _, value)| value)
}
