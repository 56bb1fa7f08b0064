//! Teachers that are scripts: the simulator's own solutions, and spoiled ones.
//!
//! They stand in for a language model's trajectories, which are other people's data. A spoiled
//! script fails the way agents do: it leaves a step out, takes two in the wrong order, or walks into
//! the wrong room and goes on as if it were the right one.

use eef_core::{
    Author, Env as _, EnvError, EpisodeEnd, ExpertName, Origin, Outcome, Reward, Seed, Step,
    TaskId, Trajectory, TrajectoryId,
};

use crate::environment::ScienceWorld;
use crate::error::ScienceWorldError;
use crate::pool::{Game, WorkerPool};

/// The rooms of the simulator's house and garden.
pub const ROOMS: [&str; 10] = [
    "art studio",
    "bathroom",
    "bedroom",
    "foundry",
    "greenhouse",
    "hallway",
    "kitchen",
    "living room",
    "outside",
    "workshop",
];

/// What a teacher says when its script has come to an end and the episode has not.
const AT_A_LOSS: &str = "look around";

/// The simulator's own solutions of games, in their order. Some take seconds to make.
///
/// # Errors
/// [`ScienceWorldError::Refused`] for a game that the simulator does not know; failures of the
/// workers.
pub fn gold_scripts(
    pool: &WorkerPool,
    games: &[Game],
) -> Result<Vec<Vec<String>>, ScienceWorldError> {
    pool.map_on_few(games, |simulator, game| simulator.gold_actions(game.clone()))
}

/// How a script is spoiled: probabilities per step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flaws {
    /// The step is left out.
    pub drop: f64,
    /// The step comes after the next one.
    pub swap: f64,
    /// A step that goes into a room goes into another one.
    pub wrong_room: f64,
}

impl Flaws {
    /// None: the script as it is.
    pub const NONE: Self = Self { drop: 0.0, swap: 0.0, wrong_room: 0.0 };

    /// A teacher that solves most short tasks and few long ones.
    pub const FEW: Self = Self { drop: 0.03, swap: 0.02, wrong_room: 0.05 };

    /// A teacher that solves few.
    pub const MANY: Self = Self { drop: 0.1, swap: 0.05, wrong_room: 0.2 };

    /// The script with these flaws, drawn from a seed: the same seed, the same flaws.
    pub fn spoil(&self, script: &[String], seed: Seed) -> Vec<String> {
        let mut rng = seed.derive("flaws", 0).rng();
        let mut spoiled = Vec::with_capacity(script.len());
        let mut held: Option<String> = None;
        for action in script {
            // All are drawn for every step, so that one flaw does not move the others.
            let [drop, swap, wrong_room] =
                [self.drop, self.swap, self.wrong_room].map(|probability| rng.chance(probability));
            let room = ROOMS[rng.below(ROOMS.len())];
            if drop {
                continue;
            }
            let action = match action.strip_prefix("go to ") {
                Some(right) if wrong_room && right != room => format!("go to {room}"),
                _ => action.clone(),
            };
            if swap && held.is_none() {
                held = Some(action);
                continue;
            }
            spoiled.push(action);
            spoiled.extend(held.take());
        }
        spoiled.extend(held);
        spoiled
    }
}

/// A thought before an action, from a template: for replies of a form that has thoughts.
pub fn thought(action: &str) -> String {
    let rest = |verb: &str| action.strip_prefix(verb);
    if let Some(room) = rest("open door to ") {
        format!("The way to the {room} leads through this door.")
    } else if let Some(room) = rest("go to ") {
        format!("I go on to the {room}.")
    } else if let Some(thing) = rest("focus on ") {
        format!("The {thing} is what the task asks me to focus on.")
    } else if let Some(thing) = rest("pick up ") {
        format!("I need the {thing}.")
    } else if rest("look").is_some() {
        "I look at what is here.".to_owned()
    } else if rest("wait").is_some() {
        "This takes time.".to_owned()
    } else {
        "I go on with the task.".to_owned()
    }
}

/// What a teacher does that follows a script: its trajectory of a task. A script that ends before
/// the episode does looks around until the limit of turns. `say` makes an action the reply from
/// which the environment reads it again ([`EnvironmentOptions::read_action`]).
///
/// [`EnvironmentOptions::read_action`]: crate::EnvironmentOptions::read_action
///
/// The id is derived from the teacher's name and the task, so that a demonstration made again is
/// the same one; a teacher with other flaws needs another name.
///
/// # Errors
/// [`EnvError`] where the task is unknown or the environment fails.
pub fn demonstrate(
    world: &ScienceWorld,
    task: &TaskId,
    teacher: &str,
    script: &[String],
    say: impl Fn(&str) -> String,
) -> Result<Trajectory, EnvError> {
    let name = ExpertName::from(teacher);
    let mut episode = world.episode();
    let opening = episode.reset(task)?;
    let mut steps = Vec::new();
    let mut outcome = Outcome { end: EpisodeEnd::TurnLimit, reward: Reward::ZERO };
    let actions = script.iter().map(String::as_str).chain(std::iter::repeat(AT_A_LOSS));
    for reply in actions.map(say).take(world.options().max_turns) {
        let found = episode.step(&reply)?;
        steps.push(Step {
            reply,
            action: found.action,
            observation: found.observation,
            author: Author::Expert(name.clone()),
            sampled: None,
        });
        outcome.reward = found.reward;
        if found.terminated {
            outcome.end = EpisodeEnd::Terminated;
            break;
        }
    }
    Ok(Trajectory {
        id: TrajectoryId::derive(&[b"expert", teacher.as_bytes(), task.to_string().as_bytes()]),
        task: task.clone(),
        instruction: opening.instruction,
        first_observation: opening.observation,
        steps,
        origin: Origin::Expert { name },
        outcome,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script() -> Vec<String> {
        let actions = ["open door to kitchen", "go to kitchen", "pick up pot", "go to outside"];
        actions.map(str::to_owned).to_vec()
    }

    #[test]
    fn each_flaw_does_what_it_says_and_no_more() {
        let seed = Seed::new(5);
        assert_eq!(Flaws::NONE.spoil(&script(), seed), script());
        let dropped = Flaws { drop: 1.0, ..Flaws::NONE }.spoil(&script(), seed);
        assert!(dropped.is_empty());
        let mut expected = script();
        expected.swap(0, 1);
        expected.swap(2, 3);
        assert_eq!(Flaws { swap: 1.0, ..Flaws::NONE }.spoil(&script(), seed), expected);
        let lost = Flaws { wrong_room: 1.0, ..Flaws::NONE }.spoil(&script(), seed);
        assert_eq!((lost.len(), &lost[0], &lost[2]), (4, &script()[0], &script()[2]));
        for (found, right) in [(&lost[1], &script()[1]), (&lost[3], &script()[3])] {
            let room = found.strip_prefix("go to ").unwrap();
            assert!(ROOMS.contains(&room));
            assert!(found != right || room == right.strip_prefix("go to ").unwrap());
        }
    }

    #[test]
    fn a_thought_goes_with_its_action() {
        for (action, expected) in [
            ("go to kitchen", "I go on to the kitchen."),
            ("open door to hallway", "The way to the hallway leads through this door."),
            ("focus on apple tree", "The apple tree is what the task asks me to focus on."),
            ("mix bowl", "I go on with the task."),
        ] {
            assert_eq!(thought(action), expected);
        }
    }

    #[test]
    fn flaws_depend_on_the_seed_alone() {
        let script: Vec<String> = (0..50).map(|n| format!("step {n}")).collect();
        let spoiled = |seed| Flaws::MANY.spoil(&script, Seed::new(seed));
        assert_eq!(spoiled(1), spoiled(1));
        assert_ne!(spoiled(1), spoiled(2));
        // A script with an odd step held back at its end loses nothing.
        let swap = Flaws { swap: 0.5, ..Flaws::NONE };
        for seed in 0..20 {
            let mut found = swap.spoil(&script, Seed::new(seed));
            found.sort_by_key(|action| action[5..].parse::<u32>().unwrap());
            assert_eq!(found, script);
        }
    }
}
