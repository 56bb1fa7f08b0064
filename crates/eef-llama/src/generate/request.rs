use crate::generate::sample::SMALLEST_TEMPERATURE;

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
    /// Most memory for keys and values, in bytes; it is taken as it is needed. Requests wait until
    /// their longest possible answer fits, and what only might be used again is evicted first.
    pub max_cache_bytes: usize,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self {
            max_sequences: 64,
            context_length: None,
            stop_tokens: Vec::new(),
            prefill_tokens: 512,
            max_cache_bytes: 2 << 30,
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
    /// Samples from this many of the likeliest tokens; none for all. Where some are equally likely,
    /// those with the lower ids count.
    pub top_k: Option<usize>,
    /// Samples from tokens at least this share as likely as the likeliest; 0 for all.
    ///
    /// The order is that of Hugging Face's transformers: temperature, `top_k`, `top_p` among what
    /// is left, `min_p`.
    pub min_p: f32,
    /// Seeds the sampling: token `t` of an answer depends on `(seed, t)` and the logits only, not
    /// on what else is generated at the time.
    pub seed: u64,
    /// Runs of generated tokens that end the answer, beside
    /// [`stop_tokens`](GeneratorConfig::stop_tokens). They are part of it.
    pub stop_sequences: Vec<Vec<u32>>,
}

impl Request {
    /// What is wrong with its numbers, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.max_new_tokens == 0 {
            return Some("max_new_tokens is 0, expected at least 1".to_owned());
        }
        let temperature = self.temperature;
        let is_usable = temperature >= SMALLEST_TEMPERATURE && temperature.is_finite();
        if !is_usable && temperature != 0.0 {
            return Some(format!(
                "temperature is {temperature:e}, expected a finite number of at least \
                 {SMALLEST_TEMPERATURE:e}, or 0 for the likeliest token"
            ));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Some(format!("top_p is {}, expected above 0, at most 1", self.top_p));
        }
        if self.top_k == Some(0) {
            return Some("top_k is 0, expected at least 1, or none for all tokens".to_owned());
        }
        if !(0.0..=1.0).contains(&self.min_p) {
            return Some(format!("min_p is {}, expected between 0 and 1", self.min_p));
        }
        let is_empty = |stop: &Vec<u32>| stop.is_empty();
        let empty = self.stop_sequences.iter().position(is_empty)?;
        Some(format!("stop_sequences[{empty}] is empty, expected at least one token"))
    }

    /// A request that always takes the likeliest token.
    pub fn greedy(sequence: u64, tokens: Vec<u32>, max_new_tokens: usize) -> Self {
        Self {
            sequence,
            tokens,
            max_new_tokens,
            temperature: 0.0,
            top_p: 1.0,
            top_k: None,
            min_p: 0.0,
            seed: 0,
            stop_sequences: Vec::new(),
        }
    }
}

/// A finished turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The sequence of the request.
    pub sequence: u64,
    /// What was generated, with the stop token or sequence if there was one.
    pub tokens: Vec<u32>,
    /// The model's log-probability of each token, at temperature 1 and over all tokens.
    pub log_probabilities: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

/// Why a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// A stop token or stop sequence was generated.
    Stop,
    /// As many tokens as were asked for.
    Length,
    /// The sequence is as long as it may get. Where not even the request's tokens fitted, nothing
    /// was generated and the sequence is unchanged.
    ContextFull,
}
