//! Remembers which repository of a registry has a blob, so that pushes to other repositories of the
//! registry can mount it instead of sending it.

use std::collections::HashMap;
use std::sync::Arc;

use formats::digest::BlobId;
use image::cache::{Cache, Key, KeyBuilder};
use oci::Reference;
use oci::registry::{Client, Options, Repository};
use parking_lot::Mutex;

/// The blobs that were pushed to one registry from this machine.
#[derive(Debug)]
pub(super) struct Mounts<'a> {
    cache: &'a Cache,
    target: &'a Reference,
    options: &'a Options,
    /// The connections by the repository to mount from; `None` if the login was refused.
    routes: Mutex<HashMap<String, Option<Route>>>,
}

/// Two repositories of the registry, reached with a login that may read the first and write to the
/// second.
#[derive(Clone, Debug)]
struct Route {
    from: Arc<Repository>,
    to: Arc<Repository>,
}

impl<'a> Mounts<'a> {
    /// What can be mounted in the target's repository.
    pub(super) fn new(cache: &'a Cache, target: &'a Reference, options: &'a Options) -> Self {
        Self { cache, target, options, routes: Mutex::default() }
    }

    /// Remembers that the target's repository has a blob.
    pub(super) fn remember(&self, blob: BlobId) {
        let key = self.key(blob);
        if self.cache.get_line(&key).is_none() {
            self.cache.put_line(&key, &self.target.name());
        }
    }

    /// Whether another repository has a blob and this login may read it there.
    pub(super) fn has(&self, blob: BlobId) -> bool {
        self.route(blob)
            .is_some_and(|route| matches!(route.from.exists(blob.digest, blob.size), Ok(true)))
    }

    /// Mounts a blob from the repository that is remembered to have it. Returns `false` if it has
    /// to be sent, for whatever reason.
    pub(super) fn mount(&self, blob: BlobId) -> bool {
        let Some(route) = self.route(blob) else { return false };
        let mounted = route.to.mount(blob.digest, route.from.name());
        if mounted.is_err() {
            // It would fail again, after several attempts each time.
            self.routes.lock().insert(route.from.name().to_owned(), None);
        }
        let mounted = mounted.unwrap_or_default();
        if !mounted {
            self.cache.remove(&self.key(blob));
        }
        mounted
    }

    /// The way from the repository that is remembered to have a blob.
    fn route(&self, blob: BlobId) -> Option<Route> {
        let from: Reference = self.cache.get_line(&self.key(blob))?.parse().ok()?;
        if from.repository == self.target.repository {
            return None;
        }
        let mut routes = self.routes.lock();
        routes.entry(from.repository).or_insert_with_key(|from| self.connect(from)).clone()
    }

    /// Logs in for both repositories. The push itself has a login of its own: with this one, a
    /// registry may refuse what it otherwise allows.
    fn connect(&self, from: &str) -> Option<Route> {
        let client = Arc::new(Client::new(self.target, true, &[from], self.options).ok()?);
        let repository = |name| Arc::new(Repository::new(&client, name));
        Some(Route { from: repository(from), to: repository(&self.target.repository) })
    }

    fn key(&self, blob: BlobId) -> Key {
        let mut key = KeyBuilder::new("repository");
        key.add(self.target.registry().as_bytes());
        key.add(&blob.digest.0);
        key.add(&blob.size.to_le_bytes());
        key.finish()
    }
}
