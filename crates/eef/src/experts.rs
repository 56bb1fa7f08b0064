//! Which expert trajectories a run uses, and whom it imitates.

use std::collections::BTreeSet;
use std::sync::Arc;

use eef_core::{ExpertName, Origin, TaskId, Trajectory};

use crate::RunError;

/// The expert trajectories on these tasks, each once, in order of task and id: what a run on the
/// tasks works with.
pub fn experts_on(tasks: &[TaskId], experts: &[Arc<Trajectory>]) -> Vec<Arc<Trajectory>> {
    let known: BTreeSet<&TaskId> = tasks.iter().collect();
    let on_tasks = experts.iter().filter(|expert| known.contains(&expert.task));
    let mut experts: Vec<Arc<Trajectory>> = on_tasks.cloned().collect();
    experts.sort_by(|a, b| (&a.task, a.id).cmp(&(&b.task, b.id)));
    experts.dedup_by_key(|expert| expert.id);
    experts
}

/// Who is imitated: those named, each of whom must be there, or all where nobody is named.
///
/// # Errors
/// [`RunError::NotAnExpert`] for a policy's rollout among the experts, [`RunError::UnknownExpert`]
/// for a name without a trajectory.
pub fn imitated(
    named: &[String],
    experts: &[Arc<Trajectory>],
) -> Result<Vec<ExpertName>, RunError> {
    let mut known: BTreeSet<ExpertName> = BTreeSet::new();
    for expert in experts {
        match &expert.origin {
            Origin::Expert { name } => known.insert(name.clone()),
            // Its wins would count as the policy's own, of rounds that never were.
            Origin::Rollout { .. } => return Err(RunError::NotAnExpert { id: expert.id }),
        };
    }
    let named: Vec<ExpertName> = named.iter().map(|name| name.as_str().into()).collect();
    if let Some(unknown) = named.iter().find(|name| !known.contains(*name)) {
        return Err(RunError::UnknownExpert {
            found: unknown.to_string(),
            known: known.iter().map(ToString::to_string).collect(),
        });
    }
    Ok(if named.is_empty() { known.into_iter().collect() } else { named })
}
