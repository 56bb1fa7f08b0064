//! The environments that a configuration can name, behind one type.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use eef_chat::PromptTemplate;
use eef_core::{
    Action, Control, Env, EnvError, Environment, Opening, Policy, Seed, Split, TaskId, Trajectory,
};
use eef_rollout::demonstrate;
use eef_scienceworld::teacher::ROOMS;
use eef_scienceworld::{JAR_SHA256, ScienceWorld};
use eef_webshop::teacher::ScriptedTeacher;
use eef_webshop::{AgentAction, Fidelity, ShopEnvironment, WebShop};

use super::science::{self, Solver, Spoiling, flaws, required, unknown};
use crate::config::{Config, EnvironmentKind};
use crate::paths;

/// The environment of a configuration.
pub enum World {
    /// A web shop.
    Shop(ShopEnvironment),
    /// ScienceWorld, and what solves its tasks, where it is not a cassette alone.
    ScienceWorld(ScienceWorld, Option<Solver>),
}

impl World {
    /// Opens what the configuration names.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let data = &config.data;
        let directory = paths::require(&data.directory, "the data", &config.plan.data_source)?;
        if data.environment == EnvironmentKind::ScienceWorld {
            return science::open(config, &directory);
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
        let Self::ScienceWorld(_, Some(solver)) = self else { return None };
        let time = solver.pool.cpu_time().filter(|time| !time.workers.is_zero())?;
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
            Self::ScienceWorld(world, solver) => {
                let flaws = flaws(teacher).with_context(|| unknown(teacher))?;
                let scripts = required(solver.as_ref())?.scripts(world, &tasks, control)?;
                let format = science::format(config)?;
                let teacher = Spoiling { name: teacher, flaws, seed, format };
                teacher.demonstrate(world, &tasks, &scripts, control)
            }
        }
    }
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
