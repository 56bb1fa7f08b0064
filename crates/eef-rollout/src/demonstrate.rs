//! A teacher plays tasks once each: where expert trajectories come from.

use eef_core::{
    Author, Control, Environment, ExpertName, IncidentKind, Opening, Policy, Sampling, Seed,
    TaskId, Trajectory, TrajectoryId,
};

use crate::error::RolloutError;
use crate::job::{Job, RolloutConfig, Start, Unit};
use crate::rollouts::Rollouts;

/// Tasks that share a batch. A constant, because a policy that batches may show in the last bits
/// of its sums who shared one: so a demonstration depends on nothing but its arguments.
const UNIT_SIZE: usize = 64;

/// What a teacher does on tasks, greedily and from their start: a trajectory of each, in the order
/// of the tasks. `policies` are the teacher, once per worker; how many there are changes nothing.
///
/// A trajectory's id is derived from the teacher's name and the task alone, so that a demonstration
/// made again is the same one. A teacher that is asked again with another seed, to keep both
/// answers, needs another name.
///
/// ```
/// use eef_core::testing::{Corridor, FunctionPolicy};
/// use eef_core::{Control, Environment, Policy, Seed, Split};
/// use eef_rollout::demonstrate;
///
/// let corridor = Corridor { length: 3, n_tasks: 3, max_turns: 5 };
/// let takes_at_once = FunctionPolicy::new(|_: &[String], _| "take".to_owned());
/// let experts = demonstrate(
///     &corridor,
///     &|opening| opening.instruction.clone(),
///     "takes-at-once",
///     &mut [Box::new(takes_at_once) as Box<dyn Policy>],
///     corridor.tasks(Split::Train),
///     Seed::new(1),
///     &Control::silent(),
/// )?;
/// assert_eq!(experts.len(), 3);
/// # Ok::<(), eef_rollout::RolloutError>(())
/// ```
///
/// # Errors
/// As [`Rollouts::run`]; [`RolloutError::Undemonstrated`] where the environment failed in a task:
/// a teacher's record with holes would look like the record of one that was asked less.
pub fn demonstrate(
    environment: &dyn Environment,
    opening: &(dyn Fn(&Opening) -> String + Sync),
    teacher: &str,
    policies: &mut [Box<dyn Policy>],
    tasks: Vec<TaskId>,
    seed: Seed,
    control: &Control<'_>,
) -> Result<Vec<Trajectory>, RolloutError> {
    let name = ExpertName::from(teacher);
    let jobs: Vec<Job> = tasks.into_iter().map(|task| job(teacher, task, seed)).collect();
    let unit = |(number, jobs): (usize, &[Job])| Unit {
        key: format!("{teacher} {number}"),
        jobs: jobs.to_vec(),
    };
    let units: Vec<Unit> = jobs.chunks(UNIT_SIZE).enumerate().map(unit).collect();
    let config = RolloutConfig { author: Author::Expert(name.clone()), ..RolloutConfig::default() };
    let mut trajectories = Vec::with_capacity(jobs.len());
    let mut incidents = Vec::new();
    let phase = format!("demonstrations of {teacher}");
    Rollouts::new(environment, opening, config).run(
        &phase,
        policies,
        &units,
        control,
        &mut |result| {
            trajectories.extend(result.trajectories);
            incidents.extend(result.incidents);
            Ok(())
        },
    )?;
    let n_incidents = incidents.len();
    let Some(first) = incidents.into_iter().next() else { return Ok(trajectories) };
    let message = match first.kind {
        IncidentKind::EnvironmentError { message } => message,
        kind @ IncidentKind::Diverged { .. } => kind.name().to_owned(),
    };
    let task = first.task;
    Err(RolloutError::Undemonstrated { teacher: name, n_incidents, task, message })
}

fn job(teacher: &str, task: TaskId, seed: Seed) -> Job {
    let seed = seed.derive(teacher, 0).derive(task.split().name(), task.index().into());
    Job {
        id: TrajectoryId::derive(&[b"expert", teacher.as_bytes(), task.to_string().as_bytes()]),
        task,
        start: Start::Initial,
        sampling: Sampling::GREEDY,
        seed,
        round: 0,
        sample: 0,
    }
}
