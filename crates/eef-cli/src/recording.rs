//! A learner that writes down what each training was given, for `inspect`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use eef_agent::TENSORBOARD_FOLDER;
use eef_core::{
    Control, Event, Learner, LearnerError, Policy, Progress, TrainRequest, TrainSummary,
    TrajectoryId,
};
use serde::{Deserialize, Serialize};

use crate::run_directory;

/// A learner whose trainings are listed beside the models' directory, under the models' names.
pub struct Recording<L>(pub L);

/// One trained trajectory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainedItem {
    /// Which trajectory, in hexadecimal.
    pub trajectory: String,
    /// The first of its actions that is trained.
    pub train_from: usize,
}

fn record(name: &str, request: &TrainRequest<'_>) -> anyhow::Result<()> {
    let directory = directory(run_of(request));
    std::fs::create_dir_all(&directory)?;
    let item = |item: &eef_core::TrainingItem| TrainedItem {
        trajectory: item.trajectory.id.to_string(),
        train_from: item.train_from,
    };
    let items: Vec<TrainedItem> = request.items.iter().map(item).collect();
    run_directory::write(&directory.join(format!("{name}.json")), &serde_json::to_vec(&items)?)
}

/// Copies what the trainer wrote step by step out of its scratch directory, which a run removes.
fn keep_metrics(name: &str, request: &TrainRequest<'_>) -> anyhow::Result<()> {
    let written = request.scratch.join("metrics.jsonl");
    if !written.exists() {
        return Ok(());
    }
    let directory = run_of(request).join("metrics");
    std::fs::create_dir_all(&directory)?;
    run_directory::write(&directory.join(format!("{name}.jsonl")), &std::fs::read(written)?)
}

/// Keeps TensorBoard's event files likewise, in a folder that TensorBoard shows as a run. Curves are
/// not worth a run: where they cannot be kept, a warning says so.
fn keep_curves(name: &str, request: &TrainRequest<'_>) {
    let written = request.scratch.join(TENSORBOARD_FOLDER);
    let kept = run_of(request).join("metrics").join(name);
    if written.is_dir()
        && let Err(error) = replace_files(&written, &kept)
    {
        let directory = kept.display();
        tracing::warn!(%directory, %error, "TensorBoard's event files cannot be kept");
    }
}

/// Copies the files of one directory to another, which then holds nothing else.
fn replace_files(from: &Path, to: &Path) -> std::io::Result<()> {
    if to.exists() {
        // Those of a training that was begun anew would be shown beside its own.
        std::fs::remove_dir_all(to)?;
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The run's directory, which holds `models`, which holds the output.
fn run_of<'a>(request: &TrainRequest<'a>) -> &'a Path {
    request.output.ancestors().nth(2).unwrap_or(Path::new("."))
}

/// Where the lists are.
pub fn directory(run: &Path) -> PathBuf {
    run.join("training-sets")
}

/// What one model of a run was trained on, in the order of the training.
///
/// # Errors
/// The run has no such model; its models are named.
pub fn training_set(run: &Path, name: &str) -> anyhow::Result<Vec<TrainedItem>> {
    let file = directory(run).join(format!("{name}.json"));
    if !file.is_file() {
        let trainings = Trainings::read(run)?;
        let names: Vec<&str> = trainings.names().into_iter().collect();
        let names = if names.is_empty() { "none yet".to_owned() } else { names.join(", ") };
        bail!("{} has no training set `{name}`: there is {names}", run.display());
    }
    items_of(&file)
}

fn items_of(file: &Path) -> anyhow::Result<Vec<TrainedItem>> {
    let unreadable = || format!("cannot read the training set {}", file.display());
    let text = std::fs::read(file).with_context(unreadable)?;
    serde_json::from_slice(&text).with_context(unreadable)
}

/// What every model of a run was trained on, by trajectory.
#[derive(Debug, Default)]
pub struct Trainings(BTreeMap<String, Vec<(String, usize)>>);

impl Trainings {
    /// Reads every list of a run, in the order of the models' names; a run without lists has none.
    pub fn read(run: &Path) -> anyhow::Result<Self> {
        let directory = directory(run);
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot list {}", directory.display()));
            }
        };
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        files.sort();
        let mut trainings: BTreeMap<String, Vec<(String, usize)>> = BTreeMap::new();
        for file in files {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            for TrainedItem { trajectory, train_from } in items_of(&file)? {
                let of_it = trainings.entry(trajectory).or_default();
                of_it.push((name.clone().into_owned(), train_from));
            }
        }
        Ok(Self(trainings))
    }

    /// The models that were trained on something.
    pub fn names(&self) -> BTreeSet<&str> {
        self.0.values().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// The trainings that involve a trajectory: the model's name and the first trained action.
    pub fn of(&self, id: &TrajectoryId) -> &[(String, usize)] {
        self.0.get(&id.to_string()).map_or(&[], Vec::as_slice)
    }
}

impl<L: Learner> Learner for Recording<L> {
    fn train(
        &self,
        request: &TrainRequest<'_>,
        control: &Control<'_>,
    ) -> Result<TrainSummary, LearnerError> {
        let name = request.output.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        record(&name, request).map_err(|error| LearnerError::Failed {
            doing: format!("listing what {name} is trained on"),
            source: error.into(),
        })?;
        let named = Named { name: format!("train {}", name.replace('-', " ")), control };
        let summary = self.0.train(request, &control.with_progress(&named))?;
        keep_metrics(&name, request).map_err(|error| LearnerError::Failed {
            doing: format!("keeping the metrics of {name}"),
            source: error.into(),
        })?;
        keep_curves(&name, request);
        Ok(summary)
    }

    fn policy(&self, model: &Path) -> Result<Box<dyn Policy>, LearnerError> {
        self.0.policy(model)
    }
}

/// Names the phase after the model that is trained.
struct Named<'a, 'b> {
    name: String,
    control: &'a Control<'b>,
}

impl Progress for Named<'_, '_> {
    fn report(&self, event: Event) {
        self.control.report(match event {
            Event::Started { unit, total, .. } => {
                Event::Started { phase: self.name.clone(), unit, total }
            }
            other => other,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_files_of_a_training_begun_anew_replace_the_old_ones() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("run/metrics/round-01"));
        let names = || {
            let entries = std::fs::read_dir(&to).unwrap();
            entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
        };
        std::fs::create_dir(&from).unwrap();
        for name in ["old", "new"] {
            std::fs::write(from.join(name), name).unwrap();
            replace_files(&from, &to).unwrap();
            assert_eq!(names(), [name]);
            std::fs::remove_file(from.join(name)).unwrap();
        }
    }

    #[test]
    fn trainings_are_found_by_trajectory_in_the_order_of_the_models() {
        let run = tempfile::tempdir().unwrap();
        let (a, b, c) = (
            TrajectoryId::derive(&[b"a"]),
            TrajectoryId::derive(&[b"b"]),
            TrajectoryId::derive(&[b"c"]),
        );
        assert!(Trainings::read(run.path()).unwrap().of(&a).is_empty());
        let lists = directory(run.path());
        std::fs::create_dir_all(&lists).unwrap();
        let item =
            |id: &TrajectoryId, train_from| TrainedItem { trajectory: id.to_string(), train_from };
        let write = |name: &str, items: &[TrainedItem]| {
            std::fs::write(lists.join(name), serde_json::to_vec(items).unwrap()).unwrap();
        };
        write("round-03.json", &[item(&a, 2)]);
        write("round-02.json", &[item(&a, 0), item(&a, 1), item(&b, 4)]);
        std::fs::write(lists.join("round-04.partial"), "half").unwrap();

        let trainings = Trainings::read(run.path()).unwrap();
        let named = |name: &str, from| (name.to_owned(), from);
        let expected = [named("round-02", 0), named("round-02", 1), named("round-03", 2)];
        assert_eq!(trainings.of(&a), expected);
        assert_eq!(trainings.of(&b), [named("round-02", 4)]);
        assert!(trainings.of(&c).is_empty());

        std::fs::write(lists.join("round-05.json"), "[{").unwrap();
        let error = Trainings::read(run.path()).unwrap_err().to_string();
        assert!(error.contains("round-05.json"), "{error}");
    }
}
