//! Rewards in the unit interval.

/// A final reward in `[0, 1]`; ScienceWorld's score of 0 to 100 is divided by 100.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default)]
pub struct Reward(f64);

/// A reward outside `[0, 1]`, or not a number.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("reward {found} is outside [0, 1]")]
pub struct InvalidReward {
    /// What was given.
    pub found: f64,
}

impl Reward {
    /// No reward.
    pub const ZERO: Self = Self(0.0);
    /// The full reward: the task was solved.
    pub const ONE: Self = Self(1.0);

    /// Checks that a value is in `[0, 1]`.
    ///
    /// # Errors
    /// [`InvalidReward`] where it is not.
    pub fn new(value: f64) -> Result<Self, InvalidReward> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(InvalidReward { found: value })
        }
    }

    /// The value.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Whether the task was solved: the reward is exactly 1 (the paper's `R(τ) = 1`).
    pub fn is_positive(self) -> bool {
        self.0 == 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_outside_the_unit_interval_are_refused() {
        for value in [-0.1, 1.000_1, f64::NAN, f64::INFINITY] {
            assert!(Reward::new(value).is_err(), "{value}");
        }
        assert!(Reward::new(1.0).unwrap().is_positive());
        assert!(!Reward::new(0.999_999).unwrap().is_positive());
    }
}
