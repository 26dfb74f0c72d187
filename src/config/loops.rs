//! Loops that lead through several routes: what one writes another reads, and so on back to the first.

use super::{
    context::Context,
    plan::Route,
    problem::{Place, Problem},
};
use std::collections::{BTreeSet, VecDeque};

/// A topic that a route writes to.
pub(super) struct Write {
    pub topic: String,
    pub place: Place,
    /// What it writes there, in words.
    pub what: &'static str,
}

/// A route with what it writes, its own loops left out.
pub(super) struct Link<'a> {
    route: &'a Route,
    writes: &'a [Write],
}

impl Link<'_> {
    /// How records come from this route to the next.
    fn to(&self, next: &Link<'_>) -> Option<&Write> {
        self.writes.iter().find(|w| next.route.topics.contains(&w.topic))
    }
}

/// Tells each loop once, with all its topics and routes.
pub(super) fn check(cx: &Context<'_>, routes: &[(Route, Place, Vec<Write>)]) {
    let links: Vec<Link<'_>> = routes.iter().map(|(route, _, writes)| Link { route, writes }).collect();
    let mut told = BTreeSet::new();
    for first in 0..links.len() {
        let Some(round) = shortest(&links, first) else { continue };
        if told.insert(round.iter().copied().collect::<BTreeSet<usize>>()) {
            cx.report(problem(&links, &round));
        }
    }
}

/// The shortest way from a route through others back to itself, as their indexes in order.
fn shortest(links: &[Link<'_>], first: usize) -> Option<Vec<usize>> {
    let mut from: Vec<Option<usize>> = vec![None; links.len()];
    let mut open = VecDeque::from([first]);
    while let Some(at) = open.pop_front() {
        for next in (0..links.len()).filter(|next| *next != at) {
            if links[at].to(&links[next]).is_none() {
                continue;
            }
            if next == first {
                let mut round: Vec<usize> = std::iter::successors(Some(at), |i| from[*i]).collect();
                round.reverse();
                return Some(round);
            }
            if from[next].is_none() {
                from[next] = Some(at);
                open.push_back(next);
            }
        }
    }
    None
}

/// The last write of the round is where it closes; the others stand beside it.
fn problem(links: &[Link<'_>], round: &[usize]) -> Problem {
    let hops = round.iter().zip(round.iter().cycle().skip(1));
    let hops: Vec<(&str, &Write)> =
        hops.filter_map(|(a, b)| Some((links[*a].route.name.as_str(), links[*a].to(&links[*b])?))).collect();
    let start = hops.last().map_or("", |(_, w)| w.topic.as_str());
    let mut way = format!("`{start}`");
    for (route, write) in &hops {
        way.push_str(&format!(" → route `{route}` → `{}`", write.topic));
    }
    let words = |(route, write): &(&str, &Write)| format!("{} of `{route}`", write.what);
    let closing = hops.last().map(|hop| (hop.1.place, words(hop)));
    let mut problem =
        Problem::error("loop", closing.as_ref().map(|(place, _)| *place), format!("records go round for ever: {way}"))
            .label(closing.map_or(String::new(), |(_, words)| words))
            .help("let one of these routes write to a topic that none of the others reads");
    for hop in &hops[..hops.len().saturating_sub(1)] {
        problem = problem.also(hop.1.place, words(hop));
    }
    problem
}
