//! Every order of a few inputs, and the invariants that must hold after each.

use super::flow::{Action, Flow, Input, Patience, State, Why};
use crate::{
    failure::{Cause, Setback},
    record::{Partition, Positions},
};
use std::{
    collections::{BTreeSet, HashSet},
    mem::Discriminant,
    time::{Duration, Instant},
};

fn patience() -> Patience {
    Patience {
        initial: Duration::from_millis(100),
        max: Duration::from_secs(30),
        give_up_after: None,
        commit_interval: Duration::from_millis(100),
        lagging_interval: Duration::from_millis(500),
        drain: Duration::from_secs(10),
    }
}

fn started() -> Flow {
    let now = Instant::now();
    let mut flow = Flow::new(patience(), now);
    assert_eq!(flow.on(Input::Tick, now, 0.5).last(), Some(&Action::Claim(vec![])));
    flow.on(Input::Claimed(Positions::new()), now, 0.5);
    flow
}

fn p(id: i32) -> Partition {
    Partition::new("t", id)
}

fn positions(partitions: &BTreeSet<Partition>) -> Positions {
    partitions.iter().map(|p| (p.clone(), 0)).collect()
}

/// What the worker and the group would hold, followed from the actions alone.
#[derive(Clone, Default)]
struct Model {
    /// The group's view: what it has assigned and not yet taken back.
    owned: BTreeSet<i32>,
    /// Taken back by the group, our answer outstanding.
    owed: BTreeSet<i32>,
    /// Of which the deliverer may have something under way.
    claimed: BTreeSet<i32>,
    commits_out: u32,
    offered: bool,
    ended: bool,
}

impl Model {
    fn follow(&mut self, actions: &[Action], trace: &[&str]) {
        for action in actions {
            if self.ended {
                assert!(matches!(action, Action::Release(_)), "{action:?} after the end: {trace:?}");
            }
            match action {
                Action::Claim(ps) => {
                    for p in ps {
                        assert!(self.owned.contains(&p.id), "claims {p}, which is not ours: {trace:?}");
                        assert!(!self.owed.contains(&p.id), "claims {p}, which it owes the group: {trace:?}");
                    }
                    assert!(!self.offered && self.commits_out == 0, "claims over uncommitted work: {trace:?}");
                    self.claimed = ps.iter().map(|p| p.id).collect();
                }
                Action::Flow(ps) => assert!(ps.keys().all(|p| self.owned.contains(&p.id)), "{trace:?}"),
                Action::Commit => {
                    assert!(self.offered, "commits nothing: {trace:?}");
                    self.commits_out += 1;
                    self.offered = false;
                    assert_eq!(self.commits_out, 1, "two commits at once: {trace:?}");
                }
                Action::Abort => {
                    self.claimed.clear();
                    self.commits_out = 0;
                    self.offered = false;
                }
                Action::Release(ps) => {
                    for p in ps {
                        assert!(self.owed.remove(&p.id), "releases {p} twice: {trace:?}");
                        assert!(!self.claimed.contains(&p.id), "releases {p}, which is claimed: {trace:?}");
                    }
                }
                Action::End => {
                    // Closing the consumer answers the group for everything.
                    self.ended = true;
                    self.owed.clear();
                    self.owned.clear();
                    self.claimed.clear();
                }
                Action::Discard | Action::Pause => {}
            }
        }
    }
}

const INPUTS: [&str; 14] = [
    "assign 0",
    "assign 1",
    "revoke 0",
    "revoke all",
    "lose all",
    "offer",
    "claimed",
    "exhausted",
    "committed",
    "fail",
    "fenced",
    "fail for good",
    "later",
    "stop",
];

/// Applies an input where the outside world could give it; `false` where it could not.
fn apply(name: &'static str, flow: &mut Flow, model: &mut Model, now: &mut Instant, trace: &[&str]) -> bool {
    let mut take = |ids: Vec<i32>| -> Option<Vec<Partition>> {
        let ids: Vec<i32> = ids.into_iter().filter(|i| model.owned.contains(i) && !model.owed.contains(i)).collect();
        model.owed.extend(&ids);
        model.owned.retain(|i| !ids.contains(i));
        (!ids.is_empty()).then(|| ids.into_iter().map(p).collect())
    };
    let input = match name {
        "revoke 0" => take(vec![0]).map(Input::Revoked),
        "revoke all" => take(vec![0, 1]).map(Input::Revoked),
        "lose all" => take(vec![0, 1]).map(Input::Lost),
        // The group gives a partition only when it does not wait for our answer about any.
        "assign 0" | "assign 1" => {
            let id = i32::from(name == "assign 1");
            let free = !model.ended && model.owed.is_empty() && model.owned.insert(id);
            free.then(|| Input::Assigned(vec![p(id)]))
        }
        "offer" => flow.flowing().then(|| {
            model.offered = true;
            Input::Offered { full: false }
        }),
        "exhausted" => flow.flowing().then_some(Input::Exhausted),
        "claimed" => (*flow.state() == State::Claiming).then(|| Input::Claimed(positions(flow.assigned()))),
        "committed" => (model.commits_out > 0).then(|| {
            model.commits_out -= 1;
            Input::Committed
        }),
        "fail" => Some(Input::Failed(Setback::retry(Cause::Database, "down"))),
        "fenced" => Some(Input::Failed(Setback::retry(Cause::Fenced, "another owner"))),
        "fail for good" => Some(Input::Failed(Setback::stand(Cause::Database, "no table", "create it"))),
        "later" => {
            *now += Duration::from_secs(60);
            Some(Input::Tick)
        }
        _ => Some(Input::Stop),
    };
    let Some(input) = input else { return false };
    let actions = flow.on(input, *now, 0.5);
    model.follow(&actions, trace);
    true
}

/// Goes on from here with every input, `left` more of them, and counts the states that are reached.
fn every_order(
    (flow, model, now): (&Flow, &Model, Instant),
    left: usize,
    trace: &mut Vec<&'static str>,
    reached: &mut HashSet<Discriminant<State>>,
) {
    reached.insert(std::mem::discriminant(flow.state()));
    // Whatever happened, time alone answers the group: a drain ends at its deadline.
    let (mut rest, mut model_later) = (flow.clone(), model.clone());
    let actions = rest.on(Input::Tick, now + Duration::from_secs(60), 0.5);
    model_later.follow(&actions, trace);
    assert!(model_later.owed.is_empty(), "{:?} never released: {trace:?}", model_later.owed);
    if left == 0 {
        return;
    }
    for name in INPUTS {
        let (mut flow, mut model, mut now) = (flow.clone(), model.clone(), now);
        trace.push(name);
        if apply(name, &mut flow, &mut model, &mut now, trace) {
            every_order((&flow, &model, now), left - 1, trace, reached);
        }
        trace.pop();
    }
}

#[test]
fn every_order_of_seven_inputs_keeps_the_invariants() {
    let mut reached = HashSet::new();
    every_order((&started(), &Model::default(), Instant::now()), 7, &mut Vec::new(), &mut reached);
    assert_eq!(reached.len(), 6, "Flowing, Claiming, Recovering, Draining, Standing and Ended are all reached");
}

#[test]
fn a_drain_commits_what_was_offered_after_the_last_order() {
    let now = Instant::now();
    let mut flow = started();
    flow.on(Input::Assigned(vec![p(0)]), now, 0.5);
    flow.on(Input::Claimed(positions(&[p(0)].into())), now, 0.5);
    flow.on(Input::Offered { full: false }, now, 0.5);
    let tick = now + Duration::from_millis(200);
    assert_eq!(flow.on(Input::Tick, tick, 0.5), [Action::Commit]);
    flow.on(Input::Offered { full: false }, tick, 0.5);
    assert_eq!(flow.on(Input::Revoked(vec![p(0)]), tick, 0.5), [Action::Discard, Action::Pause]);
    assert_eq!(flow.on(Input::Committed, tick, 0.5), [Action::Commit], "the second batch is committed too");
    let given_up = flow.on(Input::Committed, tick, 0.5);
    assert!(given_up.contains(&Action::Release(vec![p(0)])), "{given_up:?}");
    assert_eq!(*flow.state(), State::Claiming);
}

#[test]
fn a_lagging_route_commits_less_often_until_a_batch_is_not_full() {
    let now = Instant::now();
    let after = |ms| now + Duration::from_millis(ms);
    let mut flow = started();
    flow.on(Input::Assigned(vec![p(0)]), now, 0.5);
    flow.on(Input::Claimed(positions(&[p(0)].into())), now, 0.5);
    flow.on(Input::Offered { full: true }, now, 0.5);
    assert_eq!(flow.on(Input::Tick, after(499), 0.5), []);
    assert_eq!(flow.on(Input::Tick, after(500), 0.5), [Action::Commit]);
    flow.on(Input::Committed, after(510), 0.5);
    flow.on(Input::Offered { full: true }, after(510), 0.5);
    assert_eq!(flow.on(Input::Tick, after(610), 0.5), []);
    flow.on(Input::Offered { full: false }, after(610), 0.5);
    assert_eq!(flow.on(Input::Tick, after(610), 0.5), [Action::Commit]);
}

#[test]
fn being_fenced_and_refused_records_claim_at_once_and_other_setbacks_back_off_up_to_the_maximum() {
    let now = Instant::now();
    let mut flow = started();
    flow.on(Input::Assigned(vec![p(0)]), now, 0.0);
    for (attempt, cause) in [(1, Cause::Fenced), (2, Cause::Refused)] {
        flow.on(Input::Failed(Setback::retry(cause, "another owner, or a record at fault")), now, 1.0);
        assert_eq!(*flow.state(), State::Recovering { at: now, attempt });
    }
    let mut last = Duration::ZERO;
    for _ in 0..20 {
        flow.on(Input::Failed(Setback::retry(Cause::Broker, "unreachable")), now, 1.0);
        let State::Recovering { at, .. } = flow.state() else { panic!("{:?}", flow.state()) };
        assert!(at.duration_since(now) >= last);
        last = at.duration_since(now);
    }
    assert_eq!(last, Duration::from_secs(30));
}

#[test]
fn a_setback_that_only_a_person_can_help_stands_and_a_later_failure_does_not_wake_it() {
    let now = Instant::now();
    let mut flow = started();
    flow.on(Input::Assigned(vec![p(0)]), now, 0.0);
    let missing = Setback::stand(Cause::Database, "table x is missing", "create it");
    flow.on(Input::Failed(missing.clone()), now, 0.0);
    flow.on(Input::Failed(Setback::retry(Cause::Database, "down")), now, 0.0);
    let help = "create it; then start the process again".to_owned();
    assert_eq!(*flow.state(), State::Standing(Setback { help, ..missing }));
    assert_eq!(flow.on(Input::Revoked(vec![p(0)]), now, 0.0), [Action::Discard, Action::Release(vec![p(0)])]);
}

#[test]
fn a_second_stop_leaves_at_once() {
    let now = Instant::now();
    let mut flow = started();
    flow.on(Input::Assigned(vec![p(0)]), now, 0.0);
    flow.on(Input::Claimed(positions(&[p(0)].into())), now, 0.0);
    flow.on(Input::Offered { full: false }, now, 0.0);
    assert_eq!(flow.on(Input::Stop, now, 0.0), [Action::Discard, Action::Pause, Action::Commit]);
    assert!(matches!(flow.state(), State::Draining { why: Why::Stop, .. }));
    assert_eq!(flow.on(Input::Stop, now, 0.0), [Action::Discard, Action::Abort, Action::End]);
    assert!(flow.ended());
}

#[test]
fn failures_that_records_could_flow_between_are_no_row_of_failures() {
    let patience = Patience { give_up_after: Some(Duration::from_secs(600)), ..patience() };
    let mut now = Instant::now();
    let mut flow = Flow::new(patience, now);
    let down = || Input::Failed(Setback::retry(Cause::Broker, "unreachable"));
    let recovers = |flow: &mut Flow, now: Instant| {
        flow.on(Input::Tick, now + patience.max, 0.5);
        flow.on(Input::Claimed(Positions::new()), now + patience.max, 0.5);
        assert_eq!(*flow.state(), State::Flowing);
    };
    recovers(&mut flow, now);
    // A quiet topic: a moment's outage each hour, and never a commit between them.
    for _ in 0..5 {
        now += Duration::from_secs(3600);
        flow.on(Input::Tick, now, 0.5);
        flow.on(down(), now, 0.5);
        assert!(matches!(flow.state(), State::Recovering { attempt: 1, .. }), "{:?}", flow.state());
        recovers(&mut flow, now);
    }
    // Flowing for a moment only is no end of it.
    now += Duration::from_secs(3600);
    let first = now;
    while now - first < Duration::from_secs(600) {
        flow.on(Input::Tick, now, 0.5);
        flow.on(down(), now, 0.5);
        assert!(matches!(flow.state(), State::Recovering { .. }), "after {:?}: {:?}", now - first, flow.state());
        recovers(&mut flow, now);
        now += patience.max + Duration::from_secs(15);
    }
    flow.on(down(), now, 0.5);
    assert!(matches!(flow.state(), State::Standing(_)), "{:?}", flow.state());
}

#[test]
fn what_is_the_last_does_not_wait_for_its_commit() {
    let now = Instant::now();
    let mut flow = started();
    flow.on(Input::Assigned(vec![p(0)]), now, 0.5);
    flow.on(Input::Claimed(positions(&[p(0)].into())), now, 0.5);
    flow.on(Input::Offered { full: false }, now, 0.5);
    assert_eq!(flow.on(Input::Exhausted, now, 0.5), [Action::Commit]);
    flow.on(Input::Offered { full: false }, now, 0.5);
    assert_eq!(flow.on(Input::Exhausted, now, 0.5), [], "one commit at a time");
}
