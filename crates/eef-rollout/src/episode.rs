//! One episode: an environment, a job and what has happened so far.

use eef_core::{
    Author, ConversationId, Env, EnvError, EpisodeEnd, IncidentKind, Message, Observation, Opening,
    Origin, Outcome, Parent, Reply, ReplyEnd, Reward, Step, Trajectory, Turn,
};

use crate::job::{Job, Start};

/// The text of the first user message, from what an episode starts with.
pub(crate) type OpeningPrompt<'a> = &'a (dyn Fn(&Opening) -> String + Sync);

/// What an episode does next.
#[derive(Debug)]
pub(crate) enum Status {
    /// It has these messages for the policy.
    Ready(Vec<Message>),
    /// It waits for the policy's reply.
    Waiting,
    /// It is over.
    Ended(EpisodeEnd),
    /// It gave no trajectory.
    Failed(IncidentKind),
    /// The environment does not know the task: a mistake in the job.
    UnknownTask(EnvError),
}

pub(crate) struct Episode<'j> {
    job: &'j Job,
    env: Box<dyn Env>,
    max_turns: usize,
    opening: Option<Opening>,
    steps: Vec<Step>,
    reward: Reward,
    pub(crate) status: Status,
}

impl<'j> Episode<'j> {
    pub(crate) fn new(job: &'j Job, env: Box<dyn Env>, max_turns: usize) -> Self {
        Self {
            job,
            env,
            max_turns,
            opening: None,
            steps: Vec::new(),
            reward: Reward::ZERO,
            status: Status::Waiting,
        }
    }

    /// Resets the environment and replays the prefix, comparing every observation.
    pub(crate) fn begin(&mut self, prompt: OpeningPrompt<'_>) {
        self.status = match self.replay(prompt) {
            Ok(messages) if self.steps.len() >= self.max_turns => {
                drop(messages);
                Status::Ended(EpisodeEnd::TurnLimit)
            }
            Ok(messages) => Status::Ready(messages),
            Err(status) => status,
        };
    }

    fn replay(&mut self, prompt: OpeningPrompt<'_>) -> Result<Vec<Message>, Status> {
        let opening = self.env.reset(&self.job.task).map_err(failed)?;
        let mut messages = vec![Message::user(prompt(&opening))];
        if let Start::Replay { expert, n_actions } = &self.job.start {
            same(0, &expert.instruction, &opening.instruction)?;
            same(0, expert.first_observation.as_str(), opening.observation.as_str())?;
            for (index, recorded) in expert.steps.iter().take(*n_actions).enumerate() {
                let found = self.env.step(&recorded.reply).map_err(failed)?;
                same(index, recorded.action.as_str(), found.action.as_str())?;
                same(index, recorded.observation.as_str(), found.observation.as_str())?;
                if found.terminated {
                    let ended = format!("{} (and the episode ended)", found.observation);
                    same(index, recorded.observation.as_str(), &ended)?;
                }
                self.reward = found.reward;
                messages.push(Message::assistant(&recorded.reply, recorded.sampled.clone()));
                messages.push(Message::user(found.observation.as_str()));
                self.steps.push(recorded.clone());
            }
        }
        self.opening = Some(opening);
        Ok(messages)
    }

    /// The turn that waits to be sent, if there is one.
    pub(crate) fn take_turn(&mut self, conversation: ConversationId) -> Option<Turn> {
        if !matches!(self.status, Status::Ready(_)) {
            return None;
        }
        let Status::Ready(messages) = std::mem::replace(&mut self.status, Status::Waiting) else {
            return None;
        };
        let seed = self.job.seed.derive("turn", self.steps.len() as u64);
        Some(Turn { conversation, messages, sampling: self.job.sampling, seed })
    }

    /// Executes a reply.
    pub(crate) fn apply(&mut self, reply: Reply, author: &Author) {
        if reply.end == ReplyEnd::ContextFull {
            self.status = Status::Ended(EpisodeEnd::ContextFull);
            return;
        }
        let transition = match self.env.step(&reply.text) {
            Ok(transition) => transition,
            Err(error) => {
                self.status = failed(error);
                return;
            }
        };
        self.reward = transition.reward;
        self.status = if transition.terminated {
            Status::Ended(EpisodeEnd::Terminated)
        } else if self.steps.len() + 1 >= self.max_turns {
            Status::Ended(EpisodeEnd::TurnLimit)
        } else {
            Status::Ready(vec![Message::user(transition.observation.as_str())])
        };
        self.steps.push(Step {
            reply: reply.text,
            action: transition.action,
            observation: transition.observation,
            author: author.clone(),
            sampled: reply.sampled,
        });
    }

    pub(crate) fn is_over(&self) -> bool {
        !matches!(self.status, Status::Ready(_) | Status::Waiting)
    }

    pub(crate) fn has_won(&self) -> bool {
        matches!(self.status, Status::Ended(_)) && self.reward.is_positive()
    }

    /// The trajectory, or why there is none; and the environment, to be used again if it is sound.
    pub(crate) fn finish(self, author: &Author) -> (Finished, Option<Box<dyn Env>>) {
        match (self.status, self.opening) {
            (Status::Ended(end), Some(opening)) => {
                let trajectory = Trajectory {
                    id: self.job.id,
                    task: self.job.task.clone(),
                    instruction: opening.instruction,
                    first_observation: opening.observation,
                    steps: self.steps,
                    origin: origin(self.job, author),
                    outcome: Outcome { end, reward: self.reward },
                };
                (Finished::Trajectory(trajectory), Some(self.env))
            }
            (Status::Failed(kind @ IncidentKind::Diverged { .. }), _) => {
                (Finished::Incident(kind), Some(self.env))
            }
            (Status::Failed(kind), _) => (Finished::Incident(kind), None),
            (Status::UnknownTask(error), _) => (Finished::UnknownTask(error), None),
            _ => {
                let message = "the episode did not end".to_owned();
                (Finished::Incident(IncidentKind::EnvironmentError { message }), None)
            }
        }
    }
}

/// What an episode came to.
pub(crate) enum Finished {
    Trajectory(Trajectory),
    Incident(IncidentKind),
    UnknownTask(EnvError),
}

fn origin(job: &Job, author: &Author) -> Origin {
    let parent = match &job.start {
        Start::Initial => None,
        Start::Replay { expert, n_actions } => {
            Some(Parent { trajectory: expert.id, n_actions: *n_actions })
        }
    };
    match author {
        Author::Expert(name) => Origin::Expert { name: name.clone() },
        Author::Policy => Origin::Rollout { round: job.round, sample: job.sample, parent },
    }
}

fn failed(error: EnvError) -> Status {
    match error {
        EnvError::UnknownTask { .. } => Status::UnknownTask(error),
        other => Status::Failed(IncidentKind::EnvironmentError { message: other.to_string() }),
    }
}

fn same(at_action: usize, expected: &str, found: &str) -> Result<(), Status> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (Observation::new(expected), Observation::new(found));
    Err(Status::Failed(IncidentKind::Diverged { at_action, expected, found }))
}
