//! Starts threads, handling refusal by the system.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};

use parking_lot::Mutex;
use thiserror::Error;

/// A thread could not be started.
#[derive(Debug, Error)]
#[error("cannot start a thread; allow more processes (`ulimit -u`) or memory (`ulimit -v`)")]
pub struct ThreadError(#[from] io::Error);

/// The number of threads that can run at a time; 1 if it is unknown.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Starts a scoped thread. Unlike [`Scope::spawn`], it does not panic on failure.
pub fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, ThreadError> {
    Ok(thread::Builder::new().spawn_scoped(scope, work)?)
}

/// Calls `work` for each item on this many threads, and returns the results in the order of the
/// items. Items are started in order. After the first error no more are started, and the error is
/// returned.
pub fn map<T: Sync, R: Send, E: From<ThreadError> + Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let outcome = Mutex::new((Vec::with_capacity(items.len()), None));
    let fail = |error| {
        next.store(items.len(), Ordering::Relaxed);
        outcome.lock().1.get_or_insert(error);
    };
    let run = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            match work(item) {
                Ok(result) => outcome.lock().0.push((index, result)),
                Err(error) => return fail(error),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            if let Err(error) = spawn(scope, run) {
                return fail(error.into());
            }
        }
    });
    let (mut results, failure) = outcome.into_inner();
    if let Some(error) = failure {
        return Err(error);
    }
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..100).collect();
        for threads in [1, 2, 7, 200] {
            let doubled = map(threads, &items, |item| {
                thread::sleep(std::time::Duration::from_micros(item * 37 % 50));
                Ok::<_, ThreadError>(item * 2)
            });
            assert_eq!(doubled.unwrap(), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
        assert!(map(3, &[], |(): &()| Ok::<_, ThreadError>(())).unwrap().is_empty());
    }

    #[test]
    fn the_first_error_keeps_others_from_being_begun() {
        let begun = AtomicUsize::new(0);
        let failed = map(1, &[0, 1, 2, 3], |item| {
            begun.fetch_add(1, Ordering::Relaxed);
            let error = io::Error::other(format!("item {item}"));
            if *item == 1 { Err(ThreadError(error)) } else { Ok(()) }
        });
        assert!(failed.is_err());
        assert_eq!(begun.into_inner(), 2);
    }
}
