//! Versioned records of trajectories: the form of JSONL files and of stored bodies.
//!
//! The domain's types may change; a record of a published version may not. A new version is a new
//! struct beside the old one, which stays readable.

use std::sync::Arc;

use eef_core::{
    Action, Author, EpisodeEnd, Observation, Origin, Outcome, Parent, Reward, SampledTokens, Step,
    TaskId, Trajectory, TrajectoryId,
};
use serde::{Deserialize, Serialize};

/// The newest version that this crate writes and reads.
pub(crate) const RECORD_VERSION: u32 = 1;

/// A trajectory, version 1.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrajectoryRecord {
    pub(crate) version: u32,
    id: String,
    environment: String,
    split: String,
    index: u32,
    origin: OriginRecord,
    end: String,
    reward: f64,
    instruction: String,
    first_observation: String,
    steps: Vec<StepRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum OriginRecord {
    Expert { name: String },
    Rollout { round: u32, sample: u32, parent: Option<ParentRecord> },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParentRecord {
    trajectory: String,
    n_actions: usize,
}

/// A step, version 1. What is often the same as something else, or absent, is left out.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepRecord {
    reply: String,
    /// Absent where it is the reply, word for word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    observation: String,
    /// The teacher's name; absent for the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expert: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sampled: Option<SampledRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SampledRecord {
    tokenizer: u64,
    ids: Vec<u32>,
    log_probabilities: Vec<f32>,
}

impl StepRecord {
    /// A step's texts, without its tokens.
    pub(crate) fn texts(step: &Step) -> Self {
        let action = step.action.as_str();
        Self {
            reply: step.reply.clone(),
            action: (action != step.reply).then(|| action.to_owned()),
            observation: step.observation.as_str().to_owned(),
            expert: match &step.author {
                Author::Expert(name) => Some(name.to_string()),
                Author::Policy => None,
            },
            sampled: None,
        }
    }

    fn full(step: &Step) -> Self {
        let sampled = step.sampled.as_ref().map(|sampled| SampledRecord {
            tokenizer: sampled.tokenizer,
            ids: sampled.ids.clone(),
            log_probabilities: sampled.log_probabilities.clone(),
        });
        Self { sampled, ..Self::texts(step) }
    }

    pub(crate) fn into_step(self) -> Step {
        Step {
            action: Action::new(self.action.unwrap_or_else(|| self.reply.clone())),
            reply: self.reply,
            observation: Observation::new(self.observation),
            author: self.expert.map_or(Author::Policy, |name| Author::Expert(name.into())),
            sampled: self.sampled.map(|sampled| SampledTokens {
                tokenizer: sampled.tokenizer,
                ids: sampled.ids,
                log_probabilities: sampled.log_probabilities,
            }),
        }
    }
}

impl From<&Trajectory> for TrajectoryRecord {
    fn from(trajectory: &Trajectory) -> Self {
        let origin = match &trajectory.origin {
            Origin::Expert { name } => OriginRecord::Expert { name: name.to_string() },
            Origin::Rollout { round, sample, parent } => OriginRecord::Rollout {
                round: *round,
                sample: *sample,
                parent: parent.map(|parent| ParentRecord {
                    trajectory: parent.trajectory.to_string(),
                    n_actions: parent.n_actions,
                }),
            },
        };
        Self {
            version: RECORD_VERSION,
            id: trajectory.id.to_string(),
            environment: trajectory.task.environment().to_owned(),
            split: trajectory.task.split().name().to_owned(),
            index: trajectory.task.index(),
            origin,
            end: end_name(trajectory.outcome.end).to_owned(),
            reward: trajectory.outcome.reward.get(),
            instruction: trajectory.instruction.clone(),
            first_observation: trajectory.first_observation.as_str().to_owned(),
            steps: trajectory.steps.iter().map(StepRecord::full).collect(),
        }
    }
}

impl TrajectoryRecord {
    /// The trajectory, or what is wrong with the record.
    pub(crate) fn into_trajectory(self) -> Result<Trajectory, String> {
        let origin = match self.origin {
            OriginRecord::Expert { name } => Origin::Expert { name: Arc::from(name) },
            OriginRecord::Rollout { round, sample, parent } => {
                let parent = parent.map(|parent| {
                    let trajectory = id_of_hex("origin.parent.trajectory", &parent.trajectory)?;
                    Ok::<_, String>(Parent { trajectory, n_actions: parent.n_actions })
                });
                Origin::Rollout { round, sample, parent: parent.transpose()? }
            }
        };
        let split = self.split.parse().map_err(|error| format!("field `split`: {error}"))?;
        let reward =
            Reward::new(self.reward).map_err(|error| format!("field `reward`: {error}"))?;
        Ok(Trajectory {
            id: id_of_hex("id", &self.id)?,
            task: TaskId::new(self.environment, split, self.index),
            instruction: self.instruction,
            first_observation: Observation::new(self.first_observation),
            steps: self.steps.into_iter().map(StepRecord::into_step).collect(),
            origin,
            outcome: Outcome { end: end_of_name(&self.end)?, reward },
        })
    }
}

fn end_name(end: EpisodeEnd) -> &'static str {
    match end {
        EpisodeEnd::Terminated => "terminated",
        EpisodeEnd::TurnLimit => "turn_limit",
        EpisodeEnd::ContextFull => "context_full",
    }
}

fn end_of_name(name: &str) -> Result<EpisodeEnd, String> {
    let all = [EpisodeEnd::Terminated, EpisodeEnd::TurnLimit, EpisodeEnd::ContextFull];
    all.into_iter()
        .find(|end| end_name(*end) == name)
        .ok_or_else(|| format!("field `end`: `{name}` is none of {}", all.map(end_name).join(", ")))
}

fn id_of_hex(field: &str, hex: &str) -> Result<TrajectoryId, String> {
    let wrong = || format!("field `{field}`: expected 32 hexadecimal digits, found `{hex}`");
    if hex.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let number = u128::from_str_radix(hex, 16).map_err(|_| wrong())?;
    Ok(TrajectoryId::from_bytes(number.to_be_bytes()))
}
