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
    /// The kind of the output cannot be determined.
    #[error("examining the output")]
    Examine(#[source] io::Error),
    /// The output is a terminal.
    #[error(
        "refusing to write the archive to a terminal; redirect it, as with `| docker load` or \
         `> image.tar`"
    )]
    Terminal,
    /// Writing failed, or the reader went away or stopped reading.
    #[error("cannot write {what}")]
    Write {
        /// What was being written.
        what: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The content to be written cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}
