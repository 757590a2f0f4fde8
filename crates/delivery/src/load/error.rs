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
        "found no container engine: {no_docker}, and neither podman nor containerd is available; \
         start one of them"
    )]
    NoEngine {
        /// Why dockerd cannot be used.
        no_docker: String,
    },
    /// A required program is not on PATH.
    #[error("`{0}` is not on PATH; install it")]
    NoProgram(String),
    /// dockerd can only be reached through the docker command, which is not on PATH.
    #[error(
        "dockerd at {host} can only be reached through the docker command, which is not on PATH; \
         install it"
    )]
    NoDockerCommand {
        /// dockerd's address.
        host: String,
    },
    /// It is not known whether dockerd is running, because its address cannot be determined.
    #[error("cannot determine dockerd's address")]
    NoEndpoint(#[source] EndpointError),
    /// dockerd's address cannot be determined.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// An engine cannot be reached.
    #[error("{what}")]
    Unreachable {
        /// Which engine, its address, and what to do about it.
        what: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// An engine makes no progress. Another way of loading would not help.
    #[error("{what} for {} s; {remedy}", waited.as_secs())]
    Stalled {
        /// Which engine or program did not do what.
        what: String,
        /// What to do about it.
        remedy: &'static str,
        /// How long this program waited.
        waited: Duration,
    },
    /// The connection to dockerd broke.
    #[error("{action} dockerd")]
    Connection {
        /// What was being done.
        action: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The docker command that the connection goes through reported an error.
    #[error("docker reported: {said}")]
    Tunnel {
        /// What it reported.
        said: String,
        /// How the connection broke.
        source: Box<LoadError>,
    },
    /// The head of dockerd's answer cannot be read.
    #[error("cannot read dockerd's answer")]
    Head(#[from] HeadError),
    /// The body of dockerd's answer cannot be read.
    #[error("cannot read dockerd's answer")]
    Body(#[source] io::Error),
    /// The body of dockerd's answer is too large.
    #[error("cannot read dockerd's answer: it is larger than {MAX_ANSWER} bytes")]
    TooLarge,
    /// dockerd refused a request.
    #[error("dockerd answers {status} to {path}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The path of the request.
        path: String,
        /// dockerd's message.
        message: String,
    },
    /// The name of an image is not valid.
    #[error(transparent)]
    Name(#[from] oci::ReferenceError),
    /// An engine has no image with the name.
    #[error("{engine} has no image `{name}`; check the names in its list of images")]
    NoImage {
        /// The engine.
        engine: &'static str,
        /// The name.
        name: String,
    },
    /// dockerd accepted a request and then failed.
    #[error("dockerd reported: {0}")]
    Failed(String),
    /// A program cannot be started.
    #[error("starting `{program}`")]
    Start {
        /// The program's name.
        program: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Waiting for a program failed.
    #[error("running `{line}`")]
    Run {
        /// The program and its arguments.
        line: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A program failed.
    #[error("`{line}` failed ({status}): {said}")]
    Exit {
        /// The program and its arguments.
        line: String,
        /// Its exit status.
        status: ExitStatus,
        /// The end of its standard error.
        said: String,
    },
    /// The output of an engine is not valid JSON.
    #[error("{what} is not valid JSON")]
    NotJson {
        /// What was parsed.
        what: String,
        /// Where it is invalid.
        source: serde_json::Error,
    },
    /// An engine's state or answer is not as expected.
    #[error("{0}")]
    Unexpected(String),
    /// The engine does not support this image or this way of loading.
    #[error("{0}")]
    Unsupported(String),
    /// An engine pulled another image than the one served to it. Something else answers in place of
    /// this program, so no other way is tried.
    #[error(
        "{engine} pulled the image {found}, expected {expected}; something else answers it at \
         127.0.0.1. The image was not given its name; load it as an archive instead"
    )]
    WrongImage {
        /// The engine.
        engine: &'static str,
        /// The ID of the image that was served.
        expected: Digest,
        /// The ID of the image that was pulled.
        found: String,
    },
    /// The engine has the image but refuses to name it, in whatever way it was loaded.
    #[error("the engine has the image but refuses to name it `{name}`")]
    NotNamed {
        /// The name.
        name: String,
        /// Why.
        source: Box<LoadError>,
    },
    /// The image keeps losing its name in podman.
    #[error("the image keeps losing the name `{name}` in podman; load it again")]
    NameLost {
        /// The name.
        name: String,
        /// What podman reported for the name.
        source: Box<LoadError>,
    },
    /// The operating system returned no random bytes.
    #[error("asking the system for random bytes")]
    Random(#[from] getrandom::Error),
    /// A file for the engine cannot be written.
    #[error("writing `{name}` into a temporary directory")]
    Temporary {
        /// The file's name.
        name: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The image cannot be served to the engine.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Layers cannot be placed in the engine's storage.
    #[error("cannot place the layers in the engine's storage: {why}")]
    NoImport {
        /// Why.
        why: String,
    },
    /// Placing layers in the engine's storage failed.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Link(Box<crate::linked::LinkError>),
    /// The archive cannot be created or written.
    #[error(transparent)]
    Delivery(#[from] crate::Error),
}

impl LoadError {
    /// The error for an engine that does not accept archives without some of the layers.
    pub(super) fn whole_only(engine: &str) -> Self {
        Self::Unsupported(format!("{engine} only accepts whole archives; choose another way"))
    }

    /// Whether an engine makes no progress, so that waiting longer may help.
    pub fn is_stalled(&self) -> bool {
        self.any(|error| matches!(error, Self::Stalled { .. }))
    }

    /// Whether something else answered an engine in place of the load's registry, so that an
    /// archive may help.
    pub fn is_wrong_image(&self) -> bool {
        self.any(|error| matches!(error, Self::WrongImage { .. }))
    }

    /// Whether any other way of loading would fail too.
    pub(super) fn is_final(&self) -> bool {
        // As written by engines, which are Go programs. In this program's own messages it starts
        // with `N`.
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

    /// Whether layers of this image cannot be placed in the storage of this engine.
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

    /// Whether the peer closed the connection.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Head(HeadError::Closed))
            || causes::is_io(self, io::ErrorKind::BrokenPipe)
    }

    /// The error of another module that this one wraps, or this one itself.
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
