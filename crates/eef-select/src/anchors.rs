//! Which states of an expert trajectory are simulated.

/// How the `n_simulations` (the paper's `M`) simulated states spread over an expert trajectory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum AnchorSchedule {
    /// The paper's: `s_l, s_2l, …, s_Ml` with `l = ⌊|τ| / (M + 1)⌋` (Algorithm 1, line 8).
    ///
    /// With 8 to 11 actions and `M = 5` it probes `s_1` to `s_5` only.
    #[default]
    Floor,
    /// `s_round(m·|τ| / (M + 1))`, halves rounded up: reaches the tail of every trajectory.
    Even,
}

impl AnchorSchedule {
    /// Both, in the order of their documentation.
    pub const ALL: [Self; 2] = [Self::Floor, Self::Even];

    /// The name used in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Even => "even",
        }
    }

    /// The schedule of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|schedule| schedule.name() == name)
    }

    /// The paper's skip length `l`, at least 1 (the paper leaves `|τ| < M + 1` open: `⌊…⌋` would
    /// be 0 and simulate `s_0` again and again).
    pub fn skip_length(n_actions: usize, n_simulations: usize) -> usize {
        (n_actions / (n_simulations + 1)).max(1)
    }

    /// The simulated states of a trajectory with `n_actions` actions, each as the number of
    /// actions taken before it.
    ///
    /// Strictly increasing; never 0 (the first type of exploration does `s_0`) and never
    /// `n_actions` (nothing is left to do in a terminal state); at most `n_simulations` of them.
    pub fn anchors(self, n_actions: usize, n_simulations: usize) -> Vec<usize> {
        let anchor = |m: usize| match self {
            Self::Floor => m * Self::skip_length(n_actions, n_simulations),
            Self::Even => {
                let parts = n_simulations + 1;
                (2 * m * n_actions + parts) / (2 * parts)
            }
        };
        let mut anchors: Vec<usize> =
            (1..=n_simulations).map(anchor).filter(|at| (1..n_actions).contains(at)).collect();
        anchors.dedup();
        anchors
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_papers_five_simulations() {
        assert_eq!(AnchorSchedule::Floor.anchors(8, 5), [1, 2, 3, 4, 5]);
        assert_eq!(AnchorSchedule::Floor.anchors(11, 5), [1, 2, 3, 4, 5]);
        assert_eq!(AnchorSchedule::Floor.anchors(12, 5), [2, 4, 6, 8, 10]);
        assert_eq!(AnchorSchedule::Even.anchors(11, 5), [2, 4, 6, 7, 9]);
    }

    #[test]
    fn short_trajectories_are_probed_in_every_state_but_the_last() {
        for schedule in AnchorSchedule::ALL {
            assert_eq!(schedule.anchors(4, 5), [1, 2, 3]);
            assert_eq!(schedule.anchors(2, 5), [1]);
            assert!(schedule.anchors(1, 5).is_empty());
            assert!(schedule.anchors(0, 5).is_empty());
            assert!(schedule.anchors(9, 0).is_empty());
        }
    }

    #[test]
    fn schedules_are_found_by_name() {
        for schedule in AnchorSchedule::ALL {
            assert_eq!(AnchorSchedule::from_name(schedule.name()), Some(schedule));
        }
        assert_eq!(AnchorSchedule::from_name("uneven"), None);
    }

    proptest! {
        #[test]
        fn anchors_are_inside_the_trajectory_and_increase(
            n_actions in 0_usize..200, n_simulations in 0_usize..40, even: bool,
        ) {
            let schedule = if even { AnchorSchedule::Even } else { AnchorSchedule::Floor };
            let anchors = schedule.anchors(n_actions, n_simulations);
            prop_assert!(anchors.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(anchors.iter().all(|&at| 0 < at && at < n_actions));
            // As many as asked for, or every state there is.
            prop_assert_eq!(anchors.len(), n_simulations.min(n_actions.saturating_sub(1)));
        }
    }
}
