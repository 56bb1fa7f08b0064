//! Several methods under one roof: the same experts, the same seeds, the same first round.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use eef_core::{Control, Event, Progress, Seed};
use eef_store::{StoreError, TrajectoryStore};
use serde::{Deserialize, Serialize};

use crate::bench::Bench;
use crate::iterate::{Cloned, clone_behaviour, explore_and_tune};
use crate::{Config, Estimate, Evaluation, Imitation, Method, RunError, RunReport, Setup, Whose};

/// Opens the store of a directory that exists.
pub type OpenStore<'a> = &'a dyn Fn(&Path) -> Result<Box<dyn TrajectoryStore>, StoreError>;

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Every method's run under every seed, by seed and then as the methods were given.
    pub runs: Vec<RunReport>,
    /// Each method over all seeds, as they were given.
    pub methods: Vec<MethodSummary>,
    /// The reference method minus each other one, on the same tasks and seeds.
    pub differences: Vec<Difference>,
}

/// A method over all seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodSummary {
    /// Its name.
    pub method: String,
    /// Its test win rate, with an interval over seeds and tasks.
    pub win_rate: Estimate,
    /// Its test reward.
    pub reward: Estimate,
    /// The test win rate under each seed.
    pub win_rates: Vec<f64>,
    /// Simulations, mean over seeds.
    pub mean_simulations: f64,
    /// Tokens generated while exploring, mean over seeds.
    pub mean_generated_tokens: f64,
    /// Tokens that carried loss, over all rounds and epochs, mean over seeds.
    pub mean_trained_tokens: f64,
    /// Training tasks solved in the last round, mean over seeds.
    pub mean_solved_tasks: f64,
}

/// One method minus another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The method.
    pub of: String,
    /// What is subtracted.
    pub minus: String,
    /// The difference of test win rates: paired over tasks, with an interval over seeds and tasks.
    pub win_rate: Estimate,
    /// The same with Student's interval over seeds alone; `None` for a single seed.
    pub win_rate_over_seeds: Option<Estimate>,
    /// The difference of test rewards.
    pub reward: Estimate,
    /// The difference of win rates under each seed.
    pub win_rates: Vec<f64>,
}

/// Runs every method under every seed. Methods with the same first round share its model, and what
/// two of them ask of one model is rolled out once and counted for both; each has a directory and a
/// store of its own, so that none learns from what only another explored.
///
/// Continues an interrupted comparison: complete runs are read from their stores. `reference` is
/// the method whose differences are reported.
///
/// # Errors
/// [`RunError::Setting`] where a method or a seed is given twice, or the reference is none of the
/// methods; otherwise any [`RunError`]. What was complete before it stays: the same call continues.
#[expect(clippy::too_many_arguments, reason = "each is a thing of its own, named at the call")]
pub fn compare(
    setup: &Setup<'_>,
    config: &Config,
    methods: &[Box<dyn Method>],
    seeds: &[u64],
    reference: &str,
    open_store: OpenStore<'_>,
    directory: &Path,
    control: &Control<'_>,
) -> Result<Comparison, RunError> {
    let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
    check_comparison(&names, seeds, reference)?;
    let mut runs = Vec::new();
    for &seed in seeds {
        let config = Config { seed, ..config.clone() };
        let directory = directory.join(format!("seed-{seed}"));
        let mut cloned: BTreeMap<Imitation, Cloned> = BTreeMap::new();
        let mut stores: Vec<Box<dyn TrajectoryStore>> = Vec::new();
        for method in methods {
            let imitation = method.imitation();
            let named = |name: &str| Named { name: format!("seed {seed}, {name}"), control };
            let cloned = match cloned.entry(imitation) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let name = format!("imitation-{}", imitation.name());
                    let (path, store) = open(&directory, &name, open_store)?;
                    let named = named("imitation");
                    let control = control.with_progress(&named);
                    let bench = Bench::new(setup, &config, store.as_ref(), &path, &control)?;
                    let bench = bench.after(imitation).seeing(Whose::Imitated);
                    bench.open_run(None)?;
                    new.insert(clone_behaviour(&bench, imitation)?)
                }
            };
            let (path, store) = open(&directory, method.name(), open_store)?;
            let named = named(method.name());
            let control = control.with_progress(&named);
            let bench = Bench::new(setup, &config, store.as_ref(), &path, &control)?;
            let bench = bench.after(imitation).seeing(method.whose()).beside(&stores);
            bench.open_run(Some(method.as_ref()))?;
            let run = if let Some(run) = bench.take(REPORT)? {
                run
            } else {
                let run = explore_and_tune(&bench, method.as_ref(), cloned)?;
                bench.put(REPORT, &run)?;
                run
            };
            let percent = 100.0 * run.test.win_rate.mean;
            let line = format!("test {percent:.1} % won (round {})", run.best_round);
            control.report(Event::Milestone { line });
            runs.push(run);
            stores.push(store);
        }
    }
    Ok(summarise(runs, &names, reference, config.evaluation.n_resamples))
}

const REPORT: &str = "report";

/// Checks what a comparison is asked for, before anything is made: each method and each seed once, and a
/// reference that is one of the methods.
///
/// # Errors
/// [`RunError::Setting`].
pub fn check_comparison(names: &[&str], seeds: &[u64], reference: &str) -> Result<(), RunError> {
    let error = |field, found: String, expected| RunError::Setting { field, found, expected };
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        return Err(error("methods", names.join(", "), "each method once"));
    }
    if seeds.iter().collect::<BTreeSet<_>>().len() < seeds.len() {
        return Err(error("seeds", format!("{seeds:?}"), "each seed once"));
    }
    if !names.contains(&reference) {
        return Err(error("reference", reference.to_owned(), "one of the methods"));
    }
    Ok(())
}

/// Says whose phases these are.
struct Named<'a, 'b> {
    name: String,
    control: &'a Control<'b>,
}

impl Progress for Named<'_, '_> {
    fn report(&self, event: Event) {
        let name = &self.name;
        self.control.report(match event {
            Event::Started { phase, unit, total } => {
                Event::Started { phase: format!("{name}: {phase}"), unit, total }
            }
            Event::Milestone { line } => Event::Milestone { line: format!("{name}: {line}") },
            other => other,
        });
    }
}

fn open(
    directory: &Path,
    name: &str,
    open_store: OpenStore<'_>,
) -> Result<(std::path::PathBuf, Box<dyn TrajectoryStore>), RunError> {
    let path = directory.join(name);
    crate::bench::create(&path)?;
    let store = open_store(&path)?;
    Ok((path, store))
}

fn summarise(
    runs: Vec<RunReport>,
    names: &[&str],
    reference: &str,
    n_resamples: usize,
) -> Comparison {
    let of =
        |name: &str| -> Vec<&RunReport> { runs.iter().filter(|run| run.method == name).collect() };
    let methods = names.iter().map(|name| method_summary(name, &of(name), n_resamples)).collect();
    let others = names.iter().filter(|name| **name != reference && names.contains(&reference));
    let differences = others
        .map(|name| difference((reference, &of(reference)), (name, &of(name)), n_resamples))
        .collect();
    Comparison { runs, methods, differences }
}

fn method_summary(name: &str, runs: &[&RunReport], n_resamples: usize) -> MethodSummary {
    let mean = |value: &dyn Fn(&RunReport) -> f64| {
        runs.iter().map(|run| value(run)).sum::<f64>() / runs.len().max(1) as f64
    };
    let wins: Vec<_> = runs.iter().map(|run| wins(&run.test)).collect();
    let rewards: Vec<_> = runs.iter().map(|run| run.test.rewards.clone()).collect();
    let over_rounds = |run: &RunReport, value: fn(&crate::RoundReport) -> u64| -> f64 {
        run.rounds.iter().map(value).sum::<u64>() as f64
    };
    MethodSummary {
        method: name.to_owned(),
        win_rate: Estimate::paired(&wins, n_resamples, seed()),
        reward: Estimate::paired(&rewards, n_resamples, seed()),
        win_rates: runs.iter().map(|run| run.test.win_rate.mean).collect(),
        mean_simulations: mean(&|run| over_rounds(run, |round| round.n_simulations as u64)),
        mean_generated_tokens: mean(&|run| over_rounds(run, |round| round.n_generated_tokens)),
        mean_trained_tokens: mean(&|run| over_rounds(run, |round| round.training.n_trained_tokens)),
        mean_solved_tasks: mean(&|run| {
            run.rounds.last().map_or(0.0, |round| round.n_solved_tasks as f64)
        }),
    }
}

fn difference(
    (of, runs): (&str, &[&RunReport]),
    (minus, others): (&str, &[&RunReport]),
    n_resamples: usize,
) -> Difference {
    let paired = |value: fn(&Evaluation) -> Vec<Option<f64>>| -> Vec<Vec<Option<f64>>> {
        let minus = |(a, b): (Option<f64>, Option<f64>)| Some(a? - b?);
        let pair = |(run, other): (&&RunReport, &RunReport)| {
            value(&run.test).into_iter().zip(value(&other.test)).map(minus).collect()
        };
        by_seed(runs, others).map(pair).collect()
    };
    let win_rates: Vec<f64> = by_seed(runs, others)
        .map(|(run, other)| run.test.win_rate.mean - other.test.win_rate.mean)
        .collect();
    Difference {
        of: of.to_owned(),
        minus: minus.to_owned(),
        win_rate: Estimate::paired(&paired(wins), n_resamples, seed()),
        reward: Estimate::paired(&paired(|test| test.rewards.clone()), n_resamples, seed()),
        win_rate_over_seeds: Estimate::student(&win_rates),
        win_rates,
    }
}

/// Each run with the other method's under the same seed.
fn by_seed<'a>(
    runs: &'a [&RunReport],
    others: &'a [&RunReport],
) -> impl Iterator<Item = (&'a &'a RunReport, &'a RunReport)> {
    runs.iter().filter_map(|run| {
        let other = others.iter().find(|other| other.seed == run.seed)?;
        Some((run, *other))
    })
}

fn wins(test: &Evaluation) -> Vec<Option<f64>> {
    let win = |reward: f64| f64::from(u8::from(reward == 1.0));
    test.rewards.iter().map(|reward| reward.map(win)).collect()
}

fn seed() -> Seed {
    Seed::new(0).derive("bootstrap over seeds and tasks", 0)
}
