//! How a command that was stopped ends.

use eef::RunError;
use eef_agent::AgentError;
use eef_core::LearnerError;
use eef_rollout::RolloutError;
use eef_train::TrainError;

use crate::arguments::Verb;

/// Whether an error says that work stopped because it was asked to. Any other error is a failure,
/// also after Ctrl-C: a disk that is full while a checkpoint is written must not pass for a stop.
pub fn is_interruption(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(RunError::Interrupted))
            || matches!(cause.downcast_ref(), Some(RolloutError::Interrupted { .. }))
            || matches!(cause.downcast_ref(), Some(LearnerError::Interrupted))
            || matches!(cause.downcast_ref(), Some(TrainError::Interrupted { .. }))
            // A transparent error stands in the chain for the one inside.
            || matches!(
                cause.downcast_ref(),
                Some(AgentError::Train(TrainError::Interrupted { .. }))
            )
    })
}

/// What an interruption means for a verb: only these keep what is done.
pub fn interrupted(verb: &Verb) -> &'static str {
    match verb {
        Verb::Iterate(_) | Verb::Compare(_) | Verb::Train(_) | Verb::Pretrain(_) => {
            "interrupted; the same command continues"
        }
        _ => "interrupted; the same command starts over",
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use clap::Parser;

    use super::*;
    use crate::arguments::Arguments;

    fn error<E: std::error::Error + Send + Sync + 'static>(error: E) -> anyhow::Error {
        Err::<(), _>(error).context("while doing something").unwrap_err()
    }

    #[test]
    fn every_kind_of_interruption_is_known_through_what_is_said_about_it() {
        let stopped = || TrainError::Interrupted { step: 3, n_steps: 9 };
        assert!(is_interruption(&error(RunError::Interrupted)));
        assert!(is_interruption(&error(RolloutError::Interrupted { n_committed: 1, n_units: 2 })));
        assert!(is_interruption(&error(LearnerError::Interrupted)));
        assert!(is_interruption(&error(stopped())));
        assert!(is_interruption(&error(AgentError::Train(stopped()))));
        assert!(is_interruption(&anyhow::Error::from(RunError::Interrupted)));
    }

    #[test]
    fn a_failure_after_ctrl_c_stays_a_failure() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let source = Box::new(full());
        assert!(!is_interruption(&error(full())));
        assert!(!is_interruption(&error(LearnerError::Failed { doing: "saving".into(), source })));
        let source = full().into();
        assert!(!is_interruption(&error(RolloutError::Commit { unit: "a".into(), source })));
        assert!(!is_interruption(&anyhow::anyhow!("interrupted; the same command continues")));
    }

    #[test]
    fn continuing_is_promised_by_verbs_that_continue() {
        let said = |line: &str| {
            let line = std::iter::once("eef-cli").chain(line.split_whitespace());
            interrupted(&Arguments::try_parse_from(line).unwrap().verb)
        };
        for verb in ["iterate", "compare", "pretrain", "train --model m --data d --out o"] {
            assert!(said(verb).ends_with("continues"), "{verb}");
        }
        for verb in ["evaluate", "collect --out x", "import x --expert y --out z"] {
            assert!(said(verb).ends_with("starts over"), "{verb}");
        }
    }
}
