//! Hints for errors: remedies in terms of command-line options, which the libraries do not know.

use std::error::Error;
use std::fmt;
use std::io;

use delivery::LayoutError;
#[cfg(feature = "load")]
use delivery::load::LoadError;
#[cfg(feature = "pull")]
use delivery::pull::PullError;
#[cfg(feature = "push")]
use delivery::push::{FalseClaim, PushError};
#[cfg(feature = "serve")]
use delivery::serve::ServeError;
use image::ImageError;
use image::threads::ThreadError;
#[cfg(any(feature = "push", feature = "pull"))]
use oci::registry::RegistryError;
use planner::graph::GraphError;
use planner::pipeline::PipelineError;

use super::not_an_image::NotAnImage;

/// There is no engine to load into, or not the requested one.
#[derive(Debug)]
pub(super) struct NoEngine {
    pub(super) error: anyhow::Error,
    /// How to choose another engine.
    pub(super) hint: &'static str,
}

/// An error with all its causes, on one line.
pub(super) fn message(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The hint for an error, or `None` if its message says everything.
pub(super) fn find(error: &anyhow::Error) -> Option<&'static str> {
    // `NoEngine` shows the error that it holds, so that error's hint comes first.
    let no_engine: Option<&NoEngine> = error.downcast_ref();
    let held = no_engine.and_then(|no_engine| of_cause(&*no_engine.error));
    let found = || error.chain().find_map(of_cause);
    held.or_else(found).or(no_engine.map(|no_engine| no_engine.hint))
}

/// Whether the registry refused a login that was given for this command.
#[cfg(feature = "push")]
pub(super) fn is_wrong_login(error: &anyhow::Error) -> bool {
    let is_meant =
        |cause| matches!(innermost(cause).downcast_ref(), Some(RegistryError::WrongLogin { .. }));
    error.chain().any(is_meant)
}

fn of_cause(error: &Cause) -> Option<&'static str> {
    let error = innermost(error);
    if let Some(operand) = error.downcast_ref() {
        return Some(NotAnImage::hint(operand));
    }
    HINTS.iter().find(|(is_meant, _)| is_meant(error)).map(|(_, hint)| *hint)
}

/// The error that an error stands for.
fn innermost(error: &Cause) -> &Cause {
    // An `io::Error` may wrap one of our own errors.
    if let Some(inner) = error.downcast_ref().and_then(io::Error::get_ref) {
        return innermost(inner);
    }
    let inner = stands_for(error, delivery::Error::inner)
        .or_else(|| stands_for(error, image::Error::inner));
    #[cfg(feature = "load")]
    let inner = inner.or_else(|| stands_for(error, LoadError::inner));
    #[cfg(feature = "push")]
    let inner = inner.or_else(|| stands_for(error, PushError::inner));
    #[cfg(feature = "pull")]
    let inner = inner.or_else(|| stands_for(error, PullError::inner));
    inner.map_or(error, innermost)
}

/// The error that a transparent error of type `E` wraps, or `None` if `error` is not one.
fn stands_for<E: Error + 'static>(error: &Cause, inner: fn(&E) -> &Cause) -> Option<&Cause> {
    // A recursive variant holds the error in a box.
    if let Some(boxed) = error.downcast_ref::<Box<E>>() {
        return Some(&**boxed);
    }
    error.downcast_ref().map(inner).filter(|inner| !inner.is::<E>())
}

type Cause = dyn Error + 'static;
type IsMeant = fn(&Cause) -> bool;

/// Errors and their hints.
const HINTS: &[(IsMeant, &str)] = &[
    (
        |error| matches!(error.downcast_ref(), Some(ImageError::NoTag | ImageError::NoName(_))),
        "name it with `-t NAME:TAG`",
    ),
    (is_circle, "use `--strategy auto`, which allows circular references"),
    #[cfg(any(feature = "push", feature = "pull"))]
    (
        |error| error.downcast_ref().is_some_and(RegistryError::is_insecure),
        "use `--tls-verify=false` if you trust the network in between",
    ),
    (Cause::is::<ThreadError>, "use fewer threads with `--threads`"),
    #[cfg(feature = "load")]
    (
        |error| error.downcast_ref().is_some_and(LoadError::is_stalled),
        "wait longer with `--timeout`",
    ),
    #[cfg(feature = "load")]
    (
        |error| matches!(error.downcast_ref(), Some(containers_storage::Error::Busy { .. })),
        "wait longer with `--timeout`",
    ),
    #[cfg(feature = "load")]
    (
        |error| matches!(error.downcast_ref(), Some(LoadError::NoImport { .. })),
        "use `--import auto`, which sends the image where it cannot be linked",
    ),
    #[cfg(feature = "load")]
    (
        |error| matches!(error.downcast_ref(), Some(LoadError::NoDockerCommand { .. })),
        "without it, run `nix-image stream CONF | ssh HOST docker load`",
    ),
    #[cfg(feature = "load")]
    (
        |error| error.downcast_ref().is_some_and(LoadError::is_wrong_image),
        "`nix-image stream` writes an archive",
    ),
    #[cfg(feature = "load")]
    (
        |error| matches!(error.downcast_ref(), Some(LoadError::NoEngine { .. })),
        "name an engine with `--engine`",
    ),
    #[cfg(feature = "serve")]
    (
        |error| matches!(error.downcast_ref(), Some(ServeError::Listen { .. })),
        "choose another address with `--listen`",
    ),
    #[cfg(feature = "push")]
    (Cause::is::<FalseClaim>, "then push again with `--no-cache`"),
    (
        |error| matches!(error.downcast_ref(), Some(delivery::Error::IsDirectory(_))),
        "write a directory with `--format oci`",
    ),
    (
        |error| matches!(error.downcast_ref(), Some(LayoutError::File(_))),
        "write a single file with `--format oci-archive`",
    ),
];

fn is_circle(error: &Cause) -> bool {
    let in_pipeline = || match error.downcast_ref() {
        Some(PipelineError::Graph(error)) => Some(error),
        _ => None,
    };
    matches!(error.downcast_ref().or_else(in_pipeline), Some(GraphError::Circle { .. }))
}

/// Shows the wrapped error.
impl fmt::Display for NoEngine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl Error for NoEngine {
    fn source(&self) -> Option<&Cause> {
        self.error.source()
    }
}
