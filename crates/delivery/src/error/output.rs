//! Why bytes cannot be written.

use std::io;

use image::ReadError;
use thiserror::Error;

/// Why bytes cannot be written.
#[derive(Debug, Error)]
pub enum OutputError {
    /// There is no standard output.
    #[error("opening standard output")]
    Stdout(#[source] io::Error),
    /// It cannot be told what the output is.
    #[error("examining the output")]
    Examine(#[source] io::Error),
    /// It is a terminal.
    #[error(
        "the archive is not written to a terminal; redirect it, as with `| docker load` or \
         `> image.tar`"
    )]
    Terminal,
    /// The kernel refused, or the reader went away or takes nothing any more.
    #[error("cannot write {what}")]
    Write {
        /// What is written.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// What should be written cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}
