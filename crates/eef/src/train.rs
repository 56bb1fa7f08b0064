//! Training as a resumable phase.

use std::path::Path;

use eef_core::{Seed, TrainRequest, TrainingItem};
use eef_select::Solution;

use crate::bench::{Bench, Model, create, io};
use crate::report::Training;
use crate::{RunError, TrainingSet};

/// What is trained, and how.
pub(crate) struct Lesson<'a> {
    /// The model's directory, within the models'.
    pub(crate) name: String,
    pub(crate) init: &'a Model,
    pub(crate) set: &'a TrainingSet,
    pub(crate) n_epochs: usize,
    pub(crate) learning_rate: f64,
    pub(crate) seed: Seed,
}

impl Bench<'_> {
    /// Trains a model, or finds it trained.
    ///
    /// The learner writes beside the final directory; its summary is recorded before the rename,
    /// so that a model under its final name is complete and its training known.
    pub(crate) fn train(&self, lesson: &Lesson<'_>) -> Result<(Model, Training), RunError> {
        let Lesson { name, init, set, n_epochs, learning_rate, seed } = lesson;
        let lineage = Self::lineage(init, &set.solutions, *n_epochs, *learning_rate, *seed);
        let model = Model { path: self.models().join(name), name: name.clone(), lineage };
        let key = format!("training/{lineage}");
        let unfinished = self.models().join(format!("{name}.unfinished"));
        let recorded: Option<Training> = self.take(&key)?;
        match (model.path.exists(), recorded) {
            (true, Some(training)) => return Ok((model, training)),
            (true, None) => return Err(RunError::ForeignModel { path: model.path }),
            (false, Some(training)) if unfinished.exists() => {
                rename(&unfinished, &model.path)?;
                return Ok((model, training));
            }
            (false, _) => remove(&unfinished)?,
        }
        let scratch = self.scratch(name);
        create(&scratch)?;
        let items = self.items(&set.solutions, name)?;
        let request = TrainRequest {
            init: &init.path,
            output: &unfinished,
            scratch: &scratch,
            items: &items,
            n_epochs: *n_epochs,
            learning_rate: *learning_rate,
            seed: *seed,
        };
        let summary = self.setup.learner.train(&request, self.control)?;
        let training = Training::new(items.len(), *n_epochs, summary);
        self.put(&key, &training)?;
        rename(&unfinished, &model.path)?;
        remove(&scratch)?;
        Ok((model, training))
    }

    fn items(&self, solutions: &[Solution], name: &str) -> Result<Vec<TrainingItem>, RunError> {
        let item = |solution: &Solution| {
            let trajectory = self.trajectory(&solution.trajectory, &name)?;
            Ok(TrainingItem { trajectory, train_from: solution.train_from })
        };
        solutions.iter().map(item).collect()
    }
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
