//! Trajectories in a few words.

use std::sync::Arc;

use eef_core::{
    Action, Author, EpisodeEnd, Observation, Origin, Outcome, Parent, Reward, Split, Step, TaskId,
    Trajectory, TrajectoryId,
};

pub fn task(index: u32) -> TaskId {
    TaskId::new("figure", Split::Train, index)
}

pub fn id(name: &str) -> TrajectoryId {
    TrajectoryId::derive(&[name.as_bytes()])
}

/// A teacher's own trajectory.
pub fn expert(name: &str, task: TaskId, actions: &[&str], won: bool) -> Arc<Trajectory> {
    let author = Author::Expert("teacher".into());
    let steps = actions.iter().map(|action| step(action, author.clone())).collect();
    trajectory(name, task, steps, Origin::Expert { name: "teacher".into() }, won)
}

/// A rollout that takes over the first `n_replayed` actions of `parent` (an expert's trajectory).
pub fn rollout(
    name: &str,
    parent: &Trajectory,
    n_replayed: usize,
    actions: &[&str],
    round: u32,
    won: bool,
) -> Arc<Trajectory> {
    let mut steps = parent.steps[..n_replayed].to_vec();
    steps.extend(actions.iter().map(|action| step(action, Author::Policy)));
    let parent_of = Parent { trajectory: parent.id, n_actions: n_replayed };
    let parent_of = (n_replayed > 0).then_some(parent_of);
    let origin = Origin::Rollout { round, sample: 0, parent: parent_of };
    trajectory(name, parent.task.clone(), steps, origin, won)
}

fn trajectory(
    name: &str,
    task: TaskId,
    steps: Vec<Step>,
    origin: Origin,
    won: bool,
) -> Arc<Trajectory> {
    let reward = if won { Reward::ONE } else { Reward::ZERO };
    Arc::new(Trajectory {
        id: id(name),
        task,
        instruction: String::new(),
        first_observation: Observation::default(),
        steps,
        origin,
        outcome: Outcome { end: EpisodeEnd::Terminated, reward },
    })
}

fn step(action: &str, author: Author) -> Step {
    Step {
        reply: action.to_owned(),
        action: Action::new(action),
        observation: Observation::new("seen"),
        author,
        sampled: None,
    }
}
