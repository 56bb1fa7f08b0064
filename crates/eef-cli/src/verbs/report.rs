//! `report`: a comparison as the paper's tables and figures.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use eef::{Comparison, Difference, RunReport, display_name};
use eef_core::{Split, Trajectory};
use eef_report::{CaseStudy, Report, expert_summaries, find_cases};
use eef_store::{SqliteStore, TrajectoryStore as _};

use crate::config::{BudgetConfig, Config};
use crate::context::Context;
use crate::{output, run_directory, wiring};

/// What to report.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Directory to write to; without it `report` in the comparison's
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The heading
    #[arg(long, default_value = "Comparison")]
    title: String,
    /// A remark to print below it, such as what was tuned on what; may be given several times
    #[arg(long, value_name = "TEXT")]
    remark: Vec<String>,
    /// Cases to show: tasks that the reference wins and another method loses
    #[arg(long, default_value_t = 4, value_name = "N")]
    cases: usize,
}

/// Writes the report of a comparison.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let Some(directory) = &context.global.run_dir else {
        bail!(
            "which comparison? Name its directory with --run-dir, such as runs/compare-embedded-seed1"
        );
    };
    if arguments.out.as_deref() == Some(Path::new("-")) {
        bail!("--out wants a directory: a report is several files");
    }
    let file = directory.join("comparison.json");
    let text = std::fs::read(&file).with_context(|| {
        format!(
            "{} holds no complete comparison: `compare --run-dir {}` makes one",
            directory.display(),
            directory.display()
        )
    })?;
    let comparison: Comparison = serde_json::from_slice(&text).with_context(|| {
        format!("{} is no comparison of this program; `compare` writes it anew", file.display())
    })?;
    let config = context.config_of_run()?;
    let world = wiring::World::open(&config)?;
    let experts = wiring::experts(&config, &world, &context.control())?;
    let tasks = wiring::training_tasks(&config, &world);
    let experts: Vec<_> = experts.into_iter().map(Arc::new).collect();
    let experts = eef::experts_on(&tasks, &experts);
    let cases = cases(directory, &config, &world, &comparison, arguments.cases)?;
    let report = Report {
        title: arguments.title.clone(),
        provenance: provenance(directory, &config, &world, &comparison)?,
        remarks: arguments.remark.clone(),
        experts: expert_summaries(&experts),
        n_train_tasks: tasks.len(),
        comparison,
        cases,
    };
    let out = arguments.out.clone().unwrap_or_else(|| directory.join("report"));
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    for figure in report.figures()? {
        run_directory::write(&out.join(figure.file), figure.svg.as_bytes())?;
    }
    run_directory::write(&out.join("report.html"), report.html()?.as_bytes())?;
    run_directory::write(
        &out.join("comparison-report.json"),
        &serde_json::to_vec_pretty(&report)?,
    )?;
    // Last: where it is, the rest is too.
    let page = out.join("report.md");
    run_directory::write(&page, report.markdown()?.as_bytes())?;
    if context.global.json {
        return output::print_json(&serde_json::json!({ "report": page }));
    }
    let html = out.join("report.html");
    output::print(&format!(
        "{}\n{}\nand figures and JSON beside them\n",
        page.display(),
        html.display()
    ))
}

/// What ran, and where: as the comparison's directory has it, and whether that is still so.
fn provenance(
    directory: &Path,
    config: &Config,
    world: &wiring::World,
    comparison: &Comparison,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut lines = vec![("configuration".to_owned(), config.name.clone())];
    lines.extend(run_directory::provenance(directory)?);
    let limits = config.budget;
    if limits != BudgetConfig::default() {
        let limit = |n: u64, what: &str| (n > 0).then(|| format!("{} {what}", output::count(n)));
        let limits = [
            limit(limits.simulations as u64, "simulations"),
            limit(limits.generated_tokens, "generated tokens"),
            limit(limits.trained_tokens, "trained tokens"),
        ];
        let limits = limits.into_iter().flatten().collect::<Vec<_>>().join(", ");
        lines.push(("limits of a round".to_owned(), limits));
    }
    let text = std::fs::read(directory.join(run_directory::CONFIG_FILE))?;
    lines.push(("hash of the configuration".to_owned(), short_hash(&text)));
    let now = wiring::fingerprint(config, world, &wiring::base_model(config)?)?;
    let run = comparison.runs.first();
    let run = run.map(|run| directory.join(format!("seed-{}", run.seed)).join(&run.method));
    let then = match run.map(|run| run_directory::store_file(&run)) {
        Some(file) if SqliteStore::exists(&file) => {
            SqliteStore::open(&file)?.record("settings/fingerprint")?
        }
        _ => None,
    };
    let then = then.map_or_else(|| now.clone(), |text| String::from_utf8_lossy(&text).into_owned());
    let changed =
        if then == now { "" } else { " (since then data, base model or engine have changed)" };
    lines.push(("hash of data, base model and engine".to_owned(), format!("{then}{changed}")));
    Ok(lines)
}

fn short_hash(bytes: &[u8]) -> String {
    eef_core::TrajectoryId::derive(&[bytes]).to_string()
}

/// Test tasks that the reference wins and another method loses, under the first seed.
fn cases(
    directory: &Path,
    config: &Config,
    world: &wiring::World,
    comparison: &Comparison,
    n: usize,
) -> anyhow::Result<Vec<CaseStudy>> {
    let Some(reference) = comparison.differences.first().map(|difference| &difference.of) else {
        return Ok(Vec::new());
    };
    let skills = world.skills();
    let is_telling = |one: &Trajectory| skills.iter().any(|skill| skill.is_in(one));
    let of = |method: &str| comparison.runs.iter().find(|run| run.method == method);
    let Some(reference) = of(reference) else { return Ok(Vec::new()) };
    let winners = tests(directory, reference, config)?;
    // Those that the reference certainly leads, the closest of them first; without any all of them.
    let mut differences: Vec<&Difference> = comparison.differences.iter().collect();
    differences.sort_by(|a, b| {
        let rank = |one: &Difference| (one.win_rate.low <= 0.0, one.win_rate.mean);
        let (a, b) = (rank(a), rank(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let n_certain = differences.iter().filter(|one| one.win_rate.low > 0.0).count();
    if n_certain > 0 {
        differences.truncate(n_certain);
    }
    let others: Vec<&RunReport> =
        differences.iter().filter_map(|difference| of(&difference.minus)).collect();
    let mut cases = Vec::new();
    // Each has its share.
    for other in &others {
        let losers = tests(directory, other, config)?;
        let methods = [&reference.method, &other.method].map(|name| display_name(name));
        let methods = [methods[0].as_str(), methods[1].as_str()];
        let share = n.div_ceil(others.len().max(1));
        let seen = |case: &CaseStudy, known: &[CaseStudy]| {
            known.iter().any(|one: &CaseStudy| one.won.task == case.won.task)
        };
        let found = find_cases(methods, &winners, &losers, &is_telling, n + share);
        let fresh: Vec<_> = found.into_iter().filter(|case| !seen(case, &cases)).collect();
        cases.extend(fresh.into_iter().take(share));
    }
    cases.truncate(n);
    Ok(cases)
}

/// A run's trajectories on the test tasks: those of the tested round, the only ones that were tried.
fn tests(
    directory: &Path,
    run: &RunReport,
    config: &Config,
) -> anyhow::Result<Vec<Arc<Trajectory>>> {
    let seed = directory.join(format!("seed-{}", run.seed));
    // Round 1 belongs to all that imitate alike.
    let name = if run.best_round > 1 {
        run.method.clone()
    } else {
        let imitation = wiring::method(config, &run.method)?.imitation();
        format!("imitation-{}", imitation.name())
    };
    let file = run_directory::store_file(&seed.join(name));
    if !SqliteStore::exists(&file) {
        return Ok(Vec::new());
    }
    let found = SqliteStore::open(&file)?.by_round(run.best_round)?;
    Ok(found.into_iter().filter(|one| one.task.split() == Split::Test).collect())
}
