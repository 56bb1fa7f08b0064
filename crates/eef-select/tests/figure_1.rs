//! The paper's Figure 1, as it is drawn and told in section 3.2.
//!
//! A failed expert trajectory, simulated from `s_0`, `s_l`, `s_2l` and `s_3l`; the policy wins from
//! `s_l` and `s_3l` only.

mod common;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use common::{expert, id, rollout, task};
use eef_core::{StateKey, Trajectory};
use eef_select::{AnchorSchedule, EefSelection, Exploration, Reason, Repository, TieBreak};

const L: usize = 2;
const EXPERT: [&str; 8] = ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"];

struct Figure {
    expert: Arc<Trajectory>,
    rollouts: Vec<(usize, Arc<Trajectory>)>,
}

fn figure() -> Figure {
    let expert = expert("expert", task(0), &EXPERT, false);
    let rollouts = [(0, "τ_s0", false), (L, "τ_sl", true), (2 * L, "τ_s2l", false)]
        .into_iter()
        .chain([(3 * L, "τ_s3l", true)])
        .map(|(from, name, won)| (from, rollout(name, &expert, from, &["b0", "b1"], 2, won)))
        .collect();
    Figure { expert, rollouts }
}

#[test]
fn the_figure_is_selected_as_the_paper_tells_it() {
    let Figure { expert, rollouts } = figure();
    let exploration = Exploration {
        tasks: &[task(0)],
        experts: std::slice::from_ref(&expert),
        schedule: AnchorSchedule::Floor,
        n_simulations: 3,
    };
    let simulated: Vec<usize> =
        exploration.simulated_states().iter().map(|state| state.n_actions).collect();
    assert_eq!(simulated, [L, 2 * L, 3 * L]);

    let keys = expert.state_keys();
    let won: BTreeMap<StateKey, bool> =
        rollouts.iter().map(|(from, rollout)| (keys[*from], rollout.is_positive())).collect();
    let important = exploration.important_states(&won);
    assert_eq!(important.len(), 2);
    assert_eq!((important[0].state, important[0].reason), (keys[0], Reason::Initial));
    // i* = 2l: it wins from s_l and fails from s_2l.
    assert_eq!((important[1].state, important[1].n_actions), (keys[2 * L], 2 * L));
    assert_eq!(important[1].reason, Reason::NeedRecover { expert: expert.id });

    let repository = Repository::new(rollouts.iter().map(|(_, rollout)| rollout.as_ref()));
    let selection = EefSelection::select(&important, |state| {
        Ok::<_, Infallible>(repository.get_traj(state, TieBreak::Newest))
    })
    .unwrap();
    // s_0: τ_{s_l} beats τ_{s_3l}, for it has fewer expert actions. All of it is trained.
    let [initial] = selection.initial[..] else { panic!("{selection:?}") };
    assert_eq!((initial.state, initial.trajectory, initial.train_from), (keys[0], id("τ_sl"), 0));
    // s_2l: only τ_{s_3l} contains it; a_0 … a_{2l-1} are context.
    let [recovery] = selection.recoveries[..] else { panic!("{selection:?}") };
    assert_eq!(
        (recovery.state, recovery.trajectory, recovery.train_from),
        (keys[2 * L], id("τ_s3l"), 2 * L)
    );
    assert_eq!(selection.n_need_recover, 1);
    assert_eq!(selection.solutions().count(), 2);
}

#[test]
fn a_state_to_recover_from_without_a_solution_is_counted_and_not_trained() {
    let Figure { expert, rollouts } = figure();
    let exploration = Exploration {
        tasks: &[task(0)],
        experts: std::slice::from_ref(&expert),
        schedule: AnchorSchedule::Floor,
        n_simulations: 3,
    };
    let keys = expert.state_keys();
    let won = rollouts.iter().map(|(from, _)| (keys[*from], *from == L)).collect();
    let repository = Repository::new([rollouts[1].1.as_ref()]);
    let important = exploration.important_states(&won);
    let selection = EefSelection::select(&important, |state| {
        Ok::<_, Infallible>(repository.get_traj(state, TieBreak::Newest))
    })
    .unwrap();
    assert_eq!((selection.n_need_recover, selection.recoveries.len()), (1, 0));
}
