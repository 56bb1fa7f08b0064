//! Negative-aware training: imitation of successes and failures, told apart by the prompt.

use crate::{Imitation, JobRequest, Method, RunError, TrainingSet, View};

/// NAT (Wang et al. 2024): every expert trajectory, with its outcome announced in the prompt. The
/// policy is asked for a positive one.
#[derive(Clone, Copy, Debug)]
pub struct Nat;

impl Method for Nat {
    fn name(&self) -> &'static str {
        "nat"
    }

    fn settings(&self) -> String {
        String::new()
    }

    fn imitation(&self) -> Imitation {
        Imitation::Announced
    }

    fn explores(&self) -> bool {
        false
    }

    fn next_jobs(&self, _: &View<'_>) -> Result<Vec<JobRequest>, RunError> {
        Ok(Vec::new())
    }

    fn training_set(&self, _: &View<'_>) -> Result<TrainingSet, RunError> {
        Ok(TrainingSet::default())
    }
}
