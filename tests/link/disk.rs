//! File systems in files, mounted for a test.

use crate::support::{command, need, need_root, run, skip, stdout_of};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A mounted file system. Stop the engines on it before dropping it.
#[derive(Debug)]
pub(super) struct Disk {
    folder: TempDir,
}

impl Disk {
    pub(super) fn ext4(megabytes: u64) -> Self {
        Self::new(megabytes, "ext4", &["-q", "-F", "-m", "0"])
    }

    pub(super) fn btrfs(megabytes: u64) -> Self {
        Self::new(megabytes, "btrfs", &["-q"])
    }

    /// As mkfs.xfs has long made it by default, with reflinks.
    pub(super) fn xfs(megabytes: u64) -> Self {
        Self::new(megabytes, "xfs", &["-q", "-m", "reflink=1"])
    }

    fn new(megabytes: u64, kind: &str, options: &[&str]) -> Self {
        need_root("mount file systems");
        let mkfs = format!("mkfs.{kind}");
        need(&mkfs);
        // A short path, because the paths of sockets are limited in length.
        let folder = TempDir::with_prefix("disk-").unwrap();
        let file = folder.path().join("disk");
        fs::File::create(&file).unwrap().set_len(megabytes << 20).unwrap();
        stdout_of(command(&mkfs, options).arg(&file));
        let disk = Self { folder };
        fs::create_dir(disk.folder()).unwrap();
        let mut mount = command("mount", &["-o", "loop", "-t", kind]);
        if let Err(why) = run(mount.arg(&file).arg(disk.folder())) {
            skip(&format!("cannot mount {kind}: {why}"));
        }
        // Gives ordinary users access to the contents.
        stdout_of(command("chmod", &["755"]).arg(disk.folder.path()).arg(disk.folder()));
        disk
    }

    /// Where it is mounted.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.path().join("d")
    }

    /// Writes a file so large that only this many bytes stay free.
    pub(super) fn fill(&self, file: &Path, free: u64) {
        let statistics = rustix::fs::statvfs(self.folder()).unwrap();
        let size = (statistics.f_bavail * statistics.f_frsize).saturating_sub(free);
        let mut out = fs::File::create(file).unwrap();
        // The file system itself takes up some space.
        let _ = std::io::copy(&mut std::io::Read::take(std::io::repeat(1), size), &mut out);
        let _ = out.sync_all();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut unmount = command("umount", &["--lazy"]);
        // Processes that still use it keep it until they end.
        let _ = run(unmount.arg(self.folder()));
    }
}
