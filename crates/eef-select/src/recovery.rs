//! From which expert state the policy must learn to recover.

/// What became of the rollout from one simulated state of an expert trajectory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The state, as the number of expert actions before it.
    pub n_actions: usize,
    /// Whether the task was solved (`R = 1`); `None` where there is no outcome, because the replay
    /// diverged or the environment failed.
    pub won: Option<bool>,
}

/// The first simulated state at which the policy fails after it succeeded at the one before, as
/// the number of expert actions before it (the paper's `i*`, section 3.2).
///
/// `initial` is this round's rollout from `s_0`; `probes` are the expert trajectory's simulated
/// states in order. A reward below 1 is a failure. A missing outcome supports no claim: neither
/// about its own state nor about the next one.
pub fn first_need_recover(initial: Option<bool>, probes: &[Probe]) -> Option<usize> {
    let previous = std::iter::once(initial).chain(probes.iter().map(|probe| probe.won));
    previous
        .zip(probes)
        .find(|(before, probe)| *before == Some(true) && probe.won == Some(false))
        .map(|(_, probe)| probe.n_actions)
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: Option<bool> = Some(true);
    const F: Option<bool> = Some(false);

    fn probes(won: &[Option<bool>]) -> Vec<Probe> {
        (2..).step_by(2).zip(won).map(|(n_actions, &won)| Probe { n_actions, won }).collect()
    }

    #[test]
    fn the_first_fall_counts_and_only_that_one() {
        assert_eq!(first_need_recover(F, &probes(&[W, F, W, F])), Some(4));
        assert_eq!(first_need_recover(W, &probes(&[F, W, F])), Some(2));
    }

    #[test]
    fn without_a_fall_there_is_nothing_to_recover_from() {
        assert_eq!(first_need_recover(F, &probes(&[F, F, W, W])), None);
        assert_eq!(first_need_recover(W, &probes(&[])), None);
    }

    #[test]
    fn nothing_is_claimed_across_a_missing_outcome() {
        assert_eq!(first_need_recover(W, &probes(&[None, F, W])), None);
        assert_eq!(first_need_recover(None, &probes(&[F, W, F])), Some(6));
    }
}
