//! Resolves host names, and distinguishes unknown hosts from failing resolvers.

use std::io;

use http::Uri;
use ureq::Error;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// The system's resolver. All its failures are of the kind `NotFound` and name the host, either the
/// registry's or its proxy's.
#[derive(Debug, Default)]
pub(super) struct System(DefaultResolver);

impl Resolver for System {
    fn resolve(
        &self,
        address: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let host = address.host().unwrap_or_default();
        let unknown = |why: &str| {
            let problem = format!("the host `{host}` is not known{why}");
            Error::Io(io::Error::new(io::ErrorKind::NotFound, problem))
        };
        self.0.resolve(address, config, timeout).map_err(|error| match error {
            Error::Io(error) => unknown(&format!(" ({error})")),
            Error::HostNotFound => unknown(""),
            error => error,
        })
    }
}
