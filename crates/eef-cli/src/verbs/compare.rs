//! `compare`: several methods over several seeds.

use std::path::Path;
use std::time::Instant;

use clap::Args;
use eef::{Comparison, RunReport};
use eef_store::{SqliteStore, TrajectoryStore};

use super::iterate::Parts;
use crate::config::{CompareConfig, Config};
use crate::context::Context;
use crate::recording::Recording;
use crate::run_directory::{self, RunDirectory};
use crate::{output, results, wiring};

/// What to compare.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Methods in place of the configuration's, separated by commas
    #[arg(long, value_delimiter = ',')]
    methods: Vec<String>,
    /// Number of seeds in place of the configuration's, counted up from its seed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// The method whose differences to the others are reported, in place of the configuration's;
    /// without either the last method
    #[arg(long, value_name = "METHOD")]
    reference: Option<String>,
}

/// Compares.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let mut config = context.config()?;
    // Which cells are wanted is no setting of any of them: more can be asked of the same directory.
    let compared = std::mem::take(&mut config.compare);
    let named: Vec<String> = arguments.methods.iter().map(|name| name.trim().to_owned()).collect();
    let names = if named.is_empty() { &compared.methods } else { &named };
    let methods = names.iter().map(|name| wiring::method(&config, name));
    let methods = methods.collect::<anyhow::Result<Vec<_>>>()?;
    let last = names.last().map_or("eef", String::as_str);
    // The configuration's is for the configuration's methods.
    let configured = Some(&compared.reference).filter(|name| names.contains(name));
    let reference = arguments.reference.as_ref().or(configured).map_or(last, String::as_str);
    let n_seeds = arguments.seeds.unwrap_or(compared.n_seeds);
    // What is missing or cannot work is found before a run directory is made.
    let seeds: Vec<u64> = (0..n_seeds).map(|i| config.seed.wrapping_add(i)).collect();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    eef::check_comparison(&known, &seeds, reference)?;
    wiring::check_settings(&config)?;
    let learner = Recording(wiring::learner(&config)?);
    let imitations: Vec<_> = methods.iter().map(|method| method.imitation()).collect();
    let parts = Parts::open(context, &config, &imitations)?;
    let run = RunDirectory::open(context, &config, "compare-")?;
    let (methods_asked, reference_asked) = (names.clone(), reference.to_owned());
    let asked = CompareConfig { methods: methods_asked, n_seeds, reference: reference_asked };
    run.remember(&Config { compare: asked, ..config.clone() })?;
    let opening = wiring::opening(&config)?;
    let skills = parts.world.skills();
    let setup = parts.setup(&config, &learner, &opening, &skills);
    let open = |directory: &std::path::Path| {
        let store = SqliteStore::open(run_directory::store_file(directory))?;
        Ok(Box::new(store) as Box<dyn TrajectoryStore>)
    };
    let settings = wiring::run_config(&config);
    let begun = Instant::now();
    let compared = eef::compare(
        &setup,
        &settings,
        &methods,
        &seeds,
        reference,
        &open,
        run.path(),
        &context.control(),
    );
    run_directory::add_seconds(run.path(), begun.elapsed().as_secs_f64())?;
    let comparison = compared?;
    for report in &comparison.runs {
        describe(run.path(), &config, report)?;
    }
    let file = run.path().join("comparison.json");
    let left_out = left_out(&file, &comparison);
    if !left_out.is_empty() {
        context.progress.note(&format!(
            "{} no longer tells of {}; these runs are kept, and come back when they are named again",
            file.display(),
            left_out.join(", ")
        ));
    }
    run_directory::write(&file, &serde_json::to_vec_pretty(&comparison)?)?;
    if context.global.json {
        return output::print_json(&comparison);
    }
    let leak = parts.world.leak().map_or_else(String::new, |leak| leak + "\n");
    output::print(&format!(
        "{}\n{}{leak}",
        results::curves(&comparison),
        results::comparison(&comparison)
    ))?;
    context.progress.note(&format!(
        "all figures: {}; as tables and pictures: report --run-dir {}",
        file.display(),
        run.path().display()
    ));
    Ok(())
}

/// Makes a method's directory one that `evaluate`, `inspect` and `export` take for a run's.
fn describe(directory: &Path, config: &Config, report: &RunReport) -> anyhow::Result<()> {
    let mut config = config.clone();
    config.seed = report.seed;
    config.method.name.clone_from(&report.method);
    let run = directory.join(format!("seed-{}", report.seed)).join(&report.method);
    run_directory::write(&run.join("report.json"), &serde_json::to_vec_pretty(report)?)?;
    run_directory::write(
        &run.join(run_directory::CONFIG_FILE),
        toml::to_string(&config)?.as_bytes(),
    )
}

/// The runs of a comparison that was written before and that this one does not have.
fn left_out(file: &Path, comparison: &Comparison) -> Vec<String> {
    let before = std::fs::read(file).ok();
    let before: Option<Comparison> = before.and_then(|text| serde_json::from_slice(&text).ok());
    let has = |run: &RunReport| {
        comparison.runs.iter().any(|one| (&one.method, one.seed) == (&run.method, run.seed))
    };
    let gone = before.map_or_else(Vec::new, |before| before.runs);
    let gone = gone.iter().filter(|run| !has(run));
    gone.map(|run| format!("{} under seed {}", run.method, run.seed)).collect()
}
