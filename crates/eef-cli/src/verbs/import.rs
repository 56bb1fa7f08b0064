//! `import`: expert trajectories of other programs, replayed in the environment.

mod pages;
mod record;
mod replay;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use eef_core::{Control, Event, TaskId, Trajectory, TrajectoryId};
use eef_rollout::RolloutError;
use eef_store::{ForeignTrajectory, MemoryStore, TrajectoryStore, read_foreign};
use eef_webshop::ShopEnvironment;
use serde::Serialize;

use crate::context::Context;
use crate::{output, output_file, wiring};
use record::Tasks;
use replay::{Mismatch, Reason, replay};

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
    /// Leaves out what was thought before an action; kept, each thought is an action of its own
    #[arg(long)]
    drop_thoughts: bool,
}

/// What comes of a file.
#[derive(Default)]
struct Imported {
    kept: Vec<Trajectory>,
    left_out: Vec<LeftOut>,
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
    let world = wiring::World::open(&config)?;
    let environment = world.shop("import")?;
    let records = read_foreign(&arguments.file)?;
    let imported = import(environment, &records, arguments, &context.control())?;
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

fn import(
    environment: &ShopEnvironment,
    records: &[ForeignTrajectory],
    arguments: &Arguments,
    control: &Control<'_>,
) -> anyhow::Result<Imported> {
    let total = records.len() as u64;
    control.report(Event::Started { phase: "import".to_owned(), unit: "records", total });
    let tasks = Tasks::of(environment);
    let mut imported = Imported::default();
    let mut n_known = 0;
    for (index, record) in records.iter().enumerate() {
        if control.is_interrupted() {
            let n_units = records.len();
            return Err(RolloutError::Interrupted { n_committed: index, n_units }.into());
        }
        let candidates = tasks.of_record(record);
        match one(environment, record, &candidates, n_known, arguments)? {
            Ok(trajectory) => imported.kept.push(trajectory),
            Err(left_out) => imported.left_out.push(left_out),
        }
        n_known += u64::from(!candidates.is_empty());
        control.report(Event::Advanced { done: index as u64 + 1, note: String::new() });
    }
    let (n_kept, n_left_out) = (imported.kept.len(), imported.left_out.len());
    control.report(Event::Finished { summary: format!("{n_kept} replay, {n_left_out} do not") });
    Ok(imported)
}

/// One record: its trajectory in the first of the tasks in which it replays. `number` tells apart
/// records of one task.
fn one(
    environment: &ShopEnvironment,
    record: &ForeignTrajectory,
    tasks: &[(TaskId, usize)],
    number: u64,
    arguments: &Arguments,
) -> anyhow::Result<Result<Trajectory, LeftOut>> {
    let expert: Arc<str> = Arc::from(arguments.expert.as_str());
    let mut first = None;
    for (task, start) in tasks {
        let name = task.to_string();
        let parts = [b"import", expert.as_bytes(), name.as_bytes(), &number.to_le_bytes()];
        let id = TrajectoryId::derive(&parts);
        let exchanges = record::exchanges(record, *start, !arguments.drop_thoughts);
        match replay(environment, task, id, &expert, &exchanges, record.reward)? {
            Ok(trajectory) => return Ok(Ok(trajectory)),
            // Of several tasks that ask the same, the first is the likeliest.
            Err(why) => first = first.or(Some((name, why))),
        }
    }
    let (task, why) = first.map_or_else(
        || (None, Mismatch::new(Reason::UnknownTask, None, "one of the tasks", "no such task")),
        |(name, why)| (Some(name), why),
    );
    let (position, item) = (record.position, record.item.clone());
    Ok(Err(LeftOut { position, item, task, why }))
}

/// What was written, and what was left out and why: all of it as JSON, the first few in words.
fn report(context: &Context, arguments: &Arguments, imported: &Imported) -> anyhow::Result<()> {
    let Imported { kept, left_out } = imported;
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
        "left_out": left_out,
    });
    let text = format!(
        "{}: {} trajectories, {n_positive} positive; left out: {n_diverged} records that do not \
         replay, {n_differ} that earn another reward than stated, {n_unknown} that ask for no task \
         of this data",
        out.map_or_else(|| "nothing written".to_owned(), |out| out.display().to_string()),
        kept.len()
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
