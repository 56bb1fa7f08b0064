//! One unit against one policy.

use eef_core::{Control, ConversationId, Env, EnvError, Incident, IncidentKind, Policy, Reply};

use super::Rollouts;
use super::tally::Tally;
use crate::episode::{Episode, Finished, Status};
use crate::error::RolloutError;
use crate::job::{Job, Start, Unit, UnitResult};

/// A policy and the environment instances that its units use one after the other.
pub(super) struct Worker<'w> {
    rollouts: &'w Rollouts<'w>,
    policy: &'w mut dyn Policy,
    spare: Vec<Box<dyn Env>>,
}

impl<'w> Worker<'w> {
    pub(super) fn new(rollouts: &'w Rollouts<'w>, policy: &'w mut dyn Policy) -> Self {
        Self { rollouts, policy, spare: Vec::new() }
    }

    /// Tries the unit until the environment does not fail in it, or attempts run out.
    pub(super) fn run(
        &mut self,
        unit: &Unit,
        control: &Control<'_>,
        tally: &Tally,
    ) -> Result<UnitResult, RolloutError> {
        check_prefixes(unit)?;
        let n_attempts = self.rollouts.config.n_attempts.max(1);
        let mut attempt = 1;
        loop {
            let result = self.attempt(unit, control, tally)?;
            let failures = result
                .incidents
                .iter()
                .filter(|incident| matches!(incident.kind, IncidentKind::EnvironmentError { .. }));
            let n_failures = failures.count();
            if n_failures == 0 || attempt == n_attempts {
                report_incidents(unit, &result);
                return Ok(result);
            }
            // Run whole again: had only the failed job joined later, the batch would be another.
            tracing::warn!(
                unit = unit.key,
                attempt,
                n_failures,
                "environment failed, trying again"
            );
            let won = result.trajectories.iter().filter(|trajectory| trajectory.is_positive());
            tally.take_back(unit.jobs.len() as u64, won.count() as u64);
            attempt += 1;
        }
    }

    fn attempt(
        &mut self,
        unit: &Unit,
        control: &Control<'_>,
        tally: &Tally,
    ) -> Result<UnitResult, RolloutError> {
        self.policy.reset();
        let mut slots = self.slots(&unit.jobs);
        let prompt = self.rollouts.opening;
        self.in_parallel(&mut slots, |slot| {
            if let Ok(episode) = &mut slot.episode {
                episode.begin(prompt);
            }
        });
        let outcome = self.converse(unit, &mut slots, control, tally);
        if outcome.is_err() {
            self.policy.reset();
        }
        outcome?;
        self.collect(unit, slots)
    }

    fn slots<'j>(&mut self, jobs: &'j [Job]) -> Vec<Slot<'j>> {
        let environment = self.rollouts.environment;
        jobs.iter()
            .map(|job| {
                let env = self.spare.pop().map_or_else(|| environment.instance(), Ok);
                let episode = env.map(|env| Episode::new(job, env, environment.max_turns()));
                Slot { episode, reply: None, counted: false }
            })
            .collect()
    }

    /// Turns and replies until every episode is over. The policy is given everything that is
    /// ready, in the order of the jobs.
    fn converse(
        &mut self,
        unit: &Unit,
        slots: &mut [Slot<'_>],
        control: &Control<'_>,
        tally: &Tally,
    ) -> Result<(), RolloutError> {
        loop {
            self.close_ended(slots, control, tally);
            let turns: Vec<_> = slots
                .iter_mut()
                .enumerate()
                .filter_map(|(index, slot)| {
                    slot.episode.as_mut().ok()?.take_turn(ConversationId(index as u64))
                })
                .collect();
            let n_waiting = slots.iter().filter(|slot| slot.is_waiting()).count();
            if n_waiting == 0 {
                return Ok(());
            }
            if control.is_interrupted() {
                return Err(RolloutError::Interrupted { n_committed: 0, n_units: 0 });
            }
            let replies = self
                .policy
                .step(turns)
                .map_err(|source| RolloutError::Policy { unit: unit.key.clone(), source })?;
            let found = replies.len();
            let answered = give(slots, replies);
            if answered != found || found == 0 {
                return Err(RolloutError::Replies { unit: unit.key.clone(), found, n_waiting });
            }
            let author = &self.rollouts.config.author;
            self.in_parallel(slots, |slot| {
                if let (Ok(episode), Some(reply)) = (&mut slot.episode, slot.reply.take()) {
                    episode.apply(reply, author);
                }
            });
        }
    }

    fn close_ended(&mut self, slots: &mut [Slot<'_>], control: &Control<'_>, tally: &Tally) {
        for (index, slot) in slots.iter_mut().enumerate() {
            let over = slot.episode.as_ref().map_or(true, Episode::is_over);
            if over && !slot.counted {
                slot.counted = true;
                self.policy.close(ConversationId(index as u64));
                tally.ended(slot.episode.as_ref().is_ok_and(Episode::has_won), control);
            }
        }
    }

    fn collect(&mut self, unit: &Unit, slots: Vec<Slot<'_>>) -> Result<UnitResult, RolloutError> {
        let mut result = UnitResult {
            key: unit.key.clone(),
            trajectories: Vec::with_capacity(slots.len()),
            incidents: Vec::new(),
        };
        for (slot, job) in slots.into_iter().zip(&unit.jobs) {
            let finished = match slot.episode {
                Ok(episode) => {
                    let (finished, env) = episode.finish(&self.rollouts.config.author);
                    self.spare.extend(env);
                    finished
                }
                Err(error) => Finished::Incident(IncidentKind::EnvironmentError {
                    message: error.to_string(),
                }),
            };
            match finished {
                Finished::Trajectory(trajectory) => result.trajectories.push(trajectory),
                Finished::Incident(kind) => {
                    result.incidents.push(Incident { job: job.id, task: job.task.clone(), kind });
                }
                Finished::UnknownTask(source) => {
                    let unit = unit.key.clone();
                    return Err(RolloutError::UnknownTask { unit, job: job.id, source });
                }
            }
        }
        Ok(result)
    }

    /// Does something with every slot, over the configured number of threads. Slots do not see
    /// each other, so the order in which they get done does not show.
    fn in_parallel<'j>(&self, slots: &mut [Slot<'j>], work: impl Fn(&mut Slot<'j>) + Sync) {
        let n_threads = self.rollouts.config.n_environment_threads.clamp(1, slots.len().max(1));
        if n_threads == 1 {
            slots.iter_mut().for_each(work);
            return;
        }
        let work = &work;
        std::thread::scope(|scope| {
            for share in slots.chunks_mut(slots.len().div_ceil(n_threads)) {
                scope.spawn(move || share.iter_mut().for_each(work));
            }
        });
    }
}

/// One job's place in a unit.
struct Slot<'j> {
    episode: Result<Episode<'j>, EnvError>,
    reply: Option<Reply>,
    counted: bool,
}

impl Slot<'_> {
    fn is_waiting(&self) -> bool {
        matches!(&self.episode, Ok(episode) if matches!(episode.status, Status::Waiting))
    }
}

/// Hands replies to their slots; gives how many had a slot that waited for one.
fn give(slots: &mut [Slot<'_>], replies: Vec<Reply>) -> usize {
    let mut n_given = 0;
    for reply in replies {
        let slot =
            usize::try_from(reply.conversation.0).ok().and_then(|index| slots.get_mut(index));
        if let Some(slot) = slot.filter(|slot| slot.is_waiting() && slot.reply.is_none()) {
            slot.reply = Some(reply);
            n_given += 1;
        }
    }
    n_given
}

fn check_prefixes(unit: &Unit) -> Result<(), RolloutError> {
    for job in &unit.jobs {
        let Start::Replay { expert, n_actions } = &job.start else {
            continue;
        };
        if *n_actions >= expert.n_actions() {
            return Err(RolloutError::PrefixTooLong {
                unit: unit.key.clone(),
                job: job.id,
                n_actions: *n_actions,
                available: expert.n_actions(),
            });
        }
    }
    Ok(())
}

fn report_incidents(unit: &Unit, result: &UnitResult) {
    for incident in &result.incidents {
        tracing::warn!(
            unit = unit.key,
            task = %incident.task,
            job = %incident.job,
            kind = incident.kind.name(),
            "a rollout gave no trajectory"
        );
    }
}
