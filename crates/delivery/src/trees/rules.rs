//! The differences in how engines unpack a layer.
//!
//! They were determined from `pkg/archive` in containers/storage up to 1.64, which podman 4 and 5
//! have (`Unpack`, for the overlay driver), and from containerd 2.4 (`applyNaive` with
//! `OverlayConvertWhiteout`).

use std::fmt;
use std::os::fd::OwnedFd;

/// Maps a user and group in the image to those on disk; `None` if there are none.
pub type OwnerOnDisk<'a> = dyn Fn(u32, u32) -> Option<(u32, u32)> + Sync + 'a;

/// The metadata of directories without an entry. Their mode is 0755 unless noted otherwise, and
/// their time is that of the last change in them.
#[derive(Debug)]
pub enum Parents {
    /// They belong to root, and are setgid inside a setgid directory.
    OfRoot,
    /// They are the same as in the nearest lower layer that has them. If there is none, they belong
    /// to root and, inside a setgid directory, to its group.
    AsBelow(Vec<OwnedFd>),
}

/// How an engine unpacks a layer.
pub struct Rules<'a> {
    /// Maps owners in the image to owners on disk.
    pub owner_on_disk: &'a OwnerOnDisk<'a>,
    /// Whether an entry with the name `/` changes the tree's root directory. One with the name `./`
    /// never does.
    pub root_entry: bool,
    /// Whether the engine belongs to an ordinary user: devices other than whiteouts are left out,
    /// and so are attributes that this user may not set.
    pub rootless: bool,
    /// The attribute of an opaque directory, which hides what lower layers have in it. `None` if
    /// there are no lower layers: a whiteout then deletes entries of the layer itself.
    pub opaque: Option<&'static str>,
    /// The prefixes of attributes that are not set.
    pub ignored_xattrs: &'static [&'static str],
    /// Whether the engine is containerd, which gives a symbolic link the time of a hard link to it.
    /// containers/storage does not, and it ignores a whiteout below something that is not a
    /// directory, as some tools write nested whiteouts.
    pub is_containerd: bool,
    /// The metadata of directories without an entry.
    pub parents: Parents,
}

impl<'a> Rules<'a> {
    /// The rules of containers/storage's overlay driver. A rootless storage gets no devices.
    pub fn containers_storage(owner_on_disk: &'a OwnerOnDisk<'a>, rootless: bool) -> Self {
        Self {
            owner_on_disk,
            root_entry: true,
            rootless,
            opaque: Some(if rootless { "user.overlay.opaque" } else { "trusted.overlay.opaque" }),
            ignored_xattrs: &["security.selinux"],
            is_containerd: false,
            parents: Parents::OfRoot,
        }
    }

    /// The rules of containerd's overlayfs snapshotter, with the directories of the snapshots
    /// below. A first layer has none; containerd unpacks it into a plain directory.
    pub fn containerd(owner_on_disk: &'a OwnerOnDisk<'a>, lower: Vec<OwnedFd>) -> Self {
        Self {
            owner_on_disk,
            root_entry: false,
            rootless: false,
            opaque: (!lower.is_empty()).then_some("trusted.overlay.opaque"),
            ignored_xattrs: &["trusted."],
            is_containerd: true,
            parents: Parents::AsBelow(lower),
        }
    }
}

impl fmt::Debug for Rules<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Rules")
            .field("root_entry", &self.root_entry)
            .field("rootless", &self.rootless)
            .field("opaque", &self.opaque)
            .finish_non_exhaustive()
    }
}
