//! `collect`: a scripted teacher's trajectories as JSONL.

use std::path::PathBuf;

use clap::Args;
use eef_core::Split;
use eef_store::{MemoryStore, TrajectoryStore};

use crate::context::Context;
use crate::{output_file, wiring};

/// What to collect.
#[derive(Args, Debug)]
pub struct Arguments {
    /// scripted-strong, scripted-weak or oracle
    #[arg(long, default_value = "scripted-strong")]
    teacher: String,
    /// train, validation or test
    #[arg(long, default_value = "train")]
    split: Split,
    /// Only the first N tasks; 0 takes all
    #[arg(long, default_value_t = 0, value_name = "N")]
    tasks: usize,
    /// File to write; - for stdout
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Collects.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let config = context.config()?;
    let world = wiring::World::open(&config)?;
    let Arguments { teacher, split, tasks, out } = arguments;
    let control = context.control();
    let found = wiring::collect(&config, &world, teacher, *split, *tasks, &control)?;
    let n_positive = found.iter().filter(|trajectory| trajectory.is_positive()).count();
    let store = MemoryStore::new();
    store.append(&found)?;
    let n = output_file::export(&store, out)?;
    let record = serde_json::json!({ "file": out, "trajectories": n, "positive": n_positive });
    let text = format!("{}: {n} trajectories, {n_positive} positive", out.display());
    output_file::report(context, out, &record, &text)
}
