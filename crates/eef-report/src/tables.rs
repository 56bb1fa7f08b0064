//! The paper's tables.

use std::collections::BTreeSet;

use eef::{Comparison, Estimate, Evaluation, RoundReport, RunReport, display_name};

use crate::{ExpertSummary, Table};

/// Table 1: what the experts left on the training tasks.
pub fn data(experts: &[ExpertSummary]) -> Table {
    let headings =
        ["expert", "trajectories", "tasks", "positive", "share", "mean actions", "mean reward"];
    let mut table = Table::new(
        "Expert data (Table 1)",
        "Trajectories on the training tasks; positive are those with reward 1.",
        &headings,
    );
    for expert in experts {
        table.row([
            expert.name.clone(),
            count(expert.n_trajectories as f64),
            count(expert.n_tasks as f64),
            count(expert.n_positive as f64),
            percent(expert.n_positive as f64 / expert.n_trajectories.max(1) as f64),
            format!("{:.1}", expert.mean_actions),
            format!("{:.3}", expert.mean_reward),
        ]);
    }
    table
}

/// Table 2: what each method was given, mean over seeds.
pub fn budget(comparison: &Comparison, n_train_tasks: usize) -> Table {
    let headings = [
        "method",
        "iterations",
        "simulations per task and round",
        "simulations",
        "generated tokens",
        "trained tokens",
        "examples in the last round",
        "tasks solved in the last round",
    ];
    let mut table = Table::new(
        "Budget (Table 2)",
        format!(
            "Means over seeds. A simulation is a rollout in exploration; those that two methods share \
             are run once and counted for both. Trained tokens are those that carry loss, in all \
             epochs of all iterations. {n_train_tasks} training tasks."
        ),
        &headings,
    );
    for method in &comparison.methods {
        let runs = runs_of(comparison, &method.method);
        let exploring = |run: &&RunReport| run.rounds.len().saturating_sub(1).max(1) as f64;
        let per_round = mean(runs.iter().map(|run| {
            let n: usize = run.rounds.iter().map(|round| round.n_simulations).sum();
            n as f64 / exploring(run) / n_train_tasks.max(1) as f64
        }));
        let last = |of: fn(&RoundReport) -> usize| {
            mean(runs.iter().map(|run| run.rounds.last().map_or(0.0, |round| of(round) as f64)))
        };
        let n_rounds = runs.iter().map(|run| run.rounds.len()).max().unwrap_or(0);
        table.row([
            display_name(&method.method),
            n_rounds.to_string(),
            format!("{per_round:.2}"),
            count(method.mean_simulations),
            count(method.mean_generated_tokens),
            count(method.mean_trained_tokens),
            count(last(|round| round.training.n_examples)),
            count(last(|round| round.n_solved_tasks)),
        ]);
    }
    table
}

/// Table 3: test results of the tested round.
pub fn results(comparison: &Comparison) -> Table {
    let headings = [
        "method",
        "win rate",
        "95 % interval",
        "reward",
        "95 % interval",
        "cut off",
        "simulations",
        "tested round of each seed",
        "win rate of each seed",
    ];
    let mut table = Table::new(
        "Results (Table 3)",
        format!(
            "Test tasks, greedy, one rollout each: {}. Intervals: bootstrap over seeds and tasks. \
             Cut off: episodes that outgrew the model's context or reached the limit of turns.",
            sizes(comparison)
        ),
        &headings,
    );
    for method in &comparison.methods {
        let runs = runs_of(comparison, &method.method);
        let tested: Vec<String> = runs.iter().map(|run| run.best_round.to_string()).collect();
        let cut_off = mean(runs.iter().map(|run| {
            let Evaluation { n_context_full, n_turn_limit, n_tasks, .. } = run.test;
            (n_context_full + n_turn_limit) as f64 / n_tasks.max(1) as f64
        }));
        let each: Vec<String> =
            method.win_rates.iter().map(|rate| format!("{:.1}", 100.0 * rate)).collect();
        table.row([
            display_name(&method.method),
            percent(method.win_rate.mean),
            interval(&method.win_rate),
            format!("{:.3}", method.reward.mean),
            format!("{:.3} to {:.3}", method.reward.low, method.reward.high),
            percent(cut_off),
            count(method.mean_simulations),
            tested.join(" "),
            each.join(" "),
        ]);
    }
    table
}

/// The reference method minus each other one.
pub fn differences(comparison: &Comparison) -> Table {
    let headings = [
        "difference",
        "win rate, points",
        "95 %, tasks and seeds",
        "95 %, seeds alone",
        "reward",
        "95 %, tasks and seeds",
    ];
    let mut table = Table::new(
        "Paired differences",
        format!(
            "The same tasks and seeds for both. Tasks and seeds: bootstrap; seeds alone: Student's \
         interval of the differences of the seeds. * leaves out 0 by both; the intervals are those of \
         single comparisons, not of all of them together. {}.",
            sizes(comparison)
        ),
        &headings,
    );
    for difference in &comparison.differences {
        let over_seeds = difference.win_rate_over_seeds.as_ref();
        let clear =
            difference.win_rate.excludes_zero() && over_seeds.is_some_and(Estimate::excludes_zero);
        let star = if clear { " *" } else { "" };
        let [of, minus] = [&difference.of, &difference.minus].map(|name| display_name(name));
        table.row([
            format!("{of} - {minus}{star}"),
            format!("{:+.1}", 100.0 * difference.win_rate.mean),
            signed(&difference.win_rate),
            over_seeds.map_or_else(|| "-".to_owned(), signed),
            format!("{:+.3}", difference.reward.mean),
            format!("{:+.3} to {:+.3}", difference.reward.low, difference.reward.high),
        ]);
    }
    table
}

/// Table 4 and the figures of Figure 2: how often a skill was tried, and tried and the task won.
pub fn skills(comparison: &Comparison) -> Table {
    let names = skill_names(comparison);
    let headings: Vec<String> = std::iter::once("method".to_owned())
        .chain(names.iter().flat_map(|name| [format!("{name} tried"), format!("{name} won")]))
        .collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let mut table = Table::new(
        "Skills (Table 4, Figure 2)",
        format!(
            "Share of test tasks in which it was used (tried), and used and the task solved (won); \
             means over seeds. {}.",
            sizes(comparison)
        ),
        &headings,
    );
    if names.is_empty() {
        return table;
    }
    for method in &comparison.methods {
        let cells = names.iter().flat_map(|name| {
            let (tried, won) = skill_shares(comparison, &method.method, name);
            [percent(tried), percent(won)]
        });
        table.row(std::iter::once(display_name(&method.method)).chain(cells));
    }
    table
}

/// Each round's validation results and what it found, means over seeds.
pub fn rounds(comparison: &Comparison) -> Table {
    let headings = [
        "method, round",
        "validation win rate",
        "simulations",
        "won",
        "need recovery",
        "recovered",
        "examples",
        "trained tokens",
    ];
    let mut table = Table::new(
        "Rounds",
        format!(
            "Means over seeds; round 1 is behaviour cloning, which methods share. {}.",
            validation_sizes(comparison)
        ),
        &headings,
    );
    for method in &comparison.methods {
        let runs = runs_of(comparison, &method.method);
        let n_rounds = runs.iter().map(|run| run.rounds.len()).max().unwrap_or(0);
        for index in 0..n_rounds {
            let of = |value: &dyn Fn(&RoundReport) -> f64| {
                mean(runs.iter().filter_map(|run| run.rounds.get(index)).map(value))
            };
            table.row([
                format!("{}, {}", display_name(&method.method), index + 1),
                percent(of(&|round| round.validation.win_rate.mean)),
                count(of(&|round| round.n_simulations as f64)),
                count(of(&|round| round.n_won as f64)),
                count(of(&|round| round.n_need_recover as f64)),
                count(of(&|round| round.n_recoveries as f64)),
                count(of(&|round| round.training.n_examples as f64)),
                count(of(&|round| round.training.n_trained_tokens as f64)),
            ]);
        }
    }
    table
}

/// Behaviour cloning's learning curve of every seed: whether the baseline was trained enough.
pub fn cloning(comparison: &Comparison) -> Table {
    let firsts = first_rounds(comparison);
    let epochs: BTreeSet<usize> =
        firsts.iter().flat_map(|run| run.curve.iter().map(|stage| stage.n_epochs)).collect();
    let headings: Vec<String> = std::iter::once("seed".to_owned())
        .chain(epochs.iter().map(|n| format!("{n} epochs")))
        .collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let mut table = Table::new(
        "Behaviour cloning by epochs",
        format!(
            "Win rate on validation tasks after each stage of SFT pos; the best stage is round 1. {}.",
            validation_sizes(comparison)
        ),
        &headings,
    );
    for run in firsts {
        let cell = |n: &usize| {
            let stage = run.curve.iter().find(|stage| stage.n_epochs == *n);
            stage.map_or_else(String::new, |stage| percent(stage.validation.win_rate.mean))
        };
        table.row(std::iter::once(run.seed.to_string()).chain(epochs.iter().map(cell)));
    }
    table
}

/// A run for each seed that began with SFT pos.
fn first_rounds(comparison: &Comparison) -> Vec<&RunReport> {
    let mut seen = BTreeSet::new();
    let began_so = |run: &&RunReport| !["sft-all", "nat"].contains(&run.method.as_str());
    comparison.runs.iter().filter(began_so).filter(|run| seen.insert(run.seed)).collect()
}

pub(crate) fn runs_of<'a>(comparison: &'a Comparison, method: &str) -> Vec<&'a RunReport> {
    comparison.runs.iter().filter(|run| run.method == method).collect()
}

/// The skills that anybody tried, in their order.
pub(crate) fn skill_names(comparison: &Comparison) -> Vec<String> {
    let tests: Vec<&Evaluation> = comparison.runs.iter().map(|run| &run.test).collect();
    let Some(first) = tests.first() else { return Vec::new() };
    let is_tried = |name: &str| {
        tests.iter().flat_map(|test| &test.skills).any(|one| one.name == name && one.tried > 0.0)
    };
    let names = first.skills.iter().map(|skill| skill.name.clone());
    names.filter(|name| is_tried(name)).collect()
}

/// How often a method tried a skill on test tasks, and won with it: means over seeds.
pub(crate) fn skill_shares(comparison: &Comparison, method: &str, skill: &str) -> (f64, f64) {
    let runs = runs_of(comparison, method);
    let of = |value: fn(&eef::SkillUse) -> f64| {
        mean(runs.iter().map(|run| {
            let found = run.test.skills.iter().find(|one| one.name == skill);
            found.map_or(0.0, value)
        }))
    };
    (of(|skill| skill.tried), of(|skill| skill.won))
}

/// The same of validation.
fn validation_sizes(comparison: &Comparison) -> String {
    let rounds = comparison.runs.first().and_then(|run| run.rounds.first());
    let n_tasks = rounds.map_or(0, |round| round.validation.rewards.len());
    format!("{n_tasks} validation tasks")
}

/// How many tasks and seeds a comparison has.
pub(crate) fn sizes(comparison: &Comparison) -> String {
    let n_tasks = comparison.runs.first().map_or(0, |run| run.test.rewards.len());
    let n_seeds = comparison.methods.iter().map(|method| method.win_rates.len()).max().unwrap_or(0);
    let seeds = if n_seeds == 1 { "seed" } else { "seeds" };
    format!("{n_tasks} tasks, {n_seeds} {seeds}")
}

pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut n) = (0.0, 0);
    for value in values {
        sum += value;
        n += 1;
    }
    sum / f64::from(n.max(1))
}

/// A count with its thousands apart.
pub(crate) fn count(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn interval(estimate: &Estimate) -> String {
    format!("{:.1} to {:.1}", 100.0 * estimate.low, 100.0 * estimate.high)
}

fn signed(estimate: &Estimate) -> String {
    format!("{:+.1} to {:+.1}", 100.0 * estimate.low, 100.0 * estimate.high)
}
