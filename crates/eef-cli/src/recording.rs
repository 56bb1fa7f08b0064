//! A learner that writes down what each training was given, for `inspect`.

use std::path::{Path, PathBuf};

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
    // The run's directory holds `models`, which holds the output.
    let run = request.output.ancestors().nth(2).unwrap_or(Path::new("."));
    let directory = directory(run);
    std::fs::create_dir_all(&directory)?;
    let item = |item: &eef_core::TrainingItem| TrainedItem {
        trajectory: item.trajectory.id.to_string(),
        train_from: item.train_from,
    };
    let items: Vec<TrainedItem> = request.items.iter().map(item).collect();
    run_directory::write(&directory.join(format!("{name}.json")), &serde_json::to_vec(&items)?)
}

/// Where the lists are.
pub fn directory(run: &Path) -> PathBuf {
    run.join("training-sets")
}

/// The trainings of a run that involve a trajectory: the model's name and the first trained action.
pub fn trainings_of(run: &Path, id: &TrajectoryId) -> anyhow::Result<Vec<(String, usize)>> {
    let Ok(entries) = std::fs::read_dir(directory(run)) else { return Ok(Vec::new()) };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let id = id.to_string();
    let mut found = Vec::new();
    for file in files {
        let items: Vec<TrainedItem> = serde_json::from_slice(&std::fs::read(&file)?)?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mine = items.into_iter().filter(|item| item.trajectory == id);
        found.extend(mine.map(|item| (name.clone(), item.train_from)));
    }
    Ok(found)
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
        self.0.train(request, &control.with_progress(&named))
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
