//! Results as tables.

use eef::{Comparison, Estimate, Evaluation, RunReport, SkillUse, display_name};

use crate::output::{Table, count, percent};

/// A run: the learning curve of behaviour cloning, a line per round, and last the test results.
pub fn run(report: &RunReport) -> String {
    let mut text = String::new();
    if report.curve.len() > 1 {
        text.push_str(&curve(report));
        text.push('\n');
    }
    text.push_str(&rounds(report));
    text.push('\n');
    text.push_str(&tests(report));
    text
}

fn curve(report: &RunReport) -> String {
    let mut table = Table::new(&["behaviour cloning", "epochs", "loss", "valid. win", "reward"]);
    for stage in &report.curve {
        table.row([
            format!("stage {}", stage.stage),
            stage.n_epochs.to_string(),
            loss(&stage.training.epoch_losses),
            percent(stage.validation.win_rate.mean),
            format!("{:.3}", stage.validation.reward.mean),
        ]);
    }
    table.render()
}

/// A line per round.
pub fn rounds(report: &RunReport) -> String {
    let mut table = Table::new(&[
        "round",
        "simulations",
        "won",
        "tasks solved",
        "recoveries",
        "examples",
        "trained tokens",
        "valid. win",
        "reward",
    ]);
    for round in &report.rounds {
        let best = if round.round == report.best_round { " *" } else { "" };
        table.row([
            format!("{}{best}", round.round),
            count(round.n_simulations as u64),
            count(round.n_won as u64),
            count(round.n_solved_tasks as u64),
            format!("{}/{}", round.n_recoveries, round.n_need_recover),
            count(round.training.n_examples as u64),
            count(round.training.n_trained_tokens),
            percent(round.validation.win_rate.mean),
            format!("{:.3}", round.validation.reward.mean),
        ]);
    }
    let mut text = table.render();
    text.push_str("* best on validation\n");
    let sum = |of: fn(&eef::RoundReport) -> usize| report.rounds.iter().map(of).sum::<usize>();
    let (diverged, failed) = (sum(|r| r.n_diverged), sum(|r| r.n_environment_errors));
    if diverged + failed > 0 {
        text.push_str(
            &format_args!(
                "without a result: {diverged} replays that diverged, {failed} environment errors\n"
            )
            .to_string(),
        );
    }
    text
}

fn tests(report: &RunReport) -> String {
    let first = match report.method.as_str() {
        "sft-all" => "SFT all",
        "nat" => "NAT",
        _ => "SFT pos",
    };
    let name = format!("{}, round {}", display_name(&report.method), report.best_round);
    let mut rows = vec![(first, &report.test_of_imitation)];
    if report.rounds.len() > 1 {
        rows.push((&name, &report.test));
    }
    let mut text = evaluations(&rows);
    if report.rounds.len() > 1 {
        let name = display_name(&report.method);
        let imitation = (first, &[&report.test_of_imitation][..]);
        let method = (name.as_str(), &[&report.test][..]);
        text.push_str(&used_by_one(method, imitation));
        text.push_str(&used_by_one(imitation, method));
    }
    text
}

/// What one does on test tasks and the other never does (appendix A.7), the most won first; nothing
/// where there is nothing.
fn used_by_one(
    (name, these): (&str, &[&Evaluation]),
    (other, never_by): (&str, &[&Evaluation]),
) -> String {
    const N_SHOWN: usize = 8;
    let found = eef::used_only_by(these, never_by);
    if found.is_empty() {
        return String::new();
    }
    let n_won = found.iter().filter(|(_, uses)| uses.n_won > 0).count();
    let heading = format!("{name}, never {other}: {} actions, {n_won} in won tasks", found.len());
    let mut table = Table::new(&[&heading, "tasks", "won"]);
    for (action, uses) in found.iter().take(N_SHOWN) {
        table.row([action.clone(), uses.n_tasks.to_string(), uses.n_won.to_string()]);
    }
    format!("\n{}", table.render())
}

/// One model on one split.
pub fn evaluation(name: &str, evaluation: &Evaluation) -> String {
    evaluations(&[(name, evaluation)])
}

/// Skills that find room beside the other figures; more of them (rooms) get a table of their own.
const N_SKILL_COLUMNS: usize = 3;

/// Models on one split, a row each; and what they tried.
fn evaluations(rows: &[(&str, &Evaluation)]) -> String {
    let Some((_, first)) = rows.first() else {
        return String::new();
    };
    let split = format!("{} ({} tasks)", first.split, first.n_tasks);
    let mut headings = vec![split, "win rate".to_owned(), "95 % interval".to_owned()];
    headings.extend(["reward".to_owned(), "95 % interval".to_owned(), "actions".to_owned()]);
    let skills_beside = first.skills.len() <= N_SKILL_COLUMNS;
    if skills_beside {
        headings.extend(first.skills.iter().map(|skill| format!("{} tried / won", skill.name)));
    }
    let mut table = Table::new(&headings.iter().map(String::as_str).collect::<Vec<_>>());
    for (name, evaluation) in rows {
        let mut row = vec![
            (*name).to_owned(),
            percent(evaluation.win_rate.mean),
            interval(&evaluation.win_rate),
            format!("{:.3}", evaluation.reward.mean),
            format!("{:.3} to {:.3}", evaluation.reward.low, evaluation.reward.high),
            format!("{:.1}", evaluation.mean_actions),
        ];
        if skills_beside {
            row.extend(evaluation.skills.iter().map(tried_and_won));
        }
        table.row(row);
    }
    if skills_beside { table.render() } else { format!("{}\n{}", table.render(), skills(rows)) }
}

/// A row per skill that anyone tried.
fn skills(rows: &[(&str, &Evaluation)]) -> String {
    let of = |evaluation: &Evaluation, name: &str| {
        evaluation.skills.iter().find(|skill| skill.name == name).cloned()
    };
    let headings = rows.iter().map(|(name, _)| format!("{name} tried / won"));
    let headings: Vec<_> = std::iter::once("tasks with".to_owned()).chain(headings).collect();
    let mut table = Table::new(&headings.iter().map(String::as_str).collect::<Vec<_>>());
    for skill in rows.iter().take(1).flat_map(|(_, evaluation)| &evaluation.skills) {
        let each: Vec<_> = rows.iter().map(|(_, one)| of(one, &skill.name)).collect();
        if each.iter().flatten().any(|skill| skill.tried > 0.0) {
            let cell = |skill: &Option<SkillUse>| {
                skill.as_ref().map_or_else(|| "-".to_owned(), tried_and_won)
            };
            table.row(std::iter::once(skill.name.clone()).chain(each.iter().map(cell)));
        }
    }
    table.render()
}

fn tried_and_won(skill: &SkillUse) -> String {
    format!("{} / {}", percent(skill.tried), percent(skill.won))
}

/// A comparison: a line per method, and the differences to the reference.
pub fn comparison(comparison: &Comparison) -> String {
    let mut table = Table::new(&[
        "method",
        "test win",
        "95 % interval",
        "reward",
        "sims",
        "tasks solved",
        "generated tok.",
        "trained tok.",
        "each seed",
    ]);
    for method in &comparison.methods {
        let each: Vec<_> =
            method.win_rates.iter().map(|rate| format!("{:.1}", 100.0 * rate)).collect();
        table.row([
            display_name(&method.method),
            percent(method.win_rate.mean),
            interval(&method.win_rate),
            format!("{:.3}", method.reward.mean),
            count(method.mean_simulations.round() as u64),
            count(method.mean_solved_tasks.round() as u64),
            count(method.mean_generated_tokens.round() as u64),
            count(method.mean_trained_tokens.round() as u64),
            each.join(" "),
        ]);
    }
    let mut text = table.render();
    if comparison.differences.is_empty() {
        return text;
    }
    text.push('\n');
    let mut table = Table::new(&[
        "difference",
        "win rate",
        "95 %, tasks and seeds",
        "95 %, seeds (t)",
        "reward",
        "95 %, tasks and seeds",
    ]);
    for difference in &comparison.differences {
        let (win, reward) = (&difference.win_rate, &difference.reward);
        table.row([
            format!("{} - {}", display_name(&difference.of), display_name(&difference.minus)),
            format!("{:+.1} points", 100.0 * win.mean),
            signed(win),
            difference.win_rate_over_seeds.as_ref().map_or_else(|| "-".to_owned(), signed),
            format!("{:+.3}", reward.mean),
            format!("{:+.3} to {:+.3}", reward.low, reward.high),
        ]);
    }
    text.push_str(&table.render());
    let tests = |method: &str| -> Vec<&Evaluation> {
        let runs = comparison.runs.iter().filter(|run| run.method == method);
        runs.map(|run| &run.test).collect()
    };
    for difference in &comparison.differences {
        let [one, other] = [&difference.of, &difference.minus];
        let names = [display_name(one), display_name(other)];
        let [one, other] = [tests(one), tests(other)];
        text.push_str(&used_by_one((&names[0], &one), (&names[1], &other)));
        text.push_str(&used_by_one((&names[1], &other), (&names[0], &one)));
    }
    text
}

/// The behaviour-cloning curves of a comparison, one line per seed.
pub fn curves(comparison: &Comparison) -> String {
    let mut table = Table::new(&["SFT pos, validation win by epochs", ""]);
    let firsts =
        comparison.runs.iter().filter(|run| !["sft-all", "nat"].contains(&run.method.as_str()));
    let mut last = None;
    for run in firsts.filter(|run| last.replace(run.seed) != Some(run.seed)) {
        let stages: Vec<_> = run
            .curve
            .iter()
            .map(|stage| format!("{}: {}", stage.n_epochs, percent(stage.validation.win_rate.mean)))
            .collect();
        table.row([format!("seed {}", run.seed), stages.join("   ")]);
    }
    table.render()
}

fn signed(estimate: &Estimate) -> String {
    format!("{:+.1} to {:+.1}", 100.0 * estimate.low, 100.0 * estimate.high)
}

fn interval(estimate: &Estimate) -> String {
    format!("{:.1} to {:.1}", 100.0 * estimate.low, 100.0 * estimate.high)
}

fn loss(losses: &[f64]) -> String {
    losses.last().map_or_else(|| "-".to_owned(), |loss| format!("{loss:.4}"))
}
