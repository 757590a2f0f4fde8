//! What can go wrong between us and a registry, said without any secret.
//!
//! The texts name no option of a program: a caller that has one for it learns by
//! [`RegistryError::is_insecure`] that it may help.

use std::time::Duration;

use http::StatusCode;
use thiserror::Error;

use super::credentials::CredentialsError;
use super::transport::Failure;
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
    #[error("{what} was refused with status {}{message}{}", .status.as_u16(), remedy(*.status))]
    Refused {
        /// The request.
        what: String,
        /// The HTTP status.
        status: StatusCode,
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
    /// A name, or a media type, is not one that a request can have.
    #[error("a request cannot be made; check the name of the repository and the media type")]
    Request(#[from] http::Error),
    /// The same failure, or one like it, at the last of several attempts.
    #[error("{error}; gave up after {attempts} attempts")]
    Repeated {
        /// How often it was tried.
        attempts: u32,
        /// What happened at last.
        error: Box<RegistryError>,
    },
    /// The registry does not accept the name and the password that the user gives.
    #[error(
        "`{registry}` does not accept this password for `{user}`{message}; some registries want \
         a token in its place"
    )]
    WrongLogin {
        /// The registry.
        registry: String,
        /// The user's name.
        user: String,
        /// What the registry said about it; empty, or starting with a colon.
        message: String,
    },
    /// No token could be had.
    #[error("cannot log in to `{registry}`: {problem}")]
    Login {
        /// The registry.
        registry: String,
        /// What went wrong.
        problem: LoginError,
    },
}

/// Why there is nothing to log in with.
#[derive(Debug, Error)]
pub enum LoginError {
    /// What holds the credentials cannot be used.
    #[error("{0}")]
    Credentials(CredentialsError),
    /// A registry that is reached by TLS names a token server that is not.
    #[error("its token server is not reached over HTTPS")]
    Unsafe,
    /// The token server does not take the credentials, or no guests.
    #[error(
        "its token server refuses {}, status {}{message}; log in with `nix-image \
         login`, `docker login` or `podman login`",
        if *.guest { "a guest" } else { "these credentials" },
        .status.as_u16()
    )]
    Refused {
        /// Whether it was asked without credentials.
        guest: bool,
        /// The HTTP status.
        status: StatusCode,
        /// What it said about it; empty, or starting with a colon.
        message: String,
    },
    /// The token server does not answer, or not now.
    #[error("its token server cannot be used: {0}")]
    Unavailable(Box<RegistryError>),
    /// The token server's answer is cut off, or too large.
    #[error("its token server's answer cannot be read")]
    Unreadable,
    /// There is no token in the token server's answer.
    #[error("its token server gives no token")]
    NoToken,
}

impl RegistryError {
    /// Whether trying again may help.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Transport { failure, .. } => failure.is_passing(),
            Self::Refused { status, .. } => matches!(
                *status,
                StatusCode::REQUEST_TIMEOUT
                    | StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::INTERNAL_SERVER_ERROR
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
            Self::Expired { .. } => true,
            _ => false,
        }
    }

    /// Whether the registry does not know the upload, or not at that location, that is to go on.
    pub fn is_lost_upload(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: StatusCode::NOT_FOUND
                    | StatusCode::GONE
                    | StatusCode::RANGE_NOT_SATISFIABLE,
                ..
            }
        )
    }

    /// Whether the registry cannot be used at all, by us at least: there is no sense in asking it
    /// for anything else.
    pub fn is_end_of_all(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Login { .. } => true,
            Self::Repeated { error, .. } => error.is_end_of_all(),
            _ => false,
        }
    }

    /// Whether the registry does not let us do it.
    pub fn is_denial(&self) -> bool {
        matches!(
            self,
            Self::Refused { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. }
        )
    }

    /// Whether it would go if certificates were not checked and plain HTTP were allowed.
    pub fn is_insecure(&self) -> bool {
        match self {
            Self::Transport { failure, .. } => failure.is_insecure(),
            Self::Repeated { error, .. }
            | Self::Login { problem: LoginError::Unavailable(error), .. } => error.is_insecure(),
            _ => false,
        }
    }

    /// The pause that the registry asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn remedy(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => "; name the registry by the address that it sends requests to",
        401 => "; log in with `nix-image login`, `docker login` or `podman login`",
        403 => "; does the account that you are logged in with have the right to push there?",
        404 => "; does the repository exist, and do you have access to it?",
        413 => "; the registry, or a proxy before it, takes no blobs of this size",
        429 => "; the registry wants fewer requests, so try again later",
        500.. => "; the registry is in trouble, so try again later",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::transport::Transport;

    #[test]
    fn what_a_caller_could_allow_is_known_through_what_it_is_wrapped_in() {
        let request = http::Request::get("http://192.0.2.1/").body(&[][..]).unwrap();
        let failure = Transport::new(false).send(request).unwrap_err();
        let error = RegistryError::Transport { what: "asking".into(), failure };
        assert!(error.is_insecure() && error.is_end_of_all() && !error.is_passing());
        let problem = LoginError::Unavailable(error.into());
        let error = RegistryError::Login { registry: "reg.io".into(), problem };
        assert!(error.is_insecure() && error.is_end_of_all() && !error.is_passing());
        assert_eq!(
            error.to_string(),
            "cannot log in to `reg.io`: its token server cannot be used: asking failed: it leads to \
             an address without TLS, which is not allowed"
        );
        let problem = LoginError::NoToken;
        assert!(!RegistryError::Login { registry: "reg.io".into(), problem }.is_insecure());
    }

    #[test]
    fn refusals_say_what_to_do_by_their_status() {
        for (status, remedy) in [
            (301, "name the registry by"),
            (401, "log in with"),
            (404, "does the repository exist"),
            (429, "try again later"),
            (503, "in trouble"),
            (400, "with status 400: no way"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = RegistryError::Refused {
                what: "asking".into(),
                status,
                message: ": no way".into(),
                retry_after: None,
            };
            let text = error.to_string();
            assert!(text.starts_with("asking was refused with status "), "{text}");
            assert!(text.contains(remedy) && !text.contains("--"), "{text}");
        }
    }
}
