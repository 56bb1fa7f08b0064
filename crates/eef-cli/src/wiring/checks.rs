//! What is found out before a run directory is made, so that a command that cannot work leaves none.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use eef::{Imitation, RunError, experts_on, imitated};
use eef_core::{Environment, Split, TaskId, Trajectory};
use eef_llama::LlamaConfig;
use eef_select::{all_experts, behaviour_cloning};

use crate::config::{Config, nearest};

/// Checks the settings of Algorithm 1 and of training, which need no file.
pub fn check_settings(config: &Config) -> anyhow::Result<()> {
    super::run_config(config).check()?;
    super::train_config(config)?.validate()?;
    super::prompt(config)?;
    Ok(())
}

/// The shape of the model in a directory, and how text becomes its tokens.
pub fn open_model(directory: &Path) -> anyhow::Result<(LlamaConfig, eef_chat::Encoder)> {
    let path = directory.join("config.json");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read the model's {}", path.display()))?;
    let shape = LlamaConfig::from_json(&path, &text)?;
    shape.validate()?;
    Ok((shape, eef_agent::open_encoder(directory)?))
}

/// The training tasks of a run: as many as the configuration says, the first ones.
pub fn training_tasks(config: &Config, environment: &dyn Environment) -> Vec<TaskId> {
    let mut tasks = environment.tasks(Split::Train);
    if config.data.n_train_tasks > 0 {
        tasks.truncate(config.data.n_train_tasks);
    }
    tasks
}

/// Checks that everyone in `data.bc_experts` is an expert on training tasks.
pub fn check_names<'n>(
    config: &Config,
    known: impl IntoIterator<Item = &'n str>,
) -> anyhow::Result<()> {
    let known: BTreeSet<&str> = known.into_iter().collect();
    let known: Vec<&str> = known.into_iter().collect();
    let stranger = config.data.bc_experts.iter().find(|name| !known.contains(&name.as_str()));
    let Some(stranger) = stranger else { return Ok(()) };
    let hint = nearest(stranger, &known)
        .map_or_else(String::new, |near| format!("; did you mean {near}?"));
    bail!(
        "data.bc_experts names `{stranger}`, of whom data.experts hold no trajectory on the \
         training tasks: expected {}{hint}",
        if known.is_empty() { "none".to_owned() } else { known.join(" or ") }
    )
}

/// How many of a run's expert trajectories round 1 imitates: at least one, as `eef` asks too.
pub fn n_imitated(
    config: &Config,
    experts: &[Arc<Trajectory>],
    imitation: Imitation,
) -> anyhow::Result<usize> {
    let named = imitated(&config.data.bc_experts, experts)?;
    let n_named = all_experts(experts, &named).len();
    let n_positive = behaviour_cloning(experts, &named).len();
    let n = match imitation {
        Imitation::Positives => n_positive,
        Imitation::Everything | Imitation::Announced => n_named,
    };
    if n == 0 {
        let names = named.iter().map(ToString::to_string).collect();
        let n_experts = experts.len();
        bail!(RunError::NothingToImitate { n_experts, n_named, n_positive, names });
    }
    Ok(n)
}

/// Checks that there is a task in every split, and something to imitate for every method.
pub fn check_run(
    config: &Config,
    environment: &dyn Environment,
    experts: &[Arc<Trajectory>],
    imitations: &[Imitation],
) -> anyhow::Result<()> {
    if let Some(split) = Split::ALL.into_iter().find(|split| environment.tasks(*split).is_empty()) {
        bail!(RunError::NoTasks { split });
    }
    let experts = experts_on(&training_tasks(config, environment), experts);
    let known = imitated(&[], &experts)?;
    check_names(config, known.iter().map(AsRef::as_ref))?;
    imitations.iter().try_for_each(|imitation| n_imitated(config, &experts, *imitation).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    #[test]
    fn a_misspelt_expert_is_named_with_those_that_there_are() {
        let overrides = [r#"data.bc_experts=["scripted-stronk"]"#.to_owned()];
        let config = load(&Source::Embedded, &overrides).unwrap();
        let known = ["scripted-weak", "scripted-strong", "scripted-strong"];
        assert_eq!(
            check_names(&config, known).unwrap_err().to_string(),
            "data.bc_experts names `scripted-stronk`, of whom data.experts hold no trajectory on \
             the training tasks: expected scripted-strong or scripted-weak; did you mean \
             scripted-strong?"
        );
        let config = load(&Source::Embedded, &[]).unwrap();
        check_names(&config, known).unwrap();
        assert!(check_names(&config, []).unwrap_err().to_string().contains("expected none"));
    }

    #[test]
    fn settings_that_no_run_accepts_are_found_without_files() {
        let check = |given: &str| {
            let config = load(&Source::Embedded, &[given.to_owned()]).unwrap();
            check_settings(&config).unwrap_err().to_string()
        };
        assert!(check("train.warmup_fraction=7").contains("warmup_fraction"));
        assert!(check("behaviour_cloning.patience=0").contains("behaviour_cloning.patience"));
        check_settings(&load(&Source::Embedded, &[]).unwrap()).unwrap();
    }
}
