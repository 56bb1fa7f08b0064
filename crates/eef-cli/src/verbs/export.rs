//! `export`: the trajectories of a run as JSONL, or a training set as other programs read it.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use eef_chat::{ChatFormat, Example};
use eef_core::{Split, Trajectory};
use eef_store::{SqliteStore, TrajectoryStore as _};

use crate::config::Config;
use crate::context::Context;
use crate::recording::TrainedItem;
use crate::{output, output_file, recording, run_directory, token_file, wiring};

/// What to export.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Only tasks of train, validation or test; all is for reading, never to train on
    #[arg(long, default_value = "train")]
    split: Splits,
    /// In place of trajectories, what this model of the run was trained on, such as round-02:
    /// conversations with a mark at every message that carries loss, or token ids with labels
    #[arg(long, value_name = "MODEL", conflicts_with = "split")]
    training_set: Option<String>,
    /// The marks of a training set: messages (OpenAI's `weight`, which `train` reads), sharegpt
    /// (`weight`), axolotl (`train`) or torchtune (`masked`); or tokens, a Parquet file of
    /// `input_ids` and `labels`, which are -100 where no loss is
    #[arg(long, value_name = "NAME", default_value = "messages", requires = "training_set")]
    format: Format,
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
    let trajectory_of = |item: &TrainedItem| -> anyhow::Result<Arc<Trajectory>> {
        let id = item.trajectory.parse().with_context(|| format!("training set {name}"))?;
        let found = store.get(&id)?;
        found.with_context(|| {
            format!("training set {name}: trajectory {id} is not in the run's store")
        })
    };
    let bytes = match arguments.format {
        Format::Chat(format) => conversations(config, format, &items, trajectory_of)?,
        Format::Tokens => tokens(config, &items, trajectory_of)?,
    };
    let (out, n) = (&arguments.out, items.len());
    output_file::write_bytes(out, &bytes)?;
    let record = serde_json::json!({ "file": out, "training_set": name, "conversations": n });
    output_file::report(context, out, &record, &format!("{}: {n} conversations", out.display()))
}

/// JSONL: a conversation a line.
fn conversations(
    config: &Config,
    format: ChatFormat,
    items: &[TrainedItem],
    trajectory_of: impl Fn(&TrainedItem) -> anyhow::Result<Arc<Trajectory>>,
) -> anyhow::Result<Vec<u8>> {
    let mut text = String::new();
    for item in items {
        let prompt = wiring::announced(config, item.label())?;
        let record = format.record(&*trajectory_of(item)?, item.train_from, prompt);
        text.push_str(&record.to_string());
        text.push('\n');
    }
    Ok(text.into_bytes())
}

/// Parquet: what the training here saw, token for token. None is too long: it was trained on.
fn tokens(
    config: &Config,
    items: &[TrainedItem],
    trajectory_of: impl Fn(&TrainedItem) -> anyhow::Result<Arc<Trajectory>>,
) -> anyhow::Result<Vec<u8>> {
    let encoder = wiring::encoder(config)?;
    let row = |item: &TrainedItem| -> anyhow::Result<token_file::Row> {
        let (trajectory, train_from) = (trajectory_of(item)?, item.train_from);
        let prompt = wiring::announced(config, item.label())?;
        let example =
            Example::of_trajectory(&encoder, &trajectory, train_from, prompt, usize::MAX)?;
        Ok(token_file::Row { example, trajectory: item.trajectory.clone(), train_from })
    };
    let rows = items.iter().map(row).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(token_file::to_bytes(&rows)?)
}

/// How a training set is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Conversations with marks.
    Chat(ChatFormat),
    /// Token ids with labels.
    Tokens,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == "tokens" {
            return Ok(Self::Tokens);
        }
        name.parse().map(Self::Chat).map_err(|error: String| format!("{error}, tokens"))
    }
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

    #[test]
    fn formats_are_read_from_their_names() {
        assert_eq!("tokens".parse(), Ok(Format::Tokens));
        assert_eq!("axolotl".parse(), Ok(Format::Chat(ChatFormat::Axolotl)));
        let error = "csv".parse::<Format>().unwrap_err();
        assert!(error.contains("`csv`") && error.ends_with("torchtune, tokens"), "{error}");
    }
}
