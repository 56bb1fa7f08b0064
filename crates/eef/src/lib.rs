//! Exploring Expert Failures: Algorithm 1, generic over environment, policy, learner and store.
//!
//! An agent is tuned on trajectories that solved their task. A teacher's failures are thrown away
//! by that rule, and with them the skills that hard tasks need. EEF lets the policy start from
//! states along the failures: where it wins from there, the teacher's actions up to that state
//! were good, and are trained; where it starts to fail, a recovery is sought.
//!
//! [`iterate`] is the whole algorithm, in one file to be read top to bottom; [`compare`] runs
//! several [`Method`]s with the same experts, seeds and first round, and gives paired intervals.
//! A method decides what to explore and what to train on ([`Method::next_jobs`],
//! [`Method::training_set`]); [`method()`] knows the paper's and some beyond it ([`METHODS`]).
//!
//! The decision behind it: *results depend on the settings alone*. Every seed is derived from
//! (seed, round, start state, sample), every id from the lineage of the model that acted. Work is
//! cut into units that the store holds whole or not at all; what it holds is not done again. So an
//! interrupted run continues, and ends with the bytes of one that was never interrupted; and two
//! methods that ask the same model for the same rollout get the same one.
//!
//! # From nothing to a tuned policy
//! Rooms in a row; `right` and `left` move, `take` ends the episode. The policy of this example
//! learns by heart (feature `testing`); a language model takes the same path.
//! ```
//! # #[cfg(feature = "testing")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use eef::testing::{TabularLearner, opening};
//! use eef::{Config, MethodOptions, Setup, iterate, method};
//! use eef_core::testing::{Corridor, FunctionPolicy};
//! use eef_core::{Control, Environment, Policy, Seed, Split};
//! use eef_rollout::{RolloutConfig, demonstrate};
//! use eef_store::MemoryStore;
//!
//! // A teacher that walks three rooms to the right and takes: right once, wrong elsewhere.
//! let corridor = Corridor { length: 4, n_tasks: 4, max_turns: 6 };
//! let teacher = FunctionPolicy::new(|texts: &[String], _| {
//!     if texts.len() < 7 { "right".to_owned() } else { "take".to_owned() }
//! });
//! let mut policies: Vec<Box<dyn Policy>> = vec![Box::new(teacher)];
//! let (tasks, control) = (corridor.tasks(Split::Train), Control::silent());
//! let plain = |start: &eef_core::Opening| opening(start, None);
//! let experts = demonstrate(
//!     &corridor, &plain, "teacher", &mut policies, tasks, Seed::new(1), &control,
//! )?;
//! let experts: Vec<_> = experts.into_iter().map(Arc::new).collect();
//! assert_eq!(experts.iter().filter(|expert| expert.is_positive()).count(), 1);
//!
//! // A learner, a base model that always takes at once, and a directory for the tuned models.
//! let directory = tempfile::tempdir()?;
//! let learner = TabularLearner::new("take");
//! let base = directory.path().join("base");
//! learner.write_base(&base)?;
//!
//! let setup = Setup {
//!     environment: &corridor,
//!     opening: &opening,
//!     learner: &learner,
//!     base: &base,
//!     experts: &experts,
//!     skills: &[],
//!     action_name: &|_| None,
//!     fingerprint: "tutorial",
//!     n_workers: 1,
//!     rollouts: RolloutConfig::default(),
//! };
//! let eef = method("eef", &MethodOptions::default())?;
//! let (config, store) = (Config::default(), MemoryStore::new());
//! let report =
//!     iterate(&setup, &config, eef.as_ref(), &store, &directory.path().join("run"), &control)?;
//!
//! // From the teacher's failures it learned where to stop.
//! assert_eq!(report.test_of_imitation.win_rate.mean, 0.5);
//! assert_eq!(report.test.win_rate.mean, 1.0);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```

mod bench;
mod compare;
mod config;
mod error;
mod evaluate;
mod experts;
mod explored;
mod iterate;
mod method;
mod methods;
mod report;
mod setup;
mod statistics;
#[cfg(feature = "testing")]
pub mod testing;
mod train;

pub use compare::{Comparison, Difference, MethodSummary, OpenStore, check_comparison, compare};
pub use config::{
    BehaviourCloning, Budget, Config, EvaluationConfig, Exploration, Init, PreferenceTuning,
    Tested, Tuning,
};
pub use error::RunError;
pub use evaluate::evaluate;
pub use experts::{experts_on, imitated};
pub use iterate::iterate;
pub use method::{
    Examples, ExpertSize, Imitation, JobRequest, Likelihoods, Method, RoundLimits, RoundSizes,
    TrainingSet, View, Whose,
};
pub use methods::{
    DartProp2Diff, Eef, EefAdaptive, EefBandit, EefLikelihood, EefSelf, EefTree, Eto, METHODS,
    MethodOptions, Nat, Rft, SftAll, SftPos, Simulated, Tie, display_name, method,
};
pub use report::{
    ActionUse, Evaluation, RoundReport, RunReport, SkillUse, Stage, Training, used_only_by,
};
pub use setup::{Setup, Skill};
pub use statistics::Estimate;

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
