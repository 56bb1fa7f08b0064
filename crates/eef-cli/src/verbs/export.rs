//! `export`: the trajectories of a run as JSONL, or a training set as other programs read it.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::Args;
use eef_chat::ChatFormat;
use eef_core::Split;
use eef_store::{SqliteStore, TrajectoryStore as _};

use crate::config::Config;
use crate::context::Context;
use crate::{output, output_file, recording, run_directory, wiring};

/// What to export.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Only tasks of train, validation or test; all is for reading, never to train on
    #[arg(long, default_value = "train")]
    split: Splits,
    /// In place of trajectories, what this model of the run was trained on, such as round-02:
    /// conversations with a mark at every message that carries loss
    #[arg(long, value_name = "MODEL", conflicts_with = "split")]
    training_set: Option<String>,
    /// The marks of a training set: messages (OpenAI's `weight`, which `train` reads), sharegpt
    /// (`weight`), axolotl (`train`) or torchtune (`masked`)
    #[arg(long, value_name = "NAME", default_value = "messages", requires = "training_set")]
    format: ChatFormat,
    /// File to write; - for stdout
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Exports.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let config = context.config_of_run()?;
    let run = run_directory::path(&context.global, &config, "");
    let file = run_directory::store_file(&run);
    if !SqliteStore::exists(&file) {
        bail!("{} holds no run: there is no {}", run.display(), file.display());
    }
    if let Some(name) = &arguments.training_set {
        return training_set(context, arguments, &config, &run, name);
    }
    let splits = arguments.split.list();
    let report = output_file::export_splits(&SqliteStore::open(&file)?, splits, &arguments.out)?;
    if report.n_left_out > 0 {
        context.progress.note(&format!(
            "left out {} trajectories on tasks of other splits than {} (--split)",
            output::count(report.n_left_out as u64),
            arguments.split.name()
        ));
    }
    let (out, n) = (&arguments.out, report.n_written);
    let record = serde_json::json!({
        "file": out, "split": arguments.split.name(), "trajectories": n,
        "left_out": report.n_left_out,
    });
    output_file::report(context, out, &record, &format!("{}: {n} trajectories", out.display()))
}

/// Exports what a model was trained on.
fn training_set(
    context: &Context,
    arguments: &Arguments,
    config: &Config,
    run: &Path,
    name: &str,
) -> anyhow::Result<()> {
    let store = SqliteStore::open(run_directory::store_file(run))?;
    let items = recording::training_set(run, name)?;
    if items.iter().any(|item| item.side.is_some()) {
        bail!("training set {name} holds pairs to tell apart: only conversations can be exported");
    }
    let mut text = String::new();
    for item in &items {
        let id = item.trajectory.parse().with_context(|| format!("training set {name}"))?;
        let Some(trajectory) = store.get(&id)? else {
            bail!("training set {name}: trajectory {id} is not in the run's store");
        };
        let prompt = wiring::announced(config, item.label())?;
        let record = arguments.format.record(&trajectory, item.train_from, prompt);
        text.push_str(&record.to_string());
        text.push('\n');
    }
    let (out, n) = (&arguments.out, items.len());
    output_file::write_text(out, &text)?;
    let record = serde_json::json!({ "file": out, "training_set": name, "conversations": n });
    output_file::report(context, out, &record, &format!("{}: {n} conversations", out.display()))
}

/// One split, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Splits {
    One(Split),
    All,
}

impl Splits {
    fn list(&self) -> &[Split] {
        match self {
            Self::One(split) => std::slice::from_ref(split),
            Self::All => &Split::ALL,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::One(split) => split.name(),
            Self::All => "all",
        }
    }
}

impl FromStr for Splits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        text.parse().map(Self::One).map_err(|error: eef_core::UnknownSplit| {
            format!("unknown split `{}`: expected train, validation, test or all", error.found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_read_back_from_their_names() {
        for name in ["train", "validation", "test", "all"] {
            assert_eq!(name.parse::<Splits>().unwrap().name(), name);
        }
        assert_eq!("test".parse::<Splits>().unwrap().list(), [Split::Test]);
        assert_eq!(Splits::All.list(), Split::ALL);
        let error = "dev".parse::<Splits>().unwrap_err();
        assert_eq!(error, "unknown split `dev`: expected train, validation, test or all");
    }
}
