//! A learner that needs no tensors: a table from what is seen to what is said.
//!
//! It learns truly, though only by heart: from every trained action it counts the reply beside the
//! instruction and the observation before it; told that one trajectory is better than another, it
//! counts the replies of the one and no longer those of the other. Where it has seen nothing it gives
//! its default reply. Episodes must open with [`opening`].

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use eef_core::{
    Control, ConversationId, Learner, LearnerError, Opening, OutcomeLabel, Policy, PolicyError,
    PreferenceItem, Reply, ReplyEnd, Role, SampledTokens, Sampling, TrainRequest, TrainSummary,
    TrainingData, TrainingItem, Trajectory, Turn,
};

/// Counts of replies by context.
type Table = BTreeMap<String, BTreeMap<String, f64>>;

/// The first user message: the instruction, with the outcome that is announced before it, then the
/// observation on the last line.
pub fn opening(opening: &Opening, label: Option<OutcomeLabel>) -> String {
    format!("{}\n{}", announced(&opening.instruction, label), opening.observation)
}

fn announced(instruction: &str, label: Option<OutcomeLabel>) -> String {
    match label {
        None => instruction.to_owned(),
        Some(label) => format!("{}: {instruction}", label.name()),
    }
}

/// The learner.
#[derive(Clone, Debug)]
pub struct TabularLearner {
    /// What a policy says where it has learned nothing.
    pub default_reply: String,
    /// What is left of older counts when training begins.
    pub memory: f64,
}

impl TabularLearner {
    /// Forgets nine tenths of what it knew when it learns anew.
    pub fn new(default_reply: impl Into<String>) -> Self {
        Self { default_reply: default_reply.into(), memory: 0.1 }
    }

    /// Writes a model that has learned nothing.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_base(&self, directory: &Path) -> Result<(), LearnerError> {
        write(directory, &Table::new())
    }
}

impl Learner for TabularLearner {
    fn train(
        &self,
        request: &TrainRequest<'_>,
        control: &Control<'_>,
    ) -> Result<TrainSummary, LearnerError> {
        if request.data.is_empty() {
            return Err(LearnerError::NoItems);
        }
        let mut table = read(request.init)?;
        table.values_mut().flat_map(|replies| replies.values_mut()).for_each(|count| {
            *count *= self.memory;
        });
        let mut summary = TrainSummary::default();
        for _ in 0..request.n_epochs {
            if control.is_interrupted() {
                return Err(LearnerError::Interrupted);
            }
            let mut losses = Vec::new();
            match request.data {
                TrainingData::Demonstrations(items) => {
                    for item in items {
                        losses.extend(learn(&mut table, item));
                        summary.n_tokens += item.trajectory.n_actions() as u64;
                    }
                }
                TrainingData::Preferences { pairs, .. } => {
                    for pair in pairs {
                        losses.extend(prefer(&mut table, pair));
                        let n_chosen = pair.chosen.n_actions();
                        summary.n_tokens += (n_chosen + pair.n_rejected_actions) as u64;
                    }
                }
            }
            summary.n_steps += 1;
            summary.n_trained_tokens += losses.len() as u64;
            summary.epoch_losses.push(losses.iter().sum::<f64>() / losses.len().max(1) as f64);
            let after_one_more = summary.n_trained_tokens + losses.len() as u64;
            if request.max_trained_tokens.is_some_and(|limit| after_one_more > limit) {
                break;
            }
        }
        write(request.output, &table)?;
        Ok(summary)
    }

    fn likelihoods(
        &self,
        model: &Path,
        items: &[TrainingItem],
        _: &Control<'_>,
    ) -> Result<Vec<f64>, LearnerError> {
        let table = read(model)?;
        let of_item = |item: &TrainingItem| {
            // What learning it once more would cost, of a table that is then thrown away.
            let losses = learn(&mut table.clone(), item);
            -losses.iter().sum::<f64>() / losses.len().max(1) as f64
        };
        Ok(items.iter().map(of_item).collect())
    }

    fn policy(&self, model: &Path) -> Result<Box<dyn Policy>, LearnerError> {
        let default_reply = self.default_reply.clone();
        let (table, conversations) = (read(model)?, BTreeMap::new());
        Ok(Box::new(TabularPolicy { table, default_reply, conversations }))
    }
}

/// Counts the trained replies; gives the loss of each beforehand.
fn learn(table: &mut Table, item: &TrainingItem) -> Vec<f64> {
    let n_actions = item.trajectory.n_actions();
    count(table, &item.trajectory, item.train_from..n_actions, item.label, 1.0)
}

/// Counts the replies of the chosen trajectory, and forgets those of the rejected one.
fn prefer(table: &mut Table, pair: &PreferenceItem) -> Vec<f64> {
    count(table, &pair.rejected, 0..pair.n_rejected_actions, None, -1.0);
    count(table, &pair.chosen, 0..pair.chosen.n_actions(), None, 1.0)
}

fn count(
    table: &mut Table,
    trajectory: &Trajectory,
    actions: std::ops::Range<usize>,
    label: Option<OutcomeLabel>,
    by: f64,
) -> Vec<f64> {
    let instruction = announced(&trajectory.instruction, label);
    let mut losses = Vec::new();
    for (index, step) in trajectory.steps.iter().enumerate().take(actions.end).skip(actions.start) {
        let seen = trajectory.observation(index).map_or("", |observation| observation.as_str());
        let replies = table.entry(context(&instruction, seen)).or_default();
        let count = replies.get(&step.reply).copied().unwrap_or(0.0);
        // One virtual count for all that was never said keeps the loss finite.
        losses.push(((replies.values().sum::<f64>() + 1.0) / (count + 0.5)).ln().max(0.0));
        let counted = replies.entry(step.reply.clone()).or_default();
        *counted = (*counted + by).max(0.0);
    }
    losses
}

fn context(instruction: &str, seen: &str) -> String {
    let last_line = |text: &str| text.lines().last().unwrap_or_default().to_owned();
    format!("{} | {}", instruction.lines().next().unwrap_or_default(), last_line(seen))
}

struct TabularPolicy {
    table: Table,
    default_reply: String,
    /// Each conversation's instruction.
    conversations: BTreeMap<ConversationId, String>,
}

impl Policy for TabularPolicy {
    fn step(&mut self, turns: Vec<Turn>) -> Result<Vec<Reply>, PolicyError> {
        let mut replies: Vec<Reply> =
            turns.into_iter().map(|turn| self.answer(turn)).collect::<Result<_, _>>()?;
        replies.sort_by_key(|reply| reply.conversation);
        Ok(replies)
    }

    fn close(&mut self, conversation: ConversationId) {
        self.conversations.remove(&conversation);
    }

    fn reset(&mut self) {
        self.conversations.clear();
    }
}

impl TabularPolicy {
    fn answer(&mut self, turn: Turn) -> Result<Reply, PolicyError> {
        let conversation = turn.conversation;
        let (first, last) = match (turn.messages.first(), turn.messages.last()) {
            (Some(first), Some(last)) if last.role == Role::User => (first, last),
            _ => return Err(PolicyError::NothingToAnswer { conversation }),
        };
        let instruction =
            self.conversations.entry(conversation).or_insert_with(|| first.text.clone());
        let known = self.table.get(&context(instruction, &last.text));
        let chosen =
            known.and_then(|replies| draw(replies, turn.sampling, turn.seed.rng().uniform()));
        let text = chosen.unwrap_or(&self.default_reply).clone();
        let ids = text.bytes().map(u32::from).collect();
        let sampled = Some(SampledTokens { tokenizer: 0, ids, log_probabilities: Vec::new() });
        Ok(Reply { conversation, text, sampled, end: ReplyEnd::Stop })
    }
}

/// Draws a reply with probability proportional to `count^(1/temperature)`.
fn draw(replies: &BTreeMap<String, f64>, sampling: Sampling, at: f64) -> Option<&String> {
    let most = replies.values().copied().fold(0.0, f64::max);
    if most == 0.0 {
        return None;
    }
    if sampling.temperature == 0.0 {
        return replies.iter().find(|(_, count)| **count == most).map(|(reply, _)| reply);
    }
    let weight = |count: f64| (count / most).powf(f64::from(sampling.temperature).recip());
    let mut left = at * replies.values().map(|&count| weight(count)).sum::<f64>();
    for (reply, &count) in replies {
        left -= weight(count);
        if left <= 0.0 {
            return Some(reply);
        }
    }
    replies.keys().last()
}

fn read(directory: &Path) -> Result<Table, LearnerError> {
    let path = directory.join("table.json");
    let table =
        fs::read(&path).and_then(|bytes| serde_json::from_slice(&bytes).map_err(Into::into));
    table.map_err(failed("reading a model"))
}

/// Writes beside the directory first: it is complete as soon as it exists. Learning takes no time:
/// what is there already is written again.
fn write(directory: &Path, table: &Table) -> Result<(), LearnerError> {
    let beside = directory.with_extension("partial");
    let written = || -> io::Result<()> {
        fs::create_dir_all(&beside)?;
        fs::write(beside.join("table.json"), serde_json::to_vec(table)?)?;
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::rename(&beside, directory),
        }
    };
    written().map_err(failed("writing a model"))
}

fn failed(doing: &str) -> impl FnOnce(io::Error) -> LearnerError {
    let doing = doing.to_owned();
    move |source| LearnerError::Failed { doing, source: Box::new(source) }
}
