/// What a generator may hold and when it stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratorConfig {
    /// Most sequences that generate at once; requests beyond it wait in the order of submission.
    pub max_sequences: usize,
    /// Longest sequence in tokens, prompts and answers together; without it, what the model can
    /// place.
    pub context_length: Option<usize>,
    /// Tokens that end an answer. They are part of it.
    pub stop_tokens: Vec<u32>,
    /// Most prompt tokens computed in one step beside the sequences that generate. It bounds
    /// memory, and how long a long prompt holds up the others.
    pub prefill_tokens: usize,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self {
            max_sequences: 64,
            context_length: None,
            stop_tokens: Vec::new(),
            prefill_tokens: 512,
        }
    }
}

/// Asks for the next turn of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Names the sequence; the first request of a name opens it.
    pub sequence: u64,
    /// Tokens to append to the sequence before generating.
    pub tokens: Vec<u32>,
    /// Most tokens to generate.
    pub max_new_tokens: usize,
    /// Divides the logits; 0 takes the likeliest token. Between 0 and a millionth it is refused: the
    /// quotients would leave the range of numbers.
    pub temperature: f32,
    /// Samples from the likeliest tokens that together have at least this probability; 1 for all.
    pub top_p: f32,
    /// Seeds the sampling: token `t` of an answer depends on `(seed, t)` and the logits only, not
    /// on what else is generated at the time.
    pub seed: u64,
}

impl Request {
    /// A request that always takes the likeliest token.
    pub fn greedy(sequence: u64, tokens: Vec<u32>, max_new_tokens: usize) -> Self {
        Self { sequence, tokens, max_new_tokens, temperature: 0.0, top_p: 1.0, seed: 0 }
    }
}

/// A finished turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The sequence of the request.
    pub sequence: u64,
    /// What was generated, with the stop token if there was one.
    pub tokens: Vec<u32>,
    /// The model's log-probability of each token, at temperature 1 and over all tokens.
    pub log_probabilities: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

/// Why a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// A stop token was generated.
    Stop,
    /// As many tokens as were asked for.
    Length,
    /// The sequence is as long as it may get. Where not even the request's tokens fitted, nothing
    /// was generated and the sequence is unchanged.
    ContextFull,
}
