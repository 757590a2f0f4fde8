//! Random trees of files: names of every kind, odd modes, hard links, FIFOs, devices.

use super::is_root;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone)]
pub(crate) enum Node {
    File {
        size: usize,
        mode: u32,
    },
    /// Another name for a file that was written before, or a file if there is none.
    HardLink(Index),
    Link(Vec<u8>),
    Fifo {
        mode: u32,
    },
    Device {
        kind: FileType,
        major: u32,
        minor: u32,
    },
    Directory {
        mode: u32,
        entries: Vec<(Vec<u8>, Node)>,
    },
}

/// A tree of up to about thirty nodes. Its root may also be a file or a link.
pub(crate) fn node() -> impl Strategy<Value = Node> {
    leaf().prop_recursive(4, 30, 8, |inner| {
        (mode(), prop::collection::vec((name(), inner), 0..8))
            .prop_map(|(mode, entries)| Node::Directory { mode, entries })
    })
}

fn leaf() -> impl Strategy<Value = Node> {
    let size = prop_oneof![
        6 => 0..2000usize,
        3 => select(vec![0, 1, 511, 512, 513, 1024, 4096, 10240, 65535, 65536, 65537]),
        1 => 60_000..300_000usize,
    ];
    let kind = select(vec![FileType::CharacterDevice, FileType::BlockDevice]);
    prop_oneof![
        10 => (size, mode()).prop_map(|(size, mode)| Node::File { size, mode }),
        3 => any::<Index>().prop_map(Node::HardLink),
        4 => target().prop_map(Node::Link),
        1 => mode().prop_map(|mode| Node::Fifo { mode }),
        1 => (kind, 0..4096u32, 0..1_000_000u32)
            .prop_map(|(kind, major, minor)| Node::Device { kind, major, minor }),
    ]
}

fn mode() -> impl Strategy<Value = u32> {
    prop_oneof![select(vec![0o444, 0o555, 0o755, 0o644]), 0..=0o7777u32,]
}

/// A file name: up to 255 bytes without a slash.
pub(crate) fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        // Names whose order is easy to get wrong.
        4 => select(vec!["a", "a-", "a.", "a-b", "a.b", "a b", "a0", "A", "b", "_", "~", ".a", "..a", "\n", "\\", "'", "*"])
            .prop_map(Into::into),
        3 => text(40).prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 1..20),
        // Around the limit of 100, together with a store path's 44 or more characters.
        2 => (20..60usize).prop_map(|length| vec![b'n'; length]),
        1 => (20..60usize).prop_map(|length| "é".repeat(length).into_bytes()),
        1 => (90..=255usize).prop_map(|length| vec![b'm'; length]),
    ]
    .prop_map(|mut name| {
        name.retain(|byte| ![0, b'/'].contains(byte));
        name.truncate(255);
        if matches!(name.as_slice(), b"" | b"." | b"..") { b"dot".to_vec() } else { name }
    })
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => text(40).prop_map(String::into_bytes),
        2 => (95..105usize).prop_map(|length| vec![b't'; length]),
        1 => (45..105usize).prop_map(|length| "ю".repeat(length).into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 1..120),
        1 => (200..4000usize).prop_map(|length| b"../".repeat(length / 3)),
    ]
    .prop_map(|mut target| {
        target.retain(|&byte| byte != 0);
        if target.is_empty() { b"/".to_vec() } else { target }
    })
}

/// Text with characters of every length, including those next to the surrogates.
fn text(longest: usize) -> impl Strategy<Value = String> {
    let char = prop_oneof![
        6 => prop::char::range(' ', '~'),
        2 => select(vec!['é', 'ж', '日', '\u{d7ff}', '\u{e000}', '\u{ffee}', '\u{1f600}', '\u{301}']),
        1 => any::<char>(),
    ];
    prop::collection::vec(char, 1..longest).prop_map(String::from_iter)
}

/// Writes trees to the disk.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// Possible targets of hard links.
    files: Vec<PathBuf>,
}

impl Writer {
    /// Writes a node at a new path. Without root, devices are left out, and every file is readable.
    pub(crate) fn write(&mut self, place: &Path, node: &Node) {
        match node {
            Node::File { size, mode } => self.write_file(place, *size, *mode),
            Node::HardLink(_) if self.files.is_empty() => self.write_file(place, 7, 0o444),
            Node::HardLink(index) => fs::hard_link(index.get(&self.files), place).unwrap(),
            Node::Link(target) => symlink(OsStr::from_bytes(target), place).unwrap(),
            Node::Fifo { mode } => make_node(place, FileType::Fifo, *mode, 0),
            Node::Device { kind, major, minor } if is_root() => {
                make_node(place, *kind, 0o600, makedev(*major, *minor));
            }
            Node::Device { .. } => self.write_file(place, 0, 0o600),
            Node::Directory { mode, entries } => {
                fs::create_dir(place).unwrap();
                for (name, entry) in entries {
                    let place = place.join(OsStr::from_bytes(name));
                    if place.symlink_metadata().is_err() {
                        self.write(&place, entry);
                    }
                }
                set_mode(place, *mode, 0o700);
            }
        }
    }

    fn write_file(&mut self, place: &Path, size: usize, mode: u32) {
        // Each file has different bytes, so that a mix-up shows.
        let number = self.files.len();
        let content: Vec<_> =
            (0..size).map(|at| (at + at / 251 + number).to_le_bytes()[0]).collect();
        fs::write(place, content).unwrap();
        set_mode(place, mode, 0o400);
        self.files.push(place.to_owned());
    }
}

fn make_node(place: &Path, kind: FileType, mode: u32, device: u64) {
    mknodat(CWD, place, kind, Mode::RUSR, device).unwrap();
    set_mode(place, mode, 0);
}

fn set_mode(place: &Path, mode: u32, needed: u32) {
    let mode = if is_root() { mode } else { mode | needed };
    fs::set_permissions(place, Permissions::from_mode(mode)).unwrap();
}
