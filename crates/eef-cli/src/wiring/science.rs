//! ScienceWorld: the simulator's own solutions, and what teachers and base models make of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use eef_chat::ActionFormat;
use eef_core::{Control, EnvError, Environment as _, Event, Seed, Split, TaskId, Trajectory};
use eef_rollout::RolloutError;
use eef_scienceworld::teacher::{Flaws, gold_scripts};
use eef_scienceworld::{
    Cassette, CassetteMode, EnvironmentOptions, Game, Jar, PoolOptions, Renaming, ScienceWorld,
    WorkerPool, plain_action, teacher,
};
use rayon::iter::{
    IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _,
};

use super::World;
use crate::config::Config;

/// Games that are worked on between two looks at whether to go on.
const AT_ONCE: usize = 16;

/// A worker's heap for one simulator, in MiB: few need a tenth of it.
const HEAP_MIB: u32 = 64;

/// How replies carry ScienceWorld's actions.
pub(super) fn format(config: &Config) -> anyhow::Result<ActionFormat> {
    Ok(config.data.action_format.parse()?)
}

/// A folder with the simulator, or a cassette.
pub(super) fn open(config: &Config, path: &Path) -> anyhow::Result<World> {
    let data = &config.data;
    let options = EnvironmentOptions {
        tasks: data.tasks.parse()?,
        only: data.only_tasks.clone(),
        simplification: data.simplification.clone(),
        read_action: match format(config)? {
            ActionFormat::Plain => plain_action,
            ActionFormat::ReAct => |reply| ActionFormat::ReAct.parse(reply).ok(),
        },
        ..EnvironmentOptions::default()
    };
    options.check()?;
    if path.is_file() {
        let cassette = Cassette::open(path, CassetteMode::RefuseOnMiss)?;
        return Ok(World::ScienceWorld(ScienceWorld::with_cassette(cassette, None, options), None));
    }
    // All episodes of a unit are open at once; evaluation's units are as large.
    let simulators_per_worker = config.explore.unit_size.max(1) + 1;
    let pool = WorkerPool::new(
        Jar::open(&path.join("scienceworld.jar"))?,
        PoolOptions {
            n_workers: super::n_workers(config),
            simulators_per_worker,
            max_heap_mib: HEAP_MIB.saturating_mul(simulators_per_worker as u32).max(1024),
            ..PoolOptions::default()
        },
    )?;
    Ok(World::ScienceWorld(ScienceWorld::new(pool.clone(), options), Some(Solver::new(pool))))
}

/// The simulator's workers, and the solutions that they have told. Some take seconds to make.
pub struct Solver {
    pub(super) pool: WorkerPool,
    known: Mutex<BTreeMap<Game, Vec<String>>>,
}

impl Solver {
    fn new(pool: WorkerPool) -> Self {
        Self { pool, known: Mutex::default() }
    }

    /// The solutions of tasks, in their order; those told before are not asked for again.
    pub(super) fn scripts(
        &self,
        world: &ScienceWorld,
        tasks: &[TaskId],
        control: &Control<'_>,
    ) -> anyhow::Result<Vec<Vec<String>>> {
        let game = |task: &TaskId| world.game(task).with_context(|| format!("no task {task}"));
        let games = tasks.iter().map(game).collect::<anyhow::Result<Vec<Game>>>()?;
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_missing = |game: &&Game| !known().contains_key(game);
        let missing: Vec<Game> = games.iter().filter(is_missing).cloned().collect();
        if !missing.is_empty() {
            let (phase, total) = ("the simulator's solutions".to_owned(), missing.len() as u64);
            control.report(Event::Started { phase, unit: "solutions", total });
            let (mut n_done, mut n_actions) = (0, 0);
            for games in missing.chunks(AT_ONCE) {
                stop_if_asked(control, n_done, total)?;
                let scripts = gold_scripts(&self.pool, games)?;
                n_done += scripts.len();
                n_actions += scripts.iter().map(Vec::len).sum::<usize>();
                known().extend(games.iter().cloned().zip(scripts));
                let note = String::new();
                control.report(Event::Advanced { done: n_done as u64, note });
            }
            let summary = format!("{n_done} solutions, {n_actions} actions");
            control.report(Event::Finished { summary });
        }
        let known = known();
        Ok(games.iter().filter_map(|game| known.get(game).cloned()).collect())
    }
}

/// What a base model for ScienceWorld reads: slightly spoiled scripts of the training tasks of
/// `pretrain.tasks`, each task as often as it takes, with other flaws each time; and each again under other names.
pub fn transcripts(
    config: &Config,
    world: &ScienceWorld,
    solver: Option<&Solver>,
    control: &Control<'_>,
) -> anyhow::Result<Vec<Trajectory>> {
    let (names, own) = (&config.pretrain.tasks, &config.data.only_tasks);
    if names.is_empty() || own.is_empty() || names.iter().any(|name| own.contains(name)) {
        bail!(
            "pretrain.tasks is [{}] and data.only_tasks is [{}]: expected names in both, and none \
             twice, so that the base has not read the tasks on which it is tuned",
            names.join(", "),
            own.join(", ")
        );
    }
    let options = EnvironmentOptions { only: names.clone(), ..world.options().clone() };
    options.check()?;
    let solver = required(solver)?;
    let world = ScienceWorld::new(solver.pool.clone(), options);
    let mut tasks = world.tasks(Split::Train);
    let n_transcripts = config.pretrain.n_transcripts;
    tasks.truncate(n_transcripts);
    let scripts = solver.scripts(&world, &tasks, control)?;
    let seed = Seed::new(config.seed).derive("transcripts", 0);
    let mut transcripts = Vec::with_capacity(n_transcripts);
    for round in 0.. {
        let n_missing = n_transcripts - transcripts.len();
        if n_missing == 0 || tasks.is_empty() {
            break;
        }
        // Names tell trajectories of one task apart.
        let teacher = Spoiling {
            name: &format!("transcript-{round}"),
            flaws: Flaws::FEW,
            seed: seed.derive("round", round),
            format: format(config)?,
        };
        let tasks = &tasks[..n_missing.min(tasks.len())];
        transcripts.extend(teacher.demonstrate(&world, tasks, &scripts, control)?);
    }
    let renaming = Renaming::of_actions(scripts.iter().flatten().map(String::as_str));
    let rename = |number: u64| {
        let seed = seed.derive("renaming", number);
        let numbered = (0..).zip(&transcripts);
        let renamed = numbered.map(|(i, one)| renaming.rename(one, seed.derive("transcript", i)));
        renamed.collect::<Vec<_>>()
    };
    let renamed: Vec<_> = (0..config.pretrain.n_renamings).flat_map(rename).collect();
    transcripts.extend(renamed);
    Ok(transcripts)
}

/// What solves games, or how to get it.
pub(super) fn required(solver: Option<&Solver>) -> anyhow::Result<&Solver> {
    solver.context(
        "scripts of ScienceWorld are the simulator's solutions: data.directory must be what cargo \
         xtask prepare-data scienceworld wrote",
    )
}

/// Whether a source of experts is a scripted teacher's name.
pub fn is_teacher(name: &str) -> bool {
    flaws(name).is_some()
}

/// How a scripted teacher of ScienceWorld fails; WebShop's have the same names.
pub(super) fn flaws(teacher: &str) -> Option<Flaws> {
    match teacher {
        "oracle" => Some(Flaws::NONE),
        "scripted-strong" => Some(Flaws::FEW),
        "scripted-weak" => Some(Flaws::MANY),
        _ => None,
    }
}

pub(super) fn unknown(teacher: &str) -> String {
    format!("unknown teacher `{teacher}`: expected scripted-strong, scripted-weak or oracle")
}

/// A teacher that follows scripts with flaws.
pub(super) struct Spoiling<'a> {
    pub(super) name: &'a str,
    pub(super) flaws: Flaws,
    pub(super) seed: Seed,
    pub(super) format: ActionFormat,
}

impl Spoiling<'_> {
    /// What it does on tasks, in their order; each is played in a simulator of its own.
    pub(super) fn demonstrate(
        &self,
        world: &ScienceWorld,
        tasks: &[TaskId],
        scripts: &[Vec<String>],
        control: &Control<'_>,
    ) -> anyhow::Result<Vec<Trajectory>> {
        let (phase, total) = (format!("demonstrations of {}", self.name), tasks.len() as u64);
        control.report(Event::Started { phase, unit: "demonstrations", total });
        let one = |(task, script): (&TaskId, &Vec<String>)| {
            // A task's flaws hang on the task alone, not on how many are asked for.
            let seed = self.seed.derive(task.split().name(), u64::from(task.index()));
            let say = |action: &str| self.format.print(&teacher::thought(action), action);
            teacher::demonstrate(world, task, self.name, &self.flaws.spoil(script, seed), say)
        };
        let mut found: Vec<Trajectory> = Vec::with_capacity(tasks.len());
        for (tasks, scripts) in tasks.chunks(AT_ONCE).zip(scripts.chunks(AT_ONCE)) {
            stop_if_asked(control, found.len(), total)?;
            let played = tasks.par_iter().zip(scripts).map(one);
            found.extend(played.collect::<Result<Vec<_>, EnvError>>()?);
            let note = String::new();
            control.report(Event::Advanced { done: found.len() as u64, note });
        }
        let n_positive = found.iter().filter(|trajectory| trajectory.is_positive()).count();
        let summary = format!("{n_positive} of {} succeed", found.len());
        control.report(Event::Finished { summary });
        Ok(found)
    }
}

fn stop_if_asked(control: &Control<'_>, n_done: usize, total: u64) -> Result<(), RolloutError> {
    if control.is_interrupted() {
        let (n_committed, n_units) = (n_done, total as usize);
        return Err(RolloutError::Interrupted { n_committed, n_units });
    }
    Ok(())
}
