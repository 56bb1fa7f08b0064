//! Means with intervals.

use eef_core::Seed;
use serde::{Deserialize, Serialize};

/// A mean and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Default)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The 97.5 % quantile of the normal distribution.
const NORMAL: f64 = 1.959_964;

/// That of Student's t for 1, 2, … degrees of freedom.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

impl Estimate {
    /// A share, with Wilson's interval: it says something also where all or none are counted.
    pub fn share(n_counted: usize, n: usize) -> Self {
        if n == 0 {
            return Self::default();
        }
        let (total, mean) = (n as f64, n_counted as f64 / n as f64);
        let square = NORMAL * NORMAL;
        let middle = (mean + square / (2.0 * total)) / (1.0 + square / total);
        let half = NORMAL / (1.0 + square / total)
            * (mean * (1.0 - mean) / total + square / (4.0 * total * total)).sqrt();
        Self { mean, low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
    }

    /// The mean of a few values, such as one per seed, with Student's interval; without one for a
    /// single value. It knows nothing of tasks, and is wide for few seeds, as it should be.
    pub fn student(values: &[f64]) -> Option<Self> {
        let (n, n_free) = (values.len() as f64, values.len().checked_sub(2)?);
        let mean = values.iter().sum::<f64>() / n;
        let square = |value: &f64| (value - mean) * (value - mean);
        let error = (values.iter().map(square).sum::<f64>() / (n - 1.0) / n).sqrt();
        let half = error * STUDENT.get(n_free).copied().unwrap_or(NORMAL);
        Some(Self { mean, low: mean - half, high: mean + half })
    }

    /// Percentile bootstrap over tasks; all zero for no values.
    pub fn of(values: &[f64], n_resamples: usize, seed: Seed) -> Self {
        Self::paired(&[values.iter().copied().map(Some).collect::<Vec<_>>()], n_resamples, seed)
    }

    /// Percentile bootstrap over rows (seeds) and columns (tasks, the same in every row), each
    /// resampled with replacement: the interval covers both sources of chance. Of `n` rows `n - 1`
    /// are drawn, because means of `n` out of `n` vary too little by the factor `(n - 1) / n`. A
    /// `None` has no value and is left out. A single row is not resampled.
    pub fn paired(rows: &[Vec<Option<f64>>], n_resamples: usize, seed: Seed) -> Self {
        let n_columns = rows.iter().map(Vec::len).min().unwrap_or(0);
        let all_rows: Vec<usize> = (0..rows.len()).collect();
        let all_columns: Vec<usize> = (0..n_columns).collect();
        let Some(mean) = mean(rows, &all_rows, &all_columns) else {
            return Self::default();
        };
        let mut rng = seed.rng();
        let mut draw = |n_drawn: usize, n: usize| -> Vec<usize> {
            (0..n_drawn).map(|_| rng.below(n)).collect()
        };
        let mut means: Vec<f64> = (0..n_resamples)
            .filter_map(|_| {
                let chosen_rows = draw((rows.len() - 1).max(1), rows.len());
                self::mean(rows, &chosen_rows, &draw(n_columns, n_columns))
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
    fn few_rows_vary_as_much_as_their_mean_does() {
        // 5 seeds without any chance in tasks: the standard error of their mean is s / sqrt(5).
        let seeds = [0.1, 0.3, -0.1, 0.2, 0.0];
        let rows: Vec<_> = seeds.iter().map(|&value| vec![Some(value); 50]).collect();
        let estimate = Estimate::paired(&rows, 20_000, Seed::new(1));
        let error = (seeds.iter().map(|x| (x - 0.1) * (x - 0.1)).sum::<f64>() / 4.0 / 5.0).sqrt();
        let half = (estimate.high - estimate.low) / 2.0;
        assert!((half / (1.96 * error) - 1.0).abs() < 0.06, "{estimate:?} {error}");
        let student = Estimate::student(&seeds).unwrap();
        assert!((student.high - (0.1 + 2.776 * error)).abs() < 1e-9, "{student:?}");
        assert_eq!(Estimate::student(&[0.1]), None);
    }

    #[test]
    fn a_share_of_none_has_an_interval() {
        // Wilson, 0 of 10: the upper end is z² / (10 + z²).
        let none = Estimate::share(0, 10);
        assert_eq!((none.mean, none.low), (0.0, 0.0));
        assert!((none.high - 3.8415 / 13.8415).abs() < 1e-4, "{none:?}");
        let half = Estimate::share(50, 100);
        assert!((half.low - 0.4038).abs() < 1e-4 && (half.high - 0.5962).abs() < 1e-4, "{half:?}");
        assert_eq!(Estimate::share(0, 0), Estimate::default());
    }

    #[test]
    fn nothing_gives_zeros_and_missing_values_are_left_out() {
        assert_eq!(Estimate::of(&[], 10, Seed::new(1)), Estimate::default());
        let rows = [vec![Some(1.0), None, Some(1.0)]];
        assert_eq!(Estimate::paired(&rows, 10, Seed::new(1)).mean, 1.0);
    }
}
