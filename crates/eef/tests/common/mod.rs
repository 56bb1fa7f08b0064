//! A corridor, a teacher that overshoots, and a learner that learns by heart.

#![allow(dead_code, reason = "each test target uses another part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eef::testing::{TabularLearner, opening};
use eef::{Config, MethodOptions, RunError, RunReport, Setup, Skill, iterate, method};
use eef_core::testing::{Corridor, FunctionPolicy};
use eef_core::{Control, Environment, Policy, Seed, Split, Trajectory};
use eef_rollout::{RolloutConfig, demonstrate};
use eef_store::TrajectoryStore;

pub const CORRIDOR: Corridor = Corridor { length: 8, n_tasks: 16, max_turns: 20 };

pub fn config() -> Config {
    let mut config = Config { unit_size: 7, ..Config::default() };
    config.behaviour_cloning.max_stages = 3;
    config.evaluation.n_resamples = 50;
    config
}

/// Walks past every goal beyond room 2, by two rooms, and takes too late; for room 3 it notices,
/// walks back, and too far again.
pub fn experts() -> Vec<Arc<Trajectory>> {
    let number = |text: &str| text.rsplit(' ').next().unwrap().parse::<usize>().unwrap();
    let mut teacher: Vec<Box<dyn Policy>> =
        vec![Box::new(FunctionPolicy::new(move |texts: &[String], _| {
            let goal = number(texts[0].lines().next().unwrap());
            let room = number(texts.last().unwrap());
            if goal == 3 && texts.iter().any(|text| text == "room 5") {
                return if room > 2 { "left".to_owned() } else { "take".to_owned() };
            }
            let stop = if goal > 2 { (goal + 2).min(7) } else { goal };
            if room < stop { "right".to_owned() } else { "take".to_owned() }
        }))];
    let (tasks, control) = (CORRIDOR.tasks(Split::Train), Control::silent());
    let seed = Seed::new(1);
    let plain = |start: &eef_core::Opening| opening(start, None);
    let experts =
        demonstrate(&CORRIDOR, &plain, "teacher", &mut teacher, tasks, seed, &control).unwrap();
    experts.into_iter().map(Arc::new).collect()
}

pub struct Bench {
    pub directory: tempfile::TempDir,
    pub learner: TabularLearner,
    pub experts: Vec<Arc<Trajectory>>,
    pub skills: Vec<Skill>,
    pub n_workers: usize,
    base: PathBuf,
}

impl Bench {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().join("base");
        let learner = TabularLearner::new("take");
        learner.write_base(&base).unwrap();
        let skills = vec![Skill::new("left", |action| action.as_str() == "left")];
        Self { directory, learner, experts: experts(), skills, n_workers: 1, base }
    }

    pub fn setup<'a>(&'a self, environment: &'a dyn Environment) -> Setup<'a> {
        Setup {
            environment,
            opening: &opening,
            learner: &self.learner,
            base: &self.base,
            experts: &self.experts,
            skills: &self.skills,
            action_name: &|action| Some(action.as_str().to_owned()),
            fingerprint: "corridor",
            n_workers: self.n_workers,
            rollouts: RolloutConfig::default(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn iterate(
        &self,
        environment: &dyn Environment,
        name: &str,
        store: &dyn TrajectoryStore,
        directory: &Path,
        control: &Control<'_>,
    ) -> Result<RunReport, RunError> {
        let method = method(name, &MethodOptions::default()).unwrap();
        iterate(&self.setup(environment), &config(), method.as_ref(), store, directory, control)
    }
}

/// Paths and bytes.
pub type Files = Vec<(PathBuf, Vec<u8>)>;

/// Everything that a run leaves behind: its models' files and its trajectories.
pub fn remains(store: &dyn TrajectoryStore, directory: &Path) -> (Vec<Arc<Trajectory>>, Files) {
    let ids = store.ids().unwrap();
    let trajectories = ids.iter().map(|id| store.get(id).unwrap().unwrap()).collect();
    let mut models: Vec<_> = std::fs::read_dir(directory.join("models"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let bytes = std::fs::read(path.join("table.json")).unwrap();
            (path.strip_prefix(directory).unwrap().to_path_buf(), bytes)
        })
        .collect();
    models.sort();
    (trajectories, models)
}
