//! A registry for a single pull.
//!
//! Every user of this machine can connect to it. So the image is at a path that cannot be guessed,
//! and that appears neither in a command's arguments, which everybody can read, nor in a name that
//! stays.

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

/// A host that does not exist: the registry in the name that the engine is told to pull. The engine
/// is configured to ask this program's registry instead.
const ALIAS: &str = "nix-image.invalid";

/// An image in the registry.
#[derive(Debug)]
pub(super) struct Source {
    /// Its location.
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
        // Unique for each load, so that none removes the name that another one is using.
        let tag = format!("{}-{}", &id[..12], &random()?[..12]);
        // Not the image's own name, which registries may not accept.
        let name = |registry: Option<&str>, repository: String| Reference {
            registry: registry.map(str::to_owned),
            repository,
            tag: Some(tag.clone()),
            digest: None,
        };
        let location = name(None, format!("{secret}/load"));
        Ok(Self { location, alias: name(Some(ALIAS), "load".into()), secret })
    }

    /// The registry and path that the alias's registry maps to.
    fn base(&self, between: &str) -> String {
        let address = self.location.registry.as_deref().unwrap_or_default();
        format!("{address}{between}/{}", self.secret)
    }

    /// The directory for the option `--hosts-dir` of containerd's clients.
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

    /// The `registries.conf` for podman, in a directory.
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
    /// Serves the image on the loopback interface while `pull` has the engine fetch it. `pull` is
    /// given the image's names, and how long a command may go without progress; sending bytes
    /// counts as progress.
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
        // Which layers the engine has is only known from its requests.
        self.observer.step(Step::Pulling(engine), Some(self.blobs.size()));
        std::thread::scope(|scope| {
            let _stop = Stop(&server);
            threads::spawn(scope, || server.run())?;
            pull(&source, &Patience { limit: self.command_limit(), pulse: &|| server.moved() })?;
            Ok(server.sent())
        })
    }

    /// Checks that a pulled image got its name. A failure to remove its temporary name is only worth
    /// a warning.
    pub(super) fn tagged(
        &self,
        tagged: Result<(), LoadError>,
        untagged: Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        tagged?;
        if let Err(error) = untagged {
            self.observer
                .warn(&format!("the image also keeps a temporary name ({})", causes::line(&error)));
        }
        Ok(())
    }
}

/// Stops the server, even if the pull panics.
struct Stop<'a>(&'a Server<'a>);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
