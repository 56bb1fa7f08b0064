//! Where an episode's answers come from: a cassette first, then a simulator.

use crate::cassette::{Cassette, NodeId};
use crate::error::ScienceWorldError;
use crate::pool::{Game, Simulator, Timeline, WorkerPool};
use crate::protocol::State;

/// Who answers.
#[derive(Clone, Debug)]
pub(crate) enum Backend {
    /// Workers.
    Pool(WorkerPool),
    /// A cassette, and workers for what it lacks.
    Cassette(Cassette, Option<WorkerPool>),
}

impl Backend {
    /// A simulator of its own, or an error that says what was to be asked of it.
    pub(crate) fn simulator(
        &self,
        what: impl FnOnce() -> String,
    ) -> Result<Simulator, ScienceWorldError> {
        match self {
            Self::Pool(pool) => Ok(pool.simulator()),
            Self::Cassette(cassette, Some(pool)) if cassette.allows_simulator() => {
                Ok(pool.simulator())
            }
            Self::Cassette(cassette, _) => Err(cassette.not_recorded(what())),
        }
    }

    fn cassette(&self) -> Option<&Cassette> {
        match self {
            Self::Pool(_) => None,
            Self::Cassette(cassette, _) => Some(cassette),
        }
    }
}

/// Plays one episode at a time.
#[derive(Debug)]
pub(crate) struct Player {
    backend: Backend,
    timeline: Option<Timeline>,
    /// Where the episode is in the cassette, while it is there.
    node: Option<NodeId>,
    /// Made when the cassette first lacks something; it then plays what it has missed.
    simulator: Option<Simulator>,
}

impl Player {
    pub(crate) fn new(backend: Backend) -> Self {
        Self { backend, timeline: None, node: None, simulator: None }
    }

    /// Starts an episode; the task's description and what is seen at first.
    pub(crate) fn load(&mut self, game: Game) -> Result<(String, State), ScienceWorldError> {
        self.timeline = None;
        self.node = None;
        let recorded = self.backend.cassette().and_then(|cassette| cassette.start(&game));
        let opening = if let Some((description, state, node)) = recorded {
            self.node = Some(node);
            (description, state)
        } else {
            let simulator = self.simulator(|| format!("the start of {game}"))?;
            let opening = simulator.load(game.clone())?.clone();
            if let Some(cassette) = self.backend.cassette() {
                self.node = cassette.record_start(&game, &opening.0, &opening.1)?;
            }
            opening
        };
        let steps = Vec::new();
        self.timeline = Some(Timeline { game, opening: Some(opening.clone()), steps });
        Ok(opening)
    }

    /// Executes an action.
    pub(crate) fn step(&mut self, action: &str) -> Result<State, ScienceWorldError> {
        let mut timeline = self.timeline.take().ok_or(ScienceWorldError::NotLoaded)?;
        let stepped = self.step_from(&timeline, action);
        if let Ok(state) = &stepped {
            timeline.steps.push((action.to_owned(), state.clone()));
        }
        self.timeline = Some(timeline);
        stepped
    }

    fn step_from(&mut self, timeline: &Timeline, action: &str) -> Result<State, ScienceWorldError> {
        let cassette = self.backend.cassette().cloned();
        if let (Some(cassette), Some(node)) = (&cassette, self.node)
            && let Some((state, node)) = cassette.step(node, action)
        {
            self.node = Some(node);
            return Ok(state);
        }
        let n_steps = timeline.steps.len();
        let game = &timeline.game;
        let simulator =
            self.simulator(|| format!("`{action}` after {n_steps} actions of {game}"))?;
        simulator.catch_up(timeline);
        let state = simulator.step(action)?.clone();
        if let (Some(cassette), Some(node)) = (&cassette, self.node) {
            self.node = cassette.record_step(node, action, &state)?;
        }
        Ok(state)
    }

    pub(crate) fn timeline(&self) -> Option<&Timeline> {
        self.timeline.as_ref()
    }

    fn simulator(
        &mut self,
        what: impl FnOnce() -> String,
    ) -> Result<&mut Simulator, ScienceWorldError> {
        let simulator = match self.simulator.take() {
            Some(simulator) => simulator,
            None => self.backend.simulator(what)?,
        };
        Ok(self.simulator.insert(simulator))
    }
}
