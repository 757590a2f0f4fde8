//! Walks trees in the byte order of names, like GNU tar and `sort` in the C locale.
//!
//! Store layers use Python's order instead (`store::Walk`), which differs for names that are not
//! UTF-8.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::iter;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::vec;

use super::OneLayerError;

/// The order of the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// A directory's entries by name, each followed by its content: `tar --sort=name`.
    Depth,
    /// All paths sorted as lines: `a-b` comes between `a` and `a/x`.
    Lines,
}

/// A walk through trees. It only stores the names in the directories that lead to the current
/// entry.
#[derive(Debug)]
pub(super) struct Walk {
    /// The prefix of a path on disk.
    prefix: PathBuf,
    order: Order,
    path: Vec<u8>,
    levels: Vec<Level>,
}

/// A directory that is being visited.
#[derive(Debug)]
struct Level {
    /// The length of the directory's path, including the slash.
    length: usize,
    steps: vec::IntoIter<Step>,
}

/// What to visit next in a directory.
#[derive(Debug)]
struct Step {
    name: Vec<u8>,
    /// Whether to visit the entry's content, rather than the entry itself.
    below: bool,
}

/// An entry that the walk has reached.
#[derive(Debug)]
pub(super) struct Entry {
    /// The path, in the same form as the roots.
    pub(super) path: Vec<u8>,
    /// The path on disk.
    pub(super) location: PathBuf,
    /// The metadata, without following a link.
    pub(super) metadata: Metadata,
}

impl Walk {
    /// A walk through the trees at `roots`, which are read below `prefix`.
    pub(super) fn new(
        prefix: &Path,
        roots: impl IntoIterator<Item = Vec<u8>>,
        order: Order,
    ) -> Result<Self, OneLayerError> {
        let mut walk =
            Self { prefix: prefix.to_owned(), order, path: Vec::new(), levels: Vec::new() };
        let root = |name: Vec<u8>| {
            let location = walk.location(&name);
            Ok((name, examine(&location)?.is_dir()))
        };
        let roots = roots.into_iter().map(root).collect::<Result<_, OneLayerError>>()?;
        walk.enter(0, roots);
        Ok(walk)
    }

    /// The next entry, or `None` at the end.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, OneLayerError> {
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.length);
            let Some(step) = level.steps.next() else {
                self.levels.pop();
                continue;
            };
            self.path.extend_from_slice(&step.name);
            let location = self.location(&self.path);
            if !step.below {
                let metadata = examine(&location)?;
                return Ok(Some(Entry { path: self.path.clone(), location, metadata }));
            }
            self.path.push(b'/');
            let names = names(&location).map_err(OneLayerError::io("list", &location))?;
            self.enter(self.path.len(), names);
        }
        Ok(None)
    }

    /// Adds a level with these names; each has a flag that is set for directories.
    fn enter(&mut self, length: usize, mut names: Vec<(Vec<u8>, bool)>) {
        names.sort_unstable();
        let below = |is_directory: bool, name: &Vec<u8>| {
            is_directory.then(|| Step { name: name.clone(), below: true })
        };
        let mut steps: Vec<_> = names
            .into_iter()
            .flat_map(|(name, is_directory)| {
                let below = below(is_directory, &name);
                iter::once(Step { name, below: false }).chain(below)
            })
            .collect();
        if self.order == Order::Lines {
            steps.sort_by(|one, other| one.line().cmp(other.line()));
        }
        self.levels.push(Level { length, steps: steps.into_iter() });
    }

    /// A path's location on disk.
    fn location(&self, path: &[u8]) -> PathBuf {
        let mut location = OsString::from(&self.prefix).into_vec();
        location.extend_from_slice(path);
        OsString::from_vec(location).into()
    }
}

impl Step {
    /// The start of the lines that belong to the step.
    fn line(&self) -> impl Iterator<Item = u8> {
        self.name.iter().copied().chain(self.below.then_some(b'/'))
    }
}

fn examine(location: &Path) -> Result<Metadata, OneLayerError> {
    fs::symlink_metadata(location).map_err(OneLayerError::io("examine", location))
}

/// The names in a directory; each has a flag that is set for directories.
pub(super) fn names(directory: &Path) -> std::io::Result<Vec<(Vec<u8>, bool)>> {
    fs::read_dir(directory)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().into_vec(), entry.file_type()?.is_dir()))
        })
        .collect()
}

impl Entry {
    /// The target of a symbolic link.
    pub(super) fn target(&self) -> Result<Vec<u8>, OneLayerError> {
        let target = fs::read_link(&self.location);
        let target = target.map_err(OneLayerError::io("read the link", &self.location))?;
        Ok(target.into_os_string().into_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(order: Order) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for file in ["a/x", "a-b", "a.b", "a0", "b/c/d", "b/c-"] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let prefix = root.path().join("");
        let mut walk = Walk::new(&prefix, [b".".to_vec()], order).unwrap();
        iter::from_fn(|| walk.next_entry().unwrap())
            .map(|entry| String::from_utf8(entry.path).unwrap())
            .collect()
    }

    #[test]
    fn orders_are_those_of_tar_and_of_sort() {
        let depth =
            [".", "./a", "./a/x", "./a-b", "./a.b", "./a0", "./b", "./b/c", "./b/c/d", "./b/c-"];
        assert_eq!(walked(Order::Depth), depth);
        let mut lines = depth.to_vec();
        lines.sort_unstable();
        assert_eq!(walked(Order::Lines), lines);
    }
}
