//! Runs policies over many environments at once, from a task's start or after replaying an
//! expert's prefix.
//!
//! A [`Job`] is one rollout, a [`Unit`] some jobs that run together against one policy, and
//! [`Rollouts`] drives units over several workers. Every job ends as a trajectory or as an
//! [`Incident`](eef_core::Incident): a replay that diverged and an environment that failed are
//! never counted as a reward of 0. [`demonstrate`] lets a teacher play tasks once each.
//!
//! The decision behind it: *what comes out depends on the jobs alone*. All jobs of a unit enter
//! the policy at once and in order; replies are taken in the order of the conversations, never in
//! the order of arrival; a policy is reset before each unit; a unit that was interrupted, or in
//! which the environment failed, is discarded and run whole again; results are committed in the
//! order of the units. So one worker and eight give the same bytes, and a resumed run the same as
//! one that was never stopped. Each worker computes inside a rayon pool of its own (of one thread
//! by default), so that two policies use two cores without fighting over them.
//!
//! ```
//! use eef_core::testing::{Corridor, FunctionPolicy};
//! use eef_core::{Control, Environment, Policy, Sampling, Seed, Split, TrajectoryId};
//! use eef_rollout::{Job, RolloutConfig, Rollouts, Start, Unit};
//!
//! let corridor = Corridor { length: 3, n_tasks: 3, max_turns: 5 };
//! let jobs = corridor.tasks(Split::Train).into_iter().map(|task| Job {
//!     id: TrajectoryId::derive(&[task.to_string().as_bytes()]),
//!     seed: Seed::new(7).derive("task", task.index().into()),
//!     task,
//!     start: Start::Initial,
//!     sampling: Sampling::at_temperature(0.7),
//!     round: 1,
//!     sample: 0,
//! });
//! let units = [Unit { key: "first".into(), jobs: jobs.collect() }];
//!
//! let rollouts = Rollouts::new(&corridor, &|opening| opening.instruction.clone(), RolloutConfig::default());
//! let takes_at_once = FunctionPolicy::new(|_: &[String], _| "take".to_owned());
//! let mut policies: Vec<Box<dyn Policy>> = vec![Box::new(takes_at_once)];
//! let mut stored = Vec::new();
//! let summary = rollouts.run("explore", &mut policies, &units, &Control::silent(), &mut |unit| {
//!     stored.extend(unit.trajectories);
//!     Ok(())
//! })?;
//! assert_eq!((summary.n_trajectories, summary.n_positive), (3, 1));
//! assert_eq!(stored.len(), 3);
//! # Ok::<(), eef_rollout::RolloutError>(())
//! ```

mod demonstrate;
mod episode;
mod error;
mod job;
mod rollouts;

pub use demonstrate::demonstrate;
pub use error::RolloutError;
pub use job::{Job, RolloutConfig, RolloutSummary, Start, Unit, UnitResult};
pub use rollouts::{CommitError, Rollouts};

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
