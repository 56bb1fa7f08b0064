//! Keeps two trajectories of one task in a file, opens it again and asks for the best solution.

use eef_core::{
    Action, Author, EpisodeEnd, Observation, Origin, Outcome, Reward, Split, StateKey, Step,
    TaskId, Trajectory, TrajectoryId,
};
use eef_store::{SqliteStore, StoreError, TrajectoryStore};

fn trajectory(author: &Author, origin: Origin, actions: &[&str]) -> Trajectory {
    let steps = actions.iter().map(|action| Step {
        reply: (*action).to_owned(),
        action: Action::new(*action),
        observation: Observation::new(format!("after {action}")),
        author: author.clone(),
        sampled: None,
    });
    Trajectory {
        id: TrajectoryId::derive(&[format!("{origin:?}").as_bytes()]),
        task: TaskId::new("corridor", Split::Train, 0),
        instruction: "take room 1".to_owned(),
        first_observation: Observation::new("room 0"),
        steps: steps.collect(),
        origin,
        outcome: Outcome { end: EpisodeEnd::Terminated, reward: Reward::ONE },
    }
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<(), StoreError> {
    let path =
        std::env::temp_dir().join(format!("eef-store-example-{}.sqlite", std::process::id()));
    let teacher = Author::Expert("teacher".into());
    let expert = Origin::Expert { name: "teacher".into() };
    let rollout = Origin::Rollout { round: 1, sample: 0, parent: None };
    {
        let store = SqliteStore::open(&path)?;
        let experts = [trajectory(&teacher, expert, &["left", "right", "take"])];
        store.append_unit("teacher", &experts, &[])?;
        let rollouts = [trajectory(&Author::Policy, rollout, &["right", "take"])];
        let report = store.append_unit("round 1", &rollouts, &[])?;
        println!("round 1: {} new trajectories", report.n_new);
    }
    let store = SqliteStore::open(&path)?;
    println!("{} trajectories, sound: {}", store.n_trajectories()?, store.verify()?.is_sound());
    let start = StateKey::initial(&TaskId::new("corridor", Split::Train, 0));
    if let Some(best) = store.best_solution(&start)?.map(|id| store.get(&id)).transpose()?.flatten()
    {
        let actions: Vec<&str> = best.steps.iter().map(|step| step.action.as_str()).collect();
        println!("the start is solved with no expert action by: {}", actions.join(", "));
    }
    drop(store);
    std::fs::remove_file(&path).map_err(|source| StoreError::Io { doing: "remove", path, source })
}
