//! How long work is watched and stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request to stop, shared with a signal handler.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks everyone who watches to stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether someone asked.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// News of long work. Libraries report; only the CLI renders.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A phase begins.
    Started {
        /// Its name, such as `explore round 1`.
        phase: String,
        /// What is counted, such as `rollouts`.
        unit: &'static str,
        /// How many there are.
        total: u64,
    },
    /// The running phase got on.
    Advanced {
        /// How many are done.
        done: u64,
        /// What else is worth a look: a win rate, a loss.
        note: String,
    },
    /// A result on the way, such as a round's, in a line.
    Milestone {
        /// The line.
        line: String,
    },
    /// The running phase ended.
    Finished {
        /// What came of it, in a line.
        summary: String,
    },
}

/// Receives events; called from any thread.
pub trait Progress: Sync {
    /// Takes one.
    fn report(&self, event: Event);
}

/// Ignores every event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _: Event) {}
}

/// What long work is given: whom to tell, and when to stop.
#[derive(Clone)]
pub struct Control<'a> {
    progress: &'a dyn Progress,
    interrupt: Interrupt,
}

impl<'a> Control<'a> {
    /// Joins the two.
    pub fn new(progress: &'a dyn Progress, interrupt: Interrupt) -> Self {
        Self { progress, interrupt }
    }

    /// Tells nobody and never stops: for tests and small programs.
    pub fn silent() -> Control<'static> {
        Control { progress: &Silent, interrupt: Interrupt::default() }
    }

    /// The same wish to stop, reported to somebody else.
    pub fn with_progress<'b>(&self, progress: &'b dyn Progress) -> Control<'b> {
        Control { progress, interrupt: self.interrupt.clone() }
    }

    /// Reports an event.
    pub fn report(&self, event: Event) {
        self.progress.report(event);
    }

    /// Whether to stop at the next safe place.
    pub fn is_interrupted(&self) -> bool {
        self.interrupt.is_requested()
    }
}
