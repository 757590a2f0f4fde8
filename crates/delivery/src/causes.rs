//! Errors with their causes.

use std::error::Error;
use std::{io, iter};

/// An error and its causes, the outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// Whether one of an error's causes is an I/O error of this kind.
pub(crate) fn is_io(error: &(dyn Error + 'static), kind: io::ErrorKind) -> bool {
    let mut kinds = causes(error).filter_map(|error| error.downcast_ref().map(io::Error::kind));
    kinds.any(|found| found == kind)
}

/// An error and all its causes on one line.
#[cfg(any(feature = "push", feature = "serve"))]
pub(crate) fn line(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
