//! `export`: the trajectories of a run as JSONL.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use eef_store::{SqliteStore, export_jsonl};

use crate::context::Context;
use crate::{output, run_directory};

/// What to export.
#[derive(Args, Debug)]
pub struct Arguments {
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Exports.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let run = run_directory::path(&context.global, &context.config()?, "");
    let file = run_directory::store_file(&run);
    if !file.exists() {
        bail!("{} holds no run: there is no {}", run.display(), file.display());
    }
    let n = export_jsonl(&SqliteStore::open(&file)?, &arguments.out)?;
    if context.global.json {
        let out = &arguments.out;
        return output::print_json(&serde_json::json!({ "file": out, "trajectories": n }));
    }
    output::print(&format!("{}: {n} trajectories\n", arguments.out.display()))
}
