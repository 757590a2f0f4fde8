//! What can go wrong with a registry, described without any secret.
//!
//! The messages name no option of a program: a caller that has one learns from
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
    /// There was no answer, or none in HTTP.
    #[error("{what} failed: {failure}")]
    Transport {
        /// The request.
        what: String,
        /// What happened.
        failure: Failure,
    },
    /// The registry refused the request.
    #[error("{what} was refused with status {}{message}{}", .status.as_u16(), remedy(*.status))]
    Refused {
        /// The request.
        what: String,
        /// The HTTP status.
        status: StatusCode,
        /// The registry's message; empty, or starting with a colon.
        message: String,
        /// How long to wait before a retry, if the registry said so.
        retry_after: Option<Duration>,
    },
    /// The authorization expired between two requests, and has been renewed.
    #[error("{what} was refused with status 401, although the previous request was not")]
    Expired {
        /// The request.
        what: String,
    },
    /// The registry's answer violates the protocol.
    #[error("{what} got an unusable answer: {problem}")]
    Answer {
        /// The request.
        what: String,
        /// What is wrong.
        problem: String,
    },
    /// The registry has something other than what was sent or requested.
    #[error("{what} answered for {found} instead of {expected}")]
    Digest {
        /// The request.
        what: String,
        /// The expected digest.
        expected: Digest,
        /// The actual digest.
        found: Digest,
    },
    /// The answer is too large for its kind.
    #[error("{what} answered with more than {limit} bytes; expected no document of that size")]
    TooLarge {
        /// The request.
        what: String,
        /// The maximum size that is read.
        limit: u64,
    },
    /// A name or media type cannot be part of a request.
    #[error("a request cannot be made; check the name of the repository and the media type")]
    Request(#[from] http::Error),
    /// The last of several attempts failed as well.
    #[error("{error}; gave up after {attempts} attempts")]
    Repeated {
        /// How often it was tried.
        attempts: u32,
        /// The failure of the last attempt.
        error: Box<RegistryError>,
    },
    /// The registry rejects the user's name and password.
    #[error(
        "`{registry}` does not accept this password for `{user}`{message}; some registries \
         require a token instead"
    )]
    WrongLogin {
        /// The registry.
        registry: String,
        /// The user's name.
        user: String,
        /// The registry's message; empty, or starting with a colon.
        message: String,
    },
    /// No token could be obtained.
    #[error("cannot log in to `{registry}`: {problem}")]
    Login {
        /// The registry.
        registry: String,
        /// What went wrong.
        problem: LoginError,
    },
}

/// Why a login failed.
#[derive(Debug, Error)]
pub enum LoginError {
    /// The source of the credentials cannot be used.
    #[error("{0}")]
    Credentials(CredentialsError),
    /// A registry that is reached over TLS names a token server that is not.
    #[error("its token server is not reached over HTTPS")]
    Unsafe,
    /// The token server rejects the credentials, or anonymous access.
    #[error(
        "its token server rejects {}, status {}{message}; log in with `nix-image \
         login`, `docker login` or `podman login`",
        if *.guest { "anonymous access" } else { "these credentials" },
        .status.as_u16()
    )]
    Refused {
        /// Whether the request had no credentials.
        guest: bool,
        /// The HTTP status.
        status: StatusCode,
        /// The server's message; empty, or starting with a colon.
        message: String,
    },
    /// The token server does not answer, or not at the moment.
    #[error("its token server cannot be used: {0}")]
    Unavailable(Box<RegistryError>),
    /// The token server's answer is truncated or too large.
    #[error("its token server's answer cannot be read")]
    Unreadable,
    /// The token server's answer contains no token.
    #[error("its token server returned no token")]
    NoToken,
}

impl RegistryError {
    /// Whether the failure may be temporary, so that trying again may help.
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

    /// Whether the registry does not know the upload that should be continued, or not at that
    /// location.
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

    /// Whether the registry cannot be used at all, so that further requests are pointless.
    pub fn is_end_of_all(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Login { .. } | Self::WrongLogin { .. } => true,
            Self::Repeated { error, .. } => error.is_end_of_all(),
            _ => false,
        }
    }

    /// Whether the registry denies us access.
    pub fn is_denial(&self) -> bool {
        matches!(
            self,
            Self::Refused { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. }
        )
    }

    /// Whether the request might succeed without certificate checks and with plain HTTP allowed.
    pub fn is_insecure(&self) -> bool {
        match self {
            Self::Transport { failure, .. } => failure.is_insecure(),
            Self::Repeated { error, .. }
            | Self::Login { problem: LoginError::Unavailable(error), .. } => error.is_insecure(),
            _ => false,
        }
    }

    /// How long the registry asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn remedy(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => "; name the registry by the address that it redirects to",
        401 => "; log in with `nix-image login`, `docker login` or `podman login`",
        403 => "; does the account that you are logged in with have permission to push there?",
        404 => "; does the repository exist, and do you have access to it?",
        413 => "; the registry, or a proxy in front of it, does not accept blobs of this size",
        429 => "; the registry received too many requests, so try again later",
        500.. => "; the registry has a problem, so try again later",
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
            (503, "has a problem"),
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
