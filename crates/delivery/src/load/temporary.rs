//! Temporary directories for the files of an engine during a load. They are deleted when the load
//! ends, even by a signal.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use image::{Leftover, remove_on_signals};

/// A directory that other users cannot enter.
#[derive(Debug)]
pub(super) struct Temporary {
    directory: TempDir,
    _leftover: Leftover,
}

impl Temporary {
    /// An empty directory.
    pub(super) fn new() -> io::Result<Self> {
        remove_on_signals()?;
        let owner_alone = Permissions::from_mode(0o700);
        let (directory, leftover) = Leftover::of(|| {
            let mut directory = tempfile::Builder::new();
            let made = directory.prefix("nix-image-").permissions(owner_alone).tempdir()?;
            let path = made.path().to_owned();
            Ok::<_, io::Error>((made, path))
        })?;
        Ok(Self { directory, _leftover: leftover })
    }

    /// A directory with one file, which may be in a subdirectory.
    pub(super) fn with_file(name: &str, text: &str) -> io::Result<Self> {
        let temporary = Self::new()?;
        let file = temporary.path().join(name);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, text)?;
        Ok(temporary)
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_goes_with_its_owner() {
        let temporary = Temporary::with_file("a/b.conf", "text").unwrap();
        let path = temporary.path().to_owned();
        assert_eq!(fs::read_to_string(path.join("a/b.conf")).unwrap(), "text");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        drop(temporary);
        assert!(!path.exists());
    }
}
