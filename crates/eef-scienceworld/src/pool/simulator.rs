//! One simulator, wherever it lives and however often its worker dies.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Failure, Place, Seat, WorkerPool};
use crate::error::ScienceWorldError;
use crate::protocol::{Answer, SeatCall, State};

/// What determines an episode's start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Game {
    /// The task's name, such as `find-plant`.
    pub task: String,
    /// Which of its variations, from 0.
    pub variation: u32,
    /// The simplifications, as the simulator reads them: names with commas between, or nothing.
    pub simplification: String,
}

impl std::fmt::Display for Game {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} variation {}", self.task, self.variation)?;
        if !self.simplification.is_empty() {
            write!(f, " ({})", self.simplification)?;
        }
        Ok(())
    }
}

/// An episode so far: what was done, and what the simulator showed. It can be played again.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// What was started.
    pub game: Game,
    /// The task's description and what is seen at the start; `None` until it has been loaded.
    pub opening: Option<(String, State)>,
    /// Actions and what came of each.
    pub steps: Vec<(String, State)>,
}

impl Timeline {
    /// An episode that has not been loaded.
    pub fn new(game: Game) -> Self {
        Self { game, opening: None, steps: Vec::new() }
    }
}

/// A simulator of a pool. If its worker dies or hangs, another takes over: the episode is loaded
/// and played again there, and every observation compared with what was shown before.
#[derive(Debug)]
pub struct Simulator {
    pool: WorkerPool,
    /// Declared before the place, so that the seat is free when the place is.
    seat: Option<Seat>,
    place: Option<Place>,
    timeline: Option<Timeline>,
    /// How many of the timeline's steps the seat has executed since it loaded the episode; `None`
    /// where it has not, or has been asked something that changes the course.
    n_played: Option<usize>,
}

impl Simulator {
    pub(super) fn new(pool: WorkerPool) -> Self {
        Self { pool, seat: None, place: None, timeline: None, n_played: None }
    }

    /// Starts an episode; the task's description and what is seen at first.
    ///
    /// # Errors
    /// [`ScienceWorldError::Refused`] for a task, variation or simplification that the simulator
    /// does not know; failures of the workers.
    pub fn load(&mut self, game: Game) -> Result<&(String, State), ScienceWorldError> {
        self.resume(Timeline::new(game));
        self.perform("load", None)?;
        let timeline = self.timeline.as_ref();
        timeline.and_then(|timeline| timeline.opening.as_ref()).ok_or(ScienceWorldError::NotLoaded)
    }

    /// Takes an episode up where its timeline ends. Nothing is played until something is asked.
    pub fn resume(&mut self, timeline: Timeline) {
        self.n_played = None;
        self.timeline = Some(timeline);
    }

    /// As [`Simulator::resume`], where the timeline may be this simulator's own with further steps:
    /// then only those are played.
    pub(crate) fn catch_up(&mut self, timeline: &Timeline) {
        let is_ours = self.timeline.as_ref().is_some_and(|ours| {
            ours.game == timeline.game
                && ours.opening == timeline.opening
                && timeline.steps.starts_with(&ours.steps)
        });
        match &mut self.timeline {
            Some(ours) if is_ours => {
                let new = &timeline.steps[ours.steps.len()..];
                ours.steps.extend_from_slice(new);
            }
            _ => self.resume(timeline.clone()),
        }
    }

    /// Executes an action.
    ///
    /// # Errors
    /// [`ScienceWorldError::Refused`] where the simulator throws an exception, failures of the
    /// workers, [`ScienceWorldError::NotLoaded`].
    pub fn step(&mut self, action: &str) -> Result<&State, ScienceWorldError> {
        let call = SeatCall::Step { action: action.to_owned() };
        let Answer::Stepped(state) = self.perform("step", Some(&call))? else {
            return Err(unexpected("step"));
        };
        let timeline = self.timeline.as_mut().ok_or(ScienceWorldError::NotLoaded)?;
        timeline.steps.push((action.to_owned(), state));
        self.n_played = self.n_played.map(|n_played| n_played + 1);
        timeline.steps.last().map(|(_, state)| state).ok_or(ScienceWorldError::NotLoaded)
    }

    /// The episode so far.
    pub fn timeline(&self) -> Option<&Timeline> {
        self.timeline.as_ref()
    }

    /// What the agent carries; no move, and nothing changes.
    ///
    /// # Errors
    /// As [`Simulator::step`].
    pub fn inventory(&mut self) -> Result<String, ScienceWorldError> {
        self.text("inventory", &SeatCall::Inventory)
    }

    /// The task's subgoals, and which of them are met.
    ///
    /// # Errors
    /// As [`Simulator::step`].
    pub fn goal_progress(&mut self) -> Result<String, ScienceWorldError> {
        self.text("goal progress", &SeatCall::GoalProgress)
    }

    /// Every action that does something here, sorted.
    ///
    /// The simulator draws random numbers for the answer, so that the episode would go on
    /// otherwise; before the next step it is therefore loaded and played again.
    ///
    /// # Errors
    /// As [`Simulator::step`].
    pub fn valid_actions(&mut self) -> Result<Vec<String>, ScienceWorldError> {
        let answer = self.perform("valid actions", Some(&SeatCall::ValidActions));
        self.n_played = None;
        match answer? {
            Answer::Texts(actions) => Ok(actions),
            _ => Err(unexpected("valid actions")),
        }
    }

    /// The simulator's own solution of an episode, made for it when it is loaded (seconds, for
    /// some tasks). The episode that was under way is forgotten.
    ///
    /// # Errors
    /// As [`Simulator::load`].
    pub fn gold_actions(&mut self, game: Game) -> Result<Vec<String>, ScienceWorldError> {
        self.timeline = None;
        self.n_played = None;
        let Game { task, variation, simplification } = game;
        let load = SeatCall::Load { task, variation, simplification, gold: true };
        self.repeat("gold path", |simulator, deadline| {
            match simulator.ask(load.clone(), deadline)? {
                Answer::Loaded { .. } => match simulator.ask(SeatCall::GoldActions, deadline)? {
                    Answer::Texts(actions) => Ok(actions),
                    _ => Err(unexpected("gold path").into()),
                },
                Answer::Refused { message } => Err(refused("gold path", message).into()),
                _ => Err(unexpected("gold path").into()),
            }
        })
    }

    /// The names of all tasks and how many variations each has, as the jar says.
    ///
    /// # Errors
    /// Failures of the workers.
    pub fn tasks(&mut self) -> Result<Vec<(String, u32)>, ScienceWorldError> {
        self.n_played = None;
        self.repeat("tasks", |simulator, deadline| {
            match simulator.ask(SeatCall::Tasks, deadline)? {
                Answer::Tasks(tasks) => Ok(tasks),
                _ => Err(unexpected("tasks").into()),
            }
        })
    }

    /// The official splits of the loaded task, as the jar says: variations for training,
    /// development and test.
    ///
    /// # Errors
    /// As [`Simulator::step`].
    pub fn splits(&mut self) -> Result<[Vec<u32>; 3], ScienceWorldError> {
        match self.perform("splits", Some(&SeatCall::Splits))? {
            Answer::Splits(splits) => Ok(splits),
            _ => Err(unexpected("splits")),
        }
    }

    fn text(&mut self, what: &'static str, call: &SeatCall) -> Result<String, ScienceWorldError> {
        match self.perform(what, Some(call))? {
            Answer::Text(text) => Ok(text),
            _ => Err(unexpected(what)),
        }
    }

    /// Brings the seat to where the timeline ends and makes a call there.
    fn perform(
        &mut self,
        what: &'static str,
        call: Option<&SeatCall>,
    ) -> Result<Answer, ScienceWorldError> {
        self.repeat(what, |simulator, deadline| {
            simulator.play(deadline)?;
            let Some(call) = call else { return Ok(Answer::Texts(Vec::new())) };
            match simulator.ask(call.clone(), deadline)? {
                Answer::Refused { message } => Err(refused(what, message).into()),
                answer => Ok(answer),
            }
        })
    }

    /// Tries something in one worker after another.
    fn repeat<T>(
        &mut self,
        what: &str,
        mut attempt: impl FnMut(&mut Self, Instant) -> Result<T, Failure>,
    ) -> Result<T, ScienceWorldError> {
        let options = self.pool.options().clone();
        let deadline = Instant::now() + options.deadline;
        let call = match &self.timeline {
            Some(timeline) => format!("{what} ({})", timeline.game),
            None => what.to_owned(),
        };
        let mut last = String::new();
        for number in 1..=options.n_attempts {
            // Its worker died of something else meanwhile, which is no attempt of ours.
            if self.seat.as_ref().is_some_and(|seat| !seat.is_alive()) {
                self.seat = None;
                self.n_played = None;
            }
            match attempt(self, deadline) {
                Ok(found) => return Ok(found),
                Err(Failure::Final(error)) => {
                    // After an exception nobody knows what state the simulator is in.
                    self.n_played = None;
                    return Err(error);
                }
                Err(Failure::Again(message)) => last = message,
            }
            tracing::warn!(call, number, message = last, "a worker failed");
            self.seat = None;
            self.n_played = None;
            if Instant::now() >= deadline {
                let seconds = options.deadline.as_secs();
                return Err(ScienceWorldError::Deadline { call, seconds, message: last });
            }
        }
        Err(ScienceWorldError::Worker { call, n_attempts: options.n_attempts, message: last })
    }

    /// Loads the episode and plays its steps, as far as the seat has not done so.
    fn play(&mut self, deadline: Instant) -> Result<(), Failure> {
        let mut timeline = self.timeline.take().ok_or(ScienceWorldError::NotLoaded)?;
        let played = self.play_timeline(&mut timeline, deadline);
        self.timeline = Some(timeline);
        played
    }

    fn play_timeline(&mut self, timeline: &mut Timeline, deadline: Instant) -> Result<(), Failure> {
        let game = &timeline.game;
        if self.seat.is_none() || self.n_played.is_none() {
            let load = SeatCall::Load {
                task: game.task.clone(),
                variation: game.variation,
                simplification: game.simplification.clone(),
                gold: false,
            };
            let found = match self.ask(load, deadline)? {
                Answer::Loaded { description, state } => (description, state),
                Answer::Refused { message } => {
                    return Err(refused(&format!("load ({game})"), message).into());
                }
                _ => return Err(unexpected("load").into()),
            };
            match &timeline.opening {
                Some(opening) if *opening != found => {
                    let [expected, found] =
                        [opening, &found].map(|(text, state)| format!("{text} {}", show(state)));
                    return Err(diverged(game, "the start".to_owned(), expected, found));
                }
                Some(_) => {}
                None => timeline.opening = Some(found),
            }
            self.n_played = Some(0);
        }
        let n_played = self.n_played.unwrap_or(0);
        for (index, (action, expected)) in timeline.steps.iter().enumerate().skip(n_played) {
            let call = SeatCall::Step { action: action.clone() };
            match self.ask(call, deadline)? {
                Answer::Stepped(found) if found == *expected => self.n_played = Some(index + 1),
                Answer::Stepped(found) => {
                    let at = format!("action {} ({action})", index + 1);
                    return Err(diverged(&timeline.game, at, show(expected), show(&found)));
                }
                Answer::Refused { message } => return Err(refused("step", message).into()),
                _ => return Err(unexpected("step").into()),
            }
        }
        Ok(())
    }

    /// Makes a call of the seat, which is taken if there is none.
    fn ask(&mut self, call: SeatCall, deadline: Instant) -> Result<Answer, Failure> {
        let place = match self.place.take() {
            Some(place) => place,
            None => self.pool.place()?,
        };
        let place = self.place.insert(place);
        let seat = match self.seat.take() {
            Some(seat) => seat,
            None => place.seat(deadline.saturating_duration_since(Instant::now()))?,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let options = self.pool.options();
        let timeout = match call {
            // A simulator's first loads its classes, which on a busy machine takes seconds.
            // Some solutions take minutes on a busy machine.
            SeatCall::Load { gold: true, .. } => options.deadline,
            SeatCall::Load { .. } => options.call_timeout.max(options.start_timeout),
            _ => options.call_timeout,
        };
        let timeout = timeout.min(left);
        self.seat.insert(seat).ask(call, timeout)
    }
}

/// A state in one line, with everything that is compared.
fn show(state: &State) -> String {
    let State { observation, score, completed, moves } = state;
    format!("{observation:?} (score {score}, completed {completed}, moves {moves})")
}

fn diverged(game: &Game, at: String, expected: String, found: String) -> Failure {
    let game = game.to_string();
    ScienceWorldError::Diverged { game, at, expected, found }.into()
}

fn refused(call: &str, message: String) -> ScienceWorldError {
    // The simulator's own texts may have several lines.
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    ScienceWorldError::Refused { call: call.to_owned(), message }
}

fn unexpected(call: &str) -> ScienceWorldError {
    refused(call, "the worker answered something else: build it from the same sources".to_owned())
}
