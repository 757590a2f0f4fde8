//! Connects to a server, and names it if it refuses.

use std::io;

use http::Uri;
use ureq::Error;
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, Transport};

/// Adds the server's name to a refused connection: after a redirect, it is not the one that the
/// request was for.
#[derive(Debug, Default)]
pub(super) struct Naming(DefaultConnector);

impl Connector<()> for Naming {
    type Out = Box<dyn Transport>;

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

/// The host and port of an address, without the rest, which may hold a secret.
pub(super) fn server_of(address: &Uri) -> String {
    let port = address.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", address.host().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_without_the_rest_of_their_address() {
        for (address, server) in [
            ("https://u:secret@reg.io/v2/?secret", "reg.io"),
            ("http://reg.io:5000/", "reg.io:5000"),
            ("http://[::1]:5000/", "[::1]:5000"),
        ] {
            assert_eq!(server_of(&address.parse().unwrap()), server);
        }
    }
}
