//! What can go wrong between us and a registry, said without any secret.

use std::time::Duration;

use thiserror::Error;

use super::failure::Failure;
use formats::digest::Digest;

/// Why a registry could not be used.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// No answer came, or none that is HTTP.
    #[error("{what} failed: {failure}")]
    Transport {
        /// The request.
        what: String,
        /// What happened.
        failure: Failure,
    },
    /// The registry said no.
    #[error("{what} was refused with status {status}{message}{}", remedy(*.status))]
    Refused {
        /// The request.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What the registry said about it; empty, or starting with a colon.
        message: String,
        /// When to come again, if it said so.
        retry_after: Option<Duration>,
    },
    /// The right to go on ended between two requests, and was given again.
    #[error("{what} was refused with status 401 although the one before it was not")]
    Expired {
        /// The request.
        what: String,
    },
    /// The registry's answer is not what the protocol says.
    #[error("{what} got an answer that cannot be used: {problem}")]
    Answer {
        /// The request.
        what: String,
        /// What is wrong.
        problem: String,
    },
    /// The registry has something else than what was sent or asked for.
    #[error("{what} answered for {found} instead of {expected}")]
    Digest {
        /// The request.
        what: String,
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// An answer is larger than anything of its kind.
    #[error("{what} answered with more than {limit} bytes, which no document of that kind has")]
    TooLarge {
        /// The request.
        what: String,
        /// The most that is read.
        limit: u64,
    },
    /// The same failure, or one like it, at the last of several attempts.
    #[error("{error}; gave up after {attempts} attempts")]
    Repeated {
        /// How often it was tried.
        attempts: u32,
        /// What happened at last.
        error: Box<RegistryError>,
    },
    /// No token could be had.
    #[error("cannot log in to `{registry}`: {problem}")]
    Login {
        /// The registry.
        registry: String,
        /// What went wrong.
        problem: String,
    },
    /// The server that has the tokens cannot be asked for one.
    #[error("cannot log in to `{registry}`: its token server is of no help: {error}")]
    TokenServer {
        /// The registry.
        registry: String,
        /// What went wrong.
        error: Box<RegistryError>,
    },
}

impl RegistryError {
    /// Whether trying again may help.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Transport { failure, .. } => failure.is_passing(),
            Self::Refused { status, .. } => {
                matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
            }
            Self::Expired { .. } => true,
            _ => false,
        }
    }

    /// Whether the registry does not know the upload, or not at that place, that is to go on.
    pub fn is_lost_upload(&self) -> bool {
        matches!(self, Self::Refused { status: 404 | 410 | 416, .. })
    }

    /// Whether the registry cannot be used at all, by us at least: there is no sense in asking it
    /// for anything else.
    pub fn is_end_of_all(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Login { .. } | Self::TokenServer { .. } => true,
            Self::Repeated { error, .. } => error.is_end_of_all(),
            _ => false,
        }
    }

    /// Whether it would go if certificates were not checked and plain HTTP were allowed.
    pub fn is_insecure(&self) -> bool {
        match self {
            Self::Transport { failure, .. } => failure.is_insecure(),
            Self::Repeated { error, .. } | Self::TokenServer { error, .. } => error.is_insecure(),
            _ => false,
        }
    }

    /// Whether the registry does not let us do it.
    pub fn is_denial(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403, .. })
    }

    /// The pause that the registry asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn remedy(status: u16) -> &'static str {
    match status {
        300..=399 => "; name the registry by the address that it sends requests to",
        401 => "; log in with `docker login`, `podman login` or `skopeo login`",
        403 => "; does the account that you are logged in with have the right to push there?",
        404 => "; does the repository exist, and do you have access to it?",
        413 => "; the registry, or a proxy before it, takes no blobs of this size",
        429 => "; the registry wants fewer requests, so try again later",
        500.. => "; the registry is in trouble, so try again later",
        _ => "",
    }
}
