//! `import`: expert trajectories of other programs, replayed in the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use eef_chat::ActionFormat;
use eef_core::{
    Author, ConversationId, Environment, Opening, Policy, PolicyError, Reply, ReplyEnd, Role,
    Sampling, Seed, Split, TaskId, TrajectoryId, Turn,
};
use eef_rollout::{Job, RolloutConfig, Rollouts, Start, Unit};
use eef_store::{ForeignTrajectory, MemoryStore, TrajectoryStore, export_jsonl, read_foreign};
use eef_webshop::{AgentAction, ShopEnvironment};

use crate::context::Context;
use crate::{output, wiring};

/// What to import.
#[derive(Args, Debug)]
pub struct Arguments {
    /// ETO's or AgentTraj's file, a JSON array or JSONL
    file: PathBuf,
    /// The expert's name, such as gpt-4-0613
    #[arg(long)]
    expert: String,
    /// File to write, for data.experts
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Imports: finds each record's task by its instruction, says its replies again, keeps what the
/// environment answers.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let config = context.config()?;
    let environment = wiring::environment(&config)?;
    let records = read_foreign(&arguments.file)?;
    let tasks = tasks(&environment);
    let mut jobs = Vec::new();
    let mut scripts = Vec::new();
    let mut stated = Vec::new();
    for record in &records {
        let Some(task) = task_of(record, &tasks) else { continue };
        jobs.push(Job {
            id: TrajectoryId::derive(&[
                b"import",
                arguments.expert.as_bytes(),
                task.to_string().as_bytes(),
                &(jobs.len() as u64).to_le_bytes(),
            ]),
            task: task.clone(),
            start: Start::Initial,
            sampling: Sampling::GREEDY,
            seed: Seed::new(0),
            round: 0,
            sample: 0,
        });
        scripts.push(replies(record));
        stated.push(record.reward);
    }
    if jobs.is_empty() {
        bail!(
            "{}: none of {} records asks for a task of {}; were they made for other data?",
            arguments.file.display(),
            records.len(),
            config.data.directory
        );
    }
    let unit = Unit { key: "import".to_owned(), jobs };
    let author = Author::Expert(arguments.expert.as_str().into());
    let settings = RolloutConfig { author, ..RolloutConfig::default() };
    let opening = |opening: &Opening| opening.instruction.clone();
    let rollouts = Rollouts::new(&environment, &opening, settings);
    let mut script = Script { replies: scripts, said: BTreeMap::new() };
    let result = rollouts.run_unit(&mut script, &unit, &context.control())?;
    let rewards: BTreeMap<_, _> =
        unit.jobs.iter().zip(&stated).map(|(job, reward)| (job.id, *reward)).collect();
    let differs = result.trajectories.iter().filter(|trajectory| {
        let stated = rewards.get(&trajectory.id).copied().flatten();
        stated.is_some_and(|stated| (stated - trajectory.outcome.reward.get()).abs() > 1e-3)
    });
    let n_differ = differs.count();
    let store = MemoryStore::new();
    store.append(&result.trajectories)?;
    export_jsonl(&store, &arguments.out)?;
    let n_positive = result.trajectories.iter().filter(|found| found.is_positive()).count();
    let n_unknown = records.len() - unit.jobs.len();
    if context.global.json {
        return output::print_json(&serde_json::json!({
            "file": arguments.out, "trajectories": result.trajectories.len(),
            "positive": n_positive, "reward_differs": n_differ, "task_unknown": n_unknown,
        }));
    }
    output::print(&format!(
        "{}: {} trajectories, {n_positive} positive; {n_differ} earn another reward than stated; \
         {n_unknown} records ask for no task of this data\n",
        arguments.out.display(),
        result.trajectories.len()
    ))
}

/// Every task with its instruction, the longest first: a short one may be part of a long one.
fn tasks(environment: &ShopEnvironment) -> Vec<(String, TaskId)> {
    let mut tasks: Vec<(String, TaskId)> = Split::ALL
        .into_iter()
        .flat_map(|split| environment.tasks(split))
        .filter_map(|task| {
            let goal = environment.shop().goal(&task)?;
            Some((goal.instruction_text.trim().to_lowercase(), task))
        })
        .collect();
    tasks.sort_by_key(|(text, task)| (std::cmp::Reverse(text.len()), task.clone()));
    tasks
}

fn task_of<'t>(record: &ForeignTrajectory, tasks: &'t [(String, TaskId)]) -> Option<&'t TaskId> {
    let users = record.messages.iter().filter(|message| message.role == Role::User);
    let said: Vec<String> = users.take(3).map(|message| message.text.to_lowercase()).collect();
    let asks = |text: &str| said.iter().any(|message| message.contains(text));
    tasks.iter().find(|(text, _)| asks(text)).map(|(_, task)| task)
}

/// The actions of a record in AgentLite's form: `search[mug]` becomes `search[{"product": "mug"}]`.
fn replies(record: &ForeignTrajectory) -> Vec<String> {
    let agents = record.messages.iter().filter(|message| message.role == Role::Assistant);
    agents
        .filter_map(|message| {
            let format = if message.text.contains("Action:") {
                ActionFormat::ReAct
            } else {
                ActionFormat::Plain
            };
            let action = format.parse(&message.text).ok()?;
            // An acknowledgement of the rules ("OK") is no action.
            if !action.contains('[') {
                return None;
            }
            if !matches!(AgentAction::parse(action), AgentAction::Invalid(_)) {
                return Some(action.to_owned());
            }
            let (name, rest) = action.split_once('[')?;
            let inside = rest.rsplit_once(']').map_or(rest, |(inside, _)| inside);
            match name.trim() {
                "search" => Some(AgentAction::search(inside).to_string()),
                "click" => Some(AgentAction::click(inside).to_string()),
                _ => Some(action.to_owned()),
            }
        })
        .collect()
}

/// Says what is written, and ends the conversation where the writing ends.
struct Script {
    replies: Vec<Vec<String>>,
    said: BTreeMap<ConversationId, usize>,
}

impl Policy for Script {
    fn step(&mut self, turns: Vec<Turn>) -> Result<Vec<Reply>, PolicyError> {
        let reply = |turn: Turn| {
            let said = self.said.entry(turn.conversation).or_default();
            let lines = usize::try_from(turn.conversation.0).ok();
            let line = lines.and_then(|index| self.replies.get(index)?.get(*said)).cloned();
            *said += 1;
            let end = if line.is_some() { ReplyEnd::Stop } else { ReplyEnd::ContextFull };
            let text = line.unwrap_or_default();
            Reply { conversation: turn.conversation, text, sampled: None, end }
        };
        Ok(turns.into_iter().map(reply).collect())
    }

    fn close(&mut self, conversation: ConversationId) {
        self.said.remove(&conversation);
    }

    fn reset(&mut self) {
        self.said.clear();
    }
}

#[cfg(test)]
mod tests {
    use eef_store::{ForeignFormat, ForeignMessage};

    use super::*;

    #[test]
    fn actions_of_other_formats_become_agentlites() {
        let message =
            |role, text: &str| ForeignMessage { role, text: text.to_owned(), trained: None };
        let record = ForeignTrajectory {
            format: ForeignFormat::Eto,
            item: "webshop_1".to_owned(),
            messages: vec![
                message(Role::User, "You shop. Instruction: [SEP] Find me a red mug [SEP]"),
                message(Role::Assistant, "OK"),
                message(Role::Assistant, "Thought: look\nAction: search[red mug]"),
                message(Role::Assistant, "Thought: take\n\nAction:\nclick[B000000001]"),
                message(Role::Assistant, "Think[{\"response\": \"hm\"}]"),
            ],
            reward: Some(1.0),
            position: 1,
        };
        assert_eq!(
            replies(&record),
            [
                r#"search[{"product": "red mug"}]"#,
                r#"click[{"button": "B000000001"}]"#,
                r#"Think[{"response": "hm"}]"#,
            ]
        );
        let task = |index| TaskId::new("webshop", Split::Train, index);
        let tasks = [("find me a red mug".to_owned(), task(1)), ("find me".to_owned(), task(2))];
        assert_eq!(task_of(&record, &tasks), Some(&task(1)));
        assert_eq!(task_of(&record, &tasks[1..]), Some(&task(2)));
        assert_eq!(task_of(&record, &[]), None);
    }
}
