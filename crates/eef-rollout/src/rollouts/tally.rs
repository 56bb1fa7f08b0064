//! Counts that several workers add to while they run, for the progress line.

use std::sync::atomic::{AtomicU64, Ordering};

use eef_core::{Control, Event};

use crate::job::RolloutSummary;

#[derive(Debug, Default)]
pub(super) struct Tally {
    done: AtomicU64,
    won: AtomicU64,
}

impl Tally {
    /// Counts an episode that ended and reports it.
    pub(super) fn ended(&self, won: bool, control: &Control<'_>) {
        let won = self.won.fetch_add(u64::from(won), Ordering::Relaxed) + u64::from(won);
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let percent = 100.0 * won as f64 / done as f64;
        control.report(Event::Advanced { done, note: format!("won {percent:.1} %") });
    }

    /// Takes back what a discarded attempt counted.
    pub(super) fn take_back(&self, done: u64, won: u64) {
        self.done.fetch_sub(done, Ordering::Relaxed);
        self.won.fetch_sub(won, Ordering::Relaxed);
    }
}

pub(super) fn sentence(summary: &RolloutSummary) -> String {
    let (n, won) = (summary.n_trajectories, summary.n_positive);
    let percent = 100.0 * summary.win_rate();
    match summary.n_incidents {
        0 => format!("{n} rollouts, {won} won ({percent:.1} %)"),
        failed => format!("{n} rollouts, {won} won ({percent:.1} %), {failed} without a result"),
    }
}
