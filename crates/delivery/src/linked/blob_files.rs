//! Writes blobs directly into a containerd's content store.
//!
//! containerd hashes each blob it is sent on a single core, and copies it several times on the way.
//! A blob that already exists among its files is accepted as soon as a namespace names its digest
//! and size (`contentStore.Writer` in containerd's `metadata/content.go`).

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat, statat};
use rustix::io::Errno;

use super::LinkError;
use formats::digest::{BlobId, Digest};
use formats::sha256::Sha256;

/// The mode of containerd's own blobs with the usual umask.
const MODE: u32 = 0o444;
/// The mode of containerd's directories.
const DIRECTORY_MODE: u32 = 0o755;

/// The files of a containerd's content store.
#[derive(Debug)]
pub(super) struct BlobFiles {
    /// The directory `blobs/sha256`.
    directory: OwnedFd,
    path: PathBuf,
    is_refused: AtomicBool,
}

/// A blob being written. It has no name, so nothing is left of it if this program is killed.
#[derive(Debug)]
pub(super) struct BlobFile<'a> {
    files: &'a BlobFiles,
    blob: BlobId,
    file: File,
    hash: Sha256,
}

impl BlobFiles {
    /// Opens a containerd's content store, which is empty until the first blob.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let path = root.join("blobs/sha256");
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, &path, flags, Mode::empty())?;
        Ok(Self { directory, path, is_refused: AtomicBool::new(false) })
    }

    /// Records that containerd does not accept blobs that are written here.
    pub(super) fn refuse(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }

    /// Begins to write a blob; `None` if a file with its name exists, if containerd does not accept
    /// files from here, or if the file system does not support unnamed files.
    pub(super) fn begin(&self, blob: BlobId) -> Result<Option<BlobFile<'_>>, LinkError> {
        let is_there =
            statat(&self.directory, blob.digest.hex(), AtFlags::SYMLINK_NOFOLLOW).is_ok();
        if is_there || self.is_refused.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        match openat(&self.directory, OsStr::new("."), flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => {
                let (file, hash) = (file.into(), Sha256::new());
                Ok(Some(BlobFile { files: self, blob, file, hash }))
            }
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(None),
            Err(error) => Err(self.failed(blob.digest)(error.into())),
        }
    }

    fn failed(&self, digest: Digest) -> impl Fn(io::Error) -> LinkError {
        let path = self.path.join(digest.hex());
        move |source| LinkError::Blob { path: path.clone(), source }
    }
}

impl BlobFile<'_> {
    /// Adds bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(self.files.failed(self.blob.digest))
    }

    /// The digest of the bytes so far.
    pub(super) fn digest(&self) -> Digest {
        Digest(self.hash.clone().finish())
    }

    /// Syncs the file to disk and then gives it its name, as containerd does. The bytes must be
    /// those of the blob.
    pub(super) fn persist(self) -> Result<(), LinkError> {
        let name = self.blob.digest.hex();
        let persist = || {
            self.file.set_permissions(Permissions::from_mode(MODE))?;
            self.file.sync_all()?;
            let file = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let follow = AtFlags::SYMLINK_FOLLOW;
            match linkat(CWD, &*file, &self.files.directory, &*name, follow) {
                // Another process was faster.
                Err(Errno::EXIST) => Ok(()),
                linked => Ok(linked?),
            }
        };
        persist().map_err(self.files.failed(self.blob.digest))
    }
}
