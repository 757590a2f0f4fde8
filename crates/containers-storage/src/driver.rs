//! The directories of a layer, as the overlay driver lays them out.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use formats::digest::Digest;

use crate::error::{Context as _, Error};
use crate::files::{PREFIX, make_directory, remove_tree, set_mode};

/// The length of a link's name (`idLength`).
const LINK_LENGTH: usize = 26;
/// The characters of a link's name.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The mode of a layer's root (`defaultPerms`) if the layer has no entry `/`.
const ROOT_MODE: u32 = 0o555;

/// The overlay driver's directory.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) home: PathBuf,
    pub(crate) directory_mode: u32,
}

impl Driver {
    pub(crate) fn directory(&self, id: Digest) -> PathBuf {
        self.home.join(id.hex())
    }

    /// Creates the directories of a layer whose parent exists; returns where its entries go.
    pub(crate) fn create(&self, id: Digest, parent: Option<Digest>) -> Result<PathBuf, Error> {
        let lower = parent.map(|parent| self.lower_of_child(parent)).transpose()?;
        // Left by a killed run.
        self.remove(id)?;
        let links = self.home.join("l");
        if !links.is_dir() {
            make_directory(&links, 0o755)?;
        }
        let directory = self.directory(id);
        make_directory(&directory, self.directory_mode)?;
        let tree = directory.join("diff");
        // Only for its owner until it is finished. The owner may not be root and has to write to
        // it.
        make_directory(&tree, 0o700)?;
        let link = link_name()?;
        let target = Path::new("..").join(id.hex()).join("diff");
        symlink(target, links.join(&link)).context("creating a link in", &links)?;
        write_file(&directory.join("link"), &link)?;
        for name in ["work", "merged"] {
            make_directory(&directory.join(name), self.directory_mode)?;
        }
        match lower {
            None => make_directory(&directory.join("empty"), self.directory_mode)?,
            Some(lower) => write_file(&directory.join("lower"), &lower)?,
        }
        Ok(tree)
    }

    /// Sets the mode of a layer's root; by default, to that of its parent's.
    pub(crate) fn finish(
        &self,
        id: Digest,
        parent: Option<Digest>,
        root_mode: Option<u32>,
    ) -> Result<(), Error> {
        let mode = match (root_mode, parent) {
            (Some(mode), _) => mode,
            (None, None) => ROOT_MODE,
            (None, Some(parent)) => {
                let tree = self.directory(parent).join("diff");
                fs::metadata(&tree).context("reading", &tree)?.permissions().mode() & 0o7777
            }
        };
        let tree = self.directory(id).join("diff");
        set_mode(&tree, mode).context("changing the mode of", &tree)
    }

    /// Removes the directories of a layer, as far as they exist.
    pub(crate) fn remove(&self, id: Digest) -> Result<(), Error> {
        if let Some(link) = self.link(id)? {
            let path = self.home.join("l").join(link);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).context("removing", &path);
                }
                _ => {}
            }
        }
        remove_tree(&self.directory(id))
    }

    /// The name of a layer's link; `None` if it has no link or the name is not valid.
    pub(crate) fn link(&self, id: Digest) -> Result<Option<String>, Error> {
        let path = self.directory(id).join("link");
        match fs::read(&path) {
            Ok(name) if is_link_name(&name) => Ok(String::from_utf8(name).ok()),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("reading", &path),
        }
    }

    /// The content of the file `lower` of a layer on top of this one: this layer and all below it.
    fn lower_of_child(&self, parent: Digest) -> Result<String, Error> {
        let directory = self.directory(parent);
        let link = self.link(parent)?.ok_or_else(|| {
            let why = format!("expected a name of {LINK_LENGTH} characters");
            Error::unsupported(&directory.join("link"), why)
        })?;
        let path = directory.join("lower");
        match fs::read_to_string(&path) {
            Ok(lower) => Ok(format!("l/{link}:{lower}")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(format!("l/{link}")),
            Err(error) => Err(error).context("reading", &path),
        }
    }

    /// The layers that have a directory, whether they are recorded or not.
    pub(crate) fn all(&self) -> Result<Vec<Digest>, Error> {
        let entries = fs::read_dir(&self.home).context("reading", &self.home)?;
        let id = |name: &str| Digest::from_hex(name).ok();
        Ok(entries.flatten().filter_map(|entry| id(entry.file_name().to_str()?)).collect())
    }

    /// Removes dangling links, and the files with which killed runs probed the file system.
    pub(crate) fn remove_litter(&self) {
        let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
        for entry in entries(&self.home.join("l")) {
            let path = entry.path();
            if path.is_symlink() && !path.exists() {
                let _ = fs::remove_file(path);
            }
        }
        for entry in entries(&self.home) {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                // This does not remove directories.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), Error> {
    let written = fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.and_then(|()| set_mode(path, 0o644)).context("writing", path)
}

/// A random name for a link.
fn link_name() -> Result<String, Error> {
    let mut bytes = [0; LINK_LENGTH];
    getrandom::fill(&mut bytes)
        .map_err(std::io::Error::other)
        .context("reading", Path::new("/dev/urandom"))?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

fn is_link_name(name: &[u8]) -> bool {
    name.len() == LINK_LENGTH && name.iter().all(|byte| ALPHABET.contains(byte))
}
