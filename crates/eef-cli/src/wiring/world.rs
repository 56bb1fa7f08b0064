//! The environments that a configuration can name, behind one type.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use eef_chat::{ActionFormat, PromptTemplate};
use eef_core::{
    Control, Env, EnvError, Environment, Event, Opening, Policy, Seed, Split, TaskId, Trajectory,
};
use eef_rollout::{RolloutError, demonstrate};
use eef_scienceworld::teacher::{Flaws, ROOMS, gold_scripts};
use eef_scienceworld::{
    Cassette, CassetteMode, EnvironmentOptions, Game, JAR_SHA256, Jar, PoolOptions, ScienceWorld,
    WorkerPool, plain_action, teacher,
};
use eef_webshop::teacher::ScriptedTeacher;
use eef_webshop::{AgentAction, Fidelity, ShopEnvironment, WebShop};

use crate::config::{Config, EnvironmentKind};
use crate::paths;

/// Games whose solutions are asked for between two looks at whether to go on.
const SCRIPTS_AT_ONCE: usize = 16;

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

    /// The shop, for what there is of shops alone.
    pub fn shop(&self, what: &str) -> anyhow::Result<&ShopEnvironment> {
        match self {
            Self::Shop(shop) => Ok(shop),
            Self::ScienceWorld(..) => bail!(
                "{what} is for data.environment = \"webshop\"; this configuration names scienceworld"
            ),
        }
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
        teacher: &str,
        tasks: Vec<TaskId>,
        seed: Seed,
        n_workers: usize,
        control: &Control<'_>,
    ) -> anyhow::Result<Vec<Trajectory>> {
        match self {
            Self::Shop(environment) => {
                let script = ScriptedTeacher::by_name(teacher).with_context(|| unknown(teacher))?;
                // Teachers read instruction and observation as they are; prompts are for students.
                let plain = |opening: &Opening| PromptTemplate::Short.of_opening(opening);
                let policies = (0..n_workers).map(|_| Box::new(script.clone()) as Box<dyn Policy>);
                let (name, mut policies) = (script.name(), policies.collect::<Vec<_>>());
                Ok(demonstrate(environment, &plain, name, &mut policies, tasks, seed, control)?)
            }
            Self::ScienceWorld(world, pool) => {
                let flaws = flaws(teacher).with_context(|| unknown(teacher))?;
                let pool = pool.as_ref().context(
                    "a scripted teacher of ScienceWorld asks the simulator for its solutions: \
                     data.directory must be what cargo xtask prepare-data scienceworld wrote",
                )?;
                scripted(world, pool, teacher, flaws, &tasks, seed, control)
            }
        }
    }
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

fn clicks(action: &eef_core::Action, wanted: &str) -> bool {
    matches!(
        AgentAction::parse(action.as_str()),
        AgentAction::Click { button } if button.to_lowercase().contains(wanted)
    )
}

fn goes_to(room: &'static str) -> eef::Skill {
    let action = format!("go to {room}");
    eef::Skill::new(room, move |done| done.as_str().trim() == action)
}

/// A folder with the simulator, or a cassette.
fn science_world(config: &Config, path: &std::path::Path) -> anyhow::Result<World> {
    let data = &config.data;
    let options = EnvironmentOptions {
        tasks: data.tasks.parse()?,
        only: data.only_tasks.clone(),
        simplification: data.simplification.clone(),
        read_action: match data.action_format.parse()? {
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

/// A script's trajectories: the simulator's own solutions, spoiled.
fn scripted(
    world: &ScienceWorld,
    pool: &WorkerPool,
    name: &str,
    flaws: Flaws,
    tasks: &[TaskId],
    seed: Seed,
    control: &Control<'_>,
) -> anyhow::Result<Vec<Trajectory>> {
    let (phase, total) = (format!("demonstrations of {name}"), tasks.len() as u64);
    control.report(Event::Started { phase, unit: "demonstrations", total });
    let mut found: Vec<Trajectory> = Vec::with_capacity(tasks.len());
    for tasks in tasks.chunks(SCRIPTS_AT_ONCE) {
        if control.is_interrupted() {
            let (n_committed, n_units) = (found.len(), total as usize);
            return Err(RolloutError::Interrupted { n_committed, n_units }.into());
        }
        let game = |task: &TaskId| world.game(task).with_context(|| format!("no task {task}"));
        let games = tasks.iter().map(game).collect::<anyhow::Result<Vec<Game>>>()?;
        let scripts = gold_scripts(pool, &games)?;
        for (task, script) in tasks.iter().zip(scripts) {
            // A task's flaws hang on the task alone, not on how many are asked for.
            let seed = seed.derive("script", u64::from(task.index()));
            let script = flaws.spoil(&script, seed.derive(task.split().name(), 0));
            found.push(teacher::demonstrate(world, task, name, &script)?);
        }
        let note = String::new();
        control.report(Event::Advanced { done: found.len() as u64, note });
    }
    let n_positive = found.iter().filter(|trajectory| trajectory.is_positive()).count();
    let summary = format!("{} of {} succeed", n_positive, found.len());
    control.report(Event::Finished { summary });
    Ok(found)
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
