//! `inspect`: trajectories of a run, and which of their tokens are trained.

use std::io::IsTerminal;
use std::ops::Range;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use eef_chat::{Encoder, Example};
use eef_core::{Author, Origin, Trajectory};
use eef_store::{SqliteStore, TrajectoryStore};

use crate::config::Config;
use crate::context::Context;
use crate::recording::{Side, TrainedItem, Trainings};
use crate::{output, run_directory, wiring};

/// What to show.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Only those made in this round; 0 shows the experts' own trajectories
    #[arg(long)]
    round: Option<u32>,
    /// Only tasks whose name contains this, such as train/17
    #[arg(long)]
    task: Option<String>,
    /// Only the trajectory whose id begins with this
    #[arg(long)]
    id: Option<String>,
    /// Only solved (true) or unsolved (false) ones
    #[arg(long, value_name = "BOOL")]
    won: Option<bool>,
    /// Only those that were trained on
    #[arg(long)]
    trained: bool,
    /// Only those that the model of this name was trained on, such as round-02
    #[arg(long, value_name = "MODEL")]
    trained_in: Option<String>,
    /// At most so many; 0 shows all
    #[arg(long, default_value_t = 5, value_name = "N")]
    limit: usize,
    /// Shows which tokens are trained, for every training that used the trajectory
    #[arg(long)]
    masks: bool,
}

/// Shows.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let config = context.config_of_run()?;
    let run = run_directory::path(&context.global, &config, "");
    let file = run_directory::store_file(&run);
    if !file.exists() {
        bail!("{} holds no run: there is no {}", run.display(), file.display());
    }
    let store = SqliteStore::open(&file)?;
    let trained = Trainings::read(&run)?;
    if let Some(name) = &arguments.trained_in {
        let names = trained.names();
        if !names.contains(name.as_str()) {
            let known = names.into_iter().collect::<Vec<_>>().join(", ");
            bail!("--trained-in {name}: no model of {} is that; known: {known}", run.display());
        }
    }
    let encoder = arguments.masks.then(|| wiring::encoder(&config)).transpose()?;
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut n_shown = 0;
    let mut records = Vec::new();
    for id in store.ids()? {
        if arguments.limit > 0 && n_shown == arguments.limit {
            break;
        }
        let matches_id =
            arguments.id.as_ref().is_none_or(|wanted| id.to_string().starts_with(wanted));
        if !matches_id {
            continue;
        }
        let Some(trajectory) = store.get(&id)? else { continue };
        if !arguments.accepts(&trajectory) {
            continue;
        }
        let trainings = trained.of(&id);
        let is_of = |wanted: &String| trainings.iter().any(|(name, _)| name == wanted);
        let is_wanted = arguments.trained_in.as_ref().is_none_or(is_of);
        if (arguments.trained && trainings.is_empty()) || !is_wanted {
            continue;
        }
        n_shown += 1;
        let masks = match &encoder {
            Some(encoder) => masks(encoder, &trajectory, &config, trainings, colours)?,
            None => Vec::new(),
        };
        if context.global.json {
            records.push(record(&trajectory, trainings, &masks));
        } else {
            output::print(&show(&trajectory, trainings, &masks))?;
        }
    }
    if context.global.json {
        return output::print_json(&records);
    }
    if n_shown == 0 {
        context.progress.note("no trajectory is like that");
    }
    Ok(())
}

impl Arguments {
    fn accepts(&self, trajectory: &Arc<Trajectory>) -> bool {
        self.round.is_none_or(|round| trajectory.origin.round() == round)
            && self.won.is_none_or(|won| trajectory.is_positive() == won)
            && self.task.as_ref().is_none_or(|part| trajectory.task.to_string().contains(part))
    }
}

/// A rendered mask per training: trained text between `⟦` and `⟧`, or green on a terminal.
fn masks(
    encoder: &Encoder,
    trajectory: &Trajectory,
    config: &Config,
    trainings: &[(String, TrainedItem)],
    colours: bool,
) -> anyhow::Result<Vec<String>> {
    let mut rendered = Vec::new();
    for (name, item) in trainings {
        let prompt = wiring::announced(config, item.label())?;
        let trained = item.trained(trajectory);
        let example = Example::of_actions(encoder, trajectory, trained, prompt, usize::MAX)?;
        let mut text = example.render(encoder.tokenizer())?;
        if colours {
            text = text.replace('⟦', "\u{1b}[32m").replace('⟧', "\u{1b}[0m");
        }
        let n_trained = example.loss_mask.n_trained();
        let n_tokens = example.token_ids.len();
        let side = match item.side {
            None => "",
            Some(Side::Chosen) => ", chosen",
            Some(Side::Rejected) => ", rejected",
        };
        rendered.push(format!("{name}{side}, {n_trained} of {n_tokens} tokens trained:\n{text}\n"));
    }
    Ok(rendered)
}

fn origin(trajectory: &Trajectory) -> String {
    match &trajectory.origin {
        Origin::Expert { name } => format!("by {name}"),
        Origin::Rollout { round, parent: None, .. } => format!("round {round}, from s_0"),
        Origin::Rollout { round, parent: Some(parent), .. } => {
            let whose = parent.trajectory.to_string();
            format!("round {round}, from s_{} of {}", parent.n_actions, &whose[..8])
        }
    }
}

fn show(trajectory: &Trajectory, trainings: &[(String, TrainedItem)], masks: &[String]) -> String {
    let mut lines = vec![format!(
        "{}  {}  {}, reward {:.3}",
        &trajectory.id.to_string()[..16],
        trajectory.task,
        origin(trajectory),
        trajectory.outcome.reward.get()
    )];
    lines.push(format!("  {}", indented(&trajectory.instruction)));
    let last = trainings.last().map(|(_, item)| item.trained(trajectory));
    for (index, step) in trajectory.steps.iter().enumerate() {
        let author = if step.author == Author::Policy { ">" } else { "E" };
        let trained =
            if last.as_ref().is_some_and(|trained| trained.contains(&index)) { "*" } else { " " };
        lines.push(format!("{trained} {author} {}", indented(&step.reply)));
        lines.push(format!("      {}", indented(step.observation.as_str())));
    }
    for (name, item) in trainings {
        let Range { start, end } = item.trained(trajectory);
        lines.push(match item.side {
            None => format!("  trained in {name} from action {start}"),
            Some(Side::Chosen) => format!("  preferred in {name}"),
            Some(Side::Rejected) => format!("  rejected in {name} up to action {end}"),
        });
    }
    lines.extend(masks.iter().cloned());
    lines.push(String::new());
    lines.join("\n") + "\n"
}

fn indented(text: &str) -> String {
    text.trim().replace('\n', "\n      ")
}

fn record(
    trajectory: &Trajectory,
    trainings: &[(String, TrainedItem)],
    masks: &[String],
) -> serde_json::Value {
    let steps: Vec<_> = trajectory
        .steps
        .iter()
        .map(|step| {
            serde_json::json!({
                "author": match &step.author {
                    Author::Policy => "policy",
                    Author::Expert(name) => name.as_ref(),
                },
                "reply": step.reply,
                "action": step.action.as_str(),
                "observation": step.observation.as_str(),
            })
        })
        .collect();
    let trainings: Vec<_> = trainings
        .iter()
        .map(|(name, item)| {
            let mut record = serde_json::json!({ "model": name, "train_from": item.train_from });
            if let (Some(side), Some(fields)) = (item.side, record.as_object_mut()) {
                fields.insert("side".to_owned(), serde_json::json!(side));
                fields.insert("n_actions".to_owned(), serde_json::json!(item.n_actions));
            }
            record
        })
        .collect();
    serde_json::json!({
        "id": trajectory.id.to_string(),
        "task": trajectory.task.to_string(),
        "origin": origin(trajectory),
        "instruction": trajectory.instruction,
        "first_observation": trajectory.first_observation.as_str(),
        "steps": steps,
        "reward": trajectory.outcome.reward.get(),
        "trainings": trainings,
        "masks": masks,
    })
}
