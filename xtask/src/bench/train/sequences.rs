//! What is trained on: made up sequences, the same for every program.

use eef_core::{Rng, Seed};
use serde::Serialize;

/// A sequence of tokens, and which of them are trained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sequence {
    pub token_ids: Vec<u32>,
    pub trained: Vec<bool>,
}

/// Arbitrary text: every token trained.
pub fn language(seed: Seed, n: usize, length: usize, vocabulary: usize) -> Vec<Sequence> {
    let mut rng = seed.rng();
    let mut text = || {
        let mut sequence = Sequence { token_ids: Vec::new(), trained: Vec::new() };
        sequence.extend(&mut rng, length, true, vocabulary);
        sequence
    };
    (0..n).map(|_| text()).collect()
}

/// An agent's trajectories: instructions, then 6 to 10 turns of an observation and an action, which
/// alone is trained. About 1,000 tokens (580 to 1,620 at the extremes), 20 % of them of actions.
pub fn trajectories(seed: Seed, n: usize, vocabulary: usize) -> Vec<Sequence> {
    let mut rng = seed.rng();
    let mut trajectory = || {
        let mut sequence = Sequence { token_ids: Vec::new(), trained: Vec::new() };
        let n_instructions = 100 + rng.below(41);
        sequence.extend(&mut rng, n_instructions, false, vocabulary);
        for _ in 0..6 + rng.below(5) {
            let (observation, action) = (64 + rng.below(49), 16 + rng.below(21));
            sequence.extend(&mut rng, observation, false, vocabulary);
            sequence.extend(&mut rng, action, true, vocabulary);
        }
        sequence
    };
    (0..n).map(|_| trajectory()).collect()
}

impl Sequence {
    fn extend(&mut self, rng: &mut Rng, n: usize, trained: bool, vocabulary: usize) {
        self.token_ids.extend((0..n).map(|_| rng.below(vocabulary) as u32));
        self.trained.resize(self.token_ids.len(), trained);
    }
}

/// The share of what a padded batch computes that is padding, within 0 and 1.
pub fn padding(sequences: &[Sequence], batch_size: usize) -> f64 {
    let length = |sequence: &Sequence| sequence.token_ids.len();
    let padded = |batch: &[Sequence]| batch.len() * batch.iter().map(length).max().unwrap_or(0);
    let n_tokens: usize = sequences.iter().map(length).sum();
    let n_padded: usize = sequences.chunks(batch_size.max(1)).map(padded).sum();
    (n_padded - n_tokens) as f64 / n_padded.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trajectories_are_of_about_a_thousand_tokens_with_a_fifth_trained() {
        let all = trajectories(Seed::new(1), 200, 50);
        assert_eq!(all, trajectories(Seed::new(1), 200, 50));
        let n_tokens: usize = all.iter().map(|sequence| sequence.token_ids.len()).sum();
        let n_trained = all.iter().flat_map(|sequence| &sequence.trained).filter(|t| **t).count();
        let (mean, share) = (n_tokens as f64 / 200.0, n_trained as f64 / n_tokens as f64);
        assert!((950.0..1_100.0).contains(&mean), "{mean}");
        assert!((0.18..0.22).contains(&share), "{share}");
        for Sequence { token_ids, trained } in &all {
            assert_eq!(token_ids.len(), trained.len());
            assert!((550..1_650).contains(&token_ids.len()));
            assert!(token_ids.iter().all(|token| *token < 50));
        }
    }

    #[test]
    fn padding_is_what_the_longest_of_a_batch_costs_the_others() {
        let of = |length| language(Seed::new(1), 1, length, 9).remove(0);
        assert_eq!(padding(&[of(3), of(1), of(2), of(2)], 2), 0.2);
        assert_eq!(padding(&language(Seed::new(1), 4, 8, 9), 2), 0.0);
    }
}
