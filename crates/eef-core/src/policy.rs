//! What a policy is: something that holds conversations.

use crate::Seed;

/// A conversation's number, chosen by who starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationId(pub u64);

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The environment: instructions, tasks and observations.
    User,
    /// The agent: its replies.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// The text.
    pub text: String,
    /// An assistant's sampled ids, so that a replayed reply stays token for token what it was.
    pub sampled: Option<SampledTokens>,
}

impl Message {
    /// An observation or an instruction.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, text: text.into(), sampled: None }
    }

    /// A reply given before, with its sampled ids where there are any.
    pub fn assistant(text: impl Into<String>, sampled: Option<SampledTokens>) -> Self {
        Self { role: Role::Assistant, text: text.into(), sampled }
    }
}

/// How replies are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Softmax temperature; 0 is greedy.
    pub temperature: f32,
    /// Nucleus: the smallest set of tokens with at least this probability; 1 keeps all.
    pub top_p: f32,
}

impl Sampling {
    /// Always the most likely token.
    pub const GREEDY: Self = Self { temperature: 0.0, top_p: 1.0 };

    /// Sampling at a temperature from the whole distribution.
    pub fn at_temperature(temperature: f32) -> Self {
        Self { temperature, top_p: 1.0 }
    }
}

/// What was said to a policy in one conversation, now waiting for its reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Which conversation; a number not seen before starts one.
    pub conversation: ConversationId,
    /// Messages since the last reply. The first turn brings the opening and, where an expert's
    /// prefix is replayed, the replies and observations of that prefix. The last one is a user's.
    pub messages: Vec<Message>,
    /// How to draw the reply.
    pub sampling: Sampling,
    /// The seed of this turn.
    pub seed: Seed,
}

/// Token ids as they were sampled, the end-of-turn token included.
#[derive(Clone, Debug, PartialEq)]
pub struct SampledTokens {
    /// Hash of the tokenizer that the ids belong to.
    pub tokenizer: u64,
    /// The ids.
    pub ids: Vec<u32>,
    /// Their log-probabilities under the policy at temperature 1; as long as `ids`, or empty.
    pub log_probabilities: Vec<f32>,
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyEnd {
    /// The policy ended its turn.
    Stop,
    /// The limit of tokens per reply was reached.
    Length,
    /// The conversation does not fit the context: there is no reply, and the conversation is over.
    ContextFull,
}

/// A policy's answer to a turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Which conversation.
    pub conversation: ConversationId,
    /// The text, without the end-of-turn token.
    pub text: String,
    /// The sampled ids, where the policy works on tokens.
    pub sampled: Option<SampledTokens>,
    /// Why it ended.
    pub end: ReplyEnd,
}

/// Something that answers: a model in this process, a server, a scripted teacher.
///
/// Prefixes shared by conversations are the policy's own business: it sees the messages and may
/// keep what they have in common.
pub trait Policy: Send {
    /// Takes new turns (there may be none) and works until at least one reply is ready; gives
    /// what is ready, ordered by conversation. Empty only where no turn waits.
    ///
    /// # Errors
    /// [`PolicyError`]; the conversations are then lost.
    fn step(&mut self, turns: Vec<Turn>) -> Result<Vec<Reply>, PolicyError>;

    /// Forgets a conversation. Closing an unknown one does nothing.
    fn close(&mut self, conversation: ConversationId);

    /// Forgets every conversation and whatever is kept across them (prefixes computed before, for
    /// example), so that nothing that follows depends on what came before. A unit of rollouts
    /// begins with it: which worker runs a unit, and what it ran before, must not show.
    fn reset(&mut self);
}

/// A failure of a policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A turn without a user's message at its end.
    #[error("the turn of conversation {} has no user message at its end", conversation.0)]
    NothingToAnswer {
        /// Which conversation.
        conversation: ConversationId,
    },
    /// The model or server behind it failed.
    #[error("the policy failed while {doing}")]
    Failed {
        /// What it was doing.
        doing: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
