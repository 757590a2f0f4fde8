//! The snapshots of a containerd.

use std::fs;
use std::iter;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::LinkError;
use super::layer::Place;
use super::storage::Placed;
use crate::Transfer;
use crate::observer::{Observer, Step};
use crate::trees::{Counts, Import, Rules, Ways};
use containerd::{Client, Labels, Lease, Mount, Snapshots, lower_directories, writable_directory};
use formats::digest::Digest;
use image::{Blobs, threads};
use oci::Flavor;

/// How long new snapshots and blobs are kept if this program is killed before an image refers to
/// them.
const LEASE: Duration = Duration::from_secs(60 * 60);
/// The threads of a load: one makes snapshots, the others write blobs and wait for the disk.
const THREADS: usize = 5;
/// How many times to try to make a snapshot that others make and remove meanwhile.
const TRIES: usize = 5;

/// An image to be placed in a containerd.
#[derive(Debug)]
pub struct IntoContainerd<'a> {
    /// The image's layers.
    pub blobs: &'a Blobs<'a>,
    /// The name it gets, with registry and tag.
    pub name: &'a str,
    /// If given, an image that has the name now is kept under another one: this prefix followed by
    /// its digest.
    pub keep: Option<&'a str>,
    /// The containerd, and the namespace in it.
    pub client: &'a Client,
    /// The snapshotter, which must be based on overlayfs.
    pub snapshotter: &'a str,
    /// How files get from the store into the snapshots.
    pub import: Import,
    /// Whether the layers' blobs are written too. Without them, containers run but the image cannot
    /// be pushed or exported.
    pub content: bool,
    /// Receives the progress.
    pub observer: &'a dyn Observer,
}

/// A piece of work that can run in parallel to others.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Make all missing snapshots.
    Snapshots,
    /// Write the blob of this layer.
    Blob(usize),
}

impl IntoContainerd<'_> {
    /// Makes the missing snapshots and blobs, and gives the image its name.
    ///
    /// # Errors
    ///
    /// If the image cannot be read or a call to containerd fails. What was made until then is
    /// garbage-collected by containerd.
    pub fn put(&self) -> Result<Placed, LinkError> {
        let all = self.blobs.all();
        let lease = self.client.lease(LEASE)?;
        let chain = chain_ids(self.blobs);
        let there = self.snapshots_there(&lease, &chain)?;
        let absent = &all[there..];
        let absent_bytes = absent.iter().map(|blob| blob.size).sum();
        // Each layer counts once, although it becomes a snapshot and, if requested, a blob as well.
        self.observer.step(Step::Linking, Some(absent_bytes));
        (0..there).for_each(|layer| self.observer.layer_found(layer));
        let counts = self.make_all(&lease, &chain, there)?;
        let documents = self.blobs.documents(Flavor::Docker);
        self.write_documents(&lease, &documents, chain.last())?;
        if let Some(beginning) = self.keep
            && let Some(old) = lease.image(self.name)?
            && old.target.digest != documents.descriptor.digest
        {
            let kept = format!("{beginning}{}", old.target.digest);
            lease.put_image(&kept, &old.target, &Labels::new())?;
        }
        lease.put_image(self.name, &documents.descriptor, &Labels::new())?;
        lease.end()?;
        let transfer = Transfer {
            layers: all.len(),
            layers_sent: absent.len(),
            bytes: self.blobs.size(),
            bytes_sent: absent_bytes,
        };
        Ok(Placed { transfer, counts })
    }

    /// How many of the lowest layers have snapshots; these are kept as long as the lease lasts.
    fn snapshots_there(&self, lease: &Lease, chain: &[String]) -> Result<usize, LinkError> {
        let snapshots = lease.snapshots(self.snapshotter);
        for (below, name) in chain.iter().enumerate().rev() {
            if snapshots.stat(name)?.is_none() {
                continue;
            }
            // Only if it still exists after it is kept will it stay. Its parents stay with it.
            lease.keep_snapshot(self.snapshotter, name)?;
            if snapshots.stat(name)?.is_some() {
                return Ok(below + 1);
            }
        }
        Ok(0)
    }

    /// Makes the snapshots from a layer on, each on top of the one before, and in parallel the
    /// blobs of all layers, if requested.
    fn make_all(&self, lease: &Lease, chain: &[String], first: usize) -> Result<Counts, LinkError> {
        let layers = if self.content { self.blobs.all().len() } else { 0 };
        let files = if self.content { self.blob_files() } else { None };
        let work: Vec<_> = iter::once(Work::Snapshots).chain((0..layers).map(Work::Blob)).collect();
        let made = threads::map(THREADS, &work, |work| match *work {
            Work::Snapshots => self.link(lease, chain, first).map(Some),
            Work::Blob(layer) => {
                let is_counted = layer >= first;
                self.write_blob(lease, files.as_ref(), layer, is_counted).map(|()| None)
            }
        })?;
        Ok(made.into_iter().flatten().next().unwrap_or_default())
    }

    /// Makes the snapshots from a layer on.
    fn link(&self, lease: &Lease, chain: &[String], first: usize) -> Result<Counts, LinkError> {
        let snapshots = lease.snapshots(self.snapshotter);
        let (mut ways, mut counts) = (None, Counts::default());
        for layer in first..chain.len() {
            let parent = layer.checked_sub(1).map(|below| chain[below].as_str());
            if let Some(made) = self.make(snapshots, layer, &chain[layer], parent, &mut ways)? {
                counts += made;
            }
            let (it, size) = (&self.blobs.image().layers()[layer], self.blobs.all()[layer].size);
            // Blobs take longer, and their bytes are reported as they are written.
            if !self.content {
                self.observer.bytes(size);
            }
            self.observer.layer_done(layer, it, size);
        }
        Ok(counts)
    }

    /// Makes one snapshot, or returns `None` if another process made it first.
    fn make(
        &self,
        snapshots: Snapshots<'_>,
        layer: usize,
        name: &str,
        parent: Option<&str>,
        ways: &mut Option<Ways>,
    ) -> Result<Option<Counts>, LinkError> {
        let mut tries = 0;
        loop {
            let key = format!("nix-image-{:032x}", random()?);
            let mounts = snapshots.prepare(&key, parent, &Labels::new())?;
            let made = self.fill(layer, &mounts, parent.is_some(), ways);
            let committed = made.and_then(|made| {
                snapshots.commit(name, &key, &Labels::new())?;
                Ok(made)
            });
            let error = match committed {
                Ok(made) => return Ok(Some(made)),
                Err(error) => error,
            };
            // If it cannot be removed now, it is collected after the lease ends.
            let _ = snapshots.remove(&key);
            let is_there =
                matches!(&error, LinkError::Containerd(error) if error.is_already_there());
            if !is_there {
                return Err(error);
            }
            if snapshots.stat(name)?.is_some() {
                return Ok(None);
            }
            tries += 1;
            if tries == TRIES {
                return Err(error);
            }
        }
    }

    /// Places a layer in a prepared snapshot.
    fn fill(
        &self,
        layer: usize,
        mounts: &[Mount],
        has_parent: bool,
        ways: &mut Option<Ways>,
    ) -> Result<Counts, LinkError> {
        let directory = writable_directory(mounts, has_parent).ok_or(LinkError::Snapshotter)?;
        check_empty(&directory)?;
        // `…/snapshots/7/fs`: all snapshots are in the same directory.
        let root = directory.parent().and_then(Path::parent).unwrap_or(&directory).to_owned();
        let ways = match ways {
            Some(ways) if ways.target_path() == root => ways,
            _ => {
                let store = self.blobs.image().physical_store();
                let found = Ways::find(&store, &root, self.import, None)?;
                if let Some(why) = found.why_not_better() {
                    self.observer.note(&why);
                }
                ways.insert(found)
            }
        };
        let lower = if self.blobs.image().layers()[layer].is_unpacked() {
            // All of its directories have entries.
            Vec::new()
        } else {
            open_all(&lower_directories(mounts))?
        };
        let owner_on_disk = |uid, gid| Some((uid, gid));
        let rules = Rules::containerd(&owner_on_disk, lower);
        let place = Place { blobs: self.blobs, ways, rules: &rules, tar_splits: false };
        let relative = directory.strip_prefix(&root).unwrap_or(&directory);
        Ok(place.put(layer, relative)?.counts)
    }
}

/// The snapshot names of an image's layers, lowest first: digests of the diffIDs up to each layer
/// (`identity.ChainID` of the OCI image specification).
pub fn chain_ids(blobs: &Blobs<'_>) -> Vec<String> {
    let mut below: Option<String> = None;
    let id = |diff_id: Digest| {
        let id = match &below {
            None => diff_id.to_string(),
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()).to_string(),
        };
        below = Some(id.clone());
        id
    };
    blobs.all().iter().map(|blob| blob.diff_id).map(id).collect()
}

/// 128 random bits, for a unique key.
fn random() -> Result<u128, LinkError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(u128::from_ne_bytes(bytes))
}

/// Checks that a newly prepared snapshot is empty. If it is not, the daemon sees another directory
/// at that path than this program.
fn check_empty(directory: &Path) -> Result<(), LinkError> {
    let mut entries = fs::read_dir(directory)
        .map_err(|source| LinkError::Directory { path: directory.to_owned(), source })?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(LinkError::NotEmpty(directory.to_owned())),
    }
}

fn open_all(directories: &[PathBuf]) -> Result<Vec<OwnedFd>, LinkError> {
    let open = |path: &PathBuf| match fs::File::open(path) {
        Ok(file) => Ok(file.into()),
        Err(source) => Err(LinkError::Directory { path: path.clone(), source }),
    };
    directories.iter().map(open).collect()
}
