//! The repository of positive trajectories `D+` and its look-up.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use eef_core::{StateKey, Trajectory, TrajectoryId};

/// What `get_traj` compares of a positive trajectory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which trajectory.
    pub trajectory: TrajectoryId,
    /// Expert actions over the whole trajectory, also before the state that is asked for.
    pub n_expert_actions: usize,
    /// The round that made it; 0 for an expert's own.
    pub round: u32,
    /// `|τ|`.
    pub n_actions: usize,
}

impl Candidate {
    /// Reads them off a trajectory.
    pub fn of(trajectory: &Trajectory) -> Self {
        Self {
            trajectory: trajectory.id,
            n_expert_actions: trajectory.n_expert_actions(),
            round: trajectory.origin.round(),
            n_actions: trajectory.n_actions(),
        }
    }

    /// The best of several: fewest expert actions, then what the tie-break says, then newest
    /// round, fewest actions, smallest id.
    pub fn best(
        candidates: impl IntoIterator<Item = Self>,
        tie_break: TieBreak<'_>,
    ) -> Option<Self> {
        let likelihood = |candidate: &Self| match tie_break {
            TieBreak::Newest => 0.0,
            TieBreak::Likelihood(of) => of(&candidate.trajectory),
        };
        candidates
            .into_iter()
            .map(|candidate| (likelihood(&candidate), candidate))
            .min_by(|(likelihood_a, a), (likelihood_b, b)| {
                (a.n_expert_actions.cmp(&b.n_expert_actions))
                    .then_with(|| likelihood_b.total_cmp(likelihood_a))
                    .then_with(|| a.order().cmp(&b.order()))
            })
            .map(|(_, candidate)| candidate)
    }

    fn order(&self) -> (Reverse<u32>, usize, TrajectoryId) {
        (Reverse(self.round), self.n_actions, self.trajectory)
    }
}

/// How `get_traj` decides between trajectories with equally many expert actions.
///
/// The paper wants the one "closest to the current policy" (appendix A.3).
#[derive(Clone, Copy, Default)]
pub enum TieBreak<'a> {
    /// The newest round: its policy is the closest one.
    #[default]
    Newest,
    /// The highest value of a function, such as the log-likelihood under the current policy.
    /// Values are ordered by [`f64::total_cmp`].
    Likelihood(&'a dyn Fn(&TrajectoryId) -> f64),
}

impl fmt::Debug for TieBreak<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Newest => "Newest",
            Self::Likelihood(_) => "Likelihood(..)",
        })
    }
}

/// Positive trajectories by the states that they contain (`D+` of Algorithm 1).
///
/// For what does not fit in memory, a store answers the same question; [`EefSelection`] takes
/// either.
///
/// [`EefSelection`]: crate::EefSelection
#[derive(Clone, Debug, Default)]
pub struct Repository {
    by_state: BTreeMap<StateKey, Vec<Candidate>>,
}

impl Repository {
    /// Indexes the positive ones among trajectories.
    pub fn new<'a>(trajectories: impl IntoIterator<Item = &'a Trajectory>) -> Self {
        let mut repository = Self::default();
        for trajectory in trajectories {
            repository.insert(trajectory);
        }
        repository
    }

    /// Adds a trajectory where it is positive. Its terminal state is not indexed: from there no
    /// action is left to train.
    pub fn insert(&mut self, trajectory: &Trajectory) {
        if !trajectory.is_positive() {
            return;
        }
        let candidate = Candidate::of(trajectory);
        for state in trajectory.state_keys().into_iter().take(trajectory.n_actions()) {
            self.by_state.entry(state).or_default().push(candidate);
        }
    }

    /// The positive trajectories that contain a state, in the order in which they were added.
    pub fn candidates(&self, state: &StateKey) -> &[Candidate] {
        self.by_state.get(state).map_or(&[], Vec::as_slice)
    }

    /// The solution of a state (the paper's `get_traj(s, D+)`), `None` where there is none.
    pub fn get_traj(&self, state: &StateKey, tie_break: TieBreak<'_>) -> Option<TrajectoryId> {
        let candidates = self.by_state.get(state)?;
        Candidate::best(candidates.iter().copied(), tie_break).map(|best| best.trajectory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: u8, n_expert_actions: usize, round: u32, n_actions: usize) -> Candidate {
        let trajectory = TrajectoryId::from_bytes([name; 16]);
        Candidate { trajectory, n_expert_actions, round, n_actions }
    }

    fn best(candidates: &[Candidate]) -> u8 {
        let best = Candidate::best(candidates.iter().copied(), TieBreak::Newest).unwrap();
        best.trajectory.as_bytes()[0]
    }

    #[test]
    fn each_criterion_decides_where_those_before_it_tie() {
        assert_eq!(best(&[candidate(1, 3, 9, 1), candidate(2, 2, 1, 9)]), 2, "expert actions");
        assert_eq!(best(&[candidate(1, 2, 1, 1), candidate(2, 2, 2, 9)]), 2, "newest round");
        assert_eq!(best(&[candidate(1, 2, 2, 8), candidate(2, 2, 2, 7)]), 2, "fewer actions");
        assert_eq!(best(&[candidate(2, 2, 2, 7), candidate(1, 2, 2, 7)]), 1, "smaller id");
    }

    #[test]
    fn likelihood_breaks_ties_but_never_beats_fewer_expert_actions() {
        let likelihood = |id: &TrajectoryId| f64::from(id.as_bytes()[0]);
        let pick = |candidates: &[Candidate]| {
            let tie = TieBreak::Likelihood(&likelihood);
            Candidate::best(candidates.iter().copied(), tie).unwrap().trajectory.as_bytes()[0]
        };
        assert_eq!(pick(&[candidate(5, 2, 1, 9), candidate(4, 2, 2, 3)]), 5);
        assert_eq!(pick(&[candidate(5, 3, 1, 9), candidate(4, 2, 2, 3)]), 4);
    }
}
