//! Snapshots: a layer's tree on top of others'.

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
    action: "tell the mounts of the snapshot",
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

/// What containerd knows of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The snapshot below it.
    pub parent: Option<String>,
    /// Whether it can be written to, or be a parent.
    pub kind: Kind,
    /// What it is labelled with.
    pub labels: Labels,
}

/// What a snapshot is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It can be read.
    View,
    /// It can be written to, and committed.
    Active,
    /// It can be a parent.
    Committed,
    /// Something else.
    Unknown,
}

impl Client {
    /// The snapshots of a snapshotter, such as `overlayfs`.
    pub fn snapshots<'a>(&'a self, snapshotter: &'a str) -> Snapshots<'a> {
        Snapshots { client: self, snapshotter }
    }
}

impl Snapshots<'_> {
    /// What containerd knows of a snapshot; `None` if it is not there.
    pub fn stat(&self, name: &str) -> Result<Option<Snapshot>, Error> {
        let Some(found) = if_found(self.client.call(&STAT, name, &self.key(name)))? else {
            return Ok(None);
        };
        let found: SnapshotStat = found;
        let missing = || unexpected((&STAT, name), "what it is", "without that");
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

    /// Makes a snapshot that can be written to, on top of a committed one or of nothing, and says
    /// how it is mounted.
    ///
    /// # Errors
    ///
    /// One of which [`Error::is_already_there`] is true if there is one under that key, or under
    /// the name in the label `containerd.io/snapshot.ref`. One of which [`Error::is_not_found`] is
    /// true if the parent is not there.
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

    /// How a snapshot that can be written to is mounted.
    pub fn mounts(&self, key: &str) -> Result<Vec<Mount>, Error> {
        self.client.call(&MOUNTS, key, &self.key(key)).map(mounts)
    }

    /// Makes a snapshot that can be a parent out of one that was written to, whose key is gone
    /// after that. The labels are those of the new one.
    ///
    /// # Errors
    ///
    /// One of which [`Error::is_already_there`] is true if there is one under that name, as when
    /// two make the same at a time. The one that was written to is there then, to be removed.
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
    /// If it is not there, or others are on top of it.
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
