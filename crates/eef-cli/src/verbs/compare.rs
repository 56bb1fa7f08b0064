//! `compare`: several methods over several seeds.

use clap::Args;
use eef_core::Opening;
use eef_store::{SqliteStore, TrajectoryStore};

use super::iterate::Parts;
use crate::context::Context;
use crate::recording::Recording;
use crate::run_directory::{self, RunDirectory};
use crate::{output, results, wiring};

/// What to compare.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Methods, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "sft-pos,rft,rft-x6,eef")]
    methods: Vec<String>,
    /// Number of seeds, counted up from the configuration's
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The method whose differences to the others are reported; without it the last one
    #[arg(long, value_name = "METHOD")]
    reference: Option<String>,
}

/// Compares.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let config = context.config()?;
    let methods = arguments.methods.iter().map(|name| wiring::method(&config, name));
    let methods = methods.collect::<anyhow::Result<Vec<_>>>()?;
    let last = arguments.methods.last().map_or("eef", String::as_str);
    let reference = arguments.reference.as_deref().unwrap_or(last);
    if !arguments.methods.iter().any(|name| name == reference) {
        anyhow::bail!("--reference {reference} is none of {}", arguments.methods.join(", "));
    }
    let parts = Parts::open(context, &config)?;
    let run = RunDirectory::open(&context.global, &config, "compare-")?;
    let learner = Recording(wiring::learner(&config)?);
    let opening = |opening: &Opening| parts.prompt.of_opening(opening);
    let skills = wiring::skills();
    let setup = parts.setup(&config, &learner, &opening, &skills);
    let seeds: Vec<u64> = (0..arguments.seeds).map(|i| config.seed.wrapping_add(i)).collect();
    let open = |directory: &std::path::Path| {
        let store = SqliteStore::open(run_directory::store_file(directory))?;
        Ok(Box::new(store) as Box<dyn TrajectoryStore>)
    };
    let settings = wiring::run_config(&config);
    let comparison = eef::compare(
        &setup,
        &settings,
        &methods,
        &seeds,
        reference,
        &open,
        run.path(),
        &context.control(),
    )?;
    let file = run.path().join("comparison.json");
    run_directory::write(&file, &serde_json::to_vec_pretty(&comparison)?)?;
    if context.global.json {
        return output::print_json(&comparison);
    }
    output::print(&format!(
        "{}\n{}",
        results::curves(&comparison),
        results::comparison(&comparison)
    ))?;
    output::say(&format!("all figures: {}", file.display()));
    Ok(())
}
