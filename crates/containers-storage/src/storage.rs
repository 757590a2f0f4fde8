//! A storage: where its parts are, and whether this crate supports it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::driver::Driver;
use crate::error::{Context as _, Error};
use crate::files::{is_unfinished, make_directory, write_atomically};

/// The file that marks a directory as an additional image store made by this crate.
const MARKER: &str = "nix-image-store";
/// The marker's content: the version of the store's format.
const MARKER_TEXT: &str = "1\n";

/// Who uses a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An engine's own, readable only by its owner. Engines write to it too, and remove layers that
    /// are recorded as incomplete.
    Engine,
    /// An additional image store, read by all users' engines and written only by this crate. Its
    /// layers are not recorded before they are complete, as readers do not check whether they are.
    Additional,
}

/// A storage of the overlay driver.
#[derive(Debug)]
pub struct Storage {
    root: PathBuf,
    kind: Kind,
}

impl Storage {
    /// Opens the storage at an existing graph root.
    pub fn open(graph_root: &Path) -> Result<Self, Error> {
        let unsupported = |why: &str| Err(Error::unsupported(graph_root, why));
        let has = |name: &str| graph_root.join(name).is_dir();
        if !graph_root.is_dir() {
            return unsupported("no such directory");
        }
        if !has("overlay-layers") {
            return match other_driver(graph_root) {
                Some(name) => unsupported(&format!("it belongs to the storage driver {name}")),
                None => unsupported("it has no directory `overlay-layers`"),
            };
        }
        // With `imagestore` in storage.conf, images and containers are in different directories.
        for name in ["overlay", "overlay-images"] {
            if !has(name) {
                return unsupported(&format!("it has no directory `{name}`"));
            }
        }
        let kind = match fs::read_to_string(graph_root.join(MARKER)) {
            Ok(text) if text == MARKER_TEXT => Kind::Additional,
            Ok(_) => return unsupported(&format!("its `{MARKER}` is from another version")),
            Err(_) => Kind::Engine,
        };
        Ok(Self { root: graph_root.to_owned(), kind })
    }

    /// Opens the additional image store at a directory, which [`Self::create`] has made.
    pub fn additional(directory: &Path) -> Result<Self, Error> {
        let storage = Self::open(directory)?;
        match storage.kind {
            Kind::Additional => Ok(storage),
            Kind::Engine => {
                let why = "expected an additional image store, found the storage of an engine";
                Err(Error::unsupported(directory, why))
            }
        }
    }

    /// Opens an additional image store that all users of the machine can read. It is created if the
    /// directory is empty or does not exist.
    pub fn create(directory: &Path) -> Result<Self, Error> {
        let modes = Modes::of(Kind::Additional);
        if !directory.exists() {
            let parent = directory.parent().unwrap_or(Path::new("/"));
            fs::create_dir_all(parent).context("creating", parent)?;
            make_directory(directory, modes.directory)?;
        }
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            if path.exists() {
                return Ok(());
            }
            write_atomically(&path, modes.file, |file| file.write_all(text.as_bytes()))
        };
        // The marker comes first, so that a store whose creation was interrupted is completed.
        if !directory.join(MARKER).exists() {
            check_empty(directory)?;
            write(MARKER, MARKER_TEXT)?;
        }
        for name in ["overlay", "overlay/l", "overlay-layers", "overlay-images"] {
            let path = directory.join(name);
            if !path.is_dir() {
                make_directory(&path, modes.directory)?;
            }
        }
        for (name, text) in [
            // Readers open the locks but may not be allowed to create them.
            ("overlay-layers/layers.lock", ""),
            ("overlay-images/images.lock", ""),
            ("overlay-layers/layers.json", "[]"),
            ("overlay-images/images.json", "[]"),
        ] {
            write(name, text)?;
        }
        Self::open(directory)
    }

    /// The graph root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Who uses it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn layers_directory(&self) -> PathBuf {
        self.root.join("overlay-layers")
    }

    pub(crate) fn layers_lock(&self) -> PathBuf {
        self.layers_directory().join("layers.lock")
    }

    /// The file that writers of layers lock first. Readers of an additional image store never wait
    /// for it, as layers only become visible there when they are complete.
    pub(crate) fn writers_lock(&self) -> PathBuf {
        match self.kind {
            Kind::Engine => self.layers_lock(),
            Kind::Additional => self.root.join(MARKER),
        }
    }

    pub(crate) fn images_directory(&self) -> PathBuf {
        self.root.join("overlay-images")
    }

    pub(crate) fn images_lock(&self) -> PathBuf {
        self.images_directory().join("images.lock")
    }

    pub(crate) fn driver(&self) -> Driver {
        Driver { home: self.root.join("overlay"), directory_mode: self.modes().directory }
    }

    pub(crate) fn modes(&self) -> Modes {
        Modes::of(self.kind)
    }
}

/// The modes of new files and directories in a storage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Modes {
    pub(crate) directory: u32,
    pub(crate) file: u32,
    pub(crate) lock: u32,
}

impl Modes {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Engine => Self { directory: 0o700, file: 0o600, lock: 0o644 },
            Kind::Additional => Self { directory: 0o755, file: 0o644, lock: 0o644 },
        }
    }
}

/// Fails if a directory contains anything but unfinished files of this crate.
fn check_empty(directory: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(directory).context("reading", directory)? {
        let name = entry.context("reading", directory)?.file_name();
        let name = name.to_string_lossy();
        if !is_unfinished(&name) {
            let why = format!(
                "expected an empty directory or one with a file `{MARKER}`, found `{name}`"
            );
            return Err(Error::unsupported(directory, why));
        }
    }
    Ok(())
}

/// Another storage driver whose layers are in a graph root.
fn other_driver(graph_root: &Path) -> Option<String> {
    let entries = fs::read_dir(graph_root).ok()?;
    entries.flatten().find_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_suffix("-layers").map(str::to_owned)
    })
}
