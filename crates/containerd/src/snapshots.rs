//! Snapshots: the tree of a layer on top of its parents.

use crate::Labels;
use crate::client::Client;
use crate::connection::{Method, unexpected};
use crate::error::{Error, if_found};
use crate::messages::{CommitSnapshot, PrepareSnapshot, SnapshotKey, SnapshotMounts, SnapshotStat};
use crate::mounts::Mount;

const PREPARE: Method = Method {
    path: "/containerd.services.snapshots.v1.Snapshots/Prepare",
    action: "prepare the snapshot",
};
const MOUNTS: Method = Method {
    path: "/containerd.services.snapshots.v1.Snapshots/Mounts",
    action: "report the mounts of the snapshot",
};
const COMMIT: Method = Method {
    path: "/containerd.services.snapshots.v1.Snapshots/Commit",
    action: "commit the snapshot",
};
const REMOVE: Method = Method {
    path: "/containerd.services.snapshots.v1.Snapshots/Remove",
    action: "remove the snapshot",
};
const STAT: Method = Method {
    path: "/containerd.services.snapshots.v1.Snapshots/Stat",
    action: "look up the snapshot",
};

/// The snapshots of one snapshotter.
#[derive(Clone, Copy, Debug)]
pub struct Snapshots<'a> {
    client: &'a Client,
    snapshotter: &'a str,
}

/// What containerd has on record for a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The snapshot below it.
    pub parent: Option<String>,
    /// Whether it can be written to, or be a parent.
    pub kind: Kind,
    /// Its labels.
    pub labels: Labels,
}

/// What a snapshot can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It can only be read.
    View,
    /// It can be written to and committed.
    Active,
    /// It can be a parent.
    Committed,
    /// A kind that this crate does not know.
    Unknown,
}

impl Client {
    /// The snapshots of a snapshotter, such as `overlayfs`.
    pub fn snapshots<'a>(&'a self, snapshotter: &'a str) -> Snapshots<'a> {
        Snapshots { client: self, snapshotter }
    }
}

impl Snapshots<'_> {
    /// Looks up a snapshot; `None` if it does not exist.
    pub fn stat(&self, name: &str) -> Result<Option<Snapshot>, Error> {
        let Some(found) = if_found(self.client.call(&STAT, name, &self.key(name)))? else {
            return Ok(None);
        };
        let found: SnapshotStat = found;
        let missing = || unexpected((&STAT, name), "the snapshot's parent and kind", "neither");
        let found = found.info.ok_or_else(missing)?;
        let kind = match found.kind {
            1 => Kind::View,
            2 => Kind::Active,
            3 => Kind::Committed,
            _ => Kind::Unknown,
        };
        let parent = Some(found.parent).filter(|parent| !parent.is_empty());
        Ok(Some(Snapshot { parent, kind, labels: found.labels }))
    }

    /// Creates a writable snapshot on top of a committed one, or of nothing, and returns its
    /// mounts.
    ///
    /// # Errors
    ///
    /// One for which [`Error::is_already_there`] is true if a snapshot has that key, or the name in
    /// the label `containerd.io/snapshot.ref`. One for which [`Error::is_not_found`] is true if the
    /// parent does not exist.
    pub fn prepare(
        &self,
        key: &str,
        parent: Option<&str>,
        labels: &Labels,
    ) -> Result<Vec<Mount>, Error> {
        let request = PrepareSnapshot {
            snapshotter: self.snapshotter.to_owned(),
            key: key.to_owned(),
            parent: parent.unwrap_or_default().to_owned(),
            labels: labels.clone(),
        };
        self.client.call(&PREPARE, key, &request).map(mounts)
    }

    /// The mounts of a writable snapshot.
    pub fn mounts(&self, key: &str) -> Result<Vec<Mount>, Error> {
        self.client.call(&MOUNTS, key, &self.key(key)).map(mounts)
    }

    /// Commits a writable snapshot under a name, by which it can be a parent, and removes its key.
    /// The labels are those of the committed snapshot.
    ///
    /// # Errors
    ///
    /// One for which [`Error::is_already_there`] is true if a snapshot has that name, as when two
    /// clients make the same one at the same time. The writable snapshot is left then, for the
    /// caller to remove.
    pub fn commit(&self, name: &str, key: &str, labels: &Labels) -> Result<(), Error> {
        let request = CommitSnapshot {
            snapshotter: self.snapshotter.to_owned(),
            name: name.to_owned(),
            key: key.to_owned(),
            labels: labels.clone(),
        };
        self.client.call(&COMMIT, name, &request)
    }

    /// Removes a snapshot.
    ///
    /// # Errors
    ///
    /// If it does not exist, or others are on top of it.
    pub fn remove(&self, key: &str) -> Result<(), Error> {
        self.client.call(&REMOVE, key, &self.key(key))
    }

    fn key(&self, key: &str) -> SnapshotKey {
        SnapshotKey { snapshotter: self.snapshotter.to_owned(), key: key.to_owned() }
    }
}

fn mounts(found: SnapshotMounts) -> Vec<Mount> {
    found.mounts.into_iter().map(Mount::from).collect()
}
