//! Single requests, and the limits that hold for each.

use std::io::{self, Read};
use std::time::Duration;

use ureq::http::{Request, Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, DefaultConnector, Transport as Stream,
};
use ureq::{Agent, Body, Error, Proxy, SendBody};

use super::failure::{Failure, Peer};
use super::proxy;
use super::resolver::System;

/// Connections that are kept open for further requests.
const CONNECTIONS: usize = 16;
pub(super) const CONNECT: Duration = Duration::from_secs(30);
/// Time until the head of an answer is there.
const QUESTION: Duration = Duration::from_secs(120);
/// The same after something was sent: registries that copy a finished blob to its place before
/// they answer take some minutes for the largest.
const UPLOAD: Duration = Duration::from_secs(600);
/// Time for the rest of it: only documents are read, which have some MiB at most.
pub(super) const BODY: Duration = Duration::from_secs(120);
/// Time for which a registry may take nothing of what is sent to it.
pub(super) const STALL: Duration = Duration::from_secs(120);
/// Redirections of one request that are followed.
const REDIRECTS: u32 = 10;

/// Connections to registries and their token servers.
#[derive(Debug)]
pub(super) struct Transport(Agent);

impl Transport {
    /// Connections that need not be by TLS, nor their certificates be right, if `insecure`.
    pub(super) fn new(insecure: bool) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .disable_verification(insecure)
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Neither a redirection nor an upload's place leads around the check of certificates.
            .https_only(!insecure)
            .tls_config(tls)
            .user_agent(concat!("nix-image/", env!("CARGO_PKG_VERSION")))
            // Each request has its own.
            .proxy(None)
            .max_idle_connections(CONNECTIONS)
            .max_idle_connections_per_host(CONNECTIONS)
            .timeout_connect(Some(CONNECT))
            .timeout_per_write(Some(STALL))
            .timeout_recv_body(Some(BODY));
        let connector = Naming(DefaultConnector::new());
        Self(Agent::with_parts(config.build(), connector, System::default()))
    }

    /// Makes one request with a body in parts, if its method has one at all.
    pub(super) fn send<'a>(
        &self,
        method: &str,
        address: &str,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
        body: &[&[u8]],
    ) -> Result<Response<Body>, Failure> {
        if is_reading(method) || method == "DELETE" {
            return self.run(method, address, headers, SendBody::none());
        }
        let length = body.iter().map(|part| part.len()).sum::<usize>().to_string();
        let headers = headers.map(|(name, value)| (name, value.to_owned()));
        let headers: Vec<_> = headers.chain([("content-length", length)]).collect();
        let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
        self.run(method, address, headers, SendBody::from_reader(&mut read_parts(body)))
    }

    /// Makes one request with a body of which the length need not be known.
    pub(super) fn stream<'a>(
        &self,
        method: &str,
        address: &str,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
        body: &mut dyn Read,
    ) -> Result<Response<Body>, Failure> {
        self.run(method, address, headers, SendBody::from_reader(body))
    }

    fn run<'a>(
        &self,
        method: &str,
        address: &str,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
        body: SendBody<'_>,
    ) -> Result<Response<Body>, Failure> {
        let patience = if matches!(method, "PUT" | "PATCH") { UPLOAD } else { QUESTION };
        let server = server_of(&address.parse().unwrap_or_default());
        let mut peer = Peer { server, proxy: None, patience };
        let result = self.try_to_run(method, address, headers, body, &mut peer);
        result.map_err(|error| Failure::of(&error, &peer))
    }

    fn try_to_run<'a>(
        &self,
        method: &str,
        address: &str,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
        body: SendBody<'_>,
        peer: &mut Peer,
    ) -> Result<Response<Body>, Error> {
        let mut request = Request::builder().method(method).uri(address);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(body)?;
        let proxy = proxy::of(request.uri(), |name| std::env::var(name).ok())?;
        let name = |proxy: &Proxy| format!("{}:{}", proxy.host(), proxy.port());
        peer.proxy = proxy.as_ref().map(name);
        let request = self.0.configure_request(request).proxy(proxy);
        let request = request.timeout_recv_response(Some(peer.patience));
        // What writes would be sent on as something that reads, and seem to have succeeded.
        let redirects = if is_reading(method) { REDIRECTS } else { 0 };
        self.0.run(request.max_redirects(redirects).build())
    }
}

/// Connects, and says of a connection that was refused with whom: after a redirection that is
/// another than the request was for.
#[derive(Debug)]
struct Naming(DefaultConnector);

impl Connector<()> for Naming {
    type Out = Box<dyn Stream>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        self.0.connect(details, chained).map_err(|error| match error {
            Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Error::Io(io::Error::new(error.kind(), server_of(details.uri)))
            }
            error => error,
        })
    }
}

/// The host and port of an address; nothing else of it, which may hold a secret.
fn server_of(address: &Uri) -> String {
    let port = address.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", address.host().unwrap_or_default())
}

/// Reads parts of something one after the other.
pub fn read_parts<'a>(parts: &[&'a [u8]]) -> Box<dyn Read + 'a> {
    let nothing: Box<dyn Read> = Box::new(io::empty());
    parts.iter().fold(nothing, |before, part| Box::new(before.chain(*part)))
}

fn is_reading(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

/// Whether two addresses are of one server.
pub(super) fn is_same_server(one: &str, other: &str) -> bool {
    let server = |address: &str| {
        let address: Uri = address.parse().ok()?;
        let scheme = address.scheme_str()?.to_owned();
        let usual = if scheme == "https" { 443 } else { 80 };
        let host = address.host()?.to_ascii_lowercase();
        Some((scheme, host, address.port_u16().unwrap_or(usual)))
    };
    server(one).is_some_and(|one| server(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_for_one_server() {
        for (address, ours) in [
            ("https://reg.io/v2/", true),
            ("https://reg.io:443/v2/?a", true),
            ("https://REG.io?a", true),
            ("http://reg.io/v2/", false),
            ("https://reg.io:444/v2/", false),
            ("https://reg.io.evil.io/", false),
            ("https://reg.io@evil.io/", false),
            ("https://evil.io/https://reg.io/", false),
            ("/v2/", false),
        ] {
            assert_eq!(is_same_server("https://reg.io", address), ours, "{address}");
        }
        assert!(is_same_server("http://[::1]:5000", "http://[::1]:5000/v2/"));
    }

    #[test]
    fn plain_http_is_refused_where_certificates_are_checked() {
        let result = Transport::new(false).send("GET", "http://127.0.0.1:1/", [].into_iter(), &[]);
        assert!(result.unwrap_err().to_string().contains("without TLS"));
    }
}
