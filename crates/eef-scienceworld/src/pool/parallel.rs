//! The same work for many episodes, over all simulators of a pool.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Simulator, WorkerPool};
use crate::error::ScienceWorldError;

impl WorkerPool {
    /// Does something with every item, as many at once as the pool has simulators; the results in
    /// the order of the items. Who does what when does not show in them.
    ///
    /// # Errors
    /// The first in the order of the items among those that were found; the rest is then not begun.
    pub fn map<T: Sync, R: Send>(
        &self,
        items: &[T],
        work: impl Fn(&mut Simulator, &T) -> Result<R, ScienceWorldError> + Sync,
    ) -> Result<Vec<R>, ScienceWorldError> {
        let options = self.options();
        self.map_at_once(options.n_workers * options.simulators_per_worker, items, work)
    }

    /// As [`map`](Self::map), with as many at once as there are processors, and a worker each at
    /// least: for long work. Every simulator is compiled anew by its JVM, which a few that work on
    /// soon have behind them.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    pub fn map_on_few<T: Sync, R: Send>(
        &self,
        items: &[T],
        work: impl Fn(&mut Simulator, &T) -> Result<R, ScienceWorldError> + Sync,
    ) -> Result<Vec<R>, ScienceWorldError> {
        let options = self.options();
        let n_processors = std::thread::available_parallelism().map_or(1, usize::from);
        let n_simulators = options.n_workers * options.simulators_per_worker;
        self.map_at_once(n_processors.max(options.n_workers).min(n_simulators), items, work)
    }

    fn map_at_once<T: Sync, R: Send>(
        &self,
        n_at_once: usize,
        items: &[T],
        work: impl Fn(&mut Simulator, &T) -> Result<R, ScienceWorldError> + Sync,
    ) -> Result<Vec<R>, ScienceWorldError> {
        let n_at_once = n_at_once.min(items.len());
        let next = AtomicUsize::new(0);
        let results = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..n_at_once {
                scope.spawn(|| {
                    let mut simulator = self.simulator();
                    loop {
                        let index = next.fetch_add(1, Ordering::SeqCst);
                        let Some(item) = items.get(index) else { return };
                        let result = work(&mut simulator, item);
                        if result.is_err() {
                            next.store(items.len(), Ordering::SeqCst);
                        }
                        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                        results.insert(index, result);
                    }
                });
            }
        });
        results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
    }
}
