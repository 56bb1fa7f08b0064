//! What the picture needs of a comparison: a part of the file that `eef-cli compare` writes.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use serde::Deserialize;

/// A comparison of at least one method over at least one seed, every share between 0 and 1.
#[derive(Debug, Deserialize)]
pub struct Comparison {
    /// Each method over all seeds.
    pub methods: Vec<Method>,
    /// Every method under every seed.
    pub runs: Vec<Run>,
}

#[derive(Debug, Deserialize)]
pub struct Method {
    #[serde(rename = "method")]
    pub name: String,
    pub win_rate: Estimate,
    /// Under each seed.
    pub win_rates: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub struct Estimate {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

#[derive(Debug, Deserialize)]
pub struct Run {
    pub method: String,
    pub test: Test,
}

#[derive(Debug, Deserialize)]
pub struct Test {
    #[serde(default)]
    pub skills: Vec<Skill>,
}

#[derive(Debug, Deserialize)]
pub struct Skill {
    pub name: String,
    /// Share of all tasks in which it was used and the task solved.
    pub won: f64,
}

impl Comparison {
    /// Parses JSON and checks that it can be drawn.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut json = serde_json::Deserializer::from_str(text);
        let comparison: Self = serde_path_to_error::deserialize(&mut json)?;
        json.end()?;
        comparison.check()?;
        Ok(comparison)
    }

    pub fn n_seeds(&self) -> usize {
        self.methods.first().map_or(0, |method| method.win_rates.len())
    }

    /// The skills of the runs, as they first occur.
    pub fn skills(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for skill in self.runs.iter().flat_map(|run| &run.test.skills) {
            if !names.contains(&skill.name.as_str()) {
                names.push(&skill.name);
            }
        }
        names
    }

    /// The share of test tasks that a method won with a skill, under each seed.
    pub fn won_with(&self, method: &str, skill: &str) -> Vec<f64> {
        let runs = self.runs.iter().filter(|run| run.method == method);
        let skills = runs.flat_map(|run| &run.test.skills);
        skills.filter(|found| found.name == skill).map(|found| found.won).collect()
    }

    /// One line about what was read.
    pub fn summary(&self) -> String {
        let names: Vec<&str> = self.methods.iter().map(|method| method.name.as_str()).collect();
        format!("{} over {} seeds", names.join(", "), self.n_seeds())
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.methods.is_empty(), "methods is empty: there is nothing to draw");
        let n_seeds = self.n_seeds();
        let mut n_runs: BTreeMap<&str, usize> = BTreeMap::new();
        for (i, method) in self.methods.iter().enumerate() {
            let at = format!("methods[{i}]");
            let n_rates = method.win_rates.len();
            ensure!(n_rates > 0, "{at}.win_rates is empty: expected a rate for each seed");
            ensure!(
                n_rates == n_seeds,
                "{at}.win_rates: {n_rates} seeds, but {n_seeds} in methods[0]"
            );
            for (j, &rate) in method.win_rates.iter().enumerate() {
                share(&format!("{at}.win_rates[{j}]"), rate)?;
            }
            let Estimate { mean, low, high } = method.win_rate;
            for (field, value) in [("mean", mean), ("low", low), ("high", high)] {
                share(&format!("{at}.win_rate.{field}"), value)?;
            }
            ensure!(
                low <= mean && mean <= high,
                "{at}.win_rate: the mean {mean} is not within {low} to {high}"
            );
            let before = n_runs.insert(&method.name, 0);
            ensure!(before.is_none(), "{at}.method: `{}` came before", method.name);
        }
        for (i, run) in self.runs.iter().enumerate() {
            let Some(n) = n_runs.get_mut(run.method.as_str()) else {
                bail!("runs[{i}].method is `{}`, which is none of methods", run.method);
            };
            *n += 1;
            for (j, skill) in run.test.skills.iter().enumerate() {
                share(&format!("runs[{i}].test.skills[{j}].won"), skill.won)?;
            }
        }
        for (name, n) in n_runs {
            ensure!(
                n == n_seeds,
                "runs: {n} of `{name}`, expected one for each of {n_seeds} seeds"
            );
        }
        Ok(())
    }
}

fn share(field: &str, value: f64) -> anyhow::Result<()> {
    ensure!((0.0..=1.0).contains(&value), "{field} is {value}, expected a share from 0 to 1");
    Ok(())
}
