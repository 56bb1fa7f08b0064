//! Means with bootstrap intervals.

use eef_core::Seed;
use serde::{Deserialize, Serialize};

/// A mean and its 95 % percentile-bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Default)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The 2.5 % quantile of the resampled means.
    pub low: f64,
    /// The 97.5 % quantile.
    pub high: f64,
}

impl Estimate {
    /// Resamples tasks; all zero for no values.
    pub fn of(values: &[f64], n_resamples: usize, seed: Seed) -> Self {
        Self::paired(&[values.iter().copied().map(Some).collect::<Vec<_>>()], n_resamples, seed)
    }

    /// Resamples rows (seeds) and columns (tasks, the same in every row) independently with
    /// replacement: the interval covers both sources of chance. A `None` has no value and is left
    /// out. A single row is not resampled.
    pub fn paired(rows: &[Vec<Option<f64>>], n_resamples: usize, seed: Seed) -> Self {
        let n_columns = rows.iter().map(Vec::len).min().unwrap_or(0);
        let all_rows: Vec<usize> = (0..rows.len()).collect();
        let all_columns: Vec<usize> = (0..n_columns).collect();
        let Some(mean) = mean(rows, &all_rows, &all_columns) else {
            return Self::default();
        };
        let mut rng = seed.rng();
        let mut draw = |n: usize| -> Vec<usize> { (0..n).map(|_| rng.below(n)).collect() };
        let mut means: Vec<f64> = (0..n_resamples)
            .filter_map(|_| {
                let chosen_rows = draw(rows.len());
                self::mean(rows, &chosen_rows, &draw(n_columns))
            })
            .collect();
        means.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            let last = means.len().saturating_sub(1);
            means.get((share * last as f64).round() as usize).copied().unwrap_or(mean)
        };
        Self { mean, low: quantile(0.025), high: quantile(0.975) }
    }

    /// Whether the interval leaves out 0.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

fn mean(rows: &[Vec<Option<f64>>], chosen_rows: &[usize], columns: &[usize]) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0_usize);
    for &row in chosen_rows {
        for value in columns.iter().filter_map(|&column| rows[row][column]) {
            sum += value;
            n += 1;
        }
    }
    (n > 0).then(|| sum / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_binomial() {
        // 400 tasks, 40 % won: the standard error is sqrt(0.4 · 0.6 / 400) = 0.0245.
        let values: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 5 < 2))).collect();
        let estimate = Estimate::of(&values, 4_000, Seed::new(1));
        assert!((estimate.mean - 0.4).abs() < 1e-12);
        assert!((estimate.low - (0.4 - 1.96 * 0.0245)).abs() < 0.006, "{estimate:?}");
        assert!((estimate.high - (0.4 + 1.96 * 0.0245)).abs() < 0.006, "{estimate:?}");
        assert_eq!(estimate, Estimate::of(&values, 4_000, Seed::new(1)));
    }

    #[test]
    fn disagreeing_seeds_widen_a_paired_interval() {
        let agree = vec![vec![Some(0.1); 200]; 5];
        let disagree: Vec<Vec<Option<f64>>> =
            (0..5).map(|seed| vec![Some(0.1 + 0.2 * f64::from(seed - 2)); 200]).collect();
        let narrow = Estimate::paired(&agree, 500, Seed::new(1));
        let wide = Estimate::paired(&disagree, 500, Seed::new(1));
        assert!(narrow.excludes_zero() && !wide.excludes_zero(), "{narrow:?} {wide:?}");
    }

    #[test]
    fn nothing_gives_zeros_and_missing_values_are_left_out() {
        assert_eq!(Estimate::of(&[], 10, Seed::new(1)), Estimate::default());
        let rows = [vec![Some(1.0), None, Some(1.0)]];
        assert_eq!(Estimate::paired(&rows, 10, Seed::new(1)).mean, 1.0);
    }
}
