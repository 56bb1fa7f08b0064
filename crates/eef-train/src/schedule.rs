//! The learning rate of every step.

use serde::{Deserialize, Serialize};

/// What becomes of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Falls along half a cosine, to 0 after the last step.
    #[default]
    Cosine,
    /// Falls in a straight line, to 0 after the last step.
    Linear,
    /// Stays.
    Constant,
}

impl std::str::FromStr for Schedule {
    type Err = String;

    /// Reads a name as configurations have it.
    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "cosine" => Ok(Self::Cosine),
            "linear" => Ok(Self::Linear),
            "constant" => Ok(Self::Constant),
            other => {
                Err(format!("unknown schedule `{other}`: expected cosine, linear or constant"))
            }
        }
    }
}

impl Schedule {
    /// The factor on the peak learning rate in one step, counted from 0.
    ///
    /// During the first `n_warmup` steps the factor is `(step + 1) / n_warmup`, so the first step
    /// already moves and the last of the warm-up is the peak. The fall then starts from the peak:
    /// `fall(step − n_warmup)` of the remaining steps, the convention of Hugging Face's
    /// `get_cosine_schedule_with_warmup` shifted by the one step that it spends at zero.
    ///
    /// ```
    /// use eef_train::Schedule;
    ///
    /// let factors: Vec<f64> = (0..6).map(|step| Schedule::Linear.factor(step, 6, 2)).collect();
    /// assert_eq!(factors, [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]);
    /// ```
    pub fn factor(self, step: u64, n_steps: u64, n_warmup: u64) -> f64 {
        if step < n_warmup {
            return (step + 1) as f64 / n_warmup as f64;
        }
        let n_falling = n_steps.saturating_sub(n_warmup).max(1);
        let progress = ((step - n_warmup) as f64 / n_falling as f64).min(1.0);
        match self {
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Self::Linear => 1.0 - progress,
            Self::Constant => 1.0,
        }
    }

    /// Steps of warm-up that a fraction of all steps makes, rounded up.
    pub fn n_warmup(fraction: f64, n_steps: u64) -> u64 {
        ((fraction * n_steps as f64).ceil() as u64).min(n_steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_rises_and_falls_as_written() {
        let factor = |step| Schedule::Cosine.factor(step, 10, 2);
        assert_eq!(factor(0), 0.5);
        assert_eq!(factor(1), 1.0);
        assert_eq!(factor(2), 1.0);
        assert!((factor(4) - 0.5 * (1.0 + (std::f64::consts::PI * 0.25).cos())).abs() < 1e-15);
        assert!((factor(6) - 0.5).abs() < 1e-15);
        assert!(factor(9) > 0.0 && factor(9) < 0.05);
    }

    #[test]
    fn the_constant_stays_and_short_runs_hold() {
        assert_eq!(Schedule::Constant.factor(7, 10, 2), 1.0);
        assert_eq!(Schedule::Cosine.factor(0, 1, 1), 1.0);
        assert_eq!(Schedule::Cosine.factor(0, 1, 0), 1.0);
    }

    #[test]
    fn the_warm_up_rounds_up_and_never_exceeds_the_run() {
        assert_eq!(Schedule::n_warmup(0.03, 100), 3);
        assert_eq!(Schedule::n_warmup(0.03, 10), 1);
        assert_eq!(Schedule::n_warmup(0.0, 10), 0);
        assert_eq!(Schedule::n_warmup(1.0, 10), 10);
    }
}
