//! Episodes that other programs recorded, played again.
//!
//! Recordings were made with other versions of the simulator, and by default it does not repeat
//! itself. So an answer may be the same, the same in another order, or another one; an episode is
//! played to its end in any case, and where it first went otherwise is told.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::str::FromStr;

use eef_core::{
    Author, Env as _, EnvError, EpisodeEnd, ExpertName, Origin, Outcome, Reward, Step, TaskId,
    Trajectory, TrajectoryId,
};

use crate::environment::ScienceWorld;
use crate::error::ScienceWorldError;

/// How the simulator answers what it does not understand.
const NOT_UNDERSTOOD: &str = "No known action matches that input.";

/// What is brought into the words of version 1.2.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalizer {
    /// Nothing.
    Off,
    /// What AgentTraj says otherwise, whose episodes were recorded before the simulator's first
    /// release: `green house` for greenhouse, two misspelt foods, and a `terminal 1` of things that
    /// have none any more. Without it about a third of its episodes go otherwise.
    #[default]
    AgentTraj,
}

impl Normalizer {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Off, Self::AgentTraj];

    /// The name used on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::AgentTraj => "agent-traj",
        }
    }

    /// A text as today's simulator spells it.
    pub fn spell(self, text: &str) -> Cow<'_, str> {
        const SPELLINGS: [(&str, &str); 5] = [
            ("green house", "greenhouse"),
            ("Green house", "Greenhouse"),
            ("Green House", "Greenhouse"),
            ("cachew", "cashew"),
            ("sandwhich", "sandwich"),
        ];
        let mut spelt = Cow::Borrowed(text);
        if self == Self::AgentTraj {
            for (old, new) in SPELLINGS {
                if spelt.contains(old) {
                    spelt = Cow::Owned(spelt.replace(old, new));
                }
            }
        }
        spelt
    }

    /// Another way to say an action that the simulator does not understand: what is not a wire is
    /// connected without naming its terminal.
    pub fn rephrase(self, action: &str) -> Option<String> {
        let (thing, other) = action.strip_prefix("connect ")?.split_once(" terminal 1 to ")?;
        let is_rephrased = self == Self::AgentTraj && !thing.contains("wire");
        is_rephrased.then(|| format!("connect {thing} to {other}"))
    }
}

impl FromStr for Normalizer {
    type Err = ScienceWorldError;

    fn from_str(text: &str) -> Result<Self, ScienceWorldError> {
        Self::ALL.into_iter().find(|normalizer| normalizer.name() == text).ok_or_else(|| {
            ScienceWorldError::Option {
                option: "normalize",
                found: text.to_owned(),
                expected: Self::ALL.map(Self::name).join(", "),
            }
        })
    }
}

/// A recorded reply, in the form from which the environment reads actions, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedTurn {
    /// What was said.
    pub reply: String,
    /// What was shown then; a record may end without.
    pub answer: Option<String>,
}

/// How two observations agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agreement {
    /// They are the same but for white space.
    Same,
    /// They have the same words in another order.
    Reordered,
    /// They differ.
    Different,
}

impl Agreement {
    /// Compares a recorded observation with what is shown now.
    pub fn of(recorded: &str, shown: &str) -> Self {
        let words = |text: &str| -> Vec<String> {
            let is_between = |c: char| !c.is_alphanumeric();
            text.split(is_between).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let is_same = recorded.split_whitespace().eq(shown.split_whitespace());
        if is_same {
            return Self::Same;
        }
        let (mut recorded, mut shown) = (words(recorded), words(shown));
        recorded.sort_unstable();
        shown.sort_unstable();
        if recorded == shown { Self::Reordered } else { Self::Different }
    }
}

/// Where a record and the simulator part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// What is shown differs.
    Answer {
        /// After which turn, from 0; `None` at the start of the episode.
        turn: Option<usize>,
        /// What the record shows.
        recorded: String,
        /// What the simulator shows.
        shown: String,
    },
    /// The record goes on with this turn, from 0, where the episode has ended.
    Ended(usize),
    /// The record goes on with this turn, from 0, where the environment allows no more.
    TurnLimit(usize),
}

/// A record played again.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// What happened now.
    pub trajectory: Trajectory,
    /// Answers that are the same in another order.
    pub n_reordered: usize,
    /// Replies that were spelt otherwise.
    pub n_respelt: usize,
    /// Replies that were said in another way.
    pub n_rephrased: usize,
    /// The first answer that differs, or turn that the episode had no room for.
    pub divergence: Option<Divergence>,
}

/// Plays a recorded episode of a task again; `start` is the recorded first observation, after the
/// task's description. `None` where the record's description, `instruction`, is not the task's.
///
/// # Errors
/// [`EnvError`] where the task is unknown or the environment fails.
pub fn replay(
    world: &ScienceWorld,
    task: &TaskId,
    recorded: &Recorded<'_>,
    normalizer: Normalizer,
) -> Result<Option<Replayed>, EnvError> {
    let mut rephrased = BTreeSet::new();
    // Each round settles one reply that is to be said in another way.
    loop {
        match attempt(world, task, recorded, normalizer, &rephrased)? {
            Attempt::OtherTask => return Ok(None),
            Attempt::NotUnderstood(turn) => rephrased.insert(turn),
            Attempt::Played(replayed) => return Ok(Some(*replayed)),
        };
    }
}

/// A record of an episode.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// Identifies the trajectory that comes of it.
    pub id: TrajectoryId,
    /// Whose it is.
    pub expert: &'a ExpertName,
    /// The message that states the task and shows where the episode starts.
    pub opening: &'a str,
    /// What was said and shown.
    pub turns: &'a [RecordedTurn],
}

enum Attempt {
    OtherTask,
    NotUnderstood(usize),
    Played(Box<Replayed>),
}

fn attempt(
    world: &ScienceWorld,
    task: &TaskId,
    recorded: &Recorded<'_>,
    normalizer: Normalizer,
    rephrased: &BTreeSet<usize>,
) -> Result<Attempt, EnvError> {
    let mut episode = world.episode();
    let opening = episode.reset(task)?;
    let told = normalizer.spell(recorded.opening);
    let Some(start) = after(&told, &opening.instruction) else { return Ok(Attempt::OtherTask) };
    let shown = opening.observation.as_str();
    let mut divergence = (Agreement::of(&start, shown) == Agreement::Different)
        .then(|| Divergence::Answer { turn: None, recorded: start, shown: shown.to_owned() });
    let (mut n_respelt, mut n_reordered) = (0, 0);
    let mut steps: Vec<Step> = Vec::with_capacity(recorded.turns.len());
    let mut outcome = Outcome { end: EpisodeEnd::TurnLimit, reward: Reward::ZERO };
    for (turn, RecordedTurn { reply: said, answer }) in recorded.turns.iter().enumerate() {
        let no_room = if outcome.end == EpisodeEnd::Terminated {
            Some(Divergence::Ended(turn))
        } else {
            (turn >= world.options().max_turns).then_some(Divergence::TurnLimit(turn))
        };
        if no_room.is_some() {
            divergence = divergence.or(no_room);
            break;
        }
        let mut reply = normalizer.spell(said).into_owned();
        n_respelt += usize::from(reply != *said);
        let action = (world.options().read_action)(&reply).map(str::to_owned);
        let other = action.as_deref().and_then(|action| normalizer.rephrase(action));
        if let (Some(action), Some(other)) = (&action, &other)
            && rephrased.contains(&turn)
            && let Some(at) = reply.rfind(action.as_str())
        {
            reply.replace_range(at..at + action.len(), other);
        }
        let found = episode.step(&reply)?;
        let shown = found.observation.as_str();
        let answer = answer.as_deref().map(|answer| normalizer.spell(answer));
        let was_understood = |answer: &str| !answer.contains(NOT_UNDERSTOOD);
        if other.is_some()
            && !rephrased.contains(&turn)
            && shown.contains(NOT_UNDERSTOOD)
            && answer.as_deref().is_none_or(was_understood)
        {
            return Ok(Attempt::NotUnderstood(turn));
        }
        match answer.map(|answer| (Agreement::of(&answer, shown), answer)) {
            Some((Agreement::Different, answer)) => {
                let (recorded, shown) = (answer.into_owned(), shown.to_owned());
                let turn = Some(turn);
                divergence = divergence.or(Some(Divergence::Answer { turn, recorded, shown }));
            }
            Some((Agreement::Reordered, _)) => n_reordered += 1,
            Some((Agreement::Same, _)) | None => {}
        }
        outcome.reward = found.reward;
        if found.terminated {
            outcome.end = EpisodeEnd::Terminated;
        }
        steps.push(Step {
            reply,
            action: found.action,
            observation: found.observation,
            author: Author::Expert(recorded.expert.clone()),
            sampled: None,
        });
    }
    let trajectory = Trajectory {
        id: recorded.id,
        task: task.clone(),
        instruction: opening.instruction,
        first_observation: opening.observation,
        steps,
        origin: Origin::Expert { name: recorded.expert.clone() },
        outcome,
    };
    let n_rephrased = rephrased.len();
    let replayed = Replayed { trajectory, n_reordered, n_respelt, n_rephrased, divergence };
    Ok(Attempt::Played(Box::new(replayed)))
}

/// What follows a task's description in a message, white space aside; `None` where it is not in it.
fn after(message: &str, instruction: &str) -> Option<String> {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (message, instruction) = (words(message), words(instruction));
    // Programs differ in how they head it.
    let asks = instruction.strip_prefix("Task Description:").unwrap_or(&instruction).trim();
    let (_, rest) = message.split_once(asks).filter(|_| !asks.is_empty())?;
    Some(rest.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_words_become_todays() {
        let normalizer = Normalizer::AgentTraj;
        assert_eq!(normalizer.spell("go to green house"), "go to greenhouse");
        assert_eq!(normalizer.spell("eat sandwhich"), "eat sandwich");
        assert!(matches!(normalizer.spell("go to kitchen"), Cow::Borrowed(_)));
        assert_eq!(Normalizer::Off.spell("go to green house"), "go to green house");
        let book = "connect book terminal 1 to red wire terminal 2";
        let rephrased = "connect book to red wire terminal 2";
        assert_eq!(normalizer.rephrase(book).as_deref(), Some(rephrased));
        assert_eq!(Normalizer::Off.rephrase(book), None);
        let wire = "connect red wire terminal 1 to battery anode";
        for action in [wire, "connect book terminal 2 to x", "disconnect book terminal 1 to x"] {
            assert_eq!(normalizer.rephrase(action), None, "{action}");
        }
        for normalizer in Normalizer::ALL {
            assert_eq!(normalizer.name().parse::<Normalizer>().unwrap(), normalizer);
        }
        let error = "agenttraj".parse::<Normalizer>().unwrap_err().to_string();
        assert!(error.contains("off, agent-traj"), "{error}");
    }

    #[test]
    fn listings_may_be_in_another_order() {
        let room = "you see:\n\ta bowl (containing an apple, a pear)\n\tan axe";
        let same = "you see: a bowl (containing an apple, a pear)  an axe";
        let reordered = "you see:\n\tan axe\n\ta bowl (containing a pear, an apple)";
        assert_eq!(Agreement::of(room, same), Agreement::Same);
        assert_eq!(Agreement::of(room, reordered), Agreement::Reordered);
        assert_eq!(Agreement::of(room, &room.replace("pear", "plum")), Agreement::Different);
        assert_eq!(Agreement::of(room, &format!("{room}\n\tan axe")), Agreement::Different);
    }

    #[test]
    fn what_follows_the_task_is_the_start() {
        let instruction = "Task Description:\nYour task is to boil soap.";
        let message = "Your task is  to boil soap.\nThis room";
        assert_eq!(after(message, instruction).as_deref(), Some("This room"));
        assert_eq!(after(message, "Your task is to boil tin."), None);
        assert_eq!(after("", ""), None);
    }
}
