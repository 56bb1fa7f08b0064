//! The simulator's tasks, their splits, and which of them programs use.

use std::ops::Range;

use eef_core::Split;

use crate::error::ScienceWorldError;

/// One of the simulator's tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskKind {
    /// Topic and number, such as `4-3`.
    pub id: &'static str,
    /// The simulator's name of it, such as `find-plant`.
    pub name: &'static str,
    /// How many variations it has, numbered from 0.
    pub n_variations: u32,
}

/// All tasks in the order of their ids, as version 1.2.3 has them.
pub const TASKS: [TaskKind; 30] = [
    TaskKind { id: "1-1", name: "boil", n_variations: 30 },
    TaskKind { id: "1-2", name: "melt", n_variations: 30 },
    TaskKind { id: "1-3", name: "freeze", n_variations: 30 },
    TaskKind { id: "1-4", name: "change-the-state-of-matter-of", n_variations: 30 },
    TaskKind { id: "2-1", name: "use-thermometer", n_variations: 540 },
    TaskKind { id: "2-2", name: "measure-melting-point-known-substance", n_variations: 436 },
    TaskKind { id: "2-3", name: "measure-melting-point-unknown-substance", n_variations: 300 },
    TaskKind { id: "3-1", name: "power-component", n_variations: 20 },
    TaskKind {
        id: "3-2",
        name: "power-component-renewable-vs-nonrenewable-energy",
        n_variations: 20,
    },
    TaskKind { id: "3-3", name: "test-conductivity", n_variations: 900 },
    TaskKind { id: "3-4", name: "test-conductivity-of-unknown-substances", n_variations: 600 },
    TaskKind { id: "4-1", name: "find-living-thing", n_variations: 300 },
    TaskKind { id: "4-2", name: "find-non-living-thing", n_variations: 300 },
    TaskKind { id: "4-3", name: "find-plant", n_variations: 300 },
    TaskKind { id: "4-4", name: "find-animal", n_variations: 300 },
    TaskKind { id: "5-1", name: "grow-plant", n_variations: 126 },
    TaskKind { id: "5-2", name: "grow-fruit", n_variations: 126 },
    TaskKind { id: "6-1", name: "chemistry-mix", n_variations: 32 },
    TaskKind { id: "6-2", name: "chemistry-mix-paint-secondary-color", n_variations: 36 },
    TaskKind { id: "6-3", name: "chemistry-mix-paint-tertiary-color", n_variations: 36 },
    TaskKind { id: "7-1", name: "lifespan-longest-lived", n_variations: 125 },
    TaskKind { id: "7-2", name: "lifespan-shortest-lived", n_variations: 125 },
    TaskKind { id: "7-3", name: "lifespan-longest-lived-then-shortest-lived", n_variations: 125 },
    TaskKind { id: "8-1", name: "identify-life-stages-1", n_variations: 14 },
    TaskKind { id: "8-2", name: "identify-life-stages-2", n_variations: 10 },
    TaskKind { id: "9-1", name: "inclined-plane-determine-angle", n_variations: 168 },
    TaskKind { id: "9-2", name: "inclined-plane-friction-named-surfaces", n_variations: 1386 },
    TaskKind { id: "9-3", name: "inclined-plane-friction-unnamed-surfaces", n_variations: 162 },
    TaskKind { id: "10-1", name: "mendelian-genetics-known-plant", n_variations: 120 },
    TaskKind { id: "10-2", name: "mendelian-genetics-unknown-plant", n_variations: 480 },
];

impl TaskKind {
    /// A task by its name.
    ///
    /// # Errors
    /// [`ScienceWorldError::UnknownGame`], with the names that there are.
    pub fn by_name(name: &str) -> Result<Self, ScienceWorldError> {
        TASKS.into_iter().find(|task| task.name == name).ok_or_else(|| {
            ScienceWorldError::UnknownGame {
                what: format!("no task {name}"),
                expected: format!("one of {}", TASKS.map(|task| task.name).join(", ")),
            }
        })
    }

    /// The number before the dash of [`TaskKind::id`]: the topic.
    pub fn topic(&self) -> u32 {
        self.id.split('-').next().and_then(|topic| topic.parse().ok()).unwrap_or(0)
    }

    /// The variations of an official split. The simulator cuts a task's variations into fourths of
    /// floor(n / 4): two of them train, one validates, and the test has the rest.
    pub fn variations(&self, split: Split) -> Range<u32> {
        let fourth = self.n_variations / 4;
        match split {
            Split::Train => 0..2 * fourth,
            Split::Validation => 2 * fourth..3 * fourth,
            Split::Test => 3 * fourth..self.n_variations,
        }
    }
}

/// Which tasks are played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaskSet {
    /// AgentGym's 23, with which the paper's experiments were made: without growing plants and
    /// fruit (5-1, 5-2), inclined planes (9) and genetics (10).
    #[default]
    AgentGym,
    /// Those that the paper says to exclude excluded, and no others: 25 without 9 and 10.
    Paper,
    /// All 30.
    All,
}

impl TaskSet {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::AgentGym, Self::Paper, Self::All];

    /// The name used in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::AgentGym => "agentgym",
            Self::Paper => "paper",
            Self::All => "all",
        }
    }

    /// Its tasks, in the order of their ids.
    pub fn tasks(self) -> impl Iterator<Item = TaskKind> {
        TASKS.into_iter().filter(move |task| match self {
            Self::AgentGym => ![5, 9, 10].contains(&task.topic()),
            Self::Paper => ![9, 10].contains(&task.topic()),
            Self::All => true,
        })
    }

    /// The tasks and variations of a split, in their order.
    pub fn games(self, split: Split) -> impl Iterator<Item = (TaskKind, u32)> {
        self.tasks()
            .flat_map(move |task| task.variations(split).map(move |variation| (task, variation)))
    }

    /// Task and variation by number, where all variations of one task after the other are counted:
    /// for [`TaskSet::AgentGym`] that program's `data_idx`.
    pub fn game(self, index: u32) -> Option<(TaskKind, u32)> {
        let mut left = index;
        for task in self.tasks() {
            if left < task.n_variations {
                return Some((task, left));
            }
            left -= task.n_variations;
        }
        None
    }
}

impl std::str::FromStr for TaskSet {
    type Err = ScienceWorldError;

    fn from_str(text: &str) -> Result<Self, ScienceWorldError> {
        Self::ALL.into_iter().find(|set| set.name() == text).ok_or_else(|| {
            ScienceWorldError::Option {
                option: "tasks",
                found: text.to_owned(),
                expected: Self::ALL.map(Self::name).join(", "),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_cover_every_variation_once() {
        let n_games = |split| TaskSet::All.games(split).count();
        assert_eq!(Split::ALL.map(n_games), [3592, 1796, 1819]);
        for task in TASKS {
            let [train, validation, test] = Split::ALL.map(|split| task.variations(split));
            assert_eq!((train.start, train.end), (0, validation.start));
            assert_eq!((validation.end, test.end), (test.start, task.n_variations));
        }
    }

    #[test]
    fn a_number_names_a_variation() {
        assert_eq!(TaskSet::AgentGym.tasks().count(), 23);
        assert_eq!(TaskSet::Paper.tasks().count(), 25);
        let game = |index| TaskSet::AgentGym.game(index).map(|(task, v)| (task.name, v));
        assert_eq!(game(0), Some(("boil", 0)));
        assert_eq!(game(30), Some(("melt", 0)));
        assert_eq!(game(4638), Some(("identify-life-stages-2", 9)));
        assert_eq!(game(4639), None);
    }

    #[test]
    fn unknown_names_are_answered_with_the_known() {
        let error = TaskKind::by_name("find-rock").unwrap_err().to_string();
        assert!(error.contains("find-plant"), "{error}");
        assert!("x".parse::<TaskSet>().unwrap_err().to_string().contains("agentgym, paper, all"));
        for set in TaskSet::ALL {
            assert_eq!(set.name().parse::<TaskSet>().unwrap(), set);
        }
    }
}
