//! The simulator as an environment.

use std::sync::Arc;

use eef_core::{Env, EnvError, Environment, Split, TaskId};

use crate::backend::Backend;
use crate::cassette::Cassette;
use crate::episode::Episode;
use crate::error::ScienceWorldError;
use crate::pool::{Game, WorkerPool};
use crate::tasks::{TaskKind, TaskSet};

/// The action in a reply, or `None` where there is none.
pub type ReadAction = fn(&str) -> Option<&str>;

/// How episodes are played.
#[derive(Clone, Debug)]
pub struct EnvironmentOptions {
    /// Which tasks there are.
    pub tasks: TaskSet,
    /// Only these of them, by name; none means all. Their variations then take turns, so that the
    /// first tasks of a split are of all kinds.
    pub only: Vec<String>,
    /// The simplifications, as the simulator reads them; AgentGym and the paper have none.
    pub simplification: String,
    /// Turns after which an episode is cut off: 30 in AgentGym.
    pub max_turns: usize,
    /// Moves after which the environment ends an episode, as the simulator counts them: 100 in
    /// the simulator's own Python interface.
    pub max_moves: u32,
    /// What part of a reply is the action. [`plain_action`] takes the whole of it; a program whose
    /// replies carry thoughts gives what takes them apart.
    pub read_action: ReadAction,
}

impl Default for EnvironmentOptions {
    fn default() -> Self {
        Self {
            tasks: TaskSet::default(),
            only: Vec::new(),
            simplification: String::new(),
            max_turns: 30,
            max_moves: 100,
            read_action: plain_action,
        }
    }
}

impl EnvironmentOptions {
    /// The tasks and variations of a split, in the order of their numbers.
    fn games(&self, split: Split) -> Vec<(TaskKind, u32)> {
        if self.only.is_empty() {
            return self.tasks.games(split).collect();
        }
        let is_wanted = |kind: &TaskKind| self.only.iter().any(|name| name == kind.name);
        let place = |(kind, variation): &(TaskKind, u32)| variation - kind.variations(split).start;
        let games = self.tasks.games(split).filter(|(kind, _)| is_wanted(kind));
        let mut games: Vec<_> = games.collect();
        // Stable: of one place, the tasks' own order.
        games.sort_by_key(place);
        games
    }

    /// Checks that there are tasks of the names asked for.
    ///
    /// # Errors
    /// [`ScienceWorldError::UnknownGame`] for a name that no task of the set has.
    pub fn check(&self) -> Result<(), ScienceWorldError> {
        for name in &self.only {
            let kind = TaskKind::by_name(name)?;
            if !self.tasks.tasks().any(|task| task == kind) {
                return Err(ScienceWorldError::UnknownGame {
                    what: format!("{name} is no task of the set {}", self.tasks.name()),
                    expected: "one of the set's, or another set".to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// A reply that is the action and nothing else.
pub fn plain_action(reply: &str) -> Option<&str> {
    Some(reply.trim()).filter(|action| !action.is_empty())
}

/// ScienceWorld as an [`Environment`]: tasks, and episodes that a pool's workers or a cassette
/// play. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ScienceWorld(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    name: Arc<str>,
    pub(crate) options: EnvironmentOptions,
    pub(crate) backend: Backend,
    games: [Vec<(TaskKind, u32)>; 3],
}

impl ScienceWorld {
    /// Episodes in a pool's workers.
    pub fn new(pool: WorkerPool, options: EnvironmentOptions) -> Self {
        Self::with_backend(Backend::Pool(pool), options)
    }

    /// Episodes from a cassette; what it does not hold comes from the pool, where there is one.
    pub fn with_cassette(
        cassette: Cassette,
        pool: Option<WorkerPool>,
        options: EnvironmentOptions,
    ) -> Self {
        Self::with_backend(Backend::Cassette(cassette, pool), options)
    }

    fn with_backend(backend: Backend, options: EnvironmentOptions) -> Self {
        let games = Split::ALL.map(|split| options.games(split));
        let mut name = "scienceworld".to_owned();
        // Ids of tasks are positions in these lists, and a task is another with simplifications.
        if options.tasks != TaskSet::default() {
            name = format!("{name}-{}", options.tasks.name());
        }
        if !options.only.is_empty() {
            name = format!("{name}-{}", options.only.join("+"));
        }
        if !options.simplification.is_empty() {
            name = format!("{name}-{}", options.simplification);
        }
        Self(Arc::new(Shared { name: name.into(), options, backend, games }))
    }

    /// The environment's name in task ids: `scienceworld`, followed by the set of tasks where it
    /// is not AgentGym's, and by the simplifications where there are any.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How episodes are played.
    pub fn options(&self) -> &EnvironmentOptions {
        &self.0.options
    }

    /// What a task id stands for.
    pub fn game(&self, task: &TaskId) -> Option<Game> {
        self.0.game(task)
    }

    /// The id of a task's variation; `None` where it is none of this environment's.
    pub fn task_id(&self, task: &str, variation: u32) -> Option<TaskId> {
        Split::ALL.into_iter().find_map(|split| {
            let mut games = self.0.games[split as usize].iter();
            let index = games.position(|(kind, v)| kind.name == task && *v == variation)?;
            Some(TaskId::new(Arc::clone(&self.0.name), split, index as u32))
        })
    }

    /// Every action that does something at the start of a task or after the actions given.
    ///
    /// A simulator of its own is played there: asking the episode's would change its course.
    ///
    /// # Errors
    /// Failures of the workers; [`ScienceWorldError::NotRecorded`] without a pool.
    pub fn valid_actions(
        &self,
        game: Game,
        actions: &[&str],
    ) -> Result<Vec<String>, ScienceWorldError> {
        let mut simulator = self.0.backend.simulator(|| format!("the valid actions of {game}"))?;
        simulator.load(game.clone())?;
        for action in actions {
            simulator.step(action)?;
        }
        simulator.valid_actions()
    }

    /// An episode to be reset to a task.
    pub fn episode(&self) -> Episode {
        Episode::new(Arc::clone(&self.0))
    }
}

impl Shared {
    pub(crate) fn game(&self, task: &TaskId) -> Option<Game> {
        let games = &self.games[task.split() as usize];
        let (kind, variation) =
            games.get(task.index() as usize).filter(|_| task.environment() == &*self.name)?;
        Some(Game {
            task: kind.name.to_owned(),
            variation: *variation,
            simplification: self.options.simplification.clone(),
        })
    }

    pub(crate) fn n_tasks(&self, split: Split) -> usize {
        self.games[split as usize].len()
    }
}

impl Environment for ScienceWorld {
    fn tasks(&self, split: Split) -> Vec<TaskId> {
        let n_tasks = self.0.n_tasks(split) as u32;
        (0..n_tasks).map(|index| TaskId::new(Arc::clone(&self.0.name), split, index)).collect()
    }

    fn instance(&self) -> Result<Box<dyn Env>, EnvError> {
        Ok(Box::new(self.episode()))
    }

    fn max_turns(&self) -> usize {
        self.0.options.max_turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_tasks_take_turns() {
        let only = ["find-plant", "identify-life-stages-2"].map(str::to_owned).to_vec();
        let options = EnvironmentOptions { only, ..EnvironmentOptions::default() };
        options.check().unwrap();
        let games = options.games(Split::Test);
        let names: Vec<_> = games.iter().take(5).map(|(kind, v)| (kind.name, *v)).collect();
        let (plant, stages) = ("find-plant", "identify-life-stages-2");
        let expected = [(plant, 225), (stages, 6), (plant, 226), (stages, 7), (plant, 227)];
        assert_eq!(names, expected);
        // 300 - 3 * 75 variations of one, 10 - 3 * 2 of the other.
        assert_eq!(games.len(), 75 + 4);
        let unknown = EnvironmentOptions { only: vec!["grow-plant".to_owned()], ..options };
        let error = unknown.check().unwrap_err().to_string();
        assert!(error.contains("grow-plant is no task of the set agentgym"), "{error}");
    }
}
