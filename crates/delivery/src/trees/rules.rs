//! How engines unpack a layer, where they differ.
//!
//! Read from `pkg/archive` of containers/storage 1.65 (`Unpack`, for the overlay driver) and of
//! containerd 2.4 (`applyNaive` with `OverlayConvertWhiteout`).

use std::fmt;
use std::os::fd::OwnedFd;

/// Who owns on disk what belongs to a user and group in the image; `None` if no user on disk stands for it.
pub type OwnerOnDisk<'a> = dyn Fn(u32, u32) -> Option<(u32, u32)> + Sync + 'a;

/// What becomes of a directory that no entry names. Its mode is 0755 where nothing else is said,
/// and it has the time when something in it was made last.
#[derive(Debug)]
pub enum Parents {
    /// It belongs to root, and is setgid below a directory that is.
    OfRoot,
    /// It is as in the trees of the layers below, the nearest first. Where none has it, it belongs
    /// to root and the group of a setgid directory that it is in.
    AsBelow(Vec<OwnedFd>),
}

/// How an engine unpacks a layer.
pub struct Rules<'a> {
    /// Who owns what on disk.
    pub owner_on_disk: &'a OwnerOnDisk<'a>,
    /// Whether an entry for the image's root changes the tree's own directory.
    pub root_entry: bool,
    /// Whether the engine is an ordinary user's: devices are left out but for whiteouts, and so are
    /// attributes that this user may not set.
    pub rootless: bool,
    /// The attribute of a directory that hides what lower layers have below it. `None` if there
    /// are none: a whiteout then deletes what the layer itself had.
    pub opaque: Option<&'static str>,
    /// The beginnings of names of attributes that are not set.
    pub ignored_xattrs: &'static [&'static str],
    /// Whether it is containerd: that gives a symbolic link the time of a hard link to it.
    /// containers/storage does not, and passes over a whiteout below what is not a directory, as
    /// some tools write one below another.
    pub is_containerd: bool,
    /// What becomes of a directory that no entry names.
    pub parents: Parents,
}

impl<'a> Rules<'a> {
    /// The overlay driver of containers/storage. A rootless storage gets no devices.
    pub fn containers_storage(owner_on_disk: &'a OwnerOnDisk<'a>, rootless: bool) -> Self {
        Self {
            owner_on_disk,
            // Up to version 1.59; 1.65 follows it.
            root_entry: false,
            rootless,
            opaque: Some(if rootless { "user.overlay.opaque" } else { "trusted.overlay.opaque" }),
            ignored_xattrs: &["security.selinux"],
            is_containerd: false,
            parents: Parents::OfRoot,
        }
    }

    /// containerd's overlayfs snapshotter, with the directories of the snapshots below. A first
    /// layer has none; containerd unpacks that into a plain directory.
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
