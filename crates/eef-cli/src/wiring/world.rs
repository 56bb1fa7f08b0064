//! The environments that a configuration can name, behind one type.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use eef_chat::{ActionFormat, PromptTemplate};
use eef_core::{
    Action, Control, Env, EnvError, Environment, Event, Opening, Policy, Seed, Split, TaskId,
    Trajectory,
};
use eef_rollout::{RolloutError, demonstrate};
use eef_scienceworld::teacher::{Flaws, ROOMS, gold_scripts};
use eef_scienceworld::{
    Cassette, CassetteMode, EnvironmentOptions, Game, JAR_SHA256, Jar, PoolOptions, ScienceWorld,
    WorkerPool, plain_action, teacher,
};
use eef_webshop::teacher::ScriptedTeacher;
use eef_webshop::{AgentAction, Fidelity, ShopEnvironment, WebShop};
use rayon::iter::{
    IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _,
};

use crate::config::{Config, EnvironmentKind};
use crate::paths;

/// Games that are worked on between two looks at whether to go on.
const AT_ONCE: usize = 16;

/// The environment of a configuration.
pub enum World {
    /// A web shop.
    Shop(ShopEnvironment),
    /// ScienceWorld, and the workers that play it, where it is not a cassette alone.
    ScienceWorld(ScienceWorld, Option<WorkerPool>),
}

impl World {
    /// Opens what the configuration names.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let data = &config.data;
        let directory = paths::require(&data.directory, "the data", &config.plan.data_source)?;
        if data.environment == EnvironmentKind::ScienceWorld {
            return science_world(config, &directory);
        }
        let shop = WebShop::open(&directory)?;
        if data.faithful {
            let shop = shop.as_ref().clone().with_fidelity(Fidelity::Original);
            return Ok(Self::Shop(Arc::new(shop).environment()));
        }
        Ok(Self::Shop(shop.environment()))
    }

    /// What must be said beside every result on test tasks that training has seen.
    pub fn leak(&self) -> Option<String> {
        let Self::Shop(environment) = self else { return None };
        let shop = environment.shop();
        let (n_leaked, n_goals) = (shop.n_leaked_test_goals(), shop.goals(Split::Test).len());
        (n_leaked > 0).then(|| {
            format!(
                "LEAK: {n_leaked} of the data's {n_goals} test tasks share a product or an \
                 instruction with a training task, as in the paper's splits; a result on them is \
                 no measure of generalisation"
            )
        })
    }

    /// What the paper counts: in WebShop Next, and going back to the search (Table 4); in
    /// ScienceWorld the rooms that are gone to (appendix A.7).
    pub fn skills(&self) -> Vec<eef::Skill> {
        match self {
            Self::Shop(_) => vec![
                eef::Skill::new("Next", |action| clicks(action, "next")),
                eef::Skill::new("Back", |action| clicks(action, "back to search")),
            ],
            Self::ScienceWorld(..) => ROOMS.map(goes_to).into(),
        }
    }

    /// The name under which an action is counted: in ScienceWorld itself, whereas no two requests
    /// of WebShop have many in common.
    pub fn action_name(&self) -> &'static (dyn Fn(&Action) -> Option<String> + Sync) {
        match self {
            Self::Shop(_) => &|_| None,
            Self::ScienceWorld(..) => &|action| Some(action.as_str().trim().to_lowercase()),
        }
    }

    /// What the simulator took of the processors so far, in words; `None` where nothing did.
    pub fn simulators_share(&self) -> Option<String> {
        let Self::ScienceWorld(_, Some(pool)) = self else { return None };
        let time = pool.cpu_time().filter(|time| !time.workers.is_zero())?;
        let (workers, all) = (time.workers, time.workers + time.this_process);
        let percent = 100.0 * workers.as_secs_f64() / all.as_secs_f64();
        let (workers, all) = (workers.as_secs(), all.as_secs());
        Some(format!("the simulator took {workers} s of {all} s of CPU time ({percent:.0} %)"))
    }

    /// A digest of the data.
    pub fn digest(&self, config: &Config) -> anyhow::Result<String> {
        match self {
            Self::Shop(_) => Ok(WebShop::digest(&paths::resolve(&config.data.directory))?),
            // An episode is decided by the simulator, whose hash was checked, and its options.
            Self::ScienceWorld(world, _) => {
                let options = world.options();
                let format = config.data.action_format.as_str();
                let parts = (world.name(), options.max_turns, options.max_moves, format);
                Ok(format!("{JAR_SHA256} {}", serde_json::to_string(&parts)?))
            }
        }
    }

    /// Checks that an expert's task is one of the environment's, asking the same: else the file
    /// belongs to other data.
    pub fn check_expert(&self, expert: &Trajectory) -> anyhow::Result<()> {
        let unknown =
            || format!("expert trajectory {}: the data has no task {}", expert.id, expert.task);
        match self {
            Self::Shop(environment) => {
                let goal = environment.shop().goal(&expert.task).with_context(unknown)?;
                if !expert.instruction.contains(goal.instruction_text.trim()) {
                    bail!(
                        "expert trajectory {}: task {} asks for `{}`, but the trajectory answers \
                         `{}`; experts and data do not belong together",
                        expert.id,
                        expert.task,
                        goal.instruction_text,
                        expert.instruction
                    );
                }
            }
            // What a game asks only the simulator knows; a replay compares every observation.
            Self::ScienceWorld(world, _) => {
                world.game(&expert.task).with_context(unknown)?;
            }
        }
        Ok(())
    }

    /// What a scripted teacher does on tasks, in their order.
    pub fn collect(
        &self,
        config: &Config,
        teacher: &str,
        tasks: Vec<TaskId>,
        control: &Control<'_>,
    ) -> anyhow::Result<Vec<Trajectory>> {
        let seed = Seed::new(config.seed);
        match self {
            Self::Shop(environment) => {
                let script = ScriptedTeacher::by_name(teacher).with_context(|| unknown(teacher))?;
                // Teachers read instruction and observation as they are; prompts are for students.
                let plain = |opening: &Opening| PromptTemplate::Short.of_opening(opening);
                let workers = 0..super::n_workers(config);
                let policies = workers.map(|_| Box::new(script.clone()) as Box<dyn Policy>);
                let (name, mut policies) = (script.name(), policies.collect::<Vec<_>>());
                Ok(demonstrate(environment, &plain, name, &mut policies, tasks, seed, control)?)
            }
            Self::ScienceWorld(world, pool) => {
                let flaws = flaws(teacher).with_context(|| unknown(teacher))?;
                let scripts = scripts(world, simulator(pool.as_ref())?, &tasks, control)?;
                let teacher = Spoiling { name: teacher, flaws, seed, format: format(config)? };
                teacher.demonstrate(world, &tasks, &scripts, control)
            }
        }
    }
}

/// What a base model for ScienceWorld reads: badly spoiled scripts of the training tasks of
/// `pretrain.tasks`, each task as often as it takes, with other flaws each time.
pub fn transcripts(
    config: &Config,
    world: &ScienceWorld,
    pool: Option<&WorkerPool>,
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
    let pool = simulator(pool)?;
    let world = ScienceWorld::new(pool.clone(), options);
    let mut tasks = world.tasks(Split::Train);
    let n_transcripts = config.pretrain.n_transcripts;
    tasks.truncate(n_transcripts);
    let scripts = scripts(&world, pool, &tasks, control)?;
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
            flaws: Flaws::MANY,
            seed: seed.derive("round", round),
            format: format(config)?,
        };
        let tasks = &tasks[..n_missing.min(tasks.len())];
        transcripts.extend(teacher.demonstrate(&world, tasks, &scripts, control)?);
    }
    Ok(transcripts)
}

/// The workers, or how to get what they play.
fn simulator(pool: Option<&WorkerPool>) -> anyhow::Result<&WorkerPool> {
    pool.context(
        "scripts of ScienceWorld are the simulator's solutions: data.directory must be what cargo \
         xtask prepare-data scienceworld wrote",
    )
}

/// Whether a source of experts is a scripted teacher's name.
pub fn is_teacher(name: &str) -> bool {
    flaws(name).is_some()
}

/// How a scripted teacher of ScienceWorld fails; WebShop's have the same names.
fn flaws(teacher: &str) -> Option<Flaws> {
    match teacher {
        "oracle" => Some(Flaws::NONE),
        "scripted-strong" => Some(Flaws::FEW),
        "scripted-weak" => Some(Flaws::MANY),
        _ => None,
    }
}

fn unknown(teacher: &str) -> String {
    format!("unknown teacher `{teacher}`: expected scripted-strong, scripted-weak or oracle")
}

fn clicks(action: &Action, wanted: &str) -> bool {
    matches!(
        AgentAction::parse(action.as_str()),
        AgentAction::Click { button } if button.to_lowercase().contains(wanted)
    )
}

fn goes_to(room: &'static str) -> eef::Skill {
    let action = format!("go to {room}");
    eef::Skill::new(room, move |done| done.as_str().trim() == action)
}

/// How replies carry ScienceWorld's actions.
fn format(config: &Config) -> anyhow::Result<ActionFormat> {
    Ok(config.data.action_format.parse()?)
}

/// A folder with the simulator, or a cassette.
fn science_world(config: &Config, path: &std::path::Path) -> anyhow::Result<World> {
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
    let n_workers = super::n_workers(config);
    let pool = WorkerPool::new(
        Jar::open(&path.join("scienceworld.jar"))?,
        PoolOptions {
            n_workers,
            // All episodes of a unit are open at once; evaluation's units are as large.
            simulators_per_worker: config.explore.unit_size.max(1) + 1,
            max_heap_mib: 1024,
            ..PoolOptions::default()
        },
    )?;
    Ok(World::ScienceWorld(ScienceWorld::new(pool.clone(), options), Some(pool)))
}

/// The simulator's own solutions. Some take seconds to make.
fn scripts(
    world: &ScienceWorld,
    pool: &WorkerPool,
    tasks: &[TaskId],
    control: &Control<'_>,
) -> anyhow::Result<Vec<Vec<String>>> {
    let (phase, total) = ("the simulator's solutions".to_owned(), tasks.len() as u64);
    control.report(Event::Started { phase, unit: "solutions", total });
    let mut scripts = Vec::with_capacity(tasks.len());
    for tasks in tasks.chunks(AT_ONCE) {
        stop_if_asked(control, scripts.len(), total)?;
        let game = |task: &TaskId| world.game(task).with_context(|| format!("no task {task}"));
        let games = tasks.iter().map(game).collect::<anyhow::Result<Vec<Game>>>()?;
        scripts.extend(gold_scripts(pool, &games)?);
        let note = String::new();
        control.report(Event::Advanced { done: scripts.len() as u64, note });
    }
    let n_actions: usize = scripts.iter().map(Vec::len).sum();
    let summary = format!("{} solutions, {n_actions} actions", scripts.len());
    control.report(Event::Finished { summary });
    Ok(scripts)
}

/// A teacher that follows scripts with flaws.
struct Spoiling<'a> {
    name: &'a str,
    flaws: Flaws,
    seed: Seed,
    format: ActionFormat,
}

impl Spoiling<'_> {
    /// What it does on tasks, in their order; each is played in a simulator of its own.
    fn demonstrate(
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

impl Environment for World {
    fn tasks(&self, split: Split) -> Vec<TaskId> {
        match self {
            Self::Shop(shop) => shop.tasks(split),
            Self::ScienceWorld(world, _) => world.tasks(split),
        }
    }

    fn instance(&self) -> Result<Box<dyn Env>, EnvError> {
        match self {
            Self::Shop(shop) => shop.instance(),
            Self::ScienceWorld(world, _) => world.instance(),
        }
    }

    fn max_turns(&self) -> usize {
        match self {
            Self::Shop(shop) => shop.max_turns(),
            Self::ScienceWorld(world, _) => world.max_turns(),
        }
    }
}
