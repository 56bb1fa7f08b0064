//! WebShop's records.

use std::sync::Arc;

use anyhow::bail;
use eef_core::{Control, Event, TaskId, Trajectory, TrajectoryId};
use eef_rollout::RolloutError;
use eef_store::ForeignTrajectory;
use eef_webshop::ShopEnvironment;

use super::record::{self, Tasks};
use super::replay::{Mismatch, Reason, replay};
use super::{Arguments, Imported, LeftOut};

/// Finds each record's task, and keeps the record if it replays.
pub(super) fn import(
    environment: &ShopEnvironment,
    records: &[ForeignTrajectory],
    arguments: &Arguments,
    control: &Control<'_>,
) -> anyhow::Result<Imported> {
    if arguments.normalize.is_some() || arguments.keep_diverged {
        bail!(
            "--normalize and --keep-diverged are for data.environment = \"scienceworld\"; this \
             configuration names webshop"
        );
    }
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
