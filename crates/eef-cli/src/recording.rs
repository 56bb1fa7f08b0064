//! A learner that writes down what each training was given, for `inspect`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use eef_agent::TENSORBOARD_FOLDER;
use eef_core::{
    Control, Event, Learner, LearnerError, OutcomeLabel, Policy, Progress, TrainRequest,
    TrainSummary, TrainingData, TrainingItem, Trajectory, TrajectoryId,
};
use serde::{Deserialize, Serialize};

use crate::run_directory;

/// A learner whose trainings are listed beside the models' directory, under the models' names.
pub struct Recording<L>(pub L);

/// One trained trajectory. A pair is two of them, the chosen one first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainedItem {
    /// Which trajectory, in hexadecimal.
    pub trajectory: String,
    /// The first of its actions that is trained.
    pub train_from: usize,
    /// How many of its actions were looked at, where not all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_actions: Option<usize>,
    /// What the prompt announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Which of a pair it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
}

/// What a prompt announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// A solution.
    Positive,
    /// None.
    Negative,
}

/// Which of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The better one.
    Chosen,
    /// The other.
    Rejected,
}

impl TrainedItem {
    /// A trajectory of which the actions from `train_from` on are trained.
    fn new(trajectory: &Trajectory, train_from: usize) -> Self {
        let trajectory = trajectory.id.to_string();
        Self { trajectory, train_from, n_actions: None, label: None, side: None }
    }

    fn of(data: TrainingData<'_>) -> Vec<Self> {
        match data {
            TrainingData::Demonstrations(items) => (items.iter())
                .map(|item| Self {
                    label: item.label.map(Label::from),
                    ..Self::new(&item.trajectory, item.train_from)
                })
                .collect(),
            TrainingData::Preferences { pairs, .. } => (pairs.iter())
                .flat_map(|pair| {
                    let chosen = Self::new(&pair.chosen, 0);
                    let rejected = Self {
                        n_actions: Some(pair.n_rejected_actions),
                        ..Self::new(&pair.rejected, 0)
                    };
                    [(chosen, Side::Chosen), (rejected, Side::Rejected)]
                })
                .map(|(item, side)| Self { side: Some(side), ..item })
                .collect(),
        }
    }

    /// The trained actions of the trajectory.
    pub fn trained(&self, trajectory: &Trajectory) -> Range<usize> {
        self.train_from..self.n_actions.unwrap_or(trajectory.n_actions())
    }

    /// What the prompt announced.
    pub fn label(&self) -> Option<OutcomeLabel> {
        self.label.map(|label| match label {
            Label::Positive => OutcomeLabel::Positive,
            Label::Negative => OutcomeLabel::Negative,
        })
    }
}

impl From<OutcomeLabel> for Label {
    fn from(label: OutcomeLabel) -> Self {
        match label {
            OutcomeLabel::Positive => Self::Positive,
            OutcomeLabel::Negative => Self::Negative,
        }
    }
}

fn record(name: &str, request: &TrainRequest<'_>) -> anyhow::Result<()> {
    let directory = directory(run_of(request));
    std::fs::create_dir_all(&directory)?;
    let items = TrainedItem::of(request.data);
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
pub struct Trainings(BTreeMap<String, Vec<(String, TrainedItem)>>);

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
        let mut trainings: BTreeMap<String, Vec<(String, TrainedItem)>> = BTreeMap::new();
        for file in files {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            for item in items_of(&file)? {
                let of_it = trainings.entry(item.trajectory.clone()).or_default();
                of_it.push((name.clone().into_owned(), item));
            }
        }
        Ok(Self(trainings))
    }

    /// The models that were trained on something.
    pub fn names(&self) -> BTreeSet<&str> {
        self.0.values().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// The trainings that involve a trajectory: the model's name, and what of it is trained.
    pub fn of(&self, id: &TrajectoryId) -> &[(String, TrainedItem)] {
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

    fn likelihoods(
        &self,
        model: &Path,
        items: &[TrainingItem],
        control: &Control<'_>,
    ) -> Result<Vec<f64>, LearnerError> {
        self.0.likelihoods(model, items, control)
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
    fn labels_and_pairs_are_listed_and_lists_without_them_stay_readable() {
        let pair = r#"{"trajectory":"00","train_from":0,"n_actions":7,"side":"rejected"}"#;
        let rejected: TrainedItem = serde_json::from_str(pair).unwrap();
        assert_eq!((rejected.n_actions, rejected.side), (Some(7), Some(Side::Rejected)));
        assert_eq!(serde_json::to_string(&rejected).unwrap(), pair);
        let labelled = r#"{"trajectory":"00","train_from":1,"label":"negative"}"#;
        let labelled: TrainedItem = serde_json::from_str(labelled).unwrap();
        assert_eq!(labelled.label(), Some(OutcomeLabel::Negative));
        let old: TrainedItem =
            serde_json::from_str(r#"{"trajectory":"00","train_from":1}"#).unwrap();
        assert_eq!((old.label(), old.side, old.n_actions), (None, None, None));
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
        let item = |id: &TrajectoryId, train_from| TrainedItem {
            trajectory: id.to_string(),
            train_from,
            n_actions: None,
            label: None,
            side: None,
        };
        let write = |name: &str, items: &[TrainedItem]| {
            std::fs::write(lists.join(name), serde_json::to_vec(items).unwrap()).unwrap();
        };
        write("round-03.json", &[item(&a, 2)]);
        write("round-02.json", &[item(&a, 0), item(&a, 1), item(&b, 4)]);
        std::fs::write(lists.join("round-04.partial"), "half").unwrap();

        let trainings = Trainings::read(run.path()).unwrap();
        let named = |name: &str, item: TrainedItem| (name.to_owned(), item);
        let expected = [
            named("round-02", item(&a, 0)),
            named("round-02", item(&a, 1)),
            named("round-03", item(&a, 2)),
        ];
        assert_eq!(trainings.of(&a), expected);
        assert_eq!(trainings.of(&b), [named("round-02", item(&b, 4))]);
        assert!(trainings.of(&c).is_empty());

        std::fs::write(lists.join("round-05.json"), "[{").unwrap();
        let error = Trainings::read(run.path()).unwrap_err().to_string();
        assert!(error.contains("round-05.json"), "{error}");
    }
}
