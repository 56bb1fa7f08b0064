//! Rolls a policy that walks at random through a corridor of rooms, from the start and after
//! replaying a teacher's first step.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::sync::Arc;

use eef_core::testing::{Corridor, FunctionPolicy};
use eef_core::{Control, Environment, Policy, Sampling, Seed, Split, TaskId, TrajectoryId};
use eef_rollout::{Job, RolloutConfig, RolloutError, Rollouts, Start, Unit, demonstrate};

fn job(task: &TaskId, name: &str, start: Start) -> Job {
    Job {
        id: TrajectoryId::derive(&[task.to_string().as_bytes(), name.as_bytes()]),
        task: task.clone(),
        start,
        sampling: Sampling::at_temperature(0.7),
        seed: Seed::new(1).derive(name, task.index().into()),
        round: 1,
        sample: 0,
    }
}

fn main() -> Result<(), RolloutError> {
    let corridor = Corridor { length: 4, n_tasks: 8, max_turns: 8 };
    let tasks = corridor.tasks(Split::Train);
    let prompt = |opening: &eef_core::Opening| opening.instruction.clone();

    // A teacher that goes one room to the right and takes what is there.
    let teacher =
        FunctionPolicy::new(
            |texts: &[String], _| {
                if texts.len() == 1 { "right".to_owned() } else { "take".to_owned() }
            },
        );
    let control = Control::silent();
    let seed = Seed::new(1);
    let mut teachers: Vec<Box<dyn Policy>> = vec![Box::new(teacher)];
    let experts =
        demonstrate(&corridor, &prompt, "teacher", &mut teachers, tasks.clone(), seed, &control)?;

    let walk = |_: &[String], seed: u64| {
        ["right", "right", "left", "take"][Seed::new(seed).rng().below(4)].to_owned()
    };
    let mut policies: Vec<Box<dyn Policy>> =
        vec![Box::new(FunctionPolicy::new(walk)), Box::new(FunctionPolicy::new(walk))];
    let from_start = tasks.iter().map(|task| job(task, "start", Start::Initial)).collect();
    let from_expert = experts.into_iter().map(|expert| {
        let task = expert.task.clone();
        job(&task, "replay", Start::Replay { expert: Arc::new(expert), n_actions: 1 })
    });
    let units = [
        Unit { key: "from s_0".to_owned(), jobs: from_start },
        Unit { key: "from s_1".to_owned(), jobs: from_expert.collect() },
    ];
    let rollouts = Rollouts::new(&corridor, &prompt, RolloutConfig::default());
    let summary = rollouts.run("explore", &mut policies, &units, &control, &mut |unit| {
        for trajectory in unit.trajectories {
            let actions: Vec<_> = trajectory.steps.iter().map(|s| s.action.as_str()).collect();
            let reward = trajectory.outcome.reward.get();
            println!("{}  {}  {:<40} {reward:.2}", unit.key, trajectory.task, actions.join(" "));
        }
        Ok(())
    })?;
    println!("{} of {} won", summary.n_positive, summary.n_trajectories);
    Ok(())
}
