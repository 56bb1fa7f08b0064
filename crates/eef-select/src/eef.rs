//! Algorithm 1, lines 7 to 13: what to simulate, what matters, what solves it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eef_core::{StateKey, TaskId, Trajectory, TrajectoryId};

use crate::{AnchorSchedule, Probe, Solution, first_need_recover};

/// The plain inputs of EEF's selection in one round.
#[derive(Clone, Copy, Debug)]
pub struct Exploration<'a> {
    /// The training tasks (`C_train`).
    pub tasks: &'a [TaskId],
    /// Every expert trajectory, positive or not (`D_e`), in a fixed order.
    pub experts: &'a [Arc<Trajectory>],
    /// Where the simulated states lie.
    pub schedule: AnchorSchedule,
    /// The paper's `M`.
    pub n_simulations: usize,
}

/// A state of an expert trajectory from which the policy is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulatedState {
    /// The state.
    pub state: StateKey,
    /// An expert trajectory that leads there: the first of those that share the state.
    pub expert: TrajectoryId,
    /// How many of the expert's actions come before the state.
    pub n_actions: usize,
}

/// Why a state matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is a task's initial state: what can be done is not to be forgotten.
    Initial,
    /// The policy starts to fail there; the first expert trajectory that shows it.
    NeedRecover {
        /// Which one.
        expert: TrajectoryId,
    },
}

/// A state for which a solution is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportantState {
    /// The state.
    pub state: StateKey,
    /// The number of actions before it.
    pub n_actions: usize,
    /// Why it matters.
    pub reason: Reason,
}

impl Exploration<'_> {
    /// The states of the second type of exploration (line 9), each once, in the order of the
    /// experts: a state that two experts share is simulated for both.
    pub fn simulated_states(&self) -> Vec<SimulatedState> {
        let mut seen = BTreeSet::new();
        let mut states = Vec::new();
        for expert in self.experts {
            let keys = expert.state_keys();
            for n_actions in self.schedule.anchors(expert.n_actions(), self.n_simulations) {
                let state = keys[n_actions];
                if seen.insert(state) {
                    states.push(SimulatedState { state, expert: expert.id, n_actions });
                }
            }
        }
        states
    }

    /// The initial states of the tasks, then the states that need recovery (lines 11 and 12), at
    /// most one per expert trajectory and each once.
    ///
    /// `won` holds this round's outcomes by the state that the rollout started from; a rollout
    /// that diverged or met an environment error is not in it.
    pub fn important_states(&self, won: &BTreeMap<StateKey, bool>) -> Vec<ImportantState> {
        let mut seen = BTreeSet::new();
        let initial = self.tasks.iter().map(|task| ImportantState {
            state: StateKey::initial(task),
            n_actions: 0,
            reason: Reason::Initial,
        });
        let recovery = self.experts.iter().filter_map(|expert| self.need_recover(expert, won));
        initial.chain(recovery).filter(|important| seen.insert(important.state)).collect()
    }

    fn need_recover(
        &self,
        expert: &Trajectory,
        won: &BTreeMap<StateKey, bool>,
    ) -> Option<ImportantState> {
        let keys = expert.state_keys();
        let anchors = self.schedule.anchors(expert.n_actions(), self.n_simulations);
        let probes: Vec<Probe> = anchors
            .into_iter()
            .map(|n_actions| Probe { n_actions, won: won.get(&keys[n_actions]).copied() })
            .collect();
        let initial = won.get(&keys[0]).copied();
        first_need_recover(initial, &probes).map(|n_actions| ImportantState {
            state: keys[n_actions],
            n_actions,
            reason: Reason::NeedRecover { expert: expert.id },
        })
    }
}

/// The training set of one round of EEF (line 14's `D_s0 ∪ D_r`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EefSelection {
    /// `D_s0`: solutions of initial states, all actions trained.
    pub initial: Vec<Solution>,
    /// `D_r`: solutions of states that need recovery, trained from there on.
    pub recoveries: Vec<Solution>,
    /// How many states need recovery, solved or not.
    pub n_need_recover: usize,
}

impl EefSelection {
    /// Asks `get_traj` for one solution of each important state.
    ///
    /// The same trajectory may solve two states: two solutions, trained from different actions.
    ///
    /// # Errors
    /// The first error of `get_traj`, such as a store's.
    pub fn select<E>(
        states: &[ImportantState],
        mut get_traj: impl FnMut(&StateKey) -> Result<Option<TrajectoryId>, E>,
    ) -> Result<Self, E> {
        let mut selection = Self::default();
        for important in states {
            let into = match important.reason {
                Reason::Initial => &mut selection.initial,
                Reason::NeedRecover { .. } => {
                    selection.n_need_recover += 1;
                    &mut selection.recoveries
                }
            };
            if let Some(trajectory) = get_traj(&important.state)? {
                into.push(Solution {
                    state: important.state,
                    trajectory,
                    train_from: important.n_actions,
                });
            }
        }
        Ok(selection)
    }

    /// All solutions: of initial states, then recoveries.
    pub fn solutions(&self) -> impl Iterator<Item = &Solution> {
        self.initial.iter().chain(&self.recoveries)
    }
}
