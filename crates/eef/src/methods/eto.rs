//! Exploration-based trajectory optimisation.

use std::sync::Arc;

use eef_core::Trajectory;
use eef_select::contrast;

use crate::{JobRequest, Method, RoundLimits, RoundSizes, RunError, TrainingSet, View};

/// What a rejected trajectory may be longer than the chosen one, in actions.
const N_MORE_ACTIONS: usize = 5;

/// ETO (Song et al. 2024): one rollout per task and round beside the experts' trajectories; the
/// policy learns which of the two is better (direct preference optimisation).
#[derive(Clone, Copy, Debug)]
pub struct Eto {
    /// Whether rollouts are compared with failed expert trajectories too. In the paper only with
    /// positive ones (Table 2).
    pub all_experts: bool,
}

impl Method for Eto {
    fn name(&self) -> &'static str {
        if self.all_experts { "eto-all" } else { "eto" }
    }

    fn settings(&self) -> String {
        String::new()
    }

    fn explores(&self) -> bool {
        true
    }

    fn at_most(&self, sizes: &RoundSizes<'_>) -> RoundLimits {
        let n_all = sizes.seen_by(self.whose()).len();
        let n_examples = if self.all_experts { n_all } else { sizes.n_positives };
        RoundLimits { n_rollouts: sizes.n_tasks, n_examples }
    }

    fn next_jobs(&self, view: &View<'_>) -> Result<Vec<JobRequest>, RunError> {
        Ok(match view.n_batches {
            0 => view.from_initial_states(0, view.sampling),
            _ => Vec::new(),
        })
    }

    fn training_set(&self, view: &View<'_>) -> Result<TrainingSet, RunError> {
        let mut experts: Vec<Arc<Trajectory>> = view.experts.to_vec();
        experts.retain(|expert| self.all_experts || expert.is_positive());
        Ok(TrainingSet::of_preferences(contrast(&experts, view.rollouts, N_MORE_ACTIONS)))
    }
}
