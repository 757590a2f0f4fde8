//! Temporary file systems in files, and mounts on them.

use super::{need, stdout_of};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A small file system, deleted with the test.
#[derive(Debug)]
pub(crate) struct Volume {
    mount: Mount,
    /// The folder with its file.
    _folder: TempDir,
}

/// A mounted directory.
#[derive(Debug)]
pub(crate) struct Mount(PathBuf);

impl Volume {
    /// Creates a file system with `mkfs.KIND`, or a tmpfs. Needs root.
    pub(crate) fn new(kind: &str) -> Self {
        let folder = TempDir::with_prefix("nix-image-test-").unwrap();
        let point = folder.path().join("volume");
        fs::create_dir(&point).unwrap();
        let mut mount = Command::new("mount");
        if kind == "tmpfs" {
            mount.args(["-t", "tmpfs", "tmpfs"]);
        } else {
            let image = folder.path().join("image");
            // The minimum size of xfs.
            File::create(&image).unwrap().set_len(320 << 20).unwrap();
            let make = format!("mkfs.{kind}");
            need(&make);
            stdout_of(Command::new(make).arg("-q").arg(&image));
            mount.args(["-o", "loop"]).arg(image);
        }
        stdout_of(mount.arg(&point));
        Self { mount: Mount(point), _folder: folder }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mount.0
    }

    /// Bind-mounts a directory on itself.
    pub(crate) fn bind(&self, name: &str) -> Mount {
        let path = self.path().join(name);
        stdout_of(Command::new("mount").arg("--bind").args([&path, &path]));
        Mount(path)
    }

    /// The same, read-only.
    pub(crate) fn bind_read_only(&self, name: &str) -> Mount {
        let mount = self.bind(name);
        stdout_of(Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&mount.0));
        mount
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
