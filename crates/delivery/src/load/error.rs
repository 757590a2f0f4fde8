//! Why an image cannot be loaded.

use std::error::Error;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

use super::api::MAX_ANSWER;
use super::endpoint::EndpointError;
use crate::causes;
use crate::error::OutputError;
use crate::http::HeadError;
use crate::serve::ServeError;
use formats::digest::Digest;
use image::threads::ThreadError;

/// Why an image cannot be loaded into a container engine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no engine on this machine.
    #[error(
        "found no container engine: {no_docker}, and neither podman nor containerd is there; start \
         one of them"
    )]
    NoEngine {
        /// Why it is not docker.
        no_docker: String,
    },
    /// A program that is needed is not on PATH.
    #[error("`{0}` is not on PATH; install it")]
    NoProgram(String),
    /// The docker command is not on PATH, through which alone dockerd can be reached.
    #[error(
        "dockerd at {host} is reached through the docker command, which is not on PATH; install it"
    )]
    NoDockerCommand {
        /// Where dockerd is, by ssh or TLS.
        host: String,
    },
    /// Whether dockerd is there is not known, since it is not known where it should be.
    #[error("cannot tell where dockerd is")]
    NoEndpoint(#[source] EndpointError),
    /// Where dockerd should be is not known.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// An engine does not answer.
    #[error("{what}")]
    Unreachable {
        /// Which engine it is, where it should be, and what helps.
        what: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// An engine is there and does nothing. It is of no use to ask it in another way.
    #[error("{what} for {} s; {remedy}", waited.as_secs())]
    Stalled {
        /// Who did not do what.
        what: String,
        /// What to do about it.
        remedy: &'static str,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A connection to dockerd broke.
    #[error("{action} dockerd")]
    Connection {
        /// What was being done.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The docker command, through which the connection leads, said why that broke.
    #[error("docker says: {said}")]
    Tunnel {
        /// What it said.
        said: String,
        /// How the connection broke.
        source: Box<LoadError>,
    },
    /// The head of dockerd's answer cannot be read.
    #[error("dockerd's answer cannot be read")]
    Head(#[from] HeadError),
    /// The body of dockerd's answer cannot be read.
    #[error("dockerd's answer cannot be read")]
    Body(#[source] io::Error),
    /// The body of dockerd's answer does not end.
    #[error("dockerd's answer cannot be read: it has more than {MAX_ANSWER} bytes")]
    TooLarge,
    /// dockerd refuses a request.
    #[error("dockerd answers {status} to {path}: {message}")]
    Refused {
        /// The answer's status.
        status: u16,
        /// What was asked for.
        path: String,
        /// What dockerd says of it.
        message: String,
    },
    /// The name of an image in an engine is not one.
    #[error(transparent)]
    Name(#[from] oci::ReferenceError),
    /// An engine has no image of a name.
    #[error("{engine} has no image `{name}`; its own list of images has the names that there are")]
    NoImage {
        /// The engine.
        engine: &'static str,
        /// The name.
        name: String,
    },
    /// dockerd took a request and failed at it.
    #[error("dockerd says: {0}")]
    Failed(String),
    /// A program cannot be started.
    #[error("starting `{program}`")]
    Start {
        /// Its name.
        program: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program cannot be waited for.
    #[error("running `{line}`")]
    Run {
        /// The program and its arguments.
        line: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program failed.
    #[error("`{line}` ended with {status} and said: {said}")]
    Exit {
        /// The program and its arguments.
        line: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said on standard error.
        said: String,
    },
    /// What an engine said is not JSON.
    #[error("{what} is not JSON")]
    NotJson {
        /// Who said it of what.
        what: String,
        /// Where it is not.
        source: serde_json::Error,
    },
    /// The engine's answer is not a valid one.
    #[error("{0}")]
    Unexpected(String),
    /// The engine cannot be given an image in this way.
    #[error("{0}")]
    Unsupported(String),
    /// An engine got another image than the one that it was sent for. Something else answers in
    /// our place, so no other way is tried.
    #[error(
        "{engine} pulled the image {found}, expected {expected}; something else answers it at \
         127.0.0.1. The image did not get its name; load it as an archive instead"
    )]
    WrongImage {
        /// The engine.
        engine: &'static str,
        /// The ID of the image that was served.
        expected: Digest,
        /// The ID of the image that the engine has.
        found: String,
    },
    /// The engine has the image and does not give it its name, whatever way the image took.
    #[error("the engine has the image, but does not give it the name `{name}`")]
    NotNamed {
        /// The name.
        name: String,
        /// Why.
        source: Box<LoadError>,
    },
    /// podman takes the image's name away again.
    #[error("podman does not keep the name `{name}`; load the image again")]
    NameLost {
        /// The name.
        name: String,
        /// What it says of the name.
        source: Box<LoadError>,
    },
    /// The system gives no random bytes.
    #[error("asking the system for random bytes")]
    Random(#[from] getrandom::Error),
    /// A file for the engine cannot be written.
    #[error("writing `{name}` into a temporary directory")]
    Temporary {
        /// Its name.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The image cannot be served to the engine.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Layers cannot be put where the engine keeps them unpacked.
    #[error("the layers cannot be put where the engine keeps them: {why}")]
    NoImport {
        /// Why.
        why: String,
    },
    /// Layers could not be put where the engine keeps them unpacked.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Link(Box<crate::linked::LinkError>),
    /// The archive cannot be made or written.
    #[error(transparent)]
    Delivery(#[from] crate::Error),
}

impl LoadError {
    /// The error of an engine that cannot be given an archive without some of the layers.
    pub(super) fn whole_only(engine: &str) -> Self {
        Self::Unsupported(format!("{engine} takes whole archives only; choose another way"))
    }

    /// Whether an engine is there and does nothing, so that waiting longer may help.
    pub fn is_stalled(&self) -> bool {
        self.any(|error| matches!(error, Self::Stalled { .. }))
    }

    /// Whether something else than the registry of a load answered an engine in its place, so that
    /// an archive may help.
    pub fn is_wrong_image(&self) -> bool {
        self.any(|error| matches!(error, Self::WrongImage { .. }))
    }

    /// Whether it would be the same in another way.
    pub(super) fn is_final(&self) -> bool {
        // As engines write it, which are programs in Go; for this program it begins with an `N`.
        let is_full = || causes::line(self).contains("no space left on device");
        let is_meant = |error: &Self| {
            matches!(error, Self::Stalled { .. } | Self::WrongImage { .. } | Self::NotNamed { .. })
        };
        #[cfg(target_os = "linux")]
        if let Self::Link(error) = self
            && error.is_final()
        {
            return true;
        }
        self.any(is_meant) || is_full()
    }

    /// Whether an image or an engine is of a kind whose layers cannot be put there unpacked.
    pub(super) fn is_unfit(&self) -> bool {
        if matches!(self, Self::NoImport { .. }) {
            return true;
        }
        #[cfg(target_os = "linux")]
        if let Self::Link(error) = self {
            return error.is_unfit();
        }
        false
    }

    /// Whether a read or write timed out.
    pub(super) fn has_timed_out(&self) -> bool {
        matches!(self, Self::Head(HeadError::TimedOut))
            || causes::is_io(self, io::ErrorKind::TimedOut)
    }

    /// Whether the other end went away.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Head(HeadError::Closed))
            || causes::is_io(self, io::ErrorKind::BrokenPipe)
    }

    /// The error of another part that this one stands for, or this one.
    pub fn inner(&self) -> &(dyn Error + 'static) {
        match self {
            Self::Endpoint(error) => error,
            Self::Serve(error) => error,
            Self::Delivery(error) => error.inner(),
            #[cfg(target_os = "linux")]
            Self::Link(error) => error.inner(),
            _ => self,
        }
    }

    /// Whether this error, or one that it wraps, satisfies the predicate.
    fn any(&self, is_meant: impl Fn(&Self) -> bool) -> bool {
        let mut error = self;
        loop {
            if is_meant(error) {
                return true;
            }
            error = match error {
                Self::Tunnel { source, .. }
                | Self::NotNamed { source, .. }
                | Self::NameLost { source, .. } => source,
                _ => return false,
            };
        }
    }
}

impl From<OutputError> for LoadError {
    fn from(error: OutputError) -> Self {
        Self::Delivery(error.into())
    }
}

impl From<ThreadError> for LoadError {
    fn from(error: ThreadError) -> Self {
        Self::Delivery(error.into())
    }
}

#[cfg(target_os = "linux")]
impl From<crate::linked::LinkError> for LoadError {
    fn from(error: crate::linked::LinkError) -> Self {
        Self::Link(Box::new(error))
    }
}
