//! Standard output, for commands that write data to it.

use std::io::{self, StdoutLock};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::bail;

/// Whether the program was started with its standard output closed.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before `main`: by then Rust's runtime has replaced closed descriptors with `/dev/null`, and
/// an archive would vanish silently.
#[ctor::ctor(unsafe)]
fn note_closed() {
    let closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err();
    CLOSED.store(closed, Ordering::Relaxed);
}

/// Fails if everything written to standard output would be lost.
pub(super) fn check() -> anyhow::Result<()> {
    if CLOSED.load(Ordering::Relaxed) {
        bail!("standard output is closed; redirect it to a file, a pipe or /dev/null");
    }
    Ok(())
}

pub(super) fn lock() -> anyhow::Result<StdoutLock<'static>> {
    check()?;
    Ok(io::stdout().lock())
}
