//! Trajectories for tests, some of them grown from others.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "these are tests")]

use eef_core::{
    Action, Author, EpisodeEnd, Incident, IncidentKind, Observation, Origin, Outcome, Parent,
    Reward, Rng, SampledTokens, Split, Step, TaskId, Trajectory, TrajectoryId,
};

pub fn task(index: u32) -> TaskId {
    TaskId::new("maze/small", Split::ALL[index as usize % 3], index / 3)
}

pub fn step(author: Author, action: &str, sampled: bool) -> Step {
    Step {
        reply: if action.len().is_multiple_of(2) {
            action.to_owned()
        } else {
            format!("I {action}")
        },
        action: Action::new(action),
        observation: Observation::new(format!("you {action}\n\u{1f600}\0")),
        author,
        sampled: sampled.then(|| SampledTokens {
            tokenizer: u64::MAX - 3,
            ids: action.bytes().map(u32::from).collect(),
            log_probabilities: action.bytes().map(|byte| -f32::from(byte) / 7.0).collect(),
        }),
    }
}

pub fn expert(task: TaskId, name: &str, actions: &[&str], reward: f64) -> Trajectory {
    let author = Author::Expert(name.into());
    Trajectory {
        id: TrajectoryId::derive(&[b"expert", name.as_bytes(), task.to_string().as_bytes()]),
        instruction: format!("reach {task}"),
        first_observation: Observation::new("a maze"),
        steps: actions.iter().map(|action| step(author.clone(), action, false)).collect(),
        origin: Origin::Expert { name: name.into() },
        outcome: Outcome { end: EpisodeEnd::Terminated, reward: Reward::new(reward).unwrap() },
        task,
    }
}

/// A rollout that replays `n_actions` of a parent.
pub fn grown(
    parent: &Trajectory,
    n_actions: usize,
    round: u32,
    sample: u32,
    actions: &[&str],
    reward: f64,
) -> Trajectory {
    let mut steps = parent.steps[..n_actions].to_vec();
    steps.extend(actions.iter().map(|action| step(Author::Policy, action, true)));
    let parts = [parent.id.as_bytes().as_slice(), &round.to_le_bytes(), &sample.to_le_bytes()];
    Trajectory {
        id: TrajectoryId::derive(&[parts.concat().as_slice(), &n_actions.to_le_bytes()]),
        steps,
        origin: Origin::Rollout {
            round,
            sample,
            parent: (n_actions > 0).then_some(Parent { trajectory: parent.id, n_actions }),
        },
        outcome: Outcome { end: EpisodeEnd::TurnLimit, reward: Reward::new(reward).unwrap() },
        ..parent.clone()
    }
}

pub fn incident(task: TaskId, number: u8) -> Incident {
    let kind = if number.is_multiple_of(2) {
        IncidentKind::Diverged {
            at_action: usize::from(number),
            expected: Observation::new("a door"),
            found: Observation::new("a wall"),
        }
    } else {
        IncidentKind::EnvironmentError { message: format!("worker {number} died") }
    };
    Incident { job: TrajectoryId::derive(&[b"job", &[number]]), task, kind }
}

const WORDS: [&str; 6] = ["north", "south", "east", "west", "take the key", "open the door"];

/// Random trajectories of a few tasks: experts, then what grew from any of those before.
pub fn random(rng: &mut Rng, n: usize) -> Vec<Trajectory> {
    let mut all: Vec<Trajectory> = Vec::new();
    let mut sample = 0;
    while all.len() < n {
        let n_words = rng.below(6);
        let actions: Vec<&str> = (0..n_words).filter_map(|_| rng.choose(&WORDS).copied()).collect();
        let reward = if rng.chance(0.5) { 1.0 } else { rng.uniform() };
        sample += 1;
        let made = match rng.choose(&all) {
            Some(parent) if rng.chance(0.8) => {
                let n_actions = rng.below(parent.n_actions() + 1);
                let round = parent.origin.round() + rng.below(2) as u32 + 1;
                grown(parent, n_actions, round, sample, &actions, reward)
            }
            _ => {
                let task = task(rng.below(4) as u32);
                expert(task, &format!("teacher {sample}"), &actions, reward)
            }
        };
        all.push(made);
    }
    all
}
