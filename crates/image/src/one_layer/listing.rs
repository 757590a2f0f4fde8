//! The files that layers seem to contain already, so that the closure's files are added only once.
//!
//! nixpkgs' buildImage lists layers with `tar -tf LAYER | xargs realpath -ms --relative-to=.`,
//! whose output the shell splits into words. Some names are misread this way, and these files are
//! added again: those whose names contain a blank, a quote, a backslash or a non-ASCII character,
//! and all files of a layer whose names start with a slash, as in layered images. This module does
//! the same, as the layer's bytes depend on it.

use std::collections::HashSet;
use std::io::{self, Read};

use formats::digest::Digest;

/// Half of each name's digest, as a layer may contain very many names.
type Key = [u8; 16];

/// The files of layers that are in the store, and `/nix/store` if it is among them.
#[derive(Debug)]
pub(super) struct Listing {
    store: Vec<u8>,
    names: HashSet<Key>,
}

impl Listing {
    /// An empty listing; `store` is the store's directory, such as `/nix/store`.
    pub(super) fn new(store: &str) -> Self {
        Self { store: store.into(), names: HashSet::new() }
    }

    /// Whether one of the layers contains a file.
    pub(super) fn contains(&self, path: &[u8]) -> bool {
        self.names.contains(&key(path))
    }

    /// Adds the files of a layer, read from its start.
    pub(super) fn add_layer(&mut self, layer: impl Read) -> io::Result<()> {
        let mut archive = tar::Archive::new(layer);
        for entry in archive.entries()? {
            if !self.add_name(&entry?.path_bytes()) {
                break;
            }
        }
        Ok(())
    }

    /// Adds the names that the shell derives from a member's name; returns whether it reads on.
    pub(super) fn add_name(&mut self, name: &[u8]) -> bool {
        let (arguments, goes_on) = arguments(&shown(name));
        for argument in arguments {
            let path = [b"/", normalised(&argument).as_slice()].concat();
            for word in path.split(|&byte| matches!(byte, b' ' | b'\t' | b'\n')) {
                let word =
                    if word.starts_with(b"/") { word.to_owned() } else { [b"/", word].concat() };
                if word.starts_with(&self.store) || word == b"/nix/store" {
                    self.names.insert(key(&word));
                }
            }
        }
        goes_on
    }
}

fn key(path: &[u8]) -> Key {
    let Digest(digest) = Digest::of(path);
    std::array::from_fn(|index| digest[index])
}

/// A member's name as `tar -t` prints it in the C locale.
fn shown(name: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            0x07 => shown.extend(b"\\a"),
            0x08 => shown.extend(b"\\b"),
            b'\t' => shown.extend(b"\\t"),
            b'\n' => shown.extend(b"\\n"),
            0x0b => shown.extend(b"\\v"),
            0x0c => shown.extend(b"\\f"),
            b'\r' => shown.extend(b"\\r"),
            b'\\' => shown.extend(b"\\\\"),
            b' '..=b'~' => shown.push(byte),
            _ => shown.extend(format!("\\{byte:03o}").into_bytes()),
        }
    }
    shown
}

/// The arguments that `xargs` derives from a line, and whether it continues: it stops at an
/// unmatched quote.
fn arguments(line: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut arguments = Vec::new();
    let mut current: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(open), byte) if byte == open => quote = None,
            (None, b' ') => arguments.extend(current.take()),
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                current.get_or_insert_default();
            }
            (None, b'\\') => current.get_or_insert_default().extend(bytes.next()),
            _ => current.get_or_insert_default().push(byte),
        }
    }
    if quote.is_some() {
        return (arguments, false);
    }
    arguments.extend(current);
    (arguments, true)
}

/// The normalised path as `realpath -ms --relative-to=.` prints it in some directory.
fn normalised(path: &[u8]) -> Vec<u8> {
    // Relative to a build's directory, the root is some levels up, so no such name is that of a
    // file in the store.
    if path.starts_with(b"/") {
        return [b"..", path].concat();
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result of GNU tar 1.34, xargs 4.9 and bash 5.2 for these names.
    #[test]
    fn names_are_read_as_the_shell_reads_them() {
        let cases: [(&[u8], &[&str], bool); 9] = [
            (b"./nix/store/x/", &["/nix/store/x"], true),
            (b"nix/store/x/./a//b", &["/nix/store/x/a/b"], true),
            (b"./nix/store/x/-dash", &["/nix/store/x/-dash"], true),
            (b"./nix/store/x/a b", &["/nix/store/x/a"], true),
            ("./nix/store/x/ä".as_bytes(), &["/nix/store/x/303244"], true),
            (b"./nix/store/x/back\\slash", &["/nix/store/x/back\\slash"], true),
            (b"./nix/store/x/tab\tx", &["/nix/store/x/tabtx"], true),
            (b"./nix/store/x/it's", &[], false),
            (b"/nix/store/x", &[], true),
        ];
        for (name, expected, goes_on) in cases {
            let mut listing = Listing::new("/nix/store");
            assert_eq!(listing.add_name(name), goes_on, "{}", name.escape_ascii());
            for path in expected {
                assert!(listing.contains(path.as_bytes()), "{}", name.escape_ascii());
            }
            assert_eq!(listing.names.len(), expected.len(), "{}", name.escape_ascii());
        }
    }
}
