//! Single requests, and the limits for each.
//!
//! Only this layer deals with `ureq`, `rustls`, proxies and the system's resolver. It speaks HTTP
//! and knows nothing about registries. It describes failures in our own words, without any part of
//! an address that may be a secret.

mod body;
mod connector;
mod failure;
mod proxy;
mod resolver;

use std::io::Read;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Method, Request, Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Error, Proxy, ResponseExt as _, SendBody};

pub use body::read_parts;
pub(super) use body::{Payload, read, reader};
use connector::{Naming, server_of};
pub use failure::Failure;
use failure::Peer;
use resolver::System;

/// Maximum number of idle connections kept open.
const CONNECTIONS: usize = 16;
const CONNECT: Duration = Duration::from_secs(30);
/// Maximum time until the headers of an answer arrive.
const QUESTION: Duration = Duration::from_secs(120);
/// The same after a body was sent: registries that copy a finished blob into place before they
/// answer take some minutes for the largest.
const UPLOAD: Duration = Duration::from_secs(600);
/// Maximum time for the body of an answer that is a document of a few MiB.
const BODY: Duration = Duration::from_secs(120);
/// How long a registry may stall while it reads a request, or sends an answer that is [`Streamed`].
const STALL: Duration = Duration::from_secs(120);
/// Maximum number of redirects to follow.
const REDIRECTS: u32 = 10;

/// A server's answer. [`read`] reads its body.
pub(super) type Answer = Response<Body>;

/// A request extension: the answer may take any time, as long as it does not stall.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streamed;

/// Connections to registries and their token servers.
#[derive(Debug)]
pub(super) struct Transport(Agent);

impl Transport {
    /// If `insecure`, connections may use plain HTTP, and certificates are not checked.
    pub(super) fn new(insecure: bool) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .disable_verification(insecure)
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Neither a redirect nor an upload's location may bypass the check of certificates.
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
        Self(Agent::with_parts(config.build(), Naming::default(), System::default()))
    }

    /// Makes one request, with a body in parts if the method allows one.
    pub(super) fn send(&self, request: Request<Payload<'_>>) -> Result<Answer, Failure> {
        let (mut head, body) = request.into_parts();
        if is_reading(&head.method) || head.method == Method::DELETE {
            return self.run(head, SendBody::none());
        }
        let length = body.iter().map(|part| part.len()).sum::<usize>();
        head.headers.insert(CONTENT_LENGTH, length.into());
        self.run(head, SendBody::from_reader(&mut read_parts(body)))
    }

    /// Makes one request with a body whose length need not be known.
    pub(super) fn stream(&self, request: Request<&mut dyn Read>) -> Result<Answer, Failure> {
        let (head, body) = request.into_parts();
        self.run(head, SendBody::from_reader(body))
    }

    fn run(&self, head: Parts, body: SendBody<'_>) -> Result<Answer, Failure> {
        let writes = [Method::PUT, Method::PATCH].contains(&head.method);
        let patience = if writes { UPLOAD } else { QUESTION };
        let mut peer = Peer { server: server_of(&head.uri), proxy: None, patience };
        let result = self.try_to_run(head, body, &mut peer);
        result.map_err(|error| Failure::of(&error, &peer))
    }

    fn try_to_run(
        &self,
        head: Parts,
        body: SendBody<'_>,
        peer: &mut Peer,
    ) -> Result<Answer, Error> {
        let proxy = proxy::of(&head.uri, |name| std::env::var(name).ok())?;
        let name = |proxy: &Proxy| format!("{}:{}", proxy.host(), proxy.port());
        peer.proxy = proxy.as_ref().map(name);
        // A redirected write would turn into a read, and seem to have succeeded.
        let redirects = if is_reading(&head.method) { REDIRECTS } else { 0 };
        let is_streamed = head.extensions.get::<Streamed>().is_some();
        let request = self.0.configure_request(Request::from_parts(head, body)).proxy(proxy);
        let mut request = request.timeout_recv_response(Some(peer.patience));
        if is_streamed {
            request = request.timeout_recv_body(None).timeout_per_read(Some(STALL));
        }
        self.0.run(request.max_redirects(redirects).build())
    }
}

/// The address that an answer came from, after any redirects.
pub(super) fn origin(answer: &Answer) -> &Uri {
    answer.get_uri()
}

fn is_reading(method: &Method) -> bool {
    [Method::GET, Method::HEAD].contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_refused_where_certificates_are_checked() {
        let request = Request::get("http://127.0.0.1:1/").body(&[][..]).unwrap();
        let failure = Transport::new(false).send(request).unwrap_err();
        assert!(failure.to_string().contains("without TLS"));
        assert!(failure.is_insecure());
    }
}
