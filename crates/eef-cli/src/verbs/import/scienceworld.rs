//! ScienceWorld's records.

use std::fmt;

use anyhow::bail;
use eef_chat::ActionFormat;
use eef_core::{
    Control, EnvError, Environment as _, Event, ExpertName, Role, Split, TaskId, TrajectoryId,
};
use eef_rollout::RolloutError;
use eef_scienceworld::recorded::{Divergence, Recorded, RecordedTurn, Replayed, replay};
use eef_scienceworld::{ScienceWorld, TASKS, TaskSet};
use eef_store::ForeignTrajectory;
use rayon::iter::{
    IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _,
};
use serde::Serialize;

use super::replay::{Mismatch, Reason, TOLERANCE};
use super::{Arguments, Imported, LeftOut};
use crate::config::Config;

/// Records that are played between two looks at whether to go on.
const AT_ONCE: usize = 16;

/// How the records that are kept went.
#[derive(Debug, Default, Serialize)]
pub struct Replays {
    /// Every answer was the same.
    exact: usize,
    /// Some listing stood in another order.
    reordered: usize,
    /// An answer differed, and the record is kept as it goes now.
    diverged: usize,
    /// Some reply was spelt otherwise.
    respelt: usize,
    /// Some action was said in another way.
    rephrased: usize,
}

impl fmt::Display for Replays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { exact, reordered, diverged, respelt, rephrased } = self;
        write!(
            f,
            "{exact} exactly as recorded, {reordered} with listings in another order, {diverged} \
             that go otherwise; {respelt} respelt, {rephrased} rephrased"
        )
    }
}

/// Plays each record again in the task that its name or number says.
pub(super) fn import(
    world: &ScienceWorld,
    config: &Config,
    records: &[ForeignTrajectory],
    arguments: &Arguments,
    control: &Control<'_>,
) -> anyhow::Result<Imported> {
    let total = records.len() as u64;
    control.report(Event::Started { phase: "import".to_owned(), unit: "records", total });
    let importer = Importer {
        world,
        format: config.data.action_format.parse()?,
        expert: ExpertName::from(arguments.expert.as_str()),
        arguments,
    };
    let (mut imported, mut replays) = (Imported::default(), Replays::default());
    for (first, records) in (0..).step_by(AT_ONCE).zip(records.chunks(AT_ONCE)) {
        if control.is_interrupted() {
            let n_units = total as usize;
            bail!(RolloutError::Interrupted { n_committed: first, n_units });
        }
        let play = |(index, record)| importer.play(record, first + index);
        let played = records.par_iter().enumerate().map(play);
        for played in played.collect::<Result<Vec<_>, EnvError>>()? {
            match played {
                Ok(replayed) => replays.keep(replayed, &mut imported),
                Err(left_out) => imported.left_out.push(left_out),
            }
        }
        let done = (first + records.len()) as u64;
        control.report(Event::Advanced { done, note: String::new() });
    }
    let (n_kept, n_left_out) = (imported.kept.len(), imported.left_out.len());
    control.report(Event::Finished { summary: format!("{n_kept} kept, {n_left_out} left out") });
    imported.replays = Some(replays);
    Ok(imported)
}

impl Replays {
    fn keep(&mut self, replayed: Replayed, imported: &mut Imported) {
        match (&replayed.divergence, replayed.n_reordered) {
            (Some(_), _) => self.diverged += 1,
            (None, 0) => self.exact += 1,
            (None, _) => self.reordered += 1,
        }
        self.respelt += usize::from(replayed.n_respelt > 0);
        self.rephrased += usize::from(replayed.n_rephrased > 0);
        imported.kept.push(replayed.trajectory);
    }
}

struct Importer<'a> {
    world: &'a ScienceWorld,
    format: ActionFormat,
    expert: ExpertName,
    arguments: &'a Arguments,
}

impl Importer<'_> {
    /// `number` tells apart records of one task.
    fn play(
        &self,
        record: &ForeignTrajectory,
        number: usize,
    ) -> Result<Result<Replayed, LeftOut>, EnvError> {
        let task = task_of(self.world, &record.item);
        let left_out = |why| {
            let (position, item) = (record.position, record.item.clone());
            let task = task.as_ref().map(ToString::to_string);
            Ok(Err(LeftOut { position, item, task, why }))
        };
        let unknown = Mismatch::new(Reason::UnknownTask, None, "one of the tasks", "no such task");
        let Some(task_id) = &task else { return left_out(unknown) };
        let (opening, turns) = self.turns(record);
        if turns.is_empty() {
            return left_out(Mismatch::new(Reason::NoAction, None, "", "no reply after the task"));
        }
        let name = task_id.to_string();
        let number = (number as u64).to_le_bytes();
        let parts = [b"import", self.expert.as_bytes(), name.as_bytes(), &number];
        let id = TrajectoryId::derive(&parts);
        let recorded = Recorded { id, expert: &self.expert, opening: &opening, turns: &turns };
        let normalizer = self.arguments.normalize.unwrap_or_default();
        let Some(replayed) = replay(self.world, task_id, &recorded, normalizer)? else {
            return left_out(unknown);
        };
        let why = replayed.divergence.as_ref().map(|divergence| self.mismatch(divergence, &turns));
        let reward = replayed.trajectory.outcome.reward.get();
        // A stated reward that is no number is none that anything earns.
        let is_earned = |stated: f64| (stated - reward).abs() <= TOLERANCE;
        let stated = record.reward.filter(|stated| !is_earned(*stated)).map(|stated| {
            Mismatch::new(Reason::OtherReward, None, &stated.to_string(), &reward.to_string())
        });
        match why.or(stated) {
            Some(why) if !self.arguments.keep_diverged => left_out(why),
            _ => Ok(Ok(replayed)),
        }
    }

    /// The message that states the task, and what was said after it, in the form from which the
    /// environment reads actions.
    fn turns(&self, record: &ForeignTrajectory) -> (String, Vec<RecordedTurn>) {
        let (mut opening, mut turns) = (String::new(), Vec::<RecordedTurn>::new());
        for message in &record.messages {
            match (message.role, turns.last_mut()) {
                // The rules are acknowledged before the task is stated.
                (Role::Assistant, None) if is_acknowledgement(&message.text) => opening.clear(),
                (Role::Assistant, _) => {
                    turns.push(RecordedTurn { reply: self.reply(&message.text), answer: None });
                }
                (Role::User, None) => {
                    opening.push_str(&message.text);
                    opening.push('\n');
                }
                (Role::User, Some(turn)) => {
                    let text = message.text.trim();
                    let text = text.strip_prefix("Observation:").unwrap_or(text).trim_start();
                    turn.answer = Some(match turn.answer.take() {
                        Some(answer) => format!("{answer}\n{text}"),
                        None => text.to_owned(),
                    });
                }
            }
        }
        (opening, turns)
    }

    fn reply(&self, said: &str) -> String {
        let action = ActionFormat::ReAct.parse(said);
        match (self.format, action) {
            (ActionFormat::Plain, Ok(action)) => action.to_owned(),
            (ActionFormat::ReAct, Ok(action)) if self.arguments.drop_thoughts => {
                format!("Action:\n{action}")
            }
            (ActionFormat::ReAct, Err(_)) if !said.contains("Thought:") => {
                format!("Action:\n{}", said.trim())
            }
            _ => said.trim().to_owned(),
        }
    }

    fn mismatch(&self, divergence: &Divergence, turns: &[RecordedTurn]) -> Mismatch {
        let said = |turn: usize| turns.get(turn).map_or("", |turn| turn.reply.as_str());
        match divergence {
            Divergence::Answer { turn, recorded, shown } => {
                let reply = turn.map(|turn| turn + 1);
                Mismatch::new(Reason::OtherAnswer, reply, recorded, shown)
            }
            Divergence::Ended(turn) => {
                Mismatch::new(Reason::GoesOn, Some(turn + 1), said(*turn), "the episode has ended")
            }
            Divergence::TurnLimit(turn) => {
                let most = format!("at most {} turns", self.world.max_turns());
                Mismatch::new(Reason::TooLong, Some(turn + 1), said(*turn), &most)
            }
        }
    }
}

fn is_acknowledgement(text: &str) -> bool {
    text.trim().to_lowercase().starts_with("ok") && !text.contains("Action:")
}

/// The task that a record's name says: a task's id (`scienceworld/train/7`), a task's name with a
/// variation (`find-plant_12`), or AgentGym's number (`sciworld_1234`).
fn task_of(world: &ScienceWorld, item: &str) -> Option<TaskId> {
    if item.starts_with(world.name()) {
        let mut all = Split::ALL.into_iter().flat_map(|split| world.tasks(split));
        return all.find(|task| task.to_string() == item);
    }
    let name = item.trim_end_matches(|c: char| c.is_ascii_digit());
    let number: u32 = item[name.len()..].parse().ok()?;
    let name = name.trim_end_matches(['_', '-', '/', ' ']);
    // The longest: one task's name is part of another's.
    let kinds = TASKS.into_iter().filter(|kind| name.ends_with(kind.name));
    let named = kinds.max_by_key(|kind| kind.name.len()).map(|kind| (kind, number));
    let (kind, variation) = named.or_else(|| TaskSet::AgentGym.game(number))?;
    world.task_id(kind.name, variation)
}
