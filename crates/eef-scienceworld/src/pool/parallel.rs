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
        let n_at_once = (options.n_workers * options.simulators_per_worker).min(items.len());
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
