//! A tiny environment and policy for tests of anything built on this crate.
//!
//! A [`Corridor`] has rooms `0..length`; the goal is one of them. `right` and `left` move, `take`
//! ends the episode and earns 1 in the goal's room, a part of it elsewhere.

use std::collections::BTreeMap;

use crate::{
    Action, ConversationId, Env, EnvError, Environment, Observation, Opening, Policy, PolicyError,
    Reply, ReplyEnd, Reward, Role, Split, TaskId, Transition, Turn,
};

/// The environment; task `i` has its goal in room `i % length`.
#[derive(Clone, Debug)]
pub struct Corridor {
    /// Number of rooms.
    pub length: u32,
    /// Number of tasks in every split.
    pub n_tasks: u32,
    /// Turns per episode.
    pub max_turns: usize,
}

impl Environment for Corridor {
    fn tasks(&self, split: Split) -> Vec<TaskId> {
        (0..self.n_tasks).map(|index| TaskId::new("corridor", split, index)).collect()
    }

    fn instance(&self) -> Result<Box<dyn Env>, EnvError> {
        Ok(Box::new(CorridorEnv { corridor: self.clone(), goal: 0, room: 0, running: false }))
    }

    fn max_turns(&self) -> usize {
        self.max_turns
    }
}

struct CorridorEnv {
    corridor: Corridor,
    goal: u32,
    room: u32,
    running: bool,
}

impl CorridorEnv {
    fn view(&self) -> Observation {
        Observation::new(format!("room {}", self.room))
    }
}

impl Env for CorridorEnv {
    fn reset(&mut self, task: &TaskId) -> Result<Opening, EnvError> {
        if task.index() >= self.corridor.n_tasks {
            let n_tasks = self.corridor.n_tasks as usize;
            return Err(EnvError::UnknownTask { task: task.clone(), n_tasks });
        }
        self.goal = task.index() % self.corridor.length;
        self.room = 0;
        self.running = true;
        Ok(Opening { instruction: format!("take room {}", self.goal), observation: self.view() })
    }

    fn step(&mut self, reply: &str) -> Result<Transition, EnvError> {
        if !self.running {
            return Err(EnvError::NotRunning);
        }
        let action = Action::new(reply.trim());
        let mut reward = Reward::ZERO;
        let observation = match action.as_str() {
            "right" => {
                self.room = (self.room + 1).min(self.corridor.length - 1);
                self.view()
            }
            "left" => {
                self.room = self.room.saturating_sub(1);
                self.view()
            }
            "take" => {
                self.running = false;
                let distance = f64::from(self.goal.abs_diff(self.room));
                let value = 1.0 - distance / f64::from(self.corridor.length);
                reward = Reward::new(value).unwrap_or(Reward::ZERO);
                Observation::new("taken")
            }
            _ => Observation::new("you can say right, left or take"),
        };
        Ok(Transition { action, observation, reward, terminated: !self.running })
    }
}

/// A policy that is a function of the conversation's texts so far (user texts and its own replies
/// in turn) and of the turn's seed.
pub struct FunctionPolicy<F> {
    answer: F,
    conversations: BTreeMap<ConversationId, Vec<String>>,
}

impl<F: FnMut(&[String], u64) -> String + Send> FunctionPolicy<F> {
    /// Wraps a function.
    pub fn new(answer: F) -> Self {
        Self { answer, conversations: BTreeMap::new() }
    }
}

impl<F: FnMut(&[String], u64) -> String + Send> Policy for FunctionPolicy<F> {
    fn step(&mut self, turns: Vec<Turn>) -> Result<Vec<Reply>, PolicyError> {
        let mut replies = Vec::with_capacity(turns.len());
        for turn in turns {
            if turn.messages.last().is_none_or(|message| message.role != Role::User) {
                return Err(PolicyError::NothingToAnswer { conversation: turn.conversation });
            }
            let history = self.conversations.entry(turn.conversation).or_default();
            history.extend(turn.messages.into_iter().map(|message| message.text));
            let text = (self.answer)(history, turn.seed.get());
            history.push(text.clone());
            replies.push(Reply {
                conversation: turn.conversation,
                text,
                sampled: None,
                end: ReplyEnd::Stop,
            });
        }
        replies.sort_by_key(|reply| reply.conversation);
        Ok(replies)
    }

    fn close(&mut self, conversation: ConversationId) {
        self.conversations.remove(&conversation);
    }

    fn reset(&mut self) {
        self.conversations.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goal_room_earns_everything_and_others_a_part() {
        let corridor = Corridor { length: 4, n_tasks: 4, max_turns: 8 };
        let mut env = corridor.instance().unwrap();
        env.reset(&TaskId::new("corridor", Split::Train, 1)).unwrap();
        assert!(!env.step("right").unwrap().terminated);
        let end = env.step("take").unwrap();
        assert!(end.terminated && end.reward.is_positive());
        env.reset(&TaskId::new("corridor", Split::Train, 1)).unwrap();
        assert!(!env.step("take").unwrap().reward.is_positive());
        assert_eq!(env.step("take"), Err(EnvError::NotRunning));
    }
}
