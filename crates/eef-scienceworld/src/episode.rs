//! One episode, as AgentGym and the paper play it.

use std::sync::Arc;

use eef_core::{Action, Env, EnvError, Observation, Opening, Reward, TaskId, Transition};

use crate::backend::Player;
use crate::environment::Shared;
use crate::error::ScienceWorldError;
use crate::pool::Timeline;
use crate::protocol::State;

/// What a reply without an action is answered with, before what was seen last. AgentGym's text.
const INVALID_ACTION: &str = "Invalid Action.\n\n";

/// One episode at a time of a [`ScienceWorld`](crate::ScienceWorld).
#[derive(Debug)]
pub struct Episode {
    shared: Arc<Shared>,
    player: Player,
    last_observation: String,
    running: bool,
}

impl Episode {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let player = Player::new(shared.backend.clone());
        Self { shared, player, last_observation: String::new(), running: false }
    }

    /// The episode so far, as the simulator showed it; replies without an action are not in it.
    pub fn timeline(&self) -> Option<&Timeline> {
        self.player.timeline()
    }

    /// Every action that does something now; the episode goes on as if it had not been asked.
    ///
    /// # Errors
    /// Failures of the workers; [`ScienceWorldError::NotRecorded`] without a pool.
    pub fn valid_actions(&self) -> Result<Vec<String>, ScienceWorldError> {
        let timeline = self.player.timeline().ok_or(ScienceWorldError::NotLoaded)?.clone();
        let what = || format!("the valid actions of {}", timeline.game);
        let mut simulator = self.shared.backend.simulator(what)?;
        simulator.resume(timeline);
        simulator.valid_actions()
    }
}

/// Whether an episode ends in a state: completed, failed for good, or too long.
pub(crate) fn is_over(state: &State, max_moves: u32) -> bool {
    state.completed || state.score < 0.0 || state.moves > max_moves
}

impl Env for Episode {
    fn reset(&mut self, task: &TaskId) -> Result<Opening, EnvError> {
        self.running = false;
        let game = self.shared.game(task).ok_or_else(|| EnvError::UnknownTask {
            task: task.clone(),
            n_tasks: self.shared.n_tasks(task.split()),
        })?;
        let (instruction, state) = self.player.load(game).map_err(failed)?;
        self.last_observation.clone_from(&state.observation);
        self.running = true;
        Ok(Opening { instruction, observation: Observation::new(state.observation) })
    }

    fn step(&mut self, reply: &str) -> Result<Transition, EnvError> {
        if !self.running {
            return Err(EnvError::NotRunning);
        }
        let Some(action) = (self.shared.options.read_action)(reply) else {
            // The simulator is not told, and as the last turn it would earn nothing.
            return Ok(Transition {
                action: Action::new(reply.trim()),
                observation: Observation::new(format!("{INVALID_ACTION}{}", self.last_observation)),
                reward: Reward::ZERO,
                terminated: false,
            });
        };
        let stepped = self.player.step(action).map_err(failed);
        // What state a failed episode is in nobody knows.
        let state = stepped.inspect_err(|_| self.running = false)?;
        self.last_observation.clone_from(&state.observation);
        let terminated = is_over(&state, self.shared.options.max_moves);
        self.running = !terminated;
        Ok(Transition {
            action: Action::new(action),
            reward: reward(state.score),
            observation: Observation::new(state.observation),
            terminated,
        })
    }
}

/// The score in hundredths, as the simulator's Python interface rounds it: halves to the even.
pub fn score_in_hundredths(score: f64) -> i32 {
    (100.0 * score).round_ties_even() as i32
}

/// A score as a reward; one below 0 earns nothing.
fn reward(score: f64) -> Reward {
    let hundredths = score_in_hundredths(score).clamp(0, 100);
    Reward::new(f64::from(hundredths) / 100.0).unwrap_or(Reward::ZERO)
}

fn failed(error: ScienceWorldError) -> EnvError {
    EnvError::Failed { message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_become_rewards_of_whole_hundredths() {
        let found = [-1.0, 0.0, 1.0 / 60.0, 0.125, 0.135, 1.0].map(|score| reward(score).get());
        assert_eq!(found, [0.0, 0.0, 0.02, 0.12, 0.14, 1.0]);
        assert!(reward(1.0).is_positive());
        assert_eq!(score_in_hundredths(-1.0), -100);
    }
}
