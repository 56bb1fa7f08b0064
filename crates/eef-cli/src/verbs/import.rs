//! `import`: expert trajectories of other programs, replayed in the environment.

mod pages;
mod record;
mod replay;
mod scienceworld;
mod webshop;

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use eef_core::Trajectory;
use eef_scienceworld::recorded::Normalizer;
use eef_store::{MemoryStore, TrajectoryStore, read_foreign};
use serde::Serialize;

use crate::context::Context;
use crate::wiring::World;
use crate::{output, output_file};
use replay::{Mismatch, Reason};

/// Records that are named on stderr; `--json` names all.
const N_NAMED: usize = 10;

/// What to import.
#[derive(Args, Debug)]
pub struct Arguments {
    /// ETO's or AgentTraj's file, a JSON array or JSONL
    file: PathBuf,
    /// The expert's name, such as gpt-4-0613
    #[arg(long)]
    expert: String,
    /// File to write, for data.experts; - for stdout
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Leaves out what was thought before an action; kept, each thought is an action of its own in
    /// WebShop, and part of the reply in ScienceWorld where data.action_format is react
    #[arg(long)]
    drop_thoughts: bool,
    /// ScienceWorld: what is brought into the words of the simulator's version 1.2.3, agent-traj
    /// (unless said otherwise) or off
    #[arg(long, value_name = "WORDS")]
    normalize: Option<Normalizer>,
    /// ScienceWorld: keeps records too that the simulator answers otherwise, as they go now
    #[arg(long)]
    keep_diverged: bool,
}

/// What comes of a file.
#[derive(Default)]
struct Imported {
    kept: Vec<Trajectory>,
    left_out: Vec<LeftOut>,
    /// How those that are kept went, where the environment is ScienceWorld.
    replays: Option<scienceworld::Replays>,
}

/// A record that is not used.
#[derive(Debug, Serialize)]
struct LeftOut {
    /// Its line in the file, or its number in the array, from 1.
    position: usize,
    item: String,
    /// What it seems to be for.
    task: Option<String>,
    #[serde(flatten)]
    why: Mismatch,
}

/// Imports: finds each record's task, says its replies again, and keeps the record if the
/// environment answers and rewards them as the record says.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let config = context.config()?;
    let world = World::open(&config)?;
    let records = read_foreign(&arguments.file)?;
    let control = context.control();
    let imported = match &world {
        World::Shop(shop) => webshop::import(shop, &records, arguments, &control)?,
        World::ScienceWorld(world, _) => {
            scienceworld::import(world, &config, &records, arguments, &control)?
        }
    };
    let n_unknown = imported.n_left_out(Reason::UnknownTask);
    if !imported.kept.is_empty() {
        let store = MemoryStore::new();
        store.append(&imported.kept)?;
        output_file::export(&store, &arguments.out)?;
    }
    report(context, arguments, &imported)?;
    let (file, n_records) = (arguments.file.display(), records.len());
    if n_unknown == n_records {
        bail!(
            "{file}: none of {n_records} records asks for a task of {}; were they made for other \
             data?",
            config.data.directory
        );
    }
    if imported.kept.is_empty() {
        bail!(
            "{file}: none of {n_records} records replays in {}, so nothing is written; were they \
             made for other data?",
            config.data.directory
        );
    }
    Ok(())
}

/// What was written, and what was left out and why: all of it as JSON, the first few in words.
fn report(context: &Context, arguments: &Arguments, imported: &Imported) -> anyhow::Result<()> {
    let Imported { kept, left_out, replays } = imported;
    let n_unknown = imported.n_left_out(Reason::UnknownTask);
    let n_differ = imported.n_left_out(Reason::OtherReward);
    let n_diverged = left_out.len() - n_unknown - n_differ;
    let n_positive = kept.iter().filter(|trajectory| trajectory.is_positive()).count();
    if !context.global.json {
        let is_named = |left_out: &&LeftOut| left_out.why.reason != Reason::UnknownTask;
        for left_out in left_out.iter().filter(is_named).take(N_NAMED) {
            output::say(&left_out.sentence(&arguments.file));
        }
        let n_more = (n_diverged + n_differ).saturating_sub(N_NAMED);
        if n_more > 0 {
            output::say(&format!("and {n_more} more are left out: --json names them all"));
        }
    }
    let out = (!kept.is_empty()).then_some(&arguments.out);
    let record = serde_json::json!({
        "file": out, "trajectories": kept.len(), "positive": n_positive,
        "diverged": n_diverged, "reward_differs": n_differ, "task_unknown": n_unknown,
        "left_out": left_out, "replays": replays,
    });
    let text = format!(
        "{}: {} trajectories, {n_positive} positive{}; left out: {n_diverged} records that do not \
         replay, {n_differ} that earn another reward than stated, {n_unknown} that ask for no task \
         of this data",
        out.map_or_else(|| "nothing written".to_owned(), |out| out.display().to_string()),
        kept.len(),
        replays.as_ref().map_or_else(String::new, |replays| format!(" ({replays})")),
    );
    output_file::report(context, &arguments.out, &record, &text)
}

impl Imported {
    fn n_left_out(&self, reason: Reason) -> usize {
        self.left_out.iter().filter(|left_out| left_out.why.reason == reason).count()
    }
}

impl LeftOut {
    fn sentence(&self, file: &Path) -> String {
        let Self { position, item, why, .. } = self;
        format!("{}:{position} ({item}) is left out: {why}", file.display())
    }
}
