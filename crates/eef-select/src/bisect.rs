//! Simulations where they tell most (beyond the paper).

use crate::Probe;

/// The next state of an expert trajectory to simulate, as the number of expert actions before it;
/// `None` where no further one is worth it.
///
/// The paper simulates all `M` states of the grid. Two things are read off them: the state where the
/// policy begins to fail (a *fall*, [`first_need_recover`](crate::first_need_recover)), and the
/// earliest one from which it succeeds (a *rise*), whose rollout has the fewest expert actions. Both
/// lie between a state that was won and one that was lost, and halving the way between the two
/// finds them in `log2 M` simulations instead of `M`:
/// - between a success and the failure after it, the middle; the first fall comes first;
/// - between a failure and the success after it, likewise;
/// - where nothing is known to succeed, the middle of the widest gap, for `n_blind` states at most.
///
/// `initial` is this round's rollout from `s_0`, `succeeded` the expert's own outcome: what would
/// come of a rollout from its last state but one, were the policy as good. `probes` are the grid in
/// order, `won` is `None` where a state was not simulated yet. A state that was simulated without an
/// outcome (its replay diverged) is not in the grid.
pub fn next_probe(
    initial: Option<bool>,
    probes: &[Probe],
    succeeded: bool,
    n_blind: usize,
) -> Option<usize> {
    // Where outcomes are known: before the grid, on it, and after it.
    let mut known = vec![(0, initial?)];
    let on_grid = probes.iter().enumerate();
    known.extend(on_grid.filter_map(|(index, probe)| probe.won.map(|won| (index + 1, won))));
    known.push((probes.len() + 1, succeeded));
    let gaps = || known.windows(2).map(|pair| (pair[0], pair[1])).filter(|(a, b)| b.0 - a.0 > 1);
    let middle = |a: usize, b: usize| probes[usize::midpoint(a, b) - 1].n_actions;
    let between = |before: bool, after: bool| {
        gaps().find(|(a, b)| (a.1, b.1) == (before, after)).map(|(a, b)| middle(a.0, b.0))
    };
    if let Some(found) = between(true, false).or_else(|| between(false, true)) {
        return Some(found);
    }
    let n_simulated = known.len() - 2;
    let hopeless = known.iter().all(|(_, won)| !won);
    if !hopeless || n_simulated >= n_blind {
        return None;
    }
    // Of equally wide gaps the later one: nearer to the expert's end there is less left to do.
    gaps().max_by_key(|(a, b)| (b.0 - a.0, b.0)).map(|(a, b)| middle(a.0, b.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::first_need_recover;

    /// Simulates a policy that wins from the states of `truth` until there is nothing to ask.
    fn explore(truth: &[bool], initial: bool, succeeded: bool, n_blind: usize) -> Vec<Probe> {
        let mut probes: Vec<Probe> =
            (1..=truth.len()).map(|n_actions| Probe { n_actions, won: None }).collect();
        while let Some(at) = next_probe(Some(initial), &probes, succeeded, n_blind) {
            assert_eq!(probes[at - 1].won, None, "asked twice");
            probes[at - 1].won = Some(truth[at - 1]);
        }
        probes
    }

    fn n_simulated(probes: &[Probe]) -> usize {
        probes.iter().filter(|probe| probe.won.is_some()).count()
    }

    #[test]
    fn a_fall_is_found_by_halving() {
        let truth = [true, true, true, false, false, false, false];
        let probes = explore(&truth, true, false, 2);
        assert_eq!(first_need_recover(Some(true), &probes), Some(4));
        assert_eq!(n_simulated(&probes), 3);
    }

    #[test]
    fn the_earliest_success_is_found_by_halving() {
        let truth = [false, false, false, false, true, true, true];
        let probes = explore(&truth, false, true, 2);
        assert_eq!((probes[3].won, probes[4].won), (Some(false), Some(true)));
        assert_eq!(n_simulated(&probes), 3);
    }

    #[test]
    fn what_needs_no_help_costs_nothing() {
        assert_eq!(n_simulated(&explore(&[true; 5], true, true, 2)), 0);
        assert_eq!(next_probe(None, &[], true, 2), None, "nothing is known of the start");
        assert_eq!(next_probe(Some(false), &[], false, 2), None, "no state between");
    }

    #[test]
    fn where_nothing_succeeds_only_a_few_are_tried() {
        assert_eq!(n_simulated(&explore(&[false; 5], false, false, 2)), 2);
        assert_eq!(n_simulated(&explore(&[false; 5], false, false, 0)), 0);
        // A success found blindly is followed up: the fall after it, then the rise before it.
        let probes = explore(&[false, true, true, false, false], false, false, 2);
        assert_eq!(
            probes.iter().map(|probe| probe.won).collect::<Vec<_>>(),
            [Some(false), Some(true), Some(true), Some(false), None]
        );
    }

    proptest! {
        /// With one change along the way, halving finds what the whole grid shows.
        #[test]
        fn it_finds_what_the_grid_shows(n in 1_usize..40, at in 0_usize..41, rises: bool) {
            let truth: Vec<bool> = (1..=n).map(|i| (i > at) == rises).collect();
            let initial = !rises;
            let probes = explore(&truth, initial, rises, 0);
            let all: Vec<Probe> = truth.iter().zip(1..)
                .map(|(&won, n_actions)| Probe { n_actions, won: Some(won) }).collect();
            if rises {
                let first = |probes: &[Probe]| probes.iter().position(|probe| probe.won == Some(true));
                prop_assert_eq!(first(&probes), first(&all));
            } else {
                let fall = first_need_recover(Some(initial), &all);
                prop_assert_eq!(first_need_recover(Some(initial), &probes), fall);
            }
            prop_assert!(n_simulated(&probes) <= n.ilog2() as usize + 1);
        }
    }
}
