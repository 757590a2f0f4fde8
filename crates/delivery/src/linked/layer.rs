//! One layer, put into a directory.

use std::path::Path;

use crate::linked::LinkError;
use crate::linked::archive;
use crate::trees::{Content, Counts, Entry, Rules, Time, TreeWriter, Ways};
use containers_storage::Facts;
use image::Blobs;
use image::cache::TarSplit;
use image::layer::{TreeEntry, Trees, Unpacked};
use image::store::Node;

/// A layer that is there now.
#[derive(Debug)]
pub(super) struct Made {
    /// How its files got there.
    pub(super) counts: Counts,
    /// The length of its tar file in bytes, and who owns its entries.
    pub(super) facts: Facts,
    /// The mode of its root, if it has an entry for that.
    pub(super) root_mode: Option<u32>,
    /// Its tar-split, if that was wanted.
    pub(super) tar_split: Option<TarSplit>,
}

/// Where layers are put, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) blobs: &'a Blobs<'a>,
    pub(super) ways: &'a Ways,
    pub(super) rules: &'a Rules<'a>,
    /// Whether tar-splits are wanted.
    pub(super) tar_splits: bool,
}

impl Place<'_> {
    /// Puts a layer into an empty directory, whose path is relative to where the ways lead.
    pub(super) fn put(&self, layer: usize, directory: &Path) -> Result<Made, LinkError> {
        let mut writer = TreeWriter::new(self.ways, directory, self.rules)?;
        let trees = match self.blobs.digester().unpack(layer)? {
            Unpacked::Trees(trees) => trees,
            Unpacked::Tar(reader) => return archive::put(self, layer, reader, writer),
        };
        let (uid, gid, mtime) = owner(&trees)?;
        let mut root_mode = None;
        trees.visit(self.ways.store(), |entry| {
            if entry.path.is_empty() {
                root_mode = Some(entry.mode);
            }
            put_entry(&mut writer, &entry, uid, gid, mtime)
        })?;
        let tar_split = if self.tar_splits {
            self.blobs.digester().take_tar_split(layer).map_err(LinkError::TarSplit)?
        } else {
            None
        };
        Ok(Made {
            counts: writer.finish()?,
            facts: Facts {
                size: self.blobs.all()[layer].size,
                uids: [uid].into(),
                gids: [gid].into(),
            },
            root_mode,
            tar_split,
        })
    }
}

/// Owner, group and time of all entries, as a file system takes them.
fn owner(trees: &Trees<'_>) -> Result<(u32, u32, Time), LinkError> {
    let ownership = trees.ownership();
    let id = |id: i64| u32::try_from(id).map_err(|_| LinkError::Owner(id.into()));
    let mtime = Time { seconds: ownership.mtime, nanoseconds: 0 };
    Ok((id(ownership.uid)?, id(ownership.gid)?, mtime))
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
        // A file is always somewhere.
        (Node::Directory | Node::File(_), _) => Content::Directory,
    };
    let TreeEntry { path, mode, .. } = *entry;
    writer.write(&Entry { path, uid, gid, mode, mtime, xattrs: &[] }, content)?;
    Ok(())
}
