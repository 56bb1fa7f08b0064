//! Training as a resumable phase.

use std::collections::BTreeMap;
use std::path::Path;

use eef_core::{
    OutcomeLabel, PreferenceItem, Seed, TrainRequest, TrainingData, TrainingItem, TrajectoryId,
};
use eef_select::{Preference, Solution};
use serde::{Deserialize, Serialize};

use crate::bench::{Bench, Model, create, io};
use crate::report::Training;
use crate::{Examples, RunError, TrainingSet};

/// What is trained, and how.
pub(crate) struct Lesson<'a> {
    /// The model's directory, within the models'.
    pub(crate) name: String,
    pub(crate) init: &'a Model,
    pub(crate) set: &'a TrainingSet,
    pub(crate) n_epochs: usize,
    /// [`TrainRequest::max_trained_tokens`].
    pub(crate) max_trained_tokens: Option<u64>,
    pub(crate) learning_rate: f64,
    /// DPO's β, for pairs.
    pub(crate) beta: f64,
    pub(crate) seed: Seed,
}

impl Bench<'_> {
    /// Trains a model, or finds it trained.
    ///
    /// The learner writes beside the final directory; its summary is recorded before the rename,
    /// so that a model under its final name is complete and its training known. What a learner
    /// finished without being recorded, it finds again and does not repeat.
    pub(crate) fn train(&self, lesson: &Lesson<'_>) -> Result<(Model, Training), RunError> {
        let Lesson { name, init, set, n_epochs, max_trained_tokens, learning_rate, beta, seed } =
            lesson;
        let lineage = lineage(lesson);
        let model = Model { path: self.models().join(name), name: name.clone(), lineage };
        let key = format!("training/{lineage}");
        let unfinished = self.models().join(format!("{name}.unfinished"));
        let scratch = self.scratch(name);
        let recorded: Option<Record> = self.take(&key)?;
        match (model.path.exists(), recorded) {
            (true, Some(record)) => {
                check_sizes(&model.path, &record.sizes)?;
                remove(&scratch)?;
                return Ok((model, record.training));
            }
            (true, None) => return Err(RunError::ForeignModel { path: model.path }),
            (false, Some(record))
                if sizes(&unfinished).is_ok_and(|found| found == record.sizes) =>
            {
                rename(&unfinished, &model.path)?;
                remove(&scratch)?;
                return Ok((model, record.training));
            }
            // Recorded, and no longer what it was: nothing of it is trusted.
            (false, Some(_)) => remove(&unfinished)?,
            (false, None) => {}
        }
        create(&scratch)?;
        let (items, pairs);
        let data = match &set.examples {
            Examples::Solutions(solutions) => {
                items = self.items(solutions, set.announces_outcomes, name)?;
                TrainingData::Demonstrations(&items)
            }
            Examples::Preferences(preferences) => {
                pairs = self.pairs(preferences, name)?;
                TrainingData::Preferences { pairs: &pairs, beta: *beta }
            }
        };
        let request = TrainRequest {
            init: &init.path,
            output: &unfinished,
            scratch: &scratch,
            data,
            n_epochs: *n_epochs,
            max_trained_tokens: *max_trained_tokens,
            learning_rate: *learning_rate,
            seed: *seed,
        };
        let summary = self.setup.learner.train(&request, self.control)?;
        // A budget may have made them fewer.
        let n_epochs = Some(summary.epoch_losses.len()).filter(|n| *n > 0).unwrap_or(*n_epochs);
        let training = Training::new(data.len(), n_epochs, summary);
        let sizes = sizes(&unfinished).map_err(io("read", &unfinished))?;
        let record = Record { training, sizes };
        self.put(&key, &record)?;
        rename(&unfinished, &model.path)?;
        remove(&scratch)?;
        Ok((model, record.training))
    }

    fn items(
        &self,
        solutions: &[Solution],
        announces_outcomes: bool,
        name: &str,
    ) -> Result<Vec<TrainingItem>, RunError> {
        let item = |solution: &Solution| {
            let trajectory = self.trajectory(&solution.trajectory, &name)?;
            let label = announces_outcomes.then(|| OutcomeLabel::of(&trajectory));
            Ok(TrainingItem { trajectory, train_from: solution.train_from, label })
        };
        solutions.iter().map(item).collect()
    }

    fn pairs(
        &self,
        preferences: &[Preference],
        name: &str,
    ) -> Result<Vec<PreferenceItem>, RunError> {
        let pair = |preference: &Preference| {
            Ok(PreferenceItem {
                chosen: self.trajectory(&preference.chosen, &name)?,
                rejected: self.trajectory(&preference.rejected, &name)?,
                n_rejected_actions: preference.n_rejected_actions,
            })
        };
        preferences.iter().map(pair).collect()
    }
}

/// What a model trained on this has as its lineage.
fn lineage(lesson: &Lesson<'_>) -> TrajectoryId {
    let Lesson { name: _, init, set, n_epochs, max_trained_tokens, learning_rate, beta, seed } =
        lesson;
    let mut items = Vec::with_capacity(set.len() * 24);
    let kind: &[u8] = match &set.examples {
        Examples::Solutions(solutions) => {
            for solution in solutions {
                items.extend_from_slice(solution.trajectory.as_bytes());
                items.extend_from_slice(&(solution.train_from as u64).to_le_bytes());
            }
            if set.announces_outcomes { b"training, outcomes announced" } else { b"training" }
        }
        Examples::Preferences(preferences) => {
            items.extend_from_slice(&beta.to_le_bytes());
            for preference in preferences {
                items.extend_from_slice(preference.chosen.as_bytes());
                items.extend_from_slice(preference.rejected.as_bytes());
                items.extend_from_slice(&(preference.n_rejected_actions as u64).to_le_bytes());
            }
            b"training on pairs"
        }
    };
    let [n_epochs, seed] = [*n_epochs as u64, seed.get()].map(u64::to_le_bytes);
    let learning_rate = learning_rate.to_le_bytes();
    let mut parts: Vec<&[u8]> =
        vec![kind, init.lineage.as_bytes(), &items, &n_epochs, &learning_rate, &seed];
    // Trainings without a limit keep their ids.
    let limit = max_trained_tokens.map(u64::to_le_bytes);
    parts.extend(limit.as_ref().map(<[u8; 8]>::as_slice));
    TrajectoryId::derive(&parts)
}

/// What is kept of a training: its figures, and the sizes by which a damaged model is known.
#[derive(Serialize, Deserialize)]
struct Record {
    training: Training,
    sizes: BTreeMap<String, u64>,
}

/// The files of a directory.
fn sizes(directory: &Path) -> std::io::Result<BTreeMap<String, u64>> {
    let mut sizes = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        sizes.insert(entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len());
    }
    Ok(sizes)
}

fn check_sizes(directory: &Path, written: &BTreeMap<String, u64>) -> Result<(), RunError> {
    let found = sizes(directory).map_err(io("read", directory))?;
    for (file, &expected) in written {
        let found = found.get(file).copied().unwrap_or(0);
        if found != expected {
            let (path, file) = (directory.to_path_buf(), file.clone());
            return Err(RunError::DamagedModel { path, file, expected, found });
        }
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<(), RunError> {
    std::fs::rename(from, to).map_err(io("rename", from))
}

fn remove(directory: &Path) -> Result<(), RunError> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io("remove", directory)(error))
        }
        _ => Ok(()),
    }
}
