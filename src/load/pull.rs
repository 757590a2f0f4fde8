//! A registry for one pull.

use std::net::{Ipv4Addr, SocketAddr};

use super::Delivery;
use super::command::Patience;
use crate::oci::Reference;
use crate::serve::{Repository, Server};
use crate::sink::Written;

impl Delivery<'_> {
    /// Serves the image on the loopback while `pull` runs, which is given its name there and how
    /// long a command may stand still; it does not as long as it takes bytes.
    pub(super) fn with_registry(
        &self,
        pull: impl FnOnce(&Reference, &Patience<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Written> {
        // A name of ours, since the image's own may be none that a registry takes.
        let id = self.id().to_string();
        let mut name = Reference {
            registry: None,
            repository: "nix-image/load".into(),
            tag: id[..12].to_owned(),
        };
        let mut repository = Repository::default();
        repository.add(&name, self.blobs)?;
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::bind(loopback, &repository, self.progress)?;
        name.registry = Some(server.address().to_string());
        self.progress.expect("the engine pulls", None);
        std::thread::scope(|scope| {
            let _stop = Stop(&server);
            scope.spawn(|| server.run());
            pull(&name, &Patience { limit: self.command_limit(), pulse: &|| server.moved() })?;
            Ok(server.sent())
        })
    }
}

/// Stops the server also when the pull panics.
struct Stop<'a>(&'a Server<'a>);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
