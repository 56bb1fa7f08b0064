//! Threads that work on micro-batches.
//!
//! Each thread has a pool of one for the tensor operations it runs, so operations are not split:
//! two threads with a micro-batch each keep two cores busy through the many small operations that
//! one operation split in two would not. Results are joined in the order of the micro-batches;
//! neither the number of threads nor their timing changes a byte.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::TrainError;

/// A fixed set of threads.
#[derive(Debug)]
pub(crate) struct Workers {
    pools: Vec<ThreadPool>,
}

struct Joining<A, T> {
    sum: Result<A, TrainError>,
    n_joined: usize,
    waiting: BTreeMap<usize, Result<T, TrainError>>,
}

impl Workers {
    pub fn new(n_workers: usize) -> Result<Self, TrainError> {
        let pools = (0..n_workers.max(1)).map(|_| ThreadPoolBuilder::new().num_threads(1).build());
        let pools = pools.collect::<Result<_, _>>();
        Ok(Self { pools: pools.map_err(|error| failed(error.to_string()))? })
    }

    /// Does jobs `0..n_jobs` and joins their results in order. A job is told which thread does it,
    /// and which one it is.
    ///
    /// # Errors
    /// That of the first job, in order, that failed.
    pub fn fold<T: Send, A: Send>(
        &self,
        n_jobs: usize,
        job: &(dyn Fn(usize, usize) -> Result<T, TrainError> + Sync),
        start: A,
        join: &(dyn Fn(A, T) -> A + Sync),
    ) -> Result<A, TrainError> {
        let next = AtomicUsize::new(0);
        let joining = Mutex::new(Joining { sum: Ok(start), n_joined: 0, waiting: BTreeMap::new() });
        let work = |worker: usize| {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= n_jobs {
                    return;
                }
                let result = catch_unwind(AssertUnwindSafe(|| job(worker, index)))
                    .unwrap_or_else(|panic| Err(failed(message(&*panic))));
                let mut joining = joining.lock().unwrap_or_else(PoisonError::into_inner);
                joining.take(index, result, join);
            }
        };
        std::thread::scope(|scope| {
            for (worker, pool) in self.pools.iter().enumerate().take(n_jobs) {
                let work = &work;
                scope.spawn(move || pool.install(|| work(worker)));
            }
        });
        let joined = joining.into_inner().unwrap_or_else(PoisonError::into_inner);
        joined.sum
    }
}

impl<A, T> Joining<A, T> {
    /// Joins a result and those that waited for it.
    fn take(&mut self, index: usize, result: Result<T, TrainError>, join: &dyn Fn(A, T) -> A) {
        self.waiting.insert(index, result);
        while let Some(result) = self.waiting.remove(&self.n_joined) {
            self.n_joined += 1;
            let sum = std::mem::replace(&mut self.sum, Err(failed(String::new())));
            self.sum = match (sum, result) {
                (Ok(sum), Ok(part)) => Ok(join(sum, part)),
                (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            };
        }
    }
}

fn failed(reason: String) -> TrainError {
    TrainError::Workers { reason }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a thread panicked").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_joined_in_order_whatever_the_threads() {
        for n_workers in [1, 2, 5] {
            let workers = Workers::new(n_workers).unwrap();
            let slow_first = |_, index: usize| {
                if index.is_multiple_of(3) {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                Ok(index)
            };
            let join = |mut sum: Vec<usize>, part| {
                sum.push(part);
                sum
            };
            let joined = workers.fold(20, &slow_first, Vec::new(), &join).unwrap();
            assert_eq!(joined, (0..20).collect::<Vec<_>>());
        }
    }

    #[test]
    fn panics_and_errors_come_back_as_errors() {
        let workers = Workers::new(2).unwrap();
        let job = |_, index: usize| {
            assert!(index != 3, "three is out");
            if index == 5 { Err(TrainError::NoExamples) } else { Ok(()) }
        };
        let error = workers.fold(9, &job, (), &|(), ()| ()).unwrap_err();
        assert!(error.to_string().contains("three is out"), "{error}");
    }
}
