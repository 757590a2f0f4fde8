//! A registry for one pull.
//!
//! Whoever is on this machine can connect to it. So the image is at a path that cannot be guessed,
//! and that stands in no command's arguments, which everybody can read, nor in a name that stays.

use std::net::{Ipv4Addr, SocketAddr};

use super::command::Patience;
use super::temporary::Temporary;
use super::{Delivery, LoadError};
use crate::Transfer;
use crate::causes;
use crate::serve::{Repository, Server};
use image::threads;
use oci::Reference;

use crate::observer::Step;

/// A host that is nowhere: the part of a name that the engine is told to ask our registry for.
const ALIAS: &str = "nix-image.invalid";

/// An image in the registry.
#[derive(Debug)]
pub(super) struct Source {
    /// Where it is.
    pub(super) location: Reference,
    /// A name that does not reveal the location. [`Self::hosts`] and [`Self::registries_conf`] map
    /// it to the location.
    pub(super) alias: Reference,
    secret: String,
}

impl Source {
    /// An image in a registry that does not listen yet.
    fn new(id: &str) -> Result<Self, LoadError> {
        let secret = random()?;
        // Of its own for each load, so that none takes away the name that another one uses.
        let tag = format!("{}-{}", &id[..12], &random()?[..12]);
        // Names of ours, since the image's own may be none that a registry takes.
        let name = |registry: Option<&str>, repository: String| Reference {
            registry: registry.map(str::to_owned),
            repository,
            tag: Some(tag.clone()),
            digest: None,
        };
        let location = name(None, format!("{secret}/load"));
        Ok(Self { location, alias: name(Some(ALIAS), "load".into()), secret })
    }

    /// The registry and the path in it that the alias' registry stands for.
    fn base(&self, between: &str) -> String {
        let address = self.location.registry.as_deref().unwrap_or_default();
        format!("{address}{between}/{}", self.secret)
    }

    /// What containerd's clients are given as `--hosts-dir`.
    pub(super) fn hosts(&self) -> Result<Temporary, LoadError> {
        let url = format!("http://{}", self.base("/v2"));
        file(
            &format!("{ALIAS}/hosts.toml"),
            &format!(
                "server = \"{url}\"\n\n[host.\"{url}\"]\ncapabilities = [\"pull\", \"resolve\"]\n\
                 override_path = true\n"
            ),
        )
    }

    /// What podman is given as its `registries.conf`, a file of that name in a directory.
    pub(super) fn registries_conf(&self) -> Result<Temporary, LoadError> {
        let base = self.base("");
        file(
            REGISTRIES_CONF,
            &format!(
                "[[registry]]\nprefix = \"{ALIAS}\"\nlocation = \"{base}\"\n\
                 insecure = true\n"
            ),
        )
    }
}

/// 128 random bits in hexadecimal digits.
fn random() -> Result<String, LoadError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// The file's name in [`Source::registries_conf`].
pub(super) const REGISTRIES_CONF: &str = "registries.conf";

fn file(name: &str, text: &str) -> Result<Temporary, LoadError> {
    Temporary::with_file(name, text)
        .map_err(|source| LoadError::Temporary { name: name.to_owned(), source })
}

impl Delivery<'_> {
    /// Serves the image on the loopback while `pull` has the engine of this name fetch it. `pull` is
    /// given the image's name there and how long a command may stand still; it does not as long as it takes bytes.
    pub(super) fn with_registry(
        &self,
        engine: &'static str,
        pull: impl FnOnce(&Source, &Patience<'_>) -> Result<(), LoadError>,
    ) -> Result<Transfer, LoadError> {
        let mut source = Source::new(&self.id().hex())?;
        let mut repository = Repository::secret();
        repository.add(&source.location, self.blobs)?;
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::bind(loopback, &repository, self.observer)?;
        source.location.registry = Some(server.address().to_string());
        self.observer.step(Step::Pulling(engine), None);
        std::thread::scope(|scope| {
            let _stop = Stop(&server);
            threads::spawn(scope, || server.run())?;
            pull(&source, &Patience { limit: self.command_limit(), pulse: &|| server.moved() })?;
            Ok(server.sent())
        })
    }

    /// Whether a pulled image got its name. When it did, it only deserves a warning that the name
    /// that it was pulled by stays.
    pub(super) fn tagged(
        &self,
        tagged: Result<(), LoadError>,
        untagged: Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        tagged?;
        if let Err(error) = untagged {
            self.observer.warn(&format!(
                "the image keeps a temporary name as well ({})",
                causes::line(&error)
            ));
        }
        Ok(())
    }
}

/// Stops the server also when the pull panics.
struct Stop<'a>(&'a Server<'a>);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
