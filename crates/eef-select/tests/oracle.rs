//! EEF's selection against a naive oracle, written from the paper's formulas alone.
//!
//! The oracle knows no state keys and no index: a trajectory contains a state where its task and
//! its first actions are equal, compared one by one. `PROPTEST_CASES` raises the number of cases.

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use common::{expert, rollout, task};
use eef_core::{TaskId, Trajectory, TrajectoryId};
use eef_select::{AnchorSchedule, EefSelection, Exploration, Repository, TieBreak};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// The paper, word by word.
mod oracle {
    use super::*;

    pub type State = (TaskId, Vec<String>);
    /// Solutions, and the first trained action of each.
    pub type Trained = Vec<(TrajectoryId, usize)>;

    fn prefix(trajectory: &Trajectory, n: usize) -> State {
        let actions = trajectory.steps[..n].iter().map(|step| step.action.as_str().to_owned());
        (trajectory.task.clone(), actions.collect())
    }

    pub fn simulated(expert: &Trajectory, m_max: usize) -> Vec<usize> {
        let length = expert.steps.len();
        if length < m_max + 1 {
            return (1..length).collect();
        }
        let l = length / (m_max + 1);
        (1..=m_max).map(|m| m * l).collect()
    }

    /// `R(τ_s)` of this round, found by looking at every rollout.
    fn reward(state: &State, explored: &[(State, Option<Arc<Trajectory>>)]) -> Option<bool> {
        let (_, rollout) = explored.iter().find(|(start, _)| start == state)?;
        rollout.as_ref().map(|rollout| rollout.outcome.reward.get() == 1.0)
    }

    fn get_traj(state: &State, positives: &[Arc<Trajectory>]) -> Option<TrajectoryId> {
        let mut best: Option<&Trajectory> = None;
        for candidate in positives {
            let contains =
                candidate.steps.len() > state.1.len() && prefix(candidate, state.1.len()) == *state;
            if contains && best.is_none_or(|best| cost(candidate) < cost(best)) {
                best = Some(candidate);
            }
        }
        best.map(|best| best.id)
    }

    fn cost(trajectory: &Trajectory) -> (usize, i64, usize, TrajectoryId) {
        let expert = match &trajectory.origin {
            eef_core::Origin::Expert { .. } => trajectory.steps.len(),
            eef_core::Origin::Rollout { parent, .. } => parent.map_or(0, |parent| parent.n_actions),
        };
        let round = i64::from(trajectory.origin.round());
        (expert, -round, trajectory.steps.len(), trajectory.id)
    }

    /// `D_{s_0}`, `D_r` and `|S_r|`.
    pub fn select(
        tasks: &[TaskId],
        experts: &[Arc<Trajectory>],
        explored: &[(State, Option<Arc<Trajectory>>)],
        positives: &[Arc<Trajectory>],
        m_max: usize,
    ) -> (Trained, Trained, usize) {
        let initial = tasks
            .iter()
            .filter_map(|task| get_traj(&(task.clone(), vec![]), positives).map(|id| (id, 0)))
            .collect();
        let mut need_recover: Vec<State> = Vec::new();
        for expert in experts {
            let indices = simulated(expert, m_max);
            let mut previous = 0;
            for i in indices {
                let before = reward(&prefix(expert, previous), explored);
                let now = reward(&prefix(expert, i), explored);
                if before == Some(true) && now == Some(false) {
                    let state = prefix(expert, i);
                    if !need_recover.contains(&state) {
                        need_recover.push(state);
                    }
                    break;
                }
                previous = i;
            }
        }
        let recoveries = need_recover
            .iter()
            .filter_map(|state| get_traj(state, positives).map(|id| (id, state.1.len())))
            .collect();
        (initial, recoveries, need_recover.len())
    }

    pub fn state(expert: &Trajectory, n: usize) -> State {
        prefix(expert, n)
    }
}

const ACTIONS: [&str; 2] = ["go", "turn"];

#[derive(Debug, Clone)]
struct Case {
    n_simulations: usize,
    /// Task, actions, won.
    experts: Vec<(u32, Vec<usize>, bool)>,
    /// Continuations of this round's rollouts: actions, and whether won (`None`: no outcome).
    rollouts: Vec<(Vec<usize>, Option<bool>)>,
    /// Earlier rounds: expert, share of it replayed, actions, round, won.
    earlier: Vec<(prop::sample::Index, prop::sample::Index, Vec<usize>, u32, bool)>,
}

fn case() -> impl Strategy<Value = Case> {
    let experts = vec((0..2_u32, vec(0..2_usize, 0..12), any::<bool>()), 1..6);
    let outcome = prop_oneof![1 => Just(None), 8 => any::<bool>().prop_map(Some)];
    let rollouts = vec((vec(0..2_usize, 0..4), outcome), 40);
    let any_index = any::<prop::sample::Index>;
    let earlier =
        vec((any_index(), any_index(), vec(0..2_usize, 0..6), 1..3_u32, any::<bool>()), 0..8);
    (0..6_usize, experts, rollouts, earlier).prop_map(
        |(n_simulations, experts, rollouts, earlier)| Case {
            n_simulations,
            experts,
            rollouts,
            earlier,
        },
    )
}

fn words(actions: &[usize]) -> Vec<&'static str> {
    actions.iter().map(|&action| ACTIONS[action]).collect()
}

#[test]
fn selection_equals_the_naive_oracle() {
    let (initial, recoveries, unsolved) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let result = TestRunner::default().run(&case(), |case| {
        let tasks = [task(0), task(1)];
        let experts: Vec<Arc<Trajectory>> = (case.experts.iter().enumerate())
            .map(|(i, (index, actions, won))| {
                expert(&format!("expert {i}"), task(*index), &words(actions), *won)
            })
            .collect();
        let exploration = Exploration {
            tasks: &tasks,
            experts: &experts,
            schedule: AnchorSchedule::Floor,
            n_simulations: case.n_simulations,
        };

        // This round: one rollout from every state to simulate, which the oracle lists itself.
        let mut starts: Vec<(Arc<Trajectory>, usize)> =
            (0..2).map(|index| (expert("none", task(index), &[], false), 0)).collect();
        for expert in &experts {
            for at in oracle::simulated(expert, case.n_simulations) {
                let known = |(other, n): &(Arc<Trajectory>, usize)| {
                    oracle::state(other, *n) == oracle::state(expert, at)
                };
                if !starts.iter().any(known) {
                    starts.push((Arc::clone(expert), at));
                }
            }
        }
        let simulated: Vec<_> = starts[2..].iter().map(|(expert, at)| (expert.id, *at)).collect();
        let from_library: Vec<_> = (exploration.simulated_states().iter())
            .map(|state| (state.expert, state.n_actions))
            .collect();
        prop_assert_eq!(from_library, simulated);

        let explored: Vec<_> = (starts.iter().zip(case.rollouts.iter().cycle()).enumerate())
            .map(|(i, ((parent, at), (actions, won)))| {
                let name = format!("rollout {i}");
                let rollout = won.map(|won| rollout(&name, parent, *at, &words(actions), 3, won));
                (oracle::state(parent, *at), rollout)
            })
            .collect();
        let mut positives: Vec<Arc<Trajectory>> = experts.clone();
        for (i, (which, share, actions, round, won)) in case.earlier.iter().enumerate() {
            let parent = which.get(&experts);
            let n_replayed = share.index(parent.n_actions() + 1);
            let name = format!("earlier {i}");
            positives.push(rollout(&name, parent, n_replayed, &words(actions), *round, *won));
        }
        positives.extend(explored.iter().filter_map(|(_, rollout)| rollout.clone()));
        positives.retain(|trajectory| trajectory.outcome.reward.get() == 1.0);

        let won = (starts.iter().zip(&explored))
            .filter_map(|((parent, at), (_, rollout))| {
                let rollout = rollout.as_ref()?;
                Some((parent.state_keys()[*at], rollout.is_positive()))
            })
            .collect::<BTreeMap<_, _>>();
        let repository = Repository::new(positives.iter().map(AsRef::as_ref));
        let selection = EefSelection::select(&exploration.important_states(&won), |state| {
            Ok::<_, Infallible>(repository.get_traj(state, TieBreak::Newest))
        })
        .unwrap();

        let found = |solutions: &[eef_select::Solution]| -> Vec<_> {
            solutions.iter().map(|solution| (solution.trajectory, solution.train_from)).collect()
        };
        let expected = oracle::select(&tasks, &experts, &explored, &positives, case.n_simulations);
        initial.set(initial.get() + expected.0.len());
        recoveries.set(recoveries.get() + expected.1.len());
        unsolved.set(unsolved.get() + expected.2 - expected.1.len());
        prop_assert_eq!(found(&selection.initial), expected.0);
        prop_assert_eq!(found(&selection.recoveries), expected.1);
        prop_assert_eq!(selection.n_need_recover, expected.2);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    // A comparison of nothing proves nothing.
    assert!(initial.get() > 0 && recoveries.get() > 0 && unsolved.get() > 0);
}
