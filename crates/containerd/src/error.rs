//! Errors of calls to containerd.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why a call to containerd failed. Texts from the daemon are sanitized and shortened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing answers at the socket.
    #[error(
        "cannot reach containerd at `{}`; check that it is running and that this user may write to \
         the socket",
        socket.display()
    )]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// containerd refused the request, or failed at it.
    #[error("containerd cannot {action} ({reason}): {said}")]
    Refused {
        /// What containerd was asked to do.
        action: String,
        /// The kind of error that it reports.
        reason: Reason,
        /// The message that it gives.
        said: String,
    },
    /// containerd did not answer in time.
    #[error(
        "containerd did not {action} within {} s; see what it is busy with, or allow more time",
        limit.as_secs_f32()
    )]
    TimedOut {
        /// What containerd was asked to do.
        action: String,
        /// The time limit.
        limit: Duration,
    },
    /// The connection broke, or the peer does not speak gRPC.
    #[error(
        "the connection broke while containerd was asked to {action}: {said}; check that the \
         socket is containerd's, and see its log"
    )]
    Broken {
        /// What containerd was asked to do.
        action: String,
        /// How the connection broke.
        said: String,
    },
    /// containerd gave an invalid answer.
    #[error(
        "containerd was asked to {action} and gave an invalid answer: expected {expected}, found \
         {found}; check that the socket is containerd's"
    )]
    Unexpected {
        /// What containerd was asked to do.
        action: String,
        /// What the answer should have been.
        expected: String,
        /// What the answer was.
        found: String,
    },
    /// The bytes of an upload are more or fewer than announced.
    #[error("the blob {digest} has {found} bytes, expected {expected}; announce its true size")]
    WrongSize {
        /// The blob's digest.
        digest: String,
        /// The size that was announced.
        expected: u64,
        /// The number of bytes counted so far.
        found: u64,
    },
    /// A name that cannot be sent to containerd.
    #[error("`{name}` is not a valid {what} name; use visible ASCII characters")]
    InvalidName {
        /// The kind of object that it should name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The event loop cannot be started.
    #[error("cannot start the event loop for containerd")]
    Runtime(#[source] io::Error),
}

/// The kind of error that containerd reports, by gRPC's [status
/// codes](https://grpc.io/docs/guides/status-codes/).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The object of the call does not exist.
    NotFound,
    /// The object to create already exists.
    AlreadyExists,
    /// An object is not in the required state: a snapshot to remove has children, or a blob does
    /// not have the expected digest.
    FailedPrecondition,
    /// Temporary: the daemon is shutting down, or another client writes the same blob.
    Unavailable,
    /// The daemon does not implement this part of the API.
    Unimplemented,
    /// The user is not allowed to do this.
    Permission,
    /// Any other, with its gRPC code.
    Other(u32),
}

impl Error {
    /// The kind of error that containerd reports; `None` if the error is not one of the daemon's.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// Whether containerd reports that the object of the call does not exist.
    pub fn is_not_found(&self) -> bool {
        self.reason() == Some(Reason::NotFound)
    }

    /// Whether containerd reports that the object to create already exists.
    pub fn is_already_there(&self) -> bool {
        self.reason() == Some(Reason::AlreadyExists)
    }
}

impl Reason {
    /// The reason for a gRPC code other than 0.
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

/// Turns the error "not found" into `None`.
pub(crate) fn if_found<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
