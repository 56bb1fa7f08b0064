//! The workbench of a run: what its phases have in common, each of them resumable.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eef_core::{
    Control, ExpertName, Incident, IncidentKind, Opening, Origin, OutcomeLabel, Policy, Seed,
    Split, StateKey, TaskId, Trajectory, TrajectoryId,
};
use eef_rollout::{Job, Rollouts, Start, Unit, UnitResult};
use eef_store::{Checksum, TrajectoryStore};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Config, Imitation, JobRequest, Method, RunError, Setup, Whose, experts_on, imitated};

/// A model, and what it came from: the hash of every training behind it. Ids of rollouts are
/// derived from the lineage, so that equal work has equal ids whatever the method, and different
/// work never has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) path: PathBuf,
    /// Relative to the models' directory; empty for the base model.
    pub(crate) name: String,
    pub(crate) lineage: TrajectoryId,
}

pub(crate) struct Bench<'a> {
    pub(crate) setup: &'a Setup<'a>,
    pub(crate) config: &'a Config,
    pub(crate) store: &'a dyn TrajectoryStore,
    pub(crate) control: &'a Control<'a>,
    pub(crate) tasks: Vec<TaskId>,
    pub(crate) experts: Vec<Arc<Trajectory>>,
    pub(crate) bc_experts: Vec<ExpertName>,
    /// What the prompts of rollouts announce.
    pub(crate) asked_for: Option<OutcomeLabel>,
    /// Stores of other methods of a comparison: what one asked of a model need not be asked again.
    pub(crate) others: &'a [Box<dyn TrajectoryStore>],
    models: PathBuf,
    scratch: PathBuf,
}

impl<'a> Bench<'a> {
    /// Checks the settings and the experts. Writes nothing: see [`Bench::open_run`].
    pub(crate) fn new(
        setup: &'a Setup<'a>,
        config: &'a Config,
        store: &'a dyn TrajectoryStore,
        directory: &Path,
        control: &'a Control<'a>,
    ) -> Result<Self, RunError> {
        config.check()?;
        let mut tasks = tasks(setup, Split::Train)?;
        if config.n_train_tasks > 0 {
            tasks.truncate(config.n_train_tasks);
        }
        let experts = experts_on(&tasks, setup.experts);
        Ok(Self {
            setup,
            config,
            store,
            control,
            tasks,
            bc_experts: imitated(&config.bc_experts, &experts)?,
            experts,
            asked_for: None,
            others: &[],
            models: directory.join("models"),
            scratch: directory.join("scratch"),
        })
    }

    /// The prompts of its rollouts are those that a way to imitate asks for.
    pub(crate) fn after(self, imitation: Imitation) -> Self {
        Self { asked_for: imitation.asked_for(), ..self }
    }

    /// Only the trajectories of those whom a method may see are there for it.
    pub(crate) fn seeing(mut self, whose: Whose) -> Self {
        let bc_experts = &self.bc_experts;
        self.experts.retain(|expert| match &expert.origin {
            Origin::Expert { name } => whose == Whose::All || bc_experts.contains(name),
            Origin::Rollout { .. } => false,
        });
        self
    }

    /// Rollouts that these stores hold are not repeated.
    pub(crate) fn beside(self, others: &'a [Box<dyn TrajectoryStore>]) -> Self {
        Self { others, ..self }
    }

    /// Takes the store for a run with these settings and experts, or finds that it is another's;
    /// only then the experts' trajectories enter it. Methods that share a first round have no
    /// method there.
    pub(crate) fn open_run(&self, method: Option<&dyn Method>) -> Result<(), RunError> {
        let settings = serde_json::to_value(self.config).unwrap_or_default();
        for (field, value) in settings.as_object().into_iter().flatten() {
            self.claim(field, &value.to_string())?;
        }
        self.claim("fingerprint", self.setup.fingerprint)?;
        self.claim("experts", &experts_digest(&self.experts))?;
        if let Some(method) = method {
            self.claim("method", &format!("{} ({})", method.name(), method.settings()))?;
        }
        let given: Vec<Trajectory> =
            self.experts.iter().map(|expert| expert.as_ref().clone()).collect();
        self.store.append(&given)?;
        create(&self.models)
    }

    /// A workbench for evaluation alone: no experts, no directory.
    pub(crate) fn bare(
        setup: &'a Setup<'a>,
        config: &'a Config,
        store: &'a dyn TrajectoryStore,
        control: &'a Control<'a>,
    ) -> Self {
        let (models, scratch) = (PathBuf::new(), PathBuf::new());
        let (tasks, experts, bc_experts) = (Vec::new(), Vec::new(), Vec::new());
        let (asked_for, others) = (None, &[]);
        Self {
            setup,
            config,
            store,
            control,
            tasks,
            experts,
            bc_experts,
            asked_for,
            others,
            models,
            scratch,
        }
    }

    fn claim(&self, field: &str, value: &str) -> Result<(), RunError> {
        let key = format!("settings/{field}");
        match self.store.record(&key)? {
            None => Ok(self.store.put_record(&key, value.as_bytes())?),
            Some(stored) if stored == value.as_bytes() => Ok(()),
            Some(stored) => Err(RunError::OtherRun {
                field: field.to_owned(),
                stored: String::from_utf8_lossy(&stored).into_owned(),
                given: value.to_owned(),
            }),
        }
    }

    pub(crate) fn seed(&self) -> Seed {
        Seed::new(self.config.seed)
    }

    pub(crate) fn base(&self) -> Model {
        let parts: [&[u8]; 2] = [b"base model", self.setup.fingerprint.as_bytes()];
        let lineage = TrajectoryId::derive(&parts);
        Model { path: self.setup.base.to_path_buf(), name: String::new(), lineage }
    }

    pub(crate) fn models(&self) -> &Path {
        &self.models
    }

    /// The way from the directory that holds the models to a model, which may be that of a first
    /// round that several methods share: a directory beside this run's.
    pub(crate) fn model_name(&self, model: &Model) -> String {
        if model.path.starts_with(&self.models) {
            return model.name.clone();
        }
        let run = model.path.ancestors().nth(2).and_then(Path::file_name).unwrap_or_default();
        format!("../../{}/models/{}", run.to_string_lossy(), model.name)
    }

    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// The jobs of a phase, with their ids and seeds: functions of the model's lineage, the round,
    /// the start and the sample, and of no method's name.
    pub(crate) fn jobs(&self, model: &Model, round: u32, requests: Vec<JobRequest>) -> Vec<Job> {
        let round_seed = self.seed().derive("round", u64::from(round));
        let job = |request: JobRequest| {
            let JobRequest { task, state, start, sample, sampling } = request;
            let seed = round_seed.derive(&state.to_string(), u64::from(sample));
            let (round_bytes, sample_bytes) = (round.to_le_bytes(), sample.to_le_bytes());
            let (temperature, top_p) =
                (sampling.temperature.to_le_bytes(), sampling.top_p.to_le_bytes());
            let seed_bytes = seed.get().to_le_bytes();
            let mut parts: Vec<&[u8]> = vec![
                b"rollout",
                model.lineage.as_bytes(),
                &round_bytes,
                state.as_bytes(),
                &sample_bytes,
                &temperature,
                &top_p,
                &seed_bytes,
            ];
            // Two ways to a state have the same actions, but not the same words or authors.
            if let Start::Replay { expert, .. } = &start {
                parts.push(expert.id.as_bytes());
            }
            let id = TrajectoryId::derive(&parts);
            Job { id, task, start, sampling, seed, round, sample }
        };
        requests.into_iter().map(job).collect()
    }

    /// Runs the jobs that the store does not hold yet, unit by unit, and gives the results of all
    /// of them as the store has them.
    pub(crate) fn run(
        &self,
        phase: &str,
        model: &Model,
        jobs: Vec<Job>,
    ) -> Result<Outcomes, RunError> {
        let units = units(jobs, self.config.unit_size);
        let mut pending = Vec::new();
        for unit in &units {
            if !self.store.unit_is_complete(&unit.key)? && !self.borrow(unit)? {
                pending.push(unit.clone());
            }
        }
        if !pending.is_empty() {
            tracing::debug!(phase, n_units = units.len(), n_pending = pending.len(), "rollouts");
            let n_policies = self.setup.n_workers.clamp(1, pending.len());
            let mut policies = (0..n_policies)
                .map(|_| self.setup.learner.policy(&model.path))
                .collect::<Result<Vec<Box<dyn Policy>>, _>>()?;
            let Setup { environment, opening, rollouts, .. } = self.setup;
            let opening = |given: &Opening| opening(given, self.asked_for);
            let rollouts = Rollouts::new(*environment, &opening, rollouts.clone());
            let n_jobs = pending.iter().map(|unit| unit.jobs.len()).sum::<usize>();
            let (mut n_failed, mut outage) = (0, None);
            let rolled_out =
                rollouts.run(phase, &mut policies, &pending, self.control, &mut |result| {
                    n_failed += n_environment_errors(&result.incidents);
                    if n_failed > tolerable_failures(n_jobs) {
                        outage =
                            Some(RunError::Outage { phase: phase.to_owned(), n_failed, n_jobs });
                        return Err("the environment fails too often".into());
                    }
                    let UnitResult { key, trajectories, incidents, .. } = &result;
                    let stored = self.store.append_unit(key, trajectories, incidents);
                    stored.map(drop).map_err(Into::into)
                });
            match (rolled_out, outage) {
                (Err(_), Some(outage)) => return Err(outage),
                (rolled_out, _) => drop(rolled_out?),
            }
        }
        self.outcomes(&units)
    }

    /// Takes a unit over from another method that asked the same model for the same rollouts. A
    /// unit's key is a hash of all that determines its results.
    fn borrow(&self, unit: &Unit) -> Result<bool, RunError> {
        for other in self.others {
            let Some(stored) = other.unit(&unit.key)? else {
                continue;
            };
            let get = |id: &TrajectoryId| other.get(id).transpose();
            let trajectories = stored.trajectories.iter().filter_map(get);
            let trajectories = trajectories.collect::<Result<Vec<_>, _>>()?;
            if trajectories.len() == stored.trajectories.len() {
                let trajectories: Vec<Trajectory> =
                    trajectories.iter().map(|trajectory| trajectory.as_ref().clone()).collect();
                self.store.append_unit(&unit.key, &trajectories, &stored.incidents)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn outcomes(&self, units: &[Unit]) -> Result<Outcomes, RunError> {
        let mut outcomes = Outcomes::default();
        for unit in units {
            outcomes.n_jobs += unit.jobs.len();
            outcomes.units.push(unit.key.clone());
            // A unit that is not there has no outcomes: its jobs count, and nothing else.
            let Some(stored) = self.store.unit(&unit.key)? else {
                continue;
            };
            for id in &stored.trajectories {
                outcomes.trajectories.push(self.trajectory(id, &unit.key)?);
            }
            outcomes.incidents.extend(stored.incidents);
        }
        Ok(outcomes)
    }

    pub(crate) fn trajectory(
        &self,
        id: &TrajectoryId,
        wanted_by: &dyn Display,
    ) -> Result<Arc<Trajectory>, RunError> {
        let missing = || RunError::MissingTrajectory { id: *id, wanted_by: wanted_by.to_string() };
        self.store.get(id)?.ok_or_else(missing)
    }

    /// The names of the experts that are imitated.
    pub(crate) fn names(&self) -> Vec<String> {
        self.bc_experts.iter().map(ToString::to_string).collect()
    }

    /// Keeps a value under a key of the store.
    pub(crate) fn put<T: Serialize>(&self, key: &str, value: &T) -> Result<(), RunError> {
        let bytes = serde_json::to_vec(value).map_err(|source| bad_record(key, source))?;
        Ok(self.store.put_record(key, &bytes)?)
    }

    /// The value under a key of the store.
    pub(crate) fn take<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, RunError> {
        let Some(bytes) = self.store.record(key)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|source| bad_record(key, source))
    }
}

/// What became of a phase's rollouts.
#[derive(Default)]
pub(crate) struct Outcomes {
    pub(crate) n_jobs: usize,
    /// The keys of the units that they were run in.
    pub(crate) units: Vec<String>,
    pub(crate) trajectories: Vec<Arc<Trajectory>>,
    pub(crate) incidents: Vec<Incident>,
}

impl Outcomes {
    pub(crate) fn extend(&mut self, other: Self) {
        self.n_jobs += other.n_jobs;
        self.units.extend(other.units);
        self.trajectories.extend(other.trajectories);
        self.incidents.extend(other.incidents);
    }

    /// The state that each first sample started from, and whether it won.
    pub(crate) fn won(&self) -> impl Iterator<Item = (StateKey, bool)> {
        self.trajectories.iter().filter_map(|trajectory| {
            let first = matches!(trajectory.origin, Origin::Rollout { sample: 0, .. });
            let start = trajectory.state_keys().get(trajectory.n_replayed()).copied();
            start.filter(|_| first).map(|state| (state, trajectory.is_positive()))
        })
    }

    pub(crate) fn n_generated_tokens(&self) -> u64 {
        let chosen = |trajectory: &Arc<Trajectory>| -> u64 {
            let steps = trajectory.steps.iter().skip(trajectory.n_replayed());
            steps
                .filter_map(|step| step.sampled.as_ref())
                .map(|tokens| tokens.ids.len() as u64)
                .sum()
        };
        self.trajectories.iter().map(chosen).sum()
    }

    /// Incidents that are divergences, and the others.
    pub(crate) fn n_incidents(&self) -> (usize, usize) {
        let n_errors = n_environment_errors(&self.incidents);
        (self.incidents.len() - n_errors, n_errors)
    }
}

/// The tasks of a split, of which there must be one.
pub(crate) fn tasks(setup: &Setup<'_>, split: Split) -> Result<Vec<TaskId>, RunError> {
    let tasks = setup.environment.tasks(split);
    if tasks.is_empty() { Err(RunError::NoTasks { split }) } else { Ok(tasks) }
}

pub(crate) fn create(directory: &Path) -> Result<(), RunError> {
    std::fs::create_dir_all(directory).map_err(io("create", directory))
}

pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RunError {
    let path = path.to_path_buf();
    move |source| RunError::Io { doing, path, source }
}

fn bad_record(key: &str, source: serde_json::Error) -> RunError {
    RunError::Record { key: key.to_owned(), source }
}

/// Fixed units; their keys are hashes of the jobs in them.
fn units(jobs: Vec<Job>, unit_size: usize) -> Vec<Unit> {
    let unit = |jobs: &[Job]| {
        let ids: Vec<&[u8]> = jobs.iter().map(|job| job.id.as_bytes().as_slice()).collect();
        let key = TrajectoryId::derive(&ids).to_string();
        Unit { key, jobs: jobs.to_vec() }
    };
    jobs.chunks(unit_size).map(unit).collect()
}

/// Every byte of what the experts did counts: their failures decide what is explored.
fn experts_digest(experts: &[Arc<Trajectory>]) -> String {
    let checksums: Vec<String> =
        experts.iter().map(|expert| format!("{} {}", expert.id, Checksum::of(expert))).collect();
    let checksums: Vec<&[u8]> = checksums.iter().map(String::as_bytes).collect();
    TrajectoryId::derive(&checksums).to_string()
}

fn n_environment_errors(incidents: &[Incident]) -> usize {
    let diverged = |incident: &&Incident| matches!(incident.kind, IncidentKind::Diverged { .. });
    incidents.len() - incidents.iter().filter(diverged).count()
}

/// A few rollouts may fail for reasons of their own. More say that the environment is down: what
/// it did not answer must not be kept as if it were a result.
fn tolerable_failures(n_jobs: usize) -> usize {
    (n_jobs / 20).max(2)
}
