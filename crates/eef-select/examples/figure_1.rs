//! The paper's Figure 1: what EEF trains on after four simulations along a failed trajectory.
//!
//! `cargo run -p eef-select --example figure_1`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::collections::BTreeMap;
use std::convert::Infallible;

use eef_core::{
    Action, Author, EpisodeEnd, Observation, Origin, Outcome, Parent, Reward, Split, Step, TaskId,
    Trajectory, TrajectoryId,
};
use eef_select::{AnchorSchedule, EefSelection, Exploration, Repository, TieBreak};

fn step(action: String, author: Author) -> Step {
    let observation = Observation::new(format!("after {action}"));
    Step { reply: action.clone(), action: Action::new(action), observation, author, sampled: None }
}

fn main() -> Result<(), Infallible> {
    let task = TaskId::new("figure", Split::Train, 1);
    let teacher = || Author::Expert("teacher".into());
    let expert = Trajectory {
        id: TrajectoryId::derive(&[b"expert"]),
        task: task.clone(),
        instruction: "solve it".into(),
        first_observation: Observation::new("start"),
        steps: (0..8).map(|i| step(format!("a{i}"), teacher())).collect(),
        origin: Origin::Expert { name: "teacher".into() },
        outcome: Outcome { end: EpisodeEnd::Terminated, reward: Reward::ZERO },
    };
    let experts = [expert.into()];
    let exploration = Exploration {
        tasks: &[task],
        experts: &experts,
        schedule: AnchorSchedule::Floor,
        n_simulations: 3,
    };

    // The policy starts from s_0 and from each simulated state; it wins from s_l and s_3l.
    let expert = &experts[0];
    let starts =
        [0].into_iter().chain(exploration.simulated_states().into_iter().map(|s| s.n_actions));
    let rollouts: Vec<Trajectory> = starts
        .zip([false, true, false, true])
        .map(|(n_actions, won)| {
            let mut rollout = expert.as_ref().clone();
            rollout.id = TrajectoryId::derive(&[b"rollout", &n_actions.to_le_bytes()]);
            rollout.steps.truncate(n_actions);
            rollout.steps.push(step("buy".into(), Author::Policy));
            let parent = (n_actions > 0).then_some(Parent { trajectory: expert.id, n_actions });
            rollout.origin = Origin::Rollout { round: 2, sample: 0, parent };
            rollout.outcome.reward = if won { Reward::ONE } else { Reward::ZERO };
            rollout
        })
        .collect();

    let won: BTreeMap<_, _> = rollouts
        .iter()
        .map(|rollout| (rollout.state_keys()[rollout.n_replayed()], rollout.is_positive()))
        .collect();
    let repository = Repository::new(&rollouts);
    let selection = EefSelection::select(&exploration.important_states(&won), |state| {
        Ok::<_, Infallible>(repository.get_traj(state, TieBreak::Newest))
    })?;
    for solution in selection.solutions() {
        let Some(rollout) = rollouts.iter().find(|other| other.id == solution.trajectory) else {
            continue;
        };
        let actions: Vec<&str> = rollout.steps.iter().map(|step| step.action.as_str()).collect();
        let (context, trained) = actions.split_at(solution.train_from);
        println!("s_{}: context {context:?}, trained {trained:?}", solution.train_from);
    }
    Ok(())
}
