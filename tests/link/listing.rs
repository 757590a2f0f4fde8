//! Everything that a file system stores about a tree, as lines that can be compared.

use crate::support::sha256;
use rustix::fs::{lgetxattr, llistxattr};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Lines by name.
pub(super) type Lines = BTreeMap<String, String>;

/// Later times than this come from unpacking: the archive had no time, and our files have old ones.
const JUST_NOW: Duration = Duration::from_secs(60 * 60);

/// What precedes the first name of a hard link.
const ALSO: &str = " is also ";

/// A line for each entry of a tree, including its root: type and mode, owner, size, time, target,
/// device, extended attributes, content, and which names are hard links of each other.
pub(super) fn listing(root: &Path) -> Lines {
    let mut files = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(file) = files.pop() {
        if fs::symlink_metadata(&file).unwrap().is_dir() {
            files.extend(fs::read_dir(&file).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.push(file);
    }
    found.sort();
    let mut first_names = HashMap::new();
    let mut lines = Lines::new();
    for file in found {
        let name = name_below(root, &file);
        let metadata = fs::symlink_metadata(&file).unwrap();
        let group = first_names.entry(metadata.ino()).or_insert_with(|| name.clone());
        let mut line = entry(&file, &metadata);
        if *group != name {
            write!(line, "{ALSO}{group}").unwrap();
        }
        lines.insert(name, line);
    }
    lines
}

fn name_below(root: &Path, file: &Path) -> String {
    let name = file.strip_prefix(root).unwrap();
    format!("/{}", name.as_os_str().as_bytes().escape_ascii())
}

fn entry(file: &Path, metadata: &fs::Metadata) -> String {
    let kind = metadata.file_type();
    let mut line = format!("{:06o} {}:{}", metadata.mode(), metadata.uid(), metadata.gid());
    let recent = SystemTime::now() - Duration::from_secs(1) - JUST_NOW;
    if metadata.modified().unwrap() > recent {
        line += " just now";
    } else {
        write!(line, " {}.{:09}", metadata.mtime(), metadata.mtime_nsec()).unwrap();
    }
    if kind.is_file() {
        let content = sha256(&fs::read(file).unwrap());
        write!(line, " {} bytes {}", metadata.size(), &content[..16]).unwrap();
    } else if kind.is_symlink() {
        let target = fs::read_link(file).unwrap();
        write!(line, " -> {}", target.as_os_str().as_bytes().escape_ascii()).unwrap();
    } else if kind.is_char_device() || kind.is_block_device() {
        write!(line, " device {:x}", metadata.rdev()).unwrap();
    }
    for (name, value) in xattrs(file) {
        write!(line, " {name}={}", value.escape_ascii()).unwrap();
    }
    line
}

fn xattrs(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = [0; 4096];
    let length = llistxattr(file, &mut names).unwrap();
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = [0; 4096];
        let length = lgetxattr(file, name, &mut value).unwrap();
        value[..length].to_vec()
    };
    names
        .map(|name| (name, value(name)))
        // Ignores what the kernel stores for overlay, which no archive has.
        .filter(|(name, _)| !name.starts_with(b"trusted.overlay.") || name.ends_with(b".opaque"))
        .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value))
        .collect()
}

/// Like [`assert_same`], but allows hard links that exist only in ours. Nix links equal files to
/// each other, and an archive in nixpkgs' format has them once for each name; a linked layer has
/// the store's links. Links that are in the archive must be present.
pub(super) fn assert_same_but_more_links(what: &str, ours: &Lines, theirs: &Lines) {
    let mut ours = ours.clone();
    for (name, line) in &mut ours {
        let is_linked = theirs.get(name).is_some_and(|line| line.contains(ALSO));
        if let (false, Some(at)) = (is_linked, line.find(ALSO)) {
            line.truncate(at);
        }
    }
    assert_same(what, &ours, theirs);
}

/// Fails with only the lines that differ.
pub(super) fn assert_same(what: &str, ours: &Lines, theirs: &Lines) {
    let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let mut differences = String::new();
    for name in names {
        let (own, their) = (ours.get(name), theirs.get(name));
        if own != their {
            let or_none = |line: Option<&String>| line.map_or("(none)".into(), Clone::clone);
            let (own, their) = (or_none(own), or_none(their));
            writeln!(differences, "{name}\n    is        {own}\n    should be {their}").unwrap();
        }
    }
    let shown: String =
        differences.lines().take(60).fold(String::new(), |all, line| all + line + "\n");
    assert!(
        differences.is_empty(),
        "{what}: {} lines differ:\n{shown}",
        differences.lines().count()
    );
}
