//! Store paths, and where they are on disk if the store is not in its usual place.

use std::path::{Component, Path, PathBuf};

use thiserror::Error;

/// The number of symbolic links after which a path counts as a loop, as in the kernel.
const MAX_LINKS: usize = 40;

/// A store: its logical directory, which is used in paths and images, and its physical one.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    root: Option<PathBuf>,
}

/// An absolute path below a store's directory, normalised like Python's `pathlib` does: without
/// doubled slashes, `.` and a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StorePath {
    logical: String,
    /// Where in `logical` the part after the store's own entry (`<hash>-<name>`) starts.
    entry_end: usize,
}

/// Why a path is not a store path.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Not absolute.
    #[error("`{path}` is a relative path; {what} must be absolute")]
    Relative {
        /// The path.
        path: String,
        /// What the path is for.
        what: &'static str,
    },
    /// Not below the store's directory.
    #[error("`{path}` is not in the store `{store}`")]
    Outside {
        /// The path.
        path: String,
        /// The store's directory.
        store: String,
    },
    /// Contains a `..`, which could lead out of the store.
    #[error("`{path}` contains `..`; write the path that it stands for")]
    Parent {
        /// The path.
        path: String,
    },
    /// The store's directory itself, or an entry without a name.
    #[error("`{path}` has no name part; a path in the store looks like `{store}/<hash>-<name>`")]
    Nameless {
        /// The path.
        path: String,
        /// The store's directory.
        store: String,
    },
    /// Too many symbolic links.
    #[error("`{path}` is a loop of symbolic links")]
    Loop {
        /// The path.
        path: String,
    },
}

impl Store {
    /// A store whose paths start with `dir`. With a `root`, `/nix/store/...` is read from
    /// `root/nix/store/...`, as with Nix's `local?root=`.
    pub fn new(dir: &str, root: Option<&Path>) -> Result<Self, StoreError> {
        let (dir, _) = normalise(dir, "the store's directory")?;
        Ok(Self { dir: dir.into(), root: root.map(Path::to_owned) })
    }

    /// The logical directory, such as `/nix/store`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory below which the store is read; `None` for `/`.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Checks that `path` is in the store.
    pub fn path(&self, path: &str) -> Result<StorePath, StoreError> {
        let store = || self.dir.display().to_string();
        let (logical, has_parent) = normalise(path, "a store path")?;
        if has_parent {
            return Err(StoreError::Parent { path: path.into() });
        }
        // By component, not by prefix: /nix/storefoo is not in /nix/store.
        let Ok(inner) = Path::new(&logical).strip_prefix(&self.dir) else {
            return Err(StoreError::Outside { path: path.into(), store: store() });
        };
        let entry = inner.iter().next().unwrap_or_default().to_str().unwrap_or_default();
        if !entry.split_once('-').is_some_and(|(hash, name)| !hash.is_empty() && !name.is_empty()) {
            return Err(StoreError::Nameless { path: path.into(), store: store() });
        }
        let inner_start = logical.len() - inner.as_os_str().len();
        let entry_end = inner_start + entry.len();
        Ok(StorePath { logical, entry_end })
    }

    /// Checks that all paths are in the store.
    pub fn paths(&self, paths: &[String]) -> Result<Vec<StorePath>, StoreError> {
        paths.iter().map(|path| self.path(path)).collect()
    }

    /// A store path's location on disk.
    pub fn physical(&self, path: &StorePath) -> PathBuf {
        self.location(Path::new(&path.logical))
    }

    /// The location of the store's directory on disk.
    pub fn physical_dir(&self) -> PathBuf {
        self.location(&self.dir)
    }

    /// A store path relative to the store's directory.
    pub fn relative(&self, path: &StorePath) -> PathBuf {
        let logical = Path::new(&path.logical);
        logical.strip_prefix(&self.dir).unwrap_or(logical).to_owned()
    }

    /// The location on disk of an absolute path, with symbolic links resolved. Paths outside the
    /// store are not below its root.
    ///
    /// Links and `..` are resolved here rather than by the kernel, because both refer to logical
    /// paths. `..` after a link is the parent of its target.
    pub fn locate(&self, path: &str, what: &'static str) -> Result<PathBuf, StoreError> {
        let (logical, _) = normalise(path, what)?;
        let mut ahead = vec![PathBuf::from(logical)];
        let mut reached = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = ahead.pop() {
            let mut components = part.components();
            let Some(component) = components.next() else { continue };
            ahead.push(components.as_path().to_owned());
            match component {
                Component::ParentDir => drop(reached.pop()),
                Component::RootDir => reached = "/".into(),
                Component::Normal(name) => reached.push(name),
                Component::CurDir | Component::Prefix(_) => {}
            }
            if let Some(target) = self.link(&reached) {
                links += 1;
                if links > MAX_LINKS {
                    return Err(StoreError::Loop { path: path.into() });
                }
                reached.pop();
                ahead.push(target);
            }
        }
        Ok(self.location(&reached))
    }

    /// The target of the link at a logical path, if it is one. The store's parent directories are
    /// not resolved.
    fn link(&self, logical: &Path) -> Option<PathBuf> {
        if self.dir.starts_with(logical) {
            return None;
        }
        std::fs::read_link(self.location(logical)).ok()
    }

    fn location(&self, logical: &Path) -> PathBuf {
        match &self.root {
            Some(root) if logical.starts_with(&self.dir) => {
                root.join(logical.strip_prefix("/").unwrap_or(logical))
            }
            _ => logical.to_owned(),
        }
    }
}

impl StorePath {
    /// The path as used in images.
    pub fn as_str(&self) -> &str {
        &self.logical
    }

    /// The length of the part that names the store's entry, `/nix/store/<hash>-<name>`.
    pub fn entry_length(&self) -> usize {
        self.entry_end
    }
}

/// The path without doubled slashes, `.` and trailing slash, and whether it contains `..`.
fn normalise(path: &str, what: &'static str) -> Result<(String, bool), StoreError> {
    if !path.starts_with('/') {
        return Err(StoreError::Relative { path: path.into(), what });
    }
    let mut normal = String::with_capacity(path.len());
    let mut has_parent = false;
    for component in Path::new(path).components() {
        has_parent |= component == Component::ParentDir;
        if let Some(name) = component.as_os_str().to_str().filter(|&name| name != "/") {
            normal.push('/');
            normal.push_str(name);
        }
    }
    if normal.is_empty() {
        normal.push('/');
    }
    Ok((normal, has_parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_lies_in_the_store_and_nothing_else() {
        let store = Store::new("/nix/store/", None).unwrap();
        for (path, normal) in [
            ("/nix/store/abc-x", "/nix/store/abc-x"),
            ("/nix//store/./abc-x/", "/nix/store/abc-x"),
            ("/nix/store/abc-x/bin/y", "/nix/store/abc-x/bin/y"),
        ] {
            let path = store.path(path).unwrap();
            assert_eq!(path.as_str(), normal);
            assert_eq!(&path.as_str()[..path.entry_length()], "/nix/store/abc-x");
        }
        for (path, reason) in [
            ("nix/store/abc-x", "relative"),
            ("", "relative"),
            ("/nix/storefoo/abc-x", "not in the store"),
            ("/etc/passwd", "not in the store"),
            ("/nix/store", "no name part"),
            ("/nix/store/", "no name part"),
            ("/nix/store/abc", "no name part"),
            ("/nix/store/abc-", "no name part"),
            ("/nix/store/../../etc/pass-wd", "`..`"),
        ] {
            let error = store.path(path).unwrap_err().to_string();
            assert!(error.contains(reason), "{path}: {error}");
        }
    }

    #[test]
    fn links_are_followed_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("nix/store");
        std::fs::create_dir_all(dir.join("a-b")).unwrap();
        std::os::unix::fs::symlink("/nix/store/a-b", dir.join("a-link")).unwrap();
        std::os::unix::fs::symlink("a-loop", dir.join("a-loop")).unwrap();
        let store = Store::new("/nix/store", Some(root.path())).unwrap();
        assert_eq!(store.locate("/nix/store/a-link", "x").unwrap(), dir.join("a-b"));
        assert_eq!(store.locate("/etc/x", "x").unwrap(), Path::new("/etc/x"));
        let error = store.locate("/nix/store/a-loop", "x").unwrap_err();
        assert!(error.to_string().contains("loop"), "{error}");
    }

    /// Links in a store below another root have the same meaning as they would have for programs
    /// that run there.
    #[test]
    fn links_with_dots_lead_to_where_they_would_without_a_root() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("nix/store");
        std::fs::create_dir_all(dir.join("a-b/c/d")).unwrap();
        let store = Store::new("/nix/store", Some(root.path())).unwrap();
        for (name, target) in [
            ("a-sibling", "../store/a-b/c/../c"),
            ("a-shallow", "../../etc/passwd"),
            ("a-deep", "../../../../../../etc/passwd"),
            ("a-absolute", "/nix/store/a-b/../../../etc/passwd"),
            ("a-around", "/nix/../nix/store/./a-b//c"),
            ("a-inner", "a-b/c"),
        ] {
            std::os::unix::fs::symlink(target, dir.join(name)).unwrap();
        }
        for (path, expected) in [
            ("/nix/store/a-sibling", dir.join("a-b/c")),
            ("/nix/store/a-sibling/d", dir.join("a-b/c/d")),
            ("/nix/store/a-around", dir.join("a-b/c")),
            ("/nix/store/a-inner/d", dir.join("a-b/c/d")),
            // After a link, `..` is the parent of its target.
            ("/nix/store/a-inner/../x", dir.join("a-b/x")),
            ("/nix/store/a-shallow", "/etc/passwd".into()),
            ("/nix/store/a-deep", "/etc/passwd".into()),
            ("/nix/store/a-absolute", "/etc/passwd".into()),
            ("/nix/store/a-gone/x", dir.join("a-gone/x")),
        ] {
            assert_eq!(store.locate(path, "x").unwrap(), expected, "{path}");
        }
    }
}
