//! What a method is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eef_core::{ExpertName, OutcomeLabel, Sampling, Seed, StateKey, TaskId, Trajectory};
use eef_rollout::Start;
use eef_select::{Preference, Solution};
use eef_store::TrajectoryStore;

use crate::RunError;

/// A way to turn exploration into training sets; everything else is common to all methods.
///
/// A method is asked for jobs until it has none left (so it may look at the results of the first
/// ones before it asks for more), and then for the training set. It decides by what it is shown
/// and nothing else, so that an interrupted round continues alike.
///
/// # One of your own
/// Everything but these decisions is there: rollouts, replay, storage, training, evaluation,
/// comparison and resuming. This one explores as RFT does, tries once more where that failed, and
/// teaches the shortest positive of each task:
/// ```
/// use std::collections::BTreeMap;
///
/// use eef::{JobRequest, Method, RoundLimits, RoundSizes, RunError, TrainingSet, View};
/// use eef_core::StateKey;
/// use eef_select::Solution;
///
/// struct SecondChance;
///
/// impl Method for SecondChance {
///     fn name(&self) -> &str {
///         "second-chance"
///     }
///
///     fn settings(&self) -> String {
///         String::new() // what a user can set, so that a run with other settings is another run
///     }
///
///     fn explores(&self) -> bool {
///         true
///     }
///
///     fn at_most(&self, sizes: &RoundSizes<'_>) -> RoundLimits {
///         RoundLimits { n_rollouts: 2 * sizes.n_tasks, n_examples: sizes.n_tasks }
///     }
///
///     fn next_jobs(&self, view: &View<'_>) -> Result<Vec<JobRequest>, RunError> {
///         let failed = |job: &JobRequest| view.won.get(&job.state) == Some(&false);
///         Ok(match view.n_batches {
///             0 => view.from_initial_states(0, view.sampling),
///             1 => view.from_initial_states(1, view.sampling).into_iter().filter(failed).collect(),
///             _ => Vec::new(),
///         })
///     }
///
///     fn training_set(&self, view: &View<'_>) -> Result<TrainingSet, RunError> {
///         let mut shortest = BTreeMap::new();
///         for positive in view.positives()? {
///             let rank = (positive.n_actions(), positive.id);
///             let best = shortest.entry(positive.task.clone()).or_insert(rank);
///             *best = rank.min(*best);
///         }
///         let solution = |(task, (_, trajectory))| {
///             let state = StateKey::initial(&task);
///             Solution { state, trajectory, train_from: 0 } // every action is trained
///         };
///         Ok(TrainingSet::of(shortest.into_iter().map(solution).collect()))
///     }
/// }
///
/// // `eef::iterate(&setup, &config, &SecondChance, …)` runs it, `eef::compare` beside others.
/// assert!(SecondChance.explores());
/// ```
/// Here it would be a file in `src/methods`, a name in [`METHODS`](crate::METHODS) and a line in
/// [`method`](crate::method()), from where configurations and the command line know it; a case of
/// `tests/selection.rs` pins what it selects.
pub trait Method: Sync {
    /// The name in configurations and tables.
    fn name(&self) -> &str;

    /// The settings that change its results, for the record of a run.
    fn settings(&self) -> String;

    /// What round 1 imitates.
    fn imitation(&self) -> Imitation {
        Imitation::Positives
    }

    /// Whose trajectories it may see.
    fn whose(&self) -> Whose {
        Whose::Imitated
    }

    /// Whether rounds of exploration follow.
    fn explores(&self) -> bool;

    /// What a round costs at most, for plans.
    fn at_most(&self, _: &RoundSizes<'_>) -> RoundLimits {
        RoundLimits::default()
    }

    /// The next rollouts of this round; none ends the exploration.
    ///
    /// Of this round it may use [`View::won`], [`View::asked`] and [`View::rollouts`] alone: where
    /// an interrupted round continues, the store holds trajectories of batches that are asked for
    /// only later.
    ///
    /// # Errors
    /// Of the store.
    fn next_jobs(&self, view: &View<'_>) -> Result<Vec<JobRequest>, RunError>;

    /// What to train on after the round's exploration.
    ///
    /// # Errors
    /// Of the store.
    fn training_set(&self, view: &View<'_>) -> Result<TrainingSet, RunError>;
}

/// What the first round imitates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Imitation {
    /// The experts' positive trajectories (Algorithm 1, lines 3 and 4).
    Positives,
    /// All of the experts' trajectories (SFT all).
    Everything,
    /// All of them, each with its outcome announced in the prompt; policies are asked for the
    /// positive (NAT).
    Announced,
}

impl Imitation {
    /// Its name in paths and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Positives => "positives",
            Self::Everything => "everything",
            Self::Announced => "announced",
        }
    }

    /// What the prompt of every later rollout announces.
    pub fn asked_for(self) -> Option<OutcomeLabel> {
        match self {
            Self::Positives | Self::Everything => None,
            Self::Announced => Some(OutcomeLabel::Positive),
        }
    }
}

/// Whose trajectories a method may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of the experts that are imitated (every baseline, and EEF GPT-4).
    Imitated,
    /// Those of every expert, the weak ones too (EEF GPT-3&4, appendix A.5).
    All,
}

/// What a method sees in a round.
pub struct View<'a> {
    /// The round, from 2.
    pub round: u32,
    /// The round's seed, for what a method draws at random.
    pub seed: Seed,
    /// How often jobs were asked for in this round already.
    pub n_batches: usize,
    /// The training tasks.
    pub tasks: &'a [TaskId],
    /// The expert trajectories on them that the method may see, in order of task and id.
    pub experts: &'a [Arc<Trajectory>],
    /// Who was imitated.
    pub bc_experts: &'a [ExpertName],
    /// How an exploring policy samples where the method has no choice of its own.
    pub sampling: Sampling,
    /// This round's outcomes so far: whether the first sample from a state won. Rollouts that
    /// diverged or met an environment error are not in it.
    pub won: &'a BTreeMap<StateKey, bool>,
    /// The states that this round's rollouts so far started from, whatever came of them.
    pub asked: &'a BTreeSet<StateKey>,
    /// This round's rollouts so far, in the order in which they were asked for.
    pub rollouts: &'a [Arc<Trajectory>],
    /// How likely the policy that explored finds the actions of trajectories, each from its first
    /// counted one on: log-likelihood in nats, mean over their tokens.
    pub likelihoods: Likelihoods<'a>,
    /// All trajectories so far (`D+` is the positive ones of the training tasks).
    pub store: &'a dyn TrajectoryStore,
}

impl View<'_> {
    /// The positives of the training tasks: the policy's own, and the experts'.
    ///
    /// # Errors
    /// Of the store.
    pub fn positives(&self) -> Result<Vec<Arc<Trajectory>>, RunError> {
        let mut positives = Vec::new();
        for task in self.tasks {
            positives.extend(self.store.positives_of(task)?);
        }
        Ok(positives)
    }

    /// A rollout from every training task's initial state.
    pub fn from_initial_states(&self, sample: u32, sampling: Sampling) -> Vec<JobRequest> {
        let job = |task: &TaskId| JobRequest {
            task: task.clone(),
            state: StateKey::initial(task),
            start: Start::Initial,
            sample,
            sampling,
        };
        self.tasks.iter().map(job).collect()
    }

    /// A rollout from a state along a trajectory: after its first `n_actions` actions, fewer than it
    /// has.
    pub fn from_state(&self, expert: Arc<Trajectory>, n_actions: usize) -> JobRequest {
        JobRequest {
            task: expert.task.clone(),
            state: expert.state_keys()[n_actions],
            start: Start::Replay { expert, n_actions },
            sample: 0,
            sampling: self.sampling,
        }
    }
}

/// Scores trajectories with the policy that explored.
pub type Likelihoods<'a> = &'a dyn Fn(&[(Arc<Trajectory>, usize)]) -> Result<Vec<f64>, RunError>;

/// What a plan knows of a run.
#[derive(Clone, Copy, Debug)]
pub struct RoundSizes<'a> {
    /// The round, from 2.
    pub round: u32,
    /// Training tasks.
    pub n_tasks: usize,
    /// Expert trajectories on them, everybody's.
    pub experts: &'a [ExpertSize],
    /// Positive trajectories among those of the experts that are imitated.
    pub n_positives: usize,
}

impl RoundSizes<'_> {
    /// The expert trajectories that a method may see.
    pub fn seen_by(&self, whose: Whose) -> Vec<ExpertSize> {
        let is_seen = |expert: &&ExpertSize| whose == Whose::All || expert.is_imitated;
        self.experts.iter().filter(is_seen).copied().collect()
    }
}

/// What a plan knows of an expert trajectory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertSize {
    /// Its actions.
    pub n_actions: usize,
    /// Whether its expert is imitated.
    pub is_imitated: bool,
}

/// What a round costs at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundLimits {
    /// Rollouts.
    pub n_rollouts: usize,
    /// Trajectories, or pairs, to train on.
    pub n_examples: usize,
}

/// A rollout that a method asks for. Ids and seeds are derived from it.
#[derive(Clone, Debug)]
pub struct JobRequest {
    /// The task.
    pub task: TaskId,
    /// The state to start in.
    pub state: StateKey,
    /// How to get there.
    pub start: Start,
    /// Which of several rollouts from this state in this round.
    pub sample: u32,
    /// How to sample.
    pub sampling: Sampling,
}

/// What a round trains on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrainingSet {
    /// What there is to learn, in a fixed order.
    pub examples: Examples,
    /// Whether the prompt of every trajectory announces its outcome (NAT).
    pub announces_outcomes: bool,
    /// States that need recovery, solved or not (EEF).
    pub n_need_recover: usize,
}

/// What there is to learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Examples {
    /// Trajectories with their first trained action.
    Solutions(Vec<Solution>),
    /// Pairs to tell apart (ETO).
    Preferences(Vec<Preference>),
}

impl Default for Examples {
    fn default() -> Self {
        Self::Solutions(Vec::new())
    }
}

impl TrainingSet {
    /// Trajectories to imitate.
    pub fn of(solutions: Vec<Solution>) -> Self {
        Self { examples: Examples::Solutions(solutions), ..Self::default() }
    }

    /// Pairs to tell apart.
    pub fn of_preferences(preferences: Vec<Preference>) -> Self {
        Self { examples: Examples::Preferences(preferences), ..Self::default() }
    }

    /// The trajectories to imitate; none where pairs are told apart.
    pub fn solutions(&self) -> &[Solution] {
        match &self.examples {
            Examples::Solutions(solutions) => solutions,
            Examples::Preferences(_) => &[],
        }
    }

    /// Trajectories, or pairs.
    pub fn len(&self) -> usize {
        match &self.examples {
            Examples::Solutions(solutions) => solutions.len(),
            Examples::Preferences(preferences) => preferences.len(),
        }
    }

    /// Whether there is nothing to learn.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
