//! Places one layer in a directory.

use std::collections::BTreeSet;
use std::path::Path;

use crate::linked::LinkError;
use crate::linked::archive;
use crate::trees::{Content, Counts, Entry, Rules, Time, TreeWriter, Ways};
use containers_storage::Facts;
use image::Blobs;
use image::cache::TarSplit;
use image::layer::{TreeEntry, Unpacked};
use image::store::Node;

/// A layer that was placed.
#[derive(Debug)]
pub(super) struct Made {
    /// How its files were placed.
    pub(super) counts: Counts,
    /// The size of its tar file in bytes, and the owners of its entries.
    pub(super) facts: Facts,
    /// The mode of its root, if it has the entry `/`.
    pub(super) root_mode: Option<u32>,
    /// Its tar-split, if requested.
    pub(super) tar_split: Option<TarSplit>,
}

/// Where and how layers are placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) blobs: &'a Blobs<'a>,
    pub(super) ways: &'a Ways,
    pub(super) rules: &'a Rules<'a>,
    /// Whether to return tar-splits.
    pub(super) tar_splits: bool,
}

impl Place<'_> {
    /// Places a layer in an empty directory, whose path is relative to the ways' target.
    pub(super) fn put(&self, layer: usize, directory: &Path) -> Result<Made, LinkError> {
        let mut writer = TreeWriter::new(self.ways, directory, self.rules)?;
        let trees = match self.blobs.digester().unpack(layer)? {
            Unpacked::Trees(trees) => trees,
            Unpacked::Tar(reader) => return archive::put(self, layer, reader, writer),
        };
        let mtime = Time { seconds: trees.mtime(), nanoseconds: 0 };
        let (mut uids, mut gids, mut root_mode) = (BTreeSet::new(), BTreeSet::new(), None);
        trees.visit(self.ways.store(), |entry| {
            if entry.path.is_empty() {
                root_mode = Some(entry.mode);
            }
            let (uid, gid) = (owner(entry.uid)?, owner(entry.gid)?);
            uids.insert(uid);
            gids.insert(gid);
            put_entry(&mut writer, &entry, uid, gid, mtime)
        })?;
        let tar_split = if self.tar_splits {
            self.blobs.digester().take_tar_split(layer).map_err(LinkError::TarSplit)?
        } else {
            None
        };
        Ok(Made {
            counts: writer.finish()?,
            facts: Facts { size: self.blobs.all()[layer].size, uids, gids },
            root_mode,
            tar_split,
        })
    }
}

/// A user or group ID in the range that file systems accept.
fn owner(id: i64) -> Result<u32, LinkError> {
    u32::try_from(id).map_err(|_| LinkError::Owner(id.into()))
}

fn put_entry(
    writer: &mut TreeWriter<'_>,
    entry: &TreeEntry<'_>,
    uid: u32,
    gid: u32,
    mtime: Time,
) -> Result<(), LinkError> {
    let content = match (entry.node, entry.origin) {
        (Node::File(size), Some((directory, name))) => Content::Stored { directory, name, size },
        (Node::Symlink(target), _) => Content::Symlink(target),
        (Node::Fifo, _) => Content::Fifo,
        (Node::Character(device), _) => Content::Character(device.major, device.minor),
        (Node::Block(device), _) => Content::Block(device.major, device.minor),
        // Files always have an origin.
        (Node::Directory | Node::File(_), _) => Content::Directory,
    };
    let TreeEntry { path, mode, .. } = *entry;
    writer.write(&Entry { path, uid, gid, mode, mtime, xattrs: &[] }, content)?;
    Ok(())
}
