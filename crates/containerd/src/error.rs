//! Why something cannot be done with containerd.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why something cannot be done with containerd. What the daemon says is plain and short here.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing can be reached at the socket.
    #[error(
        "cannot reach containerd at `{}`; check that it is running there and that this user may \
         write to the socket",
        socket.display()
    )]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// containerd refuses, or fails at, what it was asked for.
    #[error("containerd cannot {action} ({reason}): {said}")]
    Refused {
        /// What it was asked for.
        action: String,
        /// Which kind of error it says this is.
        reason: Reason,
        /// What it says of it.
        said: String,
    },
    /// containerd does not answer.
    #[error(
        "containerd did not {action} within {} s; see what it is busy with, or wait longer",
        limit.as_secs_f32()
    )]
    TimedOut {
        /// What it was asked for.
        action: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The connection broke, or is not one to a server of gRPC.
    #[error(
        "the connection broke while containerd was asked to {action}: {said}; check that it is \
         containerd that listens there, and look into its log"
    )]
    Broken {
        /// What it was asked for.
        action: String,
        /// How it broke.
        said: String,
    },
    /// An answer is not a valid one.
    #[error(
        "containerd was asked to {action} and answered {found}, expected {expected}; check that \
         it is containerd that listens there"
    )]
    Unexpected {
        /// What it was asked for.
        action: String,
        /// What its answer should have been.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A blob that is being written is not of the size that was announced.
    #[error("the blob {digest} has {found} bytes, expected {expected}; give its true size")]
    WrongSize {
        /// The blob's digest.
        digest: String,
        /// The number of bytes that was announced.
        expected: u64,
        /// The number of bytes that there were, as far as they were counted.
        found: u64,
    },
    /// A name cannot be sent to containerd.
    #[error("`{name}` is not a valid name of a {what}; use visible ASCII characters")]
    InvalidName {
        /// What it should name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// What waits for the daemon cannot be set up.
    #[error("cannot start the event loop for containerd")]
    Runtime(#[source] io::Error),
}

/// Which kind of error containerd says it is, by gRPC's
/// [codes](https://grpc.io/docs/guides/status-codes/).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// What was asked for is not there.
    NotFound,
    /// What was to be made is there already.
    AlreadyExists,
    /// Something is not in the state that it should be in: a snapshot that others are based on is
    /// to be removed, a blob has another digest than expected.
    FailedPrecondition,
    /// It cannot be done now: the daemon is shutting down, or another client writes the same blob.
    Unavailable,
    /// The daemon does not have this part of the API.
    Unimplemented,
    /// The user may not do it.
    Permission,
    /// Any other, by its number.
    Other(u32),
}

impl Error {
    /// Which kind of error containerd says it is; `None` if the daemon did not say anything.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// Whether containerd says that what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        self.reason() == Some(Reason::NotFound)
    }

    /// Whether containerd says that what was to be made is there already.
    pub fn is_already_there(&self) -> bool {
        self.reason() == Some(Reason::AlreadyExists)
    }
}

impl Reason {
    /// The reason of a gRPC code other than 0.
    pub(crate) fn of_code(code: u32) -> Self {
        match code {
            5 => Self::NotFound,
            6 => Self::AlreadyExists,
            7 | 16 => Self::Permission,
            9 => Self::FailedPrecondition,
            12 => Self::Unimplemented,
            14 => Self::Unavailable,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::FailedPrecondition => "failed precondition",
            Self::Unavailable => "unavailable",
            Self::Unimplemented => "unimplemented",
            Self::Permission => "permission denied",
            Self::Other(code) => return write!(formatter, "gRPC status {code}"),
        })
    }
}

/// `None` in place of the error that something is not there.
pub(crate) fn if_found<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
