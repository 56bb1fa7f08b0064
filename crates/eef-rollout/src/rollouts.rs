//! Units of rollouts: one against one policy, and many over several workers.

mod tally;
mod unit;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use eef_core::{Control, Environment, Event, Opening, Policy};

use crate::error::RolloutError;
use crate::job::{RolloutConfig, RolloutSummary, Unit, UnitResult};
use tally::Tally;

/// Runs rollouts of policies in an environment.
pub struct Rollouts<'a> {
    environment: &'a dyn Environment,
    opening: &'a (dyn Fn(&Opening) -> String + Sync),
    config: RolloutConfig,
}

/// What a commit callback may fail with.
pub type CommitError = Box<dyn std::error::Error + Send + Sync>;

impl<'a> Rollouts<'a> {
    /// Joins an environment, the text of an episode's first user message, and settings.
    pub fn new(
        environment: &'a dyn Environment,
        opening: &'a (dyn Fn(&Opening) -> String + Sync),
        config: RolloutConfig,
    ) -> Self {
        Self { environment, opening, config }
    }

    /// Runs one unit against one policy, on this thread.
    ///
    /// # Errors
    /// [`RolloutError::Interrupted`] where the control asked to stop; otherwise a mistake in a job
    /// or a failure of the policy. A failure of the environment is tried again with the whole unit
    /// ([`RolloutConfig::n_attempts`]) and becomes an incident in the end.
    pub fn run_unit(
        &self,
        policy: &mut dyn Policy,
        unit: &Unit,
        control: &Control<'_>,
    ) -> Result<UnitResult, RolloutError> {
        let mut worker = unit::Worker::new(self, policy);
        worker.run(unit, control, &Tally::default())
    }

    /// Runs units over several workers, one for each policy, and hands every result to `commit`
    /// in the order of the units, on the calling thread.
    ///
    /// All policies must answer alike; then the results do not depend on how many there are, nor
    /// on who runs what. Reports [`Event::Started`], one [`Event::Advanced`] per episode with the
    /// win rate so far, and [`Event::Finished`]. Nothing is reported for no units.
    ///
    /// # Errors
    /// As [`Rollouts::run_unit`]; [`RolloutError::Commit`] where the callback fails. Units before
    /// the failed one are committed, later ones are not.
    pub fn run(
        &self,
        phase: &str,
        policies: &mut [Box<dyn Policy>],
        units: &[Unit],
        control: &Control<'_>,
        commit: &mut dyn FnMut(UnitResult) -> Result<(), CommitError>,
    ) -> Result<RolloutSummary, RolloutError> {
        if units.is_empty() {
            return Ok(RolloutSummary::default());
        }
        if policies.is_empty() {
            return Err(RolloutError::NoPolicy { n_units: units.len() });
        }
        let total = units.iter().map(|unit| unit.jobs.len() as u64).sum();
        control.report(Event::Started { phase: phase.to_owned(), unit: "rollouts", total });
        let pools = self.pools(policies.len().min(units.len()))?;
        let shared = Shared { next: AtomicUsize::new(0), tally: Tally::default() };
        let (sender, results) = mpsc::channel();
        let outcome = std::thread::scope(|scope| {
            for (policy, pool) in policies.iter_mut().zip(&pools) {
                let (sender, shared) = (sender.clone(), &shared);
                scope.spawn(move || {
                    pool.install(|| self.work(policy.as_mut(), units, control, shared, &sender));
                });
            }
            drop(sender);
            let outcome = commit_in_order(units, &results, commit);
            // After a failure nobody needs another unit; those in progress end by themselves.
            shared.next.store(units.len(), Ordering::SeqCst);
            outcome
        });
        let summary = outcome?;
        control.report(Event::Finished { summary: tally::sentence(&summary) });
        Ok(summary)
    }

    fn pools(&self, n_workers: usize) -> Result<Vec<rayon::ThreadPool>, RolloutError> {
        let n_threads = self.config.n_threads_per_worker.max(1);
        let pool = || rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
        (0..n_workers)
            .map(|_| pool().map_err(|source| RolloutError::Pool { n_threads, source }))
            .collect()
    }

    /// Takes the next free unit until there is none, or one fails.
    fn work(
        &self,
        policy: &mut dyn Policy,
        units: &[Unit],
        control: &Control<'_>,
        shared: &Shared,
        sender: &mpsc::Sender<(usize, Result<UnitResult, RolloutError>)>,
    ) {
        let mut worker = unit::Worker::new(self, policy);
        loop {
            let index = shared.next.fetch_add(1, Ordering::SeqCst);
            let Some(unit) = units.get(index) else { return };
            let result = worker.run(unit, control, &shared.tally);
            let failed = result.is_err();
            if sender.send((index, result)).is_err() || failed {
                return;
            }
        }
    }
}

struct Shared {
    next: AtomicUsize,
    tally: Tally,
}

fn commit_in_order(
    units: &[Unit],
    results: &mpsc::Receiver<(usize, Result<UnitResult, RolloutError>)>,
    commit: &mut dyn FnMut(UnitResult) -> Result<(), CommitError>,
) -> Result<RolloutSummary, RolloutError> {
    let mut summary = RolloutSummary::default();
    let mut early = BTreeMap::new();
    for (n_committed, unit) in units.iter().enumerate() {
        let result = loop {
            if let Some(result) = early.remove(&n_committed) {
                break result;
            }
            match results.recv() {
                Ok((index, result)) => early.insert(index, result),
                // Every worker ended, and this unit was never begun: one of the others failed.
                Err(mpsc::RecvError) => break first_error(&mut early, units.len()),
            };
        };
        let result = result.map_err(|error| match error {
            RolloutError::Interrupted { .. } => {
                RolloutError::Interrupted { n_committed, n_units: units.len() }
            }
            other => other,
        })?;
        summary.add(&result);
        commit(result).map_err(|source| RolloutError::Commit { unit: unit.key.clone(), source })?;
    }
    Ok(summary)
}

fn first_error(
    early: &mut BTreeMap<usize, Result<UnitResult, RolloutError>>,
    n_units: usize,
) -> Result<UnitResult, RolloutError> {
    while let Some((_, result)) = early.pop_first() {
        result?;
    }
    Err(RolloutError::Interrupted { n_committed: 0, n_units })
}
