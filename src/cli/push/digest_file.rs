//! The file that `--digest-file` names.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::bail;

use formats::digest::Digest;
use image::{AtomicFile, FileError};

/// A file that is given its name only once the digest is in it.
pub(super) struct DigestFile {
    file: AtomicFile,
    path: PathBuf,
}

impl DigestFile {
    /// Creates the file before anything is pushed, so that an unwritable place is noticed early.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        if path.is_dir() {
            bail!("`{}` is a directory; name a file for the digest", path.display());
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = AtomicFile::create_in(directory.unwrap_or(Path::new(".")))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Writes the digest that was pushed to all repositories, without a trailing newline, as skopeo
    /// and podman do.
    pub(super) fn write(self, digests: &[Digest]) -> anyhow::Result<()> {
        let path = &self.path;
        let [digest, others @ ..] = digests else { bail!("nothing was pushed") };
        if others.iter().any(|other| other != digest) {
            bail!(
                "everything was pushed, but the repositories got different manifests, so `{}` was \
                 not written; push to them one by one",
                path.display()
            );
        }
        write!(self.file.file(), "{digest}")
            .map_err(|error| FileError::new("writing", path, error))?;
        Ok(self.file.persist(path)?)
    }
}
