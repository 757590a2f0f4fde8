//! How a snapshot is mounted, and which directory on disk it is written to.

use std::path::{Component, Path, PathBuf};

use crate::messages::SnapshotMount;

/// One of the mounts that make up a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The type of the file system, such as `overlay` or `bind`.
    pub kind: String,
    /// The device or directory.
    pub source: String,
    /// For example `ro` and `upperdir=/some/where`.
    pub options: Vec<String>,
}

impl From<SnapshotMount> for Mount {
    fn from(SnapshotMount { kind, source, options }: SnapshotMount) -> Self {
        Self { kind, source, options }
    }
}

/// The directory to write an active snapshot's layer to, in the form that overlayfs uses: the upper
/// directory of an overlay or, without a parent, the source of a bind mount.
///
/// `None` for everything else: other kinds of mounts, read-only ones, ones that contain the
/// parent's content, and paths that are not absolute and normalized. The path comes from the
/// daemon, so a caller that writes to it as root trusts the daemon.
pub fn writable_directory(mounts: &[Mount], has_parent: bool) -> Option<PathBuf> {
    let [mount] = mounts else { return None };
    let is_read_only = mount.options.iter().any(|option| option == "ro");
    let directory = match &*mount.kind {
        "overlay" => {
            let mut upper = mount.options.iter().filter_map(|o| o.strip_prefix("upperdir="));
            // With two, it would not be clear which one the kernel uses.
            upper.next().filter(|_| upper.next().is_none())?
        }
        "bind" if !has_parent => &mount.source,
        _ => return None,
    };
    let path = Path::new(directory);
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    let is_plain = path.is_absolute() && path.components().all(plain) && path != Path::new("/");
    (is_plain && !is_read_only && !directory.contains('\0')).then(|| path.to_owned())
}

/// The directories of the snapshots below a prepared one, the nearest first.
pub fn lower_directories(mounts: &[Mount]) -> Vec<PathBuf> {
    let options = mounts.iter().flat_map(|mount| &mount.options);
    let lower = options.filter_map(|option| option.strip_prefix("lowerdir="));
    lower.flat_map(|lower| lower.split(':')).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_lower_directory_comes_first() {
        let options = ["workdir=/w", "upperdir=/s/3/fs", "lowerdir=/s/2/fs:/s/1/fs"];
        let overlay = mount("overlay", "overlay", &options);
        assert_eq!(lower_directories(&[overlay]), ["/s/2/fs", "/s/1/fs"].map(PathBuf::from));
        assert!(lower_directories(&[mount("bind", "/s/1/fs", &["rw"])]).is_empty());
    }

    fn mount(kind: &str, source: &str, options: &[&str]) -> Mount {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Mount { kind: kind.into(), source: source.into(), options }
    }

    fn directory(mount: Mount, has_parent: bool) -> Option<String> {
        Some(writable_directory(&[mount], has_parent)?.to_str().unwrap().to_owned())
    }

    #[test]
    fn only_what_overlayfs_writes_to_is_a_directory_to_write_to() {
        let upper = mount("overlay", "overlay", &["index=off", "workdir=/w", "upperdir=/s/3/fs"]);
        assert_eq!(directory(upper.clone(), true).as_deref(), Some("/s/3/fs"));
        assert_eq!(writable_directory(&[upper.clone(), upper], true), None);
        assert_eq!(writable_directory(&[], true), None);
        let bound = mount("bind", "/s/1/fs", &["rw", "rbind"]);
        assert_eq!(directory(bound.clone(), false).as_deref(), Some("/s/1/fs"));
        for (no_directory, has_parent) in [
            // The native snapshotter binds a copy of the parent.
            (bound, true),
            (mount("bind", "/s/1/fs", &["ro", "rbind"]), false),
            (mount("bind", "s/1/fs", &["rw"]), false),
            (mount("bind", "/s/../etc", &["rw"]), false),
            (mount("bind", "/", &["rw"]), false),
            (mount("bind", "", &["rw"]), false),
            (mount("overlay", "overlay", &["lowerdir=/a:/b"]), true),
            (mount("overlay", "overlay", &["upperdir="]), true),
            (mount("overlay", "overlay", &["upperdir=x"]), true),
            (mount("overlay", "overlay", &["upperdir=/a", "upperdir=/b"]), true),
            (mount("btrfs", "/dev/sda", &["subvolid=5"]), false),
            (mount("zfs", "tank/1", &["rw"]), false),
            (mount("erofs", "/s/1/layer.erofs", &["ro", "loop"]), false),
            (mount("fuse3.fuse-overlayfs", "overlay", &["upperdir=/s/3/fs"]), true),
        ] {
            assert_eq!(directory(no_directory.clone(), has_parent), None, "{no_directory:?}");
        }
    }
}
