//! Threads, which the system may refuse to start.

use std::io;
use std::thread::{self, Scope, ScopedJoinHandle};

use thiserror::Error;

/// A thread could not be started.
#[derive(Debug, Error)]
#[error("cannot start a thread; allow more processes (`ulimit -u`) or memory (`ulimit -v`)")]
pub struct ThreadError(#[from] io::Error);

/// Starts a thread within a scope; unlike [`Scope::spawn`], it does not panic when that fails.
pub fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, ThreadError> {
    Ok(thread::Builder::new().spawn_scoped(scope, work)?)
}
