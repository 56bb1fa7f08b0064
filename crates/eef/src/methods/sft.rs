//! Imitation alone.

use crate::{Imitation, JobRequest, Method, RunError, TrainingSet, View};

/// SFT pos: the positive expert trajectories. It is every other method's first round.
#[derive(Clone, Copy, Debug)]
pub struct SftPos;

/// SFT all: every expert trajectory, whatever its reward.
#[derive(Clone, Copy, Debug)]
pub struct SftAll;

impl Method for SftPos {
    fn name(&self) -> &'static str {
        "sft-pos"
    }

    fn settings(&self) -> String {
        String::new()
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

impl Method for SftAll {
    fn name(&self) -> &'static str {
        "sft-all"
    }

    fn settings(&self) -> String {
        String::new()
    }

    fn imitation(&self) -> Imitation {
        Imitation::Everything
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
