//! Why a request got no answer, in our own words.

use std::fmt;
use std::io;
use std::time::Duration;

use ureq::{Error, Timeout};

use super::{BODY, CONNECT, STALL};
use formats::peer_text;

/// The maximum number of characters shown of an underlying error.
const MAX_SAID: usize = 300;

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Failure {
    problem: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It may succeed the next time.
    Passing,
    /// It will fail again.
    Lasting,
    /// It will fail again unless certificates are not checked and plain HTTP is allowed.
    Insecure,
    /// Like `Insecure`: the server speaks plain HTTP.
    PlainHttp,
}

/// The other end of a request.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// The host, and the port if there is one.
    pub(super) server: String,
    /// The proxy on the way there.
    pub(super) proxy: Option<String>,
    /// How long to wait for an answer.
    pub(super) patience: Duration,
}

impl Failure {
    /// Interprets an error.
    pub(super) fn of(error: &Error, peer: &Peer) -> Self {
        match error {
            Error::Io(error) => Self::of_io(error, peer),
            Error::Rustls(error) => Self::of_tls(error, peer),
            Error::Timeout(timeout) => Self::passing(waited(*timeout, peer)),
            Error::ConnectionFailed => Self::passing("no connection could be made".into()),
            Error::Protocol(error) => {
                Self::passing(format!("the answer is not HTTP ({})", said(error)))
            }
            // The address comes from the peer, and may hold a secret.
            Error::RequireHttpsOnly(_) => {
                Self::insecure("it leads to an address without TLS, which is not allowed".into())
            }
            Error::BadUri(_) | Error::Http(_) => Self::not_a_url(),
            Error::TooManyRedirects => Self::lasting("there were too many redirects".into()),
            Error::LargeResponseHeader(..) => {
                Self::lasting("the headers of the answer are too long".into())
            }
            Error::InvalidProxyUrl => Self::lasting(
                "the proxy is not a valid URL; expected one such as \
                 http://proxy.example.org:3128 in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"
                    .into(),
            ),
            error => Self::lasting(said(error)),
        }
    }

    /// Interprets an error that occurred while an answer was read.
    pub(in crate::registry) fn of_body(error: io::Error) -> Self {
        let patience = BODY;
        Self::of(&error.into(), &Peer { server: String::new(), proxy: None, patience })
    }

    fn of_io(error: &io::Error, peer: &Peer) -> Self {
        if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref()) {
            return Self::of_tls(error, peer);
        }
        match error.kind() {
            // A closed port is unlikely to open.
            io::ErrorKind::ConnectionRefused => {
                Self::lasting(match (&peer.proxy, error.get_ref()) {
                    (Some(proxy), _) => {
                        format!("no proxy listens at `{proxy}` (connection refused)")
                    }
                    // The connector knows which server it was.
                    (None, Some(server)) => {
                        format!("nothing listens at `{}` (connection refused)", said(&server))
                    }
                    (None, None) => {
                        format!("nothing listens at `{}` (connection refused)", peer.server)
                    }
                })
            }
            // From the connection or the resolver.
            io::ErrorKind::InvalidData | io::ErrorKind::NotFound => Self::lasting(said(error)),
            io::ErrorKind::UnexpectedEof => {
                Self::passing("the connection was closed before the answer".into())
            }
            _ => Self::passing(said(error)),
        }
    }

    fn of_tls(error: &rustls::Error, peer: &Peer) -> Self {
        use rustls::{Error, InvalidMessage};
        match error {
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self {
                problem: format!("`{}` speaks plain HTTP, not TLS", peer.server),
                kind: Kind::PlainHttp,
            },
            Error::InvalidCertificate(_) => Self::insecure(format!(
                "{}; if the certificate is your own, name it in SSL_CERT_FILE",
                said(error)
            )),
            Error::General(_) => Self::lasting(format!(
                "{}; name the certificates to trust in SSL_CERT_FILE",
                said(error)
            )),
            error => Self::lasting(format!("TLS failed: {}", said(error))),
        }
    }

    fn passing(problem: String) -> Self {
        Self { problem, kind: Kind::Passing }
    }

    fn lasting(problem: String) -> Self {
        Self { problem, kind: Kind::Lasting }
    }

    fn insecure(problem: String) -> Self {
        Self { problem, kind: Kind::Insecure }
    }

    /// A server gave an address that is not a URL.
    pub(in crate::registry) fn not_a_url() -> Self {
        Self::lasting("it points to something that is not a URL".into())
    }

    /// Combines two failures of one attempt: the later one is shown, and it is temporary if either
    /// is.
    pub(in crate::registry) fn or_later(self, later: Self) -> Self {
        let kind = if self.is_passing() { self.kind } else { later.kind };
        Self { kind, ..later }
    }

    /// Whether another attempt may succeed.
    pub(in crate::registry) fn is_passing(&self) -> bool {
        self.kind == Kind::Passing
    }

    /// Whether the server spoke plain HTTP where TLS was expected.
    pub(in crate::registry) fn is_plain_http(&self) -> bool {
        self.kind == Kind::PlainHttp
    }

    /// Whether it might succeed without certificate checks, or without TLS.
    pub fn is_insecure(&self) -> bool {
        matches!(self.kind, Kind::Insecure | Kind::PlainHttp)
    }
}

/// Describes a timeout.
fn waited(timeout: Timeout, peer: &Peer) -> String {
    match timeout {
        Timeout::PerRead => format!("nothing was received for {} s", STALL.as_secs()),
        Timeout::PerWrite => format!("nothing could be sent for {} s", STALL.as_secs()),
        Timeout::Resolve | Timeout::Connect => {
            format!("there was no connection within {} s", CONNECT.as_secs())
        }
        Timeout::RecvBody => format!("the answer did not end within {} s", BODY.as_secs()),
        _ => format!("there was no answer within {} s", peer.patience.as_secs()),
    }
}

fn said(error: &impl fmt::Display) -> String {
    peer_text::start(&error.to_string(), MAX_SAID)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{CertificateError, InvalidMessage};

    fn of(error: &Error, proxy: Option<&str>) -> Failure {
        let peer = Peer {
            server: "reg.io:5000".into(),
            proxy: proxy.map(str::to_owned),
            patience: Duration::from_secs(7),
        };
        Failure::of(error, &peer)
    }

    #[test]
    fn each_failure_names_what_is_wrong_and_whether_it_passes() {
        let io = |kind: io::ErrorKind| Error::Io(kind.into());
        let tls =
            |error: rustls::Error| Error::Io(io::Error::new(io::ErrorKind::InvalidData, error));
        let plain = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let (passing, lasting, insecure, plain_http) =
            (Kind::Passing, Kind::Lasting, Kind::Insecure, Kind::PlainHttp);
        for (error, proxy, expected, kind) in [
            (io(io::ErrorKind::ConnectionRefused), None, "listens at `reg.io:5000`", lasting),
            (io(io::ErrorKind::ConnectionRefused), Some("p:1"), "proxy listens at `p:1`", lasting),
            (io(io::ErrorKind::UnexpectedEof), None, "closed before the answer", passing),
            (io(io::ErrorKind::ConnectionReset), None, "reset", passing),
            (io(io::ErrorKind::InvalidData), None, "invalid data", lasting),
            (tls(plain.clone()), None, "`reg.io:5000` speaks plain HTTP", plain_http),
            (Error::Rustls(plain), None, "not TLS", plain_http),
            (tls(unknown), None, "SSL_CERT_FILE", insecure),
            (Error::Timeout(Timeout::RecvResponse), None, "no answer within 7 s", passing),
            (Error::Timeout(Timeout::PerRead), None, "nothing was received for 120 s", passing),
            (Error::Timeout(Timeout::PerWrite), None, "nothing could be sent for 120 s", passing),
            (Error::RequireHttpsOnly("http://h/?secret".into()), None, "without TLS", insecure),
        ] {
            let failure = of(&error, proxy);
            let problem = failure.to_string();
            assert!(problem.contains(expected), "{problem}");
            assert!(!problem.contains("secret") && failure.kind == kind, "{problem}");
        }
    }

    #[test]
    fn of_two_failures_the_later_is_shown_and_either_may_pass() {
        let (passing, lasting) = (Failure::passing("p".into()), Failure::lasting("l".into()));
        for (one, other, shown, passes) in [
            (&passing, &lasting, "l", true),
            (&lasting, &passing, "p", true),
            (&lasting, &lasting, "l", false),
        ] {
            let both = one.clone().or_later(other.clone());
            assert_eq!((both.to_string().as_str(), both.is_passing()), (shown, passes));
        }
    }
}
