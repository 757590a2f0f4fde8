//! How engines unpack a layer, where they differ.
//!
//! Read from `pkg/archive` of containers/storage 1.65 (`Unpack`, for the overlay driver) and of
//! containerd 2.4 (`applyNaive` with `OverlayConvertWhiteout`).

use std::fmt;
use std::os::fd::OwnedFd;

/// Who owns on disk what belongs to a user and group in the image; `None` if nobody can.
pub type OwnerOnDisk<'a> = dyn Fn(u32, u32) -> Option<(u32, u32)> + Sync + 'a;

/// How an engine unpacks a layer.
pub struct Rules<'a> {
    /// Who owns what on disk.
    pub owner_on_disk: &'a OwnerOnDisk<'a>,
    /// Whether an entry for the image's root changes the tree's own directory.
    pub root_entry: bool,
    /// Whether devices are made; if not, their entries are skipped. Whiteouts are always made.
    pub devices: bool,
    /// The attribute of a directory that hides what lower layers have below it. `None` if there
    /// are none: a whiteout then deletes what the layer itself had.
    pub opaque: Option<&'static str>,
    /// The beginnings of names of attributes that are not set.
    pub ignored_xattrs: &'static [&'static str],
    /// Whether an attribute that this user may not set is left out.
    pub may_lack_xattrs: bool,
    /// The trees of the layers below, the nearest first: a directory that no entry names is made
    /// as it is there. None for engines that make it 0755, owned by root.
    pub lower: Vec<OwnedFd>,
}

impl<'a> Rules<'a> {
    /// The overlay driver of containers/storage. A rootless storage gets no devices.
    pub fn containers_storage(owner_on_disk: &'a OwnerOnDisk<'a>, rootless: bool) -> Self {
        Self {
            owner_on_disk,
            root_entry: true,
            devices: !rootless,
            opaque: Some(if rootless { "user.overlay.opaque" } else { "trusted.overlay.opaque" }),
            ignored_xattrs: &["security.selinux"],
            may_lack_xattrs: rootless,
            lower: Vec::new(),
        }
    }

    /// containerd's overlayfs snapshotter, with the directories of the snapshots below. A first
    /// layer has none; containerd unpacks that into a plain directory.
    pub fn containerd(owner_on_disk: &'a OwnerOnDisk<'a>, lower: Vec<OwnedFd>) -> Self {
        Self {
            owner_on_disk,
            root_entry: false,
            devices: true,
            opaque: (!lower.is_empty()).then_some("trusted.overlay.opaque"),
            ignored_xattrs: &["trusted."],
            may_lack_xattrs: false,
            lower,
        }
    }
}

impl fmt::Debug for Rules<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Rules")
            .field("root_entry", &self.root_entry)
            .field("devices", &self.devices)
            .field("opaque", &self.opaque)
            .finish_non_exhaustive()
    }
}
